//! The task that follows one run from its start to its outcome.
//!
//! One loop waits for four things: a report of the init, the caller's wish to end the run, a
//! deadline, the time to look at the tree. It does not wait for readers of events nor for the
//! pumps, until the tree is empty. When the task is dropped, the tree handle goes with it, and the
//! init ends the tree.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringfence_network::{Account, GatewayEvent};
use ringfence_output_capture::{Activity, Combined, LiveRedaction};
use ringfence_policy::ReasonCode;
use ringfence_resource_limits::cgroup::{Leaf, LeafEvents, LeafUsage};
use ringfence_resource_limits::{
    Death, Evidence, LimitHit, LimitedResource, Limits, Sample, Usage, attribute_death,
};
use ringfence_sandbox::{
    Backend, Denied, DeniedKind, Died, Enforcement, ExitStatus, Level, Report, Sandbox,
    SandboxError, StepFailure, TreeUsage,
};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::aftermath::{Aftermath, Found};
use crate::captured;
use crate::complaints::{self, Tail};
use crate::conclude::{Conclusion, Seen, all_hits, conclude, used_up};
use crate::control::Control;
use crate::counted::{self, is_out_of_memory};
use crate::deadlines::{Action, Cause, Deadlines};
use crate::denials::{self, Denial, Denials};
use crate::error::RunError;
use crate::event::{Clock, Connection, EventKind, RunStarted};
use crate::feed::Feed;
use crate::masking::masked;
use crate::outcome::{Captured, Outcome, OutcomeKind, Reached, Reason};
use crate::outlet::{Inside, News, Outlet};
use crate::prepared::Prepared;
use crate::pumps::{Pumping, Pumps};
use crate::run_id::RunId;
use crate::spec::looks;
use crate::stdin::Feeding;
use crate::watch::{Eyes, Look, Watch};

/// What a run is about, for its events and its outcome.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) run: RunId,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) command: String,
    pub(crate) sandbox: Sandbox,
    pub(crate) cwd: PathBuf,
    pub(crate) backend: Backend,
    pub(crate) enforcement: Enforcement,
    pub(crate) limits: Limits,
    pub(crate) warnings: Vec<String>,
    pub(crate) redaction: LiveRedaction,
    /// Where both streams are kept in order, if they are.
    pub(crate) combined: Option<Combined>,
}

impl About {
    /// A text with its secrets masked, those that were added meanwhile, too.
    fn redact(&self, text: &[u8]) -> String {
        masked(self.redaction.stream(), text).0
    }
}

/// One run on its way.
pub(crate) struct Driver {
    pub(crate) about: About,
    pub(crate) control: Control,
    pub(crate) cancel: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) activity: Activity,
    pub(crate) deadlines: Deadlines,
    pub(crate) watch: Watch,
    pub(crate) leaf: Option<Leaf>,
    pub(crate) pumps: Option<Pumps>,
    pub(crate) feeding: Option<Feeding>,
    pub(crate) feed: Feed,
    pub(crate) aftermath: Option<Aftermath>,
    pub(crate) outlet: Option<Outlet>,
    pub(crate) tail: Tail,
    pub(crate) seen: Facts,
}

/// What has been seen of the run so far.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    status: Option<ExitStatus>,
    duration: Option<Duration>,
    exceeded: Option<LimitHit>,
    /// Limits that are known to have been hit, each resource once.
    hits: Vec<LimitHit>,
    /// The program the command was at its end.
    program: Option<String>,
    usage: Usage,
    denials: Denials,
    network: Option<Vec<Reached>>,
}

/// How the reports ended.
enum End {
    /// The tree is empty.
    Finished(TreeUsage),
    /// The program could not be executed.
    NotExecuted(StepFailure),
    /// The init was killed after the command had ended.
    Lost,
}

impl Driver {
    /// Follows the run to its end. The last event has been sent when this returns.
    pub(crate) async fn run(mut self) -> Result<Arc<Outcome>, RunError> {
        let end = self.follow().await;
        let group = self.leave_group().await;
        drop(self.feeding.take());
        self.close_outlet().await;
        let pumped = match self.pumps.take() {
            Some(pumps) => pumps.finish().await,
            None => Default::default(),
        };
        let found = self.aftermath.take().map(Aftermath::finish).unwrap_or_default();
        let result = end.map(|end| Arc::new(self.outcome(end, group, pumped, found)));
        let last = match &result {
            Ok(outcome) => Arc::clone(outcome),
            Err(error) => Arc::new(self.outcome_of(error)),
        };
        let lost = self.feed.lost_bytes();
        if lost > 0 {
            self.feed.warn(format!("{lost} bytes of output came too fast for events"));
        }
        self.feed.close(EventKind::RunFinished(last));
        result
    }

    async fn follow(&mut self) -> Result<End, RunError> {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                report = self.control.next_report() => {
                    if let Some(end) = self.note(report.map_err(RunError::Control)?)? {
                        return Ok(end);
                    }
                }
                news = Outlet::news(&mut self.outlet) => self.hear(news)?,
                () = self.cancel.notified() => self.end_now(Cause::Cancelled),
                () = sleep_until(wake.into()) => self.wake().await,
            }
        }
    }

    fn next_wake(&self) -> Instant {
        let look = self.watch.next();
        self.deadlines.next(self.activity.last()).map_or(look, |deadline| deadline.min(look))
    }

    fn note(&mut self, report: Option<Report>) -> Result<Option<End>, RunError> {
        match report {
            Some(Report::Started { most_processes, .. }) => {
                self.note_numbers(most_processes);
                self.announce_start();
            }
            Some(Report::Died(died)) => self.note_death(&died),
            Some(Report::CommandExited { status }) => {
                self.seen.status = Some(status);
                self.seen.duration = Some(self.clock.elapsed());
                self.deadlines.command_ended(Instant::now());
            }
            Some(Report::Finished { usage }) => return Ok(Some(End::Finished(usage))),
            Some(Report::Failed(failure)) if failure.is_exec() => {
                return Ok(Some(End::NotExecuted(failure)));
            }
            Some(Report::Failed(source)) => {
                let profile = self.about.prepared.profile().name.clone();
                return Err(RunError::SetUp { profile, source });
            }
            Some(Report::Denied(denied)) => self.note_denial(&denied),
            Some(Report::Sockets) => self.serve_network(),
            // A report of a later kind says nothing that this version must know.
            Some(_) => {}
            None if self.seen.status.is_some() => return Ok(Some(End::Lost)),
            None if self.out_of_memory() => {
                // The init is part of the tree, and of what the kernel kills when there is no memory.
                self.seen.status = Some(ExitStatus::Signaled(SIGKILL));
                return Ok(Some(End::Lost));
            }
            None => return Err(RunError::InitKilled),
        }
        Ok(None)
    }

    /// The tree waits for its network.
    fn serve_network(&mut self) {
        let tree = self.control.tree();
        let inside = tree.take_sockets().map(|service| Inside { service, process: tree.pid() });
        if let (Some(outlet), Some(inside)) = (&mut self.outlet, inside) {
            outlet.enter(inside);
        }
    }

    fn hear(&mut self, news: News) -> Result<(), RunError> {
        match news {
            News::Event(event) => self.note_network(event),
            News::Entered(entered) => self.take_caveats(entered?)?,
        }
        Ok(())
    }

    /// What the kernel here lacks; it shows when the network is there.
    fn take_caveats(&mut self, caveats: Vec<String>) -> Result<(), RunError> {
        if caveats.is_empty() {
            return Ok(());
        }
        let level = Level::Partial(caveats.join("; "));
        let prepared = &self.about.prepared;
        if prepared.spec.strict {
            let (property, level) = ("network", level.to_string());
            let source = SandboxError::NotFull { property, level, remedy: None };
            return Err(prepared.no_sandbox(source));
        }
        self.about.enforcement.set("network", level);
        Ok(())
    }

    fn note_network(&mut self, event: GatewayEvent) {
        let redact = |text: String| self.about.redact(text.as_bytes());
        let (target, up, down, reset, error) = match event {
            GatewayEvent::Refused(refusal) => {
                let redact = |text: &[u8]| self.about.redact(text);
                return self.announce_denial(denials::from_gateway(&refusal, redact));
            }
            GatewayEvent::Closed { target, up, down, reset, .. } => (target, up, down, reset, None),
            GatewayEvent::Failed { target, why, .. } => (target, 0, 0, false, Some(redact(why))),
            _ => return,
        };
        let target = redact(target.to_string());
        self.feed.push(EventKind::NetworkConnection(Connection {
            target,
            bytes_up: up,
            bytes_down: down,
            reset,
            error,
        }));
    }

    /// The tree is empty, and what it did on the network comes to its end.
    async fn close_outlet(&mut self) {
        let Some(outlet) = self.outlet.take() else { return };
        let (events, accounts, missed) = outlet.finish(self.deadlines.cause().is_none()).await;
        events.into_iter().for_each(|event| self.note_network(event));
        if missed > 0 {
            self.about.warnings.push(format!("{missed} events of the network came too fast"));
        }
        let reached = |account: Account| Reached {
            target: account.target.map_or_else(
                || "others".to_owned(),
                |target| self.about.redact(target.to_string().as_bytes()),
            ),
            connections: account.connections,
            failed: account.failed,
            refused: account.refused,
            bytes_up: account.up,
            bytes_down: account.down,
        };
        self.seen.network = Some(accounts.into_iter().map(reached).collect());
    }

    /// A PID namespace with a highest number is more than looking.
    fn note_numbers(&mut self, most_processes: bool) {
        if most_processes {
            let level = Level::Partial(BY_NUMBERS.to_owned());
            self.about.enforcement.set("process_count", level);
        }
    }

    /// A process that a limit may have ended; once the tree is being ended, anything may have.
    fn note_death(&mut self, died: &Died) {
        let program = self.about.redact(died.program.as_encoded_bytes());
        let program = Some(program).filter(|name| !name.is_empty());
        if died.command {
            self.seen.program = program;
        } else if self.deadlines.cause().is_none() {
            let death = Death { signal: died.signal, cpu_time: died.cpu, program };
            if let Some(hit) = attribute_death(&self.about.limits, &death) {
                self.note_hit(hit);
            }
        }
    }

    /// Takes a limit that was hit, and tells of it the first time.
    fn note_hit(&mut self, hit: LimitHit) {
        if self.seen.hits.iter().any(|known| known.resource == hit.resource) {
            return;
        }
        let hit = self.redacted(hit);
        self.seen.hits.push(hit.clone());
        self.announce_limit(Some(hit));
    }

    /// The name of a program is a text of the command's.
    fn redacted(&self, hit: LimitHit) -> LimitHit {
        let program = hit.program.map(|name| self.about.redact(name.as_bytes()));
        LimitHit { program, ..hit }
    }

    fn out_of_memory(&self) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| is_out_of_memory(leaf.events()))
    }

    fn note_denial(&mut self, denied: &Denied) {
        if let Some(outlet) = self.outlet.as_ref().filter(|_| denied.kind == DeniedKind::Network) {
            let (meant, tells) = (outlet.meant(denied), outlet.tells());
            let redact = |text: &[u8]| self.about.redact(text);
            let denial = denials::beside_gateway(denied, meant.as_ref(), redact);
            return match tells && meant.is_some() {
                true => self.seen.denials.attribute(denial),
                false => self.announce_denial(denial),
            };
        }
        let denial = denials::from_kernel(denied, |text| self.about.redact(text));
        self.announce_denial(denial);
    }

    /// What the kernel did not tell of, the command may have.
    fn hear_complaints(&mut self) {
        let About { sandbox, cwd, .. } = &self.about;
        let mut complaints = complaints::believed(&self.tail, sandbox, cwd);
        complaints.retain(|denial| !self.seen.denials.knows(&denial.kind, &denial.target));
        complaints.into_iter().for_each(|denial| self.announce_denial(denial));
    }

    fn announce_denial(&mut self, denial: Denial) {
        if let Some(denial) = self.seen.denials.note(denial) {
            self.feed.push(match denial.reason_code {
                ReasonCode::NetworkBlocked | ReasonCode::NetworkAllowlistBlocked => {
                    EventKind::SandboxNetworkBlocked(denial.clone())
                }
                _ => EventKind::SandboxDenied(denial.clone()),
            });
        }
    }

    fn announce_start(&self) {
        let profile = self.about.prepared.profile();
        let started = EventKind::RunStarted(RunStarted {
            run: self.about.run,
            profile: profile.name.clone(),
            backend: self.about.backend,
            command: self.about.command.clone(),
            workspace: profile.workspace.clone(),
        });
        let warnings = self.about.warnings.iter().cloned();
        let warnings = warnings.map(|message| EventKind::Warning { message });
        self.feed.open(std::iter::once(started).chain(warnings));
    }

    /// Does what is due by now.
    async fn wake(&mut self) {
        let now = Instant::now();
        let known = self.deadlines.cause();
        if let Some(action) = self.deadlines.due(now, self.activity.last()) {
            if known != self.deadlines.cause() {
                self.announce_limit(self.conclusion().limit);
            }
            self.act(action);
        }
        if let Some((look, eyes)) = self.watch.due(now) {
            self.look(look, eyes).await;
        }
    }

    fn announce_limit(&self, limit: Option<LimitHit>) {
        if let Some(hit) = limit {
            self.feed.push(EventKind::SandboxResourceExceeded(hit));
        }
    }

    /// Looks at the tree on a thread that may block: a large tree has many files in `/proc`.
    async fn look(&mut self, look: Look, eyes: Eyes) {
        let looking = tokio::task::spawn_blocking(move || eyes.look(look));
        let now = Instant::now();
        // A tree that has just ended cannot be looked at, and need not be.
        let Ok((eyes, Ok(seen))) = looking.await else { return self.watch.give_up(now) };
        let sample = Sample { memory_bytes: seen.memory, ..seen.sample };
        let sample = self.leaf.as_ref().map_or(sample, |leaf| counted::sample(leaf, sample));
        self.seen.usage.observe(&sample);
        if look.tell && self.seen.status.is_none() {
            self.feed.push(EventKind::Usage(sample));
        }
        for hit in self.watch.used_up(&seen) {
            self.note_hit(hit);
        }
        if let Some(hit) = self.watch.take(eyes, &seen, now) {
            self.exceed(hit);
        }
    }

    /// Ends a tree that is over a limit.
    fn exceed(&mut self, hit: LimitHit) {
        if self.seen.exceeded.is_some() {
            return;
        }
        let hit = self.redacted(hit);
        self.announce_limit(Some(hit.clone()));
        self.seen.exceeded = Some(hit.clone());
        // Where the command has ended by itself before, this is what happened to the rest.
        self.seen.hits.push(LimitHit { ended_command: false, ..hit });
        self.end_now(Cause::Exceeded);
    }

    /// Reads what the control group has counted, and removes it.
    async fn leave_group(&mut self) -> Option<(LeafUsage, LeafEvents)> {
        let leaf = self.leaf.take()?;
        let counted = (leaf.usage(), leaf.events());
        // Its last process may still be on its way out.
        tokio::task::spawn_blocking(move || drop(leaf)).await.ok();
        Some(counted)
    }

    fn end_now(&mut self, cause: Cause) {
        if let Some(action) = self.deadlines.kill(cause) {
            self.act(action);
        }
    }

    /// An init that is gone cannot be told anything; that it is gone comes as a report.
    fn act(&self, action: Action) {
        let told = match action {
            Action::Terminate => self.control.tree().signal(SIGTERM),
            Action::Kill => self.control.tree().kill(),
        };
        drop(told);
    }

    fn conclusion(&self) -> Conclusion {
        let profile = self.about.prepared.profile();
        conclude(&Seen {
            status: self.seen.status,
            cause: self.deadlines.cause(),
            exceeded: self.seen.exceeded.as_ref(),
            hits: &self.seen.hits,
            program: self.seen.program.as_deref(),
            limits: &self.about.limits,
            timeout: profile.timeout,
            idle_timeout: profile.idle_timeout,
            duration: self.duration(),
            usage: &self.seen.usage,
        })
    }

    fn outcome(
        &mut self,
        end: End,
        group: Option<(LeafUsage, LeafEvents)>,
        [stdout, stderr]: [Pumping; 2],
        found: Found,
    ) -> Outcome {
        let mut warnings = mem::take(&mut self.about.warnings);
        warnings.extend(stdout.warnings);
        warnings.extend(stderr.warnings);
        self.take_violations(&found, &mut warnings);
        let reason = self.take_end(end, group.is_some(), &mut warnings);
        if let Some((usage, events)) = group {
            self.take_group(usage, events, &mut warnings);
        }
        let cut = self.cut(&stdout.captured).or_else(|| self.cut(&stderr.captured));
        self.seen.hits.extend(cut);
        if let Some(hit) = used_up(&self.about.limits, &self.seen.usage) {
            self.note_hit(hit);
        }
        let Conclusion { kind, exit_code, signal, limit } = self.conclusion();
        if self.deadlines.cause().is_none() && !self.is_announced(limit.as_ref()) {
            self.announce_limit(limit.clone());
        }
        self.hear_complaints();
        let (denials, more) = self.seen.denials.take();
        if more > 0 {
            warnings.push(format!("{more} further refusals are not listed"));
        }
        let limits_hit = all_hits(limit.as_ref(), &self.seen.hits);
        Outcome {
            run: self.about.run,
            outcome: if reason.is_some() { OutcomeKind::Failed } else { kind },
            exit_code,
            signal,
            duration: self.duration(),
            backend: Some(self.about.backend),
            profile: self.about.prepared.profile().name.clone(),
            warnings,
            limit: limit.or_else(|| limits_hit.first().cloned()),
            limits_hit,
            reason,
            enforcement: self.about.enforcement.clone(),
            denials,
            network: self.seen.network.take(),
            changes: found.changes,
            usage: self.seen.usage,
            stdout: stdout.captured,
            stderr: stderr.captured,
            combined: self.about.combined.as_ref().map(|all| captured::interleaved(all.take())),
        }
    }

    /// What was made or changed where it must not be, and is set right.
    fn take_violations(&mut self, found: &Found, warnings: &mut Vec<String>) {
        for violation in &found.violations {
            let redact = |text: &[u8]| self.about.redact(text);
            let path = violation.path.as_os_str().as_encoded_bytes();
            let denial = denials::undone(path, redact);
            warnings.push(redact(violation.to_string().as_bytes()));
            self.announce_denial(denial);
        }
        let redact = |text: &String| self.about.redact(text.as_bytes());
        warnings.extend(found.warnings.iter().map(redact));
    }

    /// What the last report says: the usage, or why there was no run.
    fn take_end(&mut self, end: End, counted: bool, warnings: &mut Vec<String>) -> Option<Reason> {
        match end {
            End::Finished(usage) => {
                warnings.extend(left_over(usage.killed));
                self.take_usage(usage);
                None
            }
            End::NotExecuted(failure) => Some(self.not_executed(&failure)),
            // A control group counts whoever goes.
            End::Lost if counted => None,
            End::Lost => {
                warnings.push("the init of the tree was killed before it told the usage".into());
                None
            }
        }
    }

    /// The limit that a stream was cut at, if it was.
    fn cut(&self, captured: &Captured) -> Option<LimitHit> {
        (captured.dropped_bytes > 0).then(|| LimitHit {
            resource: LimitedResource::Output,
            limit: self.about.prepared.profile().max_output,
            observed: Some(captured.bytes),
            ended_command: false,
            evidence: Evidence::Counted,
            program: None,
        })
    }

    /// Whether observers have been told of this limit.
    fn is_announced(&self, limit: Option<&LimitHit>) -> bool {
        limit.is_some_and(|limit| {
            limit.evidence != Evidence::Counted
                && self.seen.hits.iter().any(|hit| hit.resource == limit.resource)
        })
    }

    /// What the control group counted, the kernel's own word on the whole tree.
    fn take_group(&mut self, group: LeafUsage, events: LeafEvents, warnings: &mut Vec<String>) {
        self.seen.usage = counted::usage(&group, self.seen.usage);
        let killed = matches!(self.seen.status, Some(ExitStatus::Signaled(SIGKILL)));
        let hog = self.watch.hog();
        for hit in counted::hits((&group, &events), &self.about.limits, killed, hog) {
            self.note_hit(hit);
        }
        if events.oom_kills > 0 && !is_out_of_memory(events) {
            let count = events.oom_kills;
            warnings.push(format!("the machine ran out of memory and killed {count} processes"));
        }
    }

    fn duration(&self) -> Duration {
        self.seen.duration.unwrap_or_else(|| self.clock.elapsed())
    }

    /// The result that observers get when the caller gets an error.
    fn outcome_of(&self, error: &RunError) -> Outcome {
        let outcome = error.to_outcome(&self.about.prepared.profile().name);
        Outcome { run: self.about.run, backend: Some(self.about.backend), ..outcome }
    }

    fn take_usage(&mut self, tree: TreeUsage) {
        let usage = &mut self.seen.usage;
        usage.user_cpu = tree.user_cpu;
        usage.system_cpu = tree.system_cpu;
        usage.peak_memory_bytes = usage.peak_memory_bytes.max(tree.max_rss_bytes);
        usage.processes = tree.processes;
        usage.read_bytes = tree.read_bytes;
        usage.written_bytes = tree.written_bytes;
        usage.voluntary_switches = tree.voluntary_switches;
        usage.involuntary_switches = tree.involuntary_switches;
    }

    /// The status is the one a shell gives for a program it cannot execute.
    fn not_executed(&mut self, failure: &StepFailure) -> Reason {
        let (code, hint) = if failure.not_found() {
            (NOT_FOUND, "is it installed, and on the `PATH` of the command?")
        } else {
            (NOT_EXECUTABLE, "is it a program of this machine, with the execute permission?")
        };
        self.seen.status = Some(ExitStatus::Exited(code));
        Reason {
            code: ringfence_policy::ReasonCode::SpawnFailed,
            message: self.about.redact(failure.to_string().as_bytes()),
            hint: Some(hint.to_owned()),
        }
    }
}

/// The polite request to end; the number is the same on every system.
const SIGTERM: i32 = 15;
/// The end; the number is the same on every system.
const SIGKILL: i32 = 9;

/// How far the number of processes is kept by numbers alone.
const BY_NUMBERS: &str = concat!(looks!(), ", and by the kernel up to 300 more");

/// A program that does not exist.
///
/// # References
///
/// POSIX, Shell Command Language, 2.8.2 "Exit Status for Commands".
const NOT_FOUND: i32 = 127;
/// A program that exists and cannot be executed.
const NOT_EXECUTABLE: i32 = 126;

fn left_over(killed: u32) -> Option<String> {
    match killed {
        0 => None,
        1 => Some("1 process outlived the command and was killed".to_owned()),
        more => Some(format!("{more} processes outlived the command and were killed")),
    }
}

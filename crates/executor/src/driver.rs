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
use ringfence_output_capture::Activity;
use ringfence_policy::ReasonCode;
use ringfence_resource_limits::{LimitHit, LimitedResource, Usage};
use ringfence_sandbox::{
    Backend, Denied, DeniedKind, Enforcement, ExitStatus, Level, Report, Sandbox, SandboxError,
    StepFailure, TreeUsage,
};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::aftermath::{Aftermath, Found};
use crate::complaints::{self, Tail};
use crate::conclude::{Conclusion, Seen, conclude};
use crate::control::Control;
use crate::deadlines::{Action, Cause, Deadlines};
use crate::denials::{self, Denial, Denials};
use crate::error::RunError;
use crate::event::{Clock, Connection, EventKind, RunStarted};
use crate::feed::Feed;
use crate::outcome::{Captured, Outcome, OutcomeKind, Reached, Reason};
use crate::outlet::{News, Outlet};
use crate::prepared::Prepared;
use crate::pumps::{Pumping, Pumps};
use crate::run_id::RunId;
use crate::stdin::Feeding;
use crate::watch::{Look, Watch};

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
    pub(crate) warnings: Vec<String>,
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
        drop(self.feeding.take());
        self.close_outlet().await;
        let pumped = match self.pumps.take() {
            Some(pumps) => pumps.finish().await,
            None => Default::default(),
        };
        let found = self.aftermath.take().map(Aftermath::finish).unwrap_or_default();
        let result = end.map(|end| Arc::new(self.outcome(end, pumped, found)));
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
            Some(Report::Started { .. }) => self.announce_start(),
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
            None => return Err(RunError::InitKilled),
        }
        Ok(None)
    }

    /// The tree waits for its network.
    fn serve_network(&mut self) {
        let sockets = self.control.tree().take_sockets();
        if let (Some(outlet), Some(sockets)) = (&mut self.outlet, sockets) {
            outlet.enter(sockets);
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
        let redact = |text: String| self.about.prepared.redact(text.as_bytes());
        let (target, up, down, reset, error) = match event {
            GatewayEvent::Refused(refusal) => {
                let redact = |text: &[u8]| self.about.prepared.redact(text);
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
                |target| self.about.prepared.redact(target.to_string().as_bytes()),
            ),
            connections: account.connections,
            failed: account.failed,
            refused: account.refused,
            bytes_up: account.up,
            bytes_down: account.down,
        };
        self.seen.network = Some(accounts.into_iter().map(reached).collect());
    }

    fn note_denial(&mut self, denied: &Denied) {
        if let Some(outlet) = self.outlet.as_ref().filter(|_| denied.kind == DeniedKind::Network) {
            let (meant, tells) = (outlet.meant(denied), outlet.tells());
            let redact = |text: &[u8]| self.about.prepared.redact(text);
            let denial = denials::beside_gateway(denied, meant.as_ref(), redact);
            return match tells && meant.is_some() {
                true => self.seen.denials.attribute(denial),
                false => self.announce_denial(denial),
            };
        }
        let denial = denials::from_kernel(denied, |text| self.about.prepared.redact(text));
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
        if let Some(look) = self.watch.due(now) {
            self.look(look).await;
        }
    }

    fn announce_limit(&self, limit: Option<LimitHit>) {
        if let Some(hit) = limit {
            self.feed.push(EventKind::SandboxResourceExceeded(hit));
        }
    }

    /// Looks at the tree on a thread that may block: a large tree has many files in `/proc`.
    async fn look(&mut self, look: Look) {
        let root = self.control.tree().pid();
        let limits = self.watch.limits();
        let looking = tokio::task::spawn_blocking(move || Watch::look(look, root, &limits));
        // A tree that has just ended cannot be looked at, and need not be.
        let Ok(Ok(seen)) = looking.await else { return };
        let sample = seen.sample;
        self.seen.usage.observe(&sample);
        if look.tell && self.seen.status.is_none() {
            self.feed.push(EventKind::Usage(sample));
        }
        if let Some(hit) = self.watch.exceeded(&seen)
            && self.seen.exceeded.is_none()
        {
            self.seen.exceeded = Some(hit);
            self.announce_limit(Some(hit));
            self.end_now(Cause::Exceeded);
        }
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
            exceeded: self.seen.exceeded,
            limits: &self.about.prepared.limits.asked,
            timeout: profile.timeout,
            idle_timeout: profile.idle_timeout,
            duration: self.duration(),
            usage: &self.seen.usage,
        })
    }

    fn outcome(&mut self, end: End, [stdout, stderr]: [Pumping; 2], found: Found) -> Outcome {
        let mut warnings = mem::take(&mut self.about.warnings);
        warnings.extend(stdout.warnings);
        warnings.extend(stderr.warnings);
        self.take_violations(&found, &mut warnings);
        let reason = self.take_end(end, &mut warnings);
        let Conclusion { kind, exit_code, signal, limit } = self.conclusion();
        if self.deadlines.cause().is_none() {
            self.announce_limit(limit);
        }
        self.hear_complaints();
        let (denials, more) = self.seen.denials.take();
        if more > 0 {
            warnings.push(format!("{more} further refusals are not listed"));
        }
        let cut = || self.cut(&stdout.captured).or_else(|| self.cut(&stderr.captured));
        Outcome {
            run: self.about.run,
            outcome: if reason.is_some() { OutcomeKind::Failed } else { kind },
            exit_code,
            signal,
            duration: self.duration(),
            backend: Some(self.about.backend),
            profile: self.about.prepared.profile().name.clone(),
            warnings,
            limit: limit.or_else(cut),
            reason,
            enforcement: self.about.enforcement.clone(),
            denials,
            network: self.seen.network.take(),
            changes: found.changes,
            usage: self.seen.usage,
            stdout: stdout.captured,
            stderr: stderr.captured,
        }
    }

    /// What was made or changed where it must not be, and is set right.
    fn take_violations(&mut self, found: &Found, warnings: &mut Vec<String>) {
        for violation in &found.violations {
            let redact = |text: &[u8]| self.about.prepared.redact(text);
            let path = violation.path.as_os_str().as_encoded_bytes();
            let denial = denials::undone(path, redact);
            warnings.push(redact(violation.to_string().as_bytes()));
            self.announce_denial(denial);
        }
        let redact = |text: &String| self.about.prepared.redact(text.as_bytes());
        warnings.extend(found.warnings.iter().map(redact));
    }

    /// What the last report says: the usage, or why there was no run.
    fn take_end(&mut self, end: End, warnings: &mut Vec<String>) -> Option<Reason> {
        match end {
            End::Finished(usage) => {
                warnings.extend(left_over(usage.killed));
                self.take_usage(usage);
                None
            }
            End::NotExecuted(failure) => Some(self.not_executed(&failure)),
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
        })
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
            message: self.about.prepared.redact(failure.to_string().as_bytes()),
            hint: Some(hint.to_owned()),
        }
    }
}

/// The polite request to end; the number is the same on every system.
const SIGTERM: i32 = 15;

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

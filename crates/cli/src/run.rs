//! `ringfence run`: one command from its arguments to its exit status.
//!
//! While the command runs, this watches four things at once: its events, signals to this process, a reader of this process's
//! output that went away, and the patience with a command that does not heed either.
//!
//! The trap is a second signal. The first is the command's to handle, so it is passed to the whole tree and nothing else
//! happens; the second means that the person has lost patience, and kills.

use crate::args::RunArgs;
use crate::events::EventLog;
use crate::exit::Status;
use crate::failure::Failure;
use crate::files;
use crate::message::{self, Level};
use crate::refusals;
use crate::request;
use crate::signals::{SIGPIPE, Signals, Told};
use crate::streams::{Destinations, Readers};
use crate::terminal::{self, RawMode};
use crate::transcript::Recording;
use ringfence::executor::Reason;
use ringfence::output_capture::StopToken;
use ringfence::policy::ReasonCode;
use ringfence::{
    Capture, Event, EventKind, Outcome, OutcomeKind, OutputEvents, RunBuilder, Runner, Running,
    Stdin,
};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Runs the command.
pub(crate) fn run(args: RunArgs) -> Status {
    let log =
        files::apart(&args.streams).and_then(|()| EventLog::create(args.streams.events.as_deref()));
    let (mut log, done) = match log {
        Ok(mut log) => {
            let done = started(&args, &mut log);
            (log, done)
        }
        Err(failure) => (EventLog::none(), Err(failure)),
    };
    let status = done.unwrap_or_else(|failure| no_run(&args, &failure, &mut log));
    ringfence::workspace::release();
    log.tell_failure(args.level());
    status
}

fn started(args: &RunArgs, log: &mut EventLog) -> Result<Status, Failure> {
    let runner = request::runner(&args.place)?;
    let given_up = StopToken::new().map_err(Failure::Runtime)?;
    let readers = Readers { gone: Arc::new(Notify::new()), given_up };
    let (builder, grace, recording) = builder(args, &runner, &readers)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async {
        let signals = Signals::listen(args.streams.tty).map_err(Failure::Runtime)?;
        let raw = raw_mode(args)?;
        let running = builder.spawn().await?;
        let mut watch = Watch {
            running,
            signals,
            readers,
            grace,
            patience: None,
            last_word: None,
            ended_by: None,
            raw,
            recording,
        };
        watch.until_finished(log).await;
        let Watch { running, ended_by, raw, recording, .. } = watch;
        let outcome = running.wait().await;
        drop(raw);
        let outcome = outcome.map_err(ringfence::Error::from)?;
        recording.end(&outcome);
        finished(args, &outcome, ended_by)
    })
}

/// What is typed is the command's, when it has a terminal and reads this process's.
fn raw_mode(args: &RunArgs) -> Result<Option<RawMode>, Failure> {
    match args.streams.tty && request::stdin(args) == Stdin::Inherit {
        true => RawMode::enter(),
        false => Ok(None),
    }
}

fn builder(
    args: &RunArgs,
    runner: &Runner,
    readers: &Readers,
) -> Result<(RunBuilder, Duration, Recording), Failure> {
    let builder = request::command(runner, &args.command).unwrap_or_else(|| runner.shell(""));
    let builder = request::apply(builder, args, runner)?;
    let streams = &args.streams;
    let destinations = Destinations {
        stdout: streams.stdout.as_deref(),
        stderr: streams.stderr.as_deref(),
        own: !streams.json,
    };
    let prepared = builder.prepared()?;
    let profile = prepared.profile();
    let builder = destinations.apply(builder, &prepared, readers)?;
    let terminal = args.streams.tty.then(terminal::size);
    let title = request::words(&args.command);
    let recording =
        Recording::begin(args.streams.transcript.as_deref(), terminal, &prepared, &title)?;
    let builder = recording.of(builder);
    let capture =
        if streams.json || streams.events.is_some() { Capture::Keep } else { Capture::CountOnly };
    let events = if streams.events.is_some() { OutputEvents::Send } else { OutputEvents::Omit };
    Ok((builder.capture(capture).output_events(events), profile.grace, recording))
}

/// A run, and what can happen to it from outside.
struct Watch {
    running: Running,
    signals: Signals,
    readers: Readers,
    grace: Duration,
    /// When a tree that lost its reader is killed.
    patience: Option<Instant>,
    /// When readers that do not read are waited for no longer, after the run was ended.
    last_word: Option<Instant>,
    /// The signal that this process ended the run with.
    ended_by: Option<i32>,
    /// How this process's terminal is set for the command's.
    raw: Option<RawMode>,
    recording: Recording,
}

impl Watch {
    /// Follows the run to its last event.
    async fn until_finished(&mut self, log: &mut EventLog) {
        loop {
            tokio::select! {
                event = self.running.next_event() => match event {
                    Some(event) => {
                        self.note(&event);
                        log.write(&event);
                    }
                    None => return,
                },
                told = self.signals.next() => self.heed(told),
                () = self.readers.gone.notified() => self.reader_is_gone(),
                () = elapsed(self.last_word) => self.give_readers_up(),
                () = elapsed(self.patience) => {
                    self.patience = None;
                    self.running.cancel();
                }
            }
        }
    }

    fn heed(&mut self, told: Told) {
        match told {
            Told::PassOn(signal) => self.pass_on(signal),
            Told::Resized => self.resize(),
            Told::Stop => {
                match &self.raw {
                    Some(raw) => raw.stop(),
                    None => terminal::stop_this_process(),
                }
                self.resize();
            }
            Told::Resumed => {
                self.raw.iter().for_each(RawMode::resume);
                self.resize();
            }
        }
    }

    fn resize(&self) {
        let size = terminal::size();
        if self.running.resize(size).is_ok() {
            self.recording.resize(size);
        }
    }

    /// Who is ended has a grace to print its last words in, and a reader has a while to read them.
    fn note(&mut self, event: &Event) {
        if let EventKind::SandboxResourceExceeded(hit) = &event.kind
            && hit.ended_command
        {
            self.last_word = Some(Instant::now() + self.grace + LAST_WORD);
        }
    }

    fn pass_on(&mut self, signal: i32) {
        if self.ended_by.is_some() || self.running.signal(signal).is_err() {
            self.running.cancel();
            self.readers.given_up.stop();
        }
        self.ended_by = Some(signal);
        self.last_word = Some(Instant::now() + LAST_WORD);
    }

    /// Only when the tree is gone: a command that heeds no signal goes on, and so may its reader.
    fn give_readers_up(&mut self) {
        // Signal 0 is none, as for kill(2).
        let gone = self.running.signal(0).is_err();
        self.last_word = (!gone).then(|| Instant::now() + LAST_WORD);
        if gone {
            self.readers.given_up.stop();
        }
    }

    /// The command writes to a pipe of ours, so it cannot see that nobody reads on; the signal tells it.
    fn reader_is_gone(&mut self) {
        if self.patience.is_none() && self.running.signal(SIGPIPE).is_ok() {
            self.patience = Some(Instant::now() + self.grace);
            self.ended_by = self.ended_by.or(Some(SIGPIPE));
        }
    }
}

/// How long what a run that was ended had printed is still offered: long enough for a reader that is at work.
const LAST_WORD: Duration = Duration::from_secs(2);

async fn elapsed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Prints what there is to say about an outcome.
fn finished(args: &RunArgs, outcome: &Outcome, ended_by: Option<i32>) -> Result<Status, Failure> {
    let level = args.level();
    if args.streams.json {
        print_result(outcome)?;
    } else {
        outcome.warnings.iter().for_each(|warning| message::warning(level, warning));
        tell_what_ended_it(level, outcome);
        if let Some(line) = refusals::footer(outcome) {
            message::note(level, &line);
        }
        if let Some(changes) = outcome.changes.filter(|changes| *changes > 0) {
            let run = outcome.run;
            message::note(
                level,
                &format!(
                    "{} kept: see `ringfence diff {run}`, then `apply` or `discard`",
                    if changes == 1 {
                        "1 change is".to_owned()
                    } else {
                        format!("{changes} changes are")
                    }
                ),
            );
        }
    }
    message::detail(level, &summary(outcome));
    Ok(Status::of_outcome(outcome, ended_by))
}

fn tell_what_ended_it(level: Level, outcome: &Outcome) {
    if let Some(reason) = &outcome.reason {
        message::failure(&reason.message, reason.hint.as_deref());
    }
    if let Some(limit) = &outcome.limit {
        let what = match outcome.outcome {
            OutcomeKind::TimedOut => "timed out",
            OutcomeKind::LimitExceeded => "ended by a limit",
            _ => "ran into a limit",
        };
        message::note(level, &format!("{what}: {limit}"));
    }
}

fn summary(outcome: &Outcome) -> String {
    let end = match (outcome.exit_code, outcome.signal) {
        (Some(code), _) => format!("exited {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "did not run".to_owned(),
    };
    let backend = outcome.backend.map_or("no backend", |backend| backend.as_str());
    let enforced =
        outcome.enforcement.iter().map(|(property, level)| format!("{property} {level}"));
    let enforced = enforced.collect::<Vec<_>>().join(", ");
    let (run, profile, duration) = (outcome.run, &outcome.profile, outcome.duration.as_millis());
    format!("run {run}: {end} after {duration} ms; profile {profile}; {backend}: {enforced}")
}

/// A run that did not come about has a result too. What it says may hold words of the command line, so secrets in it are masked.
fn no_run(args: &RunArgs, failure: &Failure, log: &mut EventLog) -> Status {
    let mut outcome = outcome_of(args, failure);
    let masked = request::masking(args);
    if let Some(reason) = &mut outcome.reason {
        reason.message = masked(std::mem::take(&mut reason.message));
        reason.hint = reason.hint.take().map(&masked);
    }
    if args.streams.json
        && let Err(failure) = print_result(&outcome)
    {
        return failure.report();
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ts_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    log.write(&Event { ts_ms, kind: EventKind::RunFinished(Arc::new(outcome)) });
    failure.report_through(masked)
}

fn outcome_of(args: &RunArgs, failure: &Failure) -> Outcome {
    let profile = args.profile.profile.as_deref().unwrap_or(ringfence::config::DEFAULT_PROFILE);
    if let Failure::Library(ringfence::Error::Run(error)) = failure {
        return error.to_outcome(profile);
    }
    let message = message::with_causes(failure);
    let reason = Reason { code: ReasonCode::SpawnFailed, message, hint: failure.hint() };
    Outcome::without_run(OutcomeKind::Failed, profile, reason)
}

fn print_result(outcome: &Outcome) -> Result<(), Failure> {
    // Past the line buffer of the standard library: a result is one long line.
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    serde_json::to_writer(&mut out, outcome).map_err(|error| Failure::Print(error.into()))?;
    out.write_all(b"\n").and_then(|()| out.flush()).map_err(Failure::Print)
}

//! The command's output, each stream pumped on a thread of the runtime's blocking pool.
//!
//! A run holds two of those threads until its streams are at their end; a runtime with fewer
//! makes runs wait for each other. A terminal is one stream, and the second thread is the one that
//! types into it.
//!
//! The trap: a pipe ends when its last writer is gone, which may be long after the command. So the
//! pumps are told to stop when the tree is empty, and also when the run is dropped, since a
//! runtime that shuts down waits for its blocking threads.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ringfence_output_capture::{
    Activity, Broadcast, CallbackSink, Channel, Combined, KeepSink, LiveRedaction, Observer,
    PlainSink, PlainText, PumpOptions, Sink, SinkFailure, StopToken, StreamReport, enlarge, pump,
};
use ringfence_resource_limits::{Evidence, LimitHit, LimitedResource};
use ringfence_sandbox::TerminalSize;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::captured::{self, warnings};
use crate::error::RunError;
use crate::event::{EventKind, Stream};
use crate::event_text::EventText;
use crate::feed::Feed;
use crate::outcome::Captured;
use crate::request::Capture;
use crate::terminal::{Screen, Terminal};
use crate::typist;

/// The caller's ends of a run's streams.
pub(crate) struct Ends {
    stop: StopToken,
    stdout: Source,
    stderr: Option<Source>,
    terminal: Option<Terminal>,
}

/// Where a stream is read from.
enum Source {
    Pipe(PipeReader),
    Screen(Screen),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.read(buffer),
            Self::Screen(screen) => screen.read(buffer),
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Pipe(pipe) => pipe.as_fd(),
            Self::Screen(screen) => screen.as_fd(),
        }
    }
}

impl Ends {
    /// Makes a pipe for each stream; the writing ends, of standard output and standard error, are
    /// the command's.
    pub(crate) fn pipes() -> Result<(Self, [OwnedFd; 2]), RunError> {
        let (stdout, command_stdout) = pipe(Stream::Stdout)?;
        let (stderr, command_stderr) = pipe(Stream::Stderr)?;
        let stop = StopToken::new().map_err(RunError::Descriptors)?;
        let (stdout, stderr) = (Source::Pipe(stdout), Some(Source::Pipe(stderr)));
        Ok((Self { stop, stdout, stderr, terminal: None }, [command_stdout, command_stderr]))
    }

    /// Makes what a terminal comes by; both descriptors are for the one who opens it.
    pub(crate) fn terminal(size: TerminalSize) -> Result<(Self, [OwnedFd; 2]), RunError> {
        let (terminal, screen, socket) = Terminal::open(size).map_err(RunError::Descriptors)?;
        let stop = StopToken::new().map_err(RunError::Descriptors)?;
        let second = socket.try_clone().map_err(RunError::Descriptors)?;
        let stdout = Source::Screen(screen);
        let ends = Self { stop, stdout, stderr: None, terminal: Some(terminal) };
        Ok((ends, [socket, second]))
    }

    /// The terminal, if there is one.
    pub(crate) fn as_terminal(&self) -> Option<Terminal> {
        self.terminal.clone()
    }

    /// Types what can be read from `input` into the terminal, if there is one.
    pub(crate) fn type_from(&self, input: OwnedFd) {
        if let Some(terminal) = self.terminal.clone() {
            let stop = self.stop.clone();
            drop(spawn_blocking(move || typist::type_all(input, &terminal, &stop)));
        }
    }

    /// Starts the pumps.
    pub(crate) fn pump(self, stdout: Plan, stderr: Plan) -> Pumps {
        let start = |source, plan| {
            let stop = self.stop.clone();
            spawn_blocking(move || run(source, &stop, plan))
        };
        let stderr = self.stderr.map(|source| start(source, stderr));
        let stdout = Some(start(self.stdout, stdout));
        Pumps { stop: self.stop, terminal: self.terminal, stdout, stderr }
    }
}

fn pipe(stream: Stream) -> Result<(PipeReader, OwnedFd), RunError> {
    let (reader, writer) =
        io::pipe().map_err(|source| RunError::Pipe { stream: stream.as_str(), source })?;
    enlarge(&reader);
    // A command can open its own pipe for reading and take back what the pump is about to read; a
    // pump that waits in a read is not stopped.
    rustix::io::ioctl_fionbio(&reader, true)
        .map_err(|errno| RunError::Descriptors(errno.into()))?;
    Ok((reader, writer.into()))
}

/// What one stream needs besides its source.
pub(crate) struct Plan {
    pub(crate) stream: Stream,
    pub(crate) redaction: LiveRedaction,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) capture: Capture,
    pub(crate) max_output: u64,
    /// What of the stream is kept for the outcome.
    pub(crate) text: PlainText,
    /// Where both streams are kept in order, if they are.
    pub(crate) combined: Option<Combined>,
    /// Who watches, if anybody may.
    pub(crate) viewers: Option<Broadcast>,
    pub(crate) activity: Activity,
    /// Where output events go, if they are wanted, and warnings.
    pub(crate) feed: Feed,
    pub(crate) output_events: bool,
}

/// The pumps of a run. Stops them when dropped.
#[derive(Debug)]
pub(crate) struct Pumps {
    stop: StopToken,
    terminal: Option<Terminal>,
    stdout: Option<JoinHandle<Pumping>>,
    stderr: Option<JoinHandle<Pumping>>,
}

/// What a pump brought, and what is to be said about it.
#[derive(Debug, Default)]
pub(crate) struct Pumping {
    pub(crate) captured: Captured,
    pub(crate) warnings: Vec<String>,
}

impl Pumps {
    /// Takes what is still in the pipes, and the reports.
    pub(crate) async fn finish(mut self) -> [Pumping; 2] {
        self.stop();
        [reap(self.stdout.take()).await, reap(self.stderr.take()).await]
    }

    /// There is nobody left who could write.
    fn stop(&self) {
        self.terminal.iter().for_each(Terminal::tree_is_empty);
        self.stop.stop();
    }
}

impl Drop for Pumps {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A pump that panicked did so in a sink of the caller's; what it had is lost, and that is said.
async fn reap(pump: Option<JoinHandle<Pumping>>) -> Pumping {
    let Some(pump) = pump else { return Pumping::default() };
    pump.await.unwrap_or_else(|error| Pumping {
        captured: Captured::default(),
        warnings: vec![format!("output was lost: {error}")],
    })
}

fn run(source: Source, stop: &StopToken, mut plan: Plan) -> Pumping {
    let (stream, redaction) = (plan.stream, plan.redaction.clone());
    let (keeping, sinks) = (Keeping::new(&plan), sinks(&mut plan));
    let (keep, mut sinks) = (keeping.bytes(&plan), sinks);
    sinks.extend(keeping.sink(&plan));
    let observer = Watcher { stream, feed: plan.feed, limit: (keep > 0).then_some(keep) };
    let options = PumpOptions { keep, activity: Some(plan.activity) };
    let report = pump(source, stop, redaction.stream(), options, sinks, observer);
    Pumping { warnings: warnings(stream, &report, &redaction), captured: keeping.take(report) }
}

/// What the stream is given to beside what is kept of it.
fn sinks(plan: &mut Plan) -> Vec<Box<dyn Sink>> {
    let mut sinks = std::mem::take(&mut plan.sinks);
    let channel = channel(plan.stream);
    if let Some(combined) = &plan.combined {
        sinks.push(plain(combined.sink(channel), plan));
    }
    if let Some(viewers) = &plan.viewers {
        sinks.push(Box::new(viewers.sink(channel)));
    }
    if plan.output_events {
        let mut events = EventText::new(plan.stream, plan.feed.clone());
        sinks.push(Box::new(CallbackSink::new(move |bytes: &[u8]| events.take(bytes))));
    }
    sinks
}

fn channel(stream: Stream) -> Channel {
    match stream {
        Stream::Stdout => Channel::Stdout,
        Stream::Stderr => Channel::Stderr,
    }
}

/// What is taken out of a text before it is kept can put a secret together, so it is masked again.
fn plain(sink: impl Sink + 'static, plan: &Plan) -> Box<dyn Sink> {
    match plan.text {
        PlainText { strip_ansi: false, collapse_lines: false } => Box::new(sink),
        text => Box::new(PlainSink::new(sink, text, plan.redaction.stream())),
    }
}

/// How a stream is kept for the outcome.
enum Keeping {
    /// Not at all.
    Counted,
    /// By the pump, as it comes.
    Exact,
    /// As plain text, which only a sink can make.
    Plain(KeepSink),
}

impl Keeping {
    fn new(plan: &Plan) -> Self {
        match (plan.capture, plan.text) {
            (Capture::CountOnly, _) => Self::Counted,
            (_, PlainText { strip_ansi: false, collapse_lines: false }) => Self::Exact,
            _ => Self::Plain(KeepSink::new(plan.max_output, plan.redaction.stream().mask())),
        }
    }

    /// Bytes for the pump to keep.
    fn bytes(&self, plan: &Plan) -> u64 {
        if matches!(self, Self::Exact) { plan.max_output } else { 0 }
    }

    fn sink(&self, plan: &Plan) -> Option<Box<dyn Sink>> {
        match self {
            Self::Plain(text) => Some(plain(text.clone(), plan)),
            _ => None,
        }
    }

    fn take(&self, report: StreamReport) -> Captured {
        match self {
            Self::Counted => captured::counted(&report),
            Self::Exact => captured::exact(report),
            Self::Plain(text) => captured::plain(&report, text.take()),
        }
    }
}

/// Tells what a pump notices while the run goes on.
struct Watcher {
    stream: Stream,
    feed: Feed,
    limit: Option<u64>,
}

impl Observer for Watcher {
    fn sink_failed(&mut self, failure: &SinkFailure) {
        let stream = self.stream.as_str();
        self.feed.warn(format!("{stream} to {}: {}", failure.sink, failure.error));
    }

    fn over_cap(&mut self) {
        if let Some(limit) = self.limit {
            self.feed.push(EventKind::SandboxResourceExceeded(LimitHit {
                resource: LimitedResource::Output,
                limit,
                observed: None,
                ended_command: false,
                evidence: Evidence::Counted,
                program: None,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_of_an_empty_pipe_does_not_wait() {
        let (mut reader, _writer) = pipe(Stream::Stdout).expect("there are descriptors");
        let read = reader.read(&mut [0; 8]).expect_err("because nothing is there");
        assert_eq!(read.kind(), io::ErrorKind::WouldBlock);
    }
}

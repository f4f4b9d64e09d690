//! The command's two output streams, each pumped on a thread of the runtime's blocking pool.
//!
//! A run holds two of those threads until its streams are at their end; a runtime with fewer
//! makes runs wait for each other.
//!
//! The trap: a pipe ends when its last writer is gone, which may be long after the command. So the
//! pumps are told to stop when the tree is empty, and also when the run is dropped, since a
//! runtime that shuts down waits for its blocking threads.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;

use ringfence_output_capture::{
    Activity, CallbackSink, Kept as Pumped, Observer, PumpOptions, Redactor, Sink, SinkFailure,
    StopToken, StreamReport, enlarge, pump,
};
use ringfence_resource_limits::{Evidence, LimitHit, LimitedResource};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::RunError;
use crate::event::{EventKind, Output, Stream};
use crate::feed::Feed;
use crate::outcome::{Captured, Kept};
use crate::request::Capture;

/// The reading ends of a run's two pipes.
pub(crate) struct Pipes {
    stop: StopToken,
    stdout: PipeReader,
    stderr: PipeReader,
}

impl Pipes {
    /// Makes the pipes; the writing ends, of standard output and standard error, are the command's.
    pub(crate) fn open() -> Result<(Self, [OwnedFd; 2]), RunError> {
        let (stdout, command_stdout) = pipe(Stream::Stdout)?;
        let (stderr, command_stderr) = pipe(Stream::Stderr)?;
        let stop = StopToken::new().map_err(RunError::Descriptors)?;
        Ok((Self { stop, stdout, stderr }, [command_stdout, command_stderr]))
    }

    /// Starts the pumps.
    pub(crate) fn pump(self, stdout: Plan, stderr: Plan) -> Pumps {
        let start = |reader, plan| {
            let stop = self.stop.clone();
            Some(spawn_blocking(move || run(reader, &stop, plan)))
        };
        let (stdout, stderr) = (start(self.stdout, stdout), start(self.stderr, stderr));
        Pumps { stop: self.stop, stdout, stderr }
    }
}

fn pipe(stream: Stream) -> Result<(PipeReader, OwnedFd), RunError> {
    let (reader, writer) =
        io::pipe().map_err(|source| RunError::Pipe { stream: stream.as_str(), source })?;
    enlarge(&reader);
    Ok((reader, writer.into()))
}

/// What one stream needs besides its pipe.
pub(crate) struct Plan {
    pub(crate) stream: Stream,
    pub(crate) redactor: Redactor,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) capture: Capture,
    pub(crate) max_output: u64,
    pub(crate) activity: Activity,
    /// Where output events go, if they are wanted, and warnings.
    pub(crate) feed: Feed,
    pub(crate) output_events: bool,
}

/// The two pumps of a run. Stops them when dropped.
#[derive(Debug)]
pub(crate) struct Pumps {
    stop: StopToken,
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
        self.stop.stop();
        [reap(self.stdout.take()).await, reap(self.stderr.take()).await]
    }
}

impl Drop for Pumps {
    fn drop(&mut self) {
        self.stop.stop();
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

fn run(reader: PipeReader, stop: &StopToken, plan: Plan) -> Pumping {
    let keep = match plan.capture {
        Capture::Keep => plan.max_output,
        Capture::CountOnly => 0,
    };
    let mut sinks = plan.sinks;
    if plan.output_events {
        let mut events =
            EventText { stream: plan.stream, feed: plan.feed.clone(), held: Vec::new() };
        sinks.push(Box::new(CallbackSink::new(move |bytes: &[u8]| events.take(bytes))));
    }
    let observer = Watcher {
        stream: plan.stream,
        feed: plan.feed,
        limit: (plan.capture == Capture::Keep).then_some(keep),
    };
    let options = PumpOptions { keep, activity: Some(plan.activity) };
    let report = pump(reader, stop, plan.redactor, options, sinks, observer);
    Pumping { warnings: warnings(plan.stream, &report), captured: captured(report, plan.capture) }
}

fn captured(report: StreamReport, capture: Capture) -> Captured {
    let (dropped_bytes, kept) = match capture {
        Capture::CountOnly => (0, Kept::default()),
        Capture::Keep => (
            report.dropped_bytes,
            match report.text() {
                Pumped::Text(text) => Kept::Text(text),
                Pumped::Base64(text) => Kept::Base64(text),
            },
        ),
    };
    Captured {
        bytes: report.bytes,
        kept_bytes: report.kept_bytes,
        redactions: report.redactions,
        dropped_bytes,
        kept,
    }
}

fn warnings(stream: Stream, report: &StreamReport) -> Vec<String> {
    let stream = stream.as_str();
    let mut warnings: Vec<_> = report
        .sink_errors
        .iter()
        .map(|f| format!("{stream} to {}: {}, {} bytes lost", f.sink, f.error, f.lost_bytes))
        .collect();
    if let Some(error) = &report.read_error {
        warnings.push(format!("{stream} could not be read to its end: {error}"));
    }
    if report.held_open {
        warnings.push(format!("{stream} is still held open by a process outside the tree"));
    }
    if report.unmasked_bytes_discarded > 0 {
        let bytes = report.unmasked_bytes_discarded;
        warnings.push(format!("{bytes} bytes of {stream} could not be redacted and were dropped"));
    }
    warnings
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

/// Makes events of output, whole characters in each.
struct EventText {
    stream: Stream,
    feed: Feed,
    /// The beginning of a character whose end has not come yet: three bytes at most.
    held: Vec<u8>,
}

impl EventText {
    fn take(&mut self, bytes: &[u8]) {
        if !self.feed.has_room_for(self.held.len() + bytes.len()) {
            self.feed.lose(self.held.len() + bytes.len());
            self.held.clear();
            return;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        self.held = text.split_off(whole_characters(&text));
        self.send(text);
    }

    fn send(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.feed.push(EventKind::Output(Output { stream: self.stream, bytes }));
        }
    }
}

impl Drop for EventText {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.send(held);
    }
}

/// How much of `bytes` does not end inside a character. Bytes that are no UTF-8 anyway are whole.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    let lead = bytes[start..].iter().rposition(|&byte| byte & 0xC0 != 0x80);
    let Some(lead) = lead.map(|at| start + at) else { return bytes.len() };
    let length = match bytes[lead] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    if lead + length > bytes.len() { lead } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_do_not_cut_characters() {
        let check = |bytes: &[u8], expect: usize| {
            assert_eq!(whole_characters(bytes), expect, "{bytes:?}");
        };
        check(b"", 0);
        check(b"abc", 3);
        check("aé".as_bytes(), 3);
        check(&"aé".as_bytes()[..2], 1);
        check(&"a€".as_bytes()[..3], 1);
        check(&"a😀".as_bytes()[..4], 1);
        check("a😀".as_bytes(), 5);
        check(b"a\xff", 2);
        check(b"a\x80\x80\x80\x80", 5);
        check(b"\xc0", 1);
    }
}

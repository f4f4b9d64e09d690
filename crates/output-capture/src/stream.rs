//! What happens to each piece of a stream: it is masked, kept as far as the cap allows, and handed to the sinks.
//!
//! Nothing that goes wrong here may end the reading: a sink that fails or panics is not used any more, an observer that
//! panics hears no more, and after a fault in masking nothing is shown at all, since what the masking held is unknown.
//! The trap: a panic message is made by whoever panics, so no code of this crate puts output into one.

use crate::activity::Activity;
use crate::keep::HeadTail;
use crate::pump::{Observer, PumpOptions};
use crate::redactor::Redactor;
use crate::report::{SinkFailure, StreamReport};
use crate::sink::Sink;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a stream goes through; a redactor, but for the tests of what happens when one fails.
pub(crate) trait Sieve {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>);
    fn finish(&mut self, out: &mut Vec<u8>);
    fn count(&self) -> u64;
}

impl Sieve for Redactor {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        Redactor::push(self, input, out);
    }
    fn finish(&mut self, out: &mut Vec<u8>) {
        Redactor::finish(self, out);
    }
    fn count(&self) -> u64 {
        Redactor::count(self)
    }
}

/// One stream on its way.
pub(crate) struct Stream<S, O> {
    sieve: S,
    /// `None` after it has panicked.
    observer: Option<O>,
    activity: Option<Activity>,
    sinks: Vec<(Box<dyn Sink>, Option<SinkFailure>)>,
    kept: HeadTail,
    keep: u64,
    out: Vec<u8>,
    sanitized: u64,
    broken: bool,
    pub(crate) report: StreamReport,
}

impl<S: Sieve, O: Observer> Stream<S, O> {
    pub(crate) fn new(
        sieve: S,
        mask: &[u8],
        options: PumpOptions,
        sinks: Vec<Box<dyn Sink>>,
        observer: O,
    ) -> Self {
        Self {
            sieve,
            observer: Some(observer),
            activity: options.activity,
            sinks: sinks.into_iter().map(|sink| (sink, None)).collect(),
            kept: HeadTail::new(options.keep, mask),
            keep: options.keep,
            out: Vec::new(),
            sanitized: 0,
            broken: false,
            report: StreamReport::default(),
        }
    }

    /// Takes what was read.
    pub(crate) fn take(&mut self, input: &[u8]) {
        self.report.bytes += input.len() as u64;
        if let Some(activity) = &self.activity {
            activity.touch();
        }
        tell(&mut self.observer, |observer| observer.read(input.len() as u64));
        self.sieve(input.len(), |sieve, out| sieve.push(input, out));
        self.deliver();
    }

    /// Runs a part of the masking; after a fault nothing more goes through it, since what it held is unknown.
    fn sieve(&mut self, bytes: usize, work: impl FnOnce(&mut S, &mut Vec<u8>)) {
        if !self.broken {
            let (sieve, out) = (&mut self.sieve, &mut self.out);
            match catch_unwind(AssertUnwindSafe(|| work(sieve, out))) {
                Ok(()) => return,
                Err(_) => {
                    self.broken = true;
                    self.out.clear();
                }
            }
        }
        self.report.unmasked_bytes_discarded += bytes as u64;
    }

    fn deliver(&mut self) {
        let was_over = self.sanitized > self.keep;
        self.sanitized += self.out.len() as u64;
        if self.sanitized > self.keep && !was_over {
            tell(&mut self.observer, Observer::over_cap);
        }
        self.kept.push(&self.out);
        if !self.out.is_empty() {
            for (sink, failure) in &mut self.sinks {
                let result = match failure {
                    None => guarded(|| sink.write(&self.out)),
                    Some(_) => Ok(()),
                };
                note(sink.as_ref(), failure, result, self.out.len(), &mut self.observer);
            }
        }
        self.out.clear();
    }

    /// The stream is over.
    pub(crate) fn end(mut self) -> StreamReport {
        self.sieve(0, |sieve, out| sieve.finish(out));
        if self.broken {
            let discarded = self.report.unmasked_bytes_discarded;
            self.out.extend_from_slice(
                format!("[capture failed, {discarded} bytes dropped]").as_bytes(),
            );
        }
        self.deliver();
        for (sink, failure) in &mut self.sinks {
            if failure.is_none() {
                let result = guarded(|| sink.finish());
                note(sink.as_ref(), failure, result, 0, &mut self.observer);
            }
        }
        let cut = self.kept.cut();
        self.report.kept_bytes = (cut.head.len() + cut.tail.len()) as u64;
        (self.report.head, self.report.tail) = (cut.head, cut.tail);
        (self.report.dropped_bytes, self.report.dropped_lines) = (cut.dropped, cut.dropped_lines);
        self.report.redactions = self.sieve.count();
        self.report.sink_errors =
            self.sinks.into_iter().filter_map(|(_, failure)| failure).collect();
        self.report
    }
}

/// Calls into a sink; a panic is an error like any other.
fn guarded(call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(io::Error::other("it panicked")))
}

/// Calls an observer, for the last time if it panics.
fn tell<O>(observer: &mut Option<O>, call: impl FnOnce(&mut O)) {
    if let Some(hearing) = observer
        && catch_unwind(AssertUnwindSafe(|| call(hearing))).is_err()
    {
        *observer = None;
    }
}

fn note<O: Observer>(
    sink: &dyn Sink,
    failure: &mut Option<SinkFailure>,
    result: io::Result<()>,
    bytes: usize,
    observer: &mut Option<O>,
) {
    let mut lost = bytes as u64;
    if let (None, Err(error)) = (&failure, &result) {
        // The last piece may have arrived in part, and a sink may have kept something for its end.
        let told = catch_unwind(AssertUnwindSafe(|| sink.undelivered()));
        lost = told.unwrap_or_default().unwrap_or(lost);
        let name = catch_unwind(AssertUnwindSafe(|| sink.name()));
        let new = SinkFailure {
            sink: name.unwrap_or_else(|_| "sink".to_owned()),
            error: error.to_string(),
            errno: error.raw_os_error(),
            lost_bytes: 0,
        };
        tell(observer, |observer| observer.sink_failed(&new));
        *failure = Some(new);
    }
    if let Some(failure) = failure {
        failure.lost_bytes += lost;
    }
}

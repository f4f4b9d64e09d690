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
use zeroize::Zeroizing;

/// What a stream goes through; a redactor, but for the tests of what happens when one fails. What is read is put where
/// the sieve keeps it, since output is large and each copy of it costs.
pub(crate) trait Sieve {
    /// Sees to room for `size` bytes.
    fn make_room(&mut self, size: usize);
    /// The room, which is not smaller than was asked for.
    fn room(&mut self) -> &mut [u8];
    /// Takes `count` bytes that are in the room and gives what can leave, which may be in `out`.
    fn take<'a>(&'a mut self, count: usize, out: &'a mut Vec<u8>) -> &'a [u8];
    fn finish(&mut self, out: &mut Vec<u8>);
    fn count(&self) -> u64;
}

impl Sieve for Redactor {
    fn make_room(&mut self, size: usize) {
        Redactor::make_room(self, size);
    }
    fn room(&mut self) -> &mut [u8] {
        Redactor::room(self)
    }
    fn take<'a>(&'a mut self, count: usize, out: &'a mut Vec<u8>) -> &'a [u8] {
        Redactor::take(self, count, out)
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
    /// What takes the sieve's place after it has failed: bytes that nobody sees.
    broken: Option<Zeroizing<Vec<u8>>>,
    activity: Option<Activity>,
    out: Vec<u8>,
    drain: Drain<O>,
    pub(crate) report: StreamReport,
}

/// Where everything goes that may be seen.
struct Drain<O> {
    /// `None` after it has panicked.
    observer: Option<O>,
    sinks: Vec<(Box<dyn Sink>, Option<SinkFailure>)>,
    kept: HeadTail,
    keep: u64,
    sanitized: u64,
}

impl<S: Sieve, O: Observer> Stream<S, O> {
    pub(crate) fn new(
        sieve: S,
        mask: &[u8],
        options: PumpOptions,
        sinks: Vec<Box<dyn Sink>>,
        observer: O,
    ) -> Self {
        let drain = Drain {
            observer: Some(observer),
            sinks: sinks.into_iter().map(|sink| (sink, None)).collect(),
            kept: HeadTail::new(options.keep, mask),
            keep: options.keep,
            sanitized: 0,
        };
        Self {
            sieve,
            broken: None,
            activity: options.activity,
            out: Vec::new(),
            drain,
            report: StreamReport::default(),
        }
    }

    /// Where the next `size` bytes are to be put.
    pub(crate) fn room(&mut self, size: usize) -> &mut [u8] {
        let sieve = &mut self.sieve;
        if self.broken.is_none() && caught(|| sieve.make_room(size)).is_none() {
            self.broken = Some(Zeroizing::default());
        }
        match &mut self.broken {
            Some(unseen) => {
                unseen.resize(size, 0);
                unseen
            }
            None => &mut self.sieve.room()[..size],
        }
    }

    /// Takes `count` bytes that have been put into the room.
    pub(crate) fn take(&mut self, count: usize) {
        self.report.bytes += count as u64;
        if let Some(activity) = &self.activity {
            activity.touch();
        }
        tell(&mut self.drain.observer, |observer| observer.read(count as u64));
        let (sieve, out) = (&mut self.sieve, &mut self.out);
        if self.broken.is_none() {
            // After a fault nothing more goes through the sieve, since what it held is unknown.
            match caught(|| sieve.take(count, out)) {
                Some(seen) => return self.drain.deliver(seen),
                None => self.broken = Some(Zeroizing::default()),
            }
        }
        self.report.unmasked_bytes_discarded += count as u64;
    }

    /// The stream is over.
    pub(crate) fn end(mut self) -> StreamReport {
        let (sieve, out) = (&mut self.sieve, &mut self.out);
        out.clear();
        let finished = self.broken.is_none() && caught(|| sieve.finish(out)).is_some();
        if !finished {
            let discarded = self.report.unmasked_bytes_discarded;
            *out = format!("[capture failed, {discarded} bytes dropped]").into_bytes();
        }
        self.drain.deliver(out);
        self.report.redactions = self.sieve.count();
        self.drain.end(self.report)
    }
}

impl<O: Observer> Drain<O> {
    fn deliver(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let was_over = self.sanitized > self.keep;
        self.sanitized += bytes.len() as u64;
        if self.sanitized > self.keep && !was_over {
            tell(&mut self.observer, Observer::over_cap);
        }
        self.kept.push(bytes);
        for (sink, failure) in &mut self.sinks {
            let result = match failure {
                None => guarded(|| sink.write(bytes)),
                Some(_) => Ok(()),
            };
            note(sink.as_ref(), failure, result, bytes.len(), &mut self.observer);
        }
    }

    fn end(mut self, mut report: StreamReport) -> StreamReport {
        for (sink, failure) in &mut self.sinks {
            if failure.is_none() {
                let result = guarded(|| sink.finish());
                note(sink.as_ref(), failure, result, 0, &mut self.observer);
            }
        }
        let cut = self.kept.cut();
        report.kept_bytes = (cut.head.len() + cut.tail.len()) as u64;
        (report.head, report.tail) = (cut.head, cut.tail);
        (report.dropped_bytes, report.dropped_lines) = (cut.dropped, cut.dropped_lines);
        report.sink_errors = self.sinks.into_iter().filter_map(|(_, failure)| failure).collect();
        report
    }
}

/// What `work` gives, unless it panics.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Calls into a sink; a panic is an error like any other.
fn guarded(call: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    caught(call).unwrap_or_else(|| Err(io::Error::other("it panicked")))
}

/// Calls an observer, for the last time if it panics.
fn tell<O>(observer: &mut Option<O>, call: impl FnOnce(&mut O)) {
    if let Some(hearing) = observer
        && caught(|| call(hearing)).is_none()
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
        let told = caught(|| sink.undelivered());
        lost = told.unwrap_or_default().unwrap_or(lost);
        let name = caught(|| sink.name());
        let new = SinkFailure {
            sink: name.unwrap_or_else(|| "sink".to_owned()),
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

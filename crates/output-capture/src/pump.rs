//! Reads one pipe to its end: redact, keep, deliver.
//!
//! One pump a stream, on a thread of its own; it blocks. It never stops reading while there is a writer, because a
//! command whose output is not read stands still, and one whose pipe is closed dies: a failed sink, a reached cap, a
//! fault in masking are counted and reading goes on. It does not know when to stop; [`StopToken`] tells it. The trap:
//! the end of a pipe comes when the *last* writer is gone, which may be a daemon that outlives the command.

use crate::activity::Activity;
use crate::keep::HeadTail;
use crate::redactor::Redactor;
use crate::report::{SinkFailure, StreamReport};
use crate::sink::Sink;
use crate::stop::StopToken;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use zeroize::Zeroizing;

/// First size of the read buffer: a full pipe as the kernel makes it.
const READ_MIN: usize = 64 * 1024;
/// Largest size of the read buffer: a full pipe as large as an ordinary user may make it (pipe(7)).
const READ_MAX: usize = 1024 * 1024;
/// Bytes read after the stop at most: more than a pipe holds, and an end even when somebody goes on writing.
const DRAIN_MAX: u64 = 16 * 1024 * 1024;

/// How one stream is pumped.
#[derive(Clone, Debug)]
pub struct PumpOptions {
    /// Bytes to keep for the report, after masking: half from the beginning, half from the end. 0 keeps nothing.
    pub keep: u64,
    /// The clock to set whenever output comes.
    pub activity: Option<Activity>,
}

/// Hears of a stream while it is pumped, on the pump's thread.
pub trait Observer {
    /// The command wrote so many bytes.
    fn read(&mut self, _bytes: u64) {}
    /// A sink failed and is not used any more.
    fn sink_failed(&mut self, _failure: &SinkFailure) {}
    /// More came than is kept; called once.
    fn over_cap(&mut self) {}
}

impl Observer for () {}

/// Pumps `reader` until its end, or until `stop` is used and the pipe is empty.
///
/// Each piece is masked, kept as far as the cap allows, and handed to all sinks before the next is read.
pub fn pump(
    reader: impl AsFd + Read,
    stop: &StopToken,
    redactor: Redactor,
    options: PumpOptions,
    sinks: Vec<Box<dyn Sink>>,
    observer: impl Observer,
) -> StreamReport {
    let mask = redactor.mask().to_vec();
    pump_through(reader, stop, redactor, &mask, options, sinks, observer)
}

/// What a stream goes through; a redactor, but for the tests of what happens when one fails.
trait Sieve {
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

fn pump_through<S: Sieve, O: Observer>(
    mut reader: impl AsFd + Read,
    stop: &StopToken,
    sieve: S,
    mask: &[u8],
    options: PumpOptions,
    sinks: Vec<Box<dyn Sink>>,
    observer: O,
) -> StreamReport {
    let mut stream = Stream::new(sieve, mask, options, sinks, observer);
    let mut buffer = Zeroizing::new(Vec::new());
    let mut drained = 0;
    loop {
        if drained > DRAIN_MAX {
            stream.report.held_open = true;
            break;
        }
        match wait(&reader, stop) {
            Ok(Wait::Readable) => {}
            Ok(Wait::Stopped) => {
                stream.report.held_open = true;
                break;
            }
            Err(error) => {
                stream.report.read_error = Some(error.to_string());
                break;
            }
        }
        grow(&mut buffer, stream.last_read);
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                stream.take(&buffer[..count]);
                drained += if stop.is_stopped() { count as u64 } else { 0 };
            }
            Err(error) if retry(&error) => {}
            // A pseudo-terminal's way to say that nobody has the other side open.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => break,
            Err(error) => {
                stream.report.read_error = Some(error.to_string());
                break;
            }
        }
    }
    stream.end()
}

enum Wait {
    /// There are bytes, or the end.
    Readable,
    /// There are none, and none are to be waited for.
    Stopped,
}

fn wait(reader: &impl AsFd, stop: &StopToken) -> io::Result<Wait> {
    let mut fds = [
        PollFd::new(reader.as_fd(), PollFlags::POLLIN),
        PollFd::new(stop.as_fd(), PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) if fds[0].any().unwrap_or(true) => return Ok(Wait::Readable),
            Ok(_) => return Ok(Wait::Stopped),
        }
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Grows the buffer when the last read filled it: most commands write little.
fn grow(buffer: &mut Zeroizing<Vec<u8>>, last_read: usize) {
    if buffer.is_empty() || (last_read == buffer.len() && buffer.len() < READ_MAX) {
        let size = if buffer.is_empty() { READ_MIN } else { buffer.len() * 4 };
        *buffer = Zeroizing::new(vec![0; size]);
    }
}

struct Stream<S, O> {
    sieve: S,
    observer: O,
    activity: Option<Activity>,
    sinks: Vec<(Box<dyn Sink>, Option<SinkFailure>)>,
    kept: HeadTail,
    keep: u64,
    out: Vec<u8>,
    sanitized: u64,
    last_read: usize,
    broken: bool,
    report: StreamReport,
}

impl<S: Sieve, O: Observer> Stream<S, O> {
    fn new(
        sieve: S,
        mask: &[u8],
        options: PumpOptions,
        sinks: Vec<Box<dyn Sink>>,
        observer: O,
    ) -> Self {
        Self {
            sieve,
            observer,
            activity: options.activity,
            sinks: sinks.into_iter().map(|sink| (sink, None)).collect(),
            kept: HeadTail::new(options.keep, mask),
            keep: options.keep,
            out: Vec::new(),
            sanitized: 0,
            last_read: 0,
            broken: false,
            report: StreamReport::default(),
        }
    }

    fn take(&mut self, input: &[u8]) {
        self.last_read = input.len();
        self.report.bytes += input.len() as u64;
        if let Some(activity) = &self.activity {
            activity.touch();
        }
        self.observer.read(input.len() as u64);
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
            self.observer.over_cap();
        }
        self.kept.push(&self.out);
        if !self.out.is_empty() {
            for (sink, failure) in &mut self.sinks {
                let result = if failure.is_none() { sink.write(&self.out) } else { Ok(()) };
                note(sink.as_ref(), failure, result, self.out.len(), &mut self.observer);
            }
        }
        self.out.clear();
    }

    fn end(mut self) -> StreamReport {
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
                let result = sink.finish();
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

fn note(
    sink: &dyn Sink,
    failure: &mut Option<SinkFailure>,
    result: io::Result<()>,
    bytes: usize,
    observer: &mut impl Observer,
) {
    if let (None, Err(error)) = (&failure, &result) {
        let new = SinkFailure {
            sink: sink.name(),
            error: error.to_string(),
            errno: error.raw_os_error(),
            lost_bytes: 0,
        };
        observer.sink_failed(&new);
        *failure = Some(new);
    }
    if let Some(failure) = failure {
        failure.lost_bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Fails at the second piece.
    struct Faulty(u32);

    impl Sieve for Faulty {
        fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
            self.0 += 1;
            out.extend_from_slice(input);
            assert!(self.0 < 2, "made to fail");
        }
        fn finish(&mut self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"never written");
        }
        fn count(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_fault_in_masking_shows_nothing_and_goes_on_reading() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let (sender, receiver) = std::sync::mpsc::channel();
        let stop = StopToken::new().expect("a token");
        let pumping = std::thread::spawn(move || {
            let sink = crate::CallbackSink::new(move |bytes: &[u8]| {
                sender.send(bytes.len()).expect("the test listens")
            });
            let options = PumpOptions { keep: 100, activity: None };
            pump_through(reader, &stop, Faulty(0), b"*", options, vec![Box::new(sink)], ())
        });
        writer.write_all(b"first ").expect("the pump reads");
        assert_eq!(receiver.recv(), Ok(6));
        writer.write_all(&[b'x'; 300_000]).expect("the pump reads on");
        drop(writer);
        let report = pumping.join().expect("the pump does not panic");
        assert_eq!(report.head.as_slice(), b"first [capture failed, 300000 bytes dropped]");
        assert_eq!((report.bytes, report.unmasked_bytes_discarded), (300_006, 300_000));
    }
}

//! Reads one pipe to its end: redact, keep, deliver.
//!
//! One pump a stream, on a thread of its own; it blocks. It never stops reading while there is a writer, because a
//! command whose output is not read stands still, and one whose pipe is closed dies: a failed sink, a reached cap, a
//! fault in masking are counted and reading goes on. It does not know when to stop; [`StopToken`] tells it. The reader
//! may be the master of a pseudo-terminal as well, whose end is an error of its own kind.
//!
//! The trap: the end of a pipe comes when the *last* writer is gone, which may be a daemon that outlives the command.
//! After the stop the pump takes what is there, waits a short grace for the end, and then says who holds the pipe.

use crate::activity::Activity;
use crate::holders;
use crate::redactor::Redactor;
use crate::report::{SinkFailure, StreamReport};
use crate::sink::Sink;
use crate::stop::StopToken;
use crate::stream::{Sieve, Stream};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Size of the first reads: a page, since most commands write little or nothing.
const READ_MIN: usize = 4 * 1024;
/// Largest size of a read: larger ones are not faster, and there are two streams a run.
const READ_MAX: usize = 256 * 1024;
/// Bytes read after the stop at most: more than a pipe holds, and an end even when somebody goes on writing.
const DRAIN_MAX: u64 = 16 * 1024 * 1024;
/// Reads after the grace at most. Each takes all there is or fills the buffer, so this many take all that is in a pipe
/// of the largest size, and a drip that never ends is left.
const LATE_READS: u32 = 32;
/// A read below this while output streams in is a waste: the writer is woken for a handful of bytes.
const SHORT_READ: usize = 32 * 1024;
/// Output streams in when this many reads follow each other within [`NAP`].
const STREAMING: u32 = 16;
/// How long more output is let gather while it streams in; too short to be noticed at a terminal.
const NAP: Duration = Duration::from_micros(200);

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

/// Pumps `reader` until its end, or until `stop` is used, the pipe is empty and the grace is over.
///
/// Each piece is masked, kept as far as the cap allows, and handed to all sinks before the next is read. A panic in a
/// sink, in the observer or in masking does not end the reading and does not leave this function.
///
/// # Caveats
/// A reader from which somebody else can read, too, should be non-blocking: what is taken between the look and the read
/// would leave this waiting, and no stop ends that. A command can open a pipe it writes to for reading.
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
    match read_all(&mut reader, stop, &mut stream) {
        Ok(End::Closed) => {}
        Ok(End::Held) => {
            stream.report.held_open = true;
            stream.report.held_by = holders::of_pipe(&reader);
        }
        Err(error) => stream.report.read_error = Some(error.to_string()),
    }
    stream.end()
}

/// How the reading ended.
enum End {
    /// Nobody can write any more.
    Closed,
    /// Somebody still can.
    Held,
}

fn read_all<S: Sieve, O: Observer>(
    reader: &mut (impl AsFd + Read),
    stop: &StopToken,
    stream: &mut Stream<S, O>,
) -> io::Result<End> {
    let mut size = READ_MIN;
    let mut pace = Pace::default();
    let (mut drained, mut late) = (0, 0);
    while drained <= DRAIN_MAX && late <= LATE_READS {
        if !wait(reader, stop)? {
            return Ok(End::Held);
        }
        match reader.read(stream.room(size)) {
            Ok(0) => return Ok(End::Closed),
            Ok(count) => {
                stream.take(count);
                if stop.is_stopped() {
                    drained += count as u64;
                    late += u32::from(stop.rest_of_grace().is_some_and(|rest| rest.is_zero()));
                } else {
                    pace.rest(count);
                }
                // The last read took all there was room for: there is more.
                if count == size {
                    size = (size * 16).min(READ_MAX);
                }
            }
            Err(error) if retry(&error) => {}
            // A pseudo-terminal's way to say that nobody has the other side open.
            Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                return Ok(End::Closed);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(End::Held)
}

/// Waits for bytes or the end; false when there are none and none are to be waited for.
fn wait(reader: &impl AsFd, stop: &StopToken) -> io::Result<bool> {
    loop {
        let over = stop.rest_of_grace();
        let timeout = over.map_or(PollTimeout::NONE, |rest| {
            // Rounded up, so that a rest of less than a millisecond is no busy loop.
            let millis = rest.as_micros().div_ceil(1000);
            PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = [
            PollFd::new(reader.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        // After the stop its descriptor is always readable.
        let watched = if over.is_some() { &mut fds[..1] } else { &mut fds[..] };
        match poll(watched, timeout) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) if watched[0].any().unwrap_or(true) => return Ok(true),
            Ok(_) if over.is_some_and(|rest| rest.is_zero()) => return Ok(false),
            Ok(_) => {}
        }
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Notices a command that writes line after line, and lets its lines gather.
///
/// One system call a line costs the command more than its work does, and each read wakes it. What has been read is
/// delivered before a rest, and a rest comes only in the middle of much output, so a prompt never waits for one.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    quick: u32,
}

impl Pace {
    fn rest(&mut self, count: usize) {
        let now = Instant::now();
        let quick = self.last.is_some_and(|last| now.duration_since(last) < 2 * NAP);
        self.quick = if quick && count < SHORT_READ { self.quick + 1 } else { 0 };
        self.last = Some(now);
        if self.quick > STREAMING {
            std::thread::sleep(NAP);
            self.last = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Fails at the second piece, or when room is made for it.
    struct Faulty {
        room: Vec<u8>,
        taken: u32,
        at_room: bool,
    }

    impl Sieve for Faulty {
        fn make_room(&mut self, size: usize) {
            assert!(!self.at_room || self.taken < 1, "made to fail");
            self.room.resize(size, 0);
        }
        fn room(&mut self) -> &mut [u8] {
            &mut self.room
        }
        fn take<'a>(&'a mut self, count: usize, _: &'a mut Vec<u8>) -> &'a [u8] {
            self.taken += 1;
            assert!(self.taken < 2, "made to fail");
            &self.room[..count]
        }
        fn finish(&mut self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"never written");
        }
        fn count(&self) -> u64 {
            0
        }
    }

    fn check_fault(at_room: bool) {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let (sender, receiver) = std::sync::mpsc::channel();
        let stop = StopToken::new().expect("a token");
        let pumping = std::thread::spawn(move || {
            let sink = crate::CallbackSink::new(move |bytes: &[u8]| {
                sender.send(bytes.len()).expect("the test listens")
            });
            let faulty = Faulty { room: Vec::new(), taken: 0, at_room };
            let options = PumpOptions { keep: 100, activity: None };
            pump_through(reader, &stop, faulty, b"*", options, vec![Box::new(sink)], ())
        });
        writer.write_all(b"first ").expect("the pump reads");
        assert_eq!(receiver.recv(), Ok(6));
        writer.write_all(&[b'x'; 300_000]).expect("the pump reads on");
        drop(writer);
        let report = pumping.join().expect("the pump does not panic");
        assert_eq!(report.head.as_slice(), b"first [capture failed, 300000 bytes dropped]");
        assert_eq!((report.bytes, report.unmasked_bytes_discarded), (300_006, 300_000));
    }

    #[test]
    fn a_fault_in_masking_shows_nothing_and_goes_on_reading() {
        check_fault(false);
        check_fault(true);
    }
}

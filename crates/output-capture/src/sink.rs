//! Where sanitized bytes go.
//!
//! A sink gets redacted bytes only, in order, and may fail; then the pump goes on without it. Nothing here decides
//! what is kept of a stream in memory: that is the report. The trap: a caller's own stream may be set non-blocking by
//! a program it shares the terminal with, so [`FdSink`] waits where a plain write would fail.

use crate::keep::HeadTail;
use crate::stop::StopToken;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// Takes the sanitized bytes of one stream.
pub trait Sink: Send {
    /// Takes the next bytes. An error ends the use of this sink.
    ///
    /// # Errors
    /// When the bytes cannot be delivered.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// The stream is over. Not called after an error.
    ///
    /// # Errors
    /// When what was kept back cannot be delivered.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What to call it in a report of its failure.
    fn name(&self) -> String {
        "sink".to_owned()
    }

    /// After an error: bytes that this sink has taken or was to take with the last call and that have not arrived.
    /// `None`, the default, when it does not know; then all of the last call count.
    fn undelivered(&self) -> Option<u64> {
        None
    }
}

impl Sink for Box<dyn Sink> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).write(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn undelivered(&self) -> Option<u64> {
        (**self).undelivered()
    }
}

/// Writes to a file, up to a size.
#[derive(Debug)]
pub struct FileSink {
    name: String,
    inner: CappedSink<WriterSink<File>>,
}

impl FileSink {
    /// Creates or empties the file at `path`; at most `cap` bytes of it are written, see [`CappedSink`].
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: impl AsRef<Path>, cap: Option<u64>, mask: &[u8]) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        Ok(Self::from_file(path.as_ref().display().to_string(), file, cap, mask))
    }

    /// Writes to a file that is open already and is called `name` in reports.
    pub fn from_file(name: impl Into<String>, file: File, cap: Option<u64>, mask: &[u8]) -> Self {
        Self {
            name: name.into(),
            inner: CappedSink::new(WriterSink::new(file), cap.unwrap_or(u64::MAX), mask),
        }
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn undelivered(&self) -> Option<u64> {
        self.inner.undelivered()
    }
}

/// Writes to anything that is `Write`, and flushes after each piece.
#[derive(Debug)]
pub struct WriterSink<W> {
    writer: W,
    /// Bytes of the last piece that have not been written.
    left: u64,
}

impl<W: Write + Send> WriterSink<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, left: 0 }
    }
}

impl<W: Write + Send> Sink for WriterSink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = bytes.len() as u64;
        write_counted(&mut self.writer, bytes, &mut self.left, |_, error| Err(error))
    }

    fn undelivered(&self) -> Option<u64> {
        Some(self.left)
    }
}

/// Writes all of `bytes` and flushes, and counts down what is `left`; `blocked` is asked when the writer would block.
fn write_counted<W: Write>(
    writer: &mut W,
    mut bytes: &[u8],
    left: &mut u64,
    blocked: impl Fn(&W, io::Error) -> io::Result<()>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                *left = bytes.len() as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => blocked(writer, error)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    writer.flush()
}

/// Writes to a descriptor, such as the caller's own stdout, and waits when it is non-blocking and full.
///
/// # Caveats
/// A reader that does not read holds the pump up, as it would hold the command up that writes to it; see
/// [`FdSink::until`].
#[derive(Debug)]
pub struct FdSink<W> {
    name: String,
    writer: W,
    given_up: Option<StopToken>,
    /// Bytes of the last piece that have not been written.
    left: u64,
}

impl<W: Write + AsFd + Send> FdSink<W> {
    /// Writes to `writer`, which is called `name` in reports. It should not buffer.
    pub fn new(name: impl Into<String>, writer: W) -> Self {
        Self { name: name.into(), writer, given_up: None, left: 0 }
    }

    /// Waits for a reader only until `given_up` is used; from then on what cannot be written at once is an error.
    ///
    /// # Caveats
    /// A descriptor that blocks waits inside the write and does not hear of it: the open file must be non-blocking.
    pub fn until(self, given_up: StopToken) -> Self {
        Self { given_up: Some(given_up), ..self }
    }
}

fn wait_writable(writer: &impl AsFd, given_up: Option<&StopToken>) -> io::Result<()> {
    let mut fds = vec![PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
    fds.extend(given_up.map(|token| PollFd::new(token.as_fd(), PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) if fds[0].any() == Some(false) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it"))
        }
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl<W: Write + AsFd + Send> Sink for FdSink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = bytes.len() as u64;
        let given_up = self.given_up.as_ref();
        write_counted(&mut self.writer, bytes, &mut self.left, |writer, _| {
            wait_writable(writer, given_up)
        })
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn undelivered(&self) -> Option<u64> {
        Some(self.left)
    }
}

/// Hands each piece to a function.
pub struct CallbackSink<F> {
    callback: F,
}

impl<F: FnMut(&[u8]) + Send> CallbackSink<F> {
    /// Calls `callback` with each piece, on the pump's thread.
    pub fn new(callback: F) -> Self {
        Self { callback }
    }
}

impl<F> fmt::Debug for CallbackSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackSink")
    }
}

impl<F: FnMut(&[u8]) + Send> Sink for CallbackSink<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (self.callback)(bytes);
        Ok(())
    }
}

/// Most bytes of the last part of a capped sink: what a person reads of the end of a log, at no price in memory.
const MAX_TAIL: u64 = 1 << 20;

/// Lets the first and the last part of a stream through to another sink: at most `cap` bytes and a note of how many
/// are missing between them.
///
/// The first part is written as it comes, the last when the stream is over; until then it is in memory. It is half of the
/// cap, and one MiB at most.
#[derive(Debug)]
pub struct CappedSink<S> {
    sink: S,
    kept: HeadTail,
    passed: u64,
    /// Bytes that have not gone on to the other sink, should it fail.
    behind: u64,
}

impl<S: Sink> CappedSink<S> {
    /// At most `cap` bytes go to `sink`; the cut never falls inside a `mask`.
    pub fn new(sink: S, cap: u64, mask: &[u8]) -> Self {
        Self { sink, kept: HeadTail::with_tail(cap, MAX_TAIL, mask), passed: 0, behind: 0 }
    }
}

impl<S: Sink> Sink for CappedSink<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What is certain to fit in the first half goes straight through; only its last bytes, which a cut may have
        // to give up, are kept here.
        let straight = self.kept.certain_room().saturating_sub(self.passed);
        let straight = usize::try_from(straight).unwrap_or(usize::MAX).min(bytes.len());
        if straight > 0 {
            // As long as anything goes straight through, nothing is kept.
            self.behind = (bytes.len() - straight) as u64;
            self.sink.write(&bytes[..straight])?;
            self.passed += straight as u64;
            self.kept.skip(straight as u64);
        }
        self.kept.push(&bytes[straight..]);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let rest = self.kept.assemble();
        self.behind = 0;
        if !rest.is_empty() {
            self.sink.write(&rest)?;
        }
        self.sink.finish()
    }

    fn name(&self) -> String {
        self.sink.name()
    }

    fn undelivered(&self) -> Option<u64> {
        self.sink.undelivered().map(|left| left + self.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Small(usize);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(room: usize, cap: u64, pieces: &[&str], undelivered: u64) {
        let mut sink = CappedSink::new(WriterSink::new(Small(room)), cap, b"");
        let written = pieces.iter().try_for_each(|piece| sink.write(piece.as_bytes()));
        written.and_then(|()| sink.finish()).expect_err("the disk is too small");
        assert_eq!(sink.undelivered(), Some(undelivered), "{room} {cap} {pieces:?}");
    }

    #[test]
    fn what_of_a_failed_write_has_arrived_is_not_lost() {
        check(6, 1000, &["0123456789"], 4);
        check(6, 1000, &["01234", "56789"], 4);
        // Room for 6 in the first half is certain; the rest is written at the end.
        check(4, 20, &["0123456789abcdef"], 12);
        check(8, 20, &["0123456789abcdef"], 8);
        check(0, 8, &["01234567"], 8);
    }
}

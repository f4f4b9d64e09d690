//! The word "enough" to a pump that waits for a pipe.
//!
//! For the case in which the command is gone and something it left behind keeps the pipe open. It does not interrupt
//! a sink that blocks. The trap it avoids: closing a descriptor wakes nobody as long as a copy of it is open in some
//! process, so the token writes a byte that nobody ever reads.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Tells pumps to take what is there and return; clones are the same token.
#[derive(Clone, Debug)]
pub struct StopToken(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    grace: Duration,
    stopped: OnceLock<Instant>,
    reader: PipeReader,
    writer: PipeWriter,
}

impl StopToken {
    /// How long after the stop the end of a stream is waited for by default: enough for processes that are being
    /// killed to be gone, too short to be noticed.
    pub const GRACE: Duration = Duration::from_millis(100);

    /// A token that has not been used, with the default grace.
    ///
    /// # Errors
    /// When the process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Self::with_grace(Self::GRACE)
    }

    /// A token that has not been used; when it is, pumps wait so long for their end before they give their stream up.
    ///
    /// # Errors
    /// As for [`StopToken::new`].
    pub fn with_grace(grace: Duration) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Arc::new(Ends { grace, stopped: OnceLock::new(), reader, writer })))
    }

    /// Stops all pumps that were given this token, now and later. A second call does nothing.
    pub fn stop(&self) {
        if self.0.stopped.set(Instant::now()).is_ok() {
            // An empty pipe takes one byte, and this is the only one.
            drop((&self.0.writer).write(&[1]));
        }
    }

    /// Whether [`StopToken::stop`] has been called.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.get().is_some()
    }

    /// What is left of the grace, once the token has been used.
    pub(crate) fn rest_of_grace(&self) -> Option<Duration> {
        let stopped = self.0.stopped.get()?;
        Some(self.0.grace.saturating_sub(stopped.elapsed()))
    }
}

impl AsFd for StopToken {
    /// Readable once the token has been used, and for ever after.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

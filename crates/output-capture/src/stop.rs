//! The word "enough" to a pump that waits for a pipe.
//!
//! For the case in which the command is gone and something it left behind keeps the pipe open. It does not interrupt
//! a sink that blocks. The trap it avoids: closing a descriptor wakes nobody as long as a copy of it is open in some
//! process, so the token writes a byte that nobody ever reads.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells pumps to take what is there and return; clones are the same token.
#[derive(Clone, Debug)]
pub struct StopToken(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    stopped: AtomicBool,
    reader: PipeReader,
    writer: PipeWriter,
}

impl StopToken {
    /// A token that has not been used.
    ///
    /// # Errors
    /// When the process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Arc::new(Ends { stopped: AtomicBool::new(false), reader, writer })))
    }

    /// Stops all pumps that were given this token, now and later. A second call does nothing.
    pub fn stop(&self) {
        if !self.0.stopped.swap(true, Ordering::SeqCst) {
            // An empty pipe takes one byte; the flag above makes this the only one.
            drop((&self.0.writer).write(&[1]));
        }
    }

    /// Whether [`StopToken::stop`] has been called.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }
}

impl AsFd for StopToken {
    /// Readable once the token has been used, and for ever after.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

//! From socket to pipe to socket, without a copy.

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Size of a large pipe, in bytes. Larger ones were slower: what is moved at once should still be in the cache. The kernel
/// gives an ordinary user 64 MiB of pipes in all.
const LARGE: usize = 128 * 1024;
/// Size of a small pipe, in bytes.
const SMALL: usize = 16 * 1024;
/// Most large pipes.
const MOST_LARGE: usize = 64;
/// Most pipes that are kept for later.
const MOST_KEPT: usize = 32;
/// Most bytes moved before somebody else has a turn.
const TURN: usize = 8 * LARGE;

#[derive(Debug)]
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    large: bool,
}

/// The pipes of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    kept: Mutex<Vec<Pipe>>,
    large: AtomicUsize,
}

impl Pipes {
    fn take(&self) -> io::Result<Pipe> {
        if let Some(pipe) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(pipe);
        }
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let large = self.large.fetch_add(1, Ordering::Relaxed) < MOST_LARGE;
        if !large {
            self.large.fetch_sub(1, Ordering::Relaxed);
        }
        // A size that is not to be had leaves the pipe as it is, which only costs speed.
        let _ = rustix::pipe::fcntl_setpipe_size(&writer, if large { LARGE } else { SMALL });
        Ok(Pipe { reader, writer, large })
    }

    fn give_back(&self, pipe: Pipe) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT && (pipe.large || kept.len() < MOST_KEPT / 2) {
            kept.push(pipe);
        } else {
            self.forget(&pipe);
        }
    }

    fn forget(&self, pipe: &Pipe) {
        if pipe.large {
            self.large.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Moves everything until `from` says its end.
    pub(crate) async fn move_all(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        mut count: impl FnMut(usize),
    ) -> io::Result<()> {
        loop {
            from.readable().await?;
            let mut held = Held { pipe: Some(self.take()?), pipes: self };
            let ended = move_some(
                held.pipe.as_ref().expect("because it was just put in"),
                from,
                to,
                &mut count,
            )
            .await?;
            held.give_back();
            if ended {
                return Ok(());
            }
        }
    }
}

/// A pipe in use. One that is dropped with bytes in it is not used again.
struct Held<'p> {
    pipe: Option<Pipe>,
    pipes: &'p Pipes,
}

impl Held<'_> {
    fn give_back(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.pipes.give_back(pipe);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.pipes.forget(&pipe);
        }
    }
}

/// Moves what is there, until there is nothing; true at the end of `from`. The pipe is empty before and after.
async fn move_some(
    pipe: &Pipe,
    from: &TcpStream,
    to: &TcpStream,
    count: &mut impl FnMut(usize),
) -> io::Result<bool> {
    let mut turn = 0;
    loop {
        let filled = match from.try_io(Interest::READABLE, || transfer(from, &pipe.writer, LARGE)) {
            Ok(0) => return Ok(true),
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut left = filled;
        while left > 0 {
            match to.try_io(Interest::WRITABLE, || transfer(&pipe.reader, to, left)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => {
                    left -= moved;
                    count(moved);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
                Err(error) => return Err(error),
            }
        }
        turn += filled;
        if turn >= TURN {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn transfer(
    from: impl std::os::fd::AsFd,
    to: impl std::os::fd::AsFd,
    length: usize,
) -> io::Result<usize> {
    loop {
        match splice(&from, None, &to, None, length, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

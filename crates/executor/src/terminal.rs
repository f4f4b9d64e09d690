//! The caller's side of a command's pseudo-terminal.
//!
//! The terminal is opened in the sandbox, by the process that becomes the command, and its master
//! comes over a socket. Until then there is nothing to read, to write and to resize, and all three
//! wait here or are remembered.
//!
//! The trap: a program may close its terminal and open it again, or close it a moment before it
//! ends. The terminal must not hang up meanwhile, so the command's side is held open here until
//! the tree is empty. And a start that falls back to a weaker sandbox sends a second terminal; the
//! newest counts.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ringfence_sandbox::{TerminalSize, receive_terminal};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::{Winsize, tcsetwinsize};

/// A grip on the terminal of a run; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Terminal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    master: Option<Arc<OwnedFd>>,
    /// The command's side, for as long as the command may come back to it.
    slave: Option<OwnedFd>,
    /// A size that was wished for before there was a terminal.
    size: Option<TerminalSize>,
    over: bool,
}

impl Terminal {
    /// The grip, the side that is read, and the socket for the one who opens the terminal.
    pub(crate) fn open(size: TerminalSize) -> io::Result<(Self, Screen, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let state = Mutex::new(State { master: None, slave: None, size: Some(size), over: false });
        let terminal = Self(Arc::new(Shared { state, changed: Condvar::new() }));
        let screen = Screen { socket: ours, terminal: terminal.clone(), master: None };
        Ok((terminal, screen, theirs.into()))
    }

    /// Gives the terminal another size, and tells who works in it (`SIGWINCH`).
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let mut state = self.lock();
        match &state.master {
            Some(master) => set_size(master, size),
            None => {
                state.size = Some(size);
                Ok(())
            }
        }
    }

    /// The master, once it is there; `None` when the terminal is no more.
    pub(crate) fn master(&self) -> Option<Arc<OwnedFd>> {
        let mut state = self.lock();
        while state.master.is_none() && !state.over {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.master.clone()
    }

    /// Nobody comes back to the terminal any more: what it has shown is read, and then it is over.
    pub(crate) fn tree_is_empty(&self) {
        let mut state = self.lock();
        (state.slave, state.over) = (None, true);
    }

    fn arrived(&self, master: &Arc<OwnedFd>, slave: OwnedFd) -> io::Result<()> {
        let mut state = self.lock();
        state.master = Some(Arc::clone(master));
        state.slave = Some(slave).filter(|_| !state.over);
        let size = state.size.take();
        drop(state);
        self.0.changed.notify_all();
        size.map_or(Ok(()), |size| set_size(master, size))
    }

    fn close(&self) {
        let mut state = self.lock();
        (state.master, state.slave, state.over) = (None, None, true);
        drop(state);
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set_size(master: &impl AsFd, size: TerminalSize) -> io::Result<()> {
    let TerminalSize { columns: ws_col, rows: ws_row } = size;
    Ok(tcsetwinsize(master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?)
}

/// What the terminal shows. When this is dropped, the terminal is closed.
#[derive(Debug)]
pub(crate) struct Screen {
    socket: UnixStream,
    terminal: Terminal,
    master: Option<Arc<OwnedFd>>,
}

impl Screen {
    /// Takes the newest terminal that has been sent; whether there was one.
    fn receive(&mut self) -> io::Result<bool> {
        let mut newest = receive_terminal(&self.socket)?;
        while let Some([master, slave]) = newest {
            // Whoever types must be able to give up.
            fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
            let master = Arc::new(master);
            self.terminal.arrived(&master, slave)?;
            self.master = Some(master);
            newest = match receive_terminal(&self.socket) {
                Ok(Some(newer)) => Some(newer),
                _ => return Ok(true),
            };
        }
        Ok(false)
    }
}

impl Read for Screen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(master) = &self.master else {
            return match self.receive()? {
                true => Err(io::ErrorKind::WouldBlock.into()),
                // Whoever was to open the terminal has not come so far.
                false => Ok(0),
            };
        };
        Ok(rustix::io::read(&**master, buffer)?)
    }
}

impl AsFd for Screen {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_ref().map_or(self.socket.as_fd(), |master| master.as_fd())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.terminal.close();
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};
    use rustix::termios::tcgetwinsize;

    use super::*;

    const SIZE: TerminalSize = TerminalSize { columns: 100, rows: 30 };

    fn pseudo_terminal() -> OwnedFd {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        master
    }

    fn send(socket: &OwnedFd, master: &OwnedFd) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [master.as_fd(), master.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let data = [io::IoSlice::new(&[0])];
        sendmsg(socket, &data, &mut ancillary, SendFlags::empty()).expect("it takes it");
    }

    #[test]
    fn a_size_that_came_before_the_terminal_is_given_to_it() {
        let (terminal, mut screen, socket) = Terminal::open(SIZE).expect("a pair of sockets");
        let (first, second) = (pseudo_terminal(), pseudo_terminal());
        send(&socket, &first);
        send(&socket, &second);
        let read = screen.read(&mut [0; 8]).expect_err("nothing is there yet");
        assert_eq!(read.kind(), io::ErrorKind::WouldBlock);
        let size = |master: &OwnedFd| tcgetwinsize(master).map(|size| (size.ws_col, size.ws_row));
        assert_eq!(size(&first), Ok((100, 30)));
        terminal.resize(TerminalSize { columns: 7, rows: 5 }).expect("it is a terminal");
        assert_eq!((size(&first), size(&second)), (Ok((100, 30)), Ok((7, 5))));
        drop(screen);
        assert!(terminal.master().is_none());
    }

    #[test]
    fn without_a_terminal_the_stream_is_at_its_end() {
        let (_, mut screen, socket) = Terminal::open(SIZE).expect("a pair of sockets");
        drop(socket);
        assert_eq!(screen.read(&mut [0; 8]).expect("an end is no error"), 0);
    }
}

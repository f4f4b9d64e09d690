//! One connection to a bus: everything is sent at once, and then there is listening until a deadline.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket};
use nix::sys::time::{TimeVal, TimeValLike};

use super::address::{self, Address};
use super::message::{Body, Call, Malformed, Message};

/// The longest line before the messages begin; theirs have a word and 32 digits.
const LONGEST_LINE: usize = 1024;

/// A bus did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Nobody can be asked.
    #[error("cannot connect to the bus at `{address}`")]
    Connect {
        /// As it was given.
        address: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the bus closed the connection")]
    Closed(#[source] io::Error),
    /// It was not ready in time.
    #[error("the bus did not answer in time")]
    Slow,
    /// It did not believe who this is.
    #[error("the bus does not let this user in")]
    NotLetIn,
    /// What came was no D-Bus.
    #[error("the bus answered in no words of D-Bus")]
    Malformed,
    /// What was asked for was refused.
    #[error("the service manager refused: {name}: {message}")]
    Refused {
        /// The name of the error.
        name: String,
        /// What it said.
        message: String,
    },
    /// What was asked for was begun and did not succeed.
    #[error("the service manager could not do it: {result}")]
    Failed {
        /// The result of the job.
        result: String,
    },
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Bus {
    stream: UnixStream,
    deadline: Instant,
    read: Vec<u8>,
    out: Vec<u8>,
    calls: u32,
}

impl Bus {
    /// Connects to the first address of a list that takes connections, and says who this is. Nothing has been answered yet.
    pub(crate) fn connect(addresses: &str, deadline: Instant) -> Result<Self, BusError> {
        let failed = |source| BusError::Connect { address: addresses.to_owned(), source };
        let mut last = io::Error::from(io::ErrorKind::InvalidInput);
        for address in address::parse(addresses) {
            match open(&address, deadline) {
                Ok(socket) => {
                    let stream = UnixStream::from(socket);
                    let out = greeting(nix::unistd::geteuid().as_raw());
                    return Ok(Self { stream, deadline, read: Vec::new(), out, calls: 0 });
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Puts a call into what will be sent; gives its number.
    pub(crate) fn call(&mut self, call: &Call<'_>, body: &Body) -> u32 {
        self.calls += 1;
        self.out.extend(call.encode(self.calls, body));
        self.calls
    }

    /// Sends all that there is to say, and waits to be let in.
    pub(crate) fn send(&mut self) -> Result<(), BusError> {
        self.left(Deadline::Write)?;
        self.stream.write_all(&self.out).map_err(broken)?;
        self.out.clear();
        let line = loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                break self.read.drain(..=end).collect::<Vec<u8>>();
            }
            if self.read.len() > LONGEST_LINE {
                return Err(BusError::Malformed);
            }
            self.read_more()?;
        };
        match line.strip_suffix(b"\r\n") {
            Some(line) if line == b"OK" || line.starts_with(b"OK ") => Ok(()),
            Some(line) if line.starts_with(b"REJECTED") => Err(BusError::NotLetIn),
            _ => Err(BusError::Malformed),
        }
    }

    /// The next message.
    pub(crate) fn receive(&mut self) -> Result<Message, BusError> {
        loop {
            match Message::parse(&self.read) {
                Ok(Some((message, length))) => {
                    self.read.drain(..length);
                    return Ok(message);
                }
                Ok(None) => self.read_more()?,
                Err(Malformed) => return Err(BusError::Malformed),
            }
        }
    }

    fn read_more(&mut self) -> Result<(), BusError> {
        self.left(Deadline::Read)?;
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(BusError::Closed(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.read.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }

    /// Gives the next call what is left of the time.
    fn left(&self, which: Deadline) -> Result<(), BusError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(BusError::Slow);
        }
        match which {
            Deadline::Read => self.stream.set_read_timeout(Some(left)),
            Deadline::Write => self.stream.set_write_timeout(Some(left)),
        }
        .map_err(BusError::Closed)
    }
}

#[derive(Clone, Copy)]
enum Deadline {
    Read,
    Write,
}

fn broken(error: io::Error) -> BusError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => BusError::Slow,
        _ => BusError::Closed(error),
    }
}

/// The byte that carries credentials, the one mechanism that there is, and, without waiting, the end of it.
///
/// # References
///
/// "Authentication Protocol" in the D-Bus Specification: the identity is the number of the user in ASCII digits, and that
/// in hexadecimal ones.
fn greeting(user: u32) -> Vec<u8> {
    let identity: String = user.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
    format!("\0AUTH EXTERNAL {identity}\r\nBEGIN\r\n").into_bytes()
}

#[cfg(target_os = "linux")]
const NOT_INHERITED: SockFlag = SockFlag::SOCK_CLOEXEC;
/// There is no service manager to ask.
#[cfg(not(target_os = "linux"))]
const NOT_INHERITED: SockFlag = SockFlag::empty();

/// The time for connecting is set before, for a queue that is full.
fn open(address: &Address, deadline: Instant) -> io::Result<OwnedFd> {
    let address = match address {
        Address::Path(path) => UnixAddr::new(path.as_slice())?,
        #[cfg(target_os = "linux")]
        Address::Abstract(name) => UnixAddr::new_abstract(name)?,
        #[cfg(not(target_os = "linux"))]
        Address::Abstract(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = socket(AddressFamily::Unix, SockType::Stream, NOT_INHERITED, None)?;
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let left = TimeVal::milliseconds(i64::try_from(left.as_millis()).unwrap_or(i64::MAX));
    setsockopt(&socket.as_fd(), SendTimeout, &left)?;
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_says_who_this_is() {
        let expect = b"\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n";
        assert_eq!(greeting(1000), expect);
    }
}

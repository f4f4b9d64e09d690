//! What the init says to its supervisor, as typed values.
//!
//! One datagram of the control socket is one [`Report`]. The wire form is a fixed
//! block of words (see `wire`), with a text behind it where something was refused, so a
//! report can be neither split nor merged, and a hostile command cannot forge one: it
//! never holds the socket.
//!
//! The values mean the same wherever a tree runs, so they are there on every system;
//! only the wire form belongs to the init.

#[cfg(target_os = "linux")]
use crate::init::wire::{self, Op};
use std::{ffi::OsString, fmt, io, time::Duration};
#[cfg(target_os = "linux")]
use std::{net::SocketAddr, os::unix::ffi::OsStringExt};

/// How the command ended, as wait(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit(2) with this status (0 to 255).
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

impl ExitStatus {
    /// From the status word of wait(2) of a process that has ended.
    #[must_use]
    pub fn from_wait(word: u32) -> Self {
        match word & 0x7f {
            0 => Self::Exited((word >> 8 & 0xff) as i32),
            signal => Self::Signaled(signal as i32),
        }
    }
}

/// What the whole tree used, counted by the kernel for every process that was reaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// CPU time in user mode.
    pub user_cpu: Duration,
    /// CPU time in the kernel.
    pub system_cpu: Duration,
    /// Largest resident set of any single process, in bytes.
    pub max_rss_bytes: u64,
    /// Processes and threads started in the PID namespace; `None` without one.
    pub processes: Option<u64>,
    /// Context switches the tree asked for (it waited).
    pub voluntary_switches: u64,
    /// Context switches forced on the tree.
    pub involuntary_switches: u64,
    /// Processes that were left over when the command had ended and had to be killed.
    pub killed: u32,
}

/// The step of a plan that failed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// Position of the step in the plan, from 0.
    pub index: usize,
    /// What the step was to do, in words, with its path.
    pub what: String,
    pub(crate) exec: bool,
    pub(crate) errno: i32,
}

impl StepFailure {
    /// A step that failed, told by who carried it out; `exec` when it was the execution of the
    /// program.
    #[must_use]
    pub fn new(index: usize, what: String, exec: bool, errno: i32) -> Self {
        Self { index, what, exec, errno }
    }

    /// The error number of the call that failed.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The error as the standard library knows it.
    #[must_use]
    pub fn io_error(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }

    /// The sandbox stood; the program itself could not be executed.
    #[must_use]
    pub fn is_exec(&self) -> bool {
        self.exec
    }

    /// The program does not exist (a shell would say 127).
    #[must_use]
    pub fn not_found(&self) -> bool {
        self.is_exec() && matches!(self.errno, libc::ENOENT | libc::ENOTDIR)
    }

    /// The program exists and cannot be executed (a shell would say 126).
    #[must_use]
    pub fn not_executable(&self) -> bool {
        self.is_exec() && !self.not_found()
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.io_error())
    }
}

impl std::error::Error for StepFailure {}

/// What kind of call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeniedKind {
    /// A change to a file or directory.
    FileWrite,
    /// Reading a file or directory.
    FileRead,
    /// A connection over a network; the target is `ADDRESS:PORT`, or the family (`AF_INET`)
    /// where no such socket may be made at all.
    Network,
    /// A connection to a Unix socket; the target is its path, or `@NAME`.
    UnixSocket,
    /// A system call as such; the target is its name.
    SystemCall,
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What kind of call.
    pub kind: DeniedKind,
    /// What it was about.
    pub target: OsString,
    /// The name of the program that tried (`comm`, 15 bytes at most).
    pub program: OsString,
    /// How often since it was last told.
    pub count: u64,
}

/// What happened in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// The program was executed; its process number as the tree sees it.
    Started {
        /// Process number of the command.
        pid: u32,
        /// The init listens to the command's filter: connections are carried out and
        /// refusals are told as [`Step::Watch`](crate::Step::Watch) asks.
        listening: bool,
    },
    /// A step failed, nothing was executed. The last report.
    Failed(StepFailure),
    /// The command itself ended; others of its tree may still run.
    CommandExited {
        /// How it ended.
        status: ExitStatus,
    },
    /// The sandbox refused something.
    Denied(Denied),
    /// So many refusals were not told: too many different ones, or too fast.
    Untold {
        /// How many.
        count: u64,
    },
    /// The set-up waits, and sockets of the tree's network namespace are to be had by
    /// [`Tree::take_sockets`](crate::Tree::take_sockets), until
    /// [`SocketService::proceed`](crate::SocketService::proceed). Comes before
    /// [`Report::Started`].
    Sockets,
    /// No process of the tree is left. The last report.
    Finished {
        /// What the tree used.
        usage: TreeUsage,
    },
}

#[cfg(target_os = "linux")]
impl Report {
    /// Reads one datagram; `describe` puts a failed step into words, `told` has what was
    /// told before.
    pub(crate) fn decode(
        bytes: &[u8],
        describe: impl FnOnce(usize) -> (Option<Op>, String),
        told: &mut Vec<Denied>,
    ) -> Option<Self> {
        let mut w = [0_u64; 8];
        for (word, bytes) in w.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().ok()?);
        }
        Some(match w[0] {
            wire::REPORT_STARTED => Self::Started { pid: w[1] as u32, listening: w[2] != 0 },
            wire::REPORT_FAILED => {
                let index = w[1] as usize;
                let (op, what) = describe(index);
                Self::Failed(StepFailure::new(index, what, op == Some(Op::Exec), w[2] as i32))
            }
            wire::REPORT_EXITED => {
                Self::CommandExited { status: ExitStatus::from_wait(w[1] as u32) }
            }
            wire::REPORT_FINISHED => Self::Finished {
                usage: TreeUsage {
                    user_cpu: Duration::from_micros(w[1]),
                    system_cpu: Duration::from_micros(w[2]),
                    max_rss_bytes: w[3].saturating_mul(1024),
                    processes: (w[4] > 0).then_some(w[4]),
                    voluntary_switches: w[5],
                    involuntary_switches: w[6],
                    killed: w[7] as u32,
                },
            },
            wire::REPORT_DENIED => {
                let denied = Denied::decode(w, bytes.get(wire::DENIED_HEAD..)?)?;
                told.push(denied.clone());
                Self::Denied(denied)
            }
            wire::REPORT_DENIED_AGAIN => {
                let index = usize::try_from(w[1]).ok()?.checked_sub(1)?;
                Self::Denied(Denied { count: w[2], ..told.get(index)?.clone() })
            }
            wire::REPORT_UNTOLD => Self::Untold { count: w[1] },
            wire::REPORT_SOCKETS => Self::Sockets,
            _ => return None,
        })
    }
}

#[cfg(target_os = "linux")]
impl Denied {
    fn decode(w: [u64; 8], text: &[u8]) -> Option<Self> {
        let text = text.get(..usize::try_from(w[6]).ok()?)?;
        let (kind, target) = match w[1] {
            wire::KIND_FILE_WRITE => (DeniedKind::FileWrite, text.to_vec()),
            wire::KIND_FILE_READ => (DeniedKind::FileRead, text.to_vec()),
            wire::KIND_NETWORK => (DeniedKind::Network, destination(text).into_bytes()),
            wire::KIND_UNIX_SOCKET => (DeniedKind::UnixSocket, text.to_vec()),
            wire::KIND_SYSTEM_CALL => (DeniedKind::SystemCall, text.to_vec()),
            _ => return None,
        };
        let name = [w[4].to_ne_bytes(), w[5].to_ne_bytes()].concat();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let (target, program) = (OsString::from_vec(target), OsString::from_vec(name));
        Some(Self { kind, target, program, count: w[3] })
    }
}

/// `ADDRESS:PORT` of an address as the kernel has it; a family alone when the socket
/// itself was refused.
#[cfg(target_os = "linux")]
fn destination(address: &[u8]) -> String {
    fn part<const N: usize>(address: &[u8], at: usize) -> Option<[u8; N]> {
        address.get(at..at + N)?.try_into().ok()
    }
    let family = part(address, 0).map_or(0, u16::from_ne_bytes);
    let port = part(address, 2).map(u16::from_be_bytes);
    let target = match i32::from(family) {
        libc::AF_INET => {
            port.zip(part::<4>(address, 4)).map(|(port, ip)| SocketAddr::from((ip, port)))
        }
        libc::AF_INET6 => {
            port.zip(part::<16>(address, 8)).map(|(port, ip)| SocketAddr::from((ip, port)))
        }
        _ => None,
    };
    match (target, i32::from(family)) {
        (Some(target), _) => target.to_string(),
        (None, libc::AF_INET) => "AF_INET".to_owned(),
        (None, libc::AF_NETLINK) => "AF_NETLINK".to_owned(),
        (None, libc::AF_INET6) => "AF_INET6".to_owned(),
        (None, other) => format!("address family {other}"),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn decode(words: [u64; 8], text: &[u8], told: &mut Vec<Denied>) -> Option<Report> {
        let bytes = [&wire::report_bytes(words)[..], text].concat();
        Report::decode(&bytes, |_| (None, String::new()), told)
    }

    #[test]
    fn what_was_told_once_is_told_again_by_its_name() {
        let name = u64::from_ne_bytes(*b"sh\0\0\0\0\0\0");
        let first = [wire::REPORT_DENIED, wire::KIND_FILE_WRITE, 1, 1, name, 0, 4, 0];
        let mut told = Vec::new();
        let denied = |count| {
            let (target, program) = ("/etc".into(), "sh".into());
            Report::Denied(Denied { kind: DeniedKind::FileWrite, target, program, count })
        };
        assert_eq!(decode(first, b"/etc", &mut told), Some(denied(1)));
        let again = |id, count| [wire::REPORT_DENIED_AGAIN, id, count, 0, 0, 0, 0, 0];
        assert_eq!(decode(again(1, 7), b"", &mut told), Some(denied(7)));
        assert_eq!(decode(again(2, 7), b"", &mut told), None);
        assert_eq!(decode(again(0, 7), b"", &mut told), None);
        assert_eq!(decode(first, b"/e", &mut told), None);
    }

    #[test]
    fn addresses_are_put_into_words() {
        let check = |address: &[u8], expect: &str| {
            assert_eq!(destination(address), expect);
        };
        let family = |family: i32| (family as u16).to_ne_bytes();
        let four = [&family(libc::AF_INET)[..], &[0, 53, 127, 0, 0, 53]].concat();
        check(&four, "127.0.0.53:53");
        let mut six = [&family(libc::AF_INET6)[..], &[1, 187, 0, 0, 0, 0], &[0; 16]].concat();
        six[23] = 1;
        check(&six, "[::1]:443");
        check(&family(libc::AF_INET), "AF_INET");
        check(&family(libc::AF_NETLINK), "AF_NETLINK");
        check(&six[..20], "AF_INET6");
        check(&[], "address family 0");
    }
}

//! What the init says to its supervisor, as typed values.
//!
//! One datagram of the control socket is one [`Report`]. The wire form is a fixed
//! block of words (see `wire`), so a report can be neither split nor merged, and
//! a hostile command cannot forge one: it never holds the socket.

use crate::init::wire::{self, Op};
use std::{ffi::OsString, fmt, io, time::Duration};

/// How the command ended, as wait(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit(2) with this status (0 to 255).
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

impl ExitStatus {
    /// From the status word of wait(2).
    pub(crate) fn from_wait(word: u32) -> Self {
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
    pub(crate) op: Option<Op>,
    pub(crate) errno: i32,
}

impl StepFailure {
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
        self.op == Some(Op::Exec)
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
    /// A connection over a network; the target is `ADDRESS:PORT`.
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

impl Report {
    /// Reads one datagram; `describe` puts a failed step into words.
    pub(crate) fn decode(
        bytes: &[u8],
        describe: impl FnOnce(usize) -> (Option<Op>, String),
    ) -> Option<Self> {
        let mut w = [0_u64; 8];
        for (word, bytes) in w.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().ok()?);
        }
        Some(match w[0] {
            wire::REPORT_STARTED => Self::Started { pid: w[1] as u32 },
            wire::REPORT_FAILED => {
                let index = w[1] as usize;
                let (op, what) = describe(index);
                Self::Failed(StepFailure { index, what, op, errno: w[2] as i32 })
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
            wire::REPORT_SOCKETS => Self::Sockets,
            _ => return None,
        })
    }
}

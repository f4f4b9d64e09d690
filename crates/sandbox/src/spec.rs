//! The vocabulary: what a command may see, write and reach.
//!
//! A specification says what is wanted and nothing of how. It is plain data: the
//! same specification on two machines gives two plans, because the machines
//! differ, never because the specification does. It deliberately knows no
//! profile, no shell and no limit by name.

use std::{ffi::OsString, os::fd::OwnedFd, path::PathBuf, time::Duration};

/// Whether there is a sandbox at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// Namespaces, system call filter, no privileges.
    Sandbox,
    /// The caller's own rights; the tree is still watched and ended.
    Host,
}

/// Which network the command has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// The caller's.
    Inherit,
    /// A loopback of its own and nothing else.
    Deny,
    /// A loopback of its own, and what a gateway of the caller's carries outside.
    ///
    /// Where there are namespaces, the tree hands out sockets of its own before the command starts
    /// ([`Report::Sockets`](crate::Report::Sockets)), and waits until the gateway is ready. Where there are
    /// none, the gateway is a proxy on a port ([`Sandbox::wants_proxy`](crate::Sandbox::wants_proxy)).
    Gateway(NameService),
}

#[cfg(target_os = "linux")]
impl Network {
    /// Whether the command is to be kept from the caller's network.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self, Self::Inherit)
    }
}

/// How a command finds out about names, where a gateway answers: the files that programs read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameService {
    /// What `/etc/resolv.conf` says.
    pub resolv_conf: String,
    /// What `/etc/hosts` says.
    pub hosts: String,
}

/// Which Unix sockets of the host the command can connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixSockets {
    /// None.
    Private,
    /// These. Absolute; each must exist.
    Listed(Vec<PathBuf>),
    /// All that the caller can.
    Inherit,
}

/// How much of the host's tree can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadScope {
    /// All but what is hidden.
    #[default]
    Host,
    /// System directories, the workspace, and what is listed.
    Minimal,
}

/// What is told of the calls that the sandbox refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trace {
    /// Connections, and calls that are refused whatever they are about; no calls about files.
    Connections,
    /// Those that would change a file, too, but for files that are opened as shells open the
    /// target of a redirection (`>`, `>>`): what is refused of these, shells say themselves.
    #[default]
    Changes,
    /// Redirections, too. The kernel lets the init look at each such call before it goes on, and
    /// one that a signal interrupts just then ends with `EINTR` if the signal's handler was set
    /// without `SA_RESTART`; without a sandbox no file that is opened would. It takes a signal
    /// within some microseconds, which BusyBox `ash` with jobs in the background meets in 2 of
    /// 1,000 redirections.
    AllChanges,
    /// Those that would only read, too; this costs time with every file that is opened.
    Reads,
}

/// Where the changes to a workspace go that looks writable and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Takes up the changes. Absolute, empty, and the caller's.
    pub upper: PathBuf,
    /// Scratch on the same file system. Absolute, empty, and the caller's.
    pub work: PathBuf,
}

/// Which files the command sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    /// The caller's, as they are.
    Inherit,
    /// The host's tree read-only, with the exceptions named.
    View(FileView),
}

/// The host's tree, read-only, with private `/tmp`, `/dev`, `/dev/shm` and `/run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileView {
    /// Trees the command may change. Absolute; each must exist.
    pub writable: Vec<PathBuf>,
    /// Trees that stay visible though a private directory covers them or the
    /// built-in list would hide them. Absolute; each must exist.
    pub readable: Vec<PathBuf>,
    /// Files and trees that cannot be opened. Absolute; one that does not exist is left out.
    /// `*`, `?`, `[…]` and `**` stand for what exists when the sandbox is prepared.
    pub hidden: Vec<PathBuf>,
    /// Files and trees that stay as they are inside writable ones, beside the built-in list.
    /// Absolute; may hold the same wildcards. One that does not exist cannot be held by a mount:
    /// see [`Sandbox::unheld`](crate::Sandbox::unheld).
    pub protected: Vec<PathBuf>,
    /// Home directories below which the built-in list of credential stores is hidden.
    pub homes: Vec<PathBuf>,
    /// How much of the host's tree can be seen.
    pub scope: ReadScope,
    /// Changes to the workspace go to this layer.
    pub overlay: Option<Overlay>,
}

/// What a command may see, write and reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSpec {
    /// Whether there is a sandbox at all.
    pub confinement: Confinement,
    /// Refuse to run where namespaces cannot hold files, processes, network and IPC fully.
    pub strict: bool,
    /// Which files it sees.
    pub files: Files,
    /// Which network it has.
    pub network: Network,
    /// Which Unix sockets of the host it can connect to.
    pub unix_sockets: UnixSockets,
    /// What is told of the calls that are refused.
    pub trace: Trace,
    /// The directory the run is about. Absolute; stays visible wherever it lies.
    pub workspace: PathBuf,
}

/// The program to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// This very file; a relative path is taken from the working directory.
    Path(PathBuf),
    /// The first of that name on a search path, looked up inside the sandbox.
    Search {
        /// File name without a slash.
        name: OsString,
        /// Directories, separated by colons (the command's `PATH`).
        path: OsString,
    },
}

/// One limit of setrlimit(2), by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit, in the unit of the resource.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// The process to start in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// What to execute.
    pub program: Program,
    /// Arguments, the name of the program first.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory, as the sandbox sees it.
    pub cwd: PathBuf,
    /// Limits of each process.
    pub rlimits: Vec<Rlimit>,
    /// How long processes that outlive the command may go on before they are killed.
    pub linger: Duration,
    /// A directory of the run's own that the command may write, for a sandbox that cannot give it
    /// a private `/tmp` (see [`Sandbox::wants_temp`](crate::Sandbox::wants_temp)).
    pub temp: Option<PathBuf>,
    /// The port of the host's loopback that a gateway listens on, for a sandbox without a network of its own
    /// (see [`Sandbox::wants_proxy`](crate::Sandbox::wants_proxy)).
    pub proxy: Option<u16>,
}

/// The three descriptors the command gets, and no others.
#[derive(Debug)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
}

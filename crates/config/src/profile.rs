//! A profile after resolution: every field has its value, every path is absolute, nothing is left to a default.
//!
//! The executor translates this into the terms of the mechanisms; what the fields mean to the author of a config is said at the
//! twin in `written`.

use crate::units::CpuCores;
use crate::words::{FsMode, Isolation, Mode, NetworkMode, ReadScope};
use ringfence_policy::AllowEntry;
use std::path::PathBuf;
use std::time::Duration;

/// What a run may see, write, reach and use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name in the config.
    pub name: String,
    /// Sandbox or host.
    pub mode: Mode,
    /// What to do where the machine cannot give a full sandbox.
    pub isolation: Isolation,
    /// Which files can be seen and changed.
    pub fs_mode: FsMode,
    /// The workspace root, absolute.
    pub workspace: PathBuf,
    /// What can be written, absolute. Empty unless `fs_mode` is `workspace_rw_scoped` or `workspace_overlay`.
    pub writable_paths: Vec<PathBuf>,
    /// What can be read beside the rest of `read_scope`, absolute.
    pub readable_paths: Vec<PathBuf>,
    /// What is hidden beside the built-in list, absolute; may hold `*`, `?` and `[…]`.
    pub hidden_paths: Vec<PathBuf>,
    /// What stays read-only inside a writable path, beside the built-in list, absolute.
    pub protected_paths: Vec<PathBuf>,
    /// How much of the host can be read.
    pub read_scope: ReadScope,
    /// Which network there is.
    pub network_mode: NetworkMode,
    /// The destinations of `network_mode = "allowlist"`.
    pub network_allowlist: Vec<AllowEntry>,
    /// Ports of the host that lead to servers of the command; empty unless `network_mode` is `allowlist`.
    pub expose: Vec<Exposed>,
    /// Which Unix sockets of the host can be connected to.
    pub unix_sockets: UnixSockets,
    /// Most memory of the tree, in bytes. `None`: no limit.
    pub max_memory: Option<u64>,
    /// Most CPU time of a process, whole seconds. `None`: no limit.
    pub max_cpu: Option<Duration>,
    /// Most processes of the tree. `None`: no limit.
    pub max_processes: Option<u64>,
    /// Most open files of a process. `None`: no limit.
    pub max_open_files: Option<u64>,
    /// Largest file that can be written, in bytes. `None`: no limit.
    pub max_file_size: Option<u64>,
    /// Cores' worth of CPU time of the tree. `None`: no limit.
    pub max_cpu_cores: Option<CpuCores>,
    /// Most that is read from each disk in a second, in bytes. `None`: no limit.
    pub max_io_read: Option<u64>,
    /// Most that is written to each disk in a second, in bytes. `None`: no limit.
    pub max_io_write: Option<u64>,
    /// Whether memory, processes, cores or bandwidth have a limit that somebody asked for, not only one by default.
    pub asks_for_limits: bool,
    /// Most space on the file systems that can be written, in bytes. `None`: no limit.
    pub max_disk: Option<u64>,
    /// Most address space of a process, in bytes. `None`: no limit.
    pub max_address_space: Option<u64>,
    /// How much is kept of each captured stream, in bytes.
    pub max_output: u64,
    /// Longest time of the run, wall clock. `None`: no limit.
    pub timeout: Option<Duration>,
    /// Longest time without output. `None`: no limit.
    pub idle_timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// A port of the host's loopback that leads to a server inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// The port of the host.
    pub outside: u16,
    /// The port inside.
    pub inside: u16,
}

impl Exposed {
    /// `PORT`, or `OUTSIDE:INSIDE`; neither is 0.
    pub(crate) fn parse(text: &str) -> Option<Exposed> {
        let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
        let (outside, inside) = text.split_once(':').unwrap_or((text, text));
        Some(Exposed { outside: port(outside)?, inside: port(inside)? })
    }
}

/// Which Unix sockets of the host a command can connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnixSockets {
    /// None.
    Private,
    /// All that the caller can.
    Inherit,
    /// These, absolute.
    Listed(Vec<PathBuf>),
}

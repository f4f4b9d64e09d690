//! The outermost layer: what the flags of one run say over its profile.

use crate::runner::Output;
use crate::units::{ByteSize, CpuCores};
use crate::words::{Ansi, FsMode, NetworkMode, Progress, Timestamps};
use ringfence_policy::AllowEntry;
use std::path::PathBuf;
use std::time::Duration;

/// One field for each flag; what is empty or `None` leaves the profile's value.
///
/// The default changes nothing, so it is safe as one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// Added to `writable_paths`; a leading `~` is expanded, relative to the workspace.
    pub rw: Vec<PathBuf>,
    /// Added to `readable_paths`.
    pub ro: Vec<PathBuf>,
    /// Added to `hidden_paths`.
    pub hide: Vec<PathBuf>,
    /// `fs_mode`.
    pub fs: Option<FsMode>,
    /// `network_mode`.
    pub net: Option<NetworkMode>,
    /// Added to `network_allowlist`; any entry sets `network_mode` to `allowlist`.
    pub allow: Vec<AllowEntry>,
    /// Longest time of the run, wall clock.
    pub timeout: Option<Duration>,
    /// Longest time without output.
    pub idle_timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Option<Duration>,
    /// Most memory of the tree; 0 is no limit.
    pub memory: Option<ByteSize>,
    /// Most CPU time of a process; rounded up to whole seconds.
    pub cpu_time: Option<Duration>,
    /// Most processes of the tree; 0 is no limit.
    pub pids: Option<u64>,
    /// Most open files of a process.
    pub open_files: Option<u64>,
    /// Largest file that can be written.
    pub file_size: Option<ByteSize>,
    /// Cores' worth of CPU time.
    pub cpus: Option<CpuCores>,
    /// Most space on the file systems that can be written.
    pub disk: Option<ByteSize>,
    /// Most address space of a process.
    pub address_space: Option<ByteSize>,
    /// How much is kept of each captured stream.
    pub max_output: Option<ByteSize>,
    /// Sets `ansi` to `strip` and `progress` to `collapse` in `[runner.output]`.
    pub plain: bool,
    /// Sets `combined` in `[runner.output]`.
    pub combined: bool,
    /// `timestamps` of `[runner.output]`.
    pub timestamps: Option<Timestamps>,
}

impl Overrides {
    /// What becomes of output, with what the flags say of it.
    pub(crate) fn lay_over(&self, output: Output) -> Output {
        Output {
            ansi: if self.plain { Ansi::Strip } else { output.ansi },
            progress: if self.plain { Progress::Collapse } else { output.progress },
            combined: self.combined || output.combined,
            timestamps: self.timestamps.unwrap_or(output.timestamps),
            ..output
        }
    }
}

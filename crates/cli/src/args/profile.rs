//! The options that override a profile.

use super::parse::{duration, size, words};
use clap::Args;
use ringfence::config::{
    AllowEntry, ByteSize, CpuCores, FsMode, NetworkMode, Overrides, Timestamps,
};
use std::path::PathBuf;
use std::time::Duration;

/// A profile, and what the caller wants different from it.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Profile [default: runner.default_profile of the config, else the built-in `default`].
    #[arg(short, long, value_name = "NAME", help_heading = "Config")]
    pub(crate) profile: Option<String>,

    /// Make a path writable (adds to writable_paths; repeatable).
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    rw: Vec<PathBuf>,
    /// Make a path readable (adds to readable_paths; repeatable).
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    ro: Vec<PathBuf>,
    /// Hide a path (adds to hidden_paths; repeatable).
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    hide: Vec<PathBuf>,
    /// Which files can be seen and written (fs_mode).
    #[arg(long, value_name = "MODE", help_heading = "Files", value_parser = words(FsMode::ALL, FsMode::as_str))]
    fs: Option<FsMode>,

    /// Which network there is (network_mode).
    #[arg(long, value_name = "MODE", help_heading = "Network")]
    #[arg(value_parser = words(NetworkMode::ALL, NetworkMode::as_str))]
    net: Option<NetworkMode>,
    /// Let a destination through: host, *.host, address or block, with or without :port (repeatable; sets network_mode =
    /// "allowlist").
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Network")]
    allow: Vec<AllowEntry>,

    /// Longest time of the run, wall clock: 90s, 2m, 1h30m.
    #[arg(long, value_name = "DUR", help_heading = "Time", value_parser = duration)]
    timeout: Option<Duration>,
    /// Longest time without output.
    #[arg(long, value_name = "DUR", help_heading = "Time", value_parser = duration)]
    idle_timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    #[arg(long, value_name = "DUR", help_heading = "Time", value_parser = duration)]
    grace: Option<Duration>,

    /// Most memory of all processes together: 512MiB, 2GiB; 0 for no limit.
    #[arg(long, value_name = "SIZE", help_heading = "Limits", value_parser = size)]
    memory: Option<ByteSize>,
    /// Most CPU time of all processes together.
    #[arg(long, value_name = "DUR", help_heading = "Limits", value_parser = duration)]
    cpu_time: Option<Duration>,
    /// Most processes and threads; 0 for no limit.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pids: Option<u64>,
    /// Most open files of a process.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    open_files: Option<u64>,
    /// Largest file that can be written.
    #[arg(long, value_name = "SIZE", help_heading = "Limits", value_parser = size)]
    file_size: Option<ByteSize>,
    /// Cores' worth of CPU time: 1.5; needs a control group.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    cpus: Option<CpuCores>,
    /// Most space on the file systems that can be written.
    #[arg(long, value_name = "SIZE", help_heading = "Limits", value_parser = size)]
    disk: Option<ByteSize>,
    /// Most address space of a process, used or not; to start, Node and Go need 1 GiB, Java more than 2.
    #[arg(long, value_name = "SIZE", help_heading = "Limits", value_parser = size)]
    address_space: Option<ByteSize>,
    /// How much is kept of each captured stream, in the result and in files; more is counted and dropped from the middle.
    #[arg(long, value_name = "SIZE", help_heading = "Limits", value_parser = size)]
    max_output: Option<ByteSize>,

    /// No control sequences, and of progress bars the last state only, in results and files.
    #[arg(long, help_heading = "Output")]
    plain: bool,
    /// Both streams in one text, too, in the result (`combined`).
    #[arg(long, help_heading = "Output")]
    combined: bool,
    /// The time before each line of files.
    #[arg(long, value_name = "TIME", help_heading = "Output", value_parser = words(Timestamps::ALL, Timestamps::as_str))]
    timestamps: Option<Timestamps>,
}

impl ProfileArgs {
    /// The flags as a layer over the profile.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            rw: self.rw.clone(),
            ro: self.ro.clone(),
            hide: self.hide.clone(),
            fs: self.fs,
            net: self.net,
            allow: self.allow.clone(),
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            grace: self.grace,
            memory: self.memory,
            cpu_time: self.cpu_time,
            pids: self.pids,
            open_files: self.open_files,
            file_size: self.file_size,
            cpus: self.cpus,
            disk: self.disk,
            address_space: self.address_space,
            max_output: self.max_output,
            plain: self.plain,
            combined: self.combined,
            timestamps: self.timestamps,
        }
    }
}

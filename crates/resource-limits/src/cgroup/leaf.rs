//! The group of one run: limits before, counters during and after, nothing left in the end.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::Pid;

use super::error::{CgroupError, at};
use super::{Disk, stat};
use crate::{Pressure, Stall};

/// How long the last process of a group may take to be gone for good.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a group may use up. `None`: no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LeafLimits {
    /// Memory, in bytes, what files have in memory included (the kernel takes that away first). Swap is none.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Cores' worth of CPU time.
    pub cpu_cores: Option<f64>,
    /// Bytes read from each disk in a second.
    pub read_per_second: Option<u64>,
    /// Bytes written to each disk in a second.
    pub written_per_second: Option<u64>,
}

impl LeafLimits {
    /// Whether disks must be known to keep these.
    #[must_use]
    pub fn needs_disks(&self) -> bool {
        self.read_per_second.is_some() || self.written_per_second.is_some()
    }
}

/// What a group has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeafUsage {
    /// CPU time in the processes' own code.
    pub user_cpu: Duration,
    /// CPU time in the kernel.
    pub system_cpu: Duration,
    /// Memory now, in bytes.
    pub memory_bytes: u64,
    /// Most memory at any time, in bytes (Linux 5.19).
    pub peak_memory_bytes: Option<u64>,
    /// Processes and threads now.
    pub processes: u64,
    /// Most processes and threads at any time (Linux 6.8).
    pub peak_processes: Option<u64>,
    /// Bytes read from storage, where there is an `io` controller.
    pub read_bytes: Option<u64>,
    /// Bytes written to storage, where there is an `io` controller.
    pub written_bytes: Option<u64>,
    /// How long processes were held up (Linux 4.20, where it is turned on).
    pub pressure: Option<Pressure>,
}

/// What the kernel did because of the limits of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeafEvents {
    /// Times that the memory limit was reached and nothing could be taken away.
    pub out_of_memory: u64,
    /// Processes that were killed for want of memory, of the group or of the machine.
    pub oom_kills: u64,
    /// Processes and threads that could not be started.
    pub forks_refused: u64,
}

/// A group for one run. Dropping it kills who is left in it and removes it.
#[derive(Debug)]
pub struct Leaf {
    path: PathBuf,
    /// The lock tells other supervisors that this one lives.
    directory: Flock<File>,
}

impl Leaf {
    pub(super) fn make(
        path: PathBuf,
        limits: &LeafLimits,
        disks: &[Disk],
    ) -> Result<Self, CgroupError> {
        fs::create_dir(&path).map_err(at("make", &path))?;
        let leaf = lock(&path).inspect_err(|_| {
            fs::remove_dir(&path).ok();
        })?;
        leaf.set(limits)?;
        if limits.needs_disks() {
            let (read, written) = (limits.read_per_second, limits.written_per_second);
            disks
                .iter()
                .try_for_each(|disk| leaf.write("io.max", &stat::io_max(*disk, read, written)))?;
        }
        Ok(leaf)
    }

    fn set(&self, limits: &LeafLimits) -> Result<(), CgroupError> {
        if let Some(bytes) = limits.memory {
            self.write("memory.max", &bytes.to_string())?;
            // There is no such file where there is no swap.
            self.write("memory.swap.max", "0").or_else(unless_missing)?;
            // One killed process would leave a tree in pieces.
            self.write("memory.oom.group", "1").or_else(unless_missing)?;
        }
        if let Some(count) = limits.processes {
            self.write("pids.max", &count.to_string())?;
        }
        if let Some(cores) = limits.cpu_cores {
            self.write("cpu.max", &stat::cpu_max(cores))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CgroupError> {
        let path = self.path.join(name);
        fs::write(&path, text).map_err(at("write", path))
    }

    /// The directory, for whoever has a process born in the group.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it has used so far.
    #[must_use]
    pub fn usage(&self) -> LeafUsage {
        let cpu = self.text("cpu.stat");
        let time = |name| Duration::from_micros(stat::keyed(&cpu, name).unwrap_or_default());
        let io = self.text("io.stat");
        let bytes = |name| (!io.is_empty()).then(|| stat::nested_sum(&io, name));
        LeafUsage {
            user_cpu: time("user_usec"),
            system_cpu: time("system_usec"),
            memory_bytes: self.number("memory.current").unwrap_or_default(),
            peak_memory_bytes: self.number("memory.peak"),
            processes: self.number("pids.current").unwrap_or_default(),
            peak_processes: self.number("pids.peak"),
            read_bytes: bytes("rbytes"),
            written_bytes: bytes("wbytes"),
            pressure: self.pressure(),
        }
    }

    /// What its limits have led to so far.
    #[must_use]
    pub fn events(&self) -> LeafEvents {
        let memory = self.text("memory.events");
        let count = |name| stat::keyed(&memory, name).unwrap_or_default();
        LeafEvents {
            out_of_memory: count("oom"),
            oom_kills: count("oom_kill"),
            forks_refused: stat::keyed(&self.text("pids.events"), "max").unwrap_or_default(),
        }
    }

    fn pressure(&self) -> Option<Pressure> {
        let stall = |name| {
            let text = self.text(name);
            // Where one is not measured the other may be: "full" of the CPU came with Linux 5.13.
            let time = |whose| stat::stall(&text, whose).map(Duration::from_micros);
            Some(Stall { some: time("some")?, full: time("full").unwrap_or_default() })
        };
        Some(Pressure {
            memory: stall("memory.pressure")?,
            io: stall("io.pressure")?,
            cpu: stall("cpu.pressure")?,
        })
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name).trim().parse().ok()
    }

    /// Kills every process in it.
    pub fn kill(&self) {
        kill(&self.path);
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        if remove_now(&self.path).is_err() {
            kill(&self.path);
            // What resists is left to the next supervisor's sweep.
            remove(&self.path).ok();
        }
    }
}

/// The sweep of another supervisor may have found it before it was locked; then it is gone.
fn lock(path: &Path) -> Result<Leaf, CgroupError> {
    let directory = File::open(path).map_err(at("open", path))?;
    let directory = Flock::lock(directory, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| at("lock", path)(errno.into()))?;
    Ok(Leaf { path: path.to_owned(), directory })
}

fn unless_missing(error: CgroupError) -> Result<(), CgroupError> {
    match &error {
        CgroupError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

/// Kills every process of a group.
pub(super) fn kill(path: &Path) {
    // Linux 5.14; before that one after the other, again when the group is seen not to be empty.
    if fs::write(path.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()) {
        // Gone by itself is as good.
        signal(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}

pub(super) fn remove_now(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a group as soon as the kernel lets go of its last process.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut nap = Duration::from_micros(100);
    loop {
        match remove_now(path) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                std::thread::sleep(nap);
                nap = (nap * 2).min(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

//! What a living process tree uses at this moment, read from `/proc`.
//!
//! For the sample that an observer gets each second, and for limits of a whole tree where there is
//! no cgroup to keep them. Not for accounting: a process that starts and ends between two samples
//! is seen only as CPU time of the parent that reaped it.
//!
//! The trap: a tree changes while it is walked. A process that is gone when its turn comes is
//! skipped and is no error; only the root must exist.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// What a process tree uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Processes alive, the root not counted.
    pub processes: u64,
    /// Threads of these processes, the first of each included.
    pub threads: u64,
    /// Sum of their resident memory, in bytes. Pages that two of them share count twice.
    pub memory_bytes: u64,
    /// User CPU time of the living and of the dead they have reaped.
    pub user_cpu: Duration,
    /// System CPU time of the living and of the dead they have reaped.
    pub system_cpu: Duration,
    /// The program with the most resident memory in one process.
    pub largest: Option<ProgramName>,
    /// That memory, in bytes.
    pub largest_bytes: u64,
    /// The program with the most CPU time in one process.
    pub busiest: Option<ProgramName>,
    /// The program that most processes are.
    pub commonest: Option<ProgramName>,
    /// The most descriptors that one process has open, and its program; `None` when that was not asked for or
    /// the kernel does not say (Linux 6.2).
    pub descriptors: Option<(u64, ProgramName)>,
    /// Processes that were not there when the same [`Sampler`] looked before.
    pub births: u64,
}

/// The name of a program as the kernel keeps it for each process: 15 bytes at most, and the process's own to change.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ProgramName([u8; 15]);

impl ProgramName {
    fn new(bytes: &[u8]) -> Self {
        let mut name = [0; 15];
        for (place, byte) in name.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Self(name)
    }

    /// The bytes, which may be any.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl fmt::Display for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Sample {
    /// CPU time in all: user and system.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.user_cpu.saturating_add(self.system_cpu)
    }
}

/// The tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The root is gone, or `/proc` is not mounted.
    #[error("failed to read `{path}`", path = path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// This system has no such file at all.
    #[error("the processes of a tree cannot be counted on this system")]
    Unsupported,
    /// The kernel's answer has another shape than `proc(5)` promises.
    #[error("cannot understand `{path}`", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

/// Whether this system lets a tree be looked at: it needs `/proc` as Linux has it.
pub const CAN_SAMPLE: bool = cfg!(target_os = "linux");

/// Reads what the processes below `root` use; `root` itself is the one that reaps their orphans
/// and counts only for what it has reaped.
///
/// Reads two files and one directory for each process. Stops after `at_most` processes, so that a
/// fork bomb cannot make the observer slow; what is returned then is a lower bound.
///
/// # Errors
///
/// [`SampleError`] when `root` is gone, when `/proc` is not mounted or hides it, or on a system
/// without `/proc`.
///
/// # References
///
/// `proc_pid_stat(5)`, `proc_tid_children(5)` (Linux 3.5 with `CONFIG_PROC_CHILDREN`).
pub fn sample(root: u32, at_most: u64) -> Result<Sample, SampleError> {
    Sampler::new(root).look(&Scope { at_most, descriptors: false })
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Processes to look at, at most.
    pub at_most: u64,
    /// Whether descriptors are counted, too: one more file for each process.
    pub descriptors: bool,
}

/// Looks at one tree again and again.
#[derive(Debug)]
pub struct Sampler {
    root: u32,
    known: HashSet<u32>,
}

/// What a walk finds on its way.
#[derive(Default)]
struct Walk {
    sample: Sample,
    busiest: u64,
    names: HashMap<ProgramName, u64>,
    seen: HashSet<u32>,
}

impl Sampler {
    /// A sampler of the processes below `root`.
    #[must_use]
    pub fn new(root: u32) -> Self {
        Self { root, known: HashSet::new() }
    }

    /// The process whose descendants are looked at.
    #[must_use]
    pub fn root(&self) -> u32 {
        self.root
    }

    /// Looks once; see [`sample()`].
    ///
    /// # Errors
    ///
    /// As [`sample()`].
    pub fn look(&mut self, scope: &Scope) -> Result<Sample, SampleError> {
        if !CAN_SAMPLE {
            return Err(SampleError::Unsupported);
        }
        let units = Units::of_this_system();
        let mut walk = Walk::default();
        let stat = read_stat(self.root)?;
        walk.sample.user_cpu += units.ticks(stat.reaped_user);
        walk.sample.system_cpu += units.ticks(stat.reaped_system);
        let mut waiting = children(self.root);
        while let Some(pid) = waiting.pop() {
            let Ok(stat) = read_stat(pid) else { continue };
            walk.note(pid, &stat, &units);
            if scope.descriptors {
                walk.count_descriptors(pid, stat.name);
            }
            if walk.sample.processes >= scope.at_most {
                break;
            }
            waiting.extend(children(pid));
        }
        Ok(self.finish(walk))
    }

    fn finish(&mut self, walk: Walk) -> Sample {
        let births = walk.seen.difference(&self.known).count();
        self.known = walk.seen;
        let commonest = walk.names.into_iter().max_by_key(|(_, count)| *count);
        let commonest = commonest.map(|(name, _)| name);
        Sample { births: births as u64, commonest, ..walk.sample }
    }
}

impl Walk {
    fn note(&mut self, pid: u32, stat: &Stat, units: &Units) {
        let memory = stat.resident_pages.saturating_mul(units.page_bytes);
        let ticks = stat.user.saturating_add(stat.system);
        let sample = &mut self.sample;
        sample.processes += 1;
        sample.threads += stat.threads;
        sample.memory_bytes = sample.memory_bytes.saturating_add(memory);
        sample.user_cpu += units.ticks(stat.user.saturating_add(stat.reaped_user));
        sample.system_cpu += units.ticks(stat.system.saturating_add(stat.reaped_system));
        if memory > sample.largest_bytes {
            (sample.largest_bytes, sample.largest) = (memory, Some(stat.name));
        }
        if ticks > self.busiest {
            (self.busiest, sample.busiest) = (ticks, Some(stat.name));
        }
        *self.names.entry(stat.name).or_default() += 1;
        self.seen.insert(pid);
    }

    /// The size of the directory is the number of descriptors; it is 0 before Linux 6.2.
    fn count_descriptors(&mut self, pid: u32, name: ProgramName) {
        let Ok(metadata) = fs::metadata(format!("/proc/{pid}/fd")) else { return };
        let open = metadata.size();
        let most = self.sample.descriptors.map_or(0, |(most, _)| most);
        if open > most {
            self.sample.descriptors = Some((open, name));
        }
    }
}

/// The memory of the processes below `root`, each page that several of them share counted in parts
/// that add up to one, in bytes: what the tree as a whole takes.
///
/// Costs a walk of every page table, so it is for the moment when [`Sample::memory_bytes`], which
/// is never less, is over a limit. A process that does not let itself be looked at counts with its
/// resident memory. Stops after `at_most` processes.
///
/// # Errors
///
/// As [`sample()`].
///
/// # References
///
/// `proc_pid_smaps(5)`, `smaps_rollup` (Linux 4.14), field `Pss`.
pub fn proportional_memory(root: u32, at_most: u64) -> Result<u64, SampleError> {
    let units = Units::of_this_system();
    read_stat(root)?;
    let (mut bytes, mut seen) = (0_u64, 0);
    let mut waiting = children(root);
    while let Some(pid) = waiting.pop() {
        let Ok(stat) = read_stat(pid) else { continue };
        let resident = stat.resident_pages.saturating_mul(units.page_bytes);
        bytes = bytes.saturating_add(proportional(pid).unwrap_or(resident));
        seen += 1;
        if seen >= at_most {
            break;
        }
        waiting.extend(children(pid));
    }
    Ok(bytes)
}

/// What the living processes below `root`, and those they have waited for, have given to storage, in bytes.
/// Processes that do not let themselves be looked at are left out.
pub(crate) fn written(root: u32) -> u64 {
    let mut bytes = 0_u64;
    let mut waiting = children(root);
    while let Some(pid) = waiting.pop() {
        bytes = bytes.saturating_add(written_by(pid).unwrap_or_default());
        waiting.extend(children(pid));
    }
    bytes
}

/// The `write_bytes:` line of `proc_pid_io(5)`.
fn written_by(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

/// The `Pss:` line, which is in KiB.
fn proportional(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What `/proc` counts in.
struct Units {
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Units {
    fn of_this_system() -> Self {
        let ask = |name, otherwise| match sysconf(name) {
            Ok(Some(value)) if value > 0 => value.unsigned_abs(),
            _ => otherwise,
        };
        Self {
            page_bytes: ask(SysconfVar::PAGE_SIZE, 4096),
            ticks_per_second: ask(SysconfVar::CLK_TCK, 100),
        }
    }

    fn ticks(&self, ticks: u64) -> Duration {
        Duration::from_millis(ticks.saturating_mul(1000) / self.ticks_per_second)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: ProgramName,
    user: u64,
    system: u64,
    reaped_user: u64,
    reaped_system: u64,
    threads: u64,
    resident_pages: u64,
}

fn read_stat(pid: u32) -> Result<Stat, SampleError> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match fs::read(&path) {
        Ok(bytes) => parse_stat(&bytes).ok_or(SampleError::Format { path }),
        Err(source) => Err(SampleError::Root { path, source }),
    }
}

/// The name, second field, may hold anything, spaces and parentheses too: what counts is the last
/// closing parenthesis. The field after it is number 3 of the manual page.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let after_name = bytes.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = str::from_utf8(&bytes[after_name..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| -> Option<u64> {
        let value: i64 = fields.get(number - 3)?.parse().ok()?;
        Some(value.max(0).unsigned_abs())
    };
    let before_name = bytes.iter().position(|&byte| byte == b'(')? + 1;
    Some(Stat {
        name: ProgramName::new(bytes.get(before_name..after_name - 1).unwrap_or_default()),
        user: field(14)?,
        system: field(15)?,
        reaped_user: field(16)?,
        reaped_system: field(17)?,
        threads: field(20)?,
        resident_pages: field(24)?,
    })
}

/// Children of all threads of a process; none when it is gone.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut pids = Vec::new();
    for thread in threads.flatten() {
        let Ok(text) = fs::read_to_string(thread.path().join("children")) else { continue };
        pids.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "S 1 7 7 0 -1 4194304 95 200 0 0 14 15 16 17 20 0 3 0 1000 5000000 240 1 2";

    fn check(line: &str, expect: Option<(u64, u64, u64, u64, u64, u64)>) {
        let got = parse_stat(line.as_bytes()).map(|s| {
            (s.user, s.system, s.reaped_user, s.reaped_system, s.threads, s.resident_pages)
        });
        assert_eq!(got, expect, "{line:?}");
    }

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        let fields = Some((14, 15, 16, 17, 3, 240));
        check(&format!("7 (sh) {TAIL}"), fields);
        check(&format!("7 (a) S 9 (b) {TAIL}"), fields);
        check(&format!("7 ()) {TAIL}"), fields);
        check(&format!("7 (sh) {}", TAIL.replace(" 16 ", " -1 ")), Some((14, 15, 0, 17, 3, 240)));
        check("7 (sh) S 1 7", None);
        check("7 (sh", None);
        check("", None);
    }

    #[test]
    fn names_are_read_whatever_they_are() {
        let check = |line: String, expect: &str| {
            let stat = parse_stat(line.as_bytes()).expect("because the line is whole");
            assert_eq!(stat.name.to_string(), expect);
        };
        check(format!("7 (sh) {TAIL}"), "sh");
        check(format!("7 (a) S 9 (b) {TAIL}"), "a) S 9 (b");
        check(format!("7 () {TAIL}"), "");
        check(format!("7 (kworker/0:1-events_long) {TAIL}"), "kworker/0:1-eve");
    }

    #[test]
    fn a_missing_root_is_an_error_that_names_its_file() {
        let error = sample(u32::MAX, 10).expect_err("because no such process can exist");
        assert_eq!(error.to_string(), "failed to read `/proc/4294967295/stat`");
    }
}

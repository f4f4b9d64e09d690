//! Which limit ended a command.
//!
//! The evidence is a wait status, the limits that were set, and the CPU time that was measured.
//! Never the command's output, and never a limit that was not set: a program that dies of
//! `SIGXCPU` without a CPU limit was sent that signal by somebody.
//!
//! The trap: a shell that outlives its child turns the child's signal N into its own exit status
//! 128 + N. That is weaker evidence than a signal, since any program may exit so, and
//! [`Evidence`] keeps the two apart.

use std::fmt;
use std::time::Duration;

use crate::Limits;

/// `SIGKILL` on every Linux.
const SIGKILL: i32 = 9;
/// `SIGXCPU` on x86, ARM, RISC-V, POWER and s390.
const SIGXCPU: i32 = 24;
/// `SIGXFSZ` on x86, ARM, RISC-V, POWER and s390.
const SIGXFSZ: i32 = 25;

/// A resource that a run can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitedResource {
    /// Memory of the tree. Unit: bytes.
    Memory,
    /// CPU time. Unit: milliseconds.
    Cpu,
    /// Processes alive at once. Unit: processes.
    Processes,
    /// Descriptors of one process. Unit: descriptors.
    OpenFiles,
    /// Size of one file. Unit: bytes.
    FileSize,
    /// Output kept. Unit: bytes.
    Output,
    /// Wall clock. Unit: milliseconds.
    Time,
    /// Wall clock without output. Unit: milliseconds.
    Idle,
    /// Space on the file systems that can be written. Unit: bytes.
    Disk,
}

impl LimitedResource {
    /// Every resource, in the order of the declaration.
    pub const ALL: [Self; 9] = [
        Self::Memory,
        Self::Cpu,
        Self::Processes,
        Self::OpenFiles,
        Self::FileSize,
        Self::Output,
        Self::Time,
        Self::Idle,
        Self::Disk,
    ];

    /// The name in results and events, for example `file_size`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "processes",
            Self::OpenFiles => "open_files",
            Self::FileSize => "file_size",
            Self::Output => "output",
            Self::Time => "time",
            Self::Idle => "idle",
            Self::Disk => "disk",
        }
    }

    /// The reason code in results and events, for example `file_size_limit_exceeded`.
    #[must_use]
    pub const fn reason_code(self) -> &'static str {
        match self {
            Self::Memory => "memory_limit_exceeded",
            Self::Cpu => "cpu_limit_exceeded",
            Self::Processes => "processes_limit_exceeded",
            Self::OpenFiles => "open_files_limit_exceeded",
            Self::FileSize => "file_size_limit_exceeded",
            Self::Output => "output_limit_exceeded",
            Self::Time => "time_limit_exceeded",
            Self::Idle => "idle_limit_exceeded",
            Self::Disk => "disk_limit_exceeded",
        }
    }

    /// The unit of [`LimitHit::limit`] and [`LimitHit::observed`], for messages.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Memory | Self::FileSize | Self::Output | Self::Disk => "bytes",
            Self::Cpu | Self::Time | Self::Idle => "ms",
            Self::Processes => "processes",
            Self::OpenFiles => "descriptors",
        }
    }
}

impl fmt::Display for LimitedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How it is known that a limit was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The kernel's counters of the tree's control group.
    Cgroup,
    /// The kernel ended a process with the signal that belongs to the limit.
    Signal,
    /// The command exited with the status that shells give for such a signal. Any program may do so,
    /// but the limit was set, too.
    ExitStatus,
    /// A look at the tree saw it.
    Sampled,
    /// A clock.
    Clock,
    /// What passed through was counted.
    Counted,
}

impl Evidence {
    /// The name in results and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Signal => "signal",
            Self::ExitStatus => "exit_status",
            Self::Sampled => "sampled",
            Self::Clock => "clock",
            Self::Counted => "counted",
        }
    }
}

/// A limit that ended a run, or stood in its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitHit {
    /// What ran out.
    pub resource: LimitedResource,
    /// How much was allowed. Unit: [`LimitedResource::unit`].
    pub limit: u64,
    /// How much was seen, where that is known. Unit: [`LimitedResource::unit`].
    pub observed: Option<u64>,
    /// Whether the limit ended the command itself. When false, the command went on to exit by
    /// itself, or the limit only made calls of it fail.
    pub ended_command: bool,
    /// How this is known.
    pub evidence: Evidence,
    /// The name of the program that hit it (`comm`, 15 bytes at most), where that is known.
    pub program: Option<String>,
}

impl LimitHit {
    /// The reason code of the resource.
    #[must_use]
    pub const fn reason_code(&self) -> &'static str {
        self.resource.reason_code()
    }
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, limit, observed, program, .. } = self;
        let unit = resource.unit();
        write!(f, "{resource} limit of {limit} {unit}")?;
        if let Some(observed) = observed {
            write!(f, ", used {observed} {unit}")?;
        }
        match program {
            Some(program) => write!(f, " (`{program}`)"),
            None => Ok(()),
        }
    }
}

/// How a command came to its end, as `wait4(2)` told it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// The exit status, when the command exited.
    pub exit_code: Option<i32>,
    /// The signal, when one ended the command.
    pub signal: Option<i32>,
    /// CPU time of the tree, user and system.
    pub cpu_time: Duration,
    /// The program it was at its end, where that is known.
    pub program: Option<String>,
}

/// A process of the tree that a signal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The signal.
    pub signal: i32,
    /// CPU time of the process and of the children it had waited for, user and system.
    pub cpu_time: Duration,
    /// Its program.
    pub program: Option<String>,
}

/// The limit that ended a command, or `None` when none did.
///
/// Ask only about commands that nobody else killed: a `SIGKILL` sent by the caller looks like the
/// kernel's own. `SIGXCPU`, or `SIGKILL` once the CPU time is used up, is the CPU limit;
/// `SIGXFSZ` is the file size limit, or that of the disk when it is the smaller one.
///
/// # Caveats
///
/// A command that handles `SIGXCPU` or `SIGXFSZ` and then exits in its own way is not recognized;
/// nor are limits that merely make a system call fail (processes, open files).
#[must_use]
pub fn attribute(limits: &Limits, ended: &Ending) -> Option<LimitHit> {
    let ended_command = ended.signal.is_some();
    let signal = ended.signal.or_else(|| reported_by_shell(ended.exit_code?))?;
    let used_up = limits.cpu_time.is_some_and(|limit| ended.cpu_time >= limit);
    let observed = Some(millis(ended.cpu_time));
    let hit = match signal {
        SIGXCPU if ended_command || used_up => cpu(limits, observed),
        SIGKILL if used_up => cpu(limits, observed),
        SIGXFSZ => size(limits),
        _ => None,
    }?;
    let evidence = if ended_command { Evidence::Signal } else { Evidence::ExitStatus };
    Some(LimitHit { ended_command, evidence, program: ended.program.clone(), ..hit })
}

/// The limit that ended a process which is not the command, or `None` when none did.
///
/// Ask only about deaths before the tree was ended by somebody.
#[must_use]
pub fn attribute_death(limits: &Limits, death: &Death) -> Option<LimitHit> {
    let used_up = limits.cpu_time.is_some_and(|limit| death.cpu_time >= limit);
    let hit = match death.signal {
        SIGXCPU => cpu(limits, Some(millis(death.cpu_time))),
        SIGKILL if used_up => cpu(limits, Some(millis(death.cpu_time))),
        SIGXFSZ => size(limits),
        _ => None,
    }?;
    Some(LimitHit { ended_command: false, program: death.program.clone(), ..hit })
}

fn cpu(limits: &Limits, observed: Option<u64>) -> Option<LimitHit> {
    let limit = millis(limits.cpu_time?);
    Some(by_signal(LimitedResource::Cpu, limit, observed))
}

/// One signal stands for two limits: the kernel was given the smaller one.
fn size(limits: &Limits) -> Option<LimitHit> {
    let resource = match (limits.file_size, limits.disk) {
        (Some(file), Some(disk)) if disk < file => LimitedResource::Disk,
        (Some(_), _) => LimitedResource::FileSize,
        (None, _) => LimitedResource::Disk,
    };
    Some(by_signal(resource, limits.largest_file()?, None))
}

fn by_signal(resource: LimitedResource, limit: u64, observed: Option<u64>) -> LimitHit {
    let evidence = Evidence::Signal;
    LimitHit { resource, limit, observed, ended_command: true, evidence, program: None }
}

/// The signal N that an exit status of 128 + N stands for.
fn reported_by_shell(exit_code: i32) -> Option<i32> {
    (129..=192).contains(&exit_code).then(|| exit_code - 128)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signaled(signal: i32, cpu_ms: u64) -> Ending {
        Ending {
            signal: Some(signal),
            cpu_time: Duration::from_millis(cpu_ms),
            ..Ending::default()
        }
    }

    fn exited(code: i32, cpu_ms: u64) -> Ending {
        Ending {
            exit_code: Some(code),
            cpu_time: Duration::from_millis(cpu_ms),
            ..Ending::default()
        }
    }

    fn check(limits: Limits, ended: Ending, expect: Option<(LimitedResource, bool)>) {
        let hit = attribute(&limits, &ended).map(|hit| (hit.resource, hit.ended_command));
        assert_eq!(hit, expect, "{limits:?}, {ended:?}");
    }

    #[test]
    fn signals_and_limits_together_name_the_limit() {
        use LimitedResource::{Cpu, FileSize};
        let none = Limits::default();
        let cpu = Limits { cpu_time: Some(Duration::from_secs(2)), ..none };
        let size = Limits { file_size: Some(1024), ..none };

        check(cpu, signaled(SIGXCPU, 2000), Some((Cpu, true)));
        check(cpu, signaled(SIGXCPU, 1999), Some((Cpu, true)));
        check(cpu, signaled(SIGKILL, 3000), Some((Cpu, true)));
        check(cpu, signaled(SIGKILL, 10), None);
        check(cpu, signaled(SIGXFSZ, 10), None);
        check(cpu, signaled(11, 3000), None);
        check(cpu, exited(0, 3000), None);
        check(cpu, exited(152, 2010), Some((Cpu, false)));
        check(cpu, exited(152, 10), None);
        check(cpu, exited(137, 2010), Some((Cpu, false)));

        check(size, signaled(SIGXFSZ, 0), Some((FileSize, true)));
        check(size, exited(153, 0), Some((FileSize, false)));
        check(size, exited(25, 0), None);
        check(size, signaled(SIGXCPU, 9000), None);

        check(none, signaled(SIGXCPU, 9000), None);
        check(none, signaled(SIGXFSZ, 0), None);
        check(none, signaled(SIGKILL, 9000), None);
        check(none, Ending::default(), None);
    }

    #[test]
    fn the_smaller_of_two_limits_of_a_file_is_named() {
        use LimitedResource::{Disk, FileSize};
        let none = Limits::default();
        let disk = Limits { disk: Some(512), ..none };
        check(disk, signaled(SIGXFSZ, 0), Some((Disk, true)));
        check(Limits { file_size: Some(1024), ..disk }, signaled(SIGXFSZ, 0), Some((Disk, true)));
        check(
            Limits { file_size: Some(512), ..disk },
            signaled(SIGXFSZ, 0),
            Some((FileSize, true)),
        );
    }

    #[test]
    fn a_process_that_is_not_the_command_is_named() {
        let check = |signal, cpu_ms, expect: Option<&str>| {
            let limits = Limits {
                cpu_time: Some(Duration::from_secs(2)),
                file_size: Some(1024),
                ..Limits::default()
            };
            let cpu_time = Duration::from_millis(cpu_ms);
            let death = Death { signal, cpu_time, program: Some("dd".to_owned()) };
            let hit = attribute_death(&limits, &death).map(|hit| hit.to_string());
            assert_eq!(hit.as_deref(), expect, "{death:?}");
        };
        check(SIGXFSZ, 0, Some("file_size limit of 1024 bytes (`dd`)"));
        check(SIGXCPU, 2001, Some("cpu limit of 2000 ms, used 2001 ms (`dd`)"));
        check(SIGKILL, 3000, Some("cpu limit of 2000 ms, used 3000 ms (`dd`)"));
        check(SIGKILL, 1, None);
        check(15, 9000, None);
    }

    #[test]
    fn the_numbers_are_in_the_unit_of_the_resource() {
        let limits = Limits {
            cpu_time: Some(Duration::from_secs(2)),
            file_size: Some(1024),
            ..Limits::default()
        };
        let cpu = attribute(&limits, &signaled(SIGXCPU, 2104)).expect("because the limit is set");
        assert_eq!((cpu.limit, cpu.observed), (2000, Some(2104)));
        assert_eq!(cpu.to_string(), "cpu limit of 2000 ms, used 2104 ms");
        let size = attribute(&limits, &signaled(SIGXFSZ, 0)).expect("because the limit is set");
        assert_eq!((size.limit, size.observed), (1024, None));
        assert_eq!(size.to_string(), "file_size limit of 1024 bytes");
        assert_eq!(size.reason_code(), "file_size_limit_exceeded");
    }

    #[test]
    fn reason_codes_follow_the_names() {
        for resource in LimitedResource::ALL {
            assert_eq!(resource.reason_code(), format!("{resource}_limit_exceeded"));
        }
    }
}

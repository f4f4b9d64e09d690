//! Which limit ended a command.
//!
//! The evidence is the wait status, the limits that were set, and the CPU time that was measured.
//! Never the command's output, and never a limit that was not set: a program that dies of
//! `SIGXCPU` without a CPU limit was sent that signal by somebody.
//!
//! The trap: a shell that outlives its child turns the child's signal N into its own exit status
//! 128 + N. That is weaker evidence than a signal, since any program may exit so, and
//! [`LimitHit::ended_command`] keeps the two apart.

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
}

impl LimitedResource {
    /// Every resource, in the order of the declaration.
    pub const ALL: [Self; 8] = [
        Self::Memory,
        Self::Cpu,
        Self::Processes,
        Self::OpenFiles,
        Self::FileSize,
        Self::Output,
        Self::Time,
        Self::Idle,
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
        }
    }

    /// The unit of [`LimitHit::limit`] and [`LimitHit::observed`], for messages.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Memory | Self::FileSize | Self::Output => "bytes",
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

/// A limit that ended a run, or stood in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitHit {
    /// What ran out.
    pub resource: LimitedResource,
    /// How much was allowed. Unit: [`LimitedResource::unit`].
    pub limit: u64,
    /// How much was seen, where that is known. Unit: [`LimitedResource::unit`].
    pub observed: Option<u64>,
    /// Whether the limit ended the command itself. When false, the command went on to exit by
    /// itself, with the status that shells give for a child that the limit ended.
    pub ended_command: bool,
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
        let Self { resource, limit, observed, .. } = self;
        let unit = resource.unit();
        match observed {
            Some(observed) => {
                write!(f, "{resource} limit of {limit} {unit}, used {observed} {unit}")
            }
            None => write!(f, "{resource} limit of {limit} {unit}"),
        }
    }
}

/// How a command came to its end, as `wait4(2)` told it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ending {
    /// The exit status, when the command exited.
    pub exit_code: Option<i32>,
    /// The signal, when one ended the command.
    pub signal: Option<i32>,
    /// CPU time of the tree, user and system.
    pub cpu_time: Duration,
}

/// The limit that ended a command, or `None` when none did.
///
/// Ask only about commands that nobody else killed: a `SIGKILL` sent by the caller looks like the
/// kernel's own. `SIGXCPU`, or `SIGKILL` once the CPU time is used up, is the CPU limit;
/// `SIGXFSZ` is the file size limit.
///
/// # Caveats
///
/// A command that handles `SIGXCPU` or `SIGXFSZ` and then exits in its own way is not recognized;
/// nor are limits that merely make a system call fail (processes, open files).
#[must_use]
pub fn attribute(limits: &Limits, ended: &Ending) -> Option<LimitHit> {
    let ended_command = ended.signal.is_some();
    let signal = ended.signal.or_else(|| reported_by_shell(ended.exit_code?))?;
    let cpu = limits.cpu_time.map(|limit| LimitHit {
        resource: LimitedResource::Cpu,
        limit: millis(limit),
        observed: Some(millis(ended.cpu_time)),
        ended_command,
    });
    let used_up = limits.cpu_time.is_some_and(|limit| ended.cpu_time >= limit);
    match signal {
        SIGXCPU => cpu.filter(|_| ended_command || used_up),
        SIGKILL => cpu.filter(|_| used_up),
        SIGXFSZ => limits.file_size.map(|limit| LimitHit {
            resource: LimitedResource::FileSize,
            limit,
            observed: None,
            ended_command,
        }),
        _ => None,
    }
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
        Ending { signal: Some(signal), exit_code: None, cpu_time: Duration::from_millis(cpu_ms) }
    }

    fn exited(code: i32, cpu_ms: u64) -> Ending {
        Ending { signal: None, exit_code: Some(code), cpu_time: Duration::from_millis(cpu_ms) }
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

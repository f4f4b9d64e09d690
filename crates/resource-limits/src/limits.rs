//! What was asked for, and the same in the words of `setrlimit(2)`.
//!
//! Pure: the caller's own hard limits, which the kernel lets nobody raise, come in as a function.
//!
//! The trap: `u64::MAX` is the kernel's word for "no limit", so no arithmetic here may reach it by
//! accident; every sum saturates one below.

use std::time::Duration;

/// The kernel's `RLIM_INFINITY` on every 64-bit Linux. On macOS it is half of that, which a
/// ceiling brings in: nothing there can be above it.
const INFINITY: u64 = u64::MAX;

/// A resource that `setrlimit(2)` can limit and this crate makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Resource {
    /// CPU time of one process, in seconds (`RLIMIT_CPU`).
    CpuTime,
    /// Size of a file the process may write, in bytes (`RLIMIT_FSIZE`).
    FileSize,
    /// Size of a core dump, in bytes (`RLIMIT_CORE`).
    Core,
    /// Processes and threads of the real user, within the user namespace (`RLIMIT_NPROC`).
    Processes,
    /// One more than the highest descriptor a process may open (`RLIMIT_NOFILE`).
    OpenFiles,
    /// Size of what one process has mapped, in bytes (`RLIMIT_AS`).
    AddressSpace,
}

impl Resource {
    /// The number that this system gives the resource.
    ///
    /// # Caveats
    ///
    /// Those of Linux are the numbers of `asm-generic/resource.h`: x86, ARM, RISC-V, POWER and
    /// s390. MIPS, SPARC and Alpha number three of them otherwise.
    ///
    /// # References
    ///
    /// `setrlimit(2)`; `include/uapi/asm-generic/resource.h` of Linux, `bsd/sys/resource.h` of XNU.
    #[must_use]
    pub const fn raw(self) -> u32 {
        match self {
            Self::CpuTime => 0,
            Self::FileSize => 1,
            Self::Core => 4,
            Self::Processes if cfg!(target_os = "macos") => 7,
            Self::Processes => 6,
            Self::OpenFiles if cfg!(target_os = "macos") => 8,
            Self::OpenFiles => 7,
            Self::AddressSpace if cfg!(target_os = "macos") => 5,
            Self::AddressSpace => 9,
        }
    }
}

/// One resource limit, as `setrlimit(2)` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// Where the kernel begins to enforce. Unit: that of the resource.
    pub soft: u64,
    /// How far the process may raise its own soft limit again. Unit: that of the resource.
    pub hard: u64,
}

impl Rlimit {
    /// Whether the kernel would read this as "no limit".
    #[must_use]
    pub const fn is_infinite(&self) -> bool {
        self.soft == INFINITY
    }

    fn equal(resource: Resource, value: u64) -> Self {
        Self { resource, soft: value, hard: value }
    }

    fn within(self, ceiling: u64) -> Self {
        Self { soft: self.soft.min(ceiling), hard: self.hard.min(ceiling), ..self }
    }
}

/// What one command may use up. `None` leaves the caller's own limit as it is.
///
/// Core dumps are always off: a dump of a sandboxed process is a file with its memory, secrets
/// included, that nobody asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the whole tree, in bytes. No resource limit of the kernel says that: whoever sets it
    /// keeps it, by a cgroup or by looking. Default: none.
    pub memory: Option<u64>,
    /// CPU time of each process. Rounded up to whole seconds, at least one. Default: none.
    pub cpu_time: Option<Duration>,
    /// Processes and threads alive at once. Default: none.
    pub processes: Option<u64>,
    /// Descriptors of each process. Default: none.
    pub open_files: Option<u64>,
    /// Size of a file that is written, in bytes. Default: none.
    pub file_size: Option<u64>,
    /// Address space of each process, in bytes: what is mapped, used or not. Programs that reserve
    /// much and use little need it all the same: Node and Go 1 GiB to start, Java more than 2. Default: none.
    pub address_space: Option<u64>,
    /// Space on the file systems that can be written, in bytes. To the kernel no file may be larger;
    /// the rest is for somebody to look at. Default: none.
    pub disk: Option<u64>,
}

impl Limits {
    /// The limits as `setrlimit(2)` takes them, in a fixed order: core, CPU, file size, processes,
    /// open files, address space.
    ///
    /// `ceiling` gives the hard limit that already holds for a resource ([`crate::hard_ceiling`]
    /// asks the kernel). A limit above it is lowered to it: raising a hard limit is refused to
    /// everybody but real root, and what holds already is the stricter of the two.
    ///
    /// The soft CPU limit sends `SIGXCPU`; the hard one, a second later, `SIGKILL`.
    ///
    /// # Errors
    ///
    /// Only what `ceiling` gives.
    pub fn rlimits<E>(
        &self,
        mut ceiling: impl FnMut(Resource) -> Result<u64, E>,
    ) -> Result<Vec<Rlimit>, E> {
        let mut rlimits = vec![Rlimit::equal(Resource::Core, 0)];
        for wanted in self.wanted().into_iter().flatten() {
            rlimits.push(wanted.within(ceiling(wanted.resource)?));
        }
        Ok(rlimits)
    }

    fn wanted(&self) -> [Option<Rlimit>; 5] {
        let equal = |resource| move |value: u64| Rlimit::equal(resource, value.min(INFINITY - 1));
        [
            self.cpu_time.map(|time| {
                let soft = whole_seconds(time);
                Rlimit { resource: Resource::CpuTime, soft, hard: soft + 1 }
            }),
            self.largest_file().map(equal(Resource::FileSize)),
            self.processes.map(equal(Resource::Processes)),
            self.open_files.map(equal(Resource::OpenFiles)),
            self.address_space.map(equal(Resource::AddressSpace)),
        ]
    }

    /// The largest file that can be written, in bytes: a file that is larger than the disk space
    /// allowed is over that limit by itself.
    #[must_use]
    pub fn largest_file(&self) -> Option<u64> {
        self.file_size.into_iter().chain(self.disk).min()
    }
}

/// Rounded up, since a limit that is shorter than asked would end a command that kept to it; at
/// least one, since the kernel takes zero for one; two short of infinity, since one is added.
fn whole_seconds(time: Duration) -> u64 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    seconds.clamp(1, INFINITY - 2)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn rlimits(limits: Limits, ceiling: u64) -> Vec<Rlimit> {
        let result: Result<_, Infallible> = limits.rlimits(|_| Ok(ceiling));
        result.expect("because this ceiling cannot fail")
    }

    fn check(limits: Limits, ceiling: u64, expect: &[(Resource, u64, u64)]) {
        let got: Vec<_> =
            rlimits(limits, ceiling).iter().map(|r| (r.resource, r.soft, r.hard)).collect();
        assert_eq!(got, expect, "{limits:?} under {ceiling}");
    }

    #[test]
    fn limits_become_rlimits() {
        use Resource::{AddressSpace, Core, CpuTime, FileSize, OpenFiles, Processes};
        let none = Limits::default();
        let cpu = |time| Limits { cpu_time: Some(time), ..none };
        check(none, INFINITY, &[(Core, 0, 0)]);
        check(cpu(Duration::from_secs(3)), INFINITY, &[(Core, 0, 0), (CpuTime, 3, 4)]);
        check(cpu(Duration::from_millis(1)), INFINITY, &[(Core, 0, 0), (CpuTime, 1, 2)]);
        check(cpu(Duration::from_millis(2001)), INFINITY, &[(Core, 0, 0), (CpuTime, 3, 4)]);
        check(cpu(Duration::ZERO), INFINITY, &[(Core, 0, 0), (CpuTime, 1, 2)]);
        check(cpu(Duration::from_secs(3)), 3, &[(Core, 0, 0), (CpuTime, 3, 3)]);
        let all = Limits {
            memory: Some(1),
            cpu_time: Some(Duration::from_secs(9)),
            processes: Some(64),
            open_files: Some(0),
            file_size: Some(u64::MAX),
            address_space: Some(1 << 19),
            disk: None,
        };
        check(
            all,
            1_000_000,
            &[
                (Core, 0, 0),
                (CpuTime, 9, 10),
                (FileSize, 1_000_000, 1_000_000),
                (Processes, 64, 64),
                (OpenFiles, 0, 0),
                (AddressSpace, 1 << 19, 1 << 19),
            ],
        );
    }

    #[test]
    fn a_failing_ceiling_is_passed_on() {
        let limits = Limits { open_files: Some(3), ..Limits::default() };
        assert_eq!(limits.rlimits(Err::<u64, _>), Err(Resource::OpenFiles));
    }

    proptest! {
        #[test]
        fn soft_never_exceeds_hard_nor_hard_the_ceiling(
            nanos: u64, seconds: u64, count: u64, ceiling: u64,
        ) {
            let limits = Limits {
                memory: Some(count),
                cpu_time: Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32)),
                processes: Some(count),
                open_files: Some(count),
                file_size: Some(count),
                address_space: Some(count),
                disk: Some(count),
            };
            for rlimit in rlimits(limits, ceiling) {
                prop_assert!(rlimit.soft <= rlimit.hard);
                prop_assert!(rlimit.hard <= ceiling);
            }
        }

        #[test]
        fn no_limit_turns_into_infinity(seconds: u64, count: u64) {
            let limits = Limits {
                memory: None,
                cpu_time: Some(Duration::from_secs(seconds)),
                processes: Some(count),
                open_files: Some(count),
                file_size: Some(count),
                address_space: Some(count),
                disk: Some(count),
            };
            for rlimit in rlimits(limits, INFINITY) {
                prop_assert!(!rlimit.is_infinite() && rlimit.hard != INFINITY);
            }
        }

        #[test]
        fn cpu_time_is_never_shortened(millis in 0u64..10_000_000) {
            let time = Duration::from_millis(millis);
            let limits = Limits { cpu_time: Some(time), ..Limits::default() };
            let cpu = rlimits(limits, INFINITY)[1];
            prop_assert!(Duration::from_secs(cpu.soft) >= time);
            prop_assert!(cpu.soft <= time.as_secs() + 1);
        }
    }
}

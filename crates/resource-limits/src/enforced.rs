//! How far the kernel really keeps each limit that was set.
//!
//! Pure. It says what `setrlimit(2)` alone gives; a caller that also watches the tree with
//! [`sample()`](crate::sample()) may promise more.

use std::fmt;

use crate::{LimitedResource, Limits};

/// What is known about the process that the limits are set in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The caller is the machine's root, whom the kernel exempts from `RLIMIT_NPROC` in every
    /// user namespace.
    pub real_root: bool,
    /// The command gets a user namespace of its own, in which its processes are counted apart
    /// from the user's others (Linux 5.14 and later).
    pub own_user_namespace: bool,
}

/// How far a limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enforced {
    /// By the kernel, as asked.
    Full,
    /// By the kernel, but not all of what was asked.
    Partial(&'static str),
    /// By nobody.
    None(&'static str),
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Partial(why) => write!(f, "partial: {why}"),
            Self::None(why) => write!(f, "none: {why}"),
        }
    }
}

const NO_MEMORY: Enforced = Enforced::None("no resource limit counts the memory of a tree");
const ONE_FILE: Enforced = Enforced::Partial("each file by itself");

impl Limits {
    /// How far `setrlimit(2)` keeps each limit that is set here, in the order memory, CPU, processes, open
    /// files, file size, disk.
    ///
    /// # References
    ///
    /// `setrlimit(2)`; for `RLIMIT_NPROC` in user namespaces `copy_process` in `kernel/fork.c`.
    #[must_use]
    pub fn enforced(&self, context: Context) -> Vec<(LimitedResource, Enforced)> {
        // Other systems have no user namespaces.
        let own = context.own_user_namespace && cfg!(target_os = "linux");
        let context = Context { own_user_namespace: own, ..context };
        let processes = match context {
            Context { real_root: true, .. } => {
                Enforced::None("the kernel exempts root from RLIMIT_NPROC")
            }
            Context { own_user_namespace: false, .. } => {
                Enforced::Partial("counts all processes of the user")
            }
            Context { own_user_namespace: true, .. } => Enforced::Full,
        };
        [
            self.memory.map(|_| (LimitedResource::Memory, NO_MEMORY)),
            self.cpu_time
                .map(|_| (LimitedResource::Cpu, Enforced::Partial("for each process by itself"))),
            self.processes.map(|_| (LimitedResource::Processes, processes)),
            self.open_files.map(|_| (LimitedResource::OpenFiles, Enforced::Full)),
            self.file_size.map(|_| (LimitedResource::FileSize, Enforced::Full)),
            self.disk.map(|_| (LimitedResource::Disk, ONE_FILE)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(limits: Limits, real_root: bool, own_user_namespace: bool, expect: &[&str]) {
        let got: Vec<_> = limits
            .enforced(Context { real_root, own_user_namespace })
            .iter()
            .map(|(resource, how)| format!("{resource} {how}"))
            .collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn only_what_is_set_is_spoken_of() {
        let none = Limits::default();
        let processes = Limits { processes: Some(4), ..none };
        check(none, false, true, &[]);
        check(processes, false, true, &["processes full"]);
        check(processes, false, false, &["processes partial: counts all processes of the user"]);
        let exempt = "processes none: the kernel exempts root from RLIMIT_NPROC";
        check(processes, true, true, &[exempt]);
        check(processes, true, false, &[exempt]);
        check(
            Limits {
                memory: Some(1),
                cpu_time: Some(Duration::from_secs(1)),
                processes: None,
                open_files: Some(3),
                file_size: Some(9),
                address_space: None,
                disk: Some(7),
            },
            false,
            true,
            &[
                "memory none: no resource limit counts the memory of a tree",
                "cpu partial: for each process by itself",
                "open_files full",
                "file_size full",
                "disk partial: each file by itself",
            ],
        );
    }
}

//! The reason codes: one short name for each way a run is refused, denied or ended.
//!
//! They are an interface that programs branch on, so the strings are fixed and this enum is the only place that spells them.
//! Not here: the sentence for a person, which belongs to the error or verdict that carries the code.

use std::fmt;

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// Why something was refused, denied or ended, as a stable name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ReasonCode { $($(#[$doc])* $name,)+ }

        impl ReasonCode {
            /// Every code, in the order of the interface.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$name),+];

            /// The name as it stands in results and events.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ReasonCode::$name => $text,)+ }
            }
        }
    };
}

reason_codes! {
    /// The tree used more memory than the profile allows.
    MemoryLimitExceeded = "memory_limit_exceeded",
    /// A process used more CPU time than the profile allows.
    CpuLimitExceeded = "cpu_limit_exceeded",
    /// The tree wanted more processes than the profile allows.
    ProcessesLimitExceeded = "processes_limit_exceeded",
    /// A process wanted more open files than the profile allows.
    OpenFilesLimitExceeded = "open_files_limit_exceeded",
    /// A file grew larger than the profile allows.
    FileSizeLimitExceeded = "file_size_limit_exceeded",
    /// A stream was larger than what is kept of it.
    OutputLimitExceeded = "output_limit_exceeded",
    /// The run took longer than its wall clock allowance.
    TimeLimitExceeded = "time_limit_exceeded",
    /// The run printed nothing for longer than its allowance.
    IdleLimitExceeded = "idle_limit_exceeded",
    /// More space on storage than allowed.
    DiskLimitExceeded = "disk_limit_exceeded",
    /// A write to a file outside the writable paths.
    FileWriteDenied = "file_write_denied",
    /// A read of a hidden file.
    FileReadDenied = "file_read_denied",
    /// A connection while the network is denied.
    NetworkBlocked = "network_blocked",
    /// A connection to a destination that no allowlist entry covers.
    NetworkAllowlistBlocked = "network_allowlist_blocked",
    /// A connection to a Unix socket of the host.
    UnixSocketDenied = "unix_socket_denied",
    /// A signal to a process outside the tree.
    SignalDenied = "signal_denied",
    /// A system call the sandbox refuses.
    SyscallDenied = "syscall_denied",
    /// The host cannot give the sandbox that the profile asks for.
    SandboxBackendUnavailable = "sandbox_backend_unavailable",
    /// The profile asks for something this backend does not do.
    UnsupportedBackendFeature = "unsupported_backend_feature",
    /// The policy of the config does not allow this command.
    PolicyDenied = "policy_denied",
    /// The command is not one: empty, too long, or with bytes no command line has.
    InvalidCommand = "invalid_command",
    /// The program could not be started.
    SpawnFailed = "spawn_failed",
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ReasonCode;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_snake_case() {
        let names: BTreeSet<_> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), ReasonCode::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }

    #[test]
    fn display_is_the_name() {
        assert_eq!(ReasonCode::PolicyDenied.to_string(), "policy_denied");
    }
}

//! The `[runner]` part after resolution: the shell, the policy, and what is masked in output.

use crate::words::{Ansi, CgroupScope, Encoding, Executor, Multiline, Progress, Timestamps};
use ringfence_policy::{EnvAllowlist, Policy, PolicyMode, Rule};
use std::path::PathBuf;

/// How commands are started, which may be, and what is masked in what they print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// The shell of a command line, absolute.
    pub shell: PathBuf,
    /// The argument between the shell and the line.
    pub shell_arg: String,
    /// Whether the allowlists are asked.
    pub policy: PolicyMode,
    /// What runs a command line.
    pub executor: Executor,
    /// Shells that may be started, by their exact path.
    pub allowed_shells: Vec<String>,
    /// Arguments that may stand between the shell and the line.
    pub allowed_shell_args: Vec<String>,
    /// Variables that pass from the caller; globs.
    pub env_allowlist: Vec<String>,
    /// Names whose values are masked, and texts that are masked themselves.
    pub redaction_patterns: Vec<String>,
    /// The control group that runs get their own groups in, absolute. `None`: one that is found by trying.
    pub cgroup_parent: Option<PathBuf>,
    /// Whether a control group may be asked of a service manager where none is found.
    pub cgroup_scope: CgroupScope,
    /// How masking works.
    pub redaction: Redaction,
    /// What becomes of output beside masking.
    pub output: Output,
    /// Own patterns that are masked.
    pub detectors: Vec<CustomDetector>,
    /// Command rules, in order.
    pub rules: Vec<Rule>,
}

impl Runner {
    /// The part that decides whether a command may run.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            mode: self.policy,
            allowed_shells: self.allowed_shells.clone(),
            allowed_shell_args: self.allowed_shell_args.clone(),
            env: EnvAllowlist::new(self.env_allowlist.iter().cloned()),
            rules: self.rules.clone(),
        }
    }
}

/// How secrets are found and masked in output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// What stands in place of a secret.
    pub mask: String,
    /// Whether secrets are found in any ASCII case.
    pub case_insensitive: bool,
    /// Shortest secret that is masked, in bytes.
    pub min_length: usize,
    /// Whether white space around a secret does not belong to it.
    pub trim: bool,
    /// How a secret of several lines is masked.
    pub multiline: Multiline,
    /// Derived forms of secrets that are masked too.
    pub encodings: Vec<Encoding>,
    /// Built-in patterns that are masked, each one of [`DETECTORS`](crate::DETECTORS).
    pub detectors: Vec<String>,
}

/// What becomes of output beside masking. What is passed through to the caller's own streams, events and transcripts are
/// not touched by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Control sequences in results and files.
    pub ansi: Ansi,
    /// Lines that are drawn over, in results and files.
    pub progress: Progress,
    /// Whether the result has both streams in one, in order, too.
    pub combined: bool,
    /// The time before each line, in files.
    pub timestamps: Timestamps,
    /// Largest file that a stream is written to, in bytes. `None`: the profile's `max_output`.
    pub max_file: Option<u64>,
    /// Full files that are kept beside the present one. 0: there is one file, whose middle is dropped.
    pub rotate_files: u32,
}

/// An own pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomDetector {
    /// Its name, for messages.
    pub name: String,
    /// A regular expression in the syntax of the `regex` crate; it compiles.
    pub regex: String,
}

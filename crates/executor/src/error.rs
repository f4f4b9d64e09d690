//! Why there was no run, or none that can be told about.
//!
//! A command that cannot be executed is not here: that is an [`Outcome`] of its own, since shells
//! have exit statuses for it. Texts are redacted where they quote the command.

use std::io;
use std::path::PathBuf;

use ringfence_policy::{CommandError, ReasonCode};
use ringfence_resource_limits::{CeilingError, SampleError};
use ringfence_sandbox::{SandboxError, StepFailure};

use crate::masking::MaskingError;
use crate::outcome::{Outcome, OutcomeKind, Reason};
use crate::outlet::OutletError;

/// A run was refused, could not be set up, or was lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The policy does not allow the command.
    #[error(transparent)]
    Refused(Refusal),
    /// What was given is no command.
    #[error("not a command")]
    Command(#[from] CommandError),
    /// What carries an allowlist out cannot be had.
    #[error("no network for the allowlist")]
    Outlet(#[from] OutletError),
    /// The host cannot give the sandbox that the profile asks for.
    #[error("no sandbox for profile `{profile}`")]
    Sandbox {
        /// The profile's name.
        profile: String,
        /// What is missing.
        #[source]
        source: SandboxError,
    },
    /// The sandbox was begun and a step of it failed.
    #[error("failed to set up the sandbox of profile `{profile}`")]
    SetUp {
        /// The profile's name.
        profile: String,
        /// The step.
        #[source]
        source: StepFailure,
    },
    /// What the run leaves on the host could not be looked after.
    #[error("cannot look after what the run leaves on the host")]
    State(#[from] ringfence_workspace::Error),
    /// What is to be masked cannot be compiled.
    #[error("cannot redact output")]
    Masking(#[from] MaskingError),
    /// The working directory is none.
    #[error("cannot use the working directory `{path}`", path = path.display())]
    Cwd {
        /// The directory.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A limit of the whole tree needs looking at the tree, and this system does not let that be.
    #[error("cannot keep the limits of the tree")]
    Unwatchable(#[from] SampleError),
    /// This process has no descriptors left.
    #[error("failed to make a pipe for the run itself")]
    Descriptors(#[source] io::Error),
    /// A limit of this process could not be read.
    #[error("failed to work out the limits")]
    Limit(#[from] CeilingError),
    /// The command's standard input could not be opened.
    #[error("failed to open standard input {from}")]
    Stdin {
        /// Where it was to come from.
        from: StdinSource,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A directory was given as standard input: it would let the command out of its sandbox.
    #[error("standard input {from} is a directory")]
    StdinDirectory {
        /// Where it was to come from.
        from: StdinSource,
    },
    /// No pipe for the command's output.
    #[error("failed to make the pipe for {stream}")]
    Pipe {
        /// Which stream.
        stream: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The channel to the tree's init failed.
    #[error("lost the connection to the init of the tree")]
    Control(#[source] io::Error),
    /// The tree's init ended without saying how the command did: somebody killed it.
    #[error("the init of the tree was killed")]
    InitKilled,
    /// The task that watches the run did not end by itself: the runtime is shutting down.
    #[error("the run was abandoned")]
    Abandoned(#[source] tokio::task::JoinError),
}

/// Where standard input was to come from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StdinSource {
    /// `/dev/null`.
    Null,
    /// This process's own.
    Inherited,
    /// A file.
    File(PathBuf),
    /// Bytes, through a pipe.
    Bytes,
}

impl std::fmt::Display for StdinSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("`/dev/null`"),
            Self::Inherited => f.write_str("inherited from the caller"),
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Bytes => f.write_str("from bytes"),
        }
    }
}

/// The policy's verdict against a command, redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{verdict}")]
pub struct Refusal {
    /// The verdict with its cause.
    pub verdict: String,
    /// The name programs branch on.
    pub code: ReasonCode,
    /// What to do about it.
    pub hint: Option<String>,
}

impl RunError {
    /// The name programs branch on.
    #[must_use]
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Command(_) => ReasonCode::InvalidCommand,
            Self::Sandbox { source: SandboxError::CannotHold { .. }, .. } => {
                ReasonCode::UnsupportedBackendFeature
            }
            Self::Sandbox {
                source: SandboxError::Unavailable { .. } | SandboxError::NotFull { .. },
                ..
            }
            | Self::SetUp { .. } => ReasonCode::SandboxBackendUnavailable,
            _ => ReasonCode::SpawnFailed,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint.clone(),
            Self::Command(error) => error.hint().map(str::to_owned),
            Self::Outlet(error) => error.hint(),
            Self::Sandbox { source, .. } => source.hint(),
            Self::SetUp { .. } => Some("see `ringfence doctor`".to_owned()),
            Self::StdinDirectory { .. } => Some("give a file, or `null`".to_owned()),
            Self::Cwd { .. } => Some("create it, or give another with `--cwd`".to_owned()),
            Self::State(_) => {
                Some("set `XDG_STATE_HOME` to a directory of yours that can be written".to_owned())
            }
            Self::InitKilled => {
                Some("look for the out-of-memory killer in the kernel's log".into())
            }
            _ => None,
        }
    }

    /// The result object that stands for this error.
    #[must_use]
    pub fn to_outcome(&self, profile: &str) -> Outcome {
        let kind = match self {
            Self::Refused(_) | Self::Command(_) => OutcomeKind::Refused,
            _ => OutcomeKind::Failed,
        };
        let reason =
            Reason { code: self.reason_code(), message: self.whole_message(), hint: self.hint() };
        Outcome::without_run(kind, profile, reason)
    }

    /// The error and its causes, in one line.
    fn whole_message(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |e| e.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }
}

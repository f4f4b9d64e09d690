//! Why ringfence itself could not do what it was asked.

use crate::exit::Status;
use crate::message;
use std::io;
use std::path::PathBuf;

/// A failure of ringfence, not of the command; it ends with [`Status::REFUSED`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What the library says.
    #[error(transparent)]
    Library(#[from] ringfence::Error),
    /// What a run left cannot be read or changed.
    #[error(transparent)]
    Workspace(#[from] ringfence::workspace::Error),
    /// No place for what is kept between runs.
    #[error("there is no home directory, so nothing is kept between runs")]
    NoState,
    /// Changes that could not be carried out.
    #[error("{failed} of {all} changes were not applied; they are still in the layer")]
    Unapplied { failed: usize, all: usize },
    /// A file that a flag names cannot be opened.
    #[error("{flag} {}: failed to open the file", path.display())]
    Open { flag: &'static str, path: PathBuf, source: io::Error },
    /// A file cannot be written.
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A transcript that cannot be played.
    #[error("{}", path.display())]
    Transcript { path: PathBuf, source: ringfence::output_capture::transcript::ReadError },
    /// This process's terminal cannot be set.
    #[error("failed to set the terminal of standard input")]
    Terminal(#[source] io::Error),
    /// `ringfence init` would overwrite a file.
    #[error("{} is there already", path.display())]
    Exists { path: PathBuf },
    /// Standard output is closed or full.
    #[error("failed to write to standard output")]
    Print(#[source] io::Error),
    /// A variable without a name. What is given may be a secret, so it is not repeated.
    #[error("-e: there is no name before the `=`")]
    VariableName,
    /// No runtime for the run.
    #[error("failed to start the event loop")]
    Runtime(#[source] io::Error),
    /// The policy says no, asked by `ringfence check`.
    #[error("{verdict}")]
    Denied { verdict: String, hint: Option<String> },
    /// A man page that there is not.
    #[error("there is no man page for `{0}`")]
    NoPage(String),
    /// Something this machine lacks, asked by `ringfence doctor`.
    #[error("the default profile is not fully enforced here")]
    NotFull,
    /// The path of this program is not known.
    #[error("failed to find out where this program lies")]
    Myself(#[source] io::Error),
}

impl Failure {
    /// A config that cannot be used.
    pub(crate) fn config(error: ringfence::config::ConfigError) -> Failure {
        Failure::Library(error.into())
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Failure::Library(error) => error.hint(),
            Failure::Workspace(error) => error.hint(),
            Failure::NoState => Some("set `HOME` or `XDG_STATE_HOME` to an absolute path".into()),
            Failure::Unapplied { .. } => Some("mend what is named above, and apply again".into()),
            Failure::Exists { .. } => Some("remove it first, or add `--force`".into()),
            Failure::VariableName => Some("write `-e KEY` or `-e KEY=VALUE`".into()),
            Failure::Denied { hint, .. } => hint.clone(),
            Failure::NotFull => Some("the rows above say how to get each".into()),
            _ => None,
        }
    }

    /// Says it on standard error.
    pub(crate) fn report(&self) -> Status {
        message::failure(&message::with_causes(self), self.hint().as_deref());
        Status::REFUSED
    }
}

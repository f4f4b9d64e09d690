//! Why ringfence itself could not do what it was asked.

use crate::exit::Status;
use crate::message;
use crate::signals::SIGPIPE;
use ringfence::output_capture::transcript::ReadError;
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
    /// One file is named for two things.
    #[error("{first} and {second} name the same file: {}", path.display())]
    SameFile { first: &'static str, second: &'static str, path: PathBuf },
    /// A file cannot be written.
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A transcript that cannot be played.
    #[error("{}", path.display())]
    Transcript { path: PathBuf, source: ReadError },
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
            Failure::SameFile { first: "--stdin", .. } => {
                Some("it would be emptied before it is read: give another file".into())
            }
            Failure::SameFile { first: "--stdout", second: "--stderr", .. } => Some(
                "for both streams in one file, in their order, add `2>&1` to the command line"
                    .into(),
            ),
            Failure::SameFile { .. } => Some("give each a file of its own".into()),
            Failure::Open { flag, source, .. } => open_hint(flag, source.kind()),
            Failure::Transcript { source: ReadError::NotATranscript, .. } => Some(
                "`replay` plays what `run --transcript` writes, and asciicasts of versions 2 and 3"
                    .into(),
            ),
            Failure::NotFull => Some("the rows above say how to get each".into()),
            _ => None,
        }
    }

    /// Says it on standard error; but that a reader of standard output has gone away is no news to who sent it away.
    pub(crate) fn report(&self) -> Status {
        self.report_through(|text| text)
    }

    /// As [`Failure::report`], with what is said put through `told` first.
    pub(crate) fn report_through(&self, told: impl Fn(String) -> String) -> Status {
        if matches!(self, Failure::Print(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return Status::of_signal(SIGPIPE);
        }
        let hint = self.hint().map(&told);
        message::failure(&told(message::with_causes(self)), hint.as_deref());
        Status::REFUSED
    }
}

/// What to do about a file that `flag` names and that cannot be opened.
fn open_hint(flag: &str, kind: io::ErrorKind) -> Option<String> {
    let reads = matches!(flag, "--redact-file" | "replay");
    let hint = match kind {
        io::ErrorKind::NotFound if reads => "give a file that is there",
        io::ErrorKind::NotFound => "make its directory first",
        io::ErrorKind::PermissionDenied if reads => "give a file that you may read",
        io::ErrorKind::PermissionDenied => "give a file that you may write",
        io::ErrorKind::IsADirectory => "give a file, not a directory",
        _ => return None,
    };
    Some(hint.into())
}

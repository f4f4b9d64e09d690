//! Why the host's side of a run could not be looked after.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A call failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried, as in "open".
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The state directory belongs to someone else, or others may write to it.
    #[error("{} is not a directory of this user's alone", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The name of a run becomes the name of a directory, and this one cannot.
    #[error("`{run}` is no name of a run")]
    BadRun {
        /// The name.
        run: String,
    },
    /// A watched path is absolute, empty or has `..` in it.
    #[error("{} is no path below a root", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// No run of that name has changes.
    #[error("there are no changes of a run `{run}`")]
    NoSuchRun {
        /// The name as it was given.
        run: String,
    },
    /// Several runs begin like that.
    #[error("`{run}` can be {}", candidates.join(" or "))]
    Ambiguous {
        /// The name as it was given.
        run: String,
        /// The runs.
        candidates: Vec<String>,
    },
    /// The command may still be writing to its layer.
    #[error("run {run} is not over, or its changes are being worked on")]
    InUse {
        /// The run.
        run: String,
    },
    /// A path to apply that the run did not change.
    #[error("the run changed nothing at {}", path.display())]
    NoSuchChange {
        /// The path.
        path: PathBuf,
    },
    /// What the layer is about cannot be read.
    #[error("{} does not say what the layer is about", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// The layer was made by a mount with options that this crate does not read.
    #[error("{} has an overlay mark that is not understood (`{mark}`)", path.display())]
    Mark {
        /// Where.
        path: PathBuf,
        /// The mark's name.
        mark: &'static str,
    },
    /// Directories are nested deeper than is walked.
    #[error("the directories at {} are nested too deep", path.display())]
    TooDeep {
        /// The first that is not walked.
        path: PathBuf,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotOurs { .. } => {
                Some("remove it, or give it to this user with mode 700; `$XDG_STATE_HOME` names another place".into())
            }
            Self::NoSuchRun { .. } => Some("`ringfence diff` lists the runs that have changes".into()),
            Self::Ambiguous { .. } => Some("give more of the name".into()),
            Self::InUse { .. } => Some("wait until it is over".into()),
            Self::NoSuchChange { .. } => {
                Some("give paths as `ringfence diff RUN` prints them".into())
            }
            Self::BadRecord { .. } => Some("`ringfence discard RUN` removes the layer".into()),
            Self::Mark { .. } | Self::TooDeep { .. } => {
                Some("look into the layer by hand, or discard it".into())
            }
            Self::Io { .. } | Self::BadRun { .. } | Self::BadPath { .. } => None,
        }
    }

    /// For `map_err`: what was tried with what.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Error {
        move |source| Error::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

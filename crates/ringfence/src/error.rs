//! The one error of the facade: what its parts say, unchanged.

use std::io;

use ringfence_config::ConfigError;
use ringfence_executor::RunError;

/// A run could not be made, or was lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The config cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The caller's environment cannot be read.
    #[error("failed to read the working directory")]
    Environment(#[source] io::Error),
    /// The run was refused, could not be set up, or was lost.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Environment(_) => None,
            Self::Run(error) => error.hint(),
        }
    }
}

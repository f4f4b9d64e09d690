//! What can go wrong between a specification and a running tree.

use crate::SpawnError;
use ringfence_launcher::StepFailure;
use std::{io, path::PathBuf};
use thiserror::Error;

/// A sandbox could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A path of the specification must be absolute.
    #[error("{role} `{path}` is not absolute", path = path.display())]
    NotAbsolute {
        /// What the path was to be.
        role: &'static str,
        /// The path as given.
        path: PathBuf,
    },
    /// A path of the specification could not be looked at.
    #[error("cannot use {role} `{path}`", path = path.display())]
    Path {
        /// What the path was to be.
        role: &'static str,
        /// The path as given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A text that must go to the kernel has a NUL byte.
    #[error("{role} has a NUL byte")]
    Nul {
        /// Which text.
        role: &'static str,
    },
    /// More paths than a plan can hold.
    #[error("{count} paths are listed or hidden; at most {most} can be")]
    TooManyPaths {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// This machine has no way to enforce the specification.
    #[error("no sandbox: {why}")]
    Unavailable {
        /// The mechanism that is missing and how that was found out.
        why: String,
        /// What would bring it.
        remedy: String,
    },
    /// Full enforcement was asked for and is not to be had.
    #[error("`{property}` is not fully enforced ({level}), and full enforcement was asked for")]
    NotFull {
        /// The property.
        property: &'static str,
        /// How far it holds.
        level: String,
        /// What would bring the rest, where this machine is what is short of it.
        remedy: Option<String>,
    },
    /// The specification names something that cannot be kept by what this machine gives.
    #[error("cannot hold {what}: {why}")]
    CannotHold {
        /// What the specification names.
        what: String,
        /// Why it cannot be.
        why: String,
        /// What would bring it.
        remedy: String,
    },
    /// Nobody told which port the gateway listens on, and this sandbox needs to know.
    #[error("this sandbox needs a proxy, and none was given")]
    NoProxy,
    /// The tree could not be started.
    #[error("cannot start the sandbox")]
    Spawn(#[source] SpawnError),
    /// The caller may not start a process in the control group.
    #[error("cannot start a process in the control group")]
    Group(#[source] std::io::Error),
    /// A step of the plan failed.
    #[error("cannot set the sandbox up")]
    Step(#[source] StepFailure),
}

impl SandboxError {
    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAbsolute { .. } => Some("give the path from the root".into()),
            Self::Path { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("create `{}` or leave it out", path.display()))
            }
            Self::Unavailable { remedy, .. } | Self::CannotHold { remedy, .. } => {
                Some(remedy.clone())
            }
            Self::NotFull { remedy: Some(remedy), .. } => {
                Some(format!("{remedy}; or set `isolation = \"best_effort\"`"))
            }
            Self::NotFull { remedy: None, .. } => {
                Some("set `isolation = \"best_effort\"`, or see `ringfence doctor`".into())
            }
            Self::Step(_) => Some("see `ringfence doctor`".into()),
            _ => None,
        }
    }
}

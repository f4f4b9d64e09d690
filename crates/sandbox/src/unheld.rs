//! Protected paths that the sandbox itself cannot hold.
//!
//! A mount can hold only what exists, and a sandbox without mounts holds nothing
//! inside a writable tree. What is not held is listed here, and whoever runs the
//! command sets it right when the run is over: what was made is taken away, what
//! was changed is put back.

use std::path::PathBuf;

/// One protected path that is not held while the command runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unheld {
    /// The writable tree it lies in. Absolute and resolved.
    pub root: PathBuf,
    /// The path below `root`. Relative.
    pub path: PathBuf,
    /// What lies there before the run.
    pub before: Before,
}

/// What lies at a protected path before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Before {
    /// Nothing: whatever the command makes there is to be taken away.
    Nothing,
    /// No repository (the path is that of a `.git`): the command may make one, but its hooks
    /// are to be taken away, and the caller is to be warned.
    NoRepository,
    /// Something, which this backend cannot hold: changes are to be undone.
    Something,
}

//! Why there is no control group.

use std::io;
use std::path::PathBuf;

use crate::bus::BusError;

/// A control group could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// No hierarchy of version 2 is mounted, or this process is outside of what is.
    #[error("there is no cgroup2 hierarchy here")]
    NotMounted,
    /// None of the groups that this process lies in can have a group of its own for a run.
    #[error("no control group is delegated to this process")]
    NotDelegated,
    /// A service manager was asked for a group and gave none.
    #[error("the service manager gave no control group")]
    Scope(#[source] BusError),
    /// The group of this process has limits, which it would leave behind in another one.
    #[error("the control group `{path}` has limits of its own, which nobody may leave", path = path.display())]
    Limited {
        /// The group.
        path: PathBuf,
    },
    /// A group that was named lacks what limits need.
    #[error("the control group `{path}` has no `{controller}` controller to give", path = path.display())]
    Controller {
        /// The group.
        path: PathBuf,
        /// What it lacks.
        controller: &'static str,
    },
    /// Bandwidth is limited disk by disk, and none is known.
    #[error("no disk is known to lie behind `{path}` or any other place of the command's", path = path.display())]
    NoDisk {
        /// The first of the places.
        path: PathBuf,
    },
    /// A file of a group.
    #[error("failed to {what} `{path}`", path = path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        if matches!(self, Self::NoDisk { .. }) {
            return "bandwidth is limited for file systems on block devices; leave the limit out";
        }
        "start ringfence in a delegated group, as by `systemd-run --user --scope -p Delegate=yes`, or \
         name one as `cgroup_parent` in [runner]"
    }
}

/// Makes an error of a file.
pub(super) fn at(
    what: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.into();
    move |source| CgroupError::File { what, path, source }
}

//! A directory of a run's own, for a sandbox that cannot give it a private `/tmp`.
//!
//! It is locked as long as its run lives, so that the next process can tell what a killed one left.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};
use crate::state::{Part, State, check_run, lock_shared, try_lock};
use crate::tree::{Dir, remove_entry};

/// A directory that is removed, with everything in it, when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    all: Dir,
    name: String,
    path: PathBuf,
    /// Holds the lock.
    _dir: Dir,
}

impl Scratch {
    /// An empty directory for a run, for the user alone.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be used.
    pub fn create(state: &State, run: &str) -> Result<Scratch> {
        check_run(run)?;
        let (all, parent) = (state.make(Part::Scratch)?, state.path_of(Part::Scratch));
        lock_shared(&all, &parent)?;
        let path = parent.join(run);
        let made = all.make_dir(run.as_ref()).and_then(|dir| {
            flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
            Ok(dir)
        });
        let dir = made.map_err(Error::io("make", &path));
        flock(&all, FlockOperation::Unlock).map_err(Error::io("unlock", &parent))?;
        Ok(Scratch { all, name: run.to_owned(), path, _dir: dir? })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by a later sweep.
        let _ = remove_entry(&self.all, OsStr::new(&self.name));
    }
}

/// Removes the directories of dead runs.
pub(crate) fn sweep(state: &State) -> Result<()> {
    let Some(all) = state.find(Part::Scratch)? else { return Ok(()) };
    let path = state.path_of(Part::Scratch);
    if !try_lock(&all).map_err(Error::io("lock", &path))? {
        return Ok(());
    }
    for name in all.names().map_err(Error::io("list", &path))? {
        if all.child(&*name).is_ok_and(|dir| !matches!(try_lock(&dir), Ok(true))) {
            continue;
        }
        remove_entry(&all, &name).map_err(Error::io("remove", &path.join(&name)))?;
    }
    flock(&all, FlockOperation::Unlock).map_err(Error::io("unlock", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_with_its_run_or_by_the_next() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = State::at(dir.path().join("state"));
        let scratch = Scratch::create(&state, "run-1").expect("a directory");
        let path = scratch.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).expect("a directory in it");
        sweep(&state).expect("a sweep");
        assert!(path.is_dir(), "it is in use");
        drop(scratch);
        assert!(!path.exists());
        std::fs::create_dir(&path).expect("what a killed process left");
        sweep(&state).expect("a sweep");
        assert!(!path.exists());
    }
}

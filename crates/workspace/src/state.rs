//! The state directory: what is kept between runs, for the user alone.
//!
//! It has four parts: `layers` (changes of runs that may be applied), `guards` (journals of
//! runs in flight, so that the next process finishes what a killed one began) and `quarantine`
//! (what commands made where they must not), and `scratch` (directories in place of a
//! private `/tmp`). All are made when they are needed.
//!
//! The trap: a command that can write here can loosen the next run. Whoever makes the sandbox
//! must keep this directory out of every writable tree.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::error::{Error, Result};
use crate::tree::{Dir, Meta};

/// Longest name of a run, in bytes. A ULID has 26; the bound leaves room for names of files made of it.
const MAX_RUN: usize = 64;

/// The state directory, as a value; nothing is made or opened before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    root: PathBuf,
}

/// A part of the state directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Layers,
    Guards,
    Quarantine,
    Scratch,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Layers => "layers",
            Part::Guards => "guards",
            Part::Quarantine => "quarantine",
            Part::Scratch => "scratch",
        }
    }
}

impl State {
    /// The state in this directory, an absolute path; usually `$XDG_STATE_HOME/ringfence`.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> State {
        State { root: directory.into() }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes it, where it is not there. Before a sandbox is prepared in which it could be written: what
    /// is not there cannot be held, and is taken for the command's when it is there afterwards.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or is not the user's own.
    pub fn settle(&self) -> Result<()> {
        self.make(Part::Guards).map(drop)
    }

    pub(crate) fn path_of(&self, part: Part) -> PathBuf {
        self.root.join(part.name())
    }

    /// A part, made when it is not there.
    pub(crate) fn make(&self, part: Part) -> Result<Dir> {
        if let Some(dir) = self.find(part)? {
            return Ok(dir);
        }
        let path = self.path_of(part);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(Error::io("make", &path))?;
        self.find(part)?.ok_or_else(|| Error::io("open", &path)(Errno::NOENT))
    }

    /// A part; `None` when nothing was ever kept there.
    pub(crate) fn find(&self, part: Part) -> Result<Option<Dir>> {
        let root = match Dir::open_trusted(&self.root) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(Error::io("open", &self.root))?,
        };
        self.own(&root, &self.root)?;
        let path = self.path_of(part);
        match root.child(part.name()) {
            Err(Errno::NOENT) => Ok(None),
            opened => {
                let dir = opened.map_err(Error::io("open", &path))?;
                self.own(&dir, &path)?;
                Ok(Some(dir))
            }
        }
    }

    /// Others may neither read nor write: it holds contents of the user's files.
    fn own(&self, dir: &Dir, path: &Path) -> Result<()> {
        let meta = Meta::of(dir).map_err(Error::io("look at", path))?;
        if meta.owner != geteuid().as_raw() {
            return Err(Error::NotOurs { path: path.to_owned() });
        }
        if meta.mode & 0o077 != 0 {
            dir.set_mode(0o700).map_err(Error::io("close to others", path))?;
        }
        Ok(())
    }
}

/// Passes a name of a run that can be the name of a directory: letters, digits, `-`, `_`, `.`, and
/// no `.` in front.
pub(crate) fn check_run(run: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if run.is_empty() || run.len() > MAX_RUN || run.starts_with('.') || !run.bytes().all(is_plain) {
        return Err(Error::BadRun { run: run.to_owned() });
    }
    Ok(())
}

/// Whether nobody else holds the lock that was asked for, without waiting.
pub(crate) fn try_lock(fd: impl std::os::fd::AsFd) -> rustix::io::Result<bool> {
    match flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// While the lock is held, what is half made in a part is not taken for what a crash left.
pub(crate) fn lock_shared(dir: &Dir, path: &Path) -> Result<()> {
    flock(dir, FlockOperation::LockShared).map_err(Error::io("lock", path))
}

/// Names of what is being made, which only becomes visible when it is whole.
pub(crate) const NEW: &str = ".new-";

/// Names of what is being removed.
pub(crate) const GONE: &str = ".gone-";

/// Whether a name is that of something half made or half removed.
pub(crate) fn is_partial(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(NEW.as_bytes()) || name.starts_with(GONE.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_name_of_a_run_is_a_plain_name() {
        for good in ["01ARYZ6S410000000000000000", "a", "a-b_c.d"] {
            assert!(check_run(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".new-a", "a/b", "a\nb", "ä", &"a".repeat(65)] {
            assert!(check_run(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn it_is_made_when_needed_and_for_the_user_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = State::at(dir.path().join("a/ringfence"));
        assert!(state.find(Part::Guards).expect("a look").is_none());
        drop(state.make(Part::Guards).expect("a part"));
        for path in ["a", "a/ringfence", "a/ringfence/guards"] {
            let mode = fs::metadata(dir.path().join(path)).expect("a directory").permissions();
            assert_eq!(mode.mode() & 0o777, 0o700, "{path}");
        }
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
        assert!(state.find(Part::Guards).expect("a look").is_some());
        let mode = fs::metadata(state.path()).expect("a directory").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

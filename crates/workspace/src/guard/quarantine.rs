//! Where things go that must not stay.
//!
//! Moving keeps the evidence, and it is one call. Across file systems it is a copy and a removal.
//! Taking away comes first: what cannot be kept is removed all the same, and the finding says so.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::state::{Part, State};
use crate::tree::{Bounds, CopyError, Dir, copy_entry, remove_entry, rename_new};

/// The quarantine of one run; its directory is made with the first thing that goes there.
pub(crate) struct Quarantine<'a> {
    state: &'a State,
    run: &'a str,
}

/// What became of something that had to go.
pub(crate) struct Taken {
    pub(crate) kept_at: Option<PathBuf>,
    pub(crate) trouble: Option<String>,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(state: &'a State, run: &'a str) -> Quarantine<'a> {
        Quarantine { state, run }
    }

    /// Takes away what lies at `name`, which the caller knows as `path`; `None` when it is gone.
    pub(crate) fn take(&self, dir: &Dir, name: &OsStr, path: &Path) -> Option<Taken> {
        match self.keep(dir, name, path) {
            Ok(Some(kept_at)) => Some(Taken { kept_at: Some(kept_at), trouble: None }),
            Ok(None) => None,
            Err(why) => {
                let trouble = match remove_entry(dir, name) {
                    Ok(()) => format!("it could not be kept: {why}"),
                    Err(error) => format!("it is still there: {error}; {why}"),
                };
                Some(Taken { kept_at: None, trouble: Some(trouble) })
            }
        }
    }

    fn keep(
        &self,
        dir: &Dir,
        name: &OsStr,
        path: &Path,
    ) -> std::result::Result<Option<PathBuf>, String> {
        let (place, parent) = self.place(path).map_err(|error| full(&error))?;
        let wanted = path.file_name().unwrap_or(name);
        let mut number = 0;
        loop {
            let new = numbered(wanted, number);
            match move_entry(dir, name, &parent, &new) {
                Ok(()) => return Ok(Some(place.join(new))),
                Err(MoveError::Gone) => return Ok(None),
                Err(MoveError::Taken) => number += 1,
                Err(MoveError::Failed(error)) => return Err(error.to_string()),
            }
        }
    }

    /// The directory for it: that of the run, and in it the directories of the path.
    fn place(&self, path: &Path) -> Result<(PathBuf, Dir)> {
        let mut dir = self.state.make(Part::Quarantine)?;
        let mut place = self.state.path_of(Part::Quarantine);
        let above = path.parent().into_iter().flat_map(Path::components);
        for name in std::iter::once(OsStr::new(self.run)).chain(above.map(|name| name.as_os_str()))
        {
            place.push(name);
            dir = match dir.child_or_new(name) {
                Ok(child) => child,
                // A file of that name is kept there: what comes now goes beside it.
                Err(error) if crate::tree::is_gone(error) => return Ok((place_of(&place), dir)),
                Err(error) => return Err(Error::io("make", &place)(error)),
            };
        }
        Ok((place, dir))
    }
}

fn place_of(place: &Path) -> PathBuf {
    place.parent().map(Path::to_owned).unwrap_or_default()
}

fn full(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn numbered(name: &OsStr, number: u32) -> OsString {
    let mut numbered = name.to_owned();
    if number > 0 {
        numbered.push(format!(".{number}"));
    }
    numbered
}

enum MoveError {
    Gone,
    Taken,
    Failed(CopyError),
}

fn move_entry(
    dir: &Dir,
    name: &OsStr,
    to: &Dir,
    new: &OsStr,
) -> std::result::Result<(), MoveError> {
    let rename = || rename_new(dir, name, to, new);
    let renamed = match dir.writing(rename) {
        // A directory that keeps its owner out cannot be moved before it is opened.
        Err(Errno::ACCESS) => {
            if let Ok(Some(meta)) = dir.meta(name)
                && let Ok(mut child) = dir.unlocked_child(name, &meta)
            {
                child.stay_unlocked();
            }
            dir.writing(rename)
        }
        renamed => renamed,
    };
    match renamed {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => Err(MoveError::Gone),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Err(MoveError::Taken),
        Err(Errno::XDEV) => copy_and_remove(dir, name, to, new),
        Err(error) => Err(MoveError::Failed(error.into())),
    }
}

fn copy_and_remove(
    dir: &Dir,
    name: &OsStr,
    to: &Dir,
    new: &OsStr,
) -> std::result::Result<(), MoveError> {
    let failed = |error: Errno| MoveError::Failed(error.into());
    if to.meta(new).map_err(failed)?.is_some() {
        return Err(MoveError::Taken);
    }
    if let Err(error) = copy_entry((dir, name), (to, new), &mut Bounds::NONE.clone()) {
        // What was copied of it is no evidence.
        let _ = remove_entry(to, new);
        return match dir.meta(name) {
            Ok(None) => Err(MoveError::Gone),
            _ => Err(MoveError::Failed(error)),
        };
    }
    remove_entry(dir, name).map_err(failed)
}

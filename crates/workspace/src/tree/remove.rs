//! Removing whole trees, however they were made.
//!
//! A command can nest directories deeper than a process has descriptors. From a certain depth on,
//! a directory is moved up beside the others before it is emptied.

use std::ffi::{OsStr, OsString};

use rustix::io::{self, Errno};

use super::{Dir, rename_new};

/// Levels that are walked before a directory is moved up.
const STEPS: usize = 32;

/// Removes what lies at `name`: a file, or a directory with all that is below it, those of mode
/// 000 included. Nothing there is fine.
pub(crate) fn remove_entry(dir: &Dir, name: &OsStr) -> io::Result<()> {
    match dir.meta(name)? {
        None => Ok(()),
        Some(meta) if meta.is_dir() => {
            let mut top = dir.unlocked_child(name, &meta)?;
            top.stay_unlocked();
            let mut moved = 0;
            while !is_empty(&top)? {
                empty(&top, &top, 0, &mut moved)?;
            }
            gone(dir.writing(|| dir.remove_dir(name)))
        }
        Some(_) => gone(dir.writing(|| dir.unlink(name))),
    }
}

fn is_empty(dir: &Dir) -> io::Result<bool> {
    dir.names().map(|names| names.is_empty())
}

fn empty(top: &Dir, dir: &Dir, depth: usize, moved: &mut u64) -> io::Result<()> {
    for name in dir.names()? {
        let Some(meta) = dir.meta(&name)? else { continue };
        if !meta.is_dir() {
            gone(dir.unlink(&name))?;
        } else if depth >= STEPS {
            // Renaming a directory changes it, so it must be open to its owner.
            let _ = dir.unlocked_child(&name, &meta).map(|mut child| child.stay_unlocked());
            move_up(top, dir, &name, moved)?;
        } else {
            let mut child = dir.unlocked_child(&name, &meta)?;
            child.stay_unlocked();
            empty(top, &child, depth + 1, moved)?;
            drop(child);
            match dir.remove_dir(&name) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                removed => gone(removed)?,
            }
        }
    }
    Ok(())
}

fn move_up(top: &Dir, dir: &Dir, name: &OsStr, moved: &mut u64) -> io::Result<()> {
    loop {
        *moved += 1;
        match rename_new(dir, name, top, &OsString::from(format!(".moved-up-{moved}"))) {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
}

fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

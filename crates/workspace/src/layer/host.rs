//! Putting one entry of a layer in its place in the workspace.
//!
//! Everything is made ready under a temporary name in the same directory and then put in place by
//! one rename, so each path is as it was or as it shall be, whenever the process dies. Parents are
//! opened from the workspace down, with no symbolic link followed: a link that the command left in
//! the layer is copied, never used.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, fsync, linkat, renameat};
use rustix::io::{self, Errno};

use super::change::{Change, ChangeKind, applied_mode};
use super::pending::{Notes, temporary};
use crate::tree::{
    Bounds, CopyError, Dir, FileKind, Meta, Moment, copy_entry, copy_xattrs, exchange,
    remove_entry, rename_new, set_modified,
};

/// The workspace while a layer is applied to it.
pub(super) struct Host {
    root: Dir,
    created: Moment,
    notes: Notes,
    ready: OsString,
    old: OsString,
    /// The directory of the last change; the next is often in the same.
    current: Option<(PathBuf, Rc<Dir>)>,
}

/// Why a change was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("it changed on the host just now")]
    Changed,
    #[error("a directory above it is a symbolic link on the host, or gone")]
    NoDirectory,
    #[error("it cannot be made here")]
    Special,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Failed {
        Failed::Io(error.into())
    }
}

impl Host {
    pub(super) fn new(root: Dir, created: Moment, notes: Notes, run: &str) -> Host {
        let [ready, old] = temporary(run);
        Host { root, created, notes, ready, old, current: None }
    }

    /// Everything is in place: nothing is pending, and it is on disk.
    pub(super) fn done(&mut self) -> io::Result<()> {
        self.current = None;
        crate::tree::sync_all(&self.root)?;
        self.notes.done().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Takes away what the layer deleted.
    pub(super) fn delete(&mut self, change: &Change) -> Result<(), Failed> {
        let (dir, name) = self.enter(change)?;
        let dir = &*dir;
        if change.before.is_some_and(|before| before.file == FileKind::Directory) {
            dir.writing(|| rename_new(dir, name, dir, &self.old))?;
            dir.writing(|| remove_entry(dir, &self.old))?;
        } else {
            dir.writing(|| dir.unlink(name))?;
        }
        Ok(())
    }

    /// Sets the permission bits of a file. Its other names keep theirs, as they did in the overlay: a
    /// file with several is replaced by a copy.
    pub(super) fn set_mode(&mut self, change: &Change) -> Result<(), Failed> {
        let Some(after) = change.after else { return Ok(()) };
        let (dir, name) = self.enter(change)?;
        let dir = &*dir;
        if change.host.is_none_or(|host| host.links == 1) {
            return Ok(dir.chmod(name, after.mode)?);
        }
        let replaced = dir.writing(|| {
            remove_entry(dir, &self.ready)?;
            copy_entry((dir, name), (dir, &self.ready), &mut Bounds::NONE.clone())
                .map_err(plain)?;
            dir.chmod(&self.ready, after.mode)?;
            fsync(dir.open_file(&self.ready, change.host.as_ref())?)?;
            renameat(dir, &self.ready, dir, name)
        });
        Ok(replaced.inspect_err(|_| {
            let _ = dir.writing(|| remove_entry(dir, &self.ready));
        })?)
    }

    /// Makes a directory, closed to others until it is complete.
    pub(super) fn make_directory(&mut self, change: &Change) -> Result<(), Failed> {
        let (dir, name) = self.enter(change)?;
        let dir = &*dir;
        if change.kind == ChangeKind::Added {
            dir.writing(|| dir.make_dir(name))?;
            return Ok(());
        }
        dir.writing(|| dir.make_dir(&self.ready))?;
        Ok(dir.writing(|| self.place(dir, name, change))?)
    }

    /// Gives a directory its permission bits, and its time when the layer made it.
    pub(super) fn complete_directory(
        &mut self,
        change: &Change,
        upper: &Dir,
    ) -> Result<(), Failed> {
        let Some(after) = change.after else { return Ok(()) };
        let is_new = change.kind != ChangeKind::ModeChanged;
        let directory = match change.path.file_name() {
            None => self.root.descend(Path::new(""))?,
            Some(name) => {
                let parent = self.parent(&change.path)?;
                let meta = parent.meta(name)?.ok_or(Errno::NOENT)?;
                let mut directory = parent.unlocked_child(name, &meta)?;
                directory.stay_unlocked();
                directory
            }
        };
        if is_new {
            copy_xattrs(upper, &directory)?;
            set_modified(&directory, Meta::of(upper)?.modified)?;
        }
        Ok(directory.set_mode(after.mode)?)
    }

    /// Copies a file, a link or a fifo.
    pub(super) fn copy(&mut self, change: &Change, upper: &Dir) -> Result<(), Failed> {
        let (dir, name) = self.enter(change)?;
        let dir = &*dir;
        let copied = dir.writing(|| {
            remove_entry(dir, &self.ready)?;
            copy_entry((upper, name), (dir, &self.ready), &mut Bounds::NONE.clone()).map_err(plain)
        });
        let placed = copied.and_then(|()| {
            self.settle(dir, upper, name, change.kind)?;
            dir.writing(|| self.place(dir, name, change))
        });
        placed.map_err(|error| {
            let _ = dir.writing(|| remove_entry(dir, &self.ready));
            lost(error)
        })
    }

    /// Gives a file a further name, that of a link in the layer.
    pub(super) fn link(&mut self, change: &Change, peer: &Path) -> Result<(), Failed> {
        let from = self.parent(peer)?;
        let peer = peer.file_name().ok_or(Errno::INVAL)?.to_owned();
        let (dir, name) = self.enter(change)?;
        let dir = &*dir;
        dir.writing(|| {
            remove_entry(dir, &self.ready)?;
            linkat(&from, &peer, dir, &self.ready, AtFlags::empty())?;
            self.place(dir, name, change)
        })
        .map_err(lost)
    }

    /// Bits that are not applied go before others can see the file; what replaces something is on
    /// disk first.
    fn settle(&self, dir: &Dir, upper: &Dir, name: &OsStr, kind: ChangeKind) -> io::Result<()> {
        let meta = upper.meta(name)?.ok_or(Errno::NOENT)?;
        if meta.kind != FileKind::File {
            return Ok(());
        }
        let file = dir.open_file(&self.ready, Some(&meta))?;
        if applied_mode(&meta) != meta.mode {
            dir.chmod(&self.ready, applied_mode(&meta))?;
        }
        if kind == ChangeKind::Added { Ok(()) } else { fsync(file) }
    }

    /// From the temporary name to its own.
    fn place(&self, dir: &Dir, name: &OsStr, change: &Change) -> io::Result<()> {
        let is_directory = |entry: Option<super::Entry>| {
            entry.is_some_and(|entry| entry.file == FileKind::Directory)
        };
        if change.kind == ChangeKind::Added {
            return rename_new(dir, &self.ready, dir, name);
        }
        if !is_directory(change.before) && !is_directory(change.after) {
            return renameat(dir, &self.ready, dir, name);
        }
        match exchange(dir, &self.ready, name) {
            Ok(()) => remove_entry(dir, &self.ready),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                remove_entry(dir, &self.old)?;
                rename_new(dir, name, dir, &self.old)?;
                rename_new(dir, &self.ready, dir, name)?;
                remove_entry(dir, &self.old)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the directory of a change, notes it, and looks once more at what is there.
    fn enter<'a>(&mut self, change: &'a Change) -> Result<(Rc<Dir>, &'a OsStr), Failed> {
        let name = change.path.file_name().ok_or(Errno::INVAL)?;
        let parent = change.path.parent().unwrap_or(Path::new("")).to_owned();
        if self.current.as_ref().is_none_or(|(path, _)| *path != parent) {
            let dir = self.parent(&change.path)?;
            let is_unchanged = Meta::of(&dir)?.changed <= self.created;
            self.notes.entering(&parent, is_unchanged)?;
            self.current = Some((parent, Rc::new(dir)));
        }
        let (_, dir) = self.current.as_ref().expect("because it was just set");
        // Not the change time: it moves with the links of a file, which an apply may make or take away.
        let look = |meta: Meta| (meta.identity, meta.size, meta.modified);
        if dir.meta(name)?.map(look) != change.host.map(look) {
            return Err(Failed::Changed);
        }
        Ok((Rc::clone(dir), name))
    }

    fn parent(&self, path: &Path) -> Result<Dir, Failed> {
        match self.root.descend(path.parent().unwrap_or(Path::new(""))) {
            Err(error) if crate::tree::is_gone(error) => Err(Failed::NoDirectory),
            opened => Ok(opened?),
        }
    }
}

/// Something got there first.
fn lost(error: Errno) -> Failed {
    if error == Errno::EXIST { Failed::Changed } else { error.into() }
}

fn plain(error: CopyError) -> Errno {
    match error {
        CopyError::Io(error) => Errno::from_io_error(&error).unwrap_or(Errno::IO),
        CopyError::TooMuch | CopyError::TooDeep | CopyError::Special => Errno::OPNOTSUPP,
    }
}

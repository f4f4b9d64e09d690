//! Copies of what is there before a run, and putting it back afterwards.
//!
//! Only for sandboxes that have no mounts to hold a protected path with, so the paths are few and
//! the copies small; what is larger than [`BOUNDS`] is not kept, and a warning says so.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use rustix::fs::renameat;
use rustix::io::Errno;

use super::finding::What;
use super::inspect::Inspection;
use super::watchlist::{Before, Leaf, Watched};
use crate::escape::escape;
use crate::tree::{
    Bounds, CopyError, Dir, FileKind, MAX_DEPTH, Meta, copy_entry, remove_entry, same_entry,
};

/// What is kept of one path. Bytes: 4 MiB; entries: 1,000. A `.git/hooks` has some twenty files.
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, entries: 1_000 };

/// Under this name what is put back is made ready.
const READY: &str = ".ringfence-put-back";

/// Copies every path that is to be put back, and warns of those that cannot be.
pub(super) fn keep(watched: &[Watched], copies: &Dir) -> Vec<String> {
    let mut warnings = Vec::new();
    let something =
        watched.iter().enumerate().filter(|(_, watched)| watched.before == Before::Something);
    for (index, watched) in something {
        let name = OsString::from(index.to_string());
        if let Err(error) = keep_one(watched, copies, &name) {
            let _ = remove_entry(copies, &name);
            let path = watched.root.join(&watched.path);
            warnings.push(format!("changes to {} cannot be undone: {error}", escape(&path)));
        }
    }
    warnings
}

fn keep_one(watched: &Watched, copies: &Dir, name: &OsStr) -> Result<(), CopyError> {
    let root = Dir::open(&watched.root)?;
    let parent = root.descend(watched.path.parent().unwrap_or(Path::new("")))?;
    let last = watched.path.file_name().ok_or(Errno::INVAL)?;
    copy_entry((&parent, last), (copies, name), &mut BOUNDS.clone())
}

/// Undoes what the command did to one path that was there.
pub(super) fn undo(inspection: &mut Inspection<'_>, dir: &Dir, leaf: &Leaf, path: &Path) {
    let Some(copies) = inspection.copies() else { return };
    let copy = OsString::from(leaf.index.to_string());
    // Nothing is there when it could not be kept, which was said at the beginning.
    let Ok(Some(meta)) = copies.meta(&copy) else { return };
    let name = super::watchlist::os(&leaf.name);
    Undoing { inspection }.entry((copies, &copy, &meta), (dir, name), path, MAX_DEPTH);
}

struct Undoing<'a, 'b> {
    inspection: &'a mut Inspection<'b>,
}

impl Undoing<'_, '_> {
    fn entry(
        &mut self,
        copy: (&Dir, &OsStr, &Meta),
        (dir, name): (&Dir, &OsStr),
        path: &Path,
        depth: usize,
    ) {
        let now = match dir.meta(name) {
            Ok(now) => now,
            Err(error) => {
                return self.inspection.warn(path, &format!("cannot be looked at: {error}"));
            }
        };
        match now {
            None => {
                let trouble = put_back(copy, (dir, name)).err();
                self.inspection.report(What::Removed, path, trouble);
            }
            Some(now) if now.is_dir() && copy.2.is_dir() => {
                self.directory(copy, (dir, name, &now), path, depth);
            }
            Some(now) => match same_entry(copy, (dir, name, &now)) {
                Ok(true) => self.mode(copy.2, (dir, name, &now), path),
                _ => self.replace(copy, (dir, name), path),
            },
        }
    }

    fn replace(&mut self, copy: (&Dir, &OsStr, &Meta), (dir, name): (&Dir, &OsStr), path: &Path) {
        self.inspection.take_as(What::Changed, dir, name, path);
        if let Err(trouble) = put_back(copy, (dir, name)) {
            self.inspection.trouble(trouble);
        }
    }

    fn mode(&mut self, copy: &Meta, (dir, name, now): (&Dir, &OsStr, &Meta), path: &Path) {
        if copy.mode != now.mode && copy.kind != FileKind::Symlink {
            let trouble = dir.chmod(name, copy.mode).err().map(not_put_back);
            self.inspection.report(What::Changed, path, trouble);
        }
    }

    fn directory(
        &mut self,
        copy: (&Dir, &OsStr, &Meta),
        (dir, name, now): (&Dir, &OsStr, &Meta),
        path: &Path,
        depth: usize,
    ) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let opened = (copy.0.unlocked_child(copy.1, copy.2), dir.unlocked_child(name, now));
        let (before, after) = match opened {
            (Ok(before), Ok(after)) => (before, after),
            (Err(error), _) | (_, Err(error)) => {
                return self.inspection.warn(path, &format!("cannot be looked into: {error}"));
            }
        };
        let names: BTreeSet<OsString> =
            [&before, &after].into_iter().flat_map(|dir| dir.names().unwrap_or_default()).collect();
        for name in names {
            let path = path.join(&name);
            match before.meta(&name) {
                Ok(Some(meta)) => {
                    self.entry((&before, &name, &meta), (&after, &name), &path, depth)
                }
                _ => self.inspection.take(&after, &name, &path),
            }
        }
        drop(after);
        self.mode(copy.2, (dir, name, now), path);
    }
}

/// Puts the copy back in one step, so that never half of it is there.
fn put_back(copy: (&Dir, &OsStr, &Meta), (dir, name): (&Dir, &OsStr)) -> Result<(), String> {
    let ready = OsStr::new(READY);
    let copied = dir.writing(|| {
        remove_entry(dir, ready)?;
        copy_entry((copy.0, copy.1), (dir, ready), &mut Bounds::NONE.clone()).map_err(errno)?;
        renameat(dir, ready, dir, name)
    });
    copied.map_err(|error| {
        let _ = remove_entry(dir, ready);
        not_put_back(error)
    })
}

fn errno(error: CopyError) -> Errno {
    match error {
        CopyError::Io(error) => Errno::from_io_error(&error).unwrap_or(Errno::IO),
        CopyError::TooMuch | CopyError::TooDeep | CopyError::Special => Errno::OPNOTSUPP,
    }
}

fn not_put_back(error: Errno) -> String {
    format!("it could not be put back: {error}")
}

//! From a layer as overlayfs leaves it to a list of changes.
//!
//! The layer holds what the command made or touched, deleted names as marks (a device 0/0, or an
//! empty file with an attribute), and directories that show nothing of the host below them
//! (`opaque`). It is compared with the workspace as it is now: what is the same is no change.
//!
//! The trap is a directory that the command deleted and made again: what the host has there and the
//! layer has not is deleted, though no mark says so.
//!
//! # References
//!
//! <https://docs.kernel.org/filesystems/overlayfs.html>

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::change::{Change, ChangeKind, Diff, Entry, applied_mode, drops_bits};
use super::record::Record;
use crate::error::{Error, Result};
use crate::escape::escape;
use crate::tree::{Dir, FileKind, MAX_DEPTH, Meta, has_whiteout_mark, overlay_mark, same_entry};

/// A comparison in progress.
pub(crate) struct Walk<'a> {
    record: &'a Record,
    /// Where the layer lies, for errors.
    upper: &'a Path,
    /// Known to be on the host already.
    applied: &'a HashSet<PathBuf>,
    /// Directories of the host that an apply of this layer changed.
    touched: &'a HashSet<PathBuf>,
    diff: Diff,
}

/// What is known of the directory that is compared.
#[derive(Clone, Copy)]
struct Place {
    /// Nothing of the host shows through.
    is_whole: bool,
    /// And the host's directory was changed since the run began.
    is_changed: bool,
    depth: usize,
}

/// Compares a layer with the workspace.
pub(crate) fn compare(
    record: &Record,
    upper: (&Dir, &Path),
    host: &Dir,
    applied: &HashSet<PathBuf>,
    touched: &HashSet<PathBuf>,
) -> Result<Diff> {
    let mut walk = Walk { record, upper: upper.1, applied, touched, diff: Diff::default() };
    walk.root_mode(upper.0, host)?;
    let place = Place { is_whole: false, is_changed: false, depth: MAX_DEPTH };
    walk.directory(upper.0, Some(host), Path::new(""), place)?;
    walk.diff.changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(walk.diff)
}

impl Walk<'_> {
    fn root_mode(&mut self, upper: &Dir, host: &Dir) -> Result<()> {
        let look = |dir: &Dir| Meta::of(dir).map_err(Error::io("look at", self.upper));
        let (after, before) = (look(upper)?, look(host)?);
        if after.mode != before.mode {
            self.push(Path::new("."), ChangeKind::ModeChanged, Some(&before), Some(&after));
        }
        Ok(())
    }

    fn directory(
        &mut self,
        upper: &Dir,
        host: Option<&Dir>,
        path: &Path,
        place: Place,
    ) -> Result<()> {
        let at = self.upper.join(path);
        let names = upper.names().map_err(Error::io("list", &at))?;
        for name in &names {
            self.name(upper, host, name, &path.join(name), place)?;
        }
        if place.is_whole
            && let Some(host) = host
        {
            let first = self.diff.changes.len();
            for name in
                host.names().map_err(Error::io("list", &self.record.workspace.join(path)))?
            {
                if names.binary_search(&name).is_err() {
                    self.deleted(host, &name, &path.join(&name))?;
                }
            }
            self.mark_changed(first, place);
        }
        Ok(())
    }

    fn name(
        &mut self,
        upper: &Dir,
        host: Option<&Dir>,
        name: &OsStr,
        path: &Path,
        place: Place,
    ) -> Result<()> {
        let at = self.upper.join(path);
        let io = |error: Errno| Error::io("look at", &at)(error);
        let Some(after) = upper.meta(name).map_err(io)? else { return Ok(()) };
        if is_whiteout(upper, name, &after).map_err(io)? {
            return match host {
                Some(host) => self.deleted(host, name, path),
                None => Ok(()),
            };
        }
        let before = host.and_then(|host| seen(host, name));
        if after.links > 1 && !after.is_dir() {
            self.diff.links.entry(after.identity).or_default().push(path.to_owned());
        }
        let first = self.diff.changes.len();
        match (host, before) {
            _ if self.applied.contains(path) => {}
            (_, None) => self.added(upper, name, &after, path)?,
            (Some(_), Some(before)) if before.kind != after.kind => {
                self.push(path, ChangeKind::TypeChanged, Some(&before), Some(&after));
                self.contains_protected(host, name, &before)?;
            }
            (Some(host), Some(before)) => self.both(upper, host, name, (&before, &after), path)?,
            (None, Some(_)) => {}
        }
        self.mark_changed(first, place);
        if after.is_dir() {
            let host = host.filter(|_| before.is_some_and(|before| before.is_dir()));
            self.below(upper, host, name, (&after, before.as_ref()), path, place)?;
        }
        Ok(())
    }

    fn below(
        &mut self,
        upper: &Dir,
        host: Option<&Dir>,
        name: &OsStr,
        (after, before): (&Meta, Option<&Meta>),
        path: &Path,
        place: Place,
    ) -> Result<()> {
        let at = self.upper.join(path);
        let too_deep = || Error::TooDeep { path: at.clone() };
        let depth = place.depth.checked_sub(1).ok_or_else(too_deep)?;
        let child = upper.unlocked_child(name, after).map_err(Error::io("open", &at))?;
        let mark = |mark| overlay_mark(&child, mark).map_err(Error::io("look at", &at));
        if mark("redirect")?.is_some() {
            return Err(Error::Mark { path: at, mark: "redirect" });
        }
        let is_opaque = mark("opaque")?.is_some_and(|value| value == b"y");
        // One that keeps the owner out shows nothing; applying looks again.
        let host = host.and_then(|host| host.child(name).ok());
        let is_changed = place.is_changed
            || is_opaque
                && before.is_some_and(|before| before.changed > self.record.created)
                && !self.touched.contains(path);
        let place = Place { is_whole: place.is_whole || is_opaque, is_changed, depth };
        self.directory(&child, host.as_ref(), path, place)
    }

    fn added(&mut self, upper: &Dir, name: &OsStr, after: &Meta, path: &Path) -> Result<()> {
        if is_metadata_only(upper, name, after)
            .map_err(Error::io("look at", &self.upper.join(path)))?
        {
            return Err(Error::Mark { path: self.upper.join(path), mark: "metacopy" });
        }
        self.push(path, ChangeKind::Added, None, Some(after));
        if let Some(change) = self.diff.changes.last_mut() {
            change.is_copied_up = has_origin(upper, name, after);
        }
        self.warn_of_bits(path, after);
        Ok(())
    }

    fn both(
        &mut self,
        upper: &Dir,
        host: &Dir,
        name: &OsStr,
        (before, after): (&Meta, &Meta),
        path: &Path,
    ) -> Result<()> {
        let io = |error: std::io::Error| Error::io("compare", &self.upper.join(path))(error);
        let is_same = after.is_dir()
            || is_metadata_only(upper, name, after).map_err(|error| io(error.into()))?
            || match same_entry((upper, name, after), (host, name, before)) {
                // A host file that cannot be read is taken for another.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => false,
                same => same.map_err(io)?,
            };
        let is_same_mode = after.kind == FileKind::Symlink || applied_mode(after) == before.mode;
        match (is_same, is_same_mode) {
            (true, true) => return Ok(()),
            (true, false) => self.push(path, ChangeKind::ModeChanged, Some(before), Some(after)),
            (false, _) => self.push(path, ChangeKind::Modified, Some(before), Some(after)),
        }
        self.warn_of_bits(path, after);
        Ok(())
    }

    fn deleted(&mut self, host: &Dir, name: &OsStr, path: &Path) -> Result<()> {
        if let Some(before) = seen(host, name) {
            self.push(path, ChangeKind::Deleted, Some(&before), None);
            self.contains_protected(Some(host), name, &before)?;
        }
        Ok(())
    }

    /// A directory that goes is protected when anything in it is.
    fn contains_protected(
        &mut self,
        host: Option<&Dir>,
        name: &OsStr,
        before: &Meta,
    ) -> Result<()> {
        let Some(change) = self.diff.changes.last_mut() else { return Ok(()) };
        if let Some(host) = host
            && before.is_dir()
            && !change.protected
        {
            let protected = &self.record.protected;
            change.protected = any_below(host, name, &change.path, MAX_DEPTH, &mut |path, _| {
                protected.covers(path)
            });
        }
        Ok(())
    }

    fn push(&mut self, path: &Path, kind: ChangeKind, before: Option<&Meta>, after: Option<&Meta>) {
        self.diff.changes.push(Change {
            path: path.to_owned(),
            kind,
            before: before.map(Entry::of),
            after: after.map(Entry::applied),
            protected: self.record.protected.covers(path),
            host: before.copied(),
            directory_changed: false,
            is_copied_up: false,
        });
    }

    fn mark_changed(&mut self, first: usize, place: Place) {
        if place.is_changed {
            self.diff.changes[first..]
                .iter_mut()
                .for_each(|change| change.directory_changed = true);
        }
    }

    fn warn_of_bits(&mut self, path: &Path, after: &Meta) {
        if drops_bits(after) {
            let warning = "has the set-user-ID or set-group-ID bit, which is not applied";
            self.diff.warnings.push(format!("{} {warning}", escape(path)));
        }
        if matches!(after.kind, FileKind::Socket | FileKind::Device) {
            let what = after.kind.as_str();
            self.diff.warnings.push(format!("{} is a {what}, which is not applied", escape(path)));
        }
    }
}

/// Whether anything in a directory of the host, itself included, is as asked. What cannot be looked
/// into is passed over.
pub(crate) fn any_below(
    dir: &Dir,
    name: &OsStr,
    path: &Path,
    depth: usize,
    ask: &mut dyn FnMut(&Path, &Meta) -> bool,
) -> bool {
    let Some(meta) = seen(dir, name) else { return false };
    if ask(path, &meta) {
        return true;
    }
    if !meta.is_dir() || depth == 0 {
        return false;
    }
    let Ok(child) = dir.child(name) else { return false };
    let names = child.names().unwrap_or_default();
    names.iter().any(|name| any_below(&child, name, &path.join(name), depth - 1, ask))
}

/// What the host has; something that cannot be looked at is hidden from the command, too.
fn seen(host: &Dir, name: &OsStr) -> Option<Meta> {
    host.meta(name).ok().flatten()
}

fn is_whiteout(dir: &Dir, name: &OsStr, meta: &Meta) -> rustix::io::Result<bool> {
    if meta.kind == FileKind::Device {
        return Ok(meta.device == 0);
    }
    has_whiteout_mark(dir, name, meta)
}

/// Whether the layer has only owner and mode of a file, and its bytes are the host's. Such a file
/// looks like one hole.
fn is_metadata_only(dir: &Dir, name: &OsStr, meta: &Meta) -> rustix::io::Result<bool> {
    if meta.kind != FileKind::File || meta.size == 0 || meta.blocks != 0 {
        return Ok(false);
    }
    let file = dir.open_file(name, Some(meta))?;
    Ok(overlay_mark(&file, "metacopy")?.is_some())
}

/// Whether overlayfs noted where it copied this from. A hint only: not every file system lets it.
fn has_origin(dir: &Dir, name: &OsStr, meta: &Meta) -> bool {
    let mark = match meta.kind {
        FileKind::File => {
            dir.open_file(name, Some(meta)).ok().map(|file| overlay_mark(&file, "origin"))
        }
        FileKind::Directory => {
            dir.unlocked_child(name, meta).ok().map(|child| overlay_mark(&child, "origin"))
        }
        _ => None,
    };
    matches!(mark, Some(Ok(Some(_))))
}

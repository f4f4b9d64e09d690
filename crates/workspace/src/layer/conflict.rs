//! What must not be applied without asking again.
//!
//! The host's files tell by their change time (which no program can set) whether somebody else was
//! there after the run began. What is the same on both sides never gets here: it is no change.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::change::{Change, ChangeKind};
use super::record::Record;
use super::walk::any_below;
use crate::tree::{Dir, FileKind, MAX_DEPTH, Meta};

/// Why a change is refused, in plain words; `None` when nothing speaks against it.
pub(super) fn refusal(
    record: &Record,
    host: &Dir,
    touched: &HashSet<PathBuf>,
    change: &Change,
) -> Option<&'static str> {
    if change.protected {
        return Some("it is protected");
    }
    is_changed(record, host, touched, change)
}

fn is_changed(
    record: &Record,
    host: &Dir,
    touched: &HashSet<PathBuf>,
    change: &Change,
) -> Option<&'static str> {
    let is_later = change.host.is_some_and(|host| host.changed > record.created);
    let was_directory = change.before.is_some_and(|before| before.file == FileKind::Directory);
    match change.kind {
        ChangeKind::Added => (change.is_copied_up
            && directory_is_later(record, host, touched, &change.path))
        .then_some("it may have been removed from the host after the run began"),
        // The change time of a directory moves with every name in it.
        ChangeKind::ModeChanged if was_directory => None,
        _ if change.directory_changed => {
            Some("its directory changed on the host after the run began")
        }
        _ if is_later => Some("it changed on the host after the run began"),
        _ if was_directory && has_later(record, host, &change.path) => {
            Some("something in it changed on the host after the run began")
        }
        _ => None,
    }
}

fn directory_is_later(
    record: &Record,
    host: &Dir,
    touched: &HashSet<PathBuf>,
    path: &Path,
) -> bool {
    let directory = path.parent().unwrap_or(Path::new(""));
    let meta = host.descend(directory).and_then(Meta::of);
    !touched.contains(directory) && meta.is_ok_and(|meta| meta.changed > record.created)
}

fn has_later(record: &Record, host: &Dir, path: &Path) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    let Ok(parent) = host.descend(parent) else { return false };
    any_below(&parent, name, path, MAX_DEPTH, &mut |_, meta| meta.changed > record.created)
}

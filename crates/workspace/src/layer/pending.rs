//! What an apply must know after a crash.
//!
//! Two small files beside the layer. `pending` names the directory in which something is being put
//! in place under a temporary name, written before that name is made; `touched` names the
//! directories of the host that applying changed, so that their change is not taken for
//! somebody else's. Neither is synced: they outlive the process, and a machine that lost power
//! is left with a temporary name at worst.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use crate::escape::{escape, unescape};
use crate::tree::{Dir, remove_entry};

const PENDING: &str = "pending";
const TOUCHED: &str = "touched";

/// The notes of an apply in progress.
pub(super) struct Notes {
    pending: File,
    touched: File,
    known: HashSet<PathBuf>,
    current: Option<PathBuf>,
}

impl Notes {
    pub(super) fn open(layer: &Dir) -> rustix::io::Result<Notes> {
        Ok(Notes {
            pending: open(layer, PENDING)?,
            touched: open(layer, TOUCHED)?,
            known: touched(layer),
            current: None,
        })
    }

    /// Something in this directory will be changed. `is_unchanged`: nobody else has changed it
    /// since the run began.
    pub(super) fn entering(&mut self, directory: &Path, is_unchanged: bool) -> std::io::Result<()> {
        if self.current.as_deref() != Some(directory) {
            let line = format!("{}\n", escape(directory));
            self.pending.set_len(0)?;
            self.pending.write_all_at(line.as_bytes(), 0)?;
            self.current = Some(directory.to_owned());
            if is_unchanged && self.known.insert(directory.to_owned()) {
                self.touched.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Nothing is in progress any more.
    pub(super) fn done(&mut self) -> std::io::Result<()> {
        self.current = None;
        self.pending.set_len(0)
    }
}

fn open(layer: &Dir, name: &str) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = if name == TOUCHED { flags | OFlags::APPEND } else { flags };
    openat(layer, name, flags, Mode::from_raw_mode(0o600)).map(File::from)
}

fn lines(layer: &Dir, name: &str) -> Vec<PathBuf> {
    let mut text = String::new();
    let read = layer.open_file(name.as_ref(), None).map(|mut file| file.read_to_string(&mut text));
    match read {
        Ok(Ok(_)) => text
            .split_inclusive('\n')
            .filter_map(|line| unescape(line.strip_suffix('\n')?))
            .collect(),
        _ => Vec::new(),
    }
}

/// Directories of the host that an apply of this layer changed.
pub(super) fn touched(layer: &Dir) -> HashSet<PathBuf> {
    lines(layer, TOUCHED).into_iter().collect()
}

/// Names under which an apply makes things ready, and puts what it replaces.
pub(super) fn temporary(run: &str) -> [OsString; 2] {
    [format!(".ringfence-apply-{run}").into(), format!(".ringfence-apply-{run}.old").into()]
}

/// Removes what an apply that was killed left in the workspace.
pub(super) fn recover(layer: &Dir, run: &str, workspace: Option<&Dir>) {
    let Some(workspace) = workspace else { return };
    for directory in lines(layer, PENDING) {
        let Ok(directory) = workspace.descend(&directory) else { continue };
        for name in temporary(run) {
            let _ = directory.writing(|| remove_entry(&directory, &name));
        }
    }
}

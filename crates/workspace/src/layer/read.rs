//! Reading one side of a change, for a textual diff.

use std::io::Read;
use std::path::Path;

use rustix::io::Errno;

use super::Layer;
use crate::error::{Error, Result};
use crate::tree::{Dir, FileKind, Meta, is_gone};

/// Which side of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The workspace.
    Before,
    /// The layer.
    After,
}

/// What one side of a change holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contents {
    /// Nothing is there.
    Nothing,
    /// The bytes of a file.
    File(Vec<u8>),
    /// The text of a symbolic link.
    Link(Vec<u8>),
    /// A file of more bytes than were asked for.
    TooLarge,
    /// A directory, a fifo, a socket or a device.
    Other,
}

impl Layer {
    /// What lies at `path` on one side, files up to `limit` bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&self, path: &Path, side: Side, limit: u64) -> Result<Contents> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let (chain, place) = match side {
            Side::Before => {
                (self.open_workspace()?.descend(parent).map(Chain::of), self.workspace().to_owned())
            }
            Side::After => (Chain::open(self.open_upper()?, parent), self.upper()),
        };
        let io = |error: std::io::Error| Error::io("read", &place.join(path))(error);
        match chain {
            Err(error) if is_gone(error) => Ok(Contents::Nothing),
            Err(error) => Err(io(error.into())),
            Ok(chain) => read(chain.last(), path, side, limit).map_err(io),
        }
    }
}

fn read(dir: &Dir, path: &Path, side: Side, limit: u64) -> std::io::Result<Contents> {
    use std::os::unix::ffi::OsStringExt;
    let Some(name) = path.file_name() else { return Ok(Contents::Other) };
    let Some(meta) = dir.meta(name)? else { return Ok(Contents::Nothing) };
    // Files of the host are not opened up to be read.
    let unlock = Some(&meta).filter(|_| side == Side::After);
    match meta.kind {
        FileKind::File if meta.size > limit => Ok(Contents::TooLarge),
        FileKind::File => {
            let mut bytes = Vec::new();
            dir.open_file(name, unlock)?.take(limit).read_to_end(&mut bytes)?;
            Ok(Contents::File(bytes))
        }
        FileKind::Symlink => Ok(Contents::Link(dir.read_link(name)?.into_vec())),
        _ => Ok(Contents::Other),
    }
}

/// A directory of a layer and all above it, opened up for their owner until the chain is dropped.
pub(super) struct Chain {
    dirs: Vec<Dir>,
}

impl Chain {
    fn of(dir: Dir) -> Chain {
        Chain { dirs: vec![dir] }
    }

    pub(super) fn open(root: Dir, path: &Path) -> rustix::io::Result<Chain> {
        let mut dirs = vec![root];
        for name in path {
            let last = dirs.last().expect("because the root is in it");
            let meta: Meta = last.meta(name)?.ok_or(Errno::NOENT)?;
            let child = last.unlocked_child(name, &meta)?;
            dirs.push(child);
        }
        // The innermost is locked again first, while those above let it be reached.
        dirs.reverse();
        Ok(Chain { dirs })
    }

    pub(super) fn last(&self) -> &Dir {
        self.dirs.first().expect("because the root is in it")
    }
}

//! Copying trees without following links, with holes, times and the user's own attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT, futimens, symlinkat, utimensat};
use rustix::io::Errno;

use super::{Dir, FileKind, MAX_DEPTH, Meta, Moment, platform};

/// How much may still be copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Bounds {
    /// No bound but the depth of a tree.
    pub(crate) const NONE: Bounds = Bounds { bytes: u64::MAX, entries: u64::MAX };

    fn take(&mut self, meta: &Meta) -> Result<(), CopyError> {
        let bytes = if meta.kind == FileKind::File { meta.size } else { 0 };
        let left = (self.bytes.checked_sub(bytes), self.entries.checked_sub(1));
        let (Some(bytes), Some(entries)) = left else { return Err(CopyError::TooMuch) };
        *self = Bounds { bytes, entries };
        Ok(())
    }
}

/// Why a tree was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("it is larger than what is kept")]
    TooMuch,
    #[error("its directories are nested too deep")]
    TooDeep,
    #[error("a device or a socket cannot be copied here")]
    Special,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for CopyError {
    fn from(error: Errno) -> CopyError {
        CopyError::Io(error.into())
    }
}

/// Copies what lies at `from` to a new entry: kind, bytes, permission bits, times. What cannot be
/// finished is left for the caller to remove.
pub(crate) fn copy_entry(
    from: (&Dir, &OsStr),
    to: (&Dir, &OsStr),
    bounds: &mut Bounds,
) -> Result<(), CopyError> {
    copy_at(from, to, bounds, MAX_DEPTH)
}

fn copy_at(
    (dir, name): (&Dir, &OsStr),
    (into, new): (&Dir, &OsStr),
    bounds: &mut Bounds,
    depth: usize,
) -> Result<(), CopyError> {
    let meta = dir.meta(name)?.ok_or(Errno::NOENT)?;
    bounds.take(&meta)?;
    match meta.kind {
        FileKind::File => {
            let (source, target) = (dir.open_file(name, Some(&meta))?, into.create_file(new)?);
            copy_contents(&source, &target, meta.size)?;
            copy_xattrs(&source, &target)?;
            into.chmod(new, meta.mode)?;
            set_modified(&target, meta.modified)?;
        }
        FileKind::Directory => {
            let depth = depth.checked_sub(1).ok_or(CopyError::TooDeep)?;
            let (source, target) = (dir.unlocked_child(name, &meta)?, into.make_dir(new)?);
            for name in source.names()? {
                copy_at((&source, &name), (&target, &name), bounds, depth)?;
            }
            copy_xattrs(&source, &target)?;
            set_modified(&target, meta.modified)?;
            target.set_mode(meta.mode)?;
        }
        FileKind::Symlink => {
            symlinkat(dir.read_link(name)?, into, new)?;
            let times = Timestamps { last_access: OMIT, last_modification: spec(meta.modified) };
            utimensat(into, new, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        FileKind::Fifo | FileKind::Socket | FileKind::Device => {
            platform::make_special(into, new, &meta).map_err(|error| match error {
                Errno::OPNOTSUPP => CopyError::Special,
                error => error.into(),
            })?;
            into.chmod(new, meta.mode)?;
        }
    }
    Ok(())
}

const OMIT: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };

fn spec((seconds, nanos): Moment) -> Timespec {
    Timespec { tv_sec: seconds as _, tv_nsec: nanos as _ }
}

/// Sets the modification time of an open file or directory.
pub(crate) fn set_modified(fd: impl AsFd, modified: Moment) -> rustix::io::Result<()> {
    futimens(fd, &Timestamps { last_access: OMIT, last_modification: spec(modified) })
}

/// Copies `size` bytes into an empty file: by sharing blocks where the file system can, else
/// without the holes.
pub(crate) fn copy_contents(from: &File, to: &File, size: u64) -> io::Result<()> {
    if platform::share_blocks(from, to) {
        return Ok(());
    }
    let mut at = 0;
    while at < size {
        let Some((start, end)) = next_data(from, at, size)? else { break };
        copy_range(from, to, start, end)?;
        at = end;
    }
    to.set_len(size)
}

/// The next part of a file that is no hole.
fn next_data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom as Part, seek};
    let start = match seek(file, Part::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system without holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, size))),
        Err(error) => return Err(error.into()),
    };
    let end = seek(file, Part::Hole(start))?;
    Ok(Some((start, end.min(size))).filter(|(start, end)| start < end))
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut from, mut to) = (from, to);
    from.seek(SeekFrom::Start(start))?;
    to.seek(SeekFrom::Start(start))?;
    // The standard library uses copy_file_range(2) between files where there is one.
    let copied = io::copy(&mut from.take(end - start), &mut to)?;
    to.flush()?;
    if copied < end - start { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Copies the attributes that belong to the user, overlayfs' marks left out.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn copy_xattrs(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    let mut list = vec![0; 64 << 10];
    let length = match flistxattr(&from, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = Vec::new();
    for name in list[..length].split(|&byte| byte == 0) {
        if !name.starts_with(b"user.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        value.resize(64 << 10, 0);
        let length = fgetxattr(&from, name, &mut value[..])?;
        match fsetxattr(&to, name, &value[..length], XattrFlags::empty()) {
            // A file system without them, or without room: the bytes matter more.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::DQUOT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Elsewhere the attributes are the system's own.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn copy_xattrs(_: impl AsFd, _: impl AsFd) -> io::Result<()> {
    Ok(())
}

//! Calls that not every Unix has, and what stands in for them.
//!
//! Linux gives everything. Elsewhere a layer cannot be made, as there is no overlayfs, but
//! guarding works, with a walk of one component at a time where Linux resolves a path in one call.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, RenameFlags, openat, renameat_with};
use rustix::io::{self, Errno};

use super::{Dir, FileKind, Meta};

/// For directories: opened for reading, as names are listed and modes are set through it.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// Opens the directory at `path` with no symbolic link on the way, the last component included.
/// A relative path stays below `base`.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn open_directory(base: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};

    let mut resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if path.is_relative() {
        resolve |= ResolveFlags::BENEATH;
    }
    match openat2(base, path, DIRECTORY, Mode::empty(), resolve) {
        // A filter around this process may know no openat2; a kernel before 5.6 does not either.
        Err(Errno::NOSYS | Errno::PERM) => open_stepwise(base, path),
        opened => opened,
    }
}

/// Opens the directory at `path` with no symbolic link on the way, the last component included.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn open_directory(base: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open_stepwise(base, path)
}

fn open_stepwise(base: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    use std::path::Component;

    let mut current = match path.is_absolute() {
        true => openat(base, "/", DIRECTORY, Mode::empty())?,
        false => openat(base, ".", DIRECTORY, Mode::empty())?,
    };
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => current = openat(&current, name, DIRECTORY, Mode::empty())?,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::XDEV),
        }
    }
    Ok(current)
}

/// Sets the permission bits of what lies at `name`, which must be no symbolic link.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn chmod(dir: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty())?;
    if Meta::of(&fd)?.kind == FileKind::Symlink {
        return Err(Errno::LOOP);
    }
    rustix::fs::chmod(descriptor_path(&fd), Mode::from_raw_mode(mode as _))
}

/// Sets the permission bits of what lies at `name`, which must be no symbolic link.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn chmod(dir: &Dir, name: &OsStr, mode: u32) -> io::Result<()> {
    use rustix::fs::AtFlags;
    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode as _), AtFlags::SYMLINK_NOFOLLOW)
}

/// Where the kernel shows an open file of this process.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn descriptor_path(fd: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Makes a fifo, a socket or a device like the one `meta` describes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn make_special(dir: &Dir, name: &OsStr, meta: &Meta) -> io::Result<()> {
    use rustix::fs::{FileType, mknodat};
    let kind = match meta.kind {
        FileKind::Fifo => FileType::Fifo,
        FileKind::Socket => FileType::Socket,
        _ => return Err(Errno::OPNOTSUPP),
    };
    mknodat(dir, name, kind, Mode::from_raw_mode(0o600), 0)
}

/// Makes a fifo, a socket or a device like the one `meta` describes.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn make_special(_: &Dir, _: &OsStr, _: &Meta) -> io::Result<()> {
    Err(Errno::OPNOTSUPP)
}

/// Shares the blocks of `from` with `to`, where the file system can.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn share_blocks(from: &File, to: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

/// Shares the blocks of `from` with `to`, where the file system can.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn share_blocks(_: &File, _: &File) -> bool {
    false
}

/// Moves an entry to a name that nothing has.
pub(crate) fn rename_new(from: &Dir, name: &OsStr, to: &Dir, new: &OsStr) -> io::Result<()> {
    match renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
        // Some network file systems cannot promise it; the name was looked at just before.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if to.meta(new)?.is_some() {
                return Err(Errno::EXIST);
            }
            rustix::fs::renameat(from, name, to, new)
        }
        renamed => renamed,
    }
}

/// Lets two entries of a directory change places.
pub(crate) fn exchange(dir: &Dir, one: &OsStr, other: &OsStr) -> io::Result<()> {
    renameat_with(dir, one, dir, other, RenameFlags::EXCHANGE)
}

/// Waits until everything written to the file system of `dir` is on disk.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn sync_all(dir: &Dir) -> io::Result<()> {
    rustix::fs::syncfs(dir)
}

/// Waits until everything written to the file system of `dir` is on disk.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn sync_all(dir: &Dir) -> io::Result<()> {
    rustix::fs::fsync(dir)
}

/// The value of an overlayfs mark (`opaque`, `metacopy`, …) on an open file, in either name space.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn overlay_mark(fd: impl AsFd, mark: &str) -> io::Result<Option<Vec<u8>>> {
    for space in ["user", "trusted"] {
        let mut value = [0; 256];
        match rustix::fs::fgetxattr(&fd, format!("{space}.overlay.{mark}"), &mut value) {
            Ok(length) => return Ok(Some(value[..length].to_vec())),
            Err(Errno::RANGE) => return Ok(Some(Vec::new())),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// No such marks where there are no extended attributes.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn overlay_mark(_: impl AsFd, _: &str) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

/// Whether an empty file is overlayfs' other way to mark a deleted name.
pub(crate) fn has_whiteout_mark(dir: &Dir, name: &OsStr, meta: &Meta) -> io::Result<bool> {
    if meta.kind != FileKind::File || meta.size != 0 {
        return Ok(false);
    }
    let file = dir.open_file(name, Some(meta))?;
    Ok(overlay_mark(&file, "whiteout")?.is_some())
}

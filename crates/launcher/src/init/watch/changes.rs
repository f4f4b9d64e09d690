//! Which changes will be refused, told before the kernel refuses them.
//!
//! The kernel carries the call out, and the wall is in its mounts. Here is only the log:
//! whoever races it makes its own log wrong and nothing else.
//!
//! What is told is what the sandbox refuses: a read-only mount, a mount point that cannot
//! be moved, something that is covered. What the modes of files refuse is refused outside
//! as well and not told.

use super::super::sys::{self, Errno, new, nr};
use super::super::wire;
use super::Watch;
use super::calls::{self, Change};
use super::notice::Notice;
use super::remote::{self, Base, Path};

const W_OK: usize = 2;
const R_OK: usize = 4;
const O_ACCMODE: u64 = 3;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;
const O_PATH: u64 = 0o10_000_000;
const O_TMPFILE: u64 = 0o20_000_000;

/// Looks at a call that may change or read something; it is carried out in any case.
pub(crate) fn look(watch: &mut Watch, notice: &Notice) {
    if notice.call == calls::OPENAT2 {
        let mut flags = [0; 8];
        if remote::read_all(notice.tid, notice.args[2], &mut flags).is_ok() {
            let place = calls::Place { directory: Some(0), path: 1 };
            look_at(watch, notice, place, Change::Open(u64::from_ne_bytes(flags)));
        }
        return;
    }
    let subjects = calls::subjects(notice.call, &notice.args);
    for (place, change) in subjects.into_iter().flatten().flatten() {
        look_at(watch, notice, place, change);
    }
}

fn look_at(watch: &mut Watch, notice: &Notice, place: calls::Place, change: Change) {
    let address = notice.args[place.path];
    let base = place.directory.map_or(Base::Directory, |i| Base::from_argument(notice.args[i]));
    // A null: the call is about an open file. An empty path, likewise.
    if address == 0
        || watch.path.fetch(notice.tid, base, address).is_err()
        || watch.path.text().is_empty()
    {
        return;
    }
    if let Some((kind, followed)) = refusal(&mut watch.path, change) {
        watch.tell_path(kind, followed, notice.tid);
    }
}

/// What kind of refusal a call will meet, and whether the path's last link is followed.
fn refusal(path: &mut Path, change: Change) -> Option<(u64, bool)> {
    let write = |refused: bool, followed| refused.then_some((wire::KIND_FILE_WRITE, followed));
    match change {
        Change::Open(flags) if flags & O_PATH != 0 => None,
        Change::Open(flags) if !changes(flags) => {
            let covered = access(path.as_c(), R_OK, true) == Err(sys::EACCES) && is_covered(path);
            covered.then_some((wire::KIND_FILE_READ, true))
        }
        Change::Open(flags) => write(refuses_open(path, flags), true),
        Change::Make => write(refuses_new(path, false), false),
        Change::Unlink => write(refuses_unlink(path), false),
        Change::Replace => write(refuses_new(path, true), false),
        Change::Alter { follow } => write(refuses_alter(path, follow), follow),
    }
}

fn changes(flags: u64) -> bool {
    flags & O_ACCMODE != 0 || flags & (O_CREAT | O_TRUNC | O_TMPFILE) != 0
}

fn refuses_open(path: &mut Path, flags: u64) -> bool {
    // Without a word on writing, an existing file is only read.
    let mode = if flags & (O_ACCMODE | O_TRUNC | O_TMPFILE) == 0 { R_OK } else { W_OK };
    match access(path.as_c(), mode, true) {
        Err(sys::EROFS) => true,
        Err(sys::EACCES) => is_covered(path),
        Err(sys::ENOENT) => flags & O_CREAT != 0 && refuses_entry(path),
        _ => false,
    }
}

/// A directory that entries cannot be made in or taken out of.
fn refuses_entry(path: &mut Path) -> bool {
    let end = path.end();
    match path.parent(end, |parent| access(parent, W_OK, true)) {
        Some((_, Err(sys::EROFS))) => true,
        Some((_, Err(sys::EACCES))) => is_covered(path),
        _ => false,
    }
}

/// A name that is to be made; one that is there is in the way, or is replaced.
fn refuses_new(path: &mut Path, replace: bool) -> bool {
    match sys::stat(sys::AT_FDCWD, path.as_c(), sys::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => replace && (stat.mount_root || refuses_entry(path)),
        Err(sys::ENOENT) => refuses_entry(path),
        Err(sys::EACCES) => is_covered(path),
        Err(_) => false,
    }
}

fn refuses_unlink(path: &mut Path) -> bool {
    match sys::stat(sys::AT_FDCWD, path.as_c(), sys::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat.mount_root || refuses_entry(path),
        Err(sys::EACCES) => is_covered(path),
        // Nothing is there that could be taken away.
        Err(_) => false,
    }
}

/// The owner may change a file that is not writable: then only the mount can refuse it.
fn refuses_alter(path: &mut Path, follow: bool) -> bool {
    match access(path.as_c(), W_OK, follow) {
        Err(sys::EROFS) => true,
        Err(sys::EACCES) => {
            is_covered(path) || is_owned(path.as_c(), follow) && is_read_only(path.as_c())
        }
        _ => false,
    }
}

fn access(path: &[u8], mode: usize, follow: bool) -> Result<usize, Errno> {
    const AT_EACCESS: usize = 0x200;
    let flags = AT_EACCESS | if follow { 0 } else { sys::AT_SYMLINK_NOFOLLOW };
    sys::at_path(new::FACCESSAT2, sys::AT_FDCWD, path, [mode, flags, 0])
}

fn is_owned(path: &[u8], follow: bool) -> bool {
    let flags = if follow { 0 } else { sys::AT_SYMLINK_NOFOLLOW };
    let user = sys::numbers(nr::GETUID, [0; 5]).unwrap_or(usize::MAX);
    sys::stat(sys::AT_FDCWD, path, flags).is_ok_and(|stat| stat.uid as usize == user)
}

/// Type and flags of the file system a path leads to: words 0 and 10 of `struct statfs`.
fn file_system(path: &[u8]) -> Option<(u64, u64)> {
    let mut buffer = [0_u64; 16];
    if path.last() != Some(&0) {
        return None;
    }
    let (path, target) = (path.as_ptr() as usize, buffer.as_mut_ptr() as usize);
    // SAFETY: the path ends with a NUL byte, and 120 bytes are filled.
    unsafe { sys::call(nr::STATFS, [path, target, 0, 0, 0, 0]).ok()? };
    Some((buffer[0], buffer[10]))
}

const ST_RDONLY: u64 = 1;

fn is_read_only(path: &[u8]) -> bool {
    file_system(path).is_some_and(|(_, flags)| flags & ST_RDONLY != 0)
}

/// Whether the way leads to or through a cover: something without any right for anybody
/// that a read-only file system in memory has just there.
fn is_covered(path: &mut Path) -> bool {
    /// Components that are tried; deeper below a cover is not told.
    const MOST: usize = 64;
    let mut found = cover_at(path.as_c());
    let mut end = path.end();
    for _ in 0..MOST {
        if let Some(covered) = found {
            return covered;
        }
        let Some((slash, next)) = path.parent(end, cover_at) else { return false };
        (end, found) = (slash, next);
    }
    false
}

/// Whether a cover is here; none when the way to here is barred.
fn cover_at(path: &[u8]) -> Option<bool> {
    const TMPFS: u64 = 0x0102_1994;
    const ANY_RIGHT: u32 = 0o777;
    match sys::stat(sys::AT_FDCWD, path, 0) {
        Err(sys::EACCES) => None,
        Err(_) => Some(false),
        Ok(stat) => Some(
            stat.mount_root
                && stat.mode & ANY_RIGHT == 0
                && file_system(path)
                    .is_some_and(|(kind, flags)| kind == TMPFS && flags & ST_RDONLY != 0),
        ),
    }
}

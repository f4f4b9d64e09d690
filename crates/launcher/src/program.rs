//! The embedded program, kept in a sealed file in memory for the life of the process.
//!
//! The trap is a caller that closes all descriptors (a daemon does): then the
//! number belongs to another file. So each use compares the inode first.

use std::{
    ffi::CStr,
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{Mutex, PoisonError},
};

#[cfg(ringfence_embedded)]
static PROGRAM: Option<&[u8]> = Some(include_bytes!(concat!(env!("OUT_DIR"), "/ringfence-init")));
#[cfg(not(ringfence_embedded))]
static PROGRAM: Option<&[u8]> = None;

/// Executable although the system says that files in memory are not by default (Linux 6.3).
const MFD_EXEC: u32 = 0x10;

enum Kept {
    NotYet,
    File(OwnedFd, u64),
    Never,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept::NotYet);

/// A descriptor of the program, if there is one for this machine and files in
/// memory can be executed.
pub(crate) fn kept() -> Option<OwnedFd> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Kept::File(file, inode) = &*kept
        && inode_of(file.as_raw_fd()) != Some(*inode)
    {
        // The number is somebody else's now: let go of it without closing.
        if let Kept::File(file, _) = std::mem::replace(&mut *kept, Kept::NotYet) {
            std::mem::forget(file);
        }
    }
    if matches!(*kept, Kept::NotYet) {
        *kept = keep().map_or(Kept::Never, |(file, inode)| Kept::File(file, inode));
    }
    match &*kept {
        Kept::File(file, _) => file.try_clone().ok(),
        _ => None,
    }
}

/// From now on trees are started by a forked child.
pub(crate) fn give_up() {
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Kept::Never;
}

fn keep() -> Option<(OwnedFd, u64)> {
    let program = PROGRAM?;
    let file = memory_file(c"ringfence-init", program, MFD_EXEC)
        .or_else(|_| memory_file(c"ringfence-init", program, 0))
        .ok()?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: numbers only. A file that cannot be sealed serves as well: nobody else has it.
    let _ = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    let inode = inode_of(file.as_raw_fd())?;
    Some((file, inode))
}

fn inode_of(fd: i32) -> Option<u64> {
    // SAFETY: all zero is a valid structure.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is filled by the call.
    (unsafe { libc::fstat(fd, &raw mut stat) } == 0).then_some(stat.st_ino)
}

/// A new file in memory with this content.
pub(crate) fn memory_file(name: &CStr, content: &[u8], flags: u32) -> io::Result<OwnedFd> {
    let flags = flags | libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: a C string and a number.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: new, and owned by nobody else.
    let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(content)?;
    Ok(file.into())
}

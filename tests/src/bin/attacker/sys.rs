//! The only unsafe code of the attacker: raw system calls, `fork`, and calls by other doors than this machine's own.
//!
//! The attacker must reach the kernel as an enemy would, so there is no wrapper that checks anything. The trap: a call
//! may write to the addresses given to it; each call site passes addresses of buffers that live long enough.

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A system call; the error is what the kernel says.
pub(crate) fn call(number: libc::c_long, args: &[usize]) -> io::Result<usize> {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    // SAFETY: addresses among the arguments belong to buffers that the callers keep alive across the call.
    let result = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A system call that makes a descriptor.
pub(crate) fn open(number: libc::c_long, args: &[usize]) -> io::Result<OwnedFd> {
    let fd = call(number, args)?;
    Ok(own(i32::try_from(fd).expect("because descriptors are small")))
}

/// Takes a descriptor that the kernel has just made for this process.
pub(crate) fn own(fd: i32) -> OwnedFd {
    // SAFETY: both callers have the number from the kernel and from nowhere else, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A text as the kernel wants it.
pub(crate) fn text(text: &str) -> CString {
    CString::new(text).expect("because arguments have no NUL")
}

/// The address of a value, for a system call.
pub(crate) fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<()>() as usize
}

/// Runs `child` in a forked process and gives its wait status.
pub(crate) fn in_child(child: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: this program has one thread here, so the child may go on as if it were the parent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: `_exit` only ends the process.
        0 => unsafe { libc::_exit(child()) },
        pid => wait(pid),
    }
}

/// Forks a child that runs `child` and goes on at once.
pub(crate) fn fork(child: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: as in `in_child`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: `_exit` only ends the process.
        0 => unsafe { libc::_exit(child()) },
        pid => Ok(pid),
    }
}

/// Waits for a child, also for its stops; gives the wait status.
pub(crate) fn wait(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: `status` is a live integer.
    let result = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(status) }
}

/// Blocks all signals, so that a stray one does no harm.
pub(crate) fn block_signals() {
    // SAFETY: the set is a live, initialised value.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// `getpid` by the 32 bit door, `int 0x80`.
#[cfg(target_arch = "x86_64")]
pub(crate) fn getpid_by_int80() -> isize {
    let mut result: usize = 20;
    // SAFETY: `getpid` of the 32 bit table takes no arguments and touches no memory.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
    };
    result.cast_signed()
}

/// `getpid` by the table of the x32 ABI.
#[cfg(target_arch = "x86_64")]
pub(crate) fn getpid_by_x32() -> io::Result<usize> {
    call(0x4000_0000 | libc::SYS_getpid, &[])
}

//! A pseudo-terminal of the command's own.
//!
//! It is opened where the command lives, so its name is one that the command can open, and the
//! terminal the caller sits at is never among the command's descriptors. The master goes to the
//! supervisor by way of a socket, and with it a descriptor of this side: without one the terminal
//! would hang up whenever the command has closed its own for a moment.
//!
//! The trap: the size must be there before the program is, since many ask only once.

use super::sys::{self, Errno, nr};
use super::watch;
use super::wire::STDIO_FD;

/// The socket that takes the master: the place of the command's standard output.
const SOCKET: i32 = STDIO_FD + 1;

/// `ioctl_tty(2)`; the same numbers on most machines.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod request {
    pub(super) const TCGETS: usize = 0x5401;
    pub(super) const TCSETS: usize = 0x5402;
    pub(super) const TIOCSCTTY: usize = 0x540e;
    pub(super) const TIOCSWINSZ: usize = 0x5414;
    pub(super) const TIOCGPTPEER: usize = 0x5441;
    pub(super) const TIOCSPTLCK: usize = 0x4004_5431;
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod request {
    pub(super) const TCGETS: usize = libc::TCGETS as usize;
    pub(super) const TCSETS: usize = libc::TCSETS as usize;
    pub(super) const TIOCSCTTY: usize = libc::TIOCSCTTY as usize;
    pub(super) const TIOCSWINSZ: usize = libc::TIOCSWINSZ as usize;
    pub(super) const TIOCGPTPEER: usize = libc::TIOCGPTPEER as usize;
    pub(super) const TIOCSPTLCK: usize = libc::TIOCSPTLCK as usize;
}

/// Opens a terminal of this size for a process that leads a session without one.
pub(crate) fn open(columns: u16, rows: u16) -> Result<(), Errno> {
    let master = sys::open(b"/dev/ptmx\0", O_RDWR | O_NOCTTY, 0)?;
    let slave = prepare(master, columns, rows)?;
    watch::hand_over_all(SOCKET, [master, slave], 2)?;
    sys::close(master);
    for place in 0..3 {
        sys::numbers(nr::DUP3, [slave as usize, place, 0, 0, 0])?;
    }
    sys::close(slave);
    Ok(())
}

const O_RDWR: usize = 2;
const O_NOCTTY: usize = 0o400;

/// The command's side, unlocked, of the right size, and the terminal of this session.
fn prepare(master: i32, columns: u16, rows: u16) -> Result<i32, Errno> {
    let unlocked = 0_i32;
    let size = [rows, columns, 0, 0];
    ioctl(master, request::TIOCSPTLCK, (&raw const unlocked) as usize)?;
    ioctl(master, request::TIOCSWINSZ, size.as_ptr() as usize)?;
    let slave = ioctl(master, request::TIOCGPTPEER, O_RDWR | O_NOCTTY | sys::O_CLOEXEC)? as i32;
    ioctl(slave, request::TIOCSCTTY, 0)?;
    erase_whole_characters(slave)?;
    Ok(slave)
}

/// What is typed is UTF-8, so that a line can be edited by characters; a new terminal takes bytes
/// for characters.
fn erase_whole_characters(slave: i32) -> Result<(), Errno> {
    const IUTF8: u32 = 0x4000;
    let mut settings = [0_u32; 16];
    let address = settings.as_mut_ptr() as usize;
    ioctl(slave, request::TCGETS, address)?;
    settings[0] |= IUTF8;
    ioctl(slave, request::TCSETS, settings.as_ptr() as usize)?;
    Ok(())
}

fn ioctl(fd: i32, request: usize, argument: usize) -> sys::Answer {
    // SAFETY: the callers give a number, or the address of what this request reads or fills;
    // the settings of a terminal take less than the 64 bytes there are.
    unsafe { sys::call(nr::IOCTL, [fd as usize, request, argument, 0, 0, 0]) }
}

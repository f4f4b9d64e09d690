//! Typing into a terminal that is not ours: `TIOCSTI` and `TIOCLINUX`, also with high bits that the kernel ignores.
//!
//! The attacker makes a terminal of its own, so nothing is typed anywhere; a filter that stops the call there stops it
//! everywhere.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::sys::{address, call};
use crate::{Attempt, Probe, Refusal, arg, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("type", |args| push(number(args, 0))),
    ("linux-console", |args| console(number(args, 0))),
    ("open-terminal", open_terminal),
];

/// A pseudo-terminal: our side, and the side that a program sees.
pub(crate) fn pair() -> Result<(File, File), Refusal> {
    let ours =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx")?;
    let fd = ours.as_raw_fd() as usize;
    let (unlock, mut number) = (0_i32, 0_u32);
    call(libc::SYS_ioctl, &[fd, libc::TIOCSPTLCK as usize, address(&unlock)])?;
    call(
        libc::SYS_ioctl,
        &[fd, libc::TIOCGPTN as usize, std::ptr::from_mut(&mut number) as usize],
    )?;
    let path = format!("/dev/pts/{number}");
    let theirs =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)?;
    Ok((ours, theirs))
}

/// Runs `attempt` in a child that has a controlling terminal; the child says 0 or the error's number.
fn with_terminal(attempt: impl Fn(usize) -> std::io::Result<usize>) -> Result<i32, Refusal> {
    let (_ours, theirs) = pair()?;
    let status = crate::sys::in_child(|| {
        call(libc::SYS_setsid, &[]).ok();
        let fd = theirs.as_raw_fd() as usize;
        call(libc::SYS_ioctl, &[fd, libc::TIOCSCTTY as usize, 0]).ok();
        attempt(fd).map_or_else(|error| error.raw_os_error().unwrap_or(255), |_| 0)
    })?;
    Ok(if status & 0x7f == 0 { status >> 8 } else { libc::EPERM })
}

fn push(high_bits: usize) -> Attempt {
    let letter = b'x';
    let request = libc::TIOCSTI as usize | high_bits;
    match with_terminal(|fd| call(libc::SYS_ioctl, &[fd, request, address(&letter)]))? {
        0 => Ok("typed a letter".to_owned()),
        libc::EIO if legacy_is_off() => {
            Err(Refusal::NoSuchCall("switched off in this kernel".to_owned()))
        }
        error => Err(std::io::Error::from_raw_os_error(error).into()),
    }
}

fn legacy_is_off() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
        .is_ok_and(|value| value.trim() == "0")
}

/// Only a console knows this request; another terminal says so to whom it gets through to.
fn console(high_bits: usize) -> Attempt {
    let code = [2_u8; 16];
    let request = libc::TIOCLINUX as usize | high_bits;
    match with_terminal(|fd| call(libc::SYS_ioctl, &[fd, request, code.as_ptr() as usize]))? {
        0 | libc::ENOTTY => Ok("the request arrived".to_owned()),
        error => Err(std::io::Error::from_raw_os_error(error).into()),
    }
}

fn open_terminal(args: &[String]) -> Attempt {
    let path = arg(args, 0);
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path)?;
    Ok(format!("opened {path}"))
}

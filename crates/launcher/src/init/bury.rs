//! Who has died, and of what: looked at before it is buried, as afterwards nobody knows its name.
//!
//! Only deaths by a signal that a limit sends are told, and only the first few of each: a tree that
//! dies in thousands says the same again and again.
//!
//! The trap: `/proc` may be that of another PID namespace, where the number of the dead is
//! somebody else's. Then there is no name.

use super::proc;
use super::sys::{self, Errno, nr};
use super::wire;

/// `SIGXCPU` and `SIGXFSZ` are sent by limits, `SIGKILL` by the harder one of CPU time.
const TOLD: [i32; 3] = [9, 24, 25];
/// Deaths by each of them that are told at most.
const MOST: u8 = 8;

const WNOHANG: usize = 1;
const WALL: usize = 0x4000_0000;

/// A child that has ended and is buried.
pub(crate) struct Dead {
    pub(crate) pid: i32,
    pub(crate) status: u32,
    /// CPU time of it and of the children it had waited for, in µs.
    cpu_us: u64,
    name: [u8; 16],
}

/// The next child that has ended, if there is one; an error when there is no child at all.
pub(crate) fn next() -> Result<Option<Dead>, Errno> {
    let Some((pid, signal)) = peek()? else { return Ok(None) };
    let name = if TOLD.contains(&signal) { name_of(pid) } else { [0; 16] };
    let mut status = 0_u32;
    let mut usage = [0_u64; 18];
    let (told, used) = ((&raw mut status) as usize, usage.as_mut_ptr() as usize);
    // SAFETY: the kernel writes one word, and a structure of eighteen.
    let buried = unsafe { sys::call(nr::WAIT4, [pid as usize, told, WALL | WNOHANG, used, 0, 0])? };
    let cpu_us = (usage[0] + usage[2]) * 1_000_000 + usage[1] + usage[3];
    Ok((buried != 0).then_some(Dead { pid, status, cpu_us, name }))
}

/// A child that has ended, left where it is, and the signal that ended it or 0.
fn peek() -> Result<Option<(i32, i32)>, Errno> {
    const P_ALL: usize = 0;
    const WEXITED_NOWAIT: usize = 4 | 0x0100_0000;
    const CLD_EXITED: i32 = 1;
    // Words: signal, error, code, padding, process, user, status.
    let mut info = [0_i32; 32];
    let address = info.as_mut_ptr() as usize;
    let options = WEXITED_NOWAIT | WNOHANG | WALL;
    // SAFETY: the kernel fills a structure of 128 bytes.
    unsafe { sys::call(nr::WAITID, [P_ALL, 0, address, options, 0, 0])? };
    let signal = if info[2] == CLD_EXITED { 0 } else { info[6] };
    Ok((info[4] != 0).then_some((info[4], signal)))
}

/// The name of a process, where `/proc` knows it by the same number.
fn name_of(pid: i32) -> [u8; 16] {
    let mut name = [0_u8; 16];
    if proc_is_ours() {
        let path = proc::of_process(pid.unsigned_abs(), b"/comm\0");
        let length = proc::read(&path, &mut name).map_or(0, <[u8]>::len);
        // It ends with a newline, and the last byte is for the NUL.
        for byte in name.iter_mut().skip(length.saturating_sub(1)) {
            *byte = 0;
        }
    }
    name
}

/// Whether `/proc/self` has the number that this process has for itself.
fn proc_is_ours() -> bool {
    let mut number = [0_u8; 16];
    let target = number.as_mut_ptr() as usize;
    let path = b"/proc/self\0";
    let length = sys::at_path(nr::READLINKAT, sys::AT_FDCWD, path, [target, 15, 0]);
    let here = sys::numbers(nr::GETPID, [0; 5]).map_or(0, |pid| pid as i32);
    length.is_ok() && super::descend::number(&number) == Some(here)
}

/// How many deaths by each signal have been told.
#[derive(Default)]
pub(crate) struct Told([u8; TOLD.len()]);

impl Told {
    /// The report of a death, when it is worth one.
    pub(crate) fn words(&mut self, dead: &Dead, command: bool) -> Option<[u64; 8]> {
        let signal = (dead.status & 0x7f) as i32;
        let index = TOLD.iter().position(|told| *told == signal)?;
        let told = self.0.get_mut(index).filter(|told| **told < MOST || command)?;
        *told = told.saturating_add(1);
        let [first, second] = [0, 8].map(|at| {
            let half = dead.name.get(at..at + 8).and_then(|half| half.try_into().ok());
            half.map_or(0, u64::from_ne_bytes)
        });
        let (signal, command) = (signal as u64, u64::from(command));
        Some([wire::REPORT_DIED, signal, dead.cpu_us, command, first, second, 0, 0])
    }
}

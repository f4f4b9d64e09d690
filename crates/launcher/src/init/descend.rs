//! The tree of processes as `/proc` shows it, for where no PID namespace holds it.
//!
//! A process whose parent died becomes a child of this one (it is a subreaper),
//! so everyone below is a descendant by parent links. A number may be reused
//! between looking and signalling: the process is pinned by a descriptor first,
//! then looked at again, then signalled by that descriptor.

use super::proc;
use super::sys::{self, new, nr};
use core::cell::UnsafeCell;

const MOST: usize = 32 * 1024;

/// Process and parent of everyone seen; 0 as a parent marks a descendant.
struct Seen(UnsafeCell<[[i32; 2]; MOST]>);

// SAFETY: the init has one thread.
unsafe impl Sync for Seen {}

static SEEN: Seen = Seen(UnsafeCell::new([[0; 2]; MOST]));

/// Sends `signal` to every descendant of this process, as far as it can see.
pub(crate) fn signal(signal: i32) {
    // SAFETY: one thread, and no other reference lives.
    let seen = unsafe { &mut *SEEN.0.get() };
    let count = scan(seen);
    let Some(seen) = seen.get_mut(..count) else { return };
    let myself = sys::numbers(nr::GETPID, [0; 5]).map_or(0, |pid| pid as i32);
    mark(seen, myself);
    for [pid, parent] in seen.iter().copied().filter(|[_, mark]| *mark < 0) {
        send(pid, -parent, signal);
    }
}

/// Marks whose chain of parents leads to `root`, by making the parent negative.
fn mark(seen: &mut [[i32; 2]], root: i32) {
    let mut changed = true;
    while changed {
        changed = false;
        for i in 0..seen.len() {
            let parent = seen[i][1];
            let below = parent == root
                || parent > 0 && seen.iter().any(|[pid, up]| *pid == parent && *up < 0);
            if parent > 0 && below {
                seen[i][1] = -parent;
                changed = true;
            }
        }
    }
}

fn send(pid: i32, parent: i32, signal: i32) {
    let Ok(pinned) = sys::numbers(new::PIDFD_OPEN, [pid as usize, 0, 0, 0, 0]) else { return };
    let myself = sys::numbers(nr::GETPID, [0; 5]).map_or(0, |pid| pid as i32);
    // Still the one that was seen, or by now one of ours.
    if parent_of(pid).is_some_and(|now| now == parent || now == myself) {
        // It may have ended meanwhile; then there is nothing to signal.
        let _ = sys::numbers(new::PIDFD_SEND_SIGNAL, [pinned, signal as usize, 0, 0, 0]);
    }
    sys::close(pinned as i32);
}

/// Fills `seen` with everyone in `/proc`; how many.
fn scan(seen: &mut [[i32; 2]; MOST]) -> usize {
    let mut count = 0;
    each_number(b"/proc\0", |pid| {
        if let Some(parent) = parent_of(pid) {
            seen[count] = [pid, parent];
            count += 1;
        }
        count < MOST
    });
    count
}

/// Whether the parents of `pid` lead to `root`.
pub(crate) fn is_below(pid: i32, root: i32) -> bool {
    /// A chain cannot be longer than this without going in circles of reused numbers.
    const LONGEST: usize = 4096;
    let mut parents = core::iter::successors(Some(pid), |pid| parent_of(*pid)).take(LONGEST);
    parents.any(|parent| parent == root)
}

/// Calls `with` for each entry of a directory whose name is a number, as long as it
/// returns true; false when the directory cannot be read.
pub(crate) fn each_number(path: &[u8], mut with: impl FnMut(i32) -> bool) -> bool {
    let end = path.iter().position(|byte| *byte == 0).map_or(0, |nul| nul + 1);
    let Ok(dir) = sys::open(path.get(..end).unwrap_or_default(), sys::O_DIRECTORY, 0) else {
        return false;
    };
    let mut entries = core::mem::MaybeUninit::<[u64; 1024]>::uninit();
    loop {
        let target = entries.as_mut_ptr() as usize;
        // SAFETY: the buffer is as long as said.
        let filled = unsafe {
            sys::call(nr::GETDENTS64, [dir as usize, target, size_of_val(&entries), 0, 0, 0])
        };
        let Ok(filled @ 1..) = filled else { break };
        // SAFETY: the same buffer as bytes, up to what the kernel filled.
        let bytes = unsafe { core::slice::from_raw_parts(entries.as_ptr().cast::<u8>(), filled) };
        if !each_entry(bytes, &mut with) {
            break;
        }
    }
    sys::close(dir);
    true
}

/// The entries of one buffer of getdents64(2): length at 16, name from 19.
fn each_entry(mut entries: &[u8], with: &mut impl FnMut(i32) -> bool) -> bool {
    while let Some(length) = entries.get(16..18) {
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let (Some(name), Some(rest)) = (entries.get(19..length), entries.get(length..)) else {
            break;
        };
        if number(name).is_some_and(|number| !with(number)) {
            return false;
        }
        entries = rest;
    }
    true
}

/// The number a text begins with, if it is nothing but digits up to a NUL byte or space.
pub(crate) fn number(text: &[u8]) -> Option<i32> {
    let mut value = 0_i32;
    for (i, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.checked_mul(10)?.checked_add(i32::from(byte - b'0'))?,
            0 | b' ' | b'\n' if i > 0 => return Some(value),
            _ => return None,
        }
    }
    (!text.is_empty()).then_some(value)
}

/// The fourth field of `/proc/PID/stat`; the second may hold anything, so from the last `)`.
fn parent_of(pid: i32) -> Option<i32> {
    let mut text = [0_u8; 512];
    let text = proc::read(&proc::of_process(pid.unsigned_abs(), b"/stat\0"), &mut text)?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    number(text.get(end + 4..)?)
}

/// How many processes and threads this PID namespace has started, without this one:
/// the last number given out, which is the fifth field of `/proc/loadavg`.
pub(crate) fn started() -> u64 {
    let mut text = [0_u8; 128];
    let text = proc::read(b"/proc/loadavg\0", &mut text).unwrap_or_default();
    let last = text.rsplit(|byte| *byte == b' ').next();
    last.and_then(number).map_or(0, |last| u64::from(last.unsigned_abs()).saturating_sub(1))
}

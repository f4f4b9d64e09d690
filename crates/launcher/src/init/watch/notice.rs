//! Calls that a filter hands to this process, and answers to them: seccomp_unotify(2).

use super::super::sys::{self, Answer, Errno, nr};

/// One call that waits for its answer: `struct seccomp_notif`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Notice {
    /// Names it as long as the caller waits.
    pub(crate) id: u64,
    /// The thread that called, as this process sees it.
    pub(crate) tid: u32,
    flags: u32,
    /// Which call.
    pub(crate) call: i32,
    architecture: u32,
    instruction: u64,
    /// Its arguments.
    pub(crate) args: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

#[repr(C)]
struct NewDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    number: u32,
    number_flags: u32,
}

// `_IOWR('!', …)` and `_IOW('!', …)` of linux/seccomp.h.
const RECEIVE: usize = 0xc050_2100;
const SEND: usize = 0xc018_2101;
const ID_VALID: usize = 0x4008_2102;
const ADD_DESCRIPTOR: usize = 0x4018_2103;
const SET_FLAGS: usize = 0x4008_2104;
const FLAG_CONTINUE: u32 = 1;
const SYNCHRONOUS_WAKE_UP: usize = 1;

/// Wakes the listener on the processor of who waits for it, where the kernel can (Linux 6.6).
pub(crate) fn wake_in_place(listener: i32) {
    let _ = sys::numbers(nr::IOCTL, [listener as usize, SET_FLAGS, SYNCHRONOUS_WAKE_UP, 0, 0]);
}

/// The next call; waits for it.
///
/// # Errors
/// `ENOENT` when who called has died meanwhile, or nobody is left.
pub(crate) fn receive(listener: i32) -> Result<Notice, Errno> {
    let mut notice = Notice::default();
    request(listener, RECEIVE, (&raw mut notice) as usize)?;
    Ok(notice)
}

/// Whether the caller still waits; so its number still means the same process, and
/// what was read of it was read of the caller.
pub(crate) fn is_valid(listener: i32, id: u64) -> bool {
    request(listener, ID_VALID, (&raw const id) as usize).is_ok()
}

/// Answers instead of the kernel. Who does not wait any more gets no answer.
pub(crate) fn answer(listener: i32, id: u64, answer: Answer) {
    let (value, error) = match answer {
        Ok(value) => (value as i64, 0),
        Err(Errno(errno)) => (0, -errno),
    };
    respond(listener, Response { id, value, error, flags: 0 });
}

/// Lets the kernel carry the call out. Everything that was looked at may have changed
/// by then: never for a call that this process is the wall of.
pub(crate) fn go_on(listener: i32, id: u64) {
    respond(listener, Response { id, value: 0, error: 0, flags: FLAG_CONTINUE });
}

fn respond(listener: i32, response: Response) {
    let _ = request(listener, SEND, (&raw const response) as usize);
}

/// Gives the caller a descriptor of this process; its number there.
pub(crate) fn give(listener: i32, id: u64, fd: i32, number_flags: usize) -> Answer {
    let new = NewDescriptor {
        id,
        flags: 0,
        source: fd as u32,
        number: 0,
        number_flags: number_flags as u32,
    };
    request(listener, ADD_DESCRIPTOR, (&raw const new) as usize)
}

fn request(listener: i32, request: usize, address: usize) -> Answer {
    // SAFETY: each request comes with the address of the structure that it is for.
    unsafe { sys::call(nr::IOCTL, [listener as usize, request, address, 0, 0, 0]) }
}

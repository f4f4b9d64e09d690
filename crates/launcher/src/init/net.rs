//! Sockets for whoever serves the network of this namespace from outside.
//!
//! A socket belongs to the namespace it was made in, whoever uses it. So the supervisor's side configures
//! routes and rules, listens and connects by sockets that are made here and handed
//! out, and nothing of that needs to be known here. Before the command is started
//! the set-up waits until it is told to go on; afterwards sockets are still made on
//! request, without any capability by then.
//!
//! The command cannot ask: this end is closed in its process, and the other one is outside.

use super::sys::{self, Errno, nr};
use super::wire::{self, CONTROL_FD};
use core::sync::atomic::{AtomicI32, Ordering};

const AF_UNIX: usize = 1;
const SOCK_SEQPACKET_CLOEXEC: usize = 5 | sys::O_CLOEXEC;
const POLLIN: i32 = 1;

/// This end of the service; below 0: there is none.
static SERVICE: AtomicI32 = AtomicI32::new(-1);

/// The descriptor to wait on for requests; below 0, which poll(2) leaves out, when there is none.
pub(crate) fn service() -> i32 {
    SERVICE.load(Ordering::Relaxed)
}

/// Hands out the other end of the service, and serves until it is told to go on.
pub(crate) fn offer() -> Result<(), Errno> {
    let mut pair = [0_i32; 2];
    let address = pair.as_mut_ptr() as usize;
    // SAFETY: the kernel fills in two descriptors.
    unsafe { sys::call(nr::SOCKETPAIR, [AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, address, 0, 0])? };
    let words = [wire::REPORT_SOCKETS, 0, 0, 0, 0, 0, 0, 0];
    let sent = send(CONTROL_FD, &wire::report_bytes(words), pair[1]);
    sys::close(pair[1]);
    SERVICE.store(pair[0], Ordering::Relaxed);
    sent?;
    loop {
        wait()?;
        if serve()? {
            return Ok(());
        }
    }
}

/// Waits for a request. Anything on the control socket means that the run is not wanted any more.
fn wait() -> Result<(), Errno> {
    let mut polled = [[CONTROL_FD, POLLIN], [service(), POLLIN]];
    let address = polled.as_mut_ptr() as usize;
    loop {
        // SAFETY: two entries of eight bytes, no limit.
        match unsafe { sys::call(nr::PPOLL, [address, 2, 0, 0, 0, 0]) } {
            Err(sys::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) if polled[0][1] >> 16 != 0 => return Err(sys::ECANCELED),
            Ok(_) => return Ok(()),
        }
    }
}

/// Answers one request; true when it was to go on.
pub(crate) fn serve() -> Result<bool, Errno> {
    let mut request = [0_u8; wire::SOCKET_REQUEST];
    let length = match sys::read(service(), &mut request) {
        Err(sys::EINTR | sys::EAGAIN) => return Ok(false),
        other => other?,
    };
    if length == 0 {
        // Nobody asks any more.
        sys::close(SERVICE.swap(-1, Ordering::Relaxed));
        return Err(sys::ECANCELED);
    }
    let [domain, kind, protocol] = wire::socket_request(request);
    if domain == wire::PROCEED {
        return Ok(true);
    }
    let numbers = [domain as usize, kind as usize, protocol as usize, 0, 0];
    let (code, socket) = match sys::numbers(nr::SOCKET, numbers) {
        Ok(socket) => (0, socket as i32),
        Err(Errno(code)) => (code, -1),
    };
    let sent = send(service(), &code.to_ne_bytes(), socket);
    if socket >= 0 {
        sys::close(socket);
    }
    sent.map(|()| false)
}

/// Sends bytes and a descriptor, if it is one: sendmsg(2) with `SCM_RIGHTS`.
fn send(to: i32, bytes: &[u8], fd: i32) -> Result<(), Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    const SOL_SOCKET: u64 = 1;
    const SCM_RIGHTS: u64 = 1;
    const HEADER: u64 = 16;
    let pair = |low: u64, high: u64| {
        let halves = [low as u32, high as u32];
        // SAFETY: two halves are one word, in the machine's own order.
        unsafe { core::mem::transmute::<[u32; 2], u64>(halves) }
    };
    // Length of header and descriptor, then level and type, then the descriptor.
    let rights = [HEADER + 4, pair(SOL_SOCKET, SCM_RIGHTS), pair(u64::from(fd as u32), 0)];
    let part = [bytes.as_ptr() as u64, bytes.len() as u64];
    let size = if fd >= 0 { size_of_val(&rights) as u64 } else { 0 };
    // No name; one part; the rights; no flags.
    let message = [0, 0, part.as_ptr() as u64, 1, rights.as_ptr() as u64, size, 0];
    let address = message.as_ptr() as usize;
    // SAFETY: the structure of seven words, whose pointers outlive the call.
    unsafe { sys::call(nr::SENDMSG, [to as usize, address, MSG_NOSIGNAL, 0, 0, 0]) }.map(|_| ())
}

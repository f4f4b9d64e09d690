//! Sockets of the tree's network namespace, fetched from the init.
//!
//! See [`Step::OfferSockets`](crate::Step::OfferSockets). Whoever started the tree owns its user namespace, so it may do with these
//! sockets whatever the one who made them could: listen on any port, and by netlink(7) set addresses,
//! routes and rules.

use crate::init::wire;
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long the init may take to answer. It does nothing else that takes time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes sockets in the network namespace of a tree. Usable from any thread, for as long as the tree lives.
#[derive(Debug)]
pub struct SocketService {
    channel: Mutex<OwnedFd>,
}

impl SocketService {
    pub(crate) fn new(channel: OwnedFd) -> Self {
        let time = libc::timeval {
            tv_sec: PATIENCE.as_secs() as libc::time_t,
            tv_usec: PATIENCE.subsec_micros() as libc::suseconds_t,
        };
        for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
            // SAFETY: a structure of that size. Without the limit only the patience is greater.
            unsafe {
                libc::setsockopt(
                    channel.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const time).cast(),
                    size_of::<libc::timeval>() as libc::socklen_t,
                );
            }
        }
        Self { channel: Mutex::new(channel) }
    }

    /// One socket for each domain, type (with its flags) and protocol, in order, as socket(2) makes
    /// it; each with its own success.
    ///
    /// # Errors
    /// When the init does not answer, which it always does while the tree lives.
    pub fn open(&self, wanted: &[[u32; 3]]) -> io::Result<Vec<io::Result<OwnedFd>>> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        for numbers in wanted {
            send(&channel, *numbers)?;
        }
        wanted.iter().map(|_| receive(&channel)).collect()
    }

    /// Lets the init go on and start the command. Only once, and only when everything is ready.
    ///
    /// # Errors
    /// When the init is gone.
    pub fn proceed(&self) -> io::Result<()> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        send(&channel, [wire::PROCEED, 0, 0])
    }
}

fn send(channel: &OwnedFd, numbers: [u32; 3]) -> io::Result<()> {
    let bytes = numbers.map(u32::to_ne_bytes).concat();
    // SAFETY: the buffer is as long as said.
    let n = unsafe {
        libc::send(channel.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL)
    };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn receive(channel: &OwnedFd) -> io::Result<io::Result<OwnedFd>> {
    let mut code = [0; 4];
    let (length, socket) = receive_with_descriptor(channel, &mut code, 0)?;
    if length != code.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(socket.ok_or_else(|| io::Error::from_raw_os_error(i32::from_ne_bytes(code))))
}

/// One datagram, and the descriptor that came with it; see recvmsg(2).
pub(crate) fn receive_with_descriptor(
    socket: &OwnedFd,
    bytes: &mut [u8],
    flags: libc::c_int,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut room = [0_u64; 3];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: a structure of numbers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = room.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&room) as _;
    let flags = flags | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: every pointer of the message is to a local that outlives the call.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let length = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the message was filled in by the kernel.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    let rights = header.filter(|header| {
        (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS)
    });
    let descriptor = rights.map(|header| {
        // SAFETY: behind such a header lies a descriptor, new and owned by nobody else; there is no
        // room for a second one.
        unsafe {
            OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<libc::c_int>().read_unaligned())
        }
    });
    Ok((length, descriptor))
}

//! Takes the terminal that a command's own process has opened, as it comes over a socket.
//!
//! The trap: between taking a descriptor and marking it, another thread of the caller may execute
//! a program, and a terminal somebody else holds never hangs up. So it is marked as it is taken.

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

/// Master and slave of the next terminal that was sent; `None` when none is there and none comes.
///
/// # Errors
/// When the socket is non-blocking and nothing has been sent so far.
pub fn receive_terminal(socket: &UnixStream) -> io::Result<Option<[OwnedFd; 2]>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let sides = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sides) => Some([sides.next()?, sides.next()?]),
        _ => None,
    });
    Ok(sides)
}

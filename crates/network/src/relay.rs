//! Bytes between inside and outside, both ways, until both sides have said that they are done.
//!
//! An end that is said (FIN) is passed on as such while the other direction goes on. An end that breaks off (RST) breaks off the
//! other side too. A buffer is held only while there are bytes on their way, so an idle connection has none.
//!
//! Memory is bounded by the sizes of the buffers: the first ones are large, for speed, the many after them small.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpStream;

mod buffers;
pub(crate) use buffers::Buffers;

/// Relays until both directions have ended, or the one to outside when the programs inside are `gone`; an error if one broke off, in
/// which case both sides are reset.
pub(crate) async fn relay(
    inside: &TcpStream,
    outside: &TcpStream,
    buffers: &Buffers,
    up: &[&AtomicU64],
    down: &[&AtomicU64],
    gone: impl Future<Output = ()>,
) -> io::Result<()> {
    let both = async {
        let down = async {
            tokio::select! {
                ended = pump(outside, inside, buffers, down) => ended,
                // Nobody is left to read it.
                () = gone => Ok(()),
            }
        };
        tokio::try_join!(pump(inside, outside, buffers, up), down)
    };
    let ended = both.await;
    if ended.is_err() {
        reset(inside);
        reset(outside);
    }
    ended.map(|_| ())
}

async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    buffers: &Buffers,
    counters: &[&AtomicU64],
) -> io::Result<()> {
    buffers
        .move_all(from, to, |moved| {
            for counter in counters {
                counter.fetch_add(moved as u64, Ordering::Relaxed);
            }
        })
        .await?;
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        // It has gone meanwhile, which the other direction will notice.
        Err(rustix::io::Errno::NOTCONN) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes the close of a connection a reset: the other side is told that it broke off.
pub(crate) fn reset(stream: &TcpStream) {
    // A socket that takes no options any more is gone anyway.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(std::time::Duration::ZERO));
}

//! The control socket of a tree, as the runtime can wait for it.
//!
//! Reports are read through the tree handle; what is registered with the runtime is a second
//! descriptor of the same socket, which the runtime can own. The trap: the init ends the tree when
//! the *last* descriptor of the socket closes, so this one must go when the handle goes.

use std::io;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::sync::Arc;

use ringfence_sandbox::{Report, Tree};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// A tree and its control socket.
#[derive(Debug)]
pub(crate) struct Control {
    tree: Arc<Tree>,
    readiness: UnixDatagram,
}

impl Control {
    /// Registers the socket with the runtime this is called in.
    pub(crate) fn listen(tree: Arc<Tree>) -> io::Result<Self> {
        let socket = StdUnixDatagram::from(tree.control().try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        Ok(Self { readiness: UnixDatagram::from_std(socket)?, tree })
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The next report; `None` when the init is gone. Dropping the future loses nothing.
    pub(crate) async fn next_report(&self) -> io::Result<Option<Report>> {
        let read = || self.tree.next_report();
        loop {
            match self.readiness.try_io(Interest::READABLE, read) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                report => return report,
            }
            self.readiness.readable().await?;
        }
    }
}

//! From socket to buffer to socket, for systems without splice(2).

use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpStream;

/// Size of a buffer, in bytes.
const SIZE: usize = 64 * 1024;
/// Most buffers that are kept for later.
const MOST_KEPT: usize = 32;

/// The buffers of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Pipes {
    /// Moves everything until `from` says its end.
    pub(crate) async fn move_all(
        &self,
        from: &TcpStream,
        to: &TcpStream,
        mut count: impl FnMut(usize),
    ) -> io::Result<()> {
        loop {
            from.readable().await?;
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut buffer = kept.unwrap_or_else(|| vec![0; SIZE]);
            let ended = move_some(&mut buffer, from, to, &mut count).await?;
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < MOST_KEPT {
                kept.push(buffer);
            }
            if ended {
                return Ok(());
            }
        }
    }
}

/// Moves what is there, until there is nothing; true at the end of `from`.
async fn move_some(
    buffer: &mut [u8],
    from: &TcpStream,
    to: &TcpStream,
    count: &mut impl FnMut(usize),
) -> io::Result<bool> {
    loop {
        let filled = match from.try_read(buffer) {
            Ok(0) => return Ok(true),
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..filled];
        while !rest.is_empty() {
            match to.try_write(rest) {
                Ok(moved) => {
                    rest = &rest[moved..];
                    count(moved);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
                Err(error) => return Err(error),
            }
        }
        tokio::task::yield_now().await;
    }
}

//! A tunnel through a proxy: `CONNECT`, or SOCKS5 with the name.
//!
//! A proxy is trusted with the connection, not with memory: what it answers is read up to a limit, and not one byte of what comes
//! behind its answer is read here, as that belongs to the command.

use super::{Credential, ProxyKind, ProxyServer};
use base64::Engine;
use ringfence_policy::Destination;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer of a proxy to `CONNECT`, in bytes.
const MAX_HEAD: usize = 8192;

/// The proxy did not open the tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The connection to the proxy broke.
    #[error("the connection to the proxy broke")]
    Io(#[from] io::Error),
    /// An HTTP proxy said something else than 2xx.
    #[error("the proxy answered {status}")]
    Status {
        /// The status code.
        status: u16,
    },
    /// A SOCKS5 proxy said no.
    #[error("the proxy answered: {0}")]
    Socks(&'static str),
    /// It wants credentials, and there are none or others.
    #[error("the proxy refuses the credentials")]
    Credentials,
    /// It does not speak the protocol.
    #[error("the proxy does not speak {0}")]
    Protocol(&'static str),
}

/// Opens a tunnel to `destination` on a connection to the proxy.
pub(crate) async fn tunnel(
    stream: &mut TcpStream,
    server: &ProxyServer,
    destination: &Destination,
) -> Result<(), TunnelError> {
    match server.kind {
        ProxyKind::Http => connect(stream, server.credential.as_ref(), destination).await,
        ProxyKind::Socks5 => socks5(stream, server.credential.as_ref(), destination).await,
    }
}

async fn connect(
    stream: &mut TcpStream,
    credential: Option<&Credential>,
    destination: &Destination,
) -> Result<(), TunnelError> {
    let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
    if let Some(Credential { user, password }) = credential {
        let pair = [user, &b":"[..], password].concat();
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        request.push_str(&format!("Proxy-Authorization: Basic {encoded}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let head = read_head(stream).await?;
    match status(&head).ok_or(TunnelError::Protocol("HTTP"))? {
        200..=299 => Ok(()),
        407 => Err(TunnelError::Credentials),
        status => Err(TunnelError::Status { status }),
    }
}

/// The head of an answer. It is peeked at first, so that nothing behind it is taken.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, TunnelError> {
    let mut head: Vec<u8> = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() < MAX_HEAD {
        let seen = stream.peek(&mut buffer).await?;
        if seen == 0 {
            return Err(TunnelError::Protocol("HTTP"));
        }
        let before = head.len();
        head.extend_from_slice(&buffer[..seen]);
        let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
        let taken = end.unwrap_or(head.len()) - before;
        stream.read_exact(&mut buffer[..taken]).await?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
    }
    Err(TunnelError::Protocol("HTTP"))
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.strip_prefix(b"HTTP/1.")?;
    std::str::from_utf8(line.get(2..5)?).ok()?.parse().ok()
}

const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;

async fn socks5(
    stream: &mut TcpStream,
    credential: Option<&Credential>,
    destination: &Destination,
) -> Result<(), TunnelError> {
    const SOCKS: TunnelError = TunnelError::Protocol("SOCKS5");
    let greeting: &[u8] = if credential.is_some() {
        &[5, 2, NO_AUTHENTICATION, PASSWORD]
    } else {
        &[5, 1, NO_AUTHENTICATION]
    };
    stream.write_all(greeting).await?;
    match (read(stream).await?, credential) {
        ([5, NO_AUTHENTICATION], _) => {}
        ([5, PASSWORD], Some(Credential { user, password })) => {
            let mut message = vec![1, user.len() as u8];
            message.extend_from_slice(user);
            message.push(password.len() as u8);
            message.extend_from_slice(password);
            stream.write_all(&message).await?;
            if read::<2>(stream).await?[1] != 0 {
                return Err(TunnelError::Credentials);
            }
        }
        ([5, _], _) => return Err(TunnelError::Credentials),
        _ => return Err(SOCKS),
    }
    stream.write_all(&socks_request(destination)).await?;
    let [version, reply, _, kind] = read(stream).await?;
    if version != 5 {
        return Err(SOCKS);
    }
    if reply != 0 {
        return Err(TunnelError::Socks(socks_reply(reply)));
    }
    let rest = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(read::<1>(stream).await?[0]),
        _ => return Err(SOCKS),
    };
    let mut bound = [0; 257];
    stream.read_exact(&mut bound[..rest + 2]).await?;
    Ok(())
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn socks_request(destination: &Destination) -> Vec<u8> {
    let mut bytes = vec![5, 1, 0];
    match destination {
        Destination::Name { name, .. } => {
            // A name has 253 bytes at most.
            bytes.extend([3, name.as_str().len() as u8]);
            bytes.extend_from_slice(name.as_str().as_bytes());
        }
        Destination::Ip { address: IpAddr::V4(v4), .. } => {
            bytes.push(1);
            bytes.extend(v4.octets());
        }
        Destination::Ip { address: IpAddr::V6(v6), .. } => {
            bytes.push(4);
            bytes.extend(v6.octets());
        }
    }
    bytes.extend(destination.port().to_be_bytes());
    bytes
}

/// Source: RFC 1928 section 6.
fn socks_reply(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "timed out",
        _ => "an error without a name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        assert_eq!(status(b"HTTP/2 200\r\n\r\n"), None);
        assert_eq!(status(b"SSH-2.0"), None);
    }

    #[test]
    fn requests_are_written() {
        let name = Destination::new("a.b", 258).expect("a good destination");
        assert_eq!(socks_request(&name), [5, 1, 0, 3, 3, b'a', b'.', b'b', 1, 2]);
        assert_eq!(
            socks_request(&Destination::ip([1, 2, 3, 4], 5)),
            [5, 1, 0, 1, 1, 2, 3, 4, 0, 5]
        );
    }
}

//! The SOCKS5 side: a password, then `CONNECT` with a name or an address. Source: RFC 1928, RFC 1929.
//!
//! Every length on the wire is one byte, so nothing can be long.

use super::{PATIENCE, Proxy, carry_on, destination};
use crate::gateway::Shared;
use crate::ledger::Target;
use crate::outside::Failure;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const SUCCEEDED: u8 = 0;
const NOT_ALLOWED: u8 = 2;
const HOST_UNREACHABLE: u8 = 4;
const REFUSED: u8 = 5;
const COMMAND_NOT_SUPPORTED: u8 = 7;
const KIND_NOT_SUPPORTED: u8 = 8;

/// Serves one client.
pub(super) async fn serve(shared: &Shared, stream: &mut TcpStream, proxy: &Proxy) {
    let asked = timeout(PATIENCE, async {
        if !admit(stream, proxy).await? {
            return Ok(None);
        }
        read_request(stream).await.map(Some)
    });
    let (host, port) = match asked.await {
        Ok(Ok(Some(Ok(place)))) => place,
        Ok(Ok(Some(Err(code)))) => return reply(stream, code).await,
        _ => return,
    };
    let Some(destination) = destination(shared, &host, port) else {
        return reply(stream, NOT_ALLOWED).await;
    };
    match shared.open(&destination).await {
        Ok(connection) => {
            reply(stream, SUCCEEDED).await;
            let target = Target::from(&destination);
            carry_on(shared, stream, connection.stream, target, &[]).await;
        }
        Err(Failure::Refused(_)) => reply(stream, NOT_ALLOWED).await,
        Err(Failure::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            reply(stream, REFUSED).await;
        }
        Err(_) => reply(stream, HOST_UNREACHABLE).await,
    }
}

/// Greeting and password.
async fn admit(stream: &mut TcpStream, proxy: &Proxy) -> io::Result<bool> {
    stream.read_u8().await?;
    let methods = counted(stream).await?;
    if !methods.contains(&PASSWORD) {
        stream.write_all(&[5, NO_METHOD]).await?;
        return Ok(false);
    }
    stream.write_all(&[5, PASSWORD]).await?;
    let version = stream.read_u8().await?;
    let (user, password) = (counted(stream).await?, counted(stream).await?);
    let admitted = version == 1 && proxy.admits(&user, &password);
    stream.write_all(&[1, u8::from(!admitted)]).await?;
    Ok(admitted)
}

/// Host and port, or the code to reply with.
async fn read_request(stream: &mut TcpStream) -> io::Result<Result<(String, u16), u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head {
        [5, 1, _, 1] => Ipv4Addr::from(stream.read_u32().await?).to_string(),
        [5, 1, _, 4] => Ipv6Addr::from(stream.read_u128().await?).to_string(),
        // What is no text is no host, which is found out where hosts are read.
        [5, 1, _, 3] => String::from_utf8_lossy(&counted(stream).await?).into_owned(),
        [5, 1, ..] => return Ok(Err(KIND_NOT_SUPPORTED)),
        _ => return Ok(Err(COMMAND_NOT_SUPPORTED)),
    };
    Ok(Ok((host, stream.read_u16().await?)))
}

/// Bytes behind their count.
async fn counted(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn reply(stream: &mut TcpStream, code: u8) {
    // A client that is gone needs no answer.
    drop(stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await);
}

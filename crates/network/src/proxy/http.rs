//! The HTTP side: `CONNECT host:port`, and plain requests in absolute form.

use super::{PATIENCE, Proxy, carry_on, destination};
use crate::gateway::Shared;
use crate::ledger::Target;
use crate::outside::Failure;
use base64::Engine;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Most headers of a request.
const MAX_HEADERS: usize = 100;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The host as it was written, IPv6 in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the server is to be sent in place of the head; empty for a tunnel.
    pub head: Vec<u8>,
    /// A tunnel: the client waits for word that it stands.
    pub tunnel: bool,
    /// User name and password, if any were given.
    pub credentials: Option<(Vec<u8>, Vec<u8>)>,
    /// Length of the head that was read, in bytes.
    pub length: usize,
}

/// Why a head is no request for a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not HTTP/1.
    #[error("not an HTTP/1 request")]
    Malformed,
    /// Longer than 16 KiB, or more than 100 headers.
    #[error("the head of the request is too long")]
    TooLong,
    /// No host and port, or another scheme than `http`.
    #[error("not a request for a proxy")]
    Target,
}

/// Reads the head of a request; `None` while it is not complete.
///
/// # Errors
/// [`HeadError`] as soon as it cannot become one.
pub fn parse_request(bytes: &[u8]) -> Result<Option<Request>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
        Err(_) => return Err(HeadError::Malformed),
    };
    let (Some(method), Some(path)) = (request.method, request.path) else {
        return Err(HeadError::Malformed);
    };
    let credentials = credentials(request.headers);
    if method == "CONNECT" {
        let (host, port) = split_authority(path, None).ok_or(HeadError::Target)?;
        let head = Vec::new();
        return Ok(Some(Request { host, port, head, tunnel: true, credentials, length }));
    }
    let scheme = path.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let rest = scheme.and_then(|_| path.get(7..)).ok_or(HeadError::Target)?;
    let (authority, origin) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = split_authority(authority, Some(80)).ok_or(HeadError::Target)?;
    let head = forwarded_head(method, origin, authority, request.headers);
    Ok(Some(Request { host, port, head, tunnel: false, credentials, length }))
}

fn split_authority(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    let bracket = text.rfind(']').unwrap_or(0);
    let (host, port) = match text.rfind(':').filter(|colon| *colon > bracket) {
        Some(colon) => (&text[..colon], text[colon + 1..].parse().ok()?),
        None => (text, default?),
    };
    (!host.is_empty() && port != 0).then(|| (host.to_owned(), port))
}

/// The head as the server gets it: its own form of the target, nothing that was meant for the proxy.
fn forwarded_head(
    method: &str,
    origin: &str,
    authority: &str,
    headers: &[httparse::Header<'_>],
) -> Vec<u8> {
    const FOR_THE_PROXY: [&str; 8] = [
        "host",
        "connection",
        "keep-alive",
        "te",
        "upgrade",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
    ];
    let slash = if origin.starts_with('/') { "" } else { "/" };
    let mut head =
        format!("{method} {slash}{origin} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    for header in headers {
        if !FOR_THE_PROXY.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
            head.extend_from_slice(header.name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(header.value);
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    head
}

fn credentials(headers: &[httparse::Header<'_>]) -> Option<(Vec<u8>, Vec<u8>)> {
    let header = headers.iter().find(|h| h.name.eq_ignore_ascii_case("proxy-authorization"))?;
    let (scheme, encoded) = header.value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = base64::engine::general_purpose::STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some((pair[..colon].to_vec(), pair[colon + 1..].to_vec()))
}

/// Serves one client, whose connection is used for one request.
pub(super) async fn serve(shared: &Shared, stream: &mut TcpStream, proxy: &Proxy) {
    let mut bytes = Vec::new();
    let request = match timeout(PATIENCE, read_request(stream, &mut bytes)).await {
        Ok(Ok(Ok(request))) => request,
        Ok(Ok(Err(error))) => return say(stream, "400 Bad Request", "", &error.to_string()).await,
        _ => return,
    };
    if !request.credentials.as_ref().is_some_and(|(user, password)| proxy.admits(user, password)) {
        let wanted = "Proxy-Authenticate: Basic realm=\"ringfence\"\r\n";
        return say(stream, "407 Proxy Authentication Required", wanted, "a password is needed")
            .await;
    }
    let Some(destination) = destination(shared, &request.host, request.port) else {
        return say(stream, "403 Forbidden", "", "not a host").await;
    };
    match shared.open(&destination).await {
        Ok(connection) => {
            let stood = !request.tunnel
                || stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok();
            if stood {
                let behind = bytes.get(request.length..).unwrap_or_default();
                let ahead = [&request.head, behind].concat();
                let target = Target::from(&destination);
                carry_on(shared, stream, connection.stream, target, &ahead).await;
            }
        }
        Err(Failure::Refused(cause)) => {
            let why = format!("refused by the network allowlist: {destination}: {cause}");
            say(stream, "403 Forbidden", "X-Ringfence-Reason: network_allowlist_blocked\r\n", &why)
                .await;
        }
        Err(failure) => say(stream, "502 Bad Gateway", "", &failure.to_string()).await,
    }
}

async fn read_request(
    stream: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> io::Result<Result<Request, HeadError>> {
    loop {
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse_request(bytes) {
            Ok(None) => {}
            Ok(Some(request)) => return Ok(Ok(request)),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Answers for the proxy itself, and closes.
async fn say(stream: &mut TcpStream, status: &str, headers: &str, text: &str) {
    let length = text.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}\n"
    );
    // A client that is gone needs no answer.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(head: &str, expect: Result<Option<(&str, u16, bool)>, HeadError>) {
        let seen = parse_request(head.as_bytes());
        let seen = seen.map(|request| request.map(|r| (r.host, r.port, r.tunnel)));
        assert_eq!(
            seen,
            expect.map(|some| some.map(|(host, port, tunnel)| (host.to_owned(), port, tunnel))),
            "{head}"
        );
    }

    #[test]
    fn requests_are_read() {
        check("CONNECT a.com:443 HTTP/1.1\r\n\r\n", Ok(Some(("a.com", 443, true))));
        check("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some(("[::1]", 443, true))));
        check("GET http://a.com/x?y HTTP/1.1\r\n\r\n", Ok(Some(("a.com", 80, false))));
        check("GET HTTP://a.com:8080 HTTP/1.0\r\n\r\n", Ok(Some(("a.com", 8080, false))));
        check("GET http://u:p@[::1]/ HTTP/1.1\r\n\r\n", Ok(Some(("[::1]", 80, false))));
        check("GET http://a.com/", Ok(None));
        check("GET / HTTP/1.1\r\n\r\n", Err(HeadError::Target));
        check("GET https://a.com/ HTTP/1.1\r\n\r\n", Err(HeadError::Target));
        check("GET http:// HTTP/1.1\r\n\r\n", Err(HeadError::Target));
        check("CONNECT a.com HTTP/1.1\r\n\r\n", Err(HeadError::Target));
        check("CONNECT a.com:0 HTTP/1.1\r\n\r\n", Err(HeadError::Target));
        check("CONNECT a.com:x HTTP/1.1\r\n\r\n", Err(HeadError::Target));
        check("\x16\x03\x01", Err(HeadError::Malformed));
        check(
            &format!("GET http://a.com/ HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD)),
            Err(HeadError::TooLong),
        );
        check(
            &format!("GET http://a.com/ HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101)),
            Err(HeadError::TooLong),
        );
    }

    #[test]
    fn nothing_for_the_proxy_is_passed_on() {
        let head = "POST http://u:p@a.com:81?q HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: Basic dTpwOnE=\r\nProxy-Connection: keep-alive\r\nConnection: x\r\nA: b\r\n\r\nbody";
        let request = parse_request(head.as_bytes()).expect("good").expect("complete");
        assert_eq!(request.credentials, Some((b"u".to_vec(), b"p:q".to_vec())));
        assert_eq!(&head[request.length..], "body");
        let text = String::from_utf8(request.head).expect("text");
        assert_eq!(
            text,
            "POST /?q HTTP/1.1\r\nHost: a.com:81\r\nA: b\r\nConnection: close\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(parse_request(&bytes));
        }

        #[test]
        fn no_target_is_too_odd(method in "(GET|CONNECT)", target in "(http://)?[a-z0-9.:@/?\\[\\]-]{0,30}", tail in "[a-zA-Z: \r\n=-]{0,40}") {
            let head = format!("{method} {target} HTTP/1.1\r\n{tail}\r\n\r\n");
            if let Ok(Some(request)) = parse_request(head.as_bytes()) {
                prop_assert!(request.port != 0 && !request.host.is_empty());
                prop_assert!(request.length <= head.len());
            }
        }
    }
}

//! The gateway as a proxy on a port, for where there is no network namespace: HTTP (`CONNECT` and plain requests) and SOCKS5.
//!
//! It decides, records and accounts as it does for a namespace. But a program must know of it, by the variables of
//! [`proxy_variables`], and who ignores them is held by something else or not at all. Names are always resolved by the gateway.
//!
//! The port is one of this host's loopback, so every user of the host can connect to it: a random password keeps them out.
//!
//! The trap is the second request on a connection of plain HTTP, which may be meant for another host. Every forwarded request says
//! that the connection closes behind the answer, so there is none.

mod http;
mod socks;
mod variables;

pub use http::{HeadError, Request, parse_request};
pub use variables::{is_proxy_variable, proxy_variables};

use crate::gateway::{Gateway, Shared, accept};
use crate::ledger::{Attempt, Cause, Target};
use crate::relay::reset;
use ringfence_policy::{Destination, allowlist::HostName};
use std::fmt;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a client may take until it has said what it wants.
const PATIENCE: Duration = Duration::from_secs(30);
/// The user name that goes with the password.
const USER: &str = "ringfence";

/// Where a proxy listens, and what it wants to be told. The password prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    address: SocketAddr,
    password: String,
}

impl Proxy {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL with the password in it, as `http` or `socks5h`. It is a secret of the run.
    #[must_use]
    pub fn expose_url(&self, scheme: &str) -> String {
        format!("{scheme}://{USER}:{}@{}", self.password, self.address)
    }

    /// The password alone, for redaction.
    #[must_use]
    pub fn expose_password(&self) -> &str {
        &self.password
    }

    fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        // All bytes are compared whatever the first ones are.
        let expect = self.password.as_bytes();
        let differing = expect.iter().zip(password).fold(0, |all, (a, b)| all | (a ^ b));
        user == USER.as_bytes() && expect.len() == password.len() && differing == 0
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{USER}:***@{}", self.address)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Gateway {
    /// Listens as a proxy on a port of this host's loopback; port 0 takes any that is free.
    ///
    /// # Errors
    /// When the port or random bytes cannot be had.
    pub fn listen_as_proxy(&self, port: u16) -> io::Result<Proxy> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let proxy = Proxy { address: listener.local_addr()?, password: random_password()? };
        let guard = self.handle.enter();
        let listener = TcpListener::from_std(listener)?;
        drop(guard);
        let known = Arc::new(proxy.clone());
        let serve = move |shared, stream| serve(shared, stream, Arc::clone(&known));
        self.handle.spawn(accept(Arc::clone(&self.shared), listener, serve));
        Ok(proxy)
    }
}

/// 128 random bits in hexadecimal.
fn random_password() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream, proxy: Arc<Proxy>) {
    let mut first = [0];
    match timeout(PATIENCE, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == 5 => socks::serve(&shared, &mut stream, &proxy).await,
        Ok(Ok(1)) => http::serve(&shared, &mut stream, &proxy).await,
        _ => {}
    }
}

/// The destination a client named, or the refusal on record.
fn destination(shared: &Shared, host: &str, port: u16) -> Option<Destination> {
    match Destination::new(host, port) {
        Ok(Destination::Name { name, port }) if is_localhost(&name) => {
            Some(Destination::ip(Ipv4Addr::LOCALHOST, port))
        }
        Ok(destination) => Some(destination),
        Err(_) => {
            let shown: String = host.escape_debug().take(255).collect();
            let target = Target { host: shown, port: Some(port) };
            shared.ledger.refuse(target, Attempt::Connection, Cause::NotAHost);
            None
        }
    }
}

fn is_localhost(name: &HostName) -> bool {
    name.as_str() == "localhost"
}

/// Sends what came behind the head, then relays.
async fn carry_on(
    shared: &Shared,
    inside: &TcpStream,
    mut outside: TcpStream,
    target: Target,
    ahead: &[u8],
) {
    if outside.write_all(ahead).await.is_err() {
        reset(inside);
        return;
    }
    shared.carry(inside, &outside, target, ahead.len()).await;
}

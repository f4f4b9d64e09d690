//! The way out: from an allowed destination to a connection.
//!
//! A name is resolved now, every address is judged, and the connection goes to one of the addresses that were judged: there is no
//! second resolution between the check and the use. Several addresses are tried as RFC 8305 has it ("Happy Eyeballs").

use crate::address::AddressKind;
use crate::gate::Gate;
use crate::ledger::Cause;
use crate::resolve::{Resolver, in_turn, is_own_address};
use crate::upstream::{HostProxies, ProxyServer, TunnelError, tunnel};
use ringfence_policy::Destination;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long an address may take before the next one is tried beside it. Source: RFC 8305 section 5.
const HEAD_START: Duration = Duration::from_millis(250);

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Resolving a name.
    pub resolve: Duration,
    /// Connecting, all addresses together, and a tunnel through the host's proxy.
    pub connect: Duration,
}

impl Default for Patience {
    /// 15 seconds and 60 seconds.
    fn default() -> Patience {
        Patience { resolve: Duration::from_secs(15), connect: Duration::from_secs(60) }
    }
}

/// A connection to outside.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// Where it leads, unless a proxy knows that.
    pub(crate) address: Option<IpAddr>,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(Cause),
    Resolve(io::Error),
    Connect(io::Error),
    Tunnel { proxy: String, error: TunnelError },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(_) => f.write_str("refused"),
            Failure::Resolve(error) => write!(f, "cannot resolve the name: {error}"),
            Failure::Connect(error) => write!(f, "cannot connect: {error}"),
            Failure::Tunnel { proxy, error } => {
                write!(f, "cannot connect through {proxy}: {error}")
            }
        }
    }
}

/// Everything that is needed to get out.
pub(crate) struct Outside {
    pub(crate) resolver: Resolver,
    pub(crate) proxies: HostProxies,
    pub(crate) patience: Patience,
    pub(crate) turn: AtomicUsize,
}

impl Outside {
    /// Connects to a destination that the gate allows.
    pub(crate) async fn connect(
        &self,
        gate: &Gate,
        destination: &Destination,
    ) -> Result<Connection, Failure> {
        if let Some(proxy) = self.proxies.for_destination(destination) {
            return self.by_proxy(proxy, destination).await;
        }
        let addresses = match destination {
            Destination::Ip { address, .. } => vec![*address],
            Destination::Name { name, .. } => {
                let found = self.resolve(name.as_str()).await?;
                judged(gate, found, destination.port()).map_err(Failure::Refused)?
            }
        };
        let stream = self.reach(addresses, destination.port()).await?;
        let address = stream.peer_addr().ok().map(|peer| peer.ip());
        Ok(Connection { stream, address })
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        in_time(self.patience.resolve, self.resolver.resolve(name)).await.map_err(Failure::Resolve)
    }

    async fn reach(&self, addresses: Vec<IpAddr>, port: u16) -> Result<TcpStream, Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let race = race(in_turn(&addresses, turn), port);
        let stream = in_time(self.patience.connect, race).await.map_err(Failure::Connect)?;
        // What the command writes goes out as it writes it.
        stream.set_nodelay(true).map_err(Failure::Connect)?;
        Ok(stream)
    }

    async fn by_proxy(
        &self,
        proxy: &ProxyServer,
        destination: &Destination,
    ) -> Result<Connection, Failure> {
        let addresses = match proxy.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.resolve(&proxy.host).await?,
        };
        let mut stream = self.reach(addresses, proxy.port).await?;
        let failed = |error| Failure::Tunnel { proxy: proxy.to_string(), error };
        match timeout(self.patience.connect, tunnel(&mut stream, proxy, destination)).await {
            Ok(opened) => opened.map_err(failed)?,
            Err(_) => return Err(failed(io::Error::from(io::ErrorKind::TimedOut).into())),
        }
        Ok(Connection { stream, address: None })
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The addresses of an allowed name that may be connected to; the cause if there are none.
fn judged(gate: &Gate, found: Vec<IpAddr>, port: u16) -> Result<Vec<IpAddr>, Cause> {
    let mut refused = None;
    let mut good = Vec::with_capacity(found.len());
    for address in found {
        let kind = AddressKind::of(address)
            .or_else(|| is_own_address(address).then_some(AddressKind::OwnHost));
        match kind {
            Some(kind) if !gate.decide(&Destination::ip(address, port)).is_allowed() => {
                refused = refused.or(Some(Cause::LeadsTo { address, kind }));
            }
            _ => good.push(address),
        }
    }
    if good.is_empty() { Err(refused.unwrap_or(Cause::Forgotten)) } else { Ok(good) }
}

/// The first of these addresses that answers; each has a head start over the next.
async fn race(addresses: Vec<IpAddr>, port: u16) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        return TcpStream::connect((address, port)).await;
    }
    let mut rest = addresses.into_iter().map(|address| SocketAddr::from((address, port)));
    let mut running = JoinSet::new();
    let mut first_error = None;
    loop {
        if let Some(address) = rest.next() {
            running.spawn(TcpStream::connect(address));
        } else if running.is_empty() {
            return Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()));
        }
        let patience = if rest.len() > 0 { HEAD_START } else { Duration::MAX };
        tokio::select! {
            Some(ended) = running.join_next() => match ended.map_err(io::Error::other)? {
                Ok(stream) => return Ok(stream),
                Err(error) => first_error = first_error.or(Some(error)),
            },
            () = sleep(patience) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_opens_public_addresses_only() {
        let gate = Gate::parse(["a.com", "10.0.0.5:80"]).expect("good entries");
        let check = |found: &[&str], port: u16, expect: Result<&[&str], (&str, AddressKind)>| {
            let parse = |text: &&str| text.parse::<IpAddr>().expect("an address");
            let good = judged(&gate, found.iter().map(parse).collect(), port);
            let expect = match expect {
                Ok(good) => Ok(good.iter().map(parse).collect::<Vec<_>>()),
                Err((address, kind)) => Err(Cause::LeadsTo { address: parse(&address), kind }),
            };
            assert_eq!(good, expect, "{found:?}");
        };
        check(&["1.1.1.1", "2606:4700::1"], 80, Ok(&["1.1.1.1", "2606:4700::1"]));
        check(&["127.0.0.1"], 80, Err(("127.0.0.1", AddressKind::Loopback)));
        check(&["::ffff:127.0.0.1"], 80, Err(("::ffff:127.0.0.1", AddressKind::Loopback)));
        check(&["169.254.169.254"], 80, Err(("169.254.169.254", AddressKind::Metadata)));
        check(&["127.0.0.1", "1.1.1.1"], 80, Ok(&["1.1.1.1"]));
        check(&["10.0.0.5"], 80, Ok(&["10.0.0.5"]));
        check(&["10.0.0.5"], 81, Err(("10.0.0.5", AddressKind::Private)));
        check(&["fd00:ec2::254", "10.0.0.9"], 80, Err(("fd00:ec2::254", AddressKind::Metadata)));
    }
}

//! What a name resolves to, outside, at the moment of a connection.
//!
//! The system's own resolver is asked, so `/etc/hosts`, a VPN's name server and whatever else the caller's programs see count here
//! too. It blocks, so it runs on a bounded pool. An answer is kept for a few seconds, as a command often opens many connections to
//! one host at once.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Finds the addresses of a name. Called from threads that may block.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses, in the order they are to be tried in.
    ///
    /// # Errors
    /// When the name has none, or cannot be asked for.
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the system: getaddrinfo(3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in (name, 0).to_socket_addrs()?.map(|address| address.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}

/// How long an answer is used again.
const KEPT: Duration = Duration::from_secs(3);
/// Most answers that are kept.
const MOST: usize = 256;

/// A resolver with a short memory.
pub(crate) struct Resolver {
    inner: Arc<dyn Resolve>,
    kept: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Resolver {
    pub(crate) fn new(inner: Arc<dyn Resolve>) -> Resolver {
        Resolver { inner, kept: Mutex::default() }
    }

    /// The addresses of a name.
    pub(crate) async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(addresses) = self.kept(name) {
            return Ok(addresses);
        }
        let (inner, asked) = (Arc::clone(&self.inner), name.to_owned());
        let answer = tokio::task::spawn_blocking(move || inner.resolve(&asked)).await;
        let addresses = answer.map_err(io::Error::other)??;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, (when, _)| when.elapsed() < KEPT);
        }
        if kept.len() < MOST {
            kept.insert(name.to_owned(), (Instant::now(), addresses.clone()));
        }
        Ok(addresses)
    }

    fn kept(&self, name: &str) -> Option<Vec<IpAddr>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (when, addresses) = kept.get(name)?;
        (when.elapsed() < KEPT).then(|| addresses.clone())
    }
}

/// The order in which to try addresses: the resolver's, but turned by one with every connection within a family, and the families
/// in turn, beginning with that of the first. Source: RFC 8305 section 4.
pub(crate) fn in_turn(addresses: &[IpAddr], turn: usize) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    for family in [&mut first, &mut second] {
        let places = turn % family.len().max(1);
        family.rotate_left(places);
    }
    let mut order = Vec::with_capacity(addresses.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

/// Whether an address is one of this machine's own, as the kernel would route a packet to it. Nothing is sent.
pub(crate) fn is_own_address(address: IpAddr) -> bool {
    let any: SocketAddr =
        if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let source = UdpSocket::bind(any).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // A packet to oneself has one address for both.
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_addresses_too() {
        let check = |addresses: &[&str], turn: usize, expect: &[&str]| {
            let parse = |texts: &[&str]| -> Vec<IpAddr> {
                texts.iter().map(|text| text.parse().expect("an address")).collect()
            };
            assert_eq!(in_turn(&parse(addresses), turn), parse(expect), "{addresses:?} {turn}");
        };
        check(&[], 3, &[]);
        check(&["1.1.1.1"], 3, &["1.1.1.1"]);
        check(&["1.1.1.1", "1.1.1.2"], 0, &["1.1.1.1", "1.1.1.2"]);
        check(&["1.1.1.1", "1.1.1.2"], 1, &["1.1.1.2", "1.1.1.1"]);
        check(&["::2", "::3", "1.1.1.1", "1.1.1.2"], 0, &["::2", "1.1.1.1", "::3", "1.1.1.2"]);
        check(&["::2", "::3", "1.1.1.1"], 1, &["::3", "1.1.1.1", "::2"]);
    }

    #[test]
    fn own_addresses_are_known() {
        assert!(is_own_address([127, 0, 0, 1].into()));
        assert!(!is_own_address([192, 0, 2, 1].into()));
    }
}

//! A namespace made ready for the gateway: addresses, routes, rules, and the sockets that listen there.
//!
//! Where nf_tables cannot be had, every listed address and port has a listener of its own, which takes that address and port from
//! the programs inside, and networks and entries for every port cannot be served; what is missing is said.

use super::netlink::{ACK, Batch, CREATE, REPLACE};
use super::rules::{DNS_PORT, GATEWAY_PORT, Hold, Rules};
use super::{nflog, queue};
use crate::dns::NAME_SERVER;
use crate::gate::Gate;
use crate::inside::{NamespaceError, Reach, SocketKind, Sockets};
use ringfence_policy::allowlist::AllowHost;
use rustix::net::sockopt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A namespace that is ready.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) reach: Reach,
    pub(crate) tcp: Vec<OwnedFd>,
    pub(crate) dns_udp: OwnedFd,
    pub(crate) dns_tcp: OwnedFd,
    pub(crate) log: Option<OwnedFd>,
    /// First packets wait here for an answer.
    pub(crate) held: Option<OwnedFd>,
    pub(crate) caveats: Vec<String>,
}

/// Makes the namespace ready.
pub(crate) fn fit_out(sockets: &dyn Sockets, gate: &Gate) -> Result<Fitted, NamespaceError> {
    use SocketKind::{Netfilter, Route, Tcp4, Tcp6, Udp4};
    let kinds = [Route, Netfilter, Netfilter, Netfilter, Udp4, Tcp4, Tcp4, Tcp6];
    let mut made = Made::ask(sockets, &kinds)?;
    let route = made.next()?;
    let (rules, log, held) = (made.next(), made.next(), made.next());
    let dns_udp = made.next()?;
    let (dns_tcp, tcp4, tcp6) = (made.next()?, made.next()?, made.next());
    basis().carry_out(&route).map_err(NamespaceError::Routes)?;
    let log = log.ok().filter(|log| nflog::subscribe().carry_out(log).is_ok());
    let held = held.ok().filter(|held| queue::subscribe().carry_out(held).is_ok());
    match rules.ok().and_then(|rules| install(&rules, gate, log.is_some(), held.is_some())) {
        Some(Installed { told, holds }) => {
            let mut caveats = ways_out(&route, gate)?;
            if !told {
                caveats.push("refused datagrams are not recorded: the kernel has no NFLOG".into());
            }
            bind(&dns_udp, (Ipv4Addr::LOCALHOST, DNS_PORT))?;
            let dns_tcp = listen(dns_tcp, (Ipv4Addr::LOCALHOST, DNS_PORT))?;
            let mut tcp = vec![listen(tcp4, (Ipv4Addr::LOCALHOST, GATEWAY_PORT))?];
            if let Ok(tcp6) = tcp6 {
                tcp.extend(listen(tcp6, (Ipv6Addr::LOCALHOST, GATEWAY_PORT)).ok());
            }
            let log = log.filter(|_| told);
            let held = held.filter(|_| holds);
            Ok(Fitted { reach: Reach::Rules { told }, tcp, dns_udp, dns_tcp, log, held, caveats })
        }
        None => {
            drop((tcp4, tcp6));
            bind(&dns_udp, (NAME_SERVER, 53))?;
            let dns_tcp = listen(dns_tcp, (NAME_SERVER, 53))?;
            let mut caveats =
                vec!["refused addresses are not recorded: there is no nf_tables".to_owned()];
            let tcp = address_listeners(sockets, gate, &route, &mut caveats)?;
            let (log, held) = (None, None);
            Ok(Fitted { reach: Reach::Listeners, tcp, dns_udp, dns_tcp, log, held, caveats })
        }
    }
}

/// The answers to one request, in order.
struct Made(std::vec::IntoIter<(SocketKind, io::Result<OwnedFd>)>);

impl Made {
    fn ask(sockets: &dyn Sockets, kinds: &[SocketKind]) -> Result<Made, NamespaceError> {
        let failed = |source| NamespaceError::Socket { kind: kinds[0], source };
        let answers = sockets.open(kinds).map_err(failed)?;
        Ok(Made(kinds.iter().copied().zip(answers).collect::<Vec<_>>().into_iter()))
    }

    fn next(&mut self) -> Result<OwnedFd, NamespaceError> {
        match self.0.next() {
            Some((_, Ok(socket))) => Ok(socket),
            Some((kind, Err(source))) => Err(NamespaceError::Socket { kind, source }),
            None => Err(NamespaceError::Ended),
        }
    }
}

/// What the kernel took.
struct Installed {
    /// It tells what it refuses.
    told: bool,
    /// First packets wait.
    holds: bool,
}

/// Whether this kernel has taken rules with [`Hold::Expression`].
static HOLDS_BY_EXPRESSION: AtomicBool = AtomicBool::new(false);

/// Both ways of holding packets, the likelier one first: rules that are not taken cost some ten milliseconds. Where the
/// expression is a module, as distributions have it, it is loaded by whoever uses it first, and stays.
fn ways_to_hold() -> [Hold; 2] {
    const MODULE: &str = "/sys/module/nft_queue";
    if HOLDS_BY_EXPRESSION.load(Ordering::Relaxed) || Path::new(MODULE).exists() {
        [Hold::Expression, Hold::Target]
    } else {
        [Hold::Target, Hold::Expression]
    }
}

/// Installs the best rules that the kernel takes; `None` without nf_tables.
fn install(socket: &OwnedFd, gate: &Gate, log: bool, hold: bool) -> Option<Installed> {
    let [first, second] = ways_to_hold();
    let holds = [Some(first), Some(second), None];
    let ways = [true, false].into_iter().filter(|told| log || !told).flat_map(|told| {
        holds.into_iter().filter(|way| hold || way.is_none()).map(move |way| (told, way))
    });
    ways.into_iter().find_map(|(told, way)| {
        let rules = if told { Rules::exact(gate) } else { Rules::wide(gate) };
        rules.batch(told, way).carry_out(socket).ok()?;
        if way == Some(Hold::Expression) {
            HOLDS_BY_EXPRESSION.store(true, Ordering::Relaxed);
        }
        Some(Installed { told, holds: way.is_some() })
    })
}

/// Index of the loopback, in every namespace.
const LOOPBACK: u32 = 1;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const V4: u8 = 2;
const V6: u8 = 10;

/// Loopback up, the name server's address on it, and the range of names local.
fn basis() -> Batch {
    let mut batch = Batch::default();
    let mut link = vec![0; 16];
    link[4..8].copy_from_slice(&LOOPBACK.to_ne_bytes());
    // Flag IFF_UP, and that this one is to be changed.
    link[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    link[12..16].copy_from_slice(&1_u32.to_ne_bytes());
    batch.message(NEW_LINK, ACK, &link, |_| {});
    let mut address = vec![V4, 32, 0, 0];
    address.extend(LOOPBACK.to_ne_bytes());
    batch.message(NEW_ADDRESS, ACK | CREATE | REPLACE, &address, |a| {
        a.bytes(2, &NAME_SERVER.octets()).bytes(1, &NAME_SERVER.octets());
    });
    local_route(&mut batch, Ipv4Addr::new(198, 18, 0, 0).into(), 15);
    batch
}

/// Every address of a network is local, as if it were on the loopback.
fn local_route(batch: &mut Batch, address: IpAddr, prefix: u8) {
    const LOCAL_TABLE: u8 = 255;
    const SCOPE_HOST: u8 = 254;
    const LOCAL: u8 = 2;
    let (family, scope) = if address.is_ipv4() { (V4, SCOPE_HOST) } else { (V6, 0) };
    let fixed = route(family, prefix, LOCAL_TABLE, scope, LOCAL);
    batch.message(NEW_ROUTE, ACK | CREATE | REPLACE, &fixed, |a| {
        a.ne32(4, LOOPBACK);
        match address {
            IpAddr::V4(v4) => a.bytes(1, &v4.octets()).bytes(7, &NAME_SERVER.octets()),
            IpAddr::V6(v6) => a.bytes(1, &v6.octets()),
        };
    });
}

/// The fixed part of a message about a route.
fn route(family: u8, prefix: u8, table: u8, scope: u8, kind: u8) -> Vec<u8> {
    const STATIC: u8 = 4;
    vec![family, prefix, 0, 0, table, STATIC, scope, kind, 0, 0, 0, 0]
}

/// Routes for whatever else there is, so that the rules see it: nothing ever goes out by them. IPv6 must be local, as the
/// kernel takes no other route to the loopback there.
fn ways_out(socket: &OwnedFd, gate: &Gate) -> Result<Vec<String>, NamespaceError> {
    const MAIN_TABLE: u8 = 254;
    const SCOPE_LINK: u8 = 253;
    const UNICAST: u8 = 1;
    let mut batch = Batch::default();
    let fixed = route(V4, 0, MAIN_TABLE, SCOPE_LINK, UNICAST);
    batch.message(NEW_ROUTE, ACK | CREATE | REPLACE, &fixed, |a| {
        a.ne32(4, LOOPBACK).bytes(7, &NAME_SERVER.octets());
    });
    batch.carry_out(socket).map_err(NamespaceError::Routes)?;
    let mut batch = Batch::default();
    local_route(&mut batch, Ipv6Addr::UNSPECIFIED.into(), 0);
    // A kernel without IPv6 has no way for it either, which matters to who wants to go there.
    let wanted = gate.entries().iter().any(|entry| match entry.host() {
        AllowHost::Ip(address) => address.is_ipv6(),
        AllowHost::Network(network) => network.address().is_ipv6(),
        _ => false,
    });
    let missing = batch.carry_out(socket).is_err() && wanted;
    Ok(missing.then(|| "there is no IPv6".to_owned()).into_iter().collect())
}

/// Binds a socket that lives inside.
fn bind(socket: &OwnedFd, address: impl Into<SocketAddr>) -> Result<(), NamespaceError> {
    let address = address.into();
    rustix::net::bind(socket, &address)
        .map_err(|error| NamespaceError::Listen { address, source: error.into() })
}

/// How many connections may wait to be taken up.
const BACKLOG: i32 = 1024;

/// Makes a socket that lives inside listen.
pub(crate) fn listen(
    socket: OwnedFd,
    address: impl Into<SocketAddr>,
) -> Result<OwnedFd, NamespaceError> {
    let address = address.into();
    let failed =
        |error: rustix::io::Errno| NamespaceError::Listen { address, source: error.into() };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true).map_err(failed)?;
    }
    bind(&socket, address)?;
    rustix::net::listen(&socket, BACKLOG).map_err(failed)?;
    Ok(socket)
}

/// Without rules: a listener for each listed address and port.
fn address_listeners(
    sockets: &dyn Sockets,
    gate: &Gate,
    route: &OwnedFd,
    caveats: &mut Vec<String>,
) -> Result<Vec<OwnedFd>, NamespaceError> {
    let mut listeners = Vec::new();
    for entry in gate.entries() {
        match (entry.host(), entry.port()) {
            (AllowHost::Ip(address), Some(port)) => {
                let mut batch = Batch::default();
                local_route(&mut batch, *address, if address.is_ipv4() { 32 } else { 128 });
                if !address.is_loopback() {
                    batch.carry_out(route).map_err(NamespaceError::Routes)?;
                }
                let kind = if address.is_ipv4() { SocketKind::Tcp4 } else { SocketKind::Tcp6 };
                let socket = Made::ask(sockets, &[kind])?.next()?;
                listeners.push(listen(socket, (*address, port))?);
            }
            (AllowHost::Name(_) | AllowHost::Below(_), Some(_)) => {}
            _ => caveats.push(format!("`{entry}` cannot be reached: it needs nf_tables")),
        }
    }
    Ok(listeners)
}

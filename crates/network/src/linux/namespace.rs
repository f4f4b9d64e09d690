//! A namespace made ready for the gateway: addresses, routes, rules, and the sockets that listen there.
//!
//! Where nf_tables cannot be had, every listed address and port has a listener of its own, which takes that address and port from
//! the programs inside, and networks and entries for every port cannot be served; what is missing is said.

use super::netlink::{ACK, Batch, CREATE, REPLACE};
use super::nflog;
use super::rules::{DNS_PORT, GATEWAY_PORT, Rules};
use crate::dns::NAME_SERVER;
use crate::gate::Gate;
use ringfence_policy::allowlist::AllowHost;
use rustix::net::sockopt;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// A socket that somebody inside the namespace is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketKind {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP over IPv4.
    Udp4,
    /// Addresses and routes: netlink(7), `NETLINK_ROUTE`.
    Route,
    /// Rules, and what they refuse: `NETLINK_NETFILTER`.
    Netfilter,
}

impl SocketKind {
    /// Domain, type and protocol for socket(2). The type includes `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
    #[must_use]
    pub fn numbers(self) -> [u32; 3] {
        const FLAGS: u32 = 0o2_000_000 | 0o4000;
        const STREAM: u32 =
            if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 2 } else { 1 };
        const DATAGRAM: u32 = 3 - STREAM;
        const RAW: u32 = 3;
        match self {
            SocketKind::Tcp4 => [2, STREAM | FLAGS, 6],
            SocketKind::Tcp6 => [10, STREAM | FLAGS, 6],
            SocketKind::Udp4 => [2, DATAGRAM | FLAGS, 17],
            SocketKind::Route => [16, RAW | FLAGS, 0],
            SocketKind::Netfilter => [16, RAW | FLAGS, 12],
        }
    }
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocketKind::Tcp4 => "a TCP socket",
            SocketKind::Tcp6 => "a TCP socket for IPv6",
            SocketKind::Udp4 => "a UDP socket",
            SocketKind::Route => "a socket for routes",
            SocketKind::Netfilter => "a socket for rules",
        })
    }
}

/// Somebody inside the namespace who makes sockets and hands them out.
///
/// For [`Gateway::enter`](crate::Gateway::enter) it must have `CAP_NET_ADMIN` in the namespace; afterwards it needs nothing.
pub trait Sockets: Send + Sync {
    /// One socket of each kind, in order, each with its own success.
    ///
    /// # Errors
    /// When nobody answers any more.
    fn open(&self, kinds: &[SocketKind]) -> io::Result<Vec<io::Result<OwnedFd>>>;
}

/// The namespace could not be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// A socket inside could not be had.
    #[error("cannot have {kind} made in the namespace")]
    Socket {
        /// Which.
        kind: SocketKind,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The loopback could not be configured.
    #[error("cannot set the addresses and routes of the namespace")]
    Routes(#[source] io::Error),
    /// Nothing can listen there.
    #[error("cannot listen on {address} in the namespace")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The gateway has ended.
    #[error("the gateway has ended")]
    Ended,
}

/// How connections get to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// By rules of nf_tables. What they refuse is told by the kernel when `told`, else by the gateway, which is reached by
    /// every TCP connection then, and what is not TCP is refused without being told.
    Rules {
        /// The kernel tells what it refuses.
        told: bool,
    },
    /// By one listener for each address and port: there is no nf_tables.
    Listeners,
}

/// A namespace that is ready.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) reach: Reach,
    pub(crate) tcp: Vec<OwnedFd>,
    pub(crate) dns_udp: OwnedFd,
    pub(crate) dns_tcp: OwnedFd,
    pub(crate) log: Option<OwnedFd>,
    pub(crate) caveats: Vec<String>,
}

/// What `/etc/resolv.conf` must say inside.
#[must_use]
pub fn resolv_conf() -> String {
    format!("nameserver {NAME_SERVER}\noptions timeout:5 attempts:2\n")
}

/// What `/etc/hosts` must say inside: `localhost`, and the name of the machine if there is one. A name that the host's own file
/// gives an address would not be asked for, and so not be led to the gateway.
#[must_use]
pub fn hosts_file(hostname: Option<&str>) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    if let Some(name) = hostname.filter(|name| !name.is_empty() && *name != "localhost") {
        text.push_str(&format!("127.0.1.1 {name}\n"));
    }
    text
}

/// Makes the namespace ready.
pub(crate) fn fit_out(sockets: &dyn Sockets, gate: &Gate) -> Result<Fitted, NamespaceError> {
    use SocketKind::{Netfilter, Route, Tcp4, Tcp6, Udp4};
    let mut made = Made::ask(sockets, &[Route, Netfilter, Netfilter, Udp4, Tcp4, Tcp4, Tcp6])?;
    let route = made.next()?;
    let (rules, log, dns_udp) = (made.next(), made.next(), made.next()?);
    let (dns_tcp, tcp4, tcp6) = (made.next()?, made.next()?, made.next());
    basis().carry_out(&route).map_err(NamespaceError::Routes)?;
    let log = log.ok().filter(|log| nflog::subscribe().carry_out(log).is_ok());
    match rules.ok().and_then(|rules| install(&rules, gate, log.is_some())) {
        Some(told) => {
            let mut caveats = ways_out(&route)?;
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
            Ok(Fitted { reach: Reach::Rules { told }, tcp, dns_udp, dns_tcp, log, caveats })
        }
        None => {
            drop((tcp4, tcp6));
            bind(&dns_udp, (NAME_SERVER, 53))?;
            let dns_tcp = listen(dns_tcp, (NAME_SERVER, 53))?;
            let mut caveats =
                vec!["refused addresses are not recorded: there is no nf_tables".to_owned()];
            let tcp = address_listeners(sockets, gate, &route, &mut caveats)?;
            Ok(Fitted { reach: Reach::Listeners, tcp, dns_udp, dns_tcp, log: None, caveats })
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

/// Installs the rules, exact ones if the kernel can log, and says whether it can; `None` without nf_tables.
fn install(socket: &OwnedFd, gate: &Gate, log: bool) -> Option<bool> {
    if log && Rules::exact(gate).batch(true).carry_out(socket).is_ok() {
        return Some(true);
    }
    Rules::wide(gate).batch(false).carry_out(socket).ok().map(|()| false)
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
fn ways_out(socket: &OwnedFd) -> Result<Vec<String>, NamespaceError> {
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
    // A kernel without IPv6 has no way for it either.
    Ok(batch.carry_out(socket).err().map(|_| "there is no IPv6".to_owned()).into_iter().collect())
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

//! What a gateway and the namespace that it serves have to say to each other.
//!
//! The same words on every system, so that who uses them need not ask which one it is; only Linux has such
//! namespaces.

use crate::dns::NAME_SERVER;
use std::fmt;
use std::io;
use std::net::SocketAddr;
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

    /// A process inside, by its number here, for as long as the namespace is served. Where it is known, refused questions for
    /// names tell which program asked.
    fn process(&self) -> Option<u32> {
        None
    }
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
    /// This system has no network namespaces.
    #[error("this system has no network namespaces")]
    Unknown,
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

/// What a namespace that is being served can and cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// How connections get to the gateway.
    pub reach: Reach,
    /// What does not work here, each in a sentence.
    pub caveats: Vec<String>,
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

#[cfg(not(target_os = "linux"))]
impl crate::Gateway {
    /// Serves a network namespace, which this system does not have.
    ///
    /// # Errors
    /// Always.
    pub fn enter(&self, sockets: std::sync::Arc<dyn Sockets>) -> Result<Entered, NamespaceError> {
        drop(sockets);
        Err(NamespaceError::Unknown)
    }

    /// Leads a port to a server inside of a namespace, which this system does not have.
    ///
    /// # Errors
    /// Always.
    pub fn expose(
        &self,
        port: u16,
        inside: SocketAddr,
        sockets: std::sync::Arc<dyn Sockets>,
    ) -> io::Result<SocketAddr> {
        drop((port, inside, sockets));
        Err(io::ErrorKind::Unsupported.into())
    }
}

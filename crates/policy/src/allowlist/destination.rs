//! What a command asks for, and the list that says whether it gets it.

use super::entry::AllowEntry;
use super::host::{AllowHost, HostName, HostNameError};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where a command wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A host by its name.
    Name {
        /// The name, in its canonical form.
        name: HostName,
        /// The port.
        port: u16,
    },
    /// A host by its address.
    Ip {
        /// The address; an IPv4-mapped IPv6 address counts as its IPv4 address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
}

/// A host that is neither a name nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("destination `{}`: {problem}", host.escape_debug())]
pub struct DestinationError {
    host: String,
    problem: HostNameError,
}

impl Destination {
    /// A destination from the host as a client wrote it: a name, an IPv4 address in dotted form, or an IPv6 address with or
    /// without brackets.
    ///
    /// # Errors
    /// When it is none of these, notably another notation of an IPv4 address.
    pub fn new(host: &str, port: u16) -> Result<Destination, DestinationError> {
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed.and_then(|inside| inside.parse::<Ipv6Addr>().ok()) {
            return Ok(Destination::ip(address, port));
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Destination::ip(address, port));
        }
        match HostName::parse(host) {
            Ok(name) => Ok(Destination::Name { name, port }),
            Err(problem) => Err(DestinationError { host: host.to_owned(), problem }),
        }
    }

    /// A destination by address.
    pub fn ip(address: impl Into<IpAddr>, port: u16) -> Destination {
        Destination::Ip { address: address.into().to_canonical(), port }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Destination::Name { port, .. } | Destination::Ip { port, .. } => *port,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Name { name, port } => write!(f, "{name}:{port}"),
            Destination::Ip { address: IpAddr::V6(address), port } => {
                write!(f, "[{address}]:{port}")
            }
            Destination::Ip { address, port } => write!(f, "{address}:{port}"),
        }
    }
}

impl AllowEntry {
    /// Whether the entry covers this destination, port included.
    #[must_use]
    pub fn matches(&self, destination: &Destination) -> bool {
        self.port().is_none_or(|port| port == destination.port()) && self.matches_host(destination)
    }

    /// Whether the entry covers the host of this destination, whatever the port.
    #[must_use]
    pub fn matches_host(&self, destination: &Destination) -> bool {
        match (self.host(), destination) {
            (AllowHost::Name(listed), Destination::Name { name, .. }) => listed == name,
            (AllowHost::Below(parent), Destination::Name { name, .. }) => name.is_below(parent),
            (AllowHost::Ip(listed), Destination::Ip { address, .. }) => {
                listed.to_canonical() == address.to_canonical()
            }
            (AllowHost::Network(network), Destination::Ip { address, .. }) => {
                network.contains(*address)
            }
            _ => false,
        }
    }
}

/// The entries of a profile, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowlist {
    entries: Vec<AllowEntry>,
}

impl Allowlist {
    /// A list of these entries; an empty list allows nothing.
    pub fn new(entries: impl IntoIterator<Item = AllowEntry>) -> Allowlist {
        Allowlist { entries: entries.into_iter().collect() }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[AllowEntry] {
        &self.entries
    }

    /// The first entry that covers a destination.
    #[must_use]
    pub fn matches(&self, destination: &Destination) -> Option<&AllowEntry> {
        self.entries.iter().find(|entry| entry.matches(destination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entry: &str, host: &str, port: u16, expect: bool) {
        let list = Allowlist::new([AllowEntry::parse(entry).expect("a good entry")]);
        let destination = Destination::new(host, port).expect("a good destination");
        assert_eq!(list.matches(&destination).is_some(), expect, "{entry} on {host}:{port}");
    }

    #[test]
    fn names() {
        check("example.com", "example.com", 80, true);
        check("example.com", "EXAMPLE.COM.", 80, true);
        check("example.com", "www.example.com", 80, false);
        check("example.com", "notexample.com", 80, false);
        check("example.com", "example.com.evil.org", 80, false);
        check("example.com:443", "example.com", 80, false);
        check("example.com:443", "example.com", 443, true);
        check("xn--bcher-kva.example", "XN--bcher-kva.example", 1, true);
    }

    #[test]
    fn wildcards_are_one_or_more_labels() {
        check("*.example.com", "a.example.com", 1, true);
        check("*.example.com", "a.b.example.com", 1, true);
        check("*.example.com", "example.com", 1, false);
        check("*.example.com", "aexample.com", 1, false);
        check("*.example.com", "a.example.com.evil.org", 1, false);
        check("*.example.com", "a.example.com.", 1, true);
    }

    #[test]
    fn addresses_and_networks() {
        check("10.1.2.3", "10.1.2.3", 1, true);
        check("10.1.2.3", "10.1.2.4", 1, false);
        check("10.1.2.3", "::ffff:10.1.2.3", 1, true);
        check("::ffff:10.1.2.3", "10.1.2.3", 1, true);
        check("10.0.0.0/8:22", "10.255.0.1", 22, true);
        check("10.0.0.0/8:22", "10.255.0.1", 23, false);
        check("10.0.0.0/8", "11.0.0.1", 22, false);
        check("10.0.0.0/8", "[::ffff:10.0.0.9]", 22, true);
        check("0.0.0.0/0", "8.8.8.8", 22, true);
        check("0.0.0.0/0", "2001:db8::1", 22, false);
        check("::/0", "8.8.8.8", 22, false);
        check("::/0", "2001:db8::1", 22, true);
        check("fd00::/8", "fdff::1", 22, true);
        check("fd00::/8", "fe00::1", 22, false);
        check("10.1.2.0/31", "10.1.2.1", 22, true);
        check("10.1.2.0/32", "10.1.2.1", 22, false);
    }

    #[test]
    fn a_name_never_matches_an_address() {
        check("10.0.0.0/8", "ten.example.com", 1, false);
        check("*.example.com", "10.1.1.1", 1, false);
    }

    #[test]
    fn other_ipv4_notations_are_no_destination() {
        for host in [
            "0x7f.1",
            "127.1",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.0.0.01",
            "0x7f000001",
            "",
        ] {
            assert!(Destination::new(host, 80).is_err(), "{host}");
        }
    }

    #[test]
    fn the_first_entry_is_named() {
        let list = Allowlist::new(
            ["*.com", "a.com"].map(|entry| AllowEntry::parse(entry).expect("a good entry")),
        );
        let destination = Destination::new("a.com", 80).expect("a good destination");
        assert_eq!(list.matches(&destination).map(ToString::to_string).as_deref(), Some("*.com"));
        assert!(Allowlist::default().matches(&destination).is_none());
    }
}

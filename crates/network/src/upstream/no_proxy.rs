//! `NO_PROXY`: what is reached without a proxy.
//!
//! There is no standard. This is what curl, Go, Python and Java have in common: a list of names that cover what is below them, of
//! addresses, and of networks, or `*` for everything. What cannot be read covers nothing.

use ringfence_policy::Destination;
use ringfence_policy::allowlist::{HostName, Network};
use std::net::IpAddr;

/// The entries of `NO_PROXY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoProxy(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Everything,
    Name(HostName),
    Network(Network),
}

impl NoProxy {
    /// Reads the entries, which commas or white space separate.
    #[must_use]
    pub fn parse(text: &str) -> NoProxy {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        NoProxy(words.filter_map(parse_entry).collect())
    }

    /// Whether a destination is reached without a proxy.
    #[must_use]
    pub fn covers(&self, destination: &Destination) -> bool {
        self.0.iter().any(|entry| {
            entry.port.is_none_or(|port| port == destination.port())
                && match (&entry.host, destination) {
                    (Host::Everything, _) => true,
                    (Host::Name(listed), Destination::Name { name, .. }) => {
                        name == listed || name.is_below(listed)
                    }
                    (Host::Network(network), Destination::Ip { address, .. }) => {
                        network.contains(*address)
                    }
                    _ => false,
                }
        })
    }
}

fn parse_entry(word: &str) -> Option<Entry> {
    if let Some(host) = parse_host(word) {
        return Some(Entry { host, port: None });
    }
    let (host, port) = word.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(Entry { host: parse_host(host)?, port: Some(port.parse().ok()?) })
}

fn parse_host(text: &str) -> Option<Host> {
    if text == "*" {
        return Some(Host::Everything);
    }
    if let Some((address, prefix)) = text.split_once('/') {
        return Network::new(address.parse().ok()?, prefix.parse().ok()?).map(Host::Network);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        return Network::new(address, prefix).map(Host::Network);
    }
    let name = text.trim_start_matches("*.").trim_start_matches('.');
    HostName::parse(name).ok().map(Host::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_directly() {
        let check = |list: &str, host: &str, expect: bool| {
            let destination = Destination::new(host, 443).expect("a good destination");
            assert_eq!(NoProxy::parse(list).covers(&destination), expect, "{list}: {host}");
        };
        check("", "a.com", false);
        check("*", "a.com", true);
        check("a.com", "a.com", true);
        check("a.com", "x.A.com", true);
        check("a.com", "xa.com", false);
        check(".a.com,b.com", "x.a.com", true);
        check("*.a.com b.com", "b.com", true);
        check("a.com:443", "a.com", true);
        check("a.com:80", "a.com", false);
        check("10.0.0.0/8", "10.1.1.1", true);
        check("10.0.0.1", "10.0.0.1", true);
        check("::1,[2001:db8::1]:443", "2001:db8::1", true);
        check("10.0.0.0/33,a..b,:,:x", "10.0.0.1", false);
    }
}

//! One entry of the allowlist, from text and back.
//!
//! Forms: `host`, `host:port`, `*.host[:port]`, `ip`, `ip:port`, `[v6]:port`, `cidr`, `cidr:port`. Everything else is an error that
//! quotes the entry, because an entry that is read as something else than its author meant is a hole.

use super::host::{AllowHost, HostName, HostNameError, Network, mask};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// One entry: a host, and a port when only that one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllowEntry {
    host: AllowHost,
    port: Option<u16>,
}

impl AllowEntry {
    /// Reads an entry; white space around it does not belong to it.
    ///
    /// # Errors
    /// [`AllowEntryError`], which quotes the entry and says what is wrong with it.
    pub fn parse(text: &str) -> Result<AllowEntry, AllowEntryError> {
        parse(text.trim()).map_err(|problem| AllowEntryError { entry: text.to_owned(), problem })
    }

    /// The entry for one address; without a port, for every port.
    #[must_use]
    pub fn for_address(address: IpAddr, port: Option<u16>) -> AllowEntry {
        AllowEntry { host: AllowHost::Ip(address.to_canonical()), port }
    }

    /// The host part.
    #[must_use]
    pub fn host(&self) -> &AllowHost {
        &self.host
    }

    /// The port. Default: none, which means every port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl FromStr for AllowEntry {
    type Err = AllowEntryError;
    fn from_str(text: &str) -> Result<AllowEntry, AllowEntryError> {
        AllowEntry::parse(text)
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => write!(f, "{host}"),
            (AllowHost::Ip(IpAddr::V6(address)), Some(port)) => write!(f, "[{address}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowlist entry `{}`: {problem}", entry.escape_debug())]
pub struct AllowEntryError {
    entry: String,
    problem: EntryProblem,
}

impl AllowEntryError {
    /// The entry as it was given.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &EntryProblem {
        &self.problem
    }

    /// What to write instead, where that is clear.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let fixed = match &self.problem {
            EntryProblem::Scheme => {
                return Some("write the host alone, as in `example.com:443`".into());
            }
            EntryProblem::BareWildcard => {
                return Some("use `network_mode = \"inherit\"` to allow every destination".into());
            }
            EntryProblem::HostBits { network } => network.to_string(),
            EntryProblem::Host(HostNameError::BadCharacter(c)) if !c.is_ascii() => {
                return Some("write an internationalised name in its `xn--` form".into());
            }
            EntryProblem::UnbracketedV6 => {
                return Some("write an IPv6 address with a port as `[::1]:8080`".into());
            }
            _ => return None,
        };
        Some(format!("did you mean `{fixed}`?"))
    }
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A URL scheme.
    #[error("it has a URL scheme")]
    Scheme,
    /// Something after a `/` that is not the prefix length of an address block.
    #[error("it has a path")]
    Path,
    /// A `*` alone.
    #[error("a bare `*` would allow everything")]
    BareWildcard,
    /// A `*` anywhere but in front of a name.
    #[error("`*` may only stand for the labels in front of a name, as in `*.example.com`")]
    Wildcard,
    /// A `[` without `]`.
    #[error("its bracket is not closed")]
    UnterminatedBracket,
    /// Something else than an IPv6 address in brackets.
    #[error("only an IPv6 address may stand in brackets")]
    Bracket,
    /// Something else than `:port` after the bracket.
    #[error("only `:port` may follow the bracket")]
    AfterBracket,
    /// Several colons, but no IPv6 address.
    #[error("it has several colons but is not an IPv6 address")]
    UnbracketedV6,
    /// A port that is not 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// A prefix length that is no number or too long for its address.
    #[error("the prefix length must be a number from 0 to {max}")]
    Prefix {
        /// The most bits this kind of address has.
        max: u8,
    },
    /// A block whose address has bits after the prefix.
    #[error("the address has bits set after the prefix")]
    HostBits {
        /// The block that holds the address.
        network: Network,
    },
    /// A host name that is none.
    #[error("{0}")]
    Host(HostNameError),
}

fn parse(text: &str) -> Result<AllowEntry, EntryProblem> {
    if text.is_empty() {
        return Err(EntryProblem::Empty);
    }
    if text.contains("://") {
        return Err(EntryProblem::Scheme);
    }
    if let Some(rest) = text.strip_prefix('[') {
        return parse_bracketed(rest);
    }
    if let Some((address, rest)) = text.split_once('/') {
        return parse_network(address, rest);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(AllowEntry { host: AllowHost::Ip(address.to_canonical()), port: None });
    }
    match text.split_once(':') {
        None => Ok(AllowEntry { host: parse_host(text)?, port: None }),
        Some((_, rest)) if rest.contains(':') => Err(EntryProblem::UnbracketedV6),
        Some((host, port)) => {
            Ok(AllowEntry { host: parse_host(host)?, port: Some(parse_port(port)?) })
        }
    }
}

fn parse_bracketed(rest: &str) -> Result<AllowEntry, EntryProblem> {
    let (inside, after) = rest.split_once(']').ok_or(EntryProblem::UnterminatedBracket)?;
    let address = inside.parse().map(IpAddr::V6).map_err(|_| EntryProblem::Bracket)?;
    let port = match after.strip_prefix(':') {
        Some(port) => Some(parse_port(port)?),
        None if after.is_empty() => None,
        None => return Err(EntryProblem::AfterBracket),
    };
    Ok(AllowEntry { host: AllowHost::Ip(address.to_canonical()), port })
}

fn parse_network(address: &str, rest: &str) -> Result<AllowEntry, EntryProblem> {
    let address: IpAddr = address.parse().map_err(|_| EntryProblem::Path)?;
    let (prefix, port) = match rest.split_once(':') {
        Some((prefix, port)) => (prefix, Some(parse_port(port)?)),
        None => (rest, None),
    };
    let max = if address.is_ipv4() { 32 } else { 128 };
    let prefix = parse_decimal(prefix)
        .filter(|&bits| bits <= u16::from(max))
        .ok_or(EntryProblem::Prefix { max })?;
    let prefix = u8::try_from(prefix).map_err(|_| EntryProblem::Prefix { max })?;
    match Network::new(address, prefix) {
        Some(network) => Ok(AllowEntry { host: AllowHost::Network(network), port }),
        None => Err(match Network::new(mask(address, prefix), prefix) {
            Some(network) => EntryProblem::HostBits { network },
            None => EntryProblem::Prefix { max },
        }),
    }
}

fn parse_host(text: &str) -> Result<AllowHost, EntryProblem> {
    if text == "*" {
        return Err(EntryProblem::BareWildcard);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(AllowHost::Ip(address.to_canonical()));
    }
    let (name, kind): (&str, fn(HostName) -> AllowHost) = match text.strip_prefix("*.") {
        Some(name) => (name, AllowHost::Below),
        None => (text, AllowHost::Name),
    };
    if name.contains('*') {
        return Err(EntryProblem::Wildcard);
    }
    HostName::parse(name).map(kind).map_err(EntryProblem::Host)
}

fn parse_port(text: &str) -> Result<u16, EntryProblem> {
    parse_decimal(text).filter(|&port| port != 0).ok_or(EntryProblem::Port)
}

/// A plain decimal number: digits only, no sign, no leading zero.
fn parse_decimal(text: &str) -> Option<u16> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let got = match AllowEntry::parse(text) {
            Ok(entry) => entry.to_string(),
            Err(error) => format!("error: {}", error.problem()),
        };
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn the_forms() {
        check("crates.example.org:443", "crates.example.org:443");
        check("example.com", "example.com");
        check("EXAMPLE.com.", "example.com");
        check("example.com.:80", "example.com:80");
        check("*.example.com", "*.example.com");
        check("*.Example.COM:443", "*.example.com:443");
        check("10.1.2.3:5432", "10.1.2.3:5432");
        check("10.1.2.3", "10.1.2.3");
        check("[::1]:8080", "[::1]:8080");
        check("[::1]", "::1");
        check("::1", "::1");
        check("10.0.0.0/8:22", "10.0.0.0/8:22");
        check("10.0.0.0/8", "10.0.0.0/8");
        check("fd00::/8", "fd00::/8");
        check("fd00::/8:22", "fd00::/8:22");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("xn--bcher-kva.example", "xn--bcher-kva.example");
        check("localhost:3000", "localhost:3000");
        check("my_host", "my_host");
        check(" example.com ", "example.com");
    }

    #[test]
    fn mapped_addresses_are_their_ipv4_address() {
        check("::ffff:10.0.0.1", "10.0.0.1");
        check("[::ffff:10.0.0.1]:80", "10.0.0.1:80");
        check("::ffff:10.0.0.0/104", "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_entry() {
        check("", "error: it is empty");
        check("  ", "error: it is empty");
        check("https://example.com", "error: it has a URL scheme");
        check("example.com/x", "error: it has a path");
        check("example.com:443/x", "error: it has a path");
        check("*", "error: a bare `*` would allow everything");
        check("*:443", "error: a bare `*` would allow everything");
        check("*.", "error: the host is empty");
        check(
            "a.*.com",
            "error: `*` may only stand for the labels in front of a name, as in `*.example.com`",
        );
        check(
            "*x.com",
            "error: `*` may only stand for the labels in front of a name, as in `*.example.com`",
        );
        check(
            "*.*.com",
            "error: `*` may only stand for the labels in front of a name, as in `*.example.com`",
        );
        check("[::1", "error: its bracket is not closed");
        check("[10.0.0.1]:80", "error: only an IPv6 address may stand in brackets");
        check("[fe80::1%eth0]", "error: only an IPv6 address may stand in brackets");
        check("[::1]8080", "error: only `:port` may follow the bracket");
        check("1:2:3", "error: it has several colons but is not an IPv6 address");
        check("example.com:", "error: the port must be a number from 1 to 65535");
        check("example.com:0", "error: the port must be a number from 1 to 65535");
        check("example.com:65536", "error: the port must be a number from 1 to 65535");
        check("example.com:+80", "error: the port must be a number from 1 to 65535");
        check("example.com:080", "error: the port must be a number from 1 to 65535");
        check(":80", "error: the host is empty");
        check("10.0.0.0/33", "error: the prefix length must be a number from 0 to 32");
        check("10.0.0.0/", "error: the prefix length must be a number from 0 to 32");
        check("fd00::/129", "error: the prefix length must be a number from 0 to 128");
        check("10.0.0.1/8", "error: the address has bits set after the prefix");
        check("user@example.com", "error: the host name has the character '@'");
        check("exa mple.com", "error: the host name has the character ' '");
        check("bücher.example", "error: the host name has the character 'ü'");
        check("a..b", "error: the host name has a bad label ``");
        check("-a.com", "error: the host name has a bad label `-a`");
        check("example.com..", "error: the host name has a bad label ``");
    }

    #[test]
    fn other_ipv4_notations_are_refused() {
        for text in [
            "0x7f.1",
            "127.1",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.0.0.01",
            "0x7f000001",
            "1.2.3.4.5",
        ] {
            check(text, "error: it ends in a number but is not an IPv4 address in dotted form");
            check(
                &format!("*.{text}"),
                "error: it ends in a number but is not an IPv4 address in dotted form",
            );
        }
    }

    #[test]
    fn errors_quote_the_entry_and_advise() {
        let error = AllowEntry::parse("10.1.2.3/8").expect_err("host bits are set");
        assert_eq!(
            error.to_string(),
            "allowlist entry `10.1.2.3/8`: the address has bits set after the prefix"
        );
        assert_eq!(error.hint().as_deref(), Some("did you mean `10.0.0.0/8`?"));
    }
}

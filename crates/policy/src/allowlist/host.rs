//! Hosts in their one canonical form: checked names, networks, and what an entry may name.
//!
//! A name here is ASCII as it travels in DNS; an internationalised name is written in its `xn--` form and compared as such.

use std::fmt;
use std::net::IpAddr;

/// Longest host name in text form. Source: RFC 1035 section 2.3.4 (255 octets on the wire, 253 as text).
const MAX_NAME: usize = 253;

/// Longest label of a host name. Source: RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostNameError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// Longer than 253 bytes, or with a label longer than 63.
    #[error("the host name is too long")]
    TooLong,
    /// A label that is empty or begins or ends with `-`.
    #[error("the host name has a bad label `{0}`")]
    BadLabel(String),
    /// A character no host name has.
    #[error("the host name has the character {0:?}")]
    BadCharacter(char),
    /// It ends in a number, so some resolvers read it as an IPv4 address in an unusual notation.
    #[error("it ends in a number but is not an IPv4 address in dotted form")]
    NumericTail,
}

/// A host name in lower case, without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// Checks a name and brings it to its canonical form.
    ///
    /// # Errors
    /// See [`HostNameError`]; notably a name whose last label is a number (`127.1`, `0x7f.1`, `2130706433`), which is an address
    /// to some resolvers and a name to others.
    pub fn parse(text: &str) -> Result<HostName, HostNameError> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err(HostNameError::Empty);
        }
        if let Some(bad) =
            name.chars().find(|&c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'))
        {
            return Err(HostNameError::BadCharacter(bad));
        }
        if name.len() > MAX_NAME {
            return Err(HostNameError::TooLong);
        }
        for label in name.split('.') {
            if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
                return Err(HostNameError::BadLabel(label.to_owned()));
            }
            if label.len() > MAX_LABEL {
                return Err(HostNameError::TooLong);
            }
        }
        if name.rsplit('.').next().is_some_and(is_numeric) {
            return Err(HostNameError::NumericTail);
        }
        Ok(HostName(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name has one or more labels in front of `parent`.
    #[must_use]
    pub fn is_below(&self, parent: &HostName) -> bool {
        self.0
            .strip_suffix(parent.as_str())
            .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A label that the old `inet_aton` notation takes as a number. Source: WHATWG URL, "ends in a number checker".
fn is_numeric(label: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    label.bytes().all(|byte| byte.is_ascii_digit()) || label.strip_prefix("0x").is_some_and(is_hex)
}

/// An address block: an address with its host bits zero, and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The block of this address and prefix length in bits; `None` when the prefix is longer than the address or host bits are set.
    ///
    /// A block of IPv4-mapped addresses becomes the IPv4 block.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        if prefix > bits(address) || mask(address, prefix) != address {
            return None;
        }
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => {
                Some(Network { address: v4, prefix: prefix.checked_sub(96)? })
            }
            _ => Some(Network { address, prefix }),
        }
    }

    /// The first address of the block.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The length of the prefix, in bits.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the block holds an address; an IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits(address) == bits(self.address) && mask(address, self.prefix) == self.address
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with all bits after the prefix cleared.
pub(super) fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & keep).into())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & keep).into())
        }
    }
}

/// What an allowlist entry names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AllowHost {
    /// One name, and no name below it.
    Name(HostName),
    /// Every name below this one, at any depth, but not the name itself: `*.example.com`.
    Below(HostName),
    /// One address.
    Ip(IpAddr),
    /// A block of addresses.
    Network(Network),
}

impl fmt::Display for AllowHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllowHost::Name(name) => write!(f, "{name}"),
            AllowHost::Below(name) => write!(f, "*.{name}"),
            AllowHost::Ip(address) => write!(f, "{address}"),
            AllowHost::Network(network) => write!(f, "{network}"),
        }
    }
}

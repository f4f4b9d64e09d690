//! What kind of address an address is, and why a name must not lead to it.
//!
//! A name that is allowed may resolve to anything its owner likes: to the caller's own database on a loopback address, to the
//! metadata service of a cloud. So an address that is not plainly of the public internet is reached only when it is listed itself.
//!
//! The networks for documentation and measurements count as public: nothing answers there that would have to be guarded, and
//! local proxies and test networks hand them out in place of public addresses.
//!
//! The trap is that IPv6 carries IPv4 addresses in several disguises. They are unwrapped first and judged as what they are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of address that a name alone does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressKind {
    /// `0.0.0.0/8`, `::`: this host, whatever it is.
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918 networks, and the site-local ones of IPv6.
    Private,
    /// `100.64.0.0/10`: shared by customers of one carrier (RFC 6598).
    CarrierGrade,
    /// `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// `fc00::/7`: private addresses of IPv6 (RFC 4193).
    UniqueLocal,
    /// Where clouds answer questions about the machine, secrets included.
    Metadata,
    /// `224.0.0.0/4`, `ff00::/8`, and the broadcast address.
    Multicast,
    /// Set aside for protocols or the future.
    Reserved,
    /// An address of the machine that the gateway runs on.
    OwnHost,
}

impl AddressKind {
    /// The name, as messages have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AddressKind::Unspecified => "unspecified",
            AddressKind::Loopback => "loopback",
            AddressKind::Private => "private",
            AddressKind::CarrierGrade => "carrier-grade NAT",
            AddressKind::LinkLocal => "link-local",
            AddressKind::UniqueLocal => "unique local",
            AddressKind::Metadata => "cloud metadata",
            AddressKind::Multicast => "multicast",
            AddressKind::Reserved => "reserved",
            AddressKind::OwnHost => "this host's own",
        }
    }

    /// The kind of an address; `None` when it is plainly public.
    ///
    /// # Caveats
    /// Never [`AddressKind::OwnHost`]: that is not written on an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<AddressKind> {
        match address {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Metadata services: AWS, Google, Azure and others; Alibaba; Oracle; AWS over IPv6.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Source: the IANA registry of special-purpose IPv4 addresses.
fn of_v4(address: Ipv4Addr) -> Option<AddressKind> {
    if METADATA_V4.contains(&address) {
        return Some(AddressKind::Metadata);
    }
    Some(match address.octets() {
        [0, ..] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        [100, 64..=127, ..] => AddressKind::CarrierGrade,
        [169, 254, ..] => AddressKind::LinkLocal,
        [224..=239, ..] | [255, 255, 255, 255] => AddressKind::Multicast,
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => AddressKind::Reserved,
        _ => return None,
    })
}

/// Source: the IANA registry of special-purpose IPv6 addresses.
fn of_v6(address: Ipv6Addr) -> Option<AddressKind> {
    if METADATA_V6.contains(&address) {
        return Some(AddressKind::Metadata);
    }
    if let Some(inner) = disguised(address) {
        return of_v4(inner);
    }
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        [0xfc00..=0xfdff, ..] => AddressKind::UniqueLocal,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        // Site-local (RFC 3879), and NAT64 prefixes of one's own network (RFC 8215).
        [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => AddressKind::Private,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => return None,
        // Teredo hides a client's IPv4 address and port; ORCHID; segment routing.
        [0x2001, 0..=0x1ff, ..] | [0x5f00, ..] => AddressKind::Reserved,
        // Only this eighth of the space is given out as global unicast.
        [0x2000..=0x3fff, ..] => return None,
        _ => AddressKind::Reserved,
    })
}

/// The IPv4 address that an IPv6 address leads to.
fn disguised(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-mapped, IPv4-translated (RFC 2765), IPv4-compatible, NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, a, b]
        | [0, 0, 0, 0, 0xffff, 0, a, b]
        | [0, 0, 0, 0, 0, 0, a, b]
        | [0x64, 0xff9b, 0, 0, 0, 0, a, b]
        // 6to4.
        | [0x2002, a, b, ..] => Some(low(a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(address: &str, expect: &str) {
        let address = address.parse().expect("an address");
        let kind = AddressKind::of(address).map_or("public", AddressKind::as_str);
        assert_eq!(kind, expect, "{address}");
    }

    #[test]
    fn what_is_plainly_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "11.0.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "192.167.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "198.18.0.1",
            "203.0.113.9",
            "2001:db8::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            check(address, "public");
        }
    }

    #[test]
    fn what_a_name_does_not_open() {
        check("0.0.0.0", "unspecified");
        check("0.1.2.3", "unspecified");
        check("::", "unspecified");
        check("127.0.0.1", "loopback");
        check("127.255.255.254", "loopback");
        check("::1", "loopback");
        check("10.0.0.1", "private");
        check("172.16.0.1", "private");
        check("172.31.255.255", "private");
        check("192.168.1.1", "private");
        check("fec0::1", "private");
        check("100.64.0.1", "carrier-grade NAT");
        check("100.127.255.255", "carrier-grade NAT");
        check("169.254.1.1", "link-local");
        check("fe80::1", "link-local");
        check("fdff::1", "unique local");
        check("fc00::1", "unique local");
        check("169.254.169.254", "cloud metadata");
        check("100.100.100.200", "cloud metadata");
        check("fd00:ec2::254", "cloud metadata");
        check("fd20:ce::254", "cloud metadata");
        check("224.0.0.1", "multicast");
        check("ff02::1", "multicast");
        check("255.255.255.255", "multicast");
        check("192.0.0.8", "reserved");
        check("240.0.0.1", "reserved");
        check("2001::1", "reserved");
        check("4000::1", "reserved");
    }

    #[test]
    fn disguises_are_seen_through() {
        for (prefix, suffix) in [("::ffff:", ""), ("::ffff:0:", ""), ("64:ff9b::", ""), ("::", "")]
        {
            check(&format!("{prefix}127.0.0.1{suffix}"), "loopback");
            check(&format!("{prefix}10.0.0.1{suffix}"), "private");
            check(&format!("{prefix}169.254.169.254{suffix}"), "cloud metadata");
        }
        check("2002:7f00:1::", "loopback");
        check("2002:a9fe:a9fe::1", "cloud metadata");
        check("64:ff9b:1::a00:1", "private");
    }

    proptest! {
        #[test]
        fn a_disguise_changes_nothing(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            // `::` and `::1` are addresses of their own.
            prop_assume!(bits > 1);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            for v6 in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b),
            ] {
                prop_assert_eq!(AddressKind::of(v6.into()), AddressKind::of(v4.into()), "{}", v6);
            }
        }

        #[test]
        fn whatever_the_standard_library_calls_special_is(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
                || v4.is_multicast() || v4.is_unspecified();
            prop_assert!(!special || AddressKind::of(v4.into()).is_some());
        }
    }
}

//! What the kernel tells of packets that the rules refuse: the log messages of netfilter, and the head of the packet in them.
//!
//! The command decides what is in such a packet, so everything is read with its bounds checked and nothing is kept but addresses
//! and ports.

use super::netlink::{self, ACK, Batch};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The group that the rules log to; a namespace has groups of its own.
pub(super) const GROUP: u16 = 1;
/// How much of a packet is told: an IPv6 header, some extension headers, and the ports.
pub(super) const SNAPLEN: u32 = 96;

/// `NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET`, and `NFULNL_MSG_CONFIG`.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = 4 << 8 | 1;
/// `NFULA_PAYLOAD`.
const PAYLOAD: u16 = 9;

/// A packet that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Protocol number, as 6 for TCP.
    pub protocol: u8,
    /// Where it came from, likewise.
    pub source: SocketAddr,
    /// Where it was to go; port 0 where the protocol has none.
    pub destination: SocketAddr,
}

/// Asks the kernel to send log messages of the group to the socket that this is sent by.
pub(super) fn subscribe() -> Batch {
    let mut fixed = vec![0, 0];
    fixed.extend(GROUP.to_be_bytes());
    let mut batch = Batch::default();
    batch.message(CONFIG, ACK, &fixed, |a| {
        // NFULA_CFG_CMD: NFULNL_CFG_CMD_BIND.
        a.bytes(1, &[1]);
    });
    batch.message(CONFIG, ACK, &fixed, |a| {
        // NFULA_CFG_MODE: that many bytes, NFULNL_COPY_PACKET.
        let mut mode = SNAPLEN.to_be_bytes().to_vec();
        mode.extend([2, 0]);
        // NFULA_CFG_QTHRESH: tell each at once.
        a.bytes(2, &mode).be32(5, 1);
    });
    batch
}

/// The packets in what was received.
pub(crate) fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet> {
    let logged = netlink::messages(bytes).filter(|(kind, _, _)| *kind == PACKET);
    logged.filter_map(|(_, _, body)| {
        let mut attributes = netlink::attributes(body.get(4..)?);
        attributes.find(|(kind, _)| *kind == PAYLOAD).and_then(|(_, payload)| parse_packet(payload))
    })
}

/// Protocol and destination of an IP packet; `None` when it is none.
#[must_use]
pub fn parse_packet(bytes: &[u8]) -> Option<Packet> {
    match bytes.first()? >> 4 {
        4 => parse_v4(bytes),
        6 => parse_v6(bytes),
        _ => None,
    }
}

fn parse_v4(bytes: &[u8]) -> Option<Packet> {
    let header = usize::from(bytes.first()? & 15) * 4;
    let protocol = *bytes.get(9)?;
    let address = |at: usize| {
        let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::from(Ipv4Addr::from(octets)))
    };
    Some(packet(protocol, [address(12)?, address(16)?], bytes.get(header.max(20)..)))
}

fn parse_v6(bytes: &[u8]) -> Option<Packet> {
    let mut protocol = *bytes.get(6)?;
    let address = |at: usize| {
        let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::from(Ipv6Addr::from(octets)))
    };
    let addresses = [address(8)?, address(24)?];
    let mut rest = bytes.get(40..);
    // Hop-by-hop, routing, destination options: a next header and a length each.
    while let (0 | 43 | 60, Some([next, length, ..])) = (protocol, rest) {
        protocol = *next;
        rest = rest.and_then(|rest| rest.get(8 + usize::from(*length) * 8..));
    }
    Some(packet(protocol, addresses, rest))
}

/// With the ports of TCP, UDP, DCCP, SCTP and UDP-Lite.
fn packet(protocol: u8, [from, to]: [IpAddr; 2], transport: Option<&[u8]>) -> Packet {
    let [source, destination] = match (protocol, transport) {
        (6 | 17 | 33 | 132 | 136, Some([a, b, c, d, ..])) => {
            [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])]
        }
        _ => [0; 2],
    };
    Packet { protocol, source: (from, source).into(), destination: (to, destination).into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(protocol: u8, options: usize) -> Vec<u8> {
        let mut bytes = vec![0; 20 + options];
        bytes[0] = 0x45 + (options / 4) as u8;
        bytes[9] = protocol;
        bytes[16..20].copy_from_slice(&[8, 8, 4, 4]);
        bytes.extend([0xaa, 0xaa, 1, 0xbb, 0, 0]);
        bytes
    }

    fn check(bytes: &[u8], expect: Option<(u8, &str)>) {
        let seen =
            parse_packet(bytes).map(|packet| (packet.protocol, packet.destination.to_string()));
        assert_eq!(seen, expect.map(|(protocol, to)| (protocol, to.to_owned())));
    }

    #[test]
    fn destinations_are_read() {
        check(&v4(6, 0), Some((6, "8.8.4.4:443")));
        check(&v4(17, 8), Some((17, "8.8.4.4:443")));
        check(&v4(1, 0), Some((1, "8.8.4.4:0")));
        check(&v4(6, 0)[..22], Some((6, "8.8.4.4:0")));
        check(&v4(6, 0)[..19], None);
        check(&[], None);
        let mut v6 = vec![0; 40];
        v6[0] = 0x60;
        v6[6] = 60;
        v6[39] = 1;
        v6.extend([6, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa, 0, 22]);
        check(&v6, Some((6, "[::1]:22")));
    }

    #[test]
    fn a_log_message_is_taken_apart() {
        let mut batch = Batch::default();
        batch.message(PACKET, 0, &[2, 0, 0, 1], |a| {
            a.bytes(1, &[8, 0, 3, 0]).bytes(PAYLOAD, &v4(17, 0));
        });
        let found: Vec<_> = packets(batch.as_bytes()).collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].protocol, found[0].destination.port()), (17, 443));
    }

    proptest! {
        #[test]
        fn no_packet_is_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            prop_assert!(parse_packet(&bytes).is_none() || bytes.len() >= 20);
            prop_assert!(packets(&bytes).count() < 10);
        }

        #[test]
        fn no_chain_of_headers_is_too_odd(tail in proptest::collection::vec(prop_oneof![Just(0_u8), Just(43), Just(60), any::<u8>()], 0..128)) {
            let mut bytes = vec![0; 40];
            bytes[0] = 0x60;
            bytes.extend(tail);
            prop_assert!(parse_packet(&bytes).is_some());
        }
    }
}

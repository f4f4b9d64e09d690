//! First packets of connections that the kernel holds until they are answered: the queue of netfilter.
//!
//! A packet that is let go on leads to a connection; any other gets a mark that the rules refuse by. So a program
//! is told how it went outside before its own connection stands.

use super::netlink::{self, ACK, Batch};
use super::nflog::{Packet, parse_packet};
use rustix::net::SendFlags;
use std::os::fd::AsFd;

/// How much of a packet is told, see [`nflog::SNAPLEN`](super::nflog::SNAPLEN).
const RANGE: u32 = super::nflog::SNAPLEN;
/// Most packets that are held; with more, they go on unanswered.
const MOST: u32 = 1024;

/// Subsystem NFNL_SUBSYS_QUEUE, and its messages PACKET, VERDICT, CONFIG.
const QUEUE: u16 = 3;
const PACKET: u16 = QUEUE << 8;
const VERDICT: u16 = QUEUE << 8 | 1;
const CONFIG: u16 = QUEUE << 8 | 2;
/// `NFQA_PACKET_HDR`, `NFQA_VERDICT_HDR`, `NFQA_MARK`, `NFQA_PAYLOAD`.
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;
const MARK: u16 = 3;
const PAYLOAD: u16 = 10;

/// A packet that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: u32,
    pub(crate) packet: Packet,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Accept,
    /// It was never sent; the kernel sends it again after a second.
    Drop,
    /// As where nobody listens.
    Refuse,
    /// As where there is no way.
    Unreachable,
}

impl Verdict {
    /// The mark that the rules know it by; 0 has none.
    pub(super) const fn mark(self) -> u32 {
        match self {
            Verdict::Accept | Verdict::Drop => 0,
            Verdict::Refuse => 1,
            Verdict::Unreachable => 2,
        }
    }
}

/// Asks the kernel to give the packets of queue 0 to the socket that this is sent by.
pub(super) fn subscribe() -> Batch {
    let mut batch = Batch::default();
    batch.message(CONFIG, ACK, &[0; 4], |a| {
        // NFQA_CFG_CMD: NFQNL_CFG_CMD_BIND.
        a.bytes(1, &[1, 0, 0, 0]);
    });
    batch.message(CONFIG, ACK, &[0; 4], |a| {
        // NFQA_CFG_PARAMS: that many bytes, NFQNL_COPY_PACKET.
        let mut params = RANGE.to_be_bytes().to_vec();
        params.push(2);
        // NFQA_CFG_QUEUE_MAXLEN; NFQA_CFG_MASK and NFQA_CFG_FLAGS: NFQA_CFG_F_FAIL_OPEN.
        a.bytes(2, &params).be32(3, MOST).be32(4, 1).be32(5, 1);
    });
    batch
}

/// The packets in what was received. The rules hold TCP alone, whose packets have all that is read here.
pub(crate) fn waiting(bytes: &[u8]) -> impl Iterator<Item = Waiting> {
    let held = netlink::messages(bytes).filter(|(kind, _, _)| *kind == PACKET);
    held.filter_map(|(_, _, body)| {
        let (mut id, mut packet) = (None, None);
        for (kind, value) in netlink::attributes(body.get(4..)?) {
            match kind {
                PACKET_HEADER => id = Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?)),
                PAYLOAD => packet = parse_packet(value),
                _ => {}
            }
        }
        Some(Waiting { id: id?, packet: packet? })
    })
}

/// Answers the kernel. A packet that is gone needs no answer.
pub(crate) fn answer(socket: impl AsFd, id: u32, verdict: Verdict) {
    const NF_DROP: u32 = 0;
    const NF_ACCEPT: u32 = 1;
    let word = if verdict == Verdict::Drop { NF_DROP } else { NF_ACCEPT };
    let mut batch = Batch::default();
    batch.message(VERDICT, 0, &[0; 4], |a| {
        a.bytes(VERDICT_HEADER, &[word.to_be_bytes(), id.to_be_bytes()].concat());
        if verdict.mark() != 0 {
            a.be32(MARK, verdict.mark());
        }
    });
    // A queue of the kernel's that takes nothing leaves the packet to be sent again.
    let _ = rustix::net::send(socket, batch.as_bytes(), SendFlags::DONTWAIT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_held_packet_is_taken_apart() {
        let mut syn = vec![0; 24];
        (syn[0], syn[9]) = (0x45, 6);
        syn[12..16].copy_from_slice(&[127, 0, 0, 1]);
        syn[16..20].copy_from_slice(&[198, 18, 0, 9]);
        syn[20..24].copy_from_slice(&[0x9c, 0x40, 1, 0xbb]);
        let mut batch = Batch::default();
        batch.message(PACKET, 0, &[2, 0, 0, 0], |a| {
            a.bytes(PACKET_HEADER, &[0, 0, 0, 7, 8, 0, 3]).bytes(PAYLOAD, &syn);
        });
        let found: Vec<_> = waiting(batch.as_bytes()).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, 7);
        assert_eq!(found[0].packet.source.to_string(), "127.0.0.1:40000");
        assert_eq!(found[0].packet.destination.to_string(), "198.18.0.9:443");
    }

    proptest! {
        #[test]
        fn no_message_is_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            prop_assert!(waiting(&bytes).count() < 10);
        }
    }
}

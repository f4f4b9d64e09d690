//! Netlink messages, written byte by byte, and the kernel's answers to them.
//!
//! The format is old and plain: a header, a fixed part, attributes with a length each, everything padded to four bytes. Lengths and
//! types are in the machine's order; values of nf_tables are in network order.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::os::fd::OwnedFd;

/// Flags of a request. Source: netlink(7).
pub(super) const REQUEST: u16 = 1;
pub(super) const ACK: u16 = 4;
pub(super) const REPLACE: u16 = 0x100;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;
/// An attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// Type of the kernel's answer to a request.
const ERROR: u16 = 2;

/// Messages, one behind the other, numbered from 1.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// Appends a message: its fixed part, then what `fill` puts in.
    pub(super) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.count += 1;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(fixed);
        fill(&mut Attributes { bytes: &mut self.bytes });
        let size = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&size.to_ne_bytes());
    }

    /// Appends a message that is never answered and does not count as the last.
    pub(super) fn unnumbered(&mut self, kind: u16, fixed: &[u8]) {
        self.message(kind, 0, fixed, |_| {});
        self.count -= 1;
    }

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sends everything and reads the answers; the last message must be one that asked for an answer.
    ///
    /// The kernel has answered before the call that sends returns, so nothing is waited for.
    pub(super) fn carry_out(&self, socket: &OwnedFd) -> io::Result<()> {
        rustix::net::send(socket, &self.bytes, SendFlags::empty())?;
        let mut buffer = vec![0; 8192];
        loop {
            let (length, _) = match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::UnexpectedEof.into()),
                other => other?,
            };
            match self.read_answers(buffer.get(..length).unwrap_or_default()) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) => {
                    // Every message that was wrong has an answer, which the next batch must not take for its own.
                    while rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT).is_ok() {}
                    return Err(error);
                }
            }
        }
    }

    /// Whether the last message is answered; an error, whichever message it is about, is one of all.
    fn read_answers(&self, bytes: &[u8]) -> io::Result<bool> {
        for (kind, sequence, body) in messages(bytes) {
            if kind != ERROR {
                continue;
            }
            let code =
                body.get(..4).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
            if code != 0 {
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            if sequence == self.count {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Type, number and body of each message in what was received.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let kind = bytes.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
        let (length, sequence) = (word(0)? as usize, word(8)?);
        let body = bytes.get(16..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, sequence, body))
    })
}

/// Type and value of each attribute.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let half = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
        let length = usize::from(half(0)?);
        let kind = half(2)? & !NESTED;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The attributes of a message that is being written.
pub(super) struct Attributes<'b> {
    bytes: &'b mut Vec<u8>,
}

impl Attributes<'_> {
    /// One value.
    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A number in network order.
    pub(super) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A number in the machine's order.
    pub(super) fn ne32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// A name, closed by a zero byte.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Attributes inside an attribute.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(&mut Attributes { bytes: self.bytes });
        let size = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&size.to_ne_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_laid_out_as_the_kernel_reads_it() {
        let mut batch = Batch::default();
        batch.message(7, ACK, &[9, 9, 9, 9], |a| {
            a.text(1, "ab").nest(2, |inner| {
                inner.be32(3, 0x0102_0304);
            });
        });
        let mut expect = Vec::new();
        expect.extend(40_u32.to_ne_bytes());
        expect.extend(7_u16.to_ne_bytes());
        expect.extend(5_u16.to_ne_bytes());
        expect.extend(1_u32.to_ne_bytes());
        expect.extend([0; 4]);
        expect.extend([9; 4]);
        expect.extend([7_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
        expect.extend(*b"ab\0\0");
        expect.extend([12_u16.to_ne_bytes(), 0x8002_u16.to_ne_bytes()].concat());
        expect.extend([8_u16.to_ne_bytes(), 3_u16.to_ne_bytes()].concat());
        expect.extend([1, 2, 3, 4]);
        assert_eq!(batch.as_bytes(), expect);
        assert_eq!(messages(&expect).next().map(|(kind, number, _)| (kind, number)), Some((7, 1)));
    }

    #[test]
    fn an_error_of_any_message_is_one_of_all() {
        let mut batch = Batch::default();
        batch.message(1, 0, &[], |_| {});
        batch.message(1, ACK, &[], |_| {});
        let answer = |sequence: u32, code: i32| {
            let mut bytes = 20_u32.to_ne_bytes().to_vec();
            bytes.extend(ERROR.to_ne_bytes());
            bytes.extend([0; 2]);
            bytes.extend(sequence.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(code.to_ne_bytes());
            bytes
        };
        assert!(batch.read_answers(&answer(2, 0)).expect("no error"));
        assert!(!batch.read_answers(&answer(1, 0)).expect("no error"));
        let both = [answer(1, -2), answer(2, 0)].concat();
        let error = batch.read_answers(&both).expect_err("the first one failed");
        assert_eq!(error.raw_os_error(), Some(2));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for (_, _, body) in messages(&bytes) {
                prop_assert!(attributes(body).count() <= 25);
            }
        }
    }
}

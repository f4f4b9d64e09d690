//! A DNS query read, and an answer written: the few parts of RFC 1035 that a gateway needs.
//!
//! Only the header and the first question are looked at. An answer repeats the question byte for byte and points at it, so nothing
//! that came in is trusted beyond its length.
//!
//! The trap is the compression pointer: one that leads to itself, forwards, or in a circle. Every pointer here must lead to before
//! the place it was read at, and a name has 255 bytes at most, so every walk ends.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest name on the wire. Source: RFC 1035 section 2.3.4.
const MAX_NAME: usize = 255;
/// Bytes of a header.
const HEADER: usize = 12;
/// Class `IN`, and `ANY`, which some clients ask with.
const CLASSES: [u16; 2] = [1, 255];

/// What a query wants to know of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name of an address.
    Ptr,
    /// Anything else, by its number.
    Other(u16),
}

impl RecordType {
    fn from_number(number: u16) -> RecordType {
        match number {
            1 => RecordType::A,
            28 => RecordType::Aaaa,
            12 => RecordType::Ptr,
            other => RecordType::Other(other),
        }
    }
}

/// A query with its one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    id: u16,
    recursion_desired: bool,
    /// The name as text without a trailing dot; a byte that no host name has is written `\DDD`.
    pub name: String,
    /// What is asked.
    pub record: RecordType,
    /// The question's bytes, name uncompressed, as the answer repeats them.
    question: Vec<u8>,
    /// The client speaks EDNS: an answer has an OPT record too.
    edns: bool,
}

/// Why a datagram gets no proper answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    /// Not worth any answer: too short, or itself an answer.
    Ignore,
    /// Answered with `FORMERR`.
    Format {
        /// The number of the query.
        id: u16,
    },
    /// Something else than a standard query, answered with `NOTIMP`.
    NotImplemented {
        /// The number of the query.
        id: u16,
    },
}

impl QueryError {
    /// What to send back, if anything.
    #[must_use]
    pub fn answer(self) -> Option<Vec<u8>> {
        let (id, code) = match self {
            QueryError::Ignore => return None,
            QueryError::Format { id } => (id, 1),
            QueryError::NotImplemented { id } => (id, 4),
        };
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0x80, code, 0, 0, 0, 0, 0, 0, 0, 0]);
        Some(bytes)
    }
}

/// What is said about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There is no such name.
    NoName,
    /// The name is there, and has nothing of that kind.
    Nothing,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// The name of an address.
    Name(String),
    /// It cannot be answered now.
    Failure,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`QueryError`], which knows what to send back.
    pub fn parse(bytes: &[u8]) -> Result<Query, QueryError> {
        let (Some(id), Some(flags)) = (word(bytes, 0), word(bytes, 2)) else {
            return Err(QueryError::Ignore);
        };
        if bytes.len() < HEADER || flags & 0x8000 != 0 {
            return Err(QueryError::Ignore);
        }
        if flags & 0x7800 != 0 {
            return Err(QueryError::NotImplemented { id });
        }
        Query::read_question(id, flags, bytes).ok_or(QueryError::Format { id })
    }

    fn read_question(id: u16, flags: u16, bytes: &[u8]) -> Option<Query> {
        if word(bytes, 4)? != 1 {
            return None;
        }
        let (labels, end) = read_name(bytes, HEADER)?;
        let (kind, class) = (word(bytes, end)?, word(bytes, end + 2)?);
        if !CLASSES.contains(&class) {
            return None;
        }
        let mut question = labels.clone();
        question.extend_from_slice(bytes.get(end..end + 4)?);
        Some(Query {
            id,
            recursion_desired: flags & 0x100 != 0,
            name: text(&labels),
            record: RecordType::from_number(kind),
            question,
            edns: has_opt(bytes, end + 4),
        })
    }

    /// The bytes of an answer; records live `ttl` seconds.
    #[must_use]
    pub fn answer(&self, answer: &Answer, ttl: u32) -> Vec<u8> {
        let code: u16 = match answer {
            Answer::NoName => 3,
            Answer::Failure => 2,
            _ => 0,
        };
        let data = match answer {
            Answer::V4(address) => Some((1_u16, address.octets().to_vec())),
            Answer::V6(address) => Some((28, address.octets().to_vec())),
            Answer::Name(name) => wire_name(name).map(|name| (12, name)),
            Answer::NoName | Answer::Nothing | Answer::Failure => None,
        };
        let mut bytes = Vec::with_capacity(HEADER + self.question.len() + 32);
        // An answer, recursion available as the client wished it.
        let flags = 0x8080 | u16::from(self.recursion_desired) << 8 | code;
        let counts = [1, u16::from(data.is_some()), 0, u16::from(self.edns)];
        for word in [self.id, flags].into_iter().chain(counts) {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&self.question);
        if let Some((kind, data)) = data {
            // The name is the question's.
            bytes.extend_from_slice(&[0xc0, HEADER as u8]);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&[0, 1]);
            bytes.extend_from_slice(&ttl.to_be_bytes());
            bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
            bytes.extend_from_slice(&data);
        }
        if self.edns {
            // Root name, OPT, 1232 bytes of payload, version 0, no flags, no data.
            bytes.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        }
        bytes
    }
}

/// A name from `at`, uncompressed on the wire's own terms, and where what follows it begins.
fn read_name(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut labels = Vec::new();
    let (mut at, mut end) = (at, None);
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => {
                labels.push(0);
                return Some((labels, end.unwrap_or(at + 1)));
            }
            1..=63 => {
                labels.extend_from_slice(bytes.get(at..=at + length)?);
                // The closing zero byte counts too.
                if labels.len() >= MAX_NAME {
                    return None;
                }
                at += 1 + length;
            }
            0xc0.. => {
                let target = usize::from(word(bytes, at)? & 0x3fff);
                end = end.or(Some(at + 2));
                // Backwards only: every step is lower than the one before, so this ends.
                if target >= at {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
    }
}

/// Labels as text; what is no character of a host name is escaped, so it can match none.
fn text(labels: &[u8]) -> String {
    let mut name = String::new();
    let mut rest = labels;
    while let [length, tail @ ..] = rest
        && *length > 0
    {
        let (label, next) = tail.split_at_checked(usize::from(*length)).unwrap_or((tail, &[]));
        if !name.is_empty() {
            name.push('.');
        }
        for &byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                    name.push(char::from(byte))
                }
                other => name.push_str(&format!("\\{other:03}")),
            }
        }
        rest = next;
    }
    name
}

/// A name as labels; none when it does not fit.
fn wire_name(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= MAX_NAME).then_some(bytes)
}

/// Whether the additional section begins with an OPT record, which a query has nothing in front of.
fn has_opt(bytes: &[u8], at: usize) -> bool {
    word(bytes, 10).is_some_and(|additional| additional > 0)
        && bytes.get(at) == Some(&0)
        && word(bytes, at + 1) == Some(41)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A query of one question, written by hand.
    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(wire_name(name).expect("a name that fits"));
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes
    }

    fn check(bytes: &[u8], expect: Result<(&str, RecordType), QueryError>) {
        let parsed = Query::parse(bytes);
        let seen = parsed.as_ref().map(|query| (query.name.as_str(), query.record)).map_err(|e| *e);
        assert_eq!(seen, expect, "{bytes:x?}");
    }

    #[test]
    fn queries_are_read() {
        check(&query("a.example.com", 1), Ok(("a.example.com", RecordType::A)));
        check(&query("A.Example.com", 28), Ok(("A.Example.com", RecordType::Aaaa)));
        check(&query("_x._tcp.a", 33), Ok(("_x._tcp.a", RecordType::Other(33))));
        check(&query("evil.com\0.a", 1), Ok(("evil.com\\000.a", RecordType::A)));
    }

    #[test]
    fn a_dot_inside_a_label_is_not_a_dot() {
        let mut bytes = query("xxx.com", 1);
        bytes[14] = b'.';
        check(&bytes, Ok(("x\\046x.com", RecordType::A)));
    }

    #[test]
    fn what_is_no_query_is_refused() {
        check(&[], Err(QueryError::Ignore));
        check(&[1; 11], Err(QueryError::Ignore));
        let good = query("a.b", 1);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        check(&with(2, 0x81), Err(QueryError::Ignore));
        check(&with(2, 0x28), Err(QueryError::NotImplemented { id: 0x1234 }));
        let format = Err(QueryError::Format { id: 0x1234 });
        check(&with(5, 0), format);
        check(&with(5, 2), format);
        check(&with(12, 0x40), format);
        check(&with(12, 63), format);
        check(&with(good.len() - 1, 3), format);
        check(&good[..good.len() - 1], format);
    }

    #[test]
    fn pointers_lead_backwards_only() {
        let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for target in [12, 13, 14, 200] {
            bytes.truncate(12);
            bytes.extend([0xc0, target, 0, 1, 0, 1]);
            check(&bytes, Err(QueryError::Format { id: 1 }));
        }
        // Into the header: two zero bytes at 6, so the root.
        bytes.truncate(12);
        bytes.extend([1, b'a', 0xc0, 6, 0, 1, 0, 1]);
        check(&bytes, Ok(("a", RecordType::A)));
    }

    #[test]
    fn answers_repeat_the_question() {
        let bytes = query("a.b", 1);
        let query = Query::parse(&bytes).expect("a query");
        let answer = query.answer(&Answer::V4([198, 18, 0, 2].into()), 60);
        let mut expect = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        expect.extend(&bytes[12..]);
        expect.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 2]);
        assert_eq!(answer, expect);
        assert_eq!(query.answer(&Answer::NoName, 0)[3], 0x83);
        assert_eq!(query.answer(&Answer::Nothing, 0)[3..8], [0x80, 0, 1, 0, 0]);
    }

    #[test]
    fn edns_is_answered_with_edns() {
        let mut bytes = query("a.b", 1);
        bytes[11] = 1;
        bytes.extend([0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0]);
        let answer = Query::parse(&bytes).expect("a query").answer(&Answer::Nothing, 0);
        assert_eq!(answer[11], 1);
        assert_eq!(answer[answer.len() - 11..answer.len() - 6], [0, 0, 41, 4, 0xd0]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(query) = Query::parse(&bytes) {
                prop_assert!(query.answer(&Answer::Nothing, 1).len() < 600);
            }
        }

        #[test]
        fn no_change_of_a_query_is_too_odd(changes in proptest::collection::vec((2_usize..64, any::<u8>()), 0..8)) {
            let mut bytes = query("some.name.example.com", 1);
            bytes.resize(64, 0xc0);
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            if let Ok(query) = Query::parse(&bytes) {
                // What is answered can be read again, but for its being an answer.
                let mut answer = query.answer(&Answer::Nothing, 1);
                answer[2] &= 0x7f;
                answer[3] = 0;
                let again = Query::parse(&answer).expect("an answer has the question's form");
                prop_assert_eq!((again.name, again.record), (query.name, query.record));
            }
        }

        #[test]
        fn names_survive(name in "[a-zA-Z0-9_-]{1,20}(\\.[a-z0-9-]{1,20}){0,5}", kind: u16) {
            let query = Query::parse(&query(&name, kind)).expect("a query");
            prop_assert_eq!(query.name, name);
        }
    }
}

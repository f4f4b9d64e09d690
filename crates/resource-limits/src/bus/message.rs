//! Messages as bytes: written in one form, read in either order of bytes. Pure.
//!
//! # References
//!
//! "Message Protocol" in the D-Bus Specification.

/// The largest message that is read. The specification allows 128 MiB; an answer of a service manager has some hundred bytes.
const LARGEST: usize = 64 << 10;
/// Bytes before the fields of a header, their length included.
const FIXED: usize = 16;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    pub(crate) signature: &'a str,
}

/// What kind of message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to a call.
    Return,
    /// The refusal of a call.
    Error,
    /// Something has happened.
    Signal,
    /// Anything else.
    Other,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    /// The number of the call that it answers.
    pub(crate) answers: Option<u32>,
    pub(crate) interface: String,
    pub(crate) member: String,
    /// The name of an error.
    pub(crate) error: String,
    signature: String,
    body: Vec<u8>,
    order: Order,
}

/// What was read is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The arguments of a call that is written, in little endian.
#[derive(Debug, Default)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// A number of four bytes.
    pub(crate) fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// A number of eight bytes.
    pub(crate) fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    /// A text, or the path of an object.
    pub(crate) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array of what begins at a multiple of `align`.
    pub(crate) fn array(&mut self, align: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length = self.0.len() - 4;
        self.align(align);
        let start = self.0.len();
        fill(self);
        let written = (self.0.len() - start) as u32;
        self.0[length..length + 4].copy_from_slice(&written.to_le_bytes());
    }

    /// A structure.
    pub(crate) fn group(&mut self, fill: impl FnOnce(&mut Self)) {
        self.align(8);
        fill(self);
    }

    /// A value that says its own type.
    pub(crate) fn variant(&mut self, signature: &str, fill: impl FnOnce(&mut Self)) {
        self.signature(signature);
        fill(self);
    }
}

impl Call<'_> {
    /// The call as it is sent, with its number.
    pub(super) fn encode(&self, serial: u32, body: &Body) -> Vec<u8> {
        const METHOD_CALL: u8 = 1;
        const VERSION: u8 = 1;
        let mut out = Body(vec![b'l', METHOD_CALL, 0, VERSION]);
        out.u32(body.0.len() as u32);
        out.u32(serial);
        out.array(8, |out| {
            for (code, signature, text) in [
                (field::PATH, "o", self.path),
                (field::INTERFACE, "s", self.interface),
                (field::MEMBER, "s", self.member),
                (field::DESTINATION, "s", self.destination),
            ] {
                out.group(|out| {
                    out.0.push(code);
                    out.variant(signature, |out| out.text(text));
                });
            }
            if !self.signature.is_empty() {
                out.group(|out| {
                    out.0.push(field::SIGNATURE);
                    out.variant("g", |out| out.signature(self.signature));
                });
            }
        });
        out.align(8);
        out.0.extend(&body.0);
        out.0
    }
}

mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR_NAME: u8 = 4;
    pub(super) const REPLY_SERIAL: u8 = 5;
    pub(super) const DESTINATION: u8 = 6;
    pub(super) const SIGNATURE: u8 = 8;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

impl Message {
    /// The first message of `bytes` and its length; `None` when there is not all of it yet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(fixed) = bytes.get(..FIXED) else { return Ok(None) };
        let order = match fixed[0] {
            b'l' => Order::Little,
            b'B' => Order::Big,
            _ => return Err(Malformed),
        };
        let number =
            |at: usize| order.u32([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (body, fields) = (number(4) as usize, number(12) as usize);
        if body > LARGEST || fields > LARGEST {
            return Err(Malformed);
        }
        let start = (FIXED + fields).next_multiple_of(8);
        let Some(bytes) = bytes.get(..start + body) else { return Ok(None) };
        let mut message = Self {
            kind: match fixed[1] {
                2 => Kind::Return,
                3 => Kind::Error,
                4 => Kind::Signal,
                _ => Kind::Other,
            },
            answers: None,
            interface: String::new(),
            member: String::new(),
            error: String::new(),
            signature: String::new(),
            body: bytes[start..].to_vec(),
            order,
        };
        message.take_fields(&bytes[..FIXED + fields])?;
        Ok(Some((message, start + body)))
    }

    fn take_fields(&mut self, header: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader { bytes: header, at: FIXED, order: self.order };
        while reader.at < header.len() {
            reader.align(8)?;
            let code = reader.byte()?;
            let kind = reader.signature()?;
            match (code, kind) {
                (field::INTERFACE, "s") => self.interface = reader.text()?.to_owned(),
                (field::MEMBER, "s") => self.member = reader.text()?.to_owned(),
                (field::ERROR_NAME, "s") => self.error = reader.text()?.to_owned(),
                (field::REPLY_SERIAL, "u") => self.answers = Some(reader.u32()?),
                (field::SIGNATURE, "g") => self.signature = reader.signature()?.to_owned(),
                (_, "s" | "o") => drop(reader.text()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.u32()?),
                // No other types are in the headers that there are.
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }

    /// The arguments, as far as they are texts (paths, too) and numbers of four bytes; numbers are left out.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let mut reader = Reader { bytes: &self.body, at: 0, order: self.order };
        let mut texts = Vec::new();
        for kind in self.signature.chars() {
            let read = match kind {
                's' | 'o' => reader.text().map(|text| texts.push(text)),
                'u' | 'i' | 'b' => reader.u32().map(drop),
                _ => break,
            };
            if read.is_err() {
                break;
            }
        }
        texts
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    order: Order,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), Malformed> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(self.order.u32(bytes))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.u32()? as usize;
        self.closed(length)
    }

    fn signature(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.byte()?);
        self.closed(length)
    }

    /// A text with the NUL behind it.
    fn closed(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let text = self.take(length)?;
        match self.byte()? {
            0 => std::str::from_utf8(text).map_err(|_| Malformed),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message as a bus would send it.
    pub(crate) fn sent(kind: u8, answers: u32, names: [&str; 3], texts: &[&str]) -> Vec<u8> {
        let mut body = Body::default();
        body.u32(7);
        texts.iter().for_each(|text| body.text(text));
        let signature = format!("u{}", "s".repeat(texts.len()));
        let mut out = Body(vec![b'l', kind, 0, 1]);
        out.u32(body.0.len() as u32);
        out.u32(99);
        out.array(8, |out| {
            let codes = [field::INTERFACE, field::MEMBER, field::ERROR_NAME];
            for (code, text) in codes.into_iter().zip(names).filter(|(_, text)| !text.is_empty()) {
                out.group(|out| {
                    out.0.push(code);
                    out.variant("s", |out| out.text(text));
                });
            }
            out.group(|out| {
                out.0.push(field::REPLY_SERIAL);
                out.variant("u", |out| out.u32(answers));
            });
            out.group(|out| {
                out.0.push(field::SIGNATURE);
                out.variant("g", |out| out.signature(&signature));
            });
        });
        out.align(8);
        out.0.extend(&body.0);
        out.0
    }

    #[test]
    fn messages_are_read_as_they_were_sent() {
        let bytes = sent(4, 3, ["org.x.Manager", "JobRemoved", ""], &["/job/1", "a.scope", "done"]);
        let (message, length) = Message::parse(&bytes)
            .expect("because it is sound")
            .expect("because all of it is there");
        assert_eq!(length, bytes.len());
        assert_eq!((message.kind, message.answers), (Kind::Signal, Some(3)));
        assert_eq!((&message.interface[..], &message.member[..]), ("org.x.Manager", "JobRemoved"));
        assert_eq!(message.texts(), ["/job/1", "a.scope", "done"]);
        for end in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..end]), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn a_call_has_the_bytes_that_the_specification_gives() {
        let (path, interface) = ("/org/freedesktop/DBus", "org.freedesktop.DBus");
        let hello =
            Call { destination: interface, path, interface, member: "Hello", signature: "" };
        let bytes = hello.encode(1, &Body::default());
        // As libdbus sends it, but for the order of the fields.
        assert_eq!(bytes.len(), 128);
        assert_eq!(&bytes[..16], b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x6d\0\0\0");
        assert_eq!(&bytes[16..24], b"\x01\x01o\0\x15\0\0\0");
        let (message, length) = Message::parse(&bytes)
            .expect("because it is sound")
            .expect("because all of it is there");
        assert_eq!((message.member.as_str(), length), ("Hello", 128));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let good = sent(2, 1, ["", "", ""], &[]);
        let check = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(Message::parse(&bytes), Err(Malformed), "{byte} at {at}");
        };
        check(0, b'x');
        // Too long a body, too long a header, a field of an odd type.
        check(6, 0xff);
        check(14, 0xff);
        check(18, b'a');
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            header in any::<bool>(),
        ) {
            if header && bytes.len() >= 16 {
                bytes[..16].copy_from_slice(b"l\x04\0\x01\x10\0\0\0\x01\0\0\0\x20\0\0\0");
            }
            if let Ok(Some((message, length))) = Message::parse(&bytes) {
                prop_assert!(length <= bytes.len());
                drop(message.texts());
            }
        }

        #[test]
        fn one_changed_byte_is_not_too_odd(at in 0usize..120, byte: u8) {
            let mut bytes = sent(3, 3, ["a.b", "C", "org.x.Error"], &["no", "never"]);
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(Some((message, length))) = Message::parse(&bytes) {
                prop_assert!(length <= bytes.len());
                prop_assert!(message.texts().len() <= 2);
            }
        }
    }
}

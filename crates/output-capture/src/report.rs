//! What became of one stream.
//!
//! Made by the pump when a stream is over. It holds sanitized bytes only. The trap: `bytes` counts what the command
//! wrote, all other numbers count what was left after masking.

use crate::keep::join;
use base64::Engine;

/// What came, what was kept, what was lost of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// Bytes the command wrote.
    pub bytes: u64,
    /// Bytes kept in `head` and `tail`, after masking.
    pub kept_bytes: u64,
    /// Masks written in place of secrets.
    pub redactions: u64,
    /// Bytes left out between `head` and `tail`, after masking.
    pub dropped_bytes: u64,
    /// Line ends among the bytes left out.
    pub dropped_lines: u64,
    /// The beginning of the stream.
    pub head: Vec<u8>,
    /// The end of the stream, where it is not in `head`.
    pub tail: Vec<u8>,
    /// Whether somebody still had the pipe open for writing when reading was stopped.
    pub held_open: bool,
    /// The processes that had it open, as far as they could be seen; at most eight.
    pub held_by: Vec<u32>,
    /// Sinks that failed, and what they missed.
    pub sink_errors: Vec<SinkFailure>,
    /// Why reading ended before the end of the stream, when it did.
    pub read_error: Option<String>,
    /// Bytes the command wrote that are in no sink and not kept, because masking failed. 0 in all sound cases.
    pub unmasked_bytes_discarded: u64,
}

/// A sink that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFailure {
    /// What the sink calls itself: a path, `stdout`.
    pub sink: String,
    /// The first error.
    pub error: String,
    /// The number of that error, where the system gave one.
    pub errno: Option<i32>,
    /// Bytes it missed, those of the failed write included.
    pub lost_bytes: u64,
}

/// What was kept, ready for a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Valid UTF-8.
    Text(String),
    /// Anything else, in base64 with padding.
    Base64(String),
}

impl Kept {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(other) => {
                Self::Base64(base64::engine::general_purpose::STANDARD.encode(other.as_bytes()))
            }
        }
    }
}

impl StreamReport {
    /// What was kept, as one piece: where the middle is missing, a line says how many bytes it had.
    pub fn text(&self) -> Kept {
        Kept::of(self.kept())
    }

    /// As [`StreamReport::text`], for the last reader: what was kept is not copied, and is not here any more.
    pub fn take_text(&mut self) -> Kept {
        let (head, tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        Kept::of(join(head, &tail, (self.dropped_bytes, self.dropped_lines)))
    }

    /// As [`StreamReport::text`], as bytes.
    pub fn kept(&self) -> Vec<u8> {
        join(self.head.clone(), &self.tail, (self.dropped_bytes, self.dropped_lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(head: &[u8], tail: &[u8], dropped_bytes: u64) -> StreamReport {
        StreamReport {
            head: head.to_vec(),
            tail: tail.to_vec(),
            dropped_bytes,
            ..StreamReport::default()
        }
    }

    #[test]
    fn text_or_base64() {
        assert_eq!(report(b"ab", b"cd", 0).text(), Kept::Text("abcd".into()));
        assert_eq!(
            report(b"ab", b"cd", 7).text(),
            Kept::Text("ab\n[… 7 bytes dropped …]\ncd".into())
        );
        assert_eq!(report(b"\xff\x00", b"", 0).text(), Kept::Base64("/wA=".into()));
        assert_eq!(report("ä".as_bytes(), b"", 0).text(), Kept::Text("ä".into()));
    }
}

//! Keeps the first and the last part of what a sink is given, as one text.
//!
//! For text that is not what the pump reads: with control sequences taken out, say. The pump keeps the stream itself.

use crate::keep::{HeadTail, join};
use crate::report::Kept;
use crate::sink::Sink;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A sink that keeps a bounded part in memory; clones keep the same.
#[derive(Clone, Debug)]
pub struct KeepSink(Arc<Mutex<HeadTail>>);

/// What a [`KeepSink`] has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptPart {
    /// Bytes that were kept.
    pub kept_bytes: u64,
    /// Bytes left out of the middle.
    pub dropped_bytes: u64,
    /// Line ends among the bytes left out.
    pub dropped_lines: u64,
    /// The kept bytes; where something is missing, a line says how much.
    pub text: Kept,
}

impl KeepSink {
    /// Keeps at most `cap` bytes: half from the beginning, half from the end. No cut falls inside a character or a
    /// `mask`.
    pub fn new(cap: u64, mask: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(HeadTail::new(cap, mask))))
    }

    /// What has been kept; afterwards nothing is.
    pub fn take(&self) -> KeptPart {
        let cut = self.0.lock().unwrap_or_else(PoisonError::into_inner).cut();
        let (dropped_bytes, dropped_lines) = (cut.dropped, cut.dropped_lines);
        let kept_bytes = (cut.head.len() + cut.tail.len()) as u64;
        let text = Kept::of(join(cut.head, &cut.tail, (dropped_bytes, dropped_lines)));
        KeptPart { kept_bytes, dropped_bytes, dropped_lines, text }
    }
}

impl Sink for KeepSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        Ok(())
    }

    fn name(&self) -> String {
        "kept output".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept_and_the_rest_is_counted() {
        let kept = KeepSink::new(8, b"*");
        let mut sink = kept.clone();
        for piece in ["0123", "45\n6", "789a"] {
            sink.write(piece.as_bytes()).expect("memory takes it");
        }
        let part = kept.take();
        assert_eq!((part.kept_bytes, part.dropped_bytes, part.dropped_lines), (8, 4, 1));
        let expect = "0123\n[… 4 bytes dropped, 1 line …]\n789a";
        assert_eq!(part.text, Kept::Text(expect.to_owned()));
    }
}

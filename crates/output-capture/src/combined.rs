//! Both streams of a run in the order in which they came, in bounded memory.
//!
//! For a result that reads as a terminal would have shown it. It has a cap of its own, of which half is for the
//! beginning and half for the end. The trap: the order is the one of the reads. Two pipes have no common order, so what
//! a command writes to both within a few microseconds may change places; a terminal or one pipe for both does not.

use crate::keep::{clean_end, clean_start, note_after};
use crate::pieces::{Channel, Piece, Pieces, count_lines};
use crate::report::Kept;
use crate::sink::Sink;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Collects several streams in order; clones are the same collection.
#[derive(Clone, Debug)]
pub struct Combined(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    mask: Vec<u8>,
    /// Bytes the first part may still take.
    room: usize,
    head: Vec<Piece>,
    tail: Pieces,
    dropped_bytes: u64,
    dropped_lines: u64,
}

/// What was kept of all streams together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CombinedReport {
    /// The beginning.
    pub head: Vec<Piece>,
    /// The end, where it is not in `head`.
    pub tail: Vec<Piece>,
    /// Bytes left out between the two.
    pub dropped_bytes: u64,
    /// Line ends among them.
    pub dropped_lines: u64,
}

impl Combined {
    /// Keeps about `cap` bytes: many short pieces cost more than their bytes, so of them fewer are kept. No cut falls
    /// inside a character or a `mask`.
    pub fn new(cap: usize, mask: &[u8]) -> Self {
        let (room, tail) = (cap - cap / 2, Pieces::new(cap / 2));
        let (mask, head) = (mask.to_vec(), Vec::new());
        Self(Arc::new(Mutex::new(State {
            mask,
            room,
            head,
            tail,
            dropped_bytes: 0,
            dropped_lines: 0,
        })))
    }

    /// The sink of one stream.
    pub fn sink(&self, channel: Channel) -> impl Sink + use<> {
        CombinedSink { combined: self.clone(), channel }
    }

    /// What has been kept; afterwards the collection is empty.
    pub fn take(&self) -> CombinedReport {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a piece takes of the room of the first part, beside its bytes.
const COST: usize = 64;

impl State {
    fn push(&mut self, channel: Channel, bytes: &[u8]) {
        let new = self.head.last().is_none_or(|last| last.channel != channel);
        let room = self.room.saturating_sub(if new { COST } else { 0 });
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        if !first.is_empty() {
            self.room = room - first.len();
            match self.head.last_mut() {
                Some(last) if !new => last.bytes.extend_from_slice(first),
                _ => self.head.push(Piece { channel, bytes: first.to_vec() }),
            }
        }
        if !rest.is_empty() {
            // Once something has gone on, nothing may be put before it.
            self.room = 0;
            let (bytes, lines) = self.tail.push(channel, rest);
            self.dropped_bytes += bytes;
            self.dropped_lines += lines;
        }
    }

    fn take(&mut self) -> CombinedReport {
        let mut report = CombinedReport {
            head: std::mem::take(&mut self.head),
            tail: self.tail.take(),
            dropped_bytes: self.dropped_bytes,
            dropped_lines: self.dropped_lines,
        };
        if report.dropped_bytes > 0 {
            self.cut_cleanly(&mut report);
        }
        report
    }

    fn cut_cleanly(&self, report: &mut CombinedReport) {
        let mut give_up = |bytes: &[u8]| {
            report.dropped_bytes += bytes.len() as u64;
            report.dropped_lines += count_lines(bytes);
        };
        if let Some(last) = report.head.last_mut() {
            let end = clean_end(&last.bytes, &self.mask);
            give_up(&last.bytes[end..]);
            last.bytes.truncate(end);
        }
        if let Some(first) = report.tail.first_mut() {
            let start = clean_start(&first.bytes, &self.mask);
            give_up(&first.bytes[..start]);
            first.bytes.drain(..start);
        }
    }
}

impl CombinedReport {
    /// Bytes that were kept.
    pub fn kept_bytes(&self) -> u64 {
        self.head.iter().chain(&self.tail).map(|piece| piece.bytes.len() as u64).sum()
    }

    /// All of it as one text; where something is missing, a line says how much. Each piece is given up when it has been
    /// copied, so that the text is not there twice.
    pub fn into_text(self) -> Kept {
        let dropped = (self.dropped_bytes, self.dropped_lines);
        let tail_bytes = self.tail.iter().map(|piece| piece.bytes.len()).sum();
        let mut text = note_after(one(self.head), dropped, tail_bytes);
        self.tail.into_iter().for_each(|piece| text.extend_from_slice(&piece.bytes));
        Kept::of(text)
    }
}

/// The bytes of the pieces, in the place of the first of them.
fn one(pieces: Vec<Piece>) -> Vec<u8> {
    let all = pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>();
    let mut pieces = pieces.into_iter();
    let mut bytes = pieces.next().map_or_else(Vec::new, |piece| piece.bytes);
    bytes.reserve_exact(all - bytes.len());
    pieces.for_each(|piece| bytes.extend_from_slice(&piece.bytes));
    bytes
}

struct CombinedSink {
    combined: Combined,
    channel: Channel,
}

impl Sink for CombinedSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.combined.lock().push(self.channel, bytes);
        Ok(())
    }

    fn name(&self) -> String {
        "combined output".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Channel::{Stderr, Stdout};

    fn check(cap: usize, writes: &[(Channel, &str)], expect: &str) {
        let combined = Combined::new(cap, b"[MASK]");
        for (channel, text) in writes {
            combined.sink(*channel).write(text.as_bytes()).expect("memory takes it");
        }
        assert_eq!(combined.take().into_text(), Kept::Text(expect.to_owned()));
    }

    #[test]
    fn in_the_order_of_writing() {
        check(1000, &[(Stdout, "a\n"), (Stderr, "b\n"), (Stdout, "c")], "a\nb\nc");
        check(1000, &[], "");
    }

    #[test]
    fn the_middle_is_dropped_at_whole_characters_and_masks() {
        let long = "x\n".repeat(500);
        let text = [(Stdout, "head"), (Stderr, long.as_str()), (Stdout, "tail")];
        check(240, &text, "head\n[… 1000 bytes dropped, 500 lines …]\ntail");
        let text = format!("{}[MASK]{}", "a".repeat(130), "b".repeat(300));
        let expect = format!("{}\n[… 294 bytes dropped …]\n{}", "a".repeat(130), "b".repeat(12));
        let (head_cap, tail_cap) = (130 + COST + 3, 12 + COST);
        assert_eq!(head_cap - tail_cap, 121, "the halves of a cap differ by one at most");
        let mut state = State {
            mask: b"[MASK]".to_vec(),
            room: head_cap,
            head: Vec::new(),
            tail: Pieces::new(tail_cap),
            dropped_bytes: 0,
            dropped_lines: 0,
        };
        state.push(Stdout, text.as_bytes());
        assert_eq!(state.take().into_text(), Kept::Text(expect));
    }

    #[test]
    fn short_pieces_do_not_take_more_memory_than_the_cap() {
        let combined = Combined::new(100_000, b"");
        let mut sinks = [combined.sink(Stdout), combined.sink(Stderr)];
        for turn in 0..200_000 {
            sinks[turn % 2].write(b"x").expect("memory takes it");
        }
        let report = combined.take();
        let pieces = report.head.len() + report.tail.len();
        assert!(pieces < 100_000 / COST, "{pieces}");
        assert_eq!(report.dropped_bytes + pieces as u64, 200_000);
    }
}

//! The last part of what several streams wrote, piece by piece and in order, in bounded memory.
//!
//! What neighbours of one stream wrote is one piece, up to a size. Places are counted in bytes over all streams
//! together. The trap: a piece costs more than its bytes, so a piece of one byte is counted as if it were larger.

use memchr::memchr_iter;
use std::collections::VecDeque;

/// Which stream of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Standard output, or all of a terminal's.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Channel {
    /// `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Stdout => "stdout",
            Channel::Stderr => "stderr",
        }
    }
}

/// What a stream wrote without another writing in between, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The stream.
    pub channel: Channel,
    /// What it wrote, sanitized.
    pub bytes: Vec<u8>,
}

/// What a piece counts for beside its bytes: what it costs where it is handed on.
const COST: usize = 64;
/// Bytes that are added in one go: by so much the memory may be larger than the cap.
const STEP: usize = 16 * 1024;

/// Pieces in order; the oldest bytes fall out when the rest costs too much.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// All bytes that are there: in one buffer, since many small ones that one thread allocates and another gives back
    /// are memory that neither has.
    bytes: VecDeque<u8>,
    /// Where each piece begins, and of which stream it is; the first may have begun with bytes that fell out.
    begins: VecDeque<(u64, Channel)>,
    cap: usize,
    /// Bytes that were ever pushed.
    end: u64,
}

impl Pieces {
    /// Keeps what fits into `cap` bytes of memory, more or less: each piece counts for a little more than its bytes.
    pub(crate) fn new(cap: usize) -> Self {
        Self { bytes: VecDeque::new(), begins: VecDeque::new(), cap, end: 0 }
    }

    /// The place of the oldest byte that is there.
    pub(crate) fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// The place after the newest byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Adds bytes; gives how many bytes and line ends fell out.
    pub(crate) fn push(&mut self, channel: Channel, bytes: &[u8]) -> (u64, u64) {
        let (mut dropped, mut lines) = (0, 0);
        for bytes in bytes.chunks(STEP) {
            if self.begins.back().is_none_or(|last| last.1 != channel) {
                self.begins.push_back((self.end, channel));
            }
            self.reserve(bytes.len());
            self.bytes.extend(bytes);
            self.end += bytes.len() as u64;
            let (more, more_lines) = self.evict();
            (dropped, lines) = (dropped + more, lines + more_lines);
        }
        (dropped, lines)
    }

    /// Grows by doubling, but hardly over the cap.
    fn reserve(&mut self, more: usize) {
        let need = self.bytes.len() + more;
        if need > self.bytes.capacity() {
            let target = (self.bytes.capacity() * 2).min(self.cap.saturating_add(STEP)).max(need);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }

    fn evict(&mut self) -> (u64, u64) {
        let (mut dropped, mut lines) = (0, 0);
        loop {
            let cost = self.bytes.len() + self.begins.len() * COST;
            let first = self.begins.get(1).map_or(self.end, |next| next.0) - self.start();
            let now =
                cost.saturating_sub(self.cap).min(usize::try_from(first).unwrap_or(usize::MAX));
            if now == 0 {
                return (dropped, lines);
            }
            let (one, two) = self.bytes.as_slices();
            lines += count_lines(&one[..now.min(one.len())]);
            lines += count_lines(&two[..now.saturating_sub(one.len())]);
            dropped += now as u64;
            self.bytes.drain(..now);
            if now as u64 == first {
                self.begins.pop_front();
            }
        }
    }

    /// What there is from `place` on, as far as one piece goes.
    pub(crate) fn at(&self, place: u64) -> Option<(Channel, &[u8])> {
        if place < self.start() || place >= self.end {
            return None;
        }
        let next = self.begins.partition_point(|(at, _)| *at <= place);
        let upto = self.begins.get(next).map_or(self.end, |next| next.0);
        let within =
            |place: u64| usize::try_from(place - self.start()).expect("because it is in memory");
        Some((self.begins[next - 1].1, self.slice(within(place), within(upto))))
    }

    /// The bytes from `from` to `to`, or the first of them where the buffer is wrapped.
    fn slice(&self, from: usize, to: usize) -> &[u8] {
        let (one, two) = self.bytes.as_slices();
        match from.checked_sub(one.len()) {
            Some(from) => &two[from..to - one.len()],
            None => &one[from..to.min(one.len())],
        }
    }

    /// All that is there.
    pub(crate) fn take(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.begins.len());
        while let Some((_, channel)) = self.begins.pop_front() {
            let upto = self.begins.front().map_or(self.end, |next| next.0);
            let count = usize::try_from(upto - self.start()).expect("because it is in memory");
            let mut bytes = self.slice(0, count).to_vec();
            bytes.extend_from_slice(self.slice(bytes.len(), count));
            self.bytes.drain(..count);
            pieces.push(Piece { channel, bytes });
        }
        self.bytes = VecDeque::new();
        pieces
    }
}

pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use Channel::{Stderr, Stdout};

    #[test]
    fn neighbours_of_one_stream_are_one_piece() {
        let mut pieces = Pieces::new(1000);
        for (channel, text) in [(Stdout, "ab"), (Stdout, "c"), (Stderr, "d"), (Stdout, "e")] {
            assert_eq!(pieces.push(channel, text.as_bytes()), (0, 0));
        }
        let at = |place| pieces.at(place).map(|(channel, bytes)| (channel, bytes.to_vec()));
        assert_eq!(at(1), Some((Stdout, b"bc".to_vec())));
        assert_eq!(at(3), Some((Stderr, b"d".to_vec())));
        assert_eq!((at(5), pieces.start(), pieces.end()), (None, 0, 5));
        assert_eq!(pieces.take().len(), 3);
    }

    #[test]
    fn the_oldest_bytes_fall_out() {
        let mut pieces = Pieces::new(COST + 4);
        assert_eq!(pieces.push(Stdout, b"1\n34"), (0, 0));
        assert_eq!(pieces.push(Stdout, b"56"), (2, 1));
        assert_eq!(
            (pieces.start(), pieces.at(1), pieces.at(2)),
            (2, None, Some((Stdout, &b"3456"[..])))
        );
        assert_eq!(pieces.push(Stderr, b"7"), (4, 0));
        assert_eq!(pieces.push(Stderr, &[b'x'; 100_000]).0, 99_997);
        assert_eq!(pieces.take(), [Piece { channel: Stderr, bytes: b"xxxx".to_vec() }]);
    }
}

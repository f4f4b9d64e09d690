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

/// What a piece costs beside its bytes.
const COST: usize = 64;
/// Longest piece, in bytes.
const MAX_PIECE: usize = 16 * 1024;

/// Pieces in order; the oldest bytes fall out when the rest costs too much.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// With the place at which each begins.
    queue: VecDeque<(u64, Piece)>,
    /// Bytes of the first piece that have fallen out.
    gone: usize,
    bytes: usize,
    cap: usize,
    /// Bytes that were ever pushed.
    end: u64,
    /// The buffer of a piece that fell out, for the next one: what one thread allocates and another gives back is memory
    /// that neither has.
    spare: Vec<u8>,
}

impl Pieces {
    /// Keeps what fits into `cap` bytes of memory, more or less: each piece counts for a little more than its bytes.
    pub(crate) fn new(cap: usize) -> Self {
        Self { queue: VecDeque::new(), gone: 0, bytes: 0, cap, end: 0, spare: Vec::new() }
    }

    /// The place of the oldest byte that is there.
    pub(crate) fn start(&self) -> u64 {
        self.end - self.bytes as u64
    }

    /// The place after the newest byte.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Adds bytes; gives how many bytes and line ends fell out.
    pub(crate) fn push(&mut self, channel: Channel, mut bytes: &[u8]) -> (u64, u64) {
        let (mut dropped, mut lines) = (0, 0);
        while !bytes.is_empty() {
            let piece = self.room(channel);
            let (now, later) = bytes.split_at(bytes.len().min(MAX_PIECE - piece.len()));
            piece.extend_from_slice(now);
            self.bytes += now.len();
            self.end += now.len() as u64;
            bytes = later;
            let (more, more_lines) = self.evict();
            (dropped, lines) = (dropped + more, lines + more_lines);
        }
        (dropped, lines)
    }

    /// The piece to append to.
    fn room(&mut self, channel: Channel) -> &mut Vec<u8> {
        let fits = |last: &Piece| last.channel == channel && last.bytes.len() < MAX_PIECE;
        if !self.queue.back().is_some_and(|(_, last)| fits(last)) {
            let bytes = std::mem::take(&mut self.spare);
            self.queue.push_back((self.end, Piece { channel, bytes }));
        }
        &mut self.queue.back_mut().expect("because one was pushed just now").1.bytes
    }

    fn evict(&mut self) -> (u64, u64) {
        let (mut dropped, mut lines) = (0, 0);
        while let Some((_, first)) = self.queue.front() {
            let over = (self.bytes + self.queue.len() * COST).saturating_sub(self.cap);
            if over == 0 {
                break;
            }
            let left = &first.bytes[self.gone..];
            let now = over.min(left.len());
            lines += count_lines(&left[..now]);
            dropped += now as u64;
            self.bytes -= now;
            self.gone += now;
            if self.gone == first.bytes.len() {
                self.spare = self.queue.pop_front().map_or_else(Vec::new, |(_, piece)| piece.bytes);
                self.spare.clear();
                self.gone = 0;
            }
        }
        (dropped, lines)
    }

    /// What there is from `place` on, as far as one piece goes.
    pub(crate) fn at(&self, place: u64) -> Option<(Channel, &[u8])> {
        if place < self.start() || place >= self.end {
            return None;
        }
        let (begin, piece) = &self.queue[self.queue.partition_point(|(at, _)| *at <= place) - 1];
        let skip = usize::try_from(place - begin).expect("because a piece is small");
        Some((piece.channel, &piece.bytes[skip..]))
    }

    /// All that is there.
    pub(crate) fn take(&mut self) -> Vec<Piece> {
        if let Some((_, first)) = self.queue.front_mut() {
            first.bytes.drain(..self.gone);
        }
        (self.gone, self.bytes) = (0, 0);
        self.queue.drain(..).map(|(_, piece)| piece).collect()
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

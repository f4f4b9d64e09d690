//! Finds the anchors in a stream.
//!
//! As the search for secrets it skips what cannot hold one, but there the ways part: a text may be full of anchors, and
//! each is short, so a hit of the filter is compared with the one or two anchors that it may be, and no automaton runs.
//! The last bytes of a buffer, which the filter does not see, are compared one by one.
//!
//! An anchor is reported once, when its last byte is there. The trap: the filter finds anchors by where they begin, the
//! comparing of the last bytes by where they end, and the two must meet without a gap and without a repetition.

use crate::automaton::Needle;
use crate::prefilter::Prefilter;

/// A short text at which a detector has to look closer.
#[derive(Clone, Debug)]
pub(super) struct Anchor<J> {
    /// In lower case, since all anchors count in any case.
    pub(super) bytes: Vec<u8>,
    /// What to do at its end.
    pub(super) judge: J,
    /// Whether it is held back while it is incomplete.
    pub(super) holds: bool,
    /// Only of interest with one of these bytes before it; empty for any. A hint.
    pub(super) before: &'static [u8],
    /// Only of interest with bytes of these sets after it, one a byte. A hint.
    pub(super) after: &'static [&'static [u8]],
}

/// A set of anchors, ready to be looked for.
#[derive(Debug)]
pub(super) struct Anchors<J> {
    anchors: Vec<Anchor<J>>,
    filter: Prefilter,
    longest: usize,
    /// For each last byte, in lower case, the anchors that end with it.
    by_end: Vec<Vec<u16>>,
    /// For each byte, in lower case, the anchors that are held back and how many of their bytes end with it.
    beginnings: Vec<Vec<(u16, u16)>>,
}

/// How far one stream has been searched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AnchorCursor {
    /// All anchors that begin before it, and end, have been reported.
    frontier: usize,
    /// All anchors that end at or before it have been reported.
    seen: usize,
}

/// An anchor ends here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<J> {
    pub(super) end: usize,
    pub(super) judge: J,
}

impl<J: Copy> Anchors<J> {
    /// `None` when there are none.
    pub(super) fn new(anchors: Vec<Anchor<J>>) -> Option<Self> {
        let needle = |anchor: &Anchor<J>| Needle {
            before: anchor.before,
            after: anchor.after,
            ..Needle::plain(&[])
        };
        let needles: Vec<_> = anchors
            .iter()
            .map(|anchor| Needle { bytes: &anchor.bytes, ..needle(anchor) })
            .collect();
        let filter = Prefilter::with_candidates(&needles, true)?;
        let mut by_end = vec![Vec::new(); 256];
        let mut beginnings = vec![Vec::new(); 256];
        for (number, anchor) in (0..).zip(&anchors) {
            let last = anchor.bytes.last().expect("because no anchor is empty");
            by_end[usize::from(*last)].push(number);
            let incomplete = if anchor.holds { anchor.bytes.len() - 1 } else { 0 };
            for (length, byte) in (1..).zip(&anchor.bytes[..incomplete]) {
                beginnings[usize::from(*byte)].push((number, length));
            }
        }
        let longest = anchors.iter().map(|anchor| anchor.bytes.len()).max()?;
        Some(Self { anchors, filter, longest, by_end, beginnings })
    }

    /// Searches the part of `text` that is new since the last call.
    pub(super) fn scan(&self, cursor: &mut AnchorCursor, text: &[u8], found: &mut Vec<Found<J>>) {
        let tail = text.len().saturating_sub(self.filter.blind().max(self.longest));
        if tail > cursor.frontier {
            self.skim(cursor, text, tail, found);
            cursor.frontier = tail;
        }
        for end in cursor.seen.max(cursor.frontier) + 1..=text.len() {
            for &number in &self.by_end[usize::from(text[end - 1].to_ascii_lowercase())] {
                let anchor = &self.anchors[usize::from(number)];
                let start = end.checked_sub(anchor.bytes.len());
                if start.is_some_and(|start| start >= cursor.frontier && anchor.is_at(text, start)) {
                    found.push(Found { end, judge: anchor.judge });
                }
            }
        }
        cursor.seen = text.len();
    }

    /// Finds the anchors that begin in the text between the frontier and `tail`.
    fn skim(
        &self,
        cursor: &AnchorCursor,
        text: &[u8],
        tail: usize,
        found: &mut Vec<Found<J>>,
    ) {
        // Some anchors are known by the byte before them.
        let mut at = cursor.frontier.saturating_sub(1);
        while let Some(hit) = self.filter.find(text, at) {
            for candidate in self.filter.candidates(text, hit) {
                let anchor = &self.anchors[usize::from(candidate.needle)];
                let Some(start) = hit.checked_add_signed(-isize::from(candidate.offset)) else {
                    continue;
                };
                let end = start + anchor.bytes.len();
                let new = start >= cursor.frontier && start < tail && end > cursor.seen;
                if new && anchor.is_at(text, start) && anchor.is_of_interest(text, start) {
                    found.push(Found { end, judge: anchor.judge });
                }
            }
            at = hit + self.filter.stride();
        }
    }

    /// How many of the last bytes may be the beginning of an anchor that is held back.
    pub(super) fn hold(&self, text: &[u8]) -> usize {
        let Some(last) = text.last() else { return 0 };
        let begins = |&&(number, length): &&(u16, u16)| {
            let begun = &self.anchors[usize::from(number)].bytes[..usize::from(length)];
            text.len() >= begun.len()
                && text[text.len() - begun.len()..].eq_ignore_ascii_case(begun)
        };
        let begun = &self.beginnings[usize::from(last.to_ascii_lowercase())];
        begun.iter().filter(begins).map(|begun| usize::from(begun.1)).max().unwrap_or(0)
    }
}

impl<J> Anchor<J> {
    #[inline]
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        let there = text.get(start..start + self.bytes.len());
        there.is_some_and(|there| there.eq_ignore_ascii_case(&self.bytes))
    }

    /// Whether what is around it, as far as it is there, is what it needs.
    #[inline]
    fn is_of_interest(&self, text: &[u8], start: usize) -> bool {
        let after = &text[start + self.bytes.len()..];
        let before = start.checked_sub(1).map(|at| &text[at]);
        before.is_none_or(|b| self.before.is_empty() || self.before.contains(b))
            && self.after.iter().zip(after).all(|(set, b)| set.contains(b))
    }
}

impl AnchorCursor {
    /// There is nothing to be looked for up to here.
    pub(super) fn skip_to(&mut self, at: usize) {
        (self.frontier, self.seen) = (at, at);
    }

    /// The first byte that is still needed.
    pub(super) fn needs(&self) -> usize {
        self.frontier
    }

    /// The first `by` bytes of the buffer are gone.
    pub(super) fn shift(&mut self, by: usize) {
        self.frontier = self.frontier.saturating_sub(by);
        self.seen -= by;
    }
}

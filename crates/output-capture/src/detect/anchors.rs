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
use std::sync::OnceLock;

/// A short text at which a detector has to look closer.
#[derive(Clone, Debug)]
pub(super) struct Anchor<J> {
    /// In lower case where the case does not matter.
    pub(super) bytes: Vec<u8>,
    /// Whether upper and lower case are the same.
    pub(super) fold: bool,
    /// What to do at its end.
    pub(super) judge: J,
    /// Whether it is held back while it is incomplete.
    pub(super) holds: bool,
    /// Only of interest with bytes of these sets before it, one a byte, as far as there are any. A hint.
    pub(super) before: &'static [&'static [u8]],
    /// Only of interest with bytes of these sets after it, one a byte. A hint.
    pub(super) after: &'static [&'static [u8]],
    /// Only of interest with this many bytes of this set after it. A hint that the filter does not use: it spares the
    /// judge the anchors that somebody prints by the million.
    pub(super) then: Option<(&'static [bool; 256], usize)>,
}

/// A set of anchors, ready to be looked for.
#[derive(Debug)]
pub(super) struct Anchors<J> {
    anchors: Vec<Anchor<J>>,
    /// The same, for comparing.
    shapes: Vec<Shape>,
    filter: Prefilter,
    /// A faster one, which takes as long to make as a whole small run: made for the first long stream.
    bulk: OnceLock<Prefilter>,
    longest: usize,
    /// Most bytes before an anchor that a filter looks at.
    before: usize,
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
    /// Bytes of the stream, as far as they matter.
    total: usize,
}

/// Bytes of a stream after which the faster filter is worth its making.
const BULK: usize = 1 << 20;
/// Anchors that are shorter than this, with what must be after them, are known to the filter by the bytes before them
/// as well: the shortest says how far it may jump.
const SHORT: usize = 5;
const SHORT_IN_BULK: usize = 6;

/// An anchor ends here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<J> {
    pub(super) end: usize,
    pub(super) judge: J,
}

impl<J: Copy> Anchors<J> {
    /// `None` when there are none.
    pub(super) fn new(anchors: Vec<Anchor<J>>) -> Option<Self> {
        let filter = filter(&anchors, SHORT)?;
        let mut by_end = vec![Vec::new(); 256];
        let mut beginnings = vec![Vec::new(); 256];
        for (number, anchor) in (0..).zip(&anchors) {
            let last = anchor.bytes.last().expect("because no anchor is empty");
            by_end[usize::from(last.to_ascii_lowercase())].push(number);
            let incomplete = if anchor.holds { anchor.bytes.len() - 1 } else { 0 };
            for (length, byte) in (1..).zip(&anchor.bytes[..incomplete]) {
                beginnings[usize::from(byte.to_ascii_lowercase())].push((number, length));
            }
        }
        let longest = anchors.iter().map(|anchor| anchor.bytes.len()).max()?;
        let before = anchors.iter().map(|anchor| anchor.before.len()).max()?;
        let shapes = anchors.iter().map(Shape::of).collect();
        let bulk = OnceLock::new();
        Some(Self { anchors, shapes, filter, bulk, longest, before, by_end, beginnings })
    }

    fn filter(&self, cursor: &AnchorCursor) -> &Prefilter {
        if cursor.total < BULK {
            return &self.filter;
        }
        let make = || filter(&self.anchors, SHORT_IN_BULK);
        self.bulk.get_or_init(|| make().expect("because there is one for the same anchors"))
    }

    /// Searches the part of `text` that is new since the last call.
    pub(super) fn scan(&self, cursor: &mut AnchorCursor, text: &[u8], found: &mut Vec<Found<J>>) {
        cursor.total = cursor.total.saturating_add(text.len() - cursor.seen);
        let filter = self.filter(cursor);
        let tail = text.len().saturating_sub(filter.blind().max(self.longest));
        if tail > cursor.frontier {
            self.skim(filter, cursor, text, tail, found);
            cursor.frontier = tail;
        }
        for end in cursor.seen.max(cursor.frontier) + 1..=text.len() {
            for &number in &self.by_end[usize::from(text[end - 1].to_ascii_lowercase())] {
                let anchor = &self.anchors[usize::from(number)];
                let start = end.checked_sub(anchor.bytes.len());
                if start.is_some_and(|start| start >= cursor.frontier && anchor.is_at(text, start))
                {
                    found.push(Found { end, judge: anchor.judge });
                }
            }
        }
        cursor.seen = text.len();
    }

    /// Finds the anchors that begin in the text between the frontier and `tail`.
    fn skim(
        &self,
        filter: &Prefilter,
        cursor: &AnchorCursor,
        text: &[u8],
        tail: usize,
        found: &mut Vec<Found<J>>,
    ) {
        let mut look = |number: usize, start: usize| {
            let shape = &self.shapes[number];
            let end = start.wrapping_add(shape.length);
            let new = start >= cursor.frontier && start < tail && end > cursor.seen;
            if new && shape.is_at(text, start) && shape.is_of_interest(text, start) {
                found.push(Found { end, judge: self.anchors[number].judge });
            }
        };
        if cursor.frontier == 0 {
            // The beginning of the stream: the filter wants bytes before that are not there.
            let all = 0..self.anchors.len();
            all.for_each(|number| (0..self.before).for_each(|start| look(number, start)));
        }
        filter.each(text, cursor.frontier.saturating_sub(self.before), |hit| {
            for candidate in filter.candidates(hit) {
                let start = hit.at.wrapping_add_signed(-isize::from(candidate.offset));
                look(usize::from(candidate.needle), start);
            }
        });
    }

    /// How many of the last bytes may be the beginning of an anchor that is held back.
    pub(super) fn hold(&self, text: &[u8]) -> usize {
        let Some(last) = text.last() else { return 0 };
        let begins = |&&(number, length): &&(u16, u16)| {
            let anchor = &self.anchors[usize::from(number)];
            let there = text.len().checked_sub(usize::from(length)).map(|start| &text[start..]);
            there.is_some_and(|there| anchor.equals(there, usize::from(length)))
        };
        let begun = &self.beginnings[usize::from(last.to_ascii_lowercase())];
        begun.iter().filter(begins).map(|begun| usize::from(begun.1)).max().unwrap_or(0)
    }
}

/// A filter that makes anchors shorter than `short` longer by what is before them.
fn filter<J>(anchors: &[Anchor<J>], short: usize) -> Option<Prefilter> {
    let needles = anchors.iter().map(|Anchor { bytes, before, after, .. }| {
        let lacks = short.saturating_sub(bytes.len() + after.len());
        Needle { bytes, before: &before[before.len().saturating_sub(lacks)..], after }
    });
    Prefilter::with_candidates(&Vec::from_iter(needles), true)
}

impl<J> Anchor<J> {
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        let there = text.get(start..start + self.bytes.len());
        there.is_some_and(|there| self.equals(there, self.bytes.len()))
    }

    /// Whether `text` is the first `length` bytes.
    fn equals(&self, text: &[u8], length: usize) -> bool {
        let own = &self.bytes[..length];
        if self.fold { text.eq_ignore_ascii_case(own) } else { text == own }
    }
}

/// An anchor as it is compared with a text in which it may be everywhere: eight bytes at a time, and sets as tables.
#[derive(Debug)]
struct Shape {
    length: usize,
    /// Its first and its last eight bytes, where they are; they may overlap, and be one.
    words: [(usize, Word); 2],
    /// What is between those.
    between: Vec<u8>,
    /// The nearest first.
    before: Vec<[bool; 256]>,
    after: Vec<[bool; 256]>,
    then: Option<(&'static [bool; 256], usize)>,
}

/// Up to eight bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    bytes: u64,
    mask: u64,
    /// The bit of the case, where the byte is a letter and the case does not matter.
    fold: u64,
}

impl Shape {
    fn of<J>(anchor: &Anchor<J>) -> Self {
        let (bytes, length) = (&anchor.bytes, anchor.bytes.len());
        let last = length.saturating_sub(8);
        let word = |at: usize| (at, Word::of(&bytes[at..length.min(at + 8)], anchor.fold));
        let set = |set: &[u8]| {
            let mut table = [false; 256];
            set.iter().for_each(|&byte| table[usize::from(byte)] = true);
            table
        };
        Self {
            length,
            words: [word(0), word(last)],
            between: bytes.get(8..last).unwrap_or_default().to_vec(),
            before: anchor.before.iter().rev().map(|bytes| set(bytes)).collect(),
            after: anchor.after.iter().map(|bytes| set(bytes)).collect(),
            then: anchor.then,
        }
    }

    /// Whether it is at `start`, which is more than eight bytes and its own length from the end of `text`.
    #[inline]
    fn is_at(&self, text: &[u8], start: usize) -> bool {
        let is_at = |&(at, word): &(usize, Word)| {
            let there = text.get(start + at..).and_then(|text| text.first_chunk());
            there.is_some_and(|there| word.is(u64::from_le_bytes(*there)))
        };
        let between = || text[start + 8..].get(..self.between.len());
        is_at(&self.words[0])
            && (self.length <= 8 || is_at(&self.words[1]))
            && (self.between.is_empty()
                || between().is_some_and(|there| there.eq_ignore_ascii_case(&self.between)))
    }

    /// Whether what is around it, as far as it is there, is what it needs.
    #[inline]
    fn is_of_interest(&self, text: &[u8], start: usize) -> bool {
        let before = text[..start].iter().rev().zip(&self.before);
        if !before.into_iter().all(|(b, set)| set[usize::from(*b)]) {
            return false;
        }
        let after = &text[start + self.length..];
        if let Some((set, count)) = self.then {
            return after.iter().take(count).all(|b| set[usize::from(*b)]);
        }
        after.iter().zip(&self.after).all(|(b, set)| set[usize::from(*b)])
    }
}

impl Word {
    fn of(bytes: &[u8], fold: bool) -> Self {
        let mut word = Self::default();
        for (place, byte) in bytes.iter().enumerate() {
            let case: u8 = if fold && byte.is_ascii_alphabetic() { 0x20 } else { 0 };
            word.bytes |= u64::from(byte | case) << (8 * place);
            word.mask |= 0xff << (8 * place);
            word.fold |= u64::from(case) << (8 * place);
        }
        word
    }

    #[inline]
    fn is(self, there: u64) -> bool {
        (there | self.fold) & self.mask == self.bytes
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

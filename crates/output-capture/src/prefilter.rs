//! Skips text in which no needle can begin.
//!
//! Every occurrence of a needle contains a run of `stride` short pieces (grams) one after another, so looking at one
//! gram in `stride` bytes finds it: the looks do not depend on each other, which is what makes this fast. A table says
//! which grams occur in that run of some needle, by a hash; a second look at the same cell tells most of those apart
//! that are there by chance. A hit is a maybe; the automaton decides. The trap: eight bytes are read at a time, so the
//! last few of a buffer are beyond it, see [`Prefilter::blind`].

use crate::automaton::Needle;
use std::ops::ControlFlow;

/// Shortest needle that can be filtered for, in bytes.
const MIN_NEEDLE: usize = 2;
const MAX_STRIDE: usize = 8;
/// How far into a needle the grams may be taken from.
const MAX_OFFSET: usize = 24;
/// Bytes that are looked at together: the places of four looks at the largest stride, of eight at a small one.
const WINDOW: usize = 3 * MAX_STRIDE + 8;
/// A large odd number, so that the upper bits of the product depend on all of the gram.
const HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// Says where in a text a needle may be.
#[derive(Debug)]
pub(crate) struct Prefilter {
    table: Table,
    /// Which of the eight bytes that are read belong to a gram.
    gram_mask: u64,
    /// 0x20 in each byte when case is folded: wrong for some punctuation, but the same way for needle and text.
    fold: u64,
    gram: usize,
    stride: usize,
    back: usize,
    candidates: Candidates,
}

/// A needle that a hit may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// The upper half of the hash of the gram.
    hash: u32,
    /// Its number in the list of needles.
    pub(crate) needle: u16,
    /// How far after the beginning of the needle the hit is; before it, where it is known by the byte before.
    pub(crate) offset: i16,
}

/// What the grams were made of, for those who want to know which needle a hit may be.
#[derive(Debug, Default)]
struct Candidates {
    /// In the order of their hashes.
    list: Vec<Candidate>,
    /// For each beginning of a hash, 1 more than the place of its first candidate, or 0.
    heads: Vec<u32>,
}

/// How many bits of a hash choose a head.
const HEAD_BITS: u32 = 12;

/// A place at which a gram of a needle stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) at: usize,
    hash: u64,
}

/// For each hash of a gram a byte: a bit for each further hash that occurs. Sized so that few cells are in use.
#[derive(Debug)]
enum Table {
    Small(Box<[u8; 1 << 15]>),
    Medium(Box<[u8; 1 << 17]>),
    Large(Box<[u8; 1 << 19]>),
    Huge(Box<[u8; 1 << 22]>),
}

impl Table {
    fn for_grams(count: usize) -> Self {
        match count {
            0..=700 => Table::Small(boxed()),
            701..=4000 => Table::Medium(boxed()),
            4001..=20_000 => Table::Large(boxed()),
            _ => Table::Huge(boxed()),
        }
    }

    /// The cells, and how many bits of a hash find one.
    fn cells(&mut self) -> (&mut [u8], u32) {
        match self {
            Table::Small(cells) => (cells.as_mut_slice(), 15),
            Table::Medium(cells) => (cells.as_mut_slice(), 17),
            Table::Large(cells) => (cells.as_mut_slice(), 19),
            Table::Huge(cells) => (cells.as_mut_slice(), 22),
        }
    }
}

fn boxed<const SIZE: usize>() -> Box<[u8; SIZE]> {
    vec![0; SIZE].into_boxed_slice().try_into().expect("because it has this size")
}

impl Prefilter {
    /// A filter for `needles`; `None` when one of them is too short.
    pub(crate) fn new(needles: &[Needle<'_>], fold: bool) -> Option<Self> {
        let patterns: Vec<_> = needles.iter().map(|needle| Pattern { needle, fold }).collect();
        let shortest = patterns.iter().map(Pattern::len).min()?;
        let gram = match shortest {
            0..MIN_NEEDLE => return None,
            2 => 2,
            3..=4 => 3,
            5..=8 => 4,
            9..=10 => 5,
            _ => 6,
        };
        let stride = (shortest - gram + 1).min(MAX_STRIDE);
        let mut filter = Self {
            table: Table::for_grams(0),
            gram_mask: u64::MAX >> (64 - gram * 8),
            fold: if fold { 0x2020_2020_2020_2020 } else { 0 },
            gram,
            stride,
            back: 0,
            candidates: Candidates::default(),
        };
        let mut hashes = Vec::new();
        patterns.iter().for_each(|one| filter.each_hash(one, |hash, _| hashes.push(hash)));
        filter.table = Table::for_grams(hashes.len());
        let (cells, bits) = filter.table.cells();
        for hash in hashes {
            cells[(hash >> (64 - bits)) as usize] |= second(hash);
        }
        Some(filter)
    }

    /// As [`Prefilter::new`], and knows for each hit which needles it may belong to.
    pub(crate) fn with_candidates(needles: &[Needle<'_>], fold: bool) -> Option<Self> {
        let mut filter = Self::new(needles, fold)?;
        let mut list = Vec::new();
        for (number, needle) in (0..).zip(needles) {
            let pattern = Pattern { needle, fold };
            filter.each_hash(&pattern, |hash, at| {
                let offset = at as i16 - pattern.before() as i16;
                list.push(Candidate { hash: (hash >> 32) as u32, needle: number, offset });
            });
        }
        list.sort_unstable();
        list.dedup();
        let mut heads = vec![0; 1 << HEAD_BITS];
        for (place, candidate) in list.iter().enumerate().rev() {
            heads[(candidate.hash >> (32 - HEAD_BITS)) as usize] = place as u32 + 1;
        }
        filter.candidates = Candidates { list, heads };
        Some(filter)
    }

    /// The needles that a hit may belong to.
    #[inline]
    pub(crate) fn candidates(&self, hit: Hit) -> impl Iterator<Item = Candidate> {
        let hash = (hit.hash >> 32) as u32;
        let first = self.candidates.heads[(hash >> (32 - HEAD_BITS)) as usize];
        let list = self.candidates.list.get((first as usize).wrapping_sub(1)..);
        let upto = list.unwrap_or_default().iter().take_while(move |one| one.hash <= hash);
        upto.copied().filter(move |one| one.hash == hash)
    }

    /// The hashes of the grams in the best window of `pattern`, with their places in it.
    fn each_hash(&mut self, pattern: &Pattern<'_>, mut each: impl FnMut(u64, usize)) {
        let offset = pattern.best_window(self.gram + self.stride - 1);
        self.back = self.back.max((offset + self.stride - 1).saturating_sub(pattern.before()));
        for at in offset..offset + self.stride {
            self.each_gram(pattern, at, 0, 0, &mut |hash| each(hash, at));
        }
    }

    /// The hashes of all grams at `at` that begin with the `done` bytes of `word`.
    fn each_gram(
        &self,
        pattern: &Pattern<'_>,
        at: usize,
        word: u64,
        done: usize,
        each: &mut impl FnMut(u64),
    ) {
        if done == self.gram {
            return each(self.hash(word));
        }
        for &byte in pattern.bytes(at + done) {
            self.each_gram(pattern, at, word | (u64::from(byte) << (8 * done)), done + 1, each);
        }
    }

    /// How far before a hit a needle may begin.
    pub(crate) fn back(&self) -> usize {
        self.back
    }

    /// Length of a gram: a state of the automaton that is less deep may be left for the filter.
    pub(crate) fn gram_len(&self) -> usize {
        self.gram
    }

    /// How many of the last positions of a buffer may begin a needle that the filter does not see.
    pub(crate) fn blind(&self) -> usize {
        self.back + 8
    }

    /// The first hit among `text[from]`, `text[from + stride]`, …
    pub(crate) fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        self.visit(text, from, |hit| ControlFlow::Break(hit.at)).break_value()
    }

    /// Every hit among `text[from]`, `text[from + stride]`, …: where a text may be full of them, that is cheaper than
    /// beginning anew after each.
    pub(crate) fn each(&self, text: &[u8], from: usize, mut each: impl FnMut(Hit)) {
        let _ = self.visit(text, from, |hit| {
            each(hit);
            ControlFlow::<()>::Continue(())
        });
    }

    #[inline]
    fn visit<B>(
        &self,
        text: &[u8],
        from: usize,
        each: impl FnMut(Hit) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match &self.table {
            Table::Small(cells) => self.visit_in::<{ 1 << 15 }, B>(cells, text, from, each),
            Table::Medium(cells) => self.visit_in::<{ 1 << 17 }, B>(cells, text, from, each),
            Table::Large(cells) => self.visit_in::<{ 1 << 19 }, B>(cells, text, from, each),
            Table::Huge(cells) => self.visit_in::<{ 1 << 22 }, B>(cells, text, from, each),
        }
    }

    fn visit_in<const SIZE: usize, B>(
        &self,
        cells: &[u8; SIZE],
        text: &[u8],
        from: usize,
        each: impl FnMut(Hit) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match self.stride {
            1 => self.visit_by::<SIZE, 1, 8, B>(cells, text, from, each),
            2 => self.visit_by::<SIZE, 2, 8, B>(cells, text, from, each),
            3 => self.visit_by::<SIZE, 3, 8, B>(cells, text, from, each),
            4 => self.visit_by::<SIZE, 4, 4, B>(cells, text, from, each),
            5 => self.visit_by::<SIZE, 5, 4, B>(cells, text, from, each),
            6 => self.visit_by::<SIZE, 6, 4, B>(cells, text, from, each),
            7 => self.visit_by::<SIZE, 7, 4, B>(cells, text, from, each),
            _ => self.visit_by::<SIZE, MAX_STRIDE, 4, B>(cells, text, from, each),
        }
    }

    /// The search for one size of table and one stride, `LOOKS` looks at a time; the sizes are constants so that
    /// neither text nor table needs a check in the loop.
    #[inline]
    fn visit_by<const SIZE: usize, const STRIDE: usize, const LOOKS: usize, B>(
        &self,
        cells: &[u8; SIZE],
        text: &[u8],
        from: usize,
        mut each: impl FnMut(Hit) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut at = from;
        let is_hit = |hash: u64| cells[cell::<SIZE>(hash)] & second(hash) != 0;
        loop {
            while let Some(window) = text.get(at..).and_then(|text| text.first_chunk::<WINDOW>()) {
                let hash = |look: usize| self.hash_at::<STRIDE>(&window[look * STRIDE..]);
                let mut any = 0;
                for look in 0..LOOKS {
                    any |= cells[cell::<SIZE>(hash(look))];
                }
                if any != 0 && LOOKS <= 4 {
                    break;
                }
                if any != 0 {
                    // All looks again and then the hits: a branch for each of many would be guessed wrong too often.
                    let mut hits = 0u32;
                    for look in 0..LOOKS {
                        hits |= u32::from(is_hit(hash(look))) << look;
                    }
                    while hits != 0 {
                        let look = hits.trailing_zeros() as usize;
                        hits &= hits - 1;
                        each(Hit { at: at + look * STRIDE, hash: hash(look) })?;
                    }
                }
                at += LOOKS * STRIDE;
            }
            for _ in 0..LOOKS {
                let Some(eight) = text.get(at..at + 8) else { return ControlFlow::Continue(()) };
                let hash = self.hash_at::<STRIDE>(eight);
                if is_hit(hash) {
                    each(Hit { at, hash })?;
                }
                at += STRIDE;
            }
        }
    }

    /// The hash of the gram that `bytes` begins with. These strides go with grams of four bytes (see
    /// [`Prefilter::new`]), which can be read as what they are.
    #[inline(always)]
    fn hash_at<const STRIDE: usize>(&self, bytes: &[u8]) -> u64 {
        if STRIDE == 3 || STRIDE == 4 {
            let four = bytes.first_chunk().expect("because callers give eight bytes or more");
            return u64::from(u32::from_le_bytes(*four) | self.fold as u32).wrapping_mul(HASH);
        }
        self.hash(word(bytes))
    }

    #[inline(always)]
    fn hash(&self, word: u64) -> u64 {
        ((word | self.fold) & self.gram_mask).wrapping_mul(HASH)
    }
}

/// The first eight bytes as a number, the first the lowest.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("because callers give eight bytes or more"))
}

/// The cell of a hash: its upper bits.
#[inline(always)]
fn cell<const SIZE: usize>(hash: u64) -> usize {
    (hash >> (64 - SIZE.trailing_zeros())) as usize
}

/// The bit of a hash in its cell, from bits that do not choose the cell.
#[inline(always)]
fn second(hash: u64) -> u8 {
    1 << ((hash >> 36) & 7)
}

/// A needle with what must stand around it.
struct Pattern<'a> {
    needle: &'a Needle<'a>,
    fold: bool,
}

impl Pattern<'_> {
    fn len(&self) -> usize {
        self.before() + self.needle.bytes.len() + self.needle.after.len()
    }

    /// How many bytes before the needle belong to it.
    fn before(&self) -> usize {
        self.needle.before.len()
    }

    /// The bytes that may stand at `at`.
    fn bytes(&self, at: usize) -> &[u8] {
        let Needle { bytes, before, after, .. } = self.needle;
        match at.checked_sub(before.len()) {
            Some(at) => bytes.get(at..at + 1).unwrap_or_else(|| after[at - bytes.len()]),
            None => before[at],
        }
    }

    /// Where the part of `length` bytes is that ordinary text has least.
    fn best_window(&self, length: usize) -> usize {
        let most = (self.len() - length).min(MAX_OFFSET);
        (0..=most).min_by_key(|&at| self.commonness(at, length)).unwrap_or(0)
    }

    /// How likely the part of `length` bytes at `at` is to occur in ordinary text; repeated bytes count twice.
    fn commonness(&self, at: usize, length: usize) -> u32 {
        let worst =
            |at: usize| self.bytes(at).iter().map(|&b| frequency(b, self.fold)).max().unwrap_or(0);
        let repeated =
            (at + 1..at + length).filter(|&at| self.bytes(at) == self.bytes(at - 1)).count();
        (at..at + length).map(worst).sum::<u32>() + 4 * repeated as u32
    }
}

/// How frequent a byte is in logs and source code, on a logarithmic scale.
fn frequency(byte: u8, fold: bool) -> u32 {
    match byte {
        b'A'..=b'Z' if !fold => 5,
        b'A'..=b'Z' => frequency(byte.to_ascii_lowercase(), false),
        b' ' => 10,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 8,
        b'h' | b'd' | b'l' | b'u' | b'c' | b'm' | b'0'..=b'9' => 7,
        b'w' | b'f' | b'g' | b'y' | b'p' | b'b' | b'-' | b'=' | b'.' | b'/' | b':' | b'_'
        | b'"' | b',' => 6,
        b'v' | b'k' => 5,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_needle_at_every_offset() {
        for needle in [
            "ab",
            "abc",
            "abcd",
            "hunter2",
            "hunter2-prod",
            "-----BEGIN ",
            "a much longer secret than the others",
        ] {
            let bytes = needle.as_bytes();
            let filter = Prefilter::new(&[Needle::plain(bytes)], false).expect("long enough");
            for offset in 0..40 {
                let text = [&vec![b'#'; offset][..], bytes, &[b'#'; 40]].concat();
                let hit = filter.find(&text, 0).expect(needle);
                assert!(
                    hit <= offset + filter.back() && hit + 8 > offset,
                    "{needle} at {offset}: {hit}"
                );
            }
        }
    }

    #[test]
    fn too_short_needles_have_no_filter() {
        assert!(Prefilter::new(&[Needle::plain(b"a")], false).is_none());
        assert!(Prefilter::new(&[], false).is_none());
    }
}

//! Bytes in, redacted bytes out.
//!
//! A [`Redaction`] is compiled once and shared; a [`Redactor`] is one stream through it. Everything that looks for
//! secrets looks at the same raw bytes, and what is found is joined before a mask is written: a mask is never scanned,
//! and no order of the secrets matters. The trap: what has left cannot be called back, so each finder says which bytes
//! it is not sure of yet, and the stream waits for the most careful one.

use crate::automaton::Needle;
use crate::detect::{DetectState, Detection};
use crate::forms::{Form, Needles, add_needles};
use crate::hits::Hits;
use crate::live::LiveRedaction;
use crate::options::{RedactionOptions, RedactionWarning};
use crate::scanner::{Cursor, Scanner};
use crate::secret::Secret;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes that are looked at in one go; small enough for the nearest cache.
const BLOCK: usize = 32 * 1024;
/// Bytes before the first unsettled one that are kept for looking back.
const CONTEXT: usize = 256;
/// Needles shorter than this have a scanner of their own, since the filter is as good as the shortest allows.
const SHORT: usize = 8;

/// What is to be masked, compiled; clones share it.
#[derive(Clone)]
pub struct Redaction(Arc<Plan>);

struct Plan {
    options: RedactionOptions,
    /// What the scanners look for; kept for redactions that look for more.
    needles: Needles,
    /// Secrets that were given for it, for the numbers in warnings.
    given: usize,
    literals: Vec<Scanner>,
    detection: Arc<Detection>,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redaction(***)")
    }
}

impl Redaction {
    /// Compiles `secrets` and what `options` ask for; the warnings name the secrets that will not be masked.
    pub fn compile<S>(secrets: S, options: &RedactionOptions) -> (Self, Vec<RedactionWarning>)
    where
        S: IntoIterator,
        S::Item: std::borrow::Borrow<Secret>,
    {
        let secrets: Vec<S::Item> = secrets.into_iter().collect();
        let mut needles = Needles::new();
        let given = secrets.iter().map(std::borrow::Borrow::borrow);
        let warnings = add_needles(given, 1, options, &mut needles);
        let detection = Arc::new(Detection::new(options));
        (Self::of(needles, secrets.len(), options.clone(), detection), warnings)
    }

    fn of(
        needles: Needles,
        given: usize,
        options: RedactionOptions,
        detection: Arc<Detection>,
    ) -> Self {
        let literals = scanners(&needles, options.case_insensitive);
        Self(Arc::new(Plan { options, needles, given, literals, detection }))
    }

    /// The same with further secrets, and what of them will not be masked; the detectors are shared.
    pub(crate) fn with<'s>(
        &self,
        secrets: impl IntoIterator<Item = &'s Secret>,
    ) -> (Self, Vec<RedactionWarning>) {
        let (plan, mut count) = (&self.0, 0);
        let mut needles = plan.needles.clone();
        let counted = secrets.into_iter().inspect(|_| count += 1);
        let warnings = add_needles(counted, plan.given + 1, &plan.options, &mut needles);
        let (given, detection) = (plan.given + count, Arc::clone(&plan.detection));
        (Self::of(needles, given, plan.options.clone(), detection), warnings)
    }

    /// The same, and its mask stands for itself: a secret that is a part of it is not found in it.
    fn with_own_mask(self) -> Self {
        let plan = &self.0;
        let mask = &plan.options.mask;
        if self.masked(mask) == *mask {
            return self;
        }
        let mut needles = plan.needles.clone();
        needles.insert(Form::of(mask.clone()));
        Self::of(needles, plan.given, plan.options.clone(), Arc::clone(&plan.detection))
    }

    /// A redaction that masks nothing.
    pub fn none() -> Self {
        Self::compile(std::iter::empty::<Secret>(), &RedactionOptions::default()).0
    }

    /// A whole text, masked.
    pub fn masked(&self, text: &[u8]) -> Vec<u8> {
        let (mut stream, mut out) = (self.stream(), Vec::with_capacity(text.len()));
        stream.push(text, &mut out);
        stream.finish(&mut out);
        out
    }

    /// A new stream.
    pub fn stream(&self) -> Redactor {
        self.stream_of(None)
    }

    pub(crate) fn stream_of(&self, live: Option<Follow>) -> Redactor {
        Redactor {
            live,
            second: false,
            plan: Arc::clone(&self.0),
            buffer: Zeroizing::new(Vec::new()),
            filled: 0,
            done: 0,
            literals: vec![Cursor::default(); self.0.literals.len()],
            detect: self.0.detection.start(),
            hits: Hits::default(),
        }
    }
}

fn scanners(needles: &Needles, fold: bool) -> Vec<Scanner> {
    let of = |short: bool| {
        let group = needles.iter().filter(|needle| (needle.len() < SHORT) == short);
        let group: Vec<_> = group.map(|needle| Needle::plain(needle)).collect();
        Scanner::new(&group, fold)
    };
    [of(false), of(true)].into_iter().flatten().collect()
}

/// One stream through a [`Redaction`].
///
/// What comes out does not depend on how the input is cut into pieces. Bytes are held back only while they may be the
/// beginning of a secret.
pub struct Redactor {
    plan: Arc<Plan>,
    /// Where to look for secrets that are added while the stream is on.
    live: Option<Follow>,
    /// Whether what comes in has been redacted before, so that there are masks in it.
    second: bool,
    /// Context, bytes that wait, new bytes, and room for more.
    buffer: Zeroizing<Vec<u8>>,
    /// The bytes of the buffer that are no room.
    filled: usize,
    /// The bytes of the buffer that have been written or masked.
    done: usize,
    literals: Vec<Cursor>,
    detect: DetectState,
    hits: Hits,
}

/// A redaction that may change, and which state of it a stream has.
pub(crate) struct Follow {
    pub(crate) redaction: LiveRedaction,
    pub(crate) version: u64,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor(***, {} masked)", self.count())
    }
}

impl Redactor {
    /// For a new stream: what comes in has been redacted before, and masks in it stay as they are.
    pub(crate) fn of_redacted(mut self) -> Self {
        let redaction = Redaction(Arc::clone(&self.plan)).with_own_mask();
        let live = self.live.take();
        Self { second: true, ..redaction.stream_of(live) }
    }

    /// Takes the next bytes of the stream and appends to `out` what can leave.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.catch_up();
        if self.looks_for_nothing() {
            return out.extend_from_slice(input);
        }
        for block in input.chunks(BLOCK) {
            self.make_room(block.len());
            self.room()[..block.len()].copy_from_slice(block);
            let settled = self.scan(block.len(), false);
            self.write(settled, out);
        }
    }

    /// The stream is over: appends the rest to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.catch_up();
        let settled = self.scan(0, true);
        self.write(settled, out);
    }

    /// Sees to room for `size` bytes; what [`Redactor::take`] gave is gone.
    pub(crate) fn make_room(&mut self, size: usize) {
        self.compact();
        let need = self.filled + size;
        if need > self.buffer.len() {
            // No copy stays in memory that is given back.
            let mut larger = Zeroizing::new(vec![0; need + (need / 8).max(2 * CONTEXT)]);
            larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = larger;
        }
    }

    /// Where the next bytes may be put, to be [taken](Redactor::take).
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// As [`Redactor::push`] of `count` bytes that were put into the room. What can leave is not copied unless
    /// something in it is masked; then it is in `out`.
    pub(crate) fn take<'a>(&'a mut self, count: usize, out: &'a mut Vec<u8>) -> &'a [u8] {
        self.catch_up();
        if self.looks_for_nothing() {
            return &self.buffer[self.filled..self.filled + count];
        }
        let settled = self.scan(count, false);
        if self.hits.any_until(settled) {
            out.clear();
            self.write(settled, out);
            return out;
        }
        let done = self.done;
        self.done = done.max(settled);
        &self.buffer[done..self.done]
    }

    /// Masks written so far.
    pub fn count(&self) -> u64 {
        self.hits.count
    }

    /// The text that stands for a secret.
    pub fn mask(&self) -> &[u8] {
        &self.plan.options.mask
    }

    /// Bytes that wait because they may be the beginning of a secret.
    pub fn held(&self) -> usize {
        self.filled - self.done
    }

    fn looks_for_nothing(&self) -> bool {
        self.plan.literals.is_empty() && self.plan.detection.is_empty()
    }

    /// Takes over the secrets that were added since the last call.
    fn catch_up(&mut self) {
        let Some(follow) = &mut self.live else { return };
        if let Some(newer) = follow.redaction.newer_than(&mut follow.version) {
            self.switch(if self.second { newer.with_own_mask() } else { newer });
        }
    }

    /// Goes on with another set of literals. What the old one held, and what it masked of something that may still go
    /// on, is scanned again by the new one.
    fn switch(&mut self, redaction: Redaction) {
        let begun = self.first_begun();
        self.plan = redaction.0;
        self.literals = vec![Cursor::starting_at(begun); self.plan.literals.len()];
        for (scanner, cursor) in self.plan.literals.iter().zip(&mut self.literals) {
            let (hits, done) = (&mut self.hits, self.done);
            // A hit that begins before `done` begins in what is masked, and makes that mask longer.
            scanner.scan(cursor, &self.buffer[..self.filled], |found| {
                if found.end > done {
                    hits.add(found.start(), found.end);
                }
            });
        }
    }

    /// The first byte of the buffer that may belong to a literal that is not complete.
    fn first_begun(&self) -> usize {
        let pairs = self.plan.literals.iter().zip(&self.literals);
        let hold = pairs.map(|(scanner, cursor)| scanner.hold(cursor)).max().unwrap_or(0);
        self.done.min(self.filled.saturating_sub(hold))
    }

    /// Looks at `count` more bytes, which are in the room; gives the place before which nothing more will be masked.
    fn scan(&mut self, count: usize, end: bool) -> usize {
        let until = self.filled + count;
        loop {
            self.filled = until.min(self.filled + BLOCK);
            let last = self.filled == until;
            let settled = self.scan_block(end && last);
            if last {
                return if end { self.filled } else { settled };
            }
        }
    }

    fn scan_block(&mut self, end: bool) -> usize {
        let (buffer, hits) = (&self.buffer[..self.filled], &mut self.hits);
        let mut settled = buffer.len();
        for (scanner, cursor) in self.plan.literals.iter().zip(&mut self.literals) {
            scanner.scan(cursor, buffer, |found| hits.add(found.start(), found.end));
            // What has begun may have begun before the buffer, in a mask.
            settled = settled.min(buffer.len().saturating_sub(scanner.hold(cursor)));
        }
        settled.min(self.plan.detection.advance(&mut self.detect, buffer, end, hits))
    }

    fn write(&mut self, settled: usize, out: &mut Vec<u8>) {
        let mask = &self.plan.options.mask;
        self.done = self.hits.write(&self.buffer[..self.filled], self.done, settled, mask, out);
    }

    /// Drops what is settled, but for the context, once it is worth the move.
    fn compact(&mut self) {
        let needed = self.done.min(self.detect.needs()).saturating_sub(CONTEXT);
        // A stream whose secrets may change looks at what has begun again, even where that is masked already.
        let needed = if self.live.is_some() { needed.min(self.first_begun()) } else { needed };
        if needed < BLOCK / 2 {
            return;
        }
        self.buffer.copy_within(needed..self.filled, 0);
        self.filled -= needed;
        self.done -= needed;
        self.literals.iter_mut().for_each(|cursor| cursor.shift(needed));
        self.detect.shift(needed);
        self.hits.shift(needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detector;

    /// A text with a secret, the beginning of one, and a detector's value now and then.
    fn text(size: usize) -> Vec<u8> {
        let parts: [&[u8]; 4] =
            [b"a line of a log\n", b"key=hunter2-prod;", b"hunter2-pro", b" password=abc123def "];
        let part = |n: usize| parts[if n.is_multiple_of(97) { n / 97 % 4 } else { 0 }];
        (0..).flat_map(part).copied().take(size).collect()
    }

    #[test]
    fn what_is_read_into_the_room_comes_out_as_what_is_pushed() {
        let options =
            RedactionOptions { detectors: vec![Detector::Kv], ..RedactionOptions::default() };
        let secrets = [Secret::new("hunter2-prod")];
        // Nothing to look for, literals, literals and a detector.
        for (secrets, options) in [
            (&secrets[..0], RedactionOptions::default()),
            (&secrets[..], RedactionOptions::default()),
            (&secrets[..], options),
        ] {
            let redaction = Redaction::compile(secrets, &options).0;
            let (text, mut expect) = (text(3_000_000), Vec::new());
            let mut stream = redaction.stream();
            stream.push(&text, &mut expect);
            stream.finish(&mut expect);
            for size in [1000, 33_333, 300_000] {
                let (mut stream, mut seen, mut scratch) = (redaction.stream(), vec![], vec![]);
                for piece in text.chunks(size) {
                    stream.make_room(piece.len());
                    stream.room()[..piece.len()].copy_from_slice(piece);
                    seen.extend_from_slice(stream.take(piece.len(), &mut scratch));
                }
                stream.finish(&mut seen);
                assert!(seen == expect, "in pieces of {size}");
            }
        }
    }
}

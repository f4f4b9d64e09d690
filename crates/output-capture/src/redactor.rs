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
        let mut stream = self.stream();
        let mut out = Vec::new();
        stream.push(mask, &mut out);
        stream.finish(&mut out);
        if out == *mask {
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
    /// Context, bytes that wait, and new bytes.
    buffer: Zeroizing<Vec<u8>>,
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
        if self.plan.literals.is_empty() && self.plan.detection.is_empty() {
            return out.extend_from_slice(input);
        }
        for block in input.chunks(BLOCK) {
            self.append(block);
            self.advance(false, out);
        }
    }

    /// The stream is over: appends the rest to `out`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.catch_up();
        self.advance(true, out);
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
        self.buffer.len() - self.done
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
            scanner.scan(cursor, &self.buffer, |found| {
                if found.end > done {
                    hits.add(found.end - found.longest, found.end);
                }
            });
        }
    }

    /// The first byte of the buffer that may belong to a literal that is not complete.
    fn first_begun(&self) -> usize {
        let pairs = self.plan.literals.iter().zip(&self.literals);
        let hold = pairs.map(|(scanner, cursor)| scanner.hold(cursor)).max().unwrap_or(0);
        self.done.min(self.buffer.len() - hold)
    }

    fn advance(&mut self, end: bool, out: &mut Vec<u8>) {
        let plan = Arc::clone(&self.plan);
        let mut settled = self.buffer.len();
        for (scanner, cursor) in plan.literals.iter().zip(&mut self.literals) {
            let hits = &mut self.hits;
            scanner
                .scan(cursor, &self.buffer, |found| hits.add(found.end - found.longest, found.end));
            settled = settled.min(self.buffer.len() - scanner.hold(cursor));
        }
        settled = settled.min(plan.detection.advance(
            &mut self.detect,
            &self.buffer,
            end,
            &mut self.hits,
        ));
        if end {
            settled = self.buffer.len();
        }
        self.done = self.hits.write(&self.buffer, self.done, settled, &plan.options.mask, out);
        self.compact();
    }

    /// Adds to the buffer without leaving a copy of it in memory that is given back.
    fn append(&mut self, block: &[u8]) {
        let need = self.buffer.len() + block.len();
        if need > self.buffer.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(
                (need + CONTEXT).max(self.buffer.capacity() * 2),
            ));
            larger.extend_from_slice(&self.buffer);
            self.buffer = larger;
        }
        self.buffer.extend_from_slice(block);
    }

    /// Drops what is settled, but for the context, once it is worth the move.
    fn compact(&mut self) {
        let needed = self.done.min(self.detect.needs()).saturating_sub(CONTEXT);
        // A stream whose secrets may change looks at what has begun again, even where that is masked already.
        let needed = if self.live.is_some() { needed.min(self.first_begun()) } else { needed };
        if needed < BLOCK / 2 {
            return;
        }
        self.buffer.copy_within(needed.., 0);
        let left = self.buffer.len() - needed;
        self.buffer.truncate(left);
        self.done -= needed;
        self.literals.iter_mut().for_each(|cursor| cursor.shift(needed));
        self.detect.shift(needed);
        self.hits.shift(needed);
    }
}

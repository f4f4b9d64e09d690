//! What the tests of redaction share: a slow and obvious reference, and ways to cut a text.

use ringfence_output_capture::{Encoding, Multiline, Redaction, RedactionOptions, Secret};

/// Literal secrets as they are, and a short mask.
pub(crate) fn plain() -> RedactionOptions {
    RedactionOptions {
        mask: b"*".to_vec(),
        trim: false,
        multiline: Multiline::Exact,
        encodings: Vec::<Encoding>::new(),
        ..RedactionOptions::default()
    }
}

/// `text` with the secrets in it must come out as `expect`, however it is cut.
pub(crate) fn check(secrets: &[&str], text: &str, expect: &str) {
    let redaction = Redaction::compile(secrets.iter().map(|&s| Secret::new(s)), &plain()).0;
    check_with(&redaction, text, expect);
}

/// As [`check`], with a redaction of one's own.
pub(crate) fn check_with(redaction: &Redaction, text: &str, expect: &str) {
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(shown(run(redaction, &[text.as_bytes()])), expect, "in one piece: {text}");
    for size in [1, 2, 3, 5, 7] {
        let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
        assert_eq!(shown(run(redaction, &pieces)), expect, "in pieces of {size}: {text}");
    }
}

/// Runs the pieces through a new stream.
pub(crate) fn run(redaction: &Redaction, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = redaction.stream();
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    stream.finish(&mut out);
    out
}

/// Cuts `text` into pieces of the given sizes; the last takes the rest.
pub(crate) fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = text;
    let mut pieces = Vec::new();
    for &size in sizes {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Every occurrence of every secret, overlapping ones joined, each joined range one `*`.
pub(crate) fn reference(secrets: &[Vec<u8>], text: &[u8], fold: bool) -> Vec<u8> {
    mask_ranges(text, occurrences(secrets, text, fold))
}

/// Where the secrets are in `text`.
pub(crate) fn occurrences(secrets: &[Vec<u8>], text: &[u8], fold: bool) -> Vec<(usize, usize)> {
    let blank = |s: &&Vec<u8>| !s.trim_ascii().is_empty();
    let mut ranges = Vec::new();
    for secret in secrets.iter().filter(blank) {
        for (at, window) in text.windows(secret.len()).enumerate() {
            // Most windows differ in their first byte, and there are very many.
            let first = window[0] == secret[0] || fold;
            if first && (window == secret || (fold && window.eq_ignore_ascii_case(secret))) {
                ranges.push((at, at + secret.len()));
            }
        }
    }
    ranges
}

/// `text` with the ranges replaced.
pub(crate) fn mask_ranges(text: &[u8], ranges: Vec<(usize, usize)>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut done = 0;
    for (start, end) in join_ranges(ranges) {
        out.extend_from_slice(&text[done..start]);
        out.push(b'*');
        done = end;
    }
    out.extend_from_slice(&text[done..]);
    out
}

/// In order, and those that share a byte as one.
pub(crate) fn join_ranges(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    ranges.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// A small generator of numbers, the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    /// `count` bytes of `alphabet`.
    pub(crate) fn bytes(&mut self, count: usize, alphabet: &[u8]) -> Vec<u8> {
        (0..count).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

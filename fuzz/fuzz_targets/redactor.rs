//! Literal secrets against a search that sees everything at once: any secrets in some of their forms, any text, any
//! reads, any mask; some of the secrets may come while the stream is on.
//!
//! An input is a few bytes of options and cuts, then secrets and a text with `0xfe` between them. In the text a byte
//! from `0xf0` on stands for a secret or a part of it, so that the fuzzer need not guess them.
#![no_main]

use ringfence_fuzz::forms::{EXACT, forms};
use ringfence_fuzz::{Input, MAX_TEXT, fill};
use ringfence_output_capture::{
    LiveRedaction, Multiline, Redaction, RedactionOptions, Redactor, Secret,
};

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/output-capture/tests/streams/common.rs"]
mod common;

/// Most secrets of an input.
const MAX_SECRETS: usize = 6;
/// Longest secret, in bytes; some of these with all their forms are too many for a table.
const MAX_SECRET: usize = 600;

/// What is tried.
struct Case {
    options: RedactionOptions,
    secrets: Vec<Vec<u8>>,
    /// For each secret before which of the two moments it is added, if it is not there from the start.
    late: Vec<Option<usize>>,
    /// After so many pieces.
    moments: [usize; 2],
    text: Vec<u8>,
    cuts: Vec<usize>,
}

impl Case {
    fn read(data: &[u8]) -> Self {
        let mut input = Input(data);
        let mut options = RedactionOptions {
            case_insensitive: input.flag(),
            trim: input.flag(),
            multiline: [Multiline::Exact, Multiline::Crlf, Multiline::Lines][input.below(3)],
            min_length: input.below(10),
            ..common::plain()
        };
        let wanted = input.byte();
        let chosen = EXACT.into_iter().enumerate().filter(|(n, _)| wanted >> n & 1 == 1);
        options.encodings = chosen.map(|(_, encoding)| encoding).collect();
        let (mask, when, ways) = (input.byte(), input.byte(), input.byte());
        let (few_letters, all_forms) = (ways & 1 == 1, ways & 2 == 2);
        let first = usize::from(when & 15);
        let moments = [first, first + usize::from(when >> 4)];
        let (lateness, cuts) = (input.byte(), input.cuts());

        let letter = |b: u8| if few_letters { b"abcAB\n"[usize::from(b) % 6] } else { b };
        let mut parts: Vec<_> = input.rest().splitn(MAX_SECRETS + 1, |&b| b == 0xfe).collect();
        let text = parts.pop().unwrap_or_default();
        let mut secrets: Vec<Vec<u8>> = parts.into_iter().map(secret).collect();
        secrets.iter_mut().flatten().for_each(|b| *b = letter(*b));
        let late = (0..secrets.len())
            .map(|n| [None, Some(0), Some(1), None][usize::from(lateness >> (2 * n.min(3)) & 3)]);
        let late = late.collect();
        options.mask = match (mask % 6, secrets.first()) {
            (1, _) => Vec::new(),
            (2, _) => b"[REDACTED]".to_vec(),
            (3, Some(secret)) => secret.clone(),
            (4, Some(secret)) => secret[..secret.len() / 2].to_vec(),
            (5, _) => b"a".to_vec(),
            _ => b"*".to_vec(),
        };
        let mut text = expand(text, &secrets, &options, letter);
        if all_forms {
            let known = secrets.iter().flat_map(|secret| forms(secret, &options));
            text.splice(..0, known.flat_map(|form| [form, b"|".to_vec()].concat()));
            text.truncate(MAX_TEXT);
        }
        Self { options, secrets, late, moments, text, cuts }
    }
}

/// A secret as it is written in an input: long ones, and one with every byte, have a short form.
fn secret(written: &[u8]) -> Vec<u8> {
    let long = match written {
        [0xfd, times, of @ ..] => of.repeat(usize::from(*times)),
        [0xfc, rest @ ..] => (0..=255).chain(rest.iter().copied()).collect(),
        _ => written.to_vec(),
    };
    long[..long.len().min(MAX_SECRET)].to_vec()
}

fn expand(
    text: &[u8],
    secrets: &[Vec<u8>],
    options: &RedactionOptions,
    letter: impl Fn(u8) -> u8,
) -> Vec<u8> {
    let (mut out, mut input) = (Vec::new(), Input(text));
    while !input.0.is_empty() && out.len() < MAX_TEXT {
        let byte = input.byte();
        let mut form = |count: usize| {
            let secret = secrets.get(input.below(MAX_SECRETS as u8)).cloned().unwrap_or_default();
            let all = forms(&secret, options);
            let form = all.iter().nth(input.below(64) % all.len().max(1)).cloned();
            let form = form.unwrap_or(secret);
            form[..form.len().saturating_sub(count)].to_vec()
        };
        match byte {
            0xf0 | 0xf1 => out.extend(form(0)),
            0xf2 => out.extend(form(1)),
            0xf3 => out.extend(form(4)),
            0xfb => {
                let (root, byte) = (input.byte(), letter(input.byte()));
                fill(&mut out, root, byte);
            }
            _ => out.push(letter(byte)),
        }
    }
    out
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let case = Case::read(data);
    at_once(&case);
    added_later(&case);
});

/// All secrets are there from the start.
fn at_once(case: &Case) {
    let secrets = || case.secrets.iter().map(|secret| Secret::new(secret.clone()));
    let known: Vec<_> = case.secrets.iter().map(|secret| forms(secret, &case.options)).collect();
    let (redaction, warnings) = Redaction::compile(secrets(), &case.options);
    assert_eq!(warnings.len(), known.iter().filter(|forms| forms.is_empty()).count());
    let needles: Vec<Vec<u8>> = known.into_iter().flatten().collect();
    let view = View::new(&case.text, &needles, case);
    let expect = view.masked(view.ranges.clone());

    watch(redaction.stream(), &[&case.text], &view, &expect);
    watch(redaction.stream(), &common::cut(&case.text, &case.cuts), &view, &expect);
    if case.text.len() < 300 {
        watch(redaction.stream(), &case.text.chunks(1).collect::<Vec<_>>(), &view, &expect);
    }
    // Added before the first byte is the same as there from the start.
    let live = LiveRedaction::compile(std::iter::empty::<Secret>(), &case.options).0;
    let stream = live.stream();
    live.add_all(secrets());
    watch(stream, &common::cut(&case.text, &case.cuts), &view, &expect);
}

/// What is known of a text and its secrets.
struct View<'a> {
    text: &'a [u8],
    mask: &'a [u8],
    /// Text and needles as they are compared.
    folded: Vec<u8>,
    needles: Vec<Vec<u8>>,
    /// Every occurrence of every needle.
    ranges: Vec<(usize, usize)>,
}

impl<'a> View<'a> {
    fn new(text: &'a [u8], needles: &[Vec<u8>], case: &'a Case) -> Self {
        let fold = case.options.case_insensitive;
        let folded = |bytes: &[u8]| if fold { bytes.to_ascii_lowercase() } else { bytes.to_vec() };
        Self {
            ranges: common::occurrences(needles, text, fold),
            folded: folded(text),
            needles: needles.iter().map(|needle| folded(needle)).collect(),
            mask: &case.options.mask,
            text,
        }
    }

    fn masked(&self, ranges: Vec<(usize, usize)>) -> Vec<u8> {
        let (mut out, mut done) = (Vec::new(), 0);
        for (start, end) in common::join_ranges(ranges) {
            out.extend_from_slice(&self.text[done..start]);
            out.extend_from_slice(self.mask);
            done = end;
        }
        out.extend_from_slice(&self.text[done..]);
        out
    }

    /// How many of the first `end` bytes cannot be the beginning of a needle that is not complete.
    fn settled(&self, end: usize) -> usize {
        let text = &self.folded[..end];
        let begun = |needle: &Vec<u8>| {
            let ends = |n: &usize| text[end - 1] == needle[n - 1] && text.ends_with(&needle[..*n]);
            (1..=(needle.len() - 1).min(end)).rev().find(ends).unwrap_or(0)
        };
        end - self.needles.iter().map(begun).max().unwrap_or(0)
    }

    /// What of the output has to be there when the text before `settled` has left.
    fn least(&self, settled: usize) -> usize {
        let (mut bytes, mut done) = (0, 0);
        for (start, end) in common::join_ranges(self.ranges.clone()) {
            if start >= settled {
                break;
            }
            bytes += start - done + self.mask.len();
            done = end;
        }
        bytes + settled.saturating_sub(done)
    }
}

/// The pieces must come out as `expect`, each byte neither earlier nor later than it may.
fn watch(mut stream: Redactor, pieces: &[&[u8]], view: &View<'_>, expect: &[u8]) {
    let (mut out, mut end) = (Vec::new(), 0);
    for piece in pieces {
        stream.push(piece, &mut out);
        end += piece.len();
        let settled = view.settled(end);
        assert!(expect.starts_with(&out), "something left that may be a secret, at {end}");
        assert!(stream.held() <= end - settled, "{} bytes are held at {end}", stream.held());
        assert!(out.len() >= view.least(settled), "something is held without need, at {end}");
    }
    stream.finish(&mut out);
    assert!(out == expect, "{:?} and not {:?}", shown(&out), shown(expect));
    assert_eq!(stream.held(), 0);
    assert_eq!(stream.count(), common::join_ranges(view.ranges.clone()).len() as u64);
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Some of the secrets come while the stream is on.
fn added_later(case: &Case) {
    if case.late.iter().all(Option::is_none) {
        return;
    }
    let group = |when: Option<usize>| {
        let chosen = case.secrets.iter().zip(&case.late).filter(move |(_, late)| **late == when);
        chosen.map(|(secret, _)| secret)
    };
    let secrets = |when| group(when).map(|secret| Secret::new(secret.clone()));
    let live = LiveRedaction::compile(secrets(None), &case.options).0;
    let (mut stream, mut out, mut read) = (live.stream(), Vec::new(), 0);
    let pieces = common::cut(&case.text, &case.cuts);
    let mut groups = Vec::new();
    for place in 0..=pieces.len() {
        for moment in [0, 1] {
            if case.moments[moment].min(pieces.len()) == place {
                groups.push(Group {
                    ranges: ranges(case, group(Some(moment))),
                    left: read - stream.held(),
                });
                live.add_all(secrets(Some(moment)));
            }
        }
        if let Some(piece) = pieces.get(place) {
            stream.push(piece, &mut out);
            read += piece.len();
        }
    }
    stream.finish(&mut out);
    let view = View::new(&case.text, &[], case);
    let explained = explains(&view, ranges(case, group(None)), &groups, &out);
    assert!(explained, "{:?} is shown of {:?}", shown(&out), shown(&case.text));
}

fn ranges<'a>(case: &Case, secrets: impl Iterator<Item = &'a Vec<u8>>) -> Vec<(usize, usize)> {
    let needles: Vec<_> = secrets.flat_map(|secret| forms(secret, &case.options)).collect();
    common::occurrences(&needles, &case.text, case.options.case_insensitive)
}

/// Secrets that were added when `left` bytes of the text had left or were masked.
struct Group {
    ranges: Vec<(usize, usize)>,
    left: usize,
}

/// Whether `out` is what the text with these ranges masked looks like. A late secret that begins at or after `left` is
/// masked; one that begins before, where all is masked already, may make that mask longer or not.
fn explains(view: &View<'_>, ranges: Vec<(usize, usize)>, groups: &[Group], out: &[u8]) -> bool {
    let Some((group, rest)) = groups.split_first() else { return view.masked(ranges) == out };
    let joined = common::join_ranges(ranges.clone());
    let within = |at: usize| joined.iter().any(|range| range.0 <= at && at < range.1);
    let masked = |start: usize| (start..group.left).all(within);
    let known =
        group.ranges.iter().copied().filter(|range| range.1 > group.left && masked(range.0));
    let known: Vec<_> = known.collect();
    let mut firsts: Vec<_> = known.iter().map(|range| range.0.min(group.left)).collect();
    firsts.push(group.left);
    firsts.sort_unstable();
    firsts.dedup();
    firsts.into_iter().rev().any(|first| {
        let more = known.iter().copied().filter(|range| range.0 >= first);
        explains(view, ranges.iter().copied().chain(more).collect(), rest, out)
    })
}

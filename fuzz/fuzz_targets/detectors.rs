//! All detectors and patterns of one's own. The reads must not matter; what has a fixed shape is compared with
//! expressions that see the whole text; of what has none, nothing that is recognised may show: when it is changed, what
//! is shown stays the same.
//!
//! An input is a few bytes of options and cuts, then the text. In the text a byte from `0x80` on stands for a piece that
//! is worth trying.
#![no_main]

use regex_automata::meta::Regex;
use ringfence_fuzz::{Input, MAX_TEXT, fill};
use ringfence_output_capture::{CustomPattern, Detector, Redaction, RedactionOptions, Secret};
use std::sync::LazyLock;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/output-capture/tests/streams/common.rs"]
mod common;
#[path = "../../crates/output-capture/tests/streams/formats.rs"]
mod formats;
#[path = "../../crates/output-capture/tests/streams/pieces.rs"]
mod pieces;

/// Mask of a byte that the texts do not have.
const MASK: u8 = 0xff;
/// More than any detector may hold back: header, payload and a part of the signature of a web token.
const MAX_HELD: usize = 2048 + 1 + 8192 + 1 + 8;
/// Longest text that is read byte by byte and compared with expressions, which is slow.
const SHORT: usize = 3000;

fn redaction(detectors: &[Detector], patterns: &[&str], more: RedactionOptions) -> Redaction {
    let pattern = |pattern: &&str| CustomPattern::new("own", pattern).expect("sound");
    let patterns = patterns.iter().map(pattern).collect();
    let options = RedactionOptions { detectors: detectors.to_vec(), patterns, ..more };
    let secret = (!options.names.is_empty()).then(|| Secret::new("hunter2abc"));
    Redaction::compile(secret, &options).0
}

/// Everything at once.
static ALL: LazyLock<Redaction> = LazyLock::new(|| {
    let names = vec!["session_id".to_owned(), "pin".to_owned()];
    let more = RedactionOptions { mask: vec![MASK], names, ..common::plain() };
    redaction(&Detector::ALL, &["TCK-[0-9]{2,8}x?"], more)
});

/// What has a fixed shape.
static SHAPES: LazyLock<[(Vec<Detector>, Redaction); 2]> = LazyLock::new(|| {
    let all = formats::detectors();
    let without = all.iter().copied().filter(|detector| *detector != Detector::Aws).collect();
    [all, without].map(|detectors: Vec<_>| {
        let redaction = redaction(&detectors, &[], common::plain());
        (detectors, redaction)
    })
});

/// Names of keys of AWS, whose values have no shape of their own.
static AWS_NAMES: LazyLock<Regex> =
    LazyLock::new(|| formats::bytes_regex("(?i)secret[_-]?access[_-]?key|session_?token"));

const PATTERNS: &[&str] = &[
    "TCK-[0-9]+|ab|abcz",
    "a[^z]*z",
    "(?i)A+b?",
    r"\bab*\b",
    "(?m)^[ab]+$",
    "a.?c|b-+",
    "[0-9]{2,5}?z",
    "z$",
    r"(?s)a.{60,70}b",
];

static OWN: LazyLock<Vec<Redaction>> = LazyLock::new(|| {
    PATTERNS.iter().map(|pattern| redaction(&[], &[pattern], common::plain())).collect()
});

/// What must not show: the first group. A value has a digit, so it is no word, and of letters only the first six, so no
/// name is a part of it.
static HIDDEN: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let quoted = "([a-f]{1,5}[0-9][a-f0-9]{6,40})";
    let value = format!("{quoted}(?:[^a-z0-9_-]|$)");
    let long = "([a-f]{1,5}[0-9][a-f0-9]{20,40})(?:[^a-z0-9_-]|$)";
    let name = "(?:password|passwd|secret|token|api_key|session_id|sessionid)";
    let patterns = [
        format!("(?i){name}={value}"),
        format!("(?i){name}: {value}"),
        format!("(?i)\"{name}\": ?\"{quoted}\""),
        format!("(?i)\\\\\"{name}\\\\\": ?\\\\\"{quoted}\\\\\""),
        format!("(?i)<{name}>{quoted}</"),
        format!("(?i)authorization: (?:bearer|basic|token) {value}"),
        format!("(?i)bearer {long}"),
        format!("(?i)[a-z0-9]{{2}}://[a-z]{{1,8}}:{quoted}@[a-z]{{1,8}}[/ \n]"),
    ];
    patterns.iter().map(|pattern| formats::bytes_regex(pattern)).collect()
});

/// A byte of a dozen or so letters, then ever so many of it.
const FILL: u8 = 0xfe;

fn expand(written: &[u8]) -> Vec<u8> {
    let (mut text, mut input) = (Vec::new(), Input(written));
    while !input.0.is_empty() && text.len() < MAX_TEXT {
        match input.byte() {
            FILL => {
                let (root, byte) = (input.byte(), input.byte() & 0x7f);
                fill(&mut text, root, byte);
            }
            MASK => text.push(input.byte() & 0xfe),
            byte @ 0x80.. => {
                // From 0x80 on a byte stands for a piece.
                let piece = pieces::PIECES.get(usize::from(byte - 0x80)).copied().unwrap_or(" ");
                text.extend_from_slice(piece.as_bytes());
            }
            byte => text.push(byte),
        }
    }
    text
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (which, cuts) = (input.byte(), input.cuts());
    let text = expand(input.rest());
    let pieces = common::cut(&text, &cuts);

    let whole = same_however_it_is_cut(&ALL, &text, &pieces);
    in_order(&text, &whole);
    nothing_shows(&text, &whole);

    if text.len() < SHORT || which & 0xf0 == 0 {
        let (detectors, shapes) = &SHAPES[usize::from(AWS_NAMES.is_match(&text))];
        let expect = common::mask_ranges(&text, formats::shapes(&text, detectors));
        assert_same(&same_however_it_is_cut(shapes, &text, &pieces), &expect, "shapes");
    }
    if text.len() < SHORT {
        let which = usize::from(which) % PATTERNS.len();
        let expect = common::mask_ranges(&text, formats::own(&text, PATTERNS[which]));
        assert_same(&same_however_it_is_cut(&OWN[which], &text, &pieces), &expect, PATTERNS[which]);
    }
});

/// What is shown of the text.
fn same_however_it_is_cut(redaction: &Redaction, text: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let whole = common::run(redaction, &[text]);
    assert_same(&watched(redaction, pieces), &whole, "in pieces");
    let size = if text.len() < SHORT { 1 } else { 997 };
    assert_same(&watched(redaction, &text.chunks(size).collect::<Vec<_>>()), &whole, "by chunks");
    whole
}

/// As `common::run`, and looks at how much is held.
fn watched(redaction: &Redaction, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut stream, mut out) = (redaction.stream(), Vec::new());
    for piece in pieces {
        stream.push(piece, &mut out);
        assert!(stream.held() <= MAX_HELD, "{} bytes are held", stream.held());
    }
    stream.finish(&mut out);
    assert_eq!(stream.held(), 0);
    out
}

fn assert_same(shown: &[u8], expect: &[u8], how: &str) {
    let differ = shown.iter().zip(expect).take_while(|(a, b)| a == b).count();
    let near = |bytes: &[u8]| {
        let (from, to) = (differ.saturating_sub(60), bytes.len().min(differ + 60));
        bytes[from.min(to)..to].escape_ascii().to_string()
    };
    assert!(shown == expect, "{how}: {}\nand not: {}", near(shown), near(expect));
}

/// What is between masks is there in the text, in this order.
fn in_order(text: &[u8], whole: &[u8]) {
    let mut rest = text;
    for shown in whole.split(|&b| b == MASK).filter(|shown| !shown.is_empty()) {
        let at = rest.windows(shown.len()).position(|window| window == shown);
        rest = &rest[at.expect("nothing is made up") + shown.len()..];
    }
}

/// With another secret of the same kind in its place, the same is shown.
fn nothing_shows(text: &[u8], whole: &[u8]) {
    for regex in HIDDEN.iter() {
        let mut groups = regex.create_captures();
        regex.captures(text, &mut groups);
        let Some(value) = groups.get_group(1) else { continue };
        let mut other = text.to_vec();
        other[value.start..value.end].iter_mut().for_each(|b| *b = next(*b));
        assert_same(&common::run(&ALL, &[&other]), whole, "a secret shows");
    }
}

/// The next digit, or the next of the first six letters, as in a ring.
fn next(byte: u8) -> u8 {
    match byte {
        b'f' => b'a',
        b'F' => b'A',
        b'9' => b'0',
        _ => byte + 1,
    }
}

//! All detectors and a pattern: the reads must not matter, and what is not masked is
//! as it was, in order.
#![no_main]

use arbitrary::Arbitrary;
use ringfence_output_capture::{CustomPattern, Detector, Redaction, RedactionOptions, Secret};
use std::sync::LazyLock;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/output-capture/tests/streams/common.rs"]
mod common;

/// Mask of a byte that the texts do not have.
const MASK: u8 = 0xff;

static REDACTION: LazyLock<Redaction> = LazyLock::new(|| {
    let patterns = vec![CustomPattern::new("ticket", "TCK-[0-9]{2,8}x?").expect("sound")];
    let names = vec!["session_id".to_owned(), "pin".to_owned()];
    let (mask, detectors) = (vec![MASK], Detector::ALL.to_vec());
    let options = RedactionOptions { mask, detectors, patterns, names, ..common::plain() };
    Redaction::compile([Secret::new("hunter2abc")], &options).0
});

/// Texts are made of these and of single bytes.
const PIECES: &[&str] = &[
    "token", "password", "secret", "=", ": ", " = ", "\"", "'", "`", "\\\"", "$", "{", "}", "abc",
    "hunter2", "Bearer ", "Basic ", "\n", "\r", "eyJ", "eyJhbGci", ".", "://", "me:", "@", "/",
    "-----", "-----BEGIN ", "BEGIN ", "PRIVATE KEY", "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----", "ghp_", "a1B2c3D4e5F6g7H8i9J0", "AKIA", "IOSFODNN7EXAMPLE",
    "Authorization", "<", ">", "</", "sk-", "xoxb-", "string", "None", "(", ")", "****", "_",
    "aws_secret_access_key", "TCK-", "12345678", "session-id", "Digest ", "self.",
];

#[derive(Arbitrary, Debug)]
struct Input {
    parts: Vec<u8>,
    cuts: Vec<u8>,
}

libfuzzer_sys::fuzz_target!(|input: Input| {
    let mut text = Vec::new();
    for &part in &input.parts {
        match PIECES.get(usize::from(part)) {
            Some(piece) => text.extend_from_slice(piece.as_bytes()),
            None => text.push(part & 0x7f),
        }
    }
    let whole = common::run(&REDACTION, &[&text]);
    let cuts: Vec<_> = input.cuts.iter().map(|&cut| usize::from(cut)).collect();
    assert_eq!(common::run(&REDACTION, &common::cut(&text, &cuts)), whole);
    assert_eq!(common::run(&REDACTION, &text.chunks(1).collect::<Vec<_>>()), whole);

    // What is between masks is there in the text, in this order.
    let mut rest = text.as_slice();
    for shown in whole.split(|&b| b == MASK).filter(|shown| !shown.is_empty()) {
        let at = rest.windows(shown.len()).position(|window| window == shown);
        rest = &rest[at.expect("nothing is made up") + shown.len()..];
    }
});

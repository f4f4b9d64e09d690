//! Literal secrets against a search that sees everything at once: any secrets, any
//! text, any reads, either case; some of the secrets may come while the stream is on.
#![no_main]

use arbitrary::Arbitrary;
use ringfence_output_capture::{LiveRedaction, Redaction, RedactionOptions, Secret};

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/output-capture/tests/streams/common.rs"]
mod common;

#[derive(Arbitrary, Debug)]
struct Input {
    secrets: Vec<Vec<u8>>,
    text: Vec<u8>,
    cuts: Vec<u8>,
    fold: bool,
    few_letters: bool,
}

libfuzzer_sys::fuzz_target!(|input: Input| {
    // A small alphabet makes secrets that share bytes.
    let letter = |b: u8| if input.few_letters { b"abcAB"[usize::from(b) % 5] } else { b };
    let letters = |bytes: &[u8]| bytes.iter().map(|&b| letter(b)).collect::<Vec<_>>();
    let secrets: Vec<Vec<u8>> = input.secrets.iter().map(|secret| letters(secret)).collect();
    let text = letters(&input.text);
    let secrets: Vec<_> = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
    let options =
        RedactionOptions { min_length: 1, case_insensitive: input.fold, ..common::plain() };
    let all = || secrets.iter().map(|secret| Secret::new(secret.clone()));
    let expect = common::reference(&secrets, &text, input.fold);
    let redaction = Redaction::compile(all(), &options).0;
    let cuts: Vec<_> = input.cuts.iter().map(|&cut| usize::from(cut)).collect();
    assert_eq!(common::run(&redaction, &[&text]), expect);
    let pieces = common::cut(&text, &cuts);
    assert_eq!(common::run(&redaction, &pieces), expect);

    // Added before the first byte is the same as there from the start; and nothing panics when they come later.
    for late in [0, pieces.len() / 2] {
        let live = LiveRedaction::compile(std::iter::empty::<Secret>(), &options).0;
        let (mut stream, mut out) = (live.stream(), Vec::new());
        for (number, piece) in pieces.iter().enumerate() {
            if number == late {
                live.add_all(all());
            }
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        assert!(late > 0 || out == expect);
    }
});

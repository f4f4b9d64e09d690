//! Literal secrets: chosen cases, and any chunking against a reference that looks at everything at once.

use crate::common::{check, cut, plain, reference, run};
use proptest::prelude::*;
use ringfence_output_capture::{Redaction, RedactionOptions, Secret};

#[test]
fn one_secret() {
    check(&["s3cr3t-key"], "k=s3cr3t-key;", "k=*;");
    check(&["s3cr3t-key"], "s3cr3t-key s3cr3t-key", "* *");
    check(&["s3cr3t-key"], "s3cr3t-keys3cr3t-key", "**");
    check(&["s3cr3t-key"], "s3cr3t-ke", "s3cr3t-ke");
    check(&["s3cr3t-key"], "s3s3cr3t-key", "s3*");
    check(&["s3cr3t-key"], "", "");
}

#[test]
fn secrets_that_share_bytes() {
    check(&["abcd", "abcdefgh"], "abcdefgh abcdefg", "* *efg");
    check(&["bcde", "abcdefgh"], "abcdefgh", "*");
    check(&["abcdef", "defghi"], "abcdefghi abcdefgh", "* *gh");
    check(&["abab"], "ababab ababa", "* *a");
    check(&["aaaa"], "aaaaaaaaa", "*");
    check(&["abcXXXXX", "defghi"], "abcdefghi", "abc*");
    check(&["abcd", "efgh"], "abcdefgh", "**");
    check(&["abcd", "efgh", "cdef"], "abcdefgh", "*");
    check(&["aabXYZ12"], "aaabXYZ12", "a*");
}

#[test]
fn the_mask_is_never_looked_at() {
    check(&["REDACTED", "abcdef"], "abcdef REDACTED", "* *");
    check(&["****", "abcdef"], "***abcdef***", "*******");
    check(&["ab12cd34", "XX-XX"], "ab12XX-XXcd34", "ab12*cd34");
}

#[test]
fn bytes_are_bytes() {
    let all: Vec<u8> = (0..=255).collect();
    let redaction = Redaction::compile([Secret::new("zzzz")], &plain()).0;
    assert_eq!(run(&redaction, &[&all, &all]), [all.clone(), all].concat());
    let redaction = Redaction::compile([Secret::new(*b"a\x00b\xff")], &plain()).0;
    assert_eq!(run(&redaction, &[b"\xff a\x00", b"b\xff\x00"]), b"\xff *\x00");
}

#[test]
fn case_is_folded_for_ascii_only() {
    let options = RedactionOptions { case_insensitive: true, ..plain() };
    let redaction = Redaction::compile([Secret::new("Key[ß]")], &options).0;
    assert_eq!(
        run(&redaction, &["KEY[ß] key[ß] key{ß} Key[ẞ] \u{212a}ey[ß]".as_bytes()]),
        "* * key{ß} Key[ẞ] \u{212a}ey[ß]".as_bytes()
    );
}

#[test]
fn what_cannot_begin_a_secret_leaves_at_once() {
    let redaction = Redaction::compile([Secret::new("hunter2-prod")], &plain()).0;
    let mut stream = redaction.stream();
    let mut out = Vec::new();
    for (piece, left) in [
        ("Password: ", 10),
        ("h", 10),
        ("un", 10),
        ("g", 14),
        ("hunter2-prod", 15),
        ("h", 15),
        ("!", 17),
    ] {
        stream.push(piece.as_bytes(), &mut out);
        assert_eq!(
            (out.len(), stream.held() > 0),
            (left, piece == "h" || piece == "un"),
            "{piece}"
        );
    }
    stream.finish(&mut out);
    assert_eq!((out.as_slice(), stream.count()), (&b"Password: hung*h!"[..], 1));
}

#[test]
fn memory_is_that_of_the_longest_secret() {
    let secret = [&[b'a'; 2000][..], b"b"].concat();
    let redaction = Redaction::compile([Secret::new(secret)], &plain()).0;
    let mut stream = redaction.stream();
    let mut out = Vec::new();
    for _ in 0..200 {
        stream.push(&[b'a'; 8192], &mut out);
        assert!(stream.held() <= 2000);
        out.clear();
    }
}

fn letters() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"aabbcAB".to_vec()), 0..60)
}

fn secrets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(
        prop::collection::vec(prop::sample::select(b"aabbcA".to_vec()), 1..14),
        1..6,
    )
}

proptest! {
    #![proptest_config(crate::common::at_least(2000))]

    #[test]
    fn any_chunking_equals_the_reference(secrets in secrets(), text in prop::collection::vec(letters(), 1..4), fold: bool, cuts in prop::collection::vec(1usize..40, 0..8)) {
        let text = text.join(&b"...................................."[..]);
        let options = RedactionOptions { min_length: 1, case_insensitive: fold, ..plain() };
        let redaction = Redaction::compile(secrets.iter().map(|s| Secret::new(s.clone())), &options).0;
        let expect = reference(&secrets, &text, fold);
        prop_assert_eq!(&run(&redaction, &[&text]), &expect);
        prop_assert_eq!(&run(&redaction, &cut(&text, &cuts)), &expect);
        prop_assert_eq!(&run(&redaction, &cut(&text, &[1; 400])), &expect);
    }

    #[test]
    fn long_secrets_in_long_text(seed: u64, count in 1usize..40, length in 4usize..30, cuts in prop::collection::vec(1usize..5000, 0..8)) {
        let mut random = crate::common::Random(seed);
        let mut secret = || {
            let size = length + random.below(5);
            random.bytes(size, b"abcdef0123456789")
        };
        let secrets: Vec<_> = (0..count).map(|_| secret()).collect();
        let mut text = random.bytes(3000, b"abcdef0123456789     \n");
        for secret in &secrets {
            let (part, at) = (1 + random.below(secret.len()), random.below(text.len()));
            text.splice(at..at, secret[..part].iter().copied());
            let at = random.below(text.len());
            text.splice(at..at, secret.iter().copied());
        }
        let redaction = Redaction::compile(secrets.iter().map(|s| Secret::new(s.clone())), &plain()).0;
        let expect = reference(&secrets, &text, false);
        prop_assert_eq!(&run(&redaction, &[&text]), &expect);
        prop_assert_eq!(&run(&redaction, &cut(&text, &cuts)), &expect);
    }
}

//! Literal secrets: chosen cases, and any chunking against a reference that looks at everything at once.

use crate::common::{check, cut, plain, reference, run};
use proptest::prelude::*;
use ringfence_output_capture::{LiveRedaction, Redaction, RedactionOptions, Secret};

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

/// After much text, read up to each of these places after its beginning, a secret must come out whole.
fn check_long(secrets: &[usize], reads: &[usize]) {
    let all = crate::common::Random(7).bytes(5000, b"0123456789abcdef");
    let secrets: Vec<_> = secrets.iter().map(|&length| all[..length].to_vec()).collect();
    let text =
        [&[b'.'; 20_000][..], &all, b" and more, some of which is long enough to be looked at"]
            .concat();
    let mut pieces = Vec::new();
    let mut done = 0;
    for read in reads {
        pieces.push(&text[done..20_000 + read]);
        done = 20_000 + read;
    }
    pieces.push(&text[done..]);
    let redaction = Redaction::compile(secrets.iter().cloned().map(Secret::new), &plain()).0;
    let expect = show(&reference(&secrets, &text, false));
    assert_eq!(show(&run(&redaction, &pieces)), expect, "{reads:?}");
    let live = LiveRedaction::of(redaction);
    let (mut stream, mut out) = (live.stream(), Vec::new());
    pieces.iter().for_each(|piece| stream.push(piece, &mut out));
    stream.finish(&mut out);
    assert_eq!(show(&out), expect, "{reads:?}, live");
}

#[test]
fn a_secret_longer_than_what_is_kept_of_the_past_ends_with_a_read() {
    check_long(&[257], &[257]);
    check_long(&[300], &[300, 301]);
    check_long(&[5000], &[4999, 5000]);
    check_long(&[255, 256, 257, 258], &[255, 256, 257, 258]);
}

#[test]
fn a_secret_goes_on_after_a_mask_that_is_longer_than_what_is_kept_of_the_past() {
    check_long(&[300, 600], &[300, 500]);
    check_long(&[300, 600], &[300, 600]);
    check_long(&[300, 301], &[300, 301]);
    check_long(&[400, 2000, 5000], &[400, 1000, 2000, 4000]);
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
    #![proptest_config(crate::at_least(2000))]

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

proptest! {
    #![proptest_config(crate::at_least(3000))]

    /// What has left when the secrets are added stays; everything after it is as if they had been there always.
    #[test]
    fn secrets_added_while_a_stream_is_on(old in secrets(), new in secrets(), text in letters(), more in letters(), cuts in prop::collection::vec(1usize..9, 0..30), when in 0usize..12) {
        let text = [text, more].concat();
        let options = RedactionOptions { min_length: 1, ..plain() };
        let secret = |bytes: &Vec<u8>| Secret::new(bytes.clone());
        let (live, _) = LiveRedaction::compile(old.iter().map(secret), &options);
        let (mut stream, mut out) = (live.stream(), Vec::new());
        let pieces = cut(&text, &cuts);
        let (before, after) = pieces.split_at(when.min(pieces.len()));
        before.iter().for_each(|piece| stream.push(piece, &mut out));
        let left = before.concat().len() - stream.held();
        live.add_all(new.iter().map(secret));
        after.iter().for_each(|piece| stream.push(piece, &mut out));
        stream.finish(&mut out);

        // A new secret that begins where the stream masks already may or may not make that mask longer.
        let old_ranges = crate::common::occurrences(&old, &text, false);
        let masked = |at: usize| old_ranges.iter().any(|r| r.0 <= at && at < r.1);
        let from_on = |first: usize| {
            let new = crate::common::occurrences(&new, &text, false).into_iter();
            let counted = new.filter(|r| r.0 >= first && r.1 > left && (r.0 >= left || (r.0..left).all(masked)));
            show(&crate::common::mask_ranges(&text, [old_ranges.clone(), counted.collect()].concat()))
        };
        prop_assert!((0..=left).any(|first| from_on(first) == show(&out)), "{} for {}", show(&out), from_on(left));
        let snapshot = run(&live.snapshot(), &[&text]);
        let all = [old, new].concat();
        prop_assert_eq!(show(&snapshot), show(&reference(&all, &text, false)));
    }
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_added_secret_is_masked_from_the_next_byte_on() {
    let (live, warnings) =
        LiveRedaction::compile([Secret::new("hunter2-prod")], &RedactionOptions::default());
    assert_eq!(warnings, []);
    let (mut stream, mut out) = (live.stream(), Vec::new());
    stream.push(b"abc-token-1 hunt", &mut out);
    assert_eq!((out.as_slice(), stream.held()), (&b"abc-token-1 "[..], 4));
    assert_eq!(live.add(&Secret::new("hunting-token")), None);
    let too_short = live.add(&Secret::new("pin")).expect("three bytes are too few").to_string();
    assert_eq!(too_short, "secret number 3 is shorter than 4 bytes and is not masked");
    live.add(&Secret::new("abc-token-1"));
    stream.push(b"ing-token abc-token-1 aHVudGluZy10b2tlbg==", &mut out);
    stream.finish(&mut out);
    assert_eq!(show(&out), "abc-token-1 [REDACTED] [REDACTED] [REDACTED]");
    assert_eq!(format!("{live:?}"), "LiveRedaction(***)");
}

#[test]
fn a_stream_that_masked_nothing_learns_a_secret() {
    let (live, _) = LiveRedaction::compile(std::iter::empty::<Secret>(), &plain());
    let (mut stream, mut out) = (live.stream(), Vec::new());
    stream.push(b"hunter2-prod hunt", &mut out);
    live.add(&Secret::new("hunter2-prod"));
    stream.push(b"er2-prod hunter2-prod", &mut out);
    stream.finish(&mut out);
    assert_eq!(show(&out), "hunter2-prod hunter2-prod *");
}

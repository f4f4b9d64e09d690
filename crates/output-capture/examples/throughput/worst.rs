//! Texts that somebody made to be slow.

use crate::{literal, measure, usual};
use ringfence_output_capture::{RedactionOptions, Secret};

/// What an anchor of each detector looks like when there is nothing but it.
const FLOODS: &[&str] = &[
    "eyJ",
    "eyJhbGciOi.",
    "token=",
    "token=abc ",
    "\"token\" : ",
    "password: 'x",
    "password=hunter2 ",
    "authorization: basic abcdefgh\n",
    "bearer ",
    "://a:",
    "xy://a:b@",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "AKIA",
    " AKIAABCDEFGH",
    "ghp_",
    "ghp_abcdefgh-",
];

/// `only`: the floods that contain it, and nothing else.
pub(crate) fn measure_all(size: usize, only: Option<&str>) {
    println!(
        "made to be slow, MB/s of processor time (bytes in a mask's place are counted as read)"
    );
    if only.is_none() {
        literals(size);
    }
    for flood in FLOODS.iter().filter(|flood| only.is_none_or(|only| flood.contains(only))) {
        let what = format!("`{}` again and again, 7 detectors", flood.escape_debug());
        row(&what, flood.as_bytes(), &[], size, &usual());
    }
}

fn literals(size: usize) {
    let secret = |text: &str| vec![Secret::new(text)];
    let stem = |n: u8| Secret::new([&[b'a'; 30][..], &[b'a' + n, b'z']].concat());
    let long = vec![Secret::new([&[b'a'; 200][..], b"b"].concat())];
    let many = Vec::from_iter((0..26).map(stem));
    row("aaaa… against a…ab", b"a", &long, size, &literal());
    row("nearly the secret", b"hunter2-pro ", &secret("hunter2-prod"), size, &literal());
    row("26 secrets of one stem", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", &many, size, &literal());
    row("nothing but secrets", b"hunter2-prod", &secret("hunter2-prod"), size, &literal());
}

/// Measured at two sizes: what is not linear is slower at the larger.
fn row(what: &str, unit: &[u8], secrets: &[Secret], size: usize, options: &RedactionOptions) {
    let of = |size: usize| measure(&unit.repeat(size / unit.len()), secrets, options);
    let ((small, _), (large, masks)) = (of(size / 8), of(size));
    let linear = if large < small * 0.6 { "  SLOWER WHEN LONGER" } else { "" };
    println!("{large:>8.0}  {what} ({masks} masks){linear}");
}

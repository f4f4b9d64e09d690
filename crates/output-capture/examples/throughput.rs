//! How many megabytes a second the redactor takes, on one core.
//!
//! ```text
//! cargo run --release -p ringfence-output-capture --example throughput [MEGABYTES]
//! ```
//!
//! The text is made up: lines of a log with times, levels, paths, numbers and identifiers. Each line of the table is
//! the best of three runs over the whole text, fed in pieces of 64 KiB; what counts is the time of the processor, so that
//! other work on the machine does not.

#![expect(clippy::print_stdout, reason = "an example is a program that reports to a person")]

use nix::time::{ClockId, clock_gettime};
use ringfence_output_capture::{Detector, Encoding, Redaction, RedactionOptions, Secret};
use std::time::Duration;

fn main() {
    let megabytes = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(if cfg!(debug_assertions) { 1 } else { 200 });
    let text = log_text(megabytes * 1_000_000);
    if std::env::var_os("DUMP").is_some() { std::fs::write("/tmp/rf/H-log.txt", &text).ok(); return; }
    let literal = RedactionOptions { encodings: Vec::new(), ..RedactionOptions::default() };
    let derived =
        RedactionOptions { encodings: Encoding::ALL.to_vec(), ..RedactionOptions::default() };
    let seven = vec![
        Detector::Kv,
        Detector::AuthHeader,
        Detector::Aws,
        Detector::Github,
        Detector::Pem,
        Detector::Jwt,
        Detector::UrlUserinfo,
    ];
    let names =
        ["token", "password", "secret", "api_key", "authorization"].map(str::to_owned).to_vec();
    let usual = RedactionOptions { detectors: seven, names, ..derived.clone() };
    let every = RedactionOptions { detectors: Detector::ALL.to_vec(), ..usual.clone() };
    let folded = RedactionOptions { case_insensitive: true, ..literal.clone() };
    for count in [0, 5, 100, 1000] {
        measure(&format!("{count} secrets"), &text, &secrets(count), &literal);
        measure(&format!("{count} secrets, any case"), &text, &secrets(count), &folded);
        measure(&format!("{count} secrets, derived forms"), &text, &secrets(count), &derived);
        measure(
            &format!("{count} secrets, derived forms, 7 detectors"),
            &text,
            &secrets(count),
            &usual,
        );
    }
    measure("5 secrets, derived forms, all detectors", &text, &secrets(5), &every);
    worst_cases(megabytes * 1_000_000 / 4, &literal, &usual);
}

fn worst_cases(size: usize, literal: &RedactionOptions, usual: &RedactionOptions) {
    let long = [&[b'a'; 200][..], b"b"].concat();
    measure("worst: aaaa… against a…ab", &vec![b'a'; size], &[Secret::new(long)], literal);
    let nearly = b"hunter2-pro ".repeat(size / 12);
    measure("worst: nearly the secret", &nearly, &[Secret::new("hunter2-prod")], literal);
    let many =
        Vec::from_iter((0..26).map(|n| Secret::new([&[b'a'; 30][..], &[b'a' + n, b'z']].concat())));
    measure(
        "worst: 26 secrets of one stem",
        &b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaab".repeat(size / 30),
        &many,
        literal,
    );
    let hits = b"hunter2-prod".repeat(size / 12);
    measure("worst: nothing but secrets", &hits, &[Secret::new("hunter2-prod")], literal);
    for stem in
        ["eyJ", "token=", "://a:", "-----BEGIN ", "password: 'x", "AKIA", "ghp_", "\"token\" : "]
    {
        measure(
            &format!("worst: {stem} again and again"),
            &stem.as_bytes().repeat(size / stem.len()),
            &[],
            usual,
        );
    }
}

fn measure(what: &str, text: &[u8], secrets: &[Secret], options: &RedactionOptions) {
    if std::env::args().nth(2).is_some_and(|part| !what.contains(&part)) {
        return;
    }
    let (redaction, _) = Redaction::compile(secrets, options);
    let mut out = Vec::with_capacity(1 << 17);
    let mut best = f64::MAX;
    let mut masks = 0;
    for _ in 0..3 {
        let mut stream = redaction.stream();
        let start = processor_time();
        for piece in text.chunks(64 * 1024) {
            out.clear();
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        best = best.min((processor_time() - start).as_secs_f64());
        masks = stream.count();
    }
    println!("{:>8.0} MB/s  {what} ({masks} masks)", text.len() as f64 / best / 1e6);
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("because every system has this clock")
        .into()
}

fn log_text(size: usize) -> Vec<u8> {
    let words = [
        "request",
        "handled",
        "connection",
        "worker",
        "cache",
        "timeout",
        "retry",
        "scheduler",
        "commit",
        "tokenizer",
    ];
    let levels = ["INFO ", "DEBUG", "WARN ", "ERROR"];
    let mut random = Random(7);
    let mut text = Vec::with_capacity(size + 256);
    let mut line = 0u64;
    while text.len() < size {
        line += 1;
        let n = random.next();
        let word = |shift: u32| words[(n >> shift) as usize % words.len()];
        let entry = format!(
            "2024-03-{:02}T{:02}:{:02}:{:02}.{:03}Z {} [{}-{}] {} {} in {} ms path=/srv/{}/{:x} id={:016x} status={}\n",
            1 + line / 86_400_000 % 28,
            line / 3_600_000 % 24,
            line / 60_000 % 60,
            line / 1000 % 60,
            line % 1000,
            levels[(n >> 60) as usize % 4],
            word(3),
            n % 16,
            word(7),
            word(11),
            n % 997,
            word(17),
            n & 0xffff,
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            [200, 201, 304, 404, 500][n as usize % 5],
        );
        text.extend_from_slice(entry.as_bytes());
    }
    text
}

fn secrets(count: usize) -> Vec<Secret> {
    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = Random(99);
    let mut secret = |index: usize| {
        let length = 12 + index % 29;
        Vec::from_iter((0..length).map(|_| alphabet[random.next() as usize % alphabet.len()]))
    };
    (0..count).map(|index| Secret::new(secret(index))).collect()
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

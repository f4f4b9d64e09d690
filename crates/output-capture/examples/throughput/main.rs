//! How many megabytes a second the redactor takes, on one core.
//!
//! ```text
//! cargo run --release -p ringfence-output-capture --example throughput [MEGABYTES [PART [FLOOD]]]
//! ```
//!
//! The text is made up: lines of a log with times, levels, paths, numbers and identifiers. Each line of a table is the
//! best of three runs over the whole text, fed in pieces of 64 KiB; what counts is the time of the processor, so that
//! other work on the machine does not. Beside it stands aho-corasick's stream replacement with the same strings, which
//! knows no detectors, cuts secrets of which one is the beginning of another, and holds prompts back. Then a child's
//! output on its way through a pipe into a file, by the clock, against `| cat > file` in turns.
//!
//! With a part (`secrets`, `worst`, `end`) only that is measured; with a flood, of `worst` only those that contain it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example is a program that reports to a person"
)]

mod end_to_end;
mod text;
mod worst;

use aho_corasick::AhoCorasick;
use nix::time::{ClockId, clock_gettime};
use ringfence_output_capture::{Detector, Encoding, Redaction, RedactionOptions, Secret};
use std::process::ExitCode;
use std::time::Duration;
use text::{log_text, secrets};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--emit", how, file] => end_to_end::emit(how, file),
        _ => run(args.first().copied(), args.get(1).copied(), args.get(2).copied()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(megabytes: Option<&str>, part: Option<&str>, flood: Option<&str>) -> Result<(), String> {
    let megabytes: usize = match megabytes {
        Some(text) => text.parse().map_err(|_| "the first argument is a number of megabytes")?,
        None if cfg!(debug_assertions) => 1,
        None => 200,
    };
    let text = log_text(megabytes * 1_000_000);
    let wanted = |name: &str| part.is_none_or(|part| part == name);
    if wanted("secrets") {
        log_lines(&text);
    }
    if wanted("worst") {
        worst::measure_all(megabytes * 1_000_000 / 4, flood);
    }
    if wanted("end") {
        end_to_end::measure_all(&text)?;
    }
    Ok(())
}

/// Literal secrets in all their forms.
fn derived() -> RedactionOptions {
    RedactionOptions { encodings: Encoding::ALL.to_vec(), ..RedactionOptions::default() }
}

/// Literal secrets as they are.
fn literal() -> RedactionOptions {
    RedactionOptions { encodings: Vec::new(), ..RedactionOptions::default() }
}

/// What a configuration that says nothing has: derived forms, seven detectors, five names.
fn usual() -> RedactionOptions {
    let names = ["token", "password", "secret", "api_key", "authorization"];
    RedactionOptions {
        detectors: Detector::ALL[..7].to_vec(),
        names: names.map(str::to_owned).to_vec(),
        ..derived()
    }
}

fn log_lines(text: &[u8]) {
    println!("log text, MB/s of processor time (ratio to aho-corasick's stream_replace_all)");
    let folded = RedactionOptions { case_insensitive: true, ..literal() };
    for count in [0, 5, 100, 1000] {
        let peer = (count > 0).then(|| peer(text, &secrets(count)));
        let row = |what: &str, options: &RedactionOptions| {
            let own = measure(text, &secrets(count), options);
            let ratio = peer.map(|peer| format!("  {:>5.1}", own.0 / peer)).unwrap_or_default();
            println!("{:>8.0}{ratio}  {count} secrets{what}", own.0);
        };
        if let Some(peer) = peer {
            println!("{peer:>8.0}    1.0  {count} secrets, aho-corasick");
        }
        row("", &literal());
        row(", any case", &folded);
        row(", derived forms", &derived());
        row(", derived forms, 7 detectors", &usual());
        row(
            ", derived forms, all detectors",
            &RedactionOptions { detectors: Detector::ALL.to_vec(), ..usual() },
        );
    }
}

/// Megabytes a second, and masks.
fn measure(text: &[u8], secrets: &[Secret], options: &RedactionOptions) -> (f64, u64) {
    let (redaction, _) = Redaction::compile(secrets, options);
    let mut out = Vec::with_capacity(1 << 17);
    let mut masks = 0;
    let speed = best_of_three(text.len(), || {
        let mut stream = redaction.stream();
        for piece in text.chunks(64 * 1024) {
            out.clear();
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        masks = stream.count();
    });
    (speed, masks)
}

fn peer(text: &[u8], secrets: &[Secret]) -> f64 {
    let needles = secrets.iter().map(Secret::expose);
    let automaton = AhoCorasick::new(needles).expect("because there are few secrets");
    let masks = vec![b"[REDACTED]"; secrets.len()];
    best_of_three(text.len(), || {
        let into = std::io::sink();
        automaton.try_stream_replace_all(text, into, &masks).expect("because memory can be read");
    })
}

fn best_of_three(bytes: usize, mut work: impl FnMut()) -> f64 {
    let once = || {
        let start = processor_time();
        work();
        (processor_time() - start).as_secs_f64()
    };
    let best = std::iter::repeat_with(once).take(3).fold(f64::MAX, f64::min);
    bytes as f64 / best / 1e6
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("because every system has this clock")
        .into()
}

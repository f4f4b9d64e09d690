//! `cargo xtask fuzz`: the fuzz targets, one after another, each for a while.
//!
//! Each target has a dictionary in `fuzz/dictionaries`; what it learns stays in `fuzz/corpus`, what it finds in
//! `fuzz/artifacts`, neither of them in git. The launcher is run with the address sanitizer; all else is safe code, and
//! faster without one.
//!
//! The trap: a target that was not run looks like one that found nothing. What is missing is an error that says how to
//! get it, and a target that ends before its time is a failure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cargo::{at_root, root};

const USAGE: &str = "usage: cargo xtask fuzz [TARGET]… [--seconds N]";
/// How long each target is run by default, in seconds.
const SECONDS: u64 = 60;

/// One program of `fuzz/fuzz_targets`.
struct Target {
    name: &'static str,
    sanitizer: &'static str,
    /// Longest input, in bytes.
    length: u32,
    /// Files that are worth beginning with, below the root.
    seeds: &'static [&'static str],
}

const TARGETS: &[Target] = &[
    Target { name: "redactor", sanitizer: "none", length: 1500, seeds: &[] },
    Target {
        name: "detectors",
        sanitizer: "none",
        length: 1500,
        seeds: &["crates/output-capture/tests/ordinary"],
    },
    Target { name: "pump", sanitizer: "none", length: 600, seeds: &[] },
    Target { name: "plan", sanitizer: "address", length: 2048, seeds: &[] },
    Target { name: "dns", sanitizer: "none", length: 2048, seeds: &[] },
    Target { name: "gateway", sanitizer: "none", length: 2048, seeds: &[] },
];

/// Runs the targets that are named, or all; false when one has found something.
///
/// # Errors
/// When the command line is not understood, or a tool is missing.
pub(crate) fn fuzz(args: &[String]) -> Result<bool, String> {
    let (targets, seconds) = options(args)?;
    tools()?;
    let mut found = Vec::new();
    for target in targets {
        println!("fuzz: {} for {seconds} s", target.name);
        let begun = Instant::now();
        if !target.run(seconds)? {
            found.push(target.name);
        }
        println!("fuzz: {} is over after {:.0?}", target.name, begun.elapsed());
    }
    match found.as_slice() {
        [] => println!("fuzz: nothing found"),
        found => println!("fuzz: FAILED: {}; see fuzz/artifacts", found.join(", ")),
    }
    Ok(found.is_empty())
}

fn options(args: &[String]) -> Result<(Vec<&'static Target>, u64), String> {
    let (mut targets, mut seconds) = (Vec::new(), SECONDS);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let value = args.next().and_then(|value| value.parse().ok()).filter(|n| *n > 0);
            seconds = value.ok_or_else(|| format!("--seconds needs a number\n{USAGE}"))?;
            continue;
        }
        let known = TARGETS.iter().find(|target| target.name == arg);
        targets.push(known.ok_or_else(|| unknown(arg))?);
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    Ok((targets, seconds))
}

fn unknown(arg: &str) -> String {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    format!("there is no target {arg}, only {}\n{USAGE}", names.join(", "))
}

/// Makes sure that the compiler and the program that drives it are there.
fn tools() -> Result<(), String> {
    let works = |words: &[&str]| {
        let status = nightly(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !works(&["rustc", "--version"]) {
        return Err("fuzzing needs a nightly compiler: rustup toolchain install nightly".to_owned());
    }
    if !works(&["cargo", "fuzz", "--version"]) {
        return Err("fuzzing needs cargo-fuzz: cargo install cargo-fuzz".to_owned());
    }
    if !works(&["c++", "--version"]) {
        return Err("fuzzing needs a C++ compiler, such as the package g++".to_owned());
    }
    Ok(())
}

/// A program of the nightly toolchain, whatever toolchain runs this.
fn nightly(words: &[&str]) -> Command {
    let mut command = at_root("rustup");
    command.args(["run", "nightly"]).args(words);
    command
}

impl Target {
    fn run(&self, seconds: u64) -> Result<bool, String> {
        let corpus = root().join("fuzz/corpus").join(self.name);
        std::fs::create_dir_all(&corpus)
            .map_err(|error| format!("{}: {error}", corpus.display()))?;
        let mut command =
            nightly(&["cargo", "fuzz", "run", "--sanitizer", self.sanitizer, self.name]);
        command.arg(&corpus).args(self.seeds.iter().map(|seeds| root().join(seeds))).arg("--");
        let dictionary = Path::new("fuzz/dictionaries").join(format!("{}.dict", self.name));
        command.arg(format!("-dict={}", root().join(dictionary).display()));
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={}", self.length));
        command.args(["-timeout=60", "-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=0"]);
        let status = command.status().map_err(|error| format!("cannot run rustup: {error}"))?;
        Ok(status.success())
    }
}

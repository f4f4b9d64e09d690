//! The project's chores, run as `cargo xtask …`.
//!
//! `test` runs all tests and says what it could not run. `tidy` checks what no compiler checks: which crate may use
//! which, that files tell what they are for, that licences fit. `bench` measures against a plain spawn.
//!
//! Deliberately not here: anything that `cargo` does by itself. `.ci/run` calls both.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "chores talk to the person who runs them"
)]

mod bench;
mod bench_redact;
mod cargo;
mod shells;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [--only unit|user|doc|examples|suite]… [--release] [-- SUITE OPTIONS]
       cargo xtask tidy
       cargo xtask bench [--runs N]
       cargo xtask bench redact [MEGABYTES [secrets|worst|end]]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) =
        args.split_first().map_or(("", &[][..]), |(chore, rest)| (chore.as_str(), rest));
    let done = match chore {
        "bench" if rest.first().is_some_and(|what| what == "redact") => {
            bench_redact::bench_redact(&rest[1..])
        }
        "test" => test::test(rest),
        "tidy" => tidy::tidy(rest),
        "bench" => bench::bench(rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
    }
}

//! The project's chores, run as `cargo xtask …`.
//!
//! `test` runs all tests and says what it could not run. `tidy` checks what no compiler checks: which crate may use
//! which, that files tell what they are for, that licences fit. `portable` checks the types for macOS. `bench` measures against a plain spawn. `fuzz` runs
//! the fuzz targets. `vm` runs tests, or a command, on other kernels.
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
mod fuzz;
mod portable;
mod shells;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [--only unit|user|doc|examples|suite]… [--release] [-- SUITE OPTIONS]
       cargo xtask tidy
       cargo xtask portable
       cargo xtask bench [work|gateway|memory] [--runs N]
       cargo xtask bench redact [MEGABYTES [secrets|worst|end]]
       cargo xtask fuzz [TARGET]… [--seconds N]
       cargo xtask vm [KERNEL]… [--all] [-- COMMAND [ARG]…]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (chore, rest) =
        args.split_first().map_or(("", &[][..]), |(chore, rest)| (chore.as_str(), rest));
    let done = match chore {
        "test" => test::test(rest).map(failure),
        "tidy" => tidy::tidy(rest).map(failure),
        "portable" => portable::portable(rest).map(failure),
        "bench" if rest.first().is_some_and(|what| what == "redact") => {
            bench_redact::bench_redact(&rest[1..]).map(failure)
        }
        "bench" => bench::bench(rest).map(failure),
        "fuzz" => fuzz::fuzz(rest).map(failure),
        "vm" => vm::vm(rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
    }
}

/// Exit status of a chore that went well or did not.
fn failure(went_well: bool) -> u8 {
    u8::from(!went_well)
}

//! `cargo xtask portable`: the workspace still type-checks for macOS.
//!
//! No machine with macOS is needed, and no linker: only the standard library of the target, which rustup fetches where
//! it may. What this does not show is that anything works there; `docs/platforms.md` says what nobody has tried.
//!
//! The trap: a check that is skipped looks like one that passed. Where the target cannot be had, that is said by name,
//! and with `RINGFENCE_MUST_WORK=1` it is a failure.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::cargo::{cargo, root};

/// Either machine would do: the code does not tell them apart.
const TARGET: &str = "x86_64-apple-darwin";

/// Checks all code, tests and examples included, with the lints of the house; false when something is wrong.
///
/// # Errors
/// When cargo cannot be run.
pub(crate) fn portable(args: &[String]) -> Result<bool, String> {
    if let Some(arg) = args.first() {
        return Err(format!("portable takes no arguments: {arg}"));
    }
    if let Err(why) = fetch() {
        println!("portable: skipped {TARGET}: {why}");
        return Ok(std::env::var_os("RINGFENCE_MUST_WORK").is_none_or(|value| value != "1"));
    }
    let begun = Instant::now();
    let mut check = cargo();
    check.args(["clippy", "--workspace", "--all-targets", "--quiet", "--target", TARGET]);
    check.args(["--", "-D", "warnings"]);
    let status = check.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    let verdict = if status.success() { "type-checks" } else { "does NOT type-check" };
    println!("portable: {verdict} for {TARGET} ({:.0?})", begun.elapsed());
    Ok(status.success())
}

/// Makes sure that the target's standard library is there.
fn fetch() -> Result<(), String> {
    if is_there() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    let output = rustup.args(["target", "add", TARGET]).current_dir(root()).output();
    let output = output.map_err(|error| format!("no standard library, and no rustup ({error})"))?;
    if output.status.success() && is_there() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(format!("rustup cannot fetch its standard library: {}", last.trim()))
}

fn is_there() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root());
    let Ok(output) = rustc.output() else { return false };
    let directory = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Path::new(&directory).read_dir().is_ok_and(|mut files| files.next().is_some())
}

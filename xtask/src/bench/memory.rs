//! What runs in flight at once take of their supervisor's memory while they print much.
//!
//! The number is the peak of this process over what it had before, by run; the bound is the one that is promised for
//! default caps. The trap: the peak of a process never falls, so the kernel is told to begin anew, and memory that
//! an earlier run has left to the allocator counts as had before.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

use ringfence::{OutputEvents, Runner};
use tokio::task::JoinSet;

use super::runner;

/// What each run prints: lines of text, in bytes.
const PRINTED: u64 = 20_000_000;
/// MiB that a run in flight may add with default caps.
const BOUND: f64 = 8.0;

/// A named pipe at which all runs wait for the last of them to be started.
const GATE: &str = "gate";

/// Prints the line.
///
/// # Errors
/// When a run fails, or the process cannot read its own memory's size.
pub(super) fn measure(runs: usize, workspace: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Two threads a run pump its streams.
        .max_blocking_threads(2 * runs + 64)
        .build()
        .map_err(|error| error.to_string())?;
    let sandbox = runner(false)?;
    let gate = workspace.join(GATE);
    let made = Command::new("mkfifo").arg(&gate).status();
    if !made.is_ok_and(|status| status.success()) {
        return Err(format!("mkfifo cannot make {}", gate.display()));
    }
    // What the first run makes for all others is no matter of theirs.
    runtime.block_on(at_once(&sandbox, workspace, 1))?;
    fs::write("/proc/self/clear_refs", "5").map_err(|error| format!("clear_refs: {error}"))?;
    let before = kib("VmRSS:")?;
    runtime.block_on(at_once(&sandbox, workspace, runs))?;
    let each = (kib("VmHWM:")?.saturating_sub(before)) as f64 / 1024.0 / runs as f64;
    let verdict = if each <= BOUND { "within" } else { "OVER" };
    println!("\nmemory of {runs} runs in flight that print {} MB each", PRINTED / 1_000_000);
    let before = before as f64 / 1024.0;
    println!("  {each:.2} MiB a run over {before:.1} MiB, {verdict} the bound of {BOUND} MiB");
    Ok(())
}

/// Starts so many commands, which wait for each other, and runs them to their ends.
async fn at_once(runner: &Runner, workspace: &Path, runs: usize) -> Result<(), String> {
    let line = format!(": < {GATE}; yes 'a line like many others' | head -c {PRINTED}");
    let mut running = Vec::with_capacity(runs);
    for _ in 0..runs {
        let run = runner.shell(line.as_str()).workspace(workspace);
        let run = run.output_events(OutputEvents::Omit).spawn().await;
        running.push(run.map_err(|error| error.to_string())?);
    }
    // Open for both, it lets through who waits and who is yet to come.
    let gate = OpenOptions::new().read(true).write(true).open(workspace.join(GATE));
    let gate = gate.map_err(|error| format!("{GATE}: {error}"))?;
    let mut waiting: JoinSet<_> = running.into_iter().map(ringfence::Running::wait).collect();
    while let Some(done) = waiting.join_next().await {
        let outcome = done.map_err(|error| error.to_string())?;
        let outcome = outcome.map_err(|error| error.to_string())?;
        if outcome.stdout.bytes != PRINTED {
            let (bytes, end) = (outcome.stdout.bytes, outcome.outcome);
            return Err(format!("a run printed {bytes} bytes and ended with {end:?}"));
        }
    }
    drop(gate);
    Ok(())
}

/// A line of proc_pid_status(5) of this process.
fn kib(name: &str) -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| format!("no {name} in /proc/self/status"))
}

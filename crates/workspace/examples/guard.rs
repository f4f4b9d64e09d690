//! Watches paths that must not exist while something runs, and takes away what it made there.
//!
//! `cargo run -p ringfence-workspace --example guard -- DIRECTORY PROGRAM [ARG]…`

#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use ringfence_workspace::{Before, Guard, State, Watched, release, sweep};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let root = PathBuf::from(words.next().unwrap_or_else(|| ".".into())).canonicalize()?;
    let program = words.next().unwrap_or_else(|| "true".into());

    let user = rustix::process::getuid().as_raw();
    let state = State::at(std::env::temp_dir().join(format!("ringfence-example-{user}")));
    let watch = |path: &str, before| Watched { root: root.clone(), path: path.into(), before };
    let watched = vec![
        watch(".envrc", Before::Nothing),
        watch(".vscode/settings.json", Before::Nothing),
        watch(".git", Before::NoRepository),
    ];

    let mut findings = sweep(&state)?;
    let guard = Guard::begin(&state, "example", watched)?;
    let status = Command::new(program).args(words).current_dir(&root).status()?;
    findings.extend(guard.finish());
    release();

    findings.found.iter().for_each(|finding| println!("{finding}"));
    findings.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

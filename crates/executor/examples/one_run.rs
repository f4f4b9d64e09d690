//! Runs a shell line in the built-in profile and prints its events and its outcome, a line each.
//!
//! `cargo run -p ringfence-executor --example one_run -- 'echo hello; exit 3'`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use ringfence_config::{Config, Environment, Overrides};
use ringfence_executor::{Command, Prepared, RunRequest, spawn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let line = std::env::args_os().nth(1).unwrap_or_else(|| "echo hello".into());

    let environment = Environment::current()?;
    let resolved =
        Config::builtin().resolve(None, &Overrides::default(), environment.cwd(), &environment)?;
    let prepared = Arc::new(Prepared::new(resolved, environment, [])?);

    let mut run = spawn(RunRequest::new(prepared, Command::Shell(line.into_vec())))?;
    while let Some(event) = run.next_event().await {
        println!("{}", serde_json::to_string(&event)?);
    }
    let outcome = run.wait().await?;
    println!("{}", serde_json::to_string_pretty(&outcome)?);
    Ok(())
}

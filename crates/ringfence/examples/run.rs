//! Runs a shell line under the config of the current directory and tells how it went.
//!
//! `cargo run -p ringfence --example run -- 'echo hello'`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Duration;

use ringfence::output_capture::FdSink;
use ringfence::{Capture, Runner};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let line = std::env::args().nth(1).unwrap_or_else(|| "echo hello".to_owned());

    let outcome = Runner::discover(".")?
        .shell(line)
        .timeout(Duration::from_secs(60))
        .stdout(FdSink::new("stdout", std::io::stdout()))
        .stderr(FdSink::new("stderr", std::io::stderr()))
        .capture(Capture::CountOnly)
        .output()
        .await?;

    println!("{:?}, exit code {:?}", outcome.outcome, outcome.exit_code);
    for (property, level) in outcome.enforcement.iter() {
        println!("{property}: {level}");
    }
    outcome.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    Ok(())
}

//! Masks secrets in what it reads from stdin, as a filter in a pipeline.
//!
//! ```text
//! printenv | cargo run -q -p ringfence-output-capture --example redact -- hunter2-prod
//! ```
//!
//! Each argument is a secret; all detectors are on. What was masked is counted on stderr.

#![expect(clippy::print_stderr, reason = "an example is a program that reports to a person")]

use ringfence_output_capture::{
    Detector, FdSink, PumpOptions, Redaction, RedactionOptions, Secret, Sink, StopToken, pump,
};
use std::os::unix::ffi::OsStringExt;

fn main() -> std::io::Result<()> {
    let secrets: Vec<_> =
        std::env::args_os().skip(1).map(|text| Secret::new(text.into_vec())).collect();
    let options =
        RedactionOptions { detectors: Detector::ALL.to_vec(), ..RedactionOptions::default() };
    let (redaction, warnings) = Redaction::compile(&secrets, &options);
    for warning in warnings {
        eprintln!("{warning}");
    }
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(FdSink::new("stdout", std::io::stdout()))];
    let options = PumpOptions { keep: 0, activity: None };
    let report = pump(std::io::stdin(), &StopToken::new()?, redaction.stream(), options, sinks, ());
    eprintln!("{} bytes, {} masked", report.bytes, report.redactions);
    Ok(())
}

//! `cargo xtask bench redact`: what redaction costs, as megabytes a second and as ratios.
//!
//! The measuring is an example of the capture crate, so that it can be run without this; here is only the way to it.

/// Measures and prints; `args` are megabytes of text and a part of the measuring, both optional.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn bench_redact(args: &[String]) -> Result<bool, String> {
    let mut command = crate::cargo::cargo();
    command
        .args(["run", "--release", "--quiet", "-p", "ringfence-output-capture"])
        .args(["--example", "throughput", "--"])
        .args(args);
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}

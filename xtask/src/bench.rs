//! `cargo xtask bench`: what a run costs, as a ratio to a plain spawn and in added microseconds.
//!
//! All measurements of a table are taken by turns in one process, so that what else the machine does hits all of them;
//! medians are printed. The numbers are made by a release build of this program with the feature `measure`, which
//! this chore builds and starts; so the debug build of `cargo xtask` stays small.

#[cfg(feature = "measure")]
mod flight;
#[cfg(feature = "measure")]
mod gateway;
#[cfg(feature = "measure")]
mod latency;
#[cfg(feature = "measure")]
mod memory;
#[cfg(feature = "measure")]
mod work;

/// Measures and prints.
///
/// # Errors
/// When something cannot be built or a command that is measured fails.
#[cfg(not(feature = "measure"))]
pub(crate) fn bench(args: &[String]) -> Result<bool, String> {
    let built = crate::cargo::cargo()
        .args(["build", "--release", "--quiet", "-p", "ringfence-cli"])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("ringfence does not build".to_owned());
    }
    let mut command = crate::cargo::cargo();
    command
        .args([
            "run",
            "--release",
            "--quiet",
            "-p",
            "xtask",
            "--features",
            "measure",
            "--",
            "bench",
        ])
        .args(args);
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success())
}

/// What can be measured.
#[cfg(feature = "measure")]
enum Table {
    Latency,
    Flight,
    Memory,
    Gateway,
    Work,
}

/// Measures and prints.
///
/// # Errors
/// When a command that is measured fails.
#[cfg(feature = "measure")]
pub(crate) fn bench(args: &[String]) -> Result<bool, String> {
    if let [flag, what, port] = args
        && flag == "--client"
    {
        return gateway::client(what, port).map(|()| true);
    }
    let (tables, rest): (&[Table], _) = match args.split_first() {
        Some((what, rest)) if what == "work" => (&[Table::Work], rest),
        Some((what, rest)) if what == "gateway" => (&[Table::Gateway], rest),
        Some((what, rest)) if what == "memory" => (&[Table::Memory], rest),
        _ => (&[Table::Latency, Table::Flight, Table::Memory, Table::Gateway], args),
    };
    let runs = match rest {
        [] => None,
        [flag, runs] if flag == "--runs" => {
            Some(runs.parse().map_err(|error| format!("--runs: {error}"))?)
        }
        _ => return Err("usage: cargo xtask bench [work|gateway|memory] [--runs N]".to_owned()),
    };
    let directory = std::env::temp_dir().join(format!("ringfence-bench-{}", std::process::id()));
    std::fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let measured = tables.iter().try_for_each(|table| match table {
        Table::Latency => latency::measure(runs.unwrap_or(300), &directory),
        Table::Flight => flight::measure(runs.unwrap_or(300), &directory),
        Table::Memory => memory::measure(runs.unwrap_or(200), &directory),
        Table::Gateway => gateway::measure(runs.unwrap_or(9), &directory),
        Table::Work => work::measure(runs.unwrap_or(15), &directory),
    });
    std::fs::remove_dir_all(&directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    measured.map(|()| true)
}

/// The peer's command line for the same: a read-only view of everything, all namespaces.
#[cfg(feature = "measure")]
const BWRAP: &[&str] = &[
    "bwrap",
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
    "--unshare-all",
    "--",
    "/bin/true",
];

/// A plain command without streams of its own.
#[cfg(feature = "measure")]
fn command(words: &[&str]) -> std::process::Command {
    use std::process::Stdio;
    let mut command = std::process::Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a plain command to its end.
#[cfg(feature = "measure")]
fn spawn(words: &[&str]) -> Result<(), String> {
    let status = command(words).status().map_err(|error| format!("{}: {error}", words[0]))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", words[0])) }
}

#[cfg(feature = "measure")]
fn has_bwrap() -> bool {
    spawn(BWRAP).is_ok()
}

#[cfg(feature = "measure")]
fn runner(host: bool) -> Result<ringfence::Runner, String> {
    use ringfence::config::{Config, Environment};
    let text = if host { "[profiles.default]\nmode = \"host\"\n" } else { "" };
    let config =
        Config::from_str(text, "/bench.toml".as_ref()).map_err(|error| error.to_string())?;
    let environment = Environment::current().map_err(|error| error.to_string())?;
    Ok(ringfence::Runner::new(config, environment))
}

/// Runs `/bin/true` by the library.
#[cfg(feature = "measure")]
async fn run(runner: &ringfence::Runner, workspace: &std::path::Path) -> Result<(), String> {
    let outcome = runner.program(["/bin/true"]).workspace(workspace).output().await;
    let outcome = outcome.map_err(|error| error.to_string())?;
    if outcome.success() { Ok(()) } else { Err(format!("a run ended with {:?}", outcome.outcome)) }
}

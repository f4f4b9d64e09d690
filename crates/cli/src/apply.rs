//! `ringfence apply`: carries changes out.

use crate::args::ApplyArgs;
use crate::diff::line;
use crate::exit::Status;
use crate::failure::Failure;
use crate::message::{self, Level};
use crate::state;
use ringfence::workspace::{Layer, Refusal, Report, escape, unescape};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Applies what was asked for, and says what was and what was not.
pub(crate) fn apply(args: &ApplyArgs) -> Result<Status, Failure> {
    let layer = state::layers()?.open(&args.run)?;
    let run = layer.run().to_owned();
    let paths = paths(&layer, &args.paths)?;
    let report = layer.apply(&paths, args.force)?;
    print(&report)?;
    if report.applied.is_empty() && report.failed.is_empty() && !report.refused.is_empty() {
        refuse(&report, &run);
        return Ok(Status::REFUSED_CHANGES);
    }
    report.failed.iter().for_each(say);
    match report.failed.len() {
        0 => Ok(Status::SUCCESS),
        failed => Err(Failure::Unapplied { failed, all: failed + report.applied.len() }),
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    let lines: String = report.applied.iter().map(line).collect();
    io::stdout().lock().write_all(lines.as_bytes()).map_err(Failure::Print)?;
    report.warnings.iter().for_each(|warning| message::warning(Level::Normal, warning));
    Ok(())
}

fn refuse(report: &Report, run: &str) {
    report.refused.iter().for_each(say);
    let refused = report.refused.len();
    let what =
        if refused == 1 { "1 change is".to_owned() } else { format!("{refused} changes are") };
    let hint = format!(
        "look at them with `ringfence diff {run} --patch`; apply others by naming their paths, or these, too, with `--force`"
    );
    message::failure(&format!("{what} refused, so nothing was applied"), Some(&hint));
}

fn say(refusal: &Refusal) {
    message::note(Level::Normal, &format!("{}: {}", escape(&refusal.path), refusal.why));
}

/// The paths below the workspace: as `diff` prints them, or absolute.
fn paths(layer: &Layer, given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let is_escaped = |path: &&PathBuf| path.as_os_str().as_encoded_bytes().contains(&b'\\');
    // Only a name with a backslash can be an escaped one, and it may be a plain one all the same.
    let known = match given.iter().any(|path| is_escaped(&path)) {
        true => layer.diff()?.changes,
        false => Vec::new(),
    };
    let one = |path: &PathBuf| {
        let below = path.strip_prefix(layer.workspace()).unwrap_or(path);
        let is_known = |path: &Path| known.iter().any(|change| change.path.starts_with(path));
        let unescaped = below.to_str().and_then(unescape).filter(|path| is_known(path));
        match unescaped {
            Some(unescaped) if !is_known(below) => unescaped,
            _ => below.to_owned(),
        }
    };
    Ok(given.iter().map(one).collect())
}

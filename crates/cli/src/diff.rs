//! `ringfence diff`: which runs have changes, and what a run changed.

use crate::args::DiffArgs;
use crate::exit::Status;
use crate::failure::Failure;
use crate::message::{self, Level};
use crate::{patch, state};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence::workspace::{Change, ChangeKind, Entry, Error, FileKind, Layer, Listed, escape};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lists runs, or shows one.
pub(crate) fn diff(args: &DiffArgs) -> Result<Status, Failure> {
    let layers = state::layers()?;
    let Some(run) = &args.run else {
        let (listed, warnings) = layers.list()?;
        warn(&warnings);
        let list = if args.json { json_list(&listed) } else { list(&listed, SystemTime::now()) };
        return print(&list);
    };
    let layer = layers.open(run)?;
    let diff = layer.diff()?;
    if args.json {
        return print(&json_diff(&layer, &diff.changes, &diff.warnings));
    }
    warn(&diff.warnings);
    if args.patch {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        patch::write(&layer, &diff.changes, is_terminal, &mut out.lock())?;
        return Ok(Status::SUCCESS);
    }
    print(&diff.changes.iter().map(line).collect::<String>())
}

fn print(text: &str) -> Result<Status, Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::Print)?;
    Ok(Status::SUCCESS)
}

fn warn(warnings: &[String]) {
    warnings.iter().for_each(|warning| message::warning(Level::Normal, warning));
}

/// One change as a line: a letter, the name, and what the letter does not say.
pub(crate) fn line(change: &Change) -> String {
    let entry = change.after.or(change.before);
    let is_directory = entry.is_some_and(|entry| entry.file == FileKind::Directory);
    let slash = if is_directory { "/" } else { "" };
    let mut line = format!("{} {}{slash}", change.kind.letter(), escape(&change.path));
    match (change.kind, change.before, change.after) {
        (ChangeKind::ModeChanged, Some(before), Some(after)) => {
            write!(line, " (mode {:o}, was {:o})", after.mode, before.mode)
        }
        (ChangeKind::TypeChanged, Some(before), Some(after)) => {
            write!(line, " ({}, was a {})", after.file.as_str(), before.file.as_str())
        }
        _ => Ok(()),
    }
    .expect("because a String takes any text");
    line.push_str(if change.protected { " [protected]\n" } else { "\n" });
    line
}

fn list(listed: &[Listed], now: SystemTime) -> String {
    if listed.is_empty() {
        return "no run has changes\n".into();
    }
    let width = listed.iter().map(|listed| listed.run.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:>8}  {:>8}  WORKSPACE\n", "RUN", "AGE", "CHANGES");
    for Listed { run, workspace, created, command, changes } in listed {
        let age = age(now.duration_since(*created).unwrap_or_default());
        let (changes, workspace) = (count(changes), escape(workspace));
        let command = command.as_ref().map(|command| format!("  {}", escape(Path::new(command))));
        let command = command.unwrap_or_default();
        writeln!(text, "{run:width$}  {age:>8}  {changes:>8}  {workspace}{command}")
            .expect("because a String takes any text");
    }
    text
}

fn count(changes: &Result<usize, Error>) -> String {
    match changes {
        Ok(changes) => changes.to_string(),
        Err(Error::InUse { .. }) => "running".into(),
        Err(_) => "unknown".into(),
    }
}

/// In the largest unit that fits.
fn age(age: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let seconds = age.as_secs();
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length);
    unit.map_or_else(
        || format!("{seconds} s"),
        |(length, unit)| format!("{} {unit}", seconds / length),
    )
}

fn json_list(listed: &[Listed]) -> String {
    let runs: Vec<Value> = listed
        .iter()
        .map(|listed| {
            let mut run = json!({
                "run": listed.run,
                "created_ms": millis(listed.created),
                "command": listed.command,
                "changes": listed.changes.as_ref().ok(),
                "running": matches!(listed.changes, Err(Error::InUse { .. })),
            });
            put_path(&mut run, "workspace", &listed.workspace);
            run
        })
        .collect();
    format!("{}\n", json!({ "runs": runs }))
}

fn json_diff(layer: &Layer, changes: &[Change], warnings: &[String]) -> String {
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let mut value = json!({
                "kind": change.kind.as_str(),
                "before": change.before.map(json_entry),
                "after": change.after.map(json_entry),
                "protected": change.protected,
            });
            put_path(&mut value, "path", &change.path);
            value
        })
        .collect();
    let mut diff = json!({
        "run": layer.run(),
        "created_ms": millis(layer.created()),
        "command": layer.command(),
        "changes": changes,
        "warnings": warnings,
    });
    put_path(&mut diff, "workspace", layer.workspace());
    format!("{diff}\n")
}

fn json_entry(entry: Entry) -> Value {
    json!({ "type": entry.file.as_str(), "mode": format!("{:04o}", entry.mode), "size": entry.size })
}

/// A path that is not UTF-8 is given as `…_base64` instead.
fn put_path(value: &mut Value, name: &str, path: &Path) {
    match path.to_str() {
        Some(text) => value[name] = text.into(),
        None => {
            value[format!("{name}_base64")] = STANDARD.encode(path.as_os_str().as_bytes()).into()
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::age;
    use std::time::Duration;

    #[test]
    fn ages() {
        let check = |seconds, expect| assert_eq!(age(Duration::from_secs(seconds)), expect);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min");
        check(7_199, "1 h");
        check(86_400 * 3 + 5, "3 d");
    }
}

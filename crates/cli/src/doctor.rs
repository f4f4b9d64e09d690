//! `ringfence doctor`: what this machine can enforce, by trying each mechanism.

use crate::exit::Status;
use crate::failure::Failure;
use ringfence::sandbox::{Check, doctor as try_all};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Tries each mechanism, prints a row for each, and fails when one does not work.
pub(crate) fn doctor() -> Result<Status, Failure> {
    let checks = try_all();
    io::stdout().lock().write_all(render(&checks).as_bytes()).map_err(Failure::Print)?;
    let missing = checks.iter().filter(|check| !check.works).count();
    match missing {
        0 => Ok(Status::SUCCESS),
        _ => Err(Failure::Unhealthy { missing, all: checks.len() }),
    }
}

fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, works, detail, remedy } in checks {
        let mark = if *works { "works  " } else { "missing" };
        writeln!(text, "{mark}  {name:width$}  {detail}").expect("because a String takes any text");
        if let Some(remedy) = remedy.as_ref().filter(|_| !works) {
            writeln!(text, "         {:width$}  to get it: {remedy}", "")
                .expect("because a String takes any text");
        }
    }
    text
}

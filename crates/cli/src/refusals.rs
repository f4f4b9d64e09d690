//! The line under a failed run that says what was refused, and what would allow it.
//!
//! One line, whatever the number of refusals: the first few by name, the rest counted. It is only
//! said of runs that failed, since a command that succeeded did well without.

use ringfence::Outcome;
use ringfence::executor::Denial;
use std::fmt::Write as _;

/// Refusals that are named.
const NAMED: usize = 3;

/// The line; none when nothing was refused or the command succeeded.
pub(crate) fn footer(outcome: &Outcome) -> Option<String> {
    if outcome.success() || outcome.denials.is_empty() {
        return None;
    }
    let named: Vec<_> = outcome.denials.iter().take(NAMED).map(refusal).collect();
    let mut line = format!("the sandbox refused: {}", named.join("; "));
    if outcome.denials.len() > NAMED {
        write!(line, "; and {} more", outcome.denials.len() - NAMED)
            .expect("because a String takes any text");
    }
    let allow: Vec<_> = allowing(&outcome.denials[..outcome.denials.len().min(NAMED)]);
    if !allow.is_empty() {
        write!(line, " (allow: {})", allow.join(" ")).expect("because a String takes any text");
    }
    Some(line)
}

fn refusal(denial: &Denial) -> String {
    let what = match denial.kind.as_str() {
        "file_write" => "writing",
        "file_read" => "reading",
        "network" | "unix_socket" => "connecting to",
        _ => "calling",
    };
    let times = if denial.count > 1 { format!(" ({} times)", denial.count) } else { String::new() };
    format!("{what} {}{times}", denial.target)
}

/// Each way to allow it once.
fn allowing(denials: &[Denial]) -> Vec<&str> {
    let mut ways: Vec<&str> = Vec::new();
    for way in denials.iter().filter_map(|denial| denial.allow.as_deref()) {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

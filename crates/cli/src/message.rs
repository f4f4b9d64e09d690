//! What ringfence itself says, on standard error.
//!
//! Every line begins with the program's name, so that it can be told from the command's. A failure to print is ignored: there is
//! nowhere left to say so, and the exit status stands.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::error::Error;
use std::io::{self, Write};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Only why there is no result.
    Quiet,
    /// And warnings, and what ended a run.
    Normal,
    /// And how each run ended, and what enforced it.
    Verbose,
}

/// A failure: what and where, then what to do.
pub(crate) fn failure(message: &str, hint: Option<&str>) {
    say(message);
    if let Some(hint) = hint {
        write_line(&format!("  hint: {hint}"));
    }
}

/// Something odd that is no failure.
pub(crate) fn warning(level: Level, message: &str) {
    if level >= Level::Normal {
        say(&format!("warning: {message}"));
    }
}

/// Something a person should know about a run.
pub(crate) fn note(level: Level, message: &str) {
    if level >= Level::Normal {
        say(message);
    }
}

/// Something a person asked to know.
pub(crate) fn detail(level: Level, message: &str) {
    if level >= Level::Verbose {
        say(message);
    }
}

/// An error and its causes, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

fn say(message: &str) {
    write_line(&format!("ringfence: {message}"));
}

/// Longest wait for a reader of standard error that does not read, in seconds.
const PATIENCE: i64 = 1;

fn write_line(line: &str) {
    let error = io::stderr();
    let patience = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&error, PollFlags::OUT)], Some(&patience)) == Ok(0) {
        return;
    }
    // One write, so that lines of several processes on one terminal do not mix.
    drop(io::stderr().lock().write_all(format!("{line}\n").as_bytes()));
}

//! The program that puts a profile on, and whether it takes one.
//!
//! It is tried once for each profile in a process's life, with a program that does nothing: a
//! profile that a system does not understand, or a sandbox inside another one, is found out before
//! the command is started and told as what it is. Nothing is decided by a version number.

use crate::error::SandboxError;
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

/// Part of every macOS; deprecated by its manual page since 10.13 and used by Apple all the same.
pub(crate) const SANDBOX_EXEC: &str = "/usr/bin/sandbox-exec";
/// Does nothing, successfully, and is allowed by every profile that hides no system directory.
const NOTHING: &str = "/usr/bin/true";
/// The exit status for a profile that cannot be read (`EX_DATAERR` of sysexits(3)).
const NOT_UNDERSTOOD: i32 = 65;
/// A profile that allows everything: when even this is refused, it is not the profile's fault.
const ALL: &str = "(version 1)(allow default)";
/// Profiles remembered at most; a process that makes more tries some of them again.
const MOST: usize = 1024;

static TAKEN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// The command line that runs a program under a profile.
pub(crate) fn command(program: &Path, profile: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["-p", profile, "--"]);
    command
}

/// Makes sure that a profile is taken here.
///
/// # Errors
/// [`SandboxError::Unavailable`] when it is not, with what was said.
pub(crate) fn check(program: &Path, profile: &str) -> Result<(), SandboxError> {
    let mut hasher = DefaultHasher::new();
    (program, profile).hash(&mut hasher);
    let hash = hasher.finish();
    let taken = |add: bool| {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = taken.get_or_insert_default();
        if add && taken.len() >= MOST {
            taken.clear();
        }
        if add { taken.insert(hash) } else { taken.contains(&hash) }
    };
    if taken(false) {
        return Ok(());
    }
    attempt(program, profile)?;
    taken(true);
    Ok(())
}

fn attempt(program: &Path, profile: &str) -> Result<(), SandboxError> {
    let tried = run(program, profile)?;
    if tried.status.success() {
        return Ok(());
    }
    if tried.status.code() == Some(NOT_UNDERSTOOD) {
        return Err(refused("the profile is not understood here", &tried, "report this as a bug"));
    }
    if run(program, ALL)?.status.success() {
        // The profile hides the program it was tried with, which is what it is for.
        return Ok(());
    }
    let remedy = "a sandbox cannot be made inside another one: run this outside of it, or with \
                  `mode = \"host\"`";
    Err(refused("no profile is taken here", &tried, remedy))
}

fn run(program: &Path, profile: &str) -> Result<Output, SandboxError> {
    let mut command = command(program, profile);
    command.arg(NOTHING).env_clear().current_dir("/").stdin(Stdio::null());
    command.output().map_err(|error| SandboxError::Unavailable {
        why: format!("`{}` cannot be started ({error})", program.display()),
        remedy: "it is part of macOS; `mode = \"host\"` runs without a sandbox".to_owned(),
    })
}

fn refused(what: &str, output: &Output, remedy: &str) -> SandboxError {
    let said = String::from_utf8_lossy(&output.stderr);
    SandboxError::Unavailable {
        why: format!("{what} ({}; {})", said.trim(), output.status),
        remedy: remedy.to_owned(),
    }
}

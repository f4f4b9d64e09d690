//! A sandbox on macOS: prepared once, started any number of times.
//!
//! The same words as on Linux. What differs is told by the enforcement: a Seatbelt profile decides
//! by operation and by name, processes have no namespace of their own, and the tree is a session.

use super::{
    describe, look,
    look::Seen,
    profile::{self, BadPath},
    program,
    rules::{NetworkRule, Rules},
    seatbelt::{self, SANDBOX_EXEC},
    sys::{LIMIT_REFUSED, Limit},
    tree::{self, SpawnError, Tree},
};
use crate::{
    enforcement::{Backend, Enforcement, Level},
    error::SandboxError,
    spec::{
        Bounds, Confinement, Files, Network, Process, Program, SandboxSpec, Stdio, UnixSockets,
    },
    unheld::Unheld,
};
use nix::unistd::ttyname;
use ringfence_launcher::StepFailure;
use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

/// A sandbox, ready to be started any number of times.
///
/// What the host looked like when it was prepared is part of it: which paths are links, and what
/// of the protected paths exists.
#[derive(Debug)]
pub struct Sandbox {
    spec: SandboxSpec,
    seen: Seen,
    enforcement: Enforcement,
    program: PathBuf,
}

impl Sandbox {
    /// Looks at the host, decides how the specification is enforced, and has the system try the
    /// profile on a program that does nothing.
    ///
    /// # Errors
    /// When a path cannot be used, the system does not take the profile, or full enforcement was
    /// asked for and is not to be had.
    pub fn prepare(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        Self::prepare_by(spec, SANDBOX_EXEC.into())
    }

    /// The same by another program than `sandbox-exec`.
    pub(crate) fn prepare_by(spec: &SandboxSpec, program: PathBuf) -> Result<Self, SandboxError> {
        refuse_overlay(spec)?;
        let enforcement = enforcement(spec);
        if spec.strict
            && let Some((property, level)) = enforcement.first_gap()
        {
            return Err(SandboxError::NotFull { property, level: level.to_string(), remedy: None });
        }
        let mut seen = look::look(spec)?;
        if spec.confinement == Confinement::Sandbox {
            seen.warnings.push(UNTRIED.to_owned());
            seatbelt::check(&program, &text(&seen.rules)?)?;
        }
        Ok(Self { spec: spec.clone(), seen, enforcement, program })
    }

    /// The same as [`Sandbox::prepare`]: the profile is tried there.
    ///
    /// # Errors
    /// As there.
    #[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "the executor calls it there"))]
    pub fn prepare_by_trying(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        Self::prepare(spec)
    }

    /// Whether this sandbox keeps `path` from being opened, whatever its mode. By the text of the
    /// path, which is absolute and clean.
    #[must_use]
    #[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "the executor calls it there"))]
    pub fn hides(&self, path: &Path) -> bool {
        let Files::View(view) = &self.spec.files else { return false };
        view.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    /// Whether this sandbox lets `path` be changed, as far as its mode does. By the text of the
    /// path, which is absolute and clean.
    #[must_use]
    #[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "the executor calls it there"))]
    pub fn lets_write(&self, path: &Path) -> bool {
        let Files::View(view) = &self.spec.files else { return true };
        view.writable.iter().any(|writable| path.starts_with(writable))
    }

    /// What carries the sandbox out.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.spec.confinement {
            Confinement::Host => Backend::Host,
            Confinement::Sandbox => Backend::MacosSeatbelt,
        }
    }

    /// How far each property holds that the specification asks for.
    #[must_use]
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Oddities of the host that were left out, in words.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.seen.warnings
    }

    /// Protected paths that this sandbox cannot hold while the command runs; the caller
    /// sets them right when it is over.
    #[must_use]
    pub fn unheld(&self) -> &[Unheld] {
        &self.seen.unheld
    }

    /// The command can have no `/tmp` of its own here: give it a directory as [`Process::temp`].
    #[must_use]
    pub fn wants_temp(&self) -> bool {
        self.seen.rules.view.is_some()
    }

    /// A private network does not exist here: give the command the port that a gateway listens on as a
    /// proxy, as [`Process::proxy`].
    #[must_use]
    pub fn wants_proxy(&self) -> bool {
        self.spec.confinement == Confinement::Sandbox
            && matches!(self.spec.network, Network::Gateway(_))
    }

    /// Never a weaker one: there is one way to make a sandbox here.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`], on systems that have a weaker one.
    pub fn fall_back(&self, error: &SandboxError) -> Option<Result<Self, SandboxError>> {
        let _ = error;
        None
    }

    /// What a command will see, write, reach and use up, in plain words, a line each.
    #[must_use]
    pub fn describe(&self, process: &Process) -> Vec<String> {
        describe::describe(&self.spec, &self.seen, process)
    }

    /// What is done in the new process, a line each, and the profile.
    ///
    /// # Errors
    /// When a text of the process has a NUL byte, or a path of the run cannot be written in a
    /// profile.
    pub fn plan_text(&self, process: &Process) -> Result<String, SandboxError> {
        refuse_nul(process)?;
        self.refuse_without_proxy(process)?;
        let mut lines = vec![entering(process), "start a new session".to_owned()];
        lines.push("close every other descriptor".to_owned());
        for (resource, soft, hard) in limits(process) {
            lines.push(format!("set resource limit {resource} to {soft}, at most {hard}"));
        }
        lines.push(program::words(process));
        if self.spec.confinement == Confinement::Sandbox {
            lines.push(format!("by `{}` with this profile:", self.program.display()));
            lines.push(text(&self.rules(process, &[]))?);
        }
        Ok(lines.join("\n"))
    }

    /// Starts a command. What goes wrong from here on is told by the reports of
    /// the tree.
    ///
    /// # Errors
    /// When the process cannot be made, or a text of it has a NUL byte.
    pub fn start(&self, process: &Process, stdio: &Stdio) -> Result<Tree, SandboxError> {
        self.start_within(&Bounds::default(), process, stdio)
    }

    /// As [`Sandbox::start`]: this system has neither of the bounds.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub fn start_within(
        &self,
        _: &Bounds<'_>,
        process: &Process,
        stdio: &Stdio,
    ) -> Result<Tree, SandboxError> {
        refuse_nul(process)?;
        self.refuse_without_proxy(process)?;
        refuse_terminal(process)?;
        let found = enter(process).and_then(|()| program::find(process));
        let found = match found {
            Ok(found) => found,
            Err(failure) => return tree::not_executed(failure).map_err(not_started),
        };
        let mut command = self.command(process, &found, stdio)?;
        command.env_clear().envs(variables(process)).current_dir(&process.cwd);
        give(&mut command, stdio).map_err(|source| {
            not_started(SpawnError::Make { what: "the standard streams", source })
        })?;
        let host = self.spec.confinement == Confinement::Host;
        let failed = |errno| match errno {
            LIMIT_REFUSED => Some(StepFailure::new(0, "set the limits".to_owned(), false, errno)),
            // The arguments of the command are too long, whoever is given them.
            libc::E2BIG => Some(program::failure(process, errno)),
            errno => host.then(|| program::failure(process, errno)),
        };
        tree::start(command, limits(process), process.linger, failed).map_err(not_started)
    }

    /// The program to start and its arguments.
    fn command(
        &self,
        process: &Process,
        found: &Path,
        stdio: &Stdio,
    ) -> Result<Command, SandboxError> {
        let rest = process.args.iter().skip(1);
        if self.spec.confinement == Confinement::Host {
            let mut command = Command::new(found);
            command.args(rest);
            if let Some(name) = process.args.first() {
                command.arg0(name);
            }
            return Ok(command);
        }
        let streams = [&stdio.stdin, &stdio.stdout, &stdio.stderr];
        let mut command = seatbelt::command(&self.program, &text(&self.rules(process, &streams))?);
        command.arg(name_to_execute(process, found)).args(rest);
        Ok(command)
    }

    fn refuse_without_proxy(&self, process: &Process) -> Result<(), SandboxError> {
        match process.proxy {
            None | Some(0) if self.wants_proxy() => Err(SandboxError::NoProxy),
            _ => Ok(()),
        }
    }

    /// The rules of one run.
    fn rules(&self, process: &Process, streams: &[&OwnedFd]) -> Rules {
        let mut rules = self.seen.rules.clone();
        if let Some(port) = process.proxy.filter(|_| self.wants_proxy()) {
            rules.network = NetworkRule::Gateway(port);
        }
        rules.temp = process.temp.as_deref().map(super::names::resolved);
        rules.terminals = streams.iter().filter_map(|fd| ttyname(fd.as_fd()).ok()).collect();
        rules.terminals.sort();
        rules.terminals.dedup();
        rules
    }
}

/// `sandbox-exec` gives the program the name it was asked for by, so the name is kept where its
/// own search, along the `PATH` of the command, finds the same file.
fn name_to_execute(process: &Process, found: &Path) -> OsString {
    let first = process.args.first();
    match &process.program {
        Program::Path(path) if first.is_some_and(|first| first == path.as_os_str()) => {
            path.clone().into_os_string()
        }
        Program::Search { name, path } if first == Some(name) && path_variable(process) == path => {
            name.clone()
        }
        _ => found.as_os_str().to_owned(),
    }
}

fn path_variable(process: &Process) -> &OsStr {
    let path = process.env.iter().find(|(name, _)| name == "PATH");
    path.map_or(OsStr::new(""), |(_, value)| value)
}

/// The environment, and where temporary files go unless it says so itself.
fn variables(process: &Process) -> Vec<(OsString, OsString)> {
    let mut variables = process.env.clone();
    if let Some(temp) = &process.temp
        && !variables.iter().any(|(name, _)| name == "TMPDIR")
    {
        variables.push(("TMPDIR".into(), temp.clone().into_os_string()));
    }
    variables
}

fn limits(process: &Process) -> Vec<Limit> {
    process.rlimits.iter().map(|limit| (limit.resource, limit.soft, limit.hard)).collect()
}

fn give(command: &mut Command, stdio: &Stdio) -> io::Result<()> {
    command.stdin(stdio.stdin.try_clone()?);
    command.stdout(stdio.stdout.try_clone()?);
    command.stderr(stdio.stderr.try_clone()?);
    Ok(())
}

/// A directory that cannot be entered would be told as a program that does not exist.
fn enter(process: &Process) -> Result<(), StepFailure> {
    let errno = match fs::metadata(&process.cwd) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => libc::ENOTDIR,
        Err(error) => error.raw_os_error().unwrap_or(libc::EACCES),
    };
    Err(StepFailure::new(0, entering(process), false, errno))
}

fn entering(process: &Process) -> String {
    format!("change to directory `{}`", process.cwd.display())
}

/// Nobody sends a terminal here: a process that asks for one is refused before it starts.
///
/// # Errors
/// None.
#[cfg(target_os = "macos")]
pub fn receive_terminal(
    _socket: &std::os::unix::net::UnixStream,
) -> std::io::Result<Option<[std::os::fd::OwnedFd; 2]>> {
    Ok(None)
}

/// The one who would open it lives in the sandbox, and there is nobody of ours there.
fn refuse_terminal(process: &Process) -> Result<(), SandboxError> {
    match process.terminal {
        None => Ok(()),
        Some(_) => Err(SandboxError::CannotHold {
            what: "a terminal of the command's own".to_owned(),
            why: "it is made on Linux only".to_owned(),
            remedy: "leave `--tty` out, or put `script -q /dev/null` before the command".to_owned(),
        }),
    }
}

fn refuse_nul(process: &Process) -> Result<(), SandboxError> {
    let nul = |text: &OsStr| text.as_bytes().contains(&0);
    let role = if program::candidates(process).iter().any(|path| nul(path.as_os_str())) {
        "the program's path"
    } else if process.args.iter().any(|argument| nul(argument)) {
        "an argument"
    } else if process.env.iter().any(|(name, value)| nul(name) || nul(value)) {
        "an environment variable"
    } else {
        return Ok(());
    };
    Err(SandboxError::Nul { role })
}

fn text(rules: &Rules) -> Result<String, SandboxError> {
    profile::profile(rules).map_err(|BadPath { path, why }| SandboxError::Path {
        role: "path",
        path,
        source: io::Error::new(io::ErrorKind::InvalidInput, why),
    })
}

#[cfg(target_os = "macos")]
fn not_started(error: SpawnError) -> SandboxError {
    SandboxError::Spawn(error)
}

/// In the tests of other systems, whose own error has that place.
#[cfg(not(target_os = "macos"))]
fn not_started(error: SpawnError) -> SandboxError {
    let why = format!("{error}: {:?}", std::error::Error::source(&error));
    SandboxError::Unavailable { why, remedy: String::new() }
}

fn refuse_overlay(spec: &SandboxSpec) -> Result<(), SandboxError> {
    match &spec.files {
        Files::View(view) if view.overlay.is_some() => Err(SandboxError::Unavailable {
            why: "macOS has no layer that takes up the changes to a workspace".to_owned(),
            remedy: "use \"workspace_rw_scoped\" on a copy of the workspace".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Every result says so until somebody with a Mac has tried it.
const UNTRIED: &str =
    "the sandbox of macOS has never been tried on a real machine; see docs/platforms.md";

const PROXIED: &str = "by a profile that has never been tried on a real machine; the gateway is a proxy on \
                       the loopback: programs that do not heed `HTTPS_PROXY` and its like reach nothing";

/// How far each property holds that the specification asks for.
fn enforcement(spec: &SandboxSpec) -> Enforcement {
    let mut enforcement = Enforcement::default();
    let partial = |why: &str| Level::Partial(why.to_owned());
    // Nothing may be called full that nobody has seen hold.
    let by_profile = || partial("by a profile that has never been tried on a real machine");
    if spec.confinement == Confinement::Sandbox {
        if matches!(spec.files, Files::View(_)) {
            enforcement.set("files", by_profile());
            enforcement.set("hidden", by_profile());
        }
        match spec.network {
            Network::Inherit => {}
            Network::Deny => enforcement.set("network", by_profile()),
            Network::Gateway(_) => enforcement.set("network", partial(PROXIED)),
        }
        let others = "others can be listed, though not signalled, traced or read";
        enforcement.set("processes", partial(others));
        let shared = "semaphores by name are shared with the host, and system services that every \
                      program needs can be asked";
        enforcement.set("ipc", partial(shared));
        if spec.unix_sockets != UnixSockets::Inherit {
            enforcement.set("unix_sockets", by_profile());
        }
        let kernel = "macOS has no filter for system calls; the profile decides by operation";
        enforcement.set("system_calls", partial(kernel));
    }
    let end = "a process that leaves the process group and whose parent has ended is not found";
    enforcement.set("end", partial(end));
    enforcement
}

#[cfg(test)]
mod tests;

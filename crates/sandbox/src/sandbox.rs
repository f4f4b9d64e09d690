//! A sandbox: prepared once, started any number of times.

use crate::{
    enforcement::{Backend, Enforcement, Level},
    error::SandboxError,
    linux::{
        describe,
        host::Host,
        mounts,
        plan::{self, Frame},
    },
    spec::{Confinement, Files, Network, Process, SandboxSpec, Stdio},
    unheld::Unheld,
};
use ringfence_launcher::{SpawnError, Tree, landlock_abi};
use std::{io, os::fd::AsFd, sync::Arc};

/// A sandbox, ready to be started any number of times.
///
/// What the host looked like when it was prepared is part of it: if a path it
/// mounts or hides is another file by the time of a start, that start fails, and
/// the sandbox is to be prepared again.
#[derive(Debug)]
pub struct Sandbox {
    spec: SandboxSpec,
    host: Host,
    frame: Frame,
    enforcement: Enforcement,
}

impl Sandbox {
    /// Looks at the host and decides how the specification is enforced. Starts
    /// no process and walks no tree.
    ///
    /// # Errors
    /// When a path cannot be used, or full enforcement was asked for and is not
    /// to be had.
    pub fn prepare(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        let host = Host::look(spec, landlock_abi())?;
        mounts::check(&host)?;
        let enforcement = enforcement(spec, &host);
        if spec.strict
            && let Some((property, level)) = enforcement.first_gap_in(OF_NAMESPACES)
        {
            return Err(SandboxError::NotFull { property, level: level.to_string() });
        }
        let frame = plan::frame(spec, &host);
        Ok(Self { spec: spec.clone(), host, frame, enforcement })
    }

    /// What carries the sandbox out.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.spec.confinement {
            Confinement::Host => Backend::Host,
            Confinement::Sandbox => Backend::LinuxNamespaces,
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
        &self.host.warnings
    }

    /// Protected paths that this sandbox cannot hold while the command runs; the caller
    /// sets them right when it is over.
    #[must_use]
    pub fn unheld(&self) -> &[Unheld] {
        &self.host.unheld
    }

    /// The command can have no `/tmp` of its own here: give it a directory as [`Process::temp`].
    #[must_use]
    pub fn wants_temp(&self) -> bool {
        self.backend() == Backend::LinuxLandlock
    }

    /// The next weaker sandbox that this host may give, when `error` says that it refuses this
    /// one; `None` when the error says something else, or nothing weaker would do.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`], for the weaker sandbox.
    pub fn fall_back(&self, error: &SandboxError) -> Option<Result<Self, SandboxError>> {
        let _ = error;
        None
    }

    /// What a command will see, write, reach and use up, in plain words, a line each.
    #[must_use]
    pub fn describe(&self, process: &Process) -> Vec<String> {
        describe::describe(&self.spec, &self.host, process)
    }

    /// The steps, a line each.
    ///
    /// # Errors
    /// When a text of the process has a NUL byte.
    pub fn plan_text(&self, process: &Process) -> Result<String, SandboxError> {
        Ok(plan::plan(&self.frame, process)?.to_string())
    }

    /// Starts a command. What goes wrong from here on is told by the reports of
    /// the tree.
    ///
    /// # Errors
    /// When the process cannot be made, or a text of it has a NUL byte.
    pub fn start(&self, process: &Process, stdio: &Stdio) -> Result<Tree, SandboxError> {
        let plan = Arc::new(plan::plan(&self.frame, process)?);
        let descriptors = [stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()];
        ringfence_launcher::spawn(&plan, descriptors).map_err(explain)
    }
}

/// A refusal of namespaces is the one failure a user meets and can mend.
fn explain(error: SpawnError) -> SandboxError {
    const REMEDY: &str = "see `ringfence doctor` for what is refused here and how to allow it; \
                          `mode = \"host\"` runs without a sandbox";
    let why = match &error {
        SpawnError::Clone(source) => match source.raw_os_error() {
            Some(libc::EPERM) => "user namespaces are refused to this user",
            Some(libc::ENOSPC | libc::EUSERS) => "no further user namespace may be made",
            Some(libc::EINVAL | libc::ENOSYS) => "the kernel has no user namespaces",
            _ => return SandboxError::Spawn(error),
        },
        SpawnError::Birth { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "a user namespace can be made but not used"
        }
        _ => return SandboxError::Spawn(error),
    };
    SandboxError::Unavailable { why: format!("{why} ({error})"), remedy: REMEDY.to_owned() }
}

/// The properties that strict isolation is about: what namespaces give.
const OF_NAMESPACES: &[&str] = &["files", "hidden", "network", "processes", "ipc"];

/// How far each property holds that the specification asks for.
fn enforcement(spec: &SandboxSpec, host: &Host) -> Enforcement {
    let mut enforcement = Enforcement::default();
    if spec.confinement == Confinement::Host {
        return enforcement;
    }
    if matches!(spec.files, Files::View(_)) {
        enforcement.set("files", files(host.landlock_abi));
        enforcement.set("hidden", Level::Full);
    }
    if spec.network == Network::Deny {
        enforcement.set("network", Level::Full);
    }
    enforcement.set("processes", Level::Full);
    enforcement.set("ipc", ipc(spec, host.landlock_abi));
    enforcement.set("unix_sockets", unix_sockets(spec));
    enforcement.set("system_calls", Level::Full);
    enforcement
}

fn files(abi: u32) -> Level {
    if abi >= plan::LEAST_ABI {
        return Level::Full;
    }
    let why = "without Landlock a file given as standard input can be opened again for writing";
    Level::Partial(why.to_owned())
}

fn ipc(spec: &SandboxSpec, abi: u32) -> Level {
    if spec.network == Network::Inherit && abi < 6 {
        let why = "abstract sockets of the host can be reached on the host's network";
        return Level::Partial(why.to_owned());
    }
    Level::Full
}

fn unix_sockets(spec: &SandboxSpec) -> Level {
    let why = match spec.files {
        Files::Inherit => "the host's files are shared, and the sockets among them",
        Files::View(_) => {
            "the host's sockets outside /run, /tmp and /var/tmp can be connected to where their modes allow it"
        }
    };
    Level::Partial(why.to_owned())
}

//! A plan: what the launcher does, in order, as data.
//!
//! Steps are written in the order they are carried out. Set-up steps come first
//! and are carried out by the init; the final ones are carried out in the
//! command's own process, the last of them executes the program. The order is
//! checked when the plan is encoded, so that a privilege cannot be dropped
//! before the step that needs it or a wall be raised in the wrong process.

use crate::init::wire::{self, Op};
use std::{
    ffi::{CStr, CString, OsStr},
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Which file must lie at a path, as stat(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

impl Identity {
    fn words(identity: Option<Self>) -> (u64, u64) {
        identity.map_or((0, 0), |Self { device, inode }| {
            let (major, minor) = (libc::major(device), libc::minor(device));
            (u64::from(major) << 32 | u64::from(minor), inode)
        })
    }
}

/// Number of a descriptor that one step makes and a later one uses (0 to 255).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u8);

/// Attributes of mounts, as `MOUNT_ATTR_*` in mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// Attributes to set.
    pub set: u64,
    /// Apply to everything mounted below, too.
    pub recursive: bool,
    /// Cut the mounts off from events of the host.
    pub private: bool,
}

/// Nothing can be changed through the mount.
pub const READ_ONLY: u64 = 1;
/// Set-user-ID and file capabilities have no effect.
pub const NO_SUID: u64 = 2;
/// Device nodes cannot be opened.
pub const NO_DEV: u64 = 4;
/// Nothing can be executed.
pub const NO_EXEC: u64 = 8;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Enter new namespaces, as `CLONE_NEW*` in unshare(2).
    Unshare {
        /// The namespaces.
        flags: u64,
    },
    /// Change attributes of the mounts at a path.
    MountAttr {
        /// A mount point.
        path: PathBuf,
        /// What to change.
        attributes: MountAttributes,
    },
    /// Copy the tree of mounts at a path, for attaching it elsewhere or above
    /// what covers it later: open_tree(2).
    CloneTree {
        /// Where the copy is kept.
        into: Slot,
        /// What to copy; no symbolic link on the way.
        path: PathBuf,
        /// With everything mounted below.
        recursive: bool,
        /// Which file it must be.
        identity: Option<Identity>,
    },
    /// Make a new file system: fsopen(2), fsmount(2).
    NewFs {
        /// Where the mount is kept.
        into: Slot,
        /// `tmpfs`, `proc`, `devpts`.
        kind: &'static str,
        /// Options as key and value.
        options: Vec<(&'static str, String)>,
        /// Attributes of the mount.
        attributes: u64,
    },
    /// Lay a writable layer over a directory: overlayfs.
    Overlay {
        /// Where the mount is kept.
        into: Slot,
        /// The directory that stays as it is; no symbolic link on the way.
        lower: PathBuf,
        /// Which file it must be.
        identity: Option<Identity>,
        /// Takes up the changes.
        upper: PathBuf,
        /// Scratch, on the same file system as `upper`.
        work: PathBuf,
        /// Attributes of the mount.
        attributes: u64,
    },
    /// Change attributes of a tree that is not attached yet.
    TreeAttr {
        /// The tree.
        tree: Slot,
        /// What to change.
        attributes: MountAttributes,
    },
    /// Put a tree at a path: move_mount(2).
    Attach {
        /// The tree; its slot is free afterwards.
        tree: Slot,
        /// Where; no symbolic link on the way.
        path: PathBuf,
        /// Which file must lie there.
        identity: Option<Identity>,
        /// It only hides what lies there: where the way is barred to the init it is
        /// barred to the command, and nothing needs to be hidden.
        cover: bool,
    },
    /// Make a directory; one that is there is fine.
    Mkdir {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Make a file; one that is there is left alone.
    MakeFile {
        /// Where.
        path: PathBuf,
        /// Its content.
        content: String,
        /// Its mode.
        mode: u32,
    },
    /// Make a symbolic link; anything that is there is left alone.
    Symlink {
        /// What it says.
        target: PathBuf,
        /// Where.
        path: PathBuf,
    },
    /// Bring a network interface up.
    InterfaceUp {
        /// Its name.
        name: &'static str,
    },
    /// Hand out sockets of this network namespace to the supervisor, and wait until it says
    /// that everything is ready: [`Report::Sockets`](crate::Report::Sockets),
    /// [`SocketService`](crate::SocketService).
    OfferSockets,
    /// Make a Landlock ruleset, see landlock(7).
    RulesetCreate {
        /// Where it is kept.
        into: Slot,
        /// Handled rights on files, `LANDLOCK_ACCESS_FS_*`.
        files: u64,
        /// Handled rights on the network, `LANDLOCK_ACCESS_NET_*` (ABI 4).
        network: u64,
        /// Scopes, `LANDLOCK_SCOPE_*` (ABI 6).
        scopes: u64,
        /// Bytes of the structure that the kernel's ABI knows: 8, 16 or 24.
        size: u8,
    },
    /// Grant rights below a path.
    RulesetAllow {
        /// The ruleset.
        ruleset: Slot,
        /// The rights.
        access: u64,
        /// Where; no symbolic link on the way.
        path: PathBuf,
        /// Which file it must be.
        identity: Option<Identity>,
        /// Nothing is granted, and nothing has failed, when the file is gone or another by now.
        lenient: bool,
    },
    /// Grant rights on one TCP port, `LANDLOCK_ACCESS_NET_*` (ABI 4).
    RulesetAllowPort {
        /// The ruleset.
        ruleset: Slot,
        /// The rights.
        access: u64,
        /// The port, at any address.
        port: u16,
    },
    /// What the init does with the calls that a filter hands to it (see
    /// [`Step::Seccomp`]): it carries connections out itself, so that the socket
    /// that was looked at is the one that is connected to, and it tells which
    /// writes will be refused.
    ///
    /// # Caveats
    /// A Landlock ruleset holds the command and not the init: its rules for TCP and for
    /// abstract sockets do not hold connections that the init carries out. The other end
    /// of a Unix socket sees the init as who has connected (`SO_PEERCRED`): the same user
    /// and group, another process. `/proc` must show the processes of the tree by the
    /// numbers the init knows them by.
    Watch {
        /// The network namespace is the tree's own, so every socket in it is.
        own_network: bool,
        /// Connections to any socket of the host are let through.
        any_socket: bool,
        /// Somebody outside serves the network and refuses connections himself; the init
        /// tells which program was refused.
        gateway: bool,
    },
    /// One socket of the host that may be connected to.
    WatchAllow {
        /// Which file it is.
        socket: Identity,
    },
    /// In the internet only this port of the loopback may be connected to, and nobody listens.
    WatchPort {
        /// The port, not 0.
        port: u16,
    },
    /// Give the PID namespace that the init was born in a highest number, where the kernel has one for
    /// each namespace (Linux 6.14); elsewhere nothing is changed.
    /// [`Report::Started`](crate::Report::Started) says which it is.
    ///
    /// # Caveats
    /// A kernel without such numbers has one for the whole machine, in the same file, and root could
    /// change it from here. So it is written only when the file says another number than the caller
    /// saw, and the one that a new namespace begins with.
    MostProcesses {
        /// The highest number, 301 at least.
        highest: u64,
        /// The highest number of the caller's own namespace.
        outside: u64,
    },
    /// Become the parent of orphans of the tree: `PR_SET_CHILD_SUBREAPER`.
    Subreaper,
    /// Final: a session of its own, without a controlling terminal.
    NewSession,
    /// Final: default action for every signal, none blocked.
    ResetSignals,
    /// Final: one limit of setrlimit(2), never above the hard limit that is there.
    Rlimit {
        /// `RLIMIT_*`.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
    },
    /// Final: no program executed from here on gains privileges.
    NoNewPrivs,
    /// Final: no capability in any set, securebits locked.
    DropPrivileges,
    /// Final: enter the Landlock ruleset.
    RulesetEnforce {
        /// The ruleset.
        ruleset: Slot,
    },
    /// Final: load a system call filter.
    Seccomp {
        /// Instructions of classic BPF, eight bytes each.
        program: Vec<[u8; 8]>,
        /// The init listens for the calls that the filter hands on (`SECCOMP_RET_USER_NOTIF`).
        /// Where it cannot, and without this, the lower half of each such answer is what
        /// becomes of the call: an error number, or 0 to carry it out. It cannot where a filter
        /// with a listener is there already, where the kernel has none, and where
        /// `kernel.yama.ptrace_scope` is 3. [`Report::Started`](crate::Report::Started) says
        /// which it is.
        listen: bool,
    },
    /// Final: the three descriptors of the command take their places.
    Stdio,
    /// Final, instead of [`Step::Stdio`]: a new pseudo-terminal, of the devpts the command sees,
    /// becomes the controlling terminal of the session and the three descriptors. Its master,
    /// and after it a descriptor of the command's side, are sent over the second of the given
    /// descriptors, which is a socket.
    Terminal {
        /// Width in characters.
        columns: u16,
        /// Height in lines.
        rows: u16,
    },
    /// Final: change the working directory.
    Chdir {
        /// Where to.
        path: PathBuf,
    },
    /// Final: close every descriptor above 2.
    CloseOthers,
    /// Final, last: execute the first of these files that can be.
    Exec {
        /// Files to try.
        candidates: Vec<CString>,
        /// Arguments, the name of the program first.
        args: Vec<CString>,
        /// The environment, `NAME=value`.
        env: Vec<CString>,
    },
}

impl Step {
    pub(crate) fn op(&self) -> Op {
        match self {
            Self::Unshare { .. } => Op::Unshare,
            Self::MountAttr { .. } => Op::MountAttr,
            Self::CloneTree { .. } => Op::CloneTree,
            Self::NewFs { .. } => Op::NewFs,
            Self::TreeAttr { .. } => Op::TreeAttr,
            Self::Attach { .. } => Op::Attach,
            Self::Mkdir { .. } => Op::Mkdir,
            Self::MakeFile { .. } => Op::MakeFile,
            Self::Symlink { .. } => Op::Symlink,
            Self::InterfaceUp { .. } => Op::InterfaceUp,
            Self::OfferSockets => Op::OfferSockets,
            Self::RulesetCreate { .. } => Op::RulesetCreate,
            Self::RulesetAllow { .. } => Op::RulesetAllow,
            Self::Overlay { .. } => Op::Overlay,
            Self::RulesetAllowPort { .. } => Op::RulesetAllowPort,
            Self::Watch { .. } => Op::Watch,
            Self::WatchAllow { .. } => Op::WatchAllow,
            Self::WatchPort { .. } => Op::WatchPort,
            Self::MostProcesses { .. } => Op::MostProcesses,
            Self::Subreaper => Op::Subreaper,
            Self::NewSession => Op::NewSession,
            Self::ResetSignals => Op::ResetSignals,
            Self::Rlimit { .. } => Op::Rlimit,
            Self::NoNewPrivs => Op::NoNewPrivs,
            Self::DropPrivileges => Op::DropPrivileges,
            Self::RulesetEnforce { .. } => Op::RulesetEnforce,
            Self::Seccomp { .. } => Op::Seccomp,
            Self::Stdio => Op::Stdio,
            Self::Terminal { .. } => Op::Terminal,
            Self::Chdir { .. } => Op::Chdir,
            Self::CloseOthers => Op::CloseOthers,
            Self::Exec { .. } => Op::Exec,
        }
    }
}

/// The steps, and what the init must know beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Namespaces the init is born in, `CLONE_NEW*`: user and PID can only be
    /// entered at birth. None: the host's.
    pub namespaces: u64,
    /// Milliseconds that processes which outlive the command may go on.
    pub linger_ms: u32,
    /// What to do.
    pub steps: Vec<Step>,
}

/// A plan that makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// The last step, and only the last, must execute a program.
    #[error("a plan ends with its one execution")]
    NoExecution,
    /// A set-up step stands behind a final one.
    #[error("step {index} ({step}) must come before the final steps")]
    Order {
        /// Its position.
        index: usize,
        /// What it does.
        step: String,
    },
    /// A path or text has a NUL byte.
    #[error("step {index} ({step}) has a NUL byte in a text")]
    Nul {
        /// Its position.
        index: usize,
        /// What it does.
        step: String,
    },
    /// A filter is to be listened to, and no step says what the init does with its calls.
    #[error("step {index} ({step}) needs a step before it that says what is listened for")]
    NobodyListens {
        /// Its position.
        index: usize,
        /// What it does.
        step: String,
    },
    /// The plan is larger than the encoding can say (4 GiB).
    #[error("the plan is too large")]
    TooLarge,
}

impl Plan {
    /// The plan as the launcher reads it.
    ///
    /// # Errors
    /// When steps are out of order, or a text has a NUL byte.
    pub fn encode(&self) -> Result<Vec<u8>, PlanError> {
        self.check()?;
        let mut bytes = Vec::with_capacity(4096);
        let flags = if self.namespaces & CLONE_NEWPID != 0 { wire::FLAG_PID_NAMESPACE } else { 0 };
        let steps = u32::try_from(self.steps.len()).map_err(|_| PlanError::TooLarge)?;
        for word in [wire::MAGIC, flags, 0, steps, self.linger_ms, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for step in &self.steps {
            encode_step(step, &mut bytes)?;
        }
        let size = u32::try_from(bytes.len()).map_err(|_| PlanError::TooLarge)?;
        bytes[8..12].copy_from_slice(&size.to_le_bytes());
        Ok(bytes)
    }

    fn check(&self) -> Result<(), PlanError> {
        let execution = self.steps.iter().position(|step| step.op() == Op::Exec);
        if execution.is_none_or(|index| index + 1 != self.steps.len()) {
            return Err(PlanError::NoExecution);
        }
        let first = self.steps.iter().position(|step| step.op().is_final()).unwrap_or(0);
        for (index, step) in self.steps.iter().enumerate() {
            if index > first && !step.op().is_final() {
                return Err(PlanError::Order { index, step: step.to_string() });
            }
            let heard = matches!(step, Step::Seccomp { listen: true, .. });
            if heard && !self.steps[..index].iter().any(|step| step.op() == Op::Watch) {
                return Err(PlanError::NobodyListens { index, step: step.to_string() });
            }
            if texts(step).iter().any(|text| text.contains(&0)) {
                return Err(PlanError::Nul { index, step: step.to_string() });
            }
        }
        Ok(())
    }
}

const CLONE_NEWPID: u64 = libc::CLONE_NEWPID as u64;

/// The texts of a step in the order the launcher reads them.
fn texts(step: &Step) -> Vec<&[u8]> {
    fn path(path: &Path) -> &[u8] {
        path.as_os_str().as_bytes()
    }
    match step {
        Step::MountAttr { path: p, .. }
        | Step::CloneTree { path: p, .. }
        | Step::Attach { path: p, .. }
        | Step::Mkdir { path: p, .. }
        | Step::RulesetAllow { path: p, .. }
        | Step::Chdir { path: p } => vec![path(p)],
        Step::NewFs { kind, options, .. } => std::iter::once(kind.as_bytes())
            .chain(options.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]))
            .collect(),
        Step::Overlay { lower, upper, work, .. } => vec![path(lower), path(upper), path(work)],
        Step::MakeFile { path: p, content, .. } => vec![path(p), content.as_bytes()],
        Step::Symlink { target, path: p } => vec![path(target), path(p)],
        Step::InterfaceUp { name } => vec![name.as_bytes()],
        Step::Exec { candidates, args, env } => {
            candidates.iter().chain(args).chain(env).map(|text| text.as_bytes()).collect()
        }
        _ => Vec::new(),
    }
}

/// The six words of a step, by operation.
fn words(step: &Step) -> [u64; 6] {
    let attributes = |a: &MountAttributes| {
        [a.recursive.into(), a.set, 0, if a.private { libc::MS_PRIVATE } else { 0 }, 0, 0]
    };
    match step {
        Step::Unshare { flags } => [*flags, 0, 0, 0, 0, 0],
        Step::MountAttr { attributes: a, .. } => attributes(a),
        Step::TreeAttr { tree, attributes: a } => {
            let mut w = attributes(a);
            w[4] = tree.0.into();
            w
        }
        Step::CloneTree { into, recursive, identity, .. } => {
            let (device, inode) = Identity::words(*identity);
            [into.0.into(), (*recursive).into(), device, inode, 0, 0]
        }
        Step::NewFs { into, attributes, .. } => [into.0.into(), *attributes, 0, 0, 0, 0],
        Step::Attach { tree, identity, cover, .. } => {
            let (device, inode) = Identity::words(*identity);
            [tree.0.into(), u64::from(*cover), device, inode, 0, 0]
        }
        Step::Overlay { into, identity, attributes, .. } => {
            let (device, inode) = Identity::words(*identity);
            [into.0.into(), *attributes, device, inode, 0, 0]
        }
        Step::Watch { own_network, any_socket, gateway } => {
            [(*own_network).into(), (*any_socket).into(), (*gateway).into(), 0, 0, 0]
        }
        Step::WatchPort { port } => [u64::from(*port), 0, 0, 0, 0, 0],
        Step::RulesetAllowPort { ruleset, access, port } => {
            [ruleset.0.into(), *access, u64::from(*port), 0, 0, 0]
        }
        Step::WatchAllow { socket } => {
            let (device, inode) = Identity::words(Some(*socket));
            [device, inode, 0, 0, 0, 0]
        }
        Step::MostProcesses { highest, outside } => [*highest, *outside, 0, 0, 0, 0],
        Step::Seccomp { listen, .. } => [(*listen).into(), 0, 0, 0, 0, 0],
        Step::Mkdir { mode, .. } | Step::MakeFile { mode, .. } => [u64::from(*mode), 0, 0, 0, 0, 0],
        Step::RulesetCreate { into, files, network, scopes, size } => {
            [into.0.into(), *files, *network, *scopes, u64::from(*size), 0]
        }
        Step::RulesetAllow { ruleset, access, identity, lenient, .. } => {
            let (device, inode) = Identity::words(*identity);
            [ruleset.0.into(), *access, device, inode, (*lenient).into(), 0]
        }
        Step::RulesetEnforce { ruleset } => [ruleset.0.into(), 0, 0, 0, 0, 0],
        Step::Rlimit { resource, soft, hard } => [u64::from(*resource), *soft, *hard, 0, 0, 0],
        Step::Terminal { columns, rows } => [u64::from(*columns), u64::from(*rows), 0, 0, 0, 0],
        Step::Exec { candidates, args, env } => {
            [candidates.len() as u64, args.len() as u64, env.len() as u64, 0, 0, 0]
        }
        _ => [0; 6],
    }
}

fn encode_step(step: &Step, bytes: &mut Vec<u8>) -> Result<(), PlanError> {
    let start = bytes.len();
    bytes.extend_from_slice(&(step.op() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for word in words(step) {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    match step {
        Step::Exec { args, env, .. } => {
            // Room for the pointers, as the launcher fills them in.
            bytes.resize(bytes.len() + (args.len() + env.len() + 3) * 8, 0);
        }
        Step::Seccomp { program, .. } => push_text(program.as_flattened(), bytes),
        _ => {}
    }
    for text in texts(step) {
        push_text(text, bytes);
    }
    let size = u32::try_from(bytes.len() - start).map_err(|_| PlanError::TooLarge)?;
    bytes[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
    Ok(())
}

fn push_text(text: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespaces != 0 {
            writeln!(f, "be born in new namespaces: {}", namespace_names(self.namespaces))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// The namespaces of a set of `CLONE_NEW*`, by name.
fn namespace_names(flags: u64) -> String {
    const NAMES: [(i32, &str); 7] = [
        (libc::CLONE_NEWUSER, "user"),
        (libc::CLONE_NEWPID, "pid"),
        (libc::CLONE_NEWNS, "mount"),
        (libc::CLONE_NEWNET, "net"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWCGROUP, "cgroup"),
    ];
    let names: Vec<_> =
        NAMES.iter().filter(|(flag, _)| flags & *flag as u64 != 0).map(|(_, name)| *name).collect();
    names.join(", ")
}

impl fmt::Display for MountAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u64, &str); 4] =
            [(READ_ONLY, "ro"), (NO_SUID, "nosuid"), (NO_DEV, "nodev"), (NO_EXEC, "noexec")];
        let mut words: Vec<_> =
            NAMES.iter().filter(|(bit, _)| self.set & bit != 0).map(|(_, name)| *name).collect();
        words.extend(self.private.then_some("private"));
        words.extend(self.recursive.then_some("recursive"));
        f.write_str(&words.join(","))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = |set| MountAttributes { set, ..MountAttributes::default() };
        match self {
            Self::Unshare { flags } => {
                write!(f, "enter new namespaces: {}", namespace_names(*flags))
            }
            Self::MountAttr { path, attributes } => {
                write!(f, "set {attributes} on the mounts at `{}`", path.display())
            }
            Self::CloneTree { into, path, .. } => {
                write!(f, "copy the mounts at `{}` into {}", path.display(), into.0)
            }
            Self::NewFs { into, kind, options, attributes } => {
                write!(f, "make a new {kind} ({}) into {}", own(*attributes), into.0)?;
                options.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
            }
            Self::TreeAttr { tree, attributes } => write!(f, "set {attributes} on {}", tree.0),
            Self::Attach { tree, path, .. } => {
                write!(f, "attach {} at `{}`", tree.0, path.display())
            }
            Self::Mkdir { path, mode } => {
                write!(f, "make the directory `{}` {mode:o}", path.display())
            }
            Self::MakeFile { path, mode, .. } => {
                write!(f, "make the file `{}` {mode:o}", path.display())
            }
            Self::Symlink { target, path } => {
                write!(f, "make the link `{}` to `{}`", path.display(), target.display())
            }
            Self::InterfaceUp { name } => write!(f, "bring the interface {name} up"),
            Self::OfferSockets => f.write_str("hand out sockets, and wait for the gateway"),
            Self::RulesetCreate { into, files, network, scopes, .. } => write!(
                f,
                "make a landlock ruleset (files {files:#x}, network {network:#x}, scopes {scopes:#x}) into {}",
                into.0
            ),
            Self::RulesetAllow { ruleset, access, path, .. } => {
                write!(f, "allow {access:#x} below `{}` in {}", path.display(), ruleset.0)
            }
            Self::Overlay { into, lower, upper, .. } => write!(
                f,
                "lay the layer `{}` over `{}` into {}",
                upper.display(),
                lower.display(),
                into.0
            ),
            Self::RulesetAllowPort { ruleset, access, port } => {
                write!(f, "allow {access:#x} on TCP port {port} in {}", ruleset.0)
            }
            Self::Watch { own_network, any_socket, gateway } => {
                let sockets = match (any_socket, own_network) {
                    (true, _) => "any socket",
                    (false, true) => "sockets of the own network",
                    (false, false) => "sockets of the own processes",
                };
                let who = if *gateway { ", and which program a gateway refuses" } else { "" };
                write!(f, "carry connections out to {sockets}, and tell what is refused{who}")
            }
            Self::WatchPort { port } => {
                write!(f, "in the internet connect to port {port} of the loopback alone")
            }
            Self::WatchAllow { socket } => {
                write!(f, "allow connections to the socket with inode {}", socket.inode)
            }
            Self::MostProcesses { highest, .. } => {
                write!(f, "number processes up to {highest}, where a namespace can have its own")
            }
            Self::Subreaper => f.write_str("become the parent of orphans"),
            Self::NewSession => f.write_str("start a new session"),
            Self::ResetSignals => f.write_str("reset signals"),
            Self::Rlimit { resource, soft, hard } => {
                write!(f, "set resource limit {resource} to {soft}, at most {hard}")
            }
            Self::NoNewPrivs => f.write_str("gain no privileges by executing"),
            Self::DropPrivileges => f.write_str("drop every capability"),
            Self::RulesetEnforce { ruleset } => write!(f, "enforce ruleset {}", ruleset.0),
            Self::Seccomp { program, listen } => {
                let heard = if *listen { ", heard by the init" } else { "" };
                write!(f, "load the system call filter ({} instructions{heard})", program.len())
            }
            Self::Stdio => f.write_str("take the three standard descriptors"),
            Self::Terminal { columns, rows } => {
                write!(f, "open a terminal of {columns} columns and {rows} rows")
            }
            Self::Chdir { path } => write!(f, "change to directory `{}`", path.display()),
            Self::CloseOthers => f.write_str("close every other descriptor"),
            Self::Exec { candidates, .. } => {
                let names: Vec<_> = candidates.iter().map(|path| shown(path)).collect();
                write!(f, "execute `{}`", names.join("` or `"))
            }
        }
    }
}

fn shown(text: &CStr) -> String {
    Path::new(OsStr::from_bytes(text.to_bytes())).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec() -> Step {
        Step::Exec { candidates: vec![c"/bin/x".into()], args: vec![c"x".into()], env: vec![] }
    }

    fn check(steps: Vec<Step>, expect: Result<(), PlanError>) {
        let plan = Plan { namespaces: 0, linger_ms: 0, steps };
        assert_eq!(plan.encode().map(|_| ()), expect);
    }

    #[test]
    fn an_unsound_plan_is_not_encoded() {
        check(vec![exec()], Ok(()));
        check(vec![Step::Subreaper, Step::Stdio, exec()], Ok(()));
        check(vec![], Err(PlanError::NoExecution));
        check(vec![exec(), exec()], Err(PlanError::NoExecution));
        check(vec![exec(), Step::Stdio], Err(PlanError::NoExecution));
        let step = Step::Subreaper.to_string();
        check(vec![Step::Stdio, Step::Subreaper, exec()], Err(PlanError::Order { index: 1, step }));
        let watch = Step::Watch { own_network: true, any_socket: false, gateway: false };
        let filter = Step::Seccomp { program: vec![[0; 8]], listen: true };
        check(vec![watch, filter.clone(), exec()], Ok(()));
        let step = filter.to_string();
        check(vec![filter, exec()], Err(PlanError::NobodyListens { index: 0, step }));
        let nul = Step::Chdir { path: "a\0b".into() };
        let step = nul.to_string();
        check(vec![nul, exec()], Err(PlanError::Nul { index: 0, step }));
    }
}

//! The ladder: which walls this machine gives, found by raising them.
//!
//! A start is optimistic: the first one of a process raises the best walls, and when the kernel
//! refuses, each weaker set is tried in turn with a plan that carries out every step and then
//! executes a program that does not exist. No version, setting or distribution is looked at: a
//! refusal that comes from a container's filter, a security module, a limit or a chroot is the
//! same refusal. What was found is remembered for the life of the process.
//!
//! Deliberately not here: what the weaker walls cannot give (see `levels`), and whether that is
//! enough (see `Sandbox::prepare`).

use super::doctor;
use crate::{
    error::SandboxError,
    sandbox::Sandbox,
    spec::{Confinement, FileView, Files, Network, SandboxSpec, Trace},
};
use ringfence_launcher::{SpawnError, Step};
use std::sync::{Mutex, PoisonError};

/// A set of walls, the strongest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Namespaces with a `/proc` of their own, the system call filter, Landlock.
    #[default]
    Namespaces,
    /// The same under the outer `/proc`: where parts of it are covered, as in a container, no
    /// new one may be mounted.
    OuterProc,
    /// Landlock and the system call filter, where namespaces are refused.
    Landlock,
}

impl Rung {
    const ALL: [Self; 3] = [Self::Namespaces, Self::OuterProc, Self::Landlock];
}

/// What a sandbox stands on here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ground {
    pub(crate) rung: Rung,
    /// Why it is not the rung above.
    pub(crate) why: Option<String>,
    /// Why the init cannot listen to calls that the filter hands to it.
    pub(crate) deaf: Option<String>,
}

impl Ground {
    /// A rung, and why it is not the one above.
    pub(crate) fn new(rung: Rung, why: Option<String>) -> Self {
        // Who listens looks at callers by the numbers that they have in its own namespace.
        let deaf = (rung == Rung::OuterProc)
            .then(|| "the outer /proc has other process numbers than the sandbox".to_owned());
        Self { rung, why, deaf }
    }
}

#[derive(Clone, Debug)]
struct Known {
    ground: Ground,
    /// A command has run on it.
    proven: bool,
}

/// With and without a network and a file view of its own, as the kernel may refuse either.
static KNOWN: Mutex<[Option<Known>; 4]> = Mutex::new([const { None }; 4]);

fn kind(spec: &SandboxSpec) -> usize {
    let (network, view) = (spec.network.is_own(), matches!(spec.files, Files::View(_)));
    usize::from(network) * 2 + usize::from(view)
}

fn with_known<T>(spec: &SandboxSpec, work: impl FnOnce(&mut Option<Known>) -> T) -> T {
    work(&mut KNOWN.lock().unwrap_or_else(PoisonError::into_inner)[kind(spec)])
}

/// What was found for a sandbox of this kind; before anything was, the best.
pub(crate) fn known(spec: &SandboxSpec) -> Ground {
    with_known(spec, |known| known.as_ref().map(|known| known.ground.clone()).unwrap_or_default())
}

/// Whether a command has run on this ground.
pub(crate) fn is_proven(spec: &SandboxSpec, ground: &Ground) -> bool {
    with_known(spec, |known| {
        known.as_ref().is_some_and(|known| known.proven && known.ground == *ground)
    })
}

/// A command has run on this ground. A rung that was asked for by name proves nothing.
pub(crate) fn prove(spec: &SandboxSpec, ground: &Ground) {
    if known(spec) == *ground {
        let known = Known { ground: ground.clone(), proven: true };
        with_known(spec, |place| *place = Some(known));
    }
}

/// The best ground from `rung` down on which a sandbox of this kind stands, by trying each.
///
/// # Errors
/// When none does.
pub(crate) fn find(spec: &SandboxSpec, rung: Rung) -> Result<Ground, SandboxError> {
    let bare = bare(spec);
    let mut why: Option<String> = None;
    let mut last = String::new();
    for rung in Rung::ALL.into_iter().filter(|candidate| *candidate >= rung) {
        let mut ground = Ground::new(rung, why.clone());
        // With a listener, and without: another filter may have one.
        for _ in 0..2 {
            match attempt(&bare, &ground) {
                Ok(()) => return Ok(ground),
                Err(error) => last = error,
            }
            ground.deaf.get_or_insert_with(|| last.clone());
        }
        why.get_or_insert_with(|| last.clone());
    }
    let why = match why {
        Some(why) if why != last => format!("{why}; and by Landlock alone: {last}"),
        _ => last,
    };
    Err(SandboxError::Unavailable { why, remedy: doctor::remedy() })
}

/// Remembers that `better`, which was known, does not stand, and what does.
pub(crate) fn replace(spec: &SandboxSpec, better: &Ground, found: &Ground) {
    if known(spec) == *better {
        let known = Known { ground: found.clone(), proven: false };
        with_known(spec, |place| *place = Some(known));
    }
}

/// The same walls around nothing in particular: no path of the caller's can be what fails.
fn bare(spec: &SandboxSpec) -> SandboxSpec {
    SandboxSpec {
        confinement: Confinement::Sandbox,
        strict: false,
        files: match &spec.files {
            Files::Inherit => Files::Inherit,
            Files::View(_) => Files::View(FileView::default()),
        },
        // A gateway needs no wall that a denied network does not, and nobody serves one here.
        network: if spec.network.is_own() { Network::Deny } else { Network::Inherit },
        unix_sockets: crate::spec::UnixSockets::Private,
        trace: Trace::Changes,
        workspace: "/".into(),
    }
}

fn attempt(bare: &SandboxSpec, ground: &Ground) -> Result<(), String> {
    let sandbox = Sandbox::on(bare, ground.clone()).map_err(|error| doctor::with_causes(&error))?;
    doctor::attempt(None, sandbox.probe())
}

/// Whether an error may mean that the kernel refuses a wall; only another try can tell.
pub(crate) fn may_be_refusal(error: &SandboxError) -> bool {
    match error {
        SandboxError::Unavailable { .. } => true,
        SandboxError::Step(failure) => is_refusal(failure.errno()),
        _ => false,
    }
}

/// A wall that the kernel refuses; a step with a path of the run's own, like the change to its
/// directory, is none.
pub(crate) fn is_wall(step: Option<&Step>, errno: i32) -> bool {
    use Step::{Chdir, Exec, Rlimit, Terminal};
    let own = matches!(step, Some(Chdir { .. } | Exec { .. } | Rlimit { .. } | Terminal { .. }));
    !own && is_refusal(errno)
}

fn is_refusal(errno: i32) -> bool {
    matches!(
        errno,
        libc::EPERM
            | libc::EACCES
            | libc::EINVAL
            | libc::EBUSY
            | libc::ENOSPC
            | libc::EUSERS
            | libc::ENODEV
            | libc::ENOSYS
            | libc::EOPNOTSUPP
            | libc::E2BIG
            | libc::EROFS
    )
}

/// A refusal at birth, in words.
pub(crate) fn explain(error: SpawnError) -> SandboxError {
    if let SpawnError::Group(source) = error {
        return SandboxError::Group(source);
    }
    let source = match &error {
        SpawnError::Clone(source) | SpawnError::Birth { source, .. } => source,
        _ => return SandboxError::Spawn(error),
    };
    let why = match (&error, source.raw_os_error()) {
        (_, Some(errno)) if !is_refusal(errno) => return SandboxError::Spawn(error),
        (SpawnError::Birth { .. }, _) => "a user namespace can be made but not used",
        (_, Some(libc::EPERM | libc::EACCES)) => "user namespaces are refused to this user",
        (_, Some(libc::ENOSPC | libc::EUSERS)) => "no further user namespace may be made",
        _ => "the kernel has no user namespaces",
    };
    let why = format!("{why} ({})", doctor::with_causes(&error));
    SandboxError::Unavailable { why, remedy: doctor::remedy() }
}

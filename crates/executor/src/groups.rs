//! The control group of a run.
//!
//! The group that runs get theirs in is found once for the life of the process. Where there is none the tree is looked at
//! instead, unless the profile asks for what only a group can give: then that is an error.
//!
//! Asking a service manager for a group is the last resort, for it takes more time than a short run and moves this process:
//! it is done once, for the first run that somebody gave a limit, and only where the process has said that it may be moved.
//!
//! The trap: that a group can be made does not mean that a process may be put there. That is known when the first
//! one is born, and [`give_up`] keeps it from being tried again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_config::{Environment, Profile};
use ringfence_resource_limits::cgroup::{CgroupError, Disk, Leaf, Parent, ServiceManager};

use crate::error::RunError;
use crate::prepared::Prepared;
use crate::run_id::RunId;
use crate::spec;

type Found = Result<Parent, Arc<CgroupError>>;

/// How a group is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The config names one.
    Named(PathBuf),
    /// Whatever is delegated.
    Trying,
    /// A service manager was asked.
    Asking,
}

/// What was found, by which way.
static FOUND: Mutex<BTreeMap<Way, Found>> = Mutex::new(BTreeMap::new());

/// Whether this process may be moved by a service manager.
static MAY_MOVE: AtomicBool = AtomicBool::new(false);

/// Lets ringfence have this whole process moved into a scope of systemd's, once, when a run has limits that only a control group keeps
/// well and none is delegated. A program that does nothing but run commands wants that; a library's process may not, and has to say so.
pub fn allow_scope() {
    MAY_MOVE.store(true, Ordering::Relaxed);
}

/// The service manager that a process with this environment could ask for a control group: root that of the system, others their
/// own, when they have one.
#[must_use]
pub fn service_manager(environment: &Environment) -> Option<ServiceManager> {
    if nix::unistd::geteuid().is_root() {
        return Some(ServiceManager::of_system());
    }
    let said = environment.get("DBUS_SESSION_BUS_ADDRESS").and_then(|value| value.to_str());
    let usual = || {
        let directory = environment.get("XDG_RUNTIME_DIR")?.to_str()?;
        // A semicolon, a comma and a percent sign mean something there.
        let plain = directory.starts_with('/') && !directory.contains([';', ',', '%']);
        plain.then(|| format!("unix:path={directory}/bus"))
    };
    let addresses = said.filter(|said| !said.is_empty()).map(str::to_owned).or_else(usual);
    addresses.map(ServiceManager::of_user)
}

/// The group of a run, with its limits; `None` when no limit needs one, or there is none to be had and looking
/// will do.
pub(crate) fn leaf(prepared: &Prepared, run: RunId) -> Result<Option<Leaf>, RunError> {
    let Some(limits) = spec::group_limits(&prepared.profile) else { return Ok(None) };
    let made = parent(prepared).and_then(|parent| {
        if limits.cpu_cores.is_some() && !parent.limits_cpu() {
            let (path, controller) = (parent.path().to_owned(), "cpu");
            return Err(Arc::new(CgroupError::Controller { path, controller }));
        }
        let disks = if limits.needs_disks() { disks(prepared, &parent)? } else { Vec::new() };
        parent.leaf(&run.to_string(), &limits, &disks).map_err(Arc::new)
    });
    made.map(Some).or_else(|source| without(prepared, source))
}

/// The disks whose bandwidth is to be limited.
fn disks(prepared: &Prepared, parent: &Parent) -> Result<Vec<Disk>, Arc<CgroupError>> {
    if !parent.limits_io() {
        let (path, controller) = (parent.path().to_owned(), "io");
        return Err(Arc::new(CgroupError::Controller { path, controller }));
    }
    let known = prepared.disks().known;
    if known.is_empty() {
        let path = prepared.profile.workspace.clone();
        return Err(Arc::new(CgroupError::NoDisk { path }));
    }
    Ok(known)
}

/// Whether there would be a group, for who only wants to know.
pub(crate) fn is_there(prepared: &Prepared) -> Result<bool, RunError> {
    if spec::group_limits(&prepared.profile).is_none() {
        return Ok(false);
    }
    match parent(prepared) {
        Ok(_) => Ok(true),
        Err(source) => without(prepared, source).map(|leaf| leaf.is_some()),
    }
}

/// No process may be put into a group here: from now on trees are looked at.
pub(crate) fn give_up(prepared: &Prepared, source: CgroupError) -> Result<(), RunError> {
    let source = Arc::new(source);
    let ways = prepared
        .cgroup_parent()
        .map_or_else(|| vec![Way::Trying, Way::Asking], |path| vec![Way::Named(path.to_owned())]);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found.extend(ways.into_iter().map(|way| (way, Err(Arc::clone(&source)))));
    drop(found);
    without(prepared, source).map(drop)
}

/// Lets go of the control groups that runs got theirs in, and moves this process back to where it was before the first run,
/// when it had to move. For a process that is about to end; a later run looks for them anew.
pub fn leave_control_groups() {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// The group that is named; or else one that is delegated, or that a service manager has given or gives now.
fn parent(prepared: &Prepared) -> Found {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let mut once = |way: Way, find: &dyn Fn() -> Result<Parent, CgroupError>| {
        found.entry(way).or_insert_with(|| find().map_err(Arc::new)).clone()
    };
    if let Some(path) = prepared.cgroup_parent() {
        return once(Way::Named(path.to_owned()), &|| Parent::at(path));
    }
    let delegated = once(Way::Trying, &Parent::find);
    if delegated.is_ok() {
        return delegated;
    }
    let may_move = MAY_MOVE.load(Ordering::Relaxed);
    match prepared.service_manager().filter(|_| may_move) {
        Some(manager) => once(Way::Asking, &|| Parent::ask(&manager)),
        // Who has moved for an earlier run need not do without.
        None => found.get(&Way::Asking).filter(|asked| asked.is_ok()).cloned().unwrap_or(delegated),
    }
}

/// What only a group can give, or what was asked for by name, is not done without.
fn without(prepared: &Prepared, source: Arc<CgroupError>) -> Result<Option<Leaf>, RunError> {
    let Profile { max_cpu_cores, max_io_read, max_io_write, .. } = &prepared.profile;
    let wishes = [
        ("max_cpu_cores", max_cpu_cores.is_some()),
        ("max_io_read_mb_per_second", max_io_read.is_some()),
        ("max_io_write_mb_per_second", max_io_write.is_some()),
        ("runner.cgroup_parent", prepared.cgroup_parent().is_some()),
    ];
    let Some((wish, _)) = wishes.into_iter().find(|(_, is_there)| *is_there) else {
        return Ok(None);
    };
    Err(RunError::NoGroup { profile: prepared.profile.name.clone(), wish, source })
}

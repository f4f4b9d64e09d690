//! The control group of a run.
//!
//! The group that runs get theirs in is found once for the life of the process. Where there is none the tree is looked at
//! instead, unless the profile asks for what only a group can give: then that is an error.
//!
//! The trap: that a group can be made does not mean that a process may be put there. That is known when the first
//! one is born, and [`give_up`] keeps it from being tried again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_resource_limits::cgroup::{CgroupError, Leaf, Parent};

use crate::error::RunError;
use crate::prepared::Prepared;
use crate::run_id::RunId;
use crate::spec;

type Found = Result<Parent, Arc<CgroupError>>;

/// What was found, by what the config names.
static FOUND: Mutex<BTreeMap<Option<PathBuf>, Found>> = Mutex::new(BTreeMap::new());

/// The group of a run, with its limits; `None` when no limit needs one, or there is none to be had and looking
/// will do.
pub(crate) fn leaf(prepared: &Prepared, run: RunId) -> Result<Option<Leaf>, RunError> {
    let Some(limits) = spec::group_limits(&prepared.profile) else { return Ok(None) };
    let made = parent(prepared.cgroup_parent()).and_then(|parent| {
        if limits.cpu_cores.is_some() && !parent.limits_cpu() {
            let (path, controller) = (parent.path().to_owned(), "cpu");
            return Err(Arc::new(CgroupError::Controller { path, controller }));
        }
        parent.leaf(&run.to_string(), &limits).map_err(Arc::new)
    });
    made.map(Some).or_else(|source| without(prepared, source))
}

/// Whether there would be a group, for who only wants to know.
pub(crate) fn is_there(prepared: &Prepared) -> Result<bool, RunError> {
    if spec::group_limits(&prepared.profile).is_none() {
        return Ok(false);
    }
    match parent(prepared.cgroup_parent()) {
        Ok(_) => Ok(true),
        Err(source) => without(prepared, source).map(|leaf| leaf.is_some()),
    }
}

/// No process may be put into a group here: from now on trees are looked at.
pub(crate) fn give_up(prepared: &Prepared, source: CgroupError) -> Result<(), RunError> {
    let source = Arc::new(source);
    let configured = prepared.cgroup_parent().map(Path::to_owned);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found.insert(configured, Err(Arc::clone(&source)));
    drop(found);
    without(prepared, source).map(drop)
}

/// Lets go of the control groups that runs got theirs in, and moves this process back to where it was before the first run,
/// when it had to move. For a process that is about to end; a later run looks for them anew.
pub fn leave_control_groups() {
    FOUND.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

fn parent(configured: Option<&Path>) -> Found {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let key = configured.map(Path::to_owned);
    let find = || configured.map_or_else(Parent::find, Parent::at).map_err(Arc::new);
    found.entry(key).or_insert_with(find).clone()
}

/// What only a group can give, or what was asked for by name, is not done without.
fn without(prepared: &Prepared, source: Arc<CgroupError>) -> Result<Option<Leaf>, RunError> {
    let profile = prepared.profile.name.clone();
    if prepared.profile.max_cpu_cores.is_some() {
        return Err(RunError::NoGroup { profile, wish: "max_cpu_cores", source });
    }
    match prepared.cgroup_parent() {
        Some(_) => Err(RunError::NoGroup { profile, wish: "runner.cgroup_parent", source }),
        None => Ok(None),
    }
}

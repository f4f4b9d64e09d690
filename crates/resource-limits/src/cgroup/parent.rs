//! The group that runs get their own groups in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};

use super::error::{CgroupError, at};
use super::leaf::{self, Leaf, LeafLimits};
use super::scope::ServiceManager;
use super::{Disk, PREFIX, stat};

/// Without these a group is of no use here.
const NEEDED: [&str; 2] = ["memory", "pids"];
/// These are taken where they are to be had.
const WELCOME: [&str; 2] = ["cpu", "io"];

/// A group with controllers for its children, in which this process may make some. When the last clone goes, a process
/// that has moved for it moves back.
#[derive(Debug, Clone)]
pub struct Parent {
    path: PathBuf,
    cpu: bool,
    io: bool,
    #[expect(dead_code, reason = "kept for what happens when it goes")]
    seat: Option<Arc<Seat>>,
}

/// Where this process has moved to, so that its own group can have children with controllers.
#[derive(Debug)]
struct Seat {
    group: PathBuf,
    path: PathBuf,
}

impl Seat {
    /// Moves this process into a child of its group, and turns the controllers of the others on. Where that cannot
    /// be, everything is as it was.
    fn take(group: &Path) -> Option<Self> {
        let path = group.join(format!("{PREFIX}supervisor-{}", std::process::id()));
        match fs::create_dir(&path) {
            // Of somebody with the same number before us.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.ok()?,
        }
        let seat = Self { group: group.to_owned(), path };
        fs::write(seat.path.join("cgroup.procs"), "0").ok()?;
        enable(group).ok()?;
        Some(seat)
    }
}

impl Drop for Seat {
    /// Controllers go first: a group that has some for its children takes no process. Where others have made groups
    /// meanwhile it stays as it is, and the next supervisor sweeps the seat.
    fn drop(&mut self) {
        for name in NEEDED.iter().chain(&WELCOME) {
            fs::write(self.group.join("cgroup.subtree_control"), format!("-{name}")).ok();
        }
        if fs::write(self.group.join("cgroup.procs"), "0").is_ok() {
            leaf::remove(&self.path).ok();
        }
    }
}

/// Where this process lies in the hierarchy.
struct Place {
    own: PathBuf,
    mount: PathBuf,
}

impl Place {
    fn of_this_process() -> Result<Self, CgroupError> {
        let read = |path: &str| fs::read_to_string(path).map_err(at("read", path));
        let group = read("/proc/self/cgroup")?;
        let group = stat::own_group(&group).ok_or(CgroupError::NotMounted)?.to_owned();
        let mounts = read("/proc/self/mountinfo")?;
        let (mount, root) = stat::mounted(&mounts).ok_or(CgroupError::NotMounted)?;
        let inside = Path::new(&group).strip_prefix(&root).map_err(|_| CgroupError::NotMounted)?;
        let mount = PathBuf::from(mount);
        Ok(Self { own: mount.join(inside), mount })
    }
}

impl Parent {
    /// The nearest of the groups that this process lies in that it may make groups in.
    ///
    /// # Errors
    ///
    /// [`CgroupError`] when there is none; that is the usual case.
    ///
    /// # References
    ///
    /// `cgroups(7)`; "Delegation" in `Documentation/admin-guide/cgroup-v2.rst`.
    pub fn find() -> Result<Self, CgroupError> {
        let Place { own, mount } = Place::of_this_process()?;
        Self::above(&own, &mount)
    }

    /// A new scope that a service manager makes for this process, which moves there. The processes that it has started before stay
    /// where they are.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Scope`] when the manager does not answer within two seconds, or refuses; [`CgroupError::Limited`] when
    /// this process would leave limits behind; [`CgroupError::NotDelegated`] when it does not run in a scope now: a
    /// process of a service belongs to that service.
    ///
    /// # References
    ///
    /// `StartTransientUnit` in `org.freedesktop.systemd1(5)`; "Delegation" in systemd's `CGROUP_DELEGATION.md`.
    pub fn ask(manager: &ServiceManager) -> Result<Self, CgroupError> {
        let name = manager.enter_scope(&Place::of_this_process()?.own)?;
        let Place { own, .. } = Place::of_this_process()?;
        let there = own.ends_with(&name).then(|| Self::own(&own)).flatten();
        there.ok_or(CgroupError::NotDelegated)
    }

    /// From `own` up to `mount`. Above the own group nothing is changed: controllers must be given to its
    /// children already. Where a service manager keeps the whole hierarchy, root keeps to its own group,
    /// although it could do as it likes.
    fn above(own: &Path, mount: &Path) -> Result<Self, CgroupError> {
        if let Some(parent) = Self::own(own) {
            return Ok(parent);
        }
        if nix::unistd::geteuid().is_root() && Path::new("/run/systemd/system").exists() {
            return Err(CgroupError::NotDelegated);
        }
        let above = own.ancestors().skip(1).take_while(|path| path.starts_with(mount));
        above.filter_map(Self::ready).next().ok_or(CgroupError::NotDelegated)
    }

    /// A group that somebody named. Its controllers are turned on when they are not.
    ///
    /// # Errors
    ///
    /// [`CgroupError`] when it is none, or what limits need is not to be had in it.
    pub fn at(path: &Path) -> Result<Self, CgroupError> {
        enable(path)?;
        let missing = NEEDED.iter().find(|name| !gives(path, name));
        if let Some(controller) = missing {
            return Err(CgroupError::Controller { path: path.to_owned(), controller });
        }
        let parent = Self::of(path);
        parent.sweep();
        Ok(parent)
    }

    /// The own group, when this process is alone in it and it can be had.
    fn own(path: &Path) -> Option<Self> {
        if !may_make_groups(path) || !offers(path) {
            return None;
        }
        if let Some(parent) = Self::ready(path) {
            return Some(parent);
        }
        let myself = std::process::id().to_string();
        let alone = fs::read_to_string(path.join("cgroup.procs")).ok()?.trim() == myself;
        if !alone {
            return None;
        }
        let seat = Arc::new(Seat::take(path)?);
        Some(Self { seat: Some(seat), ..Self::ready(path)? })
    }

    fn of(path: &Path) -> Self {
        let (cpu, io) = (gives(path, "cpu"), gives(path, "io"));
        Self { cpu, io, path: path.to_owned(), seat: None }
    }

    /// A group that gives its children what limits need.
    fn ready(path: &Path) -> Option<Self> {
        if !may_make_groups(path) || !NEEDED.iter().all(|name| gives(path, name)) {
            return None;
        }
        let parent = Self::of(path);
        parent.sweep();
        Some(parent)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether shares of CPU time can be limited in it.
    #[must_use]
    pub fn limits_cpu(&self) -> bool {
        self.cpu
    }

    /// Whether bandwidth of storage can be limited in it.
    #[must_use]
    pub fn limits_io(&self) -> bool {
        self.io
    }

    /// A group for one run, with its limits; those of bandwidth are for each of `disks`.
    ///
    /// # Errors
    ///
    /// [`CgroupError::File`] when it cannot be made or a limit not be set.
    pub fn leaf(
        &self,
        name: &str,
        limits: &LeafLimits,
        disks: &[Disk],
    ) -> Result<Leaf, CgroupError> {
        Leaf::make(self.path.join(format!("{PREFIX}{name}")), limits, disks)
    }

    /// Removes what supervisors have left that are gone. What cannot be removed now will be by the next one.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let ours = entries.flatten().filter(|entry| {
            entry.file_name().to_string_lossy().starts_with(PREFIX)
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
        });
        for entry in ours {
            sweep(&entry.path());
        }
    }
}

/// A leaf whose owner lives is locked. A seat of a supervisor is not, and cannot be removed while it is in use.
fn sweep(path: &Path) {
    let Ok(directory) = fs::File::open(path) else { return };
    if let Ok(lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        let seat = path.file_name().is_some_and(|name| {
            name.to_string_lossy().starts_with(&format!("{PREFIX}supervisor-"))
        });
        if seat {
            leaf::remove_now(path).ok();
        } else {
            leaf::kill(path);
            leaf::remove(path).ok();
        }
        drop(lock);
    }
}

/// Whether the group itself has the controllers.
fn offers(path: &Path) -> bool {
    let controllers = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    NEEDED.iter().all(|name| stat::lists(&controllers, name))
}

/// Whether its children get a controller.
fn gives(path: &Path, controller: &str) -> bool {
    let given = fs::read_to_string(path.join("cgroup.subtree_control")).unwrap_or_default();
    stat::lists(&given, controller)
}

fn may_make_groups(path: &Path) -> bool {
    let may = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
    may(path) && may(&path.join("cgroup.procs"))
}

/// Gives the children what there is to give; an error when that is not what is needed.
fn enable(path: &Path) -> Result<(), CgroupError> {
    let file = path.join("cgroup.subtree_control");
    let turn_on = |name: &str| -> io::Result<()> {
        if gives(path, name) { Ok(()) } else { fs::write(&file, format!("+{name}")) }
    };
    for name in NEEDED {
        turn_on(name).map_err(at("turn controllers on in", path))?;
    }
    for name in WELCOME {
        // Whoever asks for what it keeps is told later that it is not there.
        turn_on(name).ok();
    }
    Ok(())
}

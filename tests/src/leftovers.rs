//! Nothing may be left behind: no process, no mount, no temporary file.
//!
//! Processes are found without guessing: the suite is a subreaper, so whatever a run leaves behind becomes a child of
//! the suite at the moment the run returns, however often it forked and whatever session it made. Mounts and
//! temporary files are compared before and after.
//!
//! The trap: the machine is not ours alone. Only what belongs to the suite counts: its own orphans, and files that
//! are named after the project or owned by the test account.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};

/// Keeps track of the suite's own children, so that all others are known to be left over.
#[derive(Debug, Default)]
pub struct Watch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    children: HashSet<u32>,
    bare_groups: HashSet<u32>,
    /// Processes whose parent was killed on purpose: the suite reaps them in its place.
    bereaved: HashSet<u32>,
    found: Vec<String>,
}

#[cfg(target_os = "linux")]
fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Only on Linux can a process become the parent of orphans.
#[cfg(not(target_os = "linux"))]
fn adopt_orphans() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Watch {
    /// Makes the suite the subreaper of everything it starts.
    ///
    /// # Errors
    /// What `prctl(2)` says.
    pub fn new() -> io::Result<Watch> {
        adopt_orphans()?;
        Ok(Watch::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("because no holder of the lock panics")
    }

    /// Starts a child; the lock is held so that nobody takes it for an orphan meanwhile.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self, command: &mut Command, bare: bool) -> io::Result<Child> {
        let mut state = self.state();
        let child = command.spawn()?;
        state.children.insert(child.id());
        if bare {
            state.bare_groups.insert(child.id());
        }
        Ok(child)
    }

    /// Says that a child has ended and was waited for; after a sandboxed run nothing of it may be alive.
    pub fn ended(&self, pid: u32, bare: bool) {
        let mut state = self.state();
        state.children.remove(&pid);
        if !bare {
            state.look();
        }
    }

    /// Ends a child that hangs, with its process group and all orphans.
    pub fn kill_group(&self, pid: u32) {
        if let Some(group) = Pid::from_raw(pid.cast_signed()) {
            kill_process_group(group, Signal::KILL).ok();
            kill_process(group, Signal::KILL).ok();
        }
        for pid in self.state().orphans() {
            kill_process(pid, Signal::KILL).ok();
        }
    }

    /// Says that the parent of these is about to be killed, so that nobody but the suite can reap them.
    pub fn bereave(&self, pids: &[u32]) {
        self.state().bereaved.extend(pids);
    }

    /// What has been found so far, emptied.
    pub fn take_found(&self) -> Vec<String> {
        let mut state = self.state();
        std::mem::take(&mut state.found)
    }

    /// Processes that are children of the suite though it did not start them.
    pub fn orphans(&self) -> Vec<Pid> {
        self.state().orphans()
    }

    /// Looks for orphans once more and reaps the dead ones.
    pub fn look(&self) {
        self.state().look();
    }
}

impl State {
    fn orphans(&self) -> Vec<Pid> {
        let known = |pid: &u32| self.children.contains(pid);
        let pids = children_of_self().into_iter().filter(|pid| !known(pid));
        pids.filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    }

    fn look(&mut self) {
        for pid in self.orphans() {
            let seen = describe(pid);
            let group = seen.as_ref().map_or(0, |seen| seen.group);
            let reaped = waitpid(Some(pid), WaitOptions::NOHANG).ok().flatten().is_some();
            let expected =
                reaped && self.bereaved.remove(&pid.as_raw_nonzero().get().cast_unsigned());
            if expected || self.bare_groups.contains(&group) {
                continue;
            }
            let state = if reaped { "dead, but not reaped" } else { "alive" };
            let text = seen.map_or_else(String::new, |seen| seen.text);
            let line = format!("process {pid} ({state}): {text}");
            if !self.found.contains(&line) {
                self.found.push(line);
            }
        }
    }
}

struct Seen {
    group: u32,
    text: String,
}

fn describe(pid: Pid) -> Option<Seen> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let name = stat.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
    let group = stat.rsplit(')').next()?.split_whitespace().nth(2)?.parse().ok()?;
    let words = fs::read(directory.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    let cwd = fs::read_link(directory.join("cwd")).unwrap_or_default();
    Some(Seen { group, text: format!("{name}: {} in {}", words.trim(), cwd.display()) })
}

fn children_of_self() -> Vec<u32> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

/// All living descendants of a process, by the parent links in `/proc`.
pub fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> =
        processes().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// What the machine holds at one moment, to be compared with a later one.
#[derive(Debug)]
pub struct Inventory {
    mounts: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
}

/// Directories in which programs leave temporary things.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock", "/dev/mqueue"];

impl Inventory {
    /// Looks at the mounts of this process and at temporary files of the project or of `uid`.
    pub fn take(uid: Option<u32>) -> Inventory {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let files =
            TEMPORARY.iter().flat_map(|directory| ours(Path::new(directory), uid)).collect();
        Inventory { mounts: mounts.lines().map(mount_point).collect(), files }
    }

    /// What is there now and was not there before.
    pub fn since(&self, before: &Inventory) -> Vec<String> {
        let mounts = self.mounts.difference(&before.mounts).map(|mount| format!("mount {mount}"));
        let files =
            self.files.difference(&before.files).map(|file| format!("file {}", file.display()));
        mounts.chain(files).collect()
    }
}

fn mount_point(line: &str) -> String {
    line.split(' ').skip(3).take(2).collect::<Vec<_>>().join(" on ")
}

fn ours(directory: &Path, uid: Option<u32>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        let named =
            path.file_name().is_some_and(|name| name.to_string_lossy().contains("ringfence"));
        named || uid.is_some_and(|uid| path.symlink_metadata().is_ok_and(|meta| meta.uid() == uid))
    };
    entries.flatten().map(|entry| entry.path()).filter(is_ours).collect()
}

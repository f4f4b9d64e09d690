//! Which of the listed stores are there, asked as seldom as can be.
//!
//! A run would ask for some two hundred names, nearly all of them missing. What a
//! directory lacks it goes on lacking until the directory itself changes, and then
//! its change time does, which nobody can set back. So per directory one question
//! is enough from the second run on. A change time that is not in the past for
//! good is not trusted: two changes could fall into one tick of the clock.

use super::{host::Located, stores::Stores};
use nix::{
    fcntl::{AtFlags, OFlag, open},
    sys::stat::{Mode, fstatat},
    unistd::{AccessFlags, faccessat},
};
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// Which directory it was, and its change time.
pub(crate) type Stamp = (u64, u64, i64, i64);
/// Names of one list that a directory had.
type Names = Vec<&'static str>;

/// A directory and a list of names, and what was seen.
type Seen = HashMap<(PathBuf, usize), (Stamp, Names)>;

static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);

/// Change times younger than this may still hide another change.
const SETTLED: Duration = Duration::from_secs(2);

/// The stores below `base` that are there. What the caller itself cannot open is
/// left out, as the command cannot either; the super-user is looked at as one that
/// can, because the command keeps the rights of its files' owner. Each comes with the path
/// that was asked for, as it may be a link to elsewhere.
pub(crate) fn present(
    base: &Path,
    stores: Stores,
    root: bool,
) -> Vec<(PathBuf, io::Result<Located>)> {
    let mut found = Vec::new();
    for (directory, names) in stores {
        let directory = base.join(directory);
        let there = names_in(&directory, names);
        if there.is_empty() {
            continue;
        }
        let Ok(resolved) = fs::canonicalize(&directory) else { continue };
        let open = there.into_iter().map(|name| resolved.join(name));
        let open = open.filter(|path| root || can_open(path));
        found.extend(open.map(|path| {
            let place = Located::below(&path);
            (path, place)
        }));
    }
    found
}

fn names_in(directory: &Path, names: &'static [&'static str]) -> Names {
    let Ok(meta) = fs::metadata(directory) else { return Vec::new() };
    let stamp = stamp_of(&meta);
    let key = (directory.to_owned(), names.as_ptr() as usize);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, there)) = seen.get(&key)
        && *known == stamp
    {
        return there.clone();
    }
    let there = ask(directory, names);
    if settled(meta.ctime()) {
        seen.insert(key, (stamp, there.clone()));
    }
    there
}

fn ask(directory: &Path, names: &'static [&'static str]) -> Names {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(at) = open(directory, flags, Mode::empty()) else { return Vec::new() };
    let there = |name: &&str| fstatat(&at, *name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    names.iter().copied().filter(|name| there(name)).collect()
}

/// The stamp of what a path leads to.
pub(crate) fn stamp(path: &Path) -> io::Result<Stamp> {
    fs::metadata(path).map(|meta| stamp_of(&meta))
}

pub(crate) fn stamp_of(meta: &fs::Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec())
}

/// A change of this second can no longer be followed by another in the same tick of the clock.
pub(crate) fn settled(changed: i64) -> bool {
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed.max(0).unsigned_abs());
    changed.elapsed().is_ok_and(|age| age > SETTLED)
}

fn can_open(path: &Path) -> bool {
    let can = |right| faccessat(nix::fcntl::AT_FDCWD, path, right, AtFlags::empty()).is_ok();
    can(AccessFlags::R_OK) || can(AccessFlags::X_OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    static NAMES: &[&str] = &[".one", ".two"];
    static STORES: Stores = &[("", NAMES)];

    fn found(base: &Path) -> Vec<String> {
        let places =
            present(base, STORES, false).into_iter().map(|(_, place)| place.expect("it is there"));
        places.map(|place| place.path.file_name().expect("a name").display().to_string()).collect()
    }

    #[test]
    fn what_is_new_is_seen_at_once() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        assert!(found(dir.path()).is_empty());
        fs::write(dir.path().join(".two"), "").expect("it can be written");
        assert_eq!(found(dir.path()), [".two"]);
        fs::create_dir(dir.path().join(".one")).expect("it can be made");
        assert_eq!(found(dir.path()), [".one", ".two"]);
        fs::remove_file(dir.path().join(".two")).expect("it can be removed");
        assert_eq!(found(dir.path()), [".one"]);
    }

    #[test]
    fn a_change_of_this_moment_is_not_settled() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let now = i64::try_from(now.as_secs()).expect("before the end of time");
        assert!(!settled(now) && !settled(now + 100) && settled(now - 10));
    }
}

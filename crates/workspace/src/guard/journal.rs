//! What the next process needs to finish the work of one that was killed.
//!
//! One small file per process and list of paths, used again by every later run with the same
//! list, so that a run costs one write of a few bytes. The first line has the number of runs in
//! flight and the name of the last; the others have the paths. Nothing is synced: what was
//! written survives the process, and a machine that lost power has lost the run's tree with it.
//!
//! A lock on the file (flock(2)) says that its owner lives. It goes with the owner however it
//! dies, means the same in every PID namespace, and no number of a process is taken for another's.
//! The trap: a child that was forked and never executed anything holds the lock, too, and so puts
//! the sweep off until it ends.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, flock, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::watchlist::{Before, Seen, Watched, Watchlist};
use crate::error::{Error, Result};
use crate::escape::{escape, unescape};
use crate::state::{NEW, Part, State, is_partial, lock_shared, try_lock};
use crate::tree::{Dir, Identity, Meta, remove_entry, rename_new};

/// The length of the first line: a number, a space, a name of a run padded with spaces.
const HEAD: usize = 20 + 1 + 64 + 1;

/// Largest journal that is read, in bytes; 60 paths have a few thousand.
const MAX_JOURNAL: u64 = 16 << 20;

/// Where the copies of a journal lie, beside it.
const COPIES: &str = ".copies";

/// Makes copies in a directory, and gives its warnings.
pub(crate) type Keep<'a> = &'a dyn Fn(&Dir) -> Vec<String>;

/// The journal of this process for one list.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) state: State,
    pub(crate) list: Arc<Watchlist>,
    pub(crate) seen: Vec<Seen>,
    /// The list as the caller gave it, by which a later run finds the journal.
    pub(crate) given: Vec<Watched>,
    /// The process that made it; a forked child must not write to it.
    pub(crate) pid: u32,
    pub(crate) copies: Option<Dir>,
    name: OsString,
    dir: Dir,
    file: File,
    in_flight: Mutex<u64>,
}

impl Journal {
    /// A journal with one run in flight. With `keep`, copies of what is there are made first; it
    /// gives its warnings, too.
    pub(crate) fn create(
        state: &State,
        run: &str,
        (given, watched): (&[Watched], &[Watched]),
        (list, seen): (Arc<Watchlist>, Vec<Seen>),
        keep: Option<Keep<'_>>,
    ) -> Result<(Journal, Vec<String>)> {
        let path = state.path_of(Part::Guards);
        let dir = state.make(Part::Guards)?;
        lock_shared(&dir, &path)?;
        let name = unused_name(run);
        let new = prefixed(NEW, &name);
        let file = dir.create_file(&new).map_err(Error::io("make", &path.join(&new)))?;
        let publish = || -> std::result::Result<(Option<Dir>, Vec<String>), Errno> {
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            let text = text(run, watched, &seen);
            file.write_all_at(text.as_bytes(), 0).map_err(errno)?;
            let copies = keep.map(|_| dir.make_dir(&suffixed(&name))).transpose()?;
            let warnings = keep.zip(copies.as_ref()).map(|(keep, copies)| keep(copies));
            rename_new(&dir, &new, &dir, &name)?;
            Ok((copies, warnings.unwrap_or_default()))
        };
        let (copies, warnings) = publish().map_err(|error| {
            let _ = dir.unlink(&new);
            let _ = remove_entry(&dir, &suffixed(&name));
            Error::io("write", &path.join(&new))(error)
        })?;
        flock(&dir, FlockOperation::Unlock).map_err(Error::io("unlock", &path))?;
        let journal = Journal {
            state: state.clone(),
            list,
            seen,
            given: given.to_vec(),
            pid: std::process::id(),
            copies,
            name,
            dir,
            file,
            in_flight: Mutex::new(1),
        };
        Ok((journal, warnings))
    }

    /// One run more.
    pub(crate) fn enter(&self, run: &str) -> Result<()> {
        self.count(|number| number + 1, run)
    }

    /// One run less, after its look.
    pub(crate) fn leave(&self, run: &str) -> Result<()> {
        self.count(|number| number.saturating_sub(1), run)
    }

    fn count(&self, change: impl Fn(u64) -> u64, run: &str) -> Result<()> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let number = change(*in_flight);
        let written = self.file.write_all_at(head(number, run).as_bytes(), 0);
        let path = || self.state.path_of(Part::Guards).join(&self.name);
        written.map_err(|error| Error::io("write", &path())(error))?;
        *in_flight = number;
        Ok(())
    }

    /// Whether no run needs it.
    pub(crate) fn is_idle(&self) -> bool {
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) == 0
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.pid == std::process::id() && self.is_idle() {
            remove(&self.dir, &self.name);
        }
    }
}

fn remove(dir: &Dir, name: &OsStr) {
    // What stays is removed by a later sweep: an idle journal, or copies without one.
    let _ = dir.unlink(name);
    let _ = remove_entry(dir, &suffixed(name));
}

/// A journal that a dead process left, locked.
pub(crate) struct Orphan {
    pub(crate) run: String,
    pub(crate) watched: Vec<Watched>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) copies: Option<Dir>,
    /// Whether runs were in flight; if not, there is nothing to finish.
    pub(crate) is_open: bool,
    name: OsString,
    /// Holds the lock.
    _file: File,
}

impl Orphan {
    /// The work is done.
    pub(crate) fn remove(self, dir: &Dir) {
        remove(dir, &self.name);
    }
}

/// All journals of dead processes, each locked by this one; what a crash left half made is removed.
pub(crate) fn orphans(dir: &Dir) -> rustix::io::Result<Vec<Orphan>> {
    let names = dir.names()?;
    let is_unshared =
        names.iter().any(|name| is_partial(name) || is_copies(name)) && try_lock(dir)?;
    if is_unshared {
        let journal_of = |name: &OsString| {
            name.as_encoded_bytes().strip_suffix(COPIES.as_bytes()).map(<[u8]>::to_vec)
        };
        for name in &names {
            let is_alone = journal_of(name).is_some_and(|journal| {
                !dir.names()
                    .unwrap_or_default()
                    .iter()
                    .any(|other| other.as_encoded_bytes() == journal)
            });
            if is_partial(name) || is_alone {
                remove_entry(dir, name)?;
            }
        }
        flock(dir, FlockOperation::Unlock)?;
    }
    let journals = names.iter().filter(|name| !is_partial(name) && !is_copies(name));
    Ok(journals.filter_map(|name| adopt(dir, name)).collect())
}

fn is_copies(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(COPIES.as_bytes())
}

/// Takes over a journal whose owner is dead.
fn adopt(dir: &Dir, name: &OsStr) -> Option<Orphan> {
    let file = dir.open_file(name, None).ok()?;
    let meta = Meta::of(&file).ok()?;
    if meta.owner != geteuid().as_raw() || !try_lock(&file).ok()? || !is_named(dir, name, &file) {
        return None;
    }
    let mut text = String::new();
    file.as_fd()
        .try_clone_to_owned()
        .ok()
        .and_then(|fd| File::from(fd).take(MAX_JOURNAL).read_to_string(&mut text).ok())?;
    let (in_flight, run, watched, seen) = parse(&text).unwrap_or_default();
    let copies = dir.child(suffixed(name).as_os_str()).ok();
    Some(Orphan {
        run,
        watched,
        seen,
        copies,
        is_open: in_flight > 0,
        name: name.into(),
        _file: file,
    })
}

/// Whether the file that was opened is still the one of that name: another sweep may have been faster.
fn is_named(dir: &Dir, name: &OsStr, file: &File) -> bool {
    let named = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Meta::from(&stat).identity);
    matches!((named, Meta::of(file)), (Ok(named), Ok(meta)) if named == meta.identity)
}

fn unused_name(run: &str) -> OsString {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{run}-{}-{number}", std::process::id()).into()
}

fn prefixed(prefix: &str, name: &OsStr) -> OsString {
    let mut prefixed = OsString::from(prefix);
    prefixed.push(name);
    prefixed
}

fn suffixed(name: &OsStr) -> OsString {
    let mut suffixed = name.to_owned();
    suffixed.push(COPIES);
    suffixed
}

fn head(in_flight: u64, run: &str) -> String {
    format!("{in_flight:020} {run:64}\n")
}

fn text(run: &str, watched: &[Watched], seen: &[Seen]) -> String {
    let mut text = head(1, run);
    for seen in seen {
        match seen {
            Seen::Missing => text.push_str("way missing\n"),
            Seen::Directory => text.push_str("way directory\n"),
            Seen::Other => text.push_str("way other\n"),
            Seen::Link(Identity(device, inode), target) => {
                writeln!(text, "way link {device} {inode} {target}")
                    .expect("because a String takes any text");
            }
        }
    }
    for Watched { root, path, before } in watched {
        let before = match before {
            Before::Nothing => "nothing",
            Before::NoRepository => "no_repository",
            Before::Something => "something",
        };
        writeln!(text, "{before}\t{}\t{}", escape(root), escape(path))
            .expect("because a String takes any text");
    }
    text
}

type Contents = (u64, String, Vec<Watched>, Vec<Seen>);

fn parse(text: &str) -> Option<Contents> {
    let (head, lines) = text.split_at_checked(HEAD)?;
    let (in_flight, run) = head.trim_end().split_once(' ')?;
    let (mut watched, mut seen) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        match line.strip_prefix("way ") {
            Some(way) => seen.push(parse_way(way)?),
            None => watched.push(parse_watched(line)?),
        }
    }
    crate::state::check_run(run).ok()?;
    Some((in_flight.parse().ok()?, run.to_owned(), watched, seen))
}

fn parse_way(way: &str) -> Option<Seen> {
    Some(match way {
        "missing" => Seen::Missing,
        "directory" => Seen::Directory,
        "other" => Seen::Other,
        link => {
            let mut numbers = link.strip_prefix("link ")?.split(' ').map(str::parse);
            let mut next = || numbers.next()?.ok();
            Seen::Link(Identity(next()?, next()?), next()?)
        }
    })
}

fn parse_watched(line: &str) -> Option<Watched> {
    let mut fields = line.split('\t');
    let before = match fields.next()? {
        "nothing" => Before::Nothing,
        "no_repository" => Before::NoRepository,
        "something" => Before::Something,
        _ => return None,
    };
    let (root, path): (PathBuf, PathBuf) = (unescape(fields.next()?)?, unescape(fields.next()?)?);
    Some(Watched { root, path, before })
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let watched = vec![
            Watched { root: "/w\t1".into(), path: "a\nb".into(), before: Before::Nothing },
            Watched { root: "/w".into(), path: ".git".into(), before: Before::NoRepository },
            Watched { root: "/".into(), path: "x/y".into(), before: Before::Something },
        ];
        let seen = vec![Seen::Missing, Seen::Directory, Seen::Other, Seen::Link(Identity(1, 2), 3)];
        let text = text("run-1", &watched, &seen);
        assert_eq!(parse(&text), Some((1, "run-1".to_owned(), watched, seen)));
    }

    #[test]
    fn what_was_never_written_is_not_read() {
        for text in ["", "1 run", &head(1, "../up"), &format!("{}nonsense\n", head(1, "a"))] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&head(7, "a")), Some((7, "a".to_owned(), vec![], vec![])));
    }
}

//! Which protected paths there are, and which there are not.
//!
//! What is there is held by a mount over itself (see `mounts`). What is not there cannot be:
//! it is told to the caller, who looks after the run. In either case the directories above must
//! stay where they are.
//!
//! No tree is walked. A handful of directories are opened and asked for names; the answer of one
//! look is kept with the change times of all directories and files it rests on, and as long as
//! these stay the next run asks for nothing else (see `present` for why that can be trusted).
//!
//! The trap is links. A link that is protected must not be replaced, nor any link on the way to
//! what it leads to, so paths are followed step by step here and every link that the command
//! could change is protected itself.

use super::{
    directory::{Directory, Kind, few_names, locked},
    host::Located,
    present::{Stamp, settled, stamp, stamp_of},
    repository,
};
use crate::{
    protected::{ABOVE, ANYWHERE, IN_HOME, IN_PROJECT, Names},
    unheld::{Before, Unheld},
};
use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::{FileStat, Mode, fstat},
};
use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// What the answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Trees the command may change.
    pub(crate) writable: Vec<Located>,
    /// Trees inside them that it may not.
    pub(crate) readable: Vec<Located>,
    pub(crate) workspace: PathBuf,
    pub(crate) homes: Vec<PathBuf>,
    /// Paths that are protected beside the built-in list.
    pub(crate) paths: Vec<PathBuf>,
    /// Paths to something hidden with a link in them: the link must go on leading there, or the
    /// next run would not find what to hide.
    pub(crate) links: Vec<PathBuf>,
    /// The caller is the super-user.
    pub(crate) root: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Files, directories and links, each resolved but for the last component.
    pub(crate) places: Vec<Located>,
    /// What is not there, each with the number of the directory that it would lie in.
    pub(crate) absent: Vec<(usize, Unheld)>,
    /// These directories; they may themselves not be there.
    pub(crate) directories: Vec<PathBuf>,
    /// The directories that must stay where they are, as far as they are there.
    pub(crate) parents: Vec<PathBuf>,
    pub(crate) warnings: Vec<String>,
}

/// One look that is remembered, and what it rests on.
struct Known {
    question: Question,
    stamps: Vec<(PathBuf, Stamp)>,
    found: Arc<Found>,
}

static KNOWN: Mutex<VecDeque<Known>> = Mutex::new(VecDeque::new());
/// Looks that are remembered: a process rarely serves more workspaces at a time.
const MOST_KNOWN: usize = 16;

/// Looks for everything that is protected in the writable trees.
pub(crate) fn find(question: Question) -> Arc<Found> {
    if question.writable.is_empty() {
        return Arc::default();
    }
    if let Some(found) = remembered(&question) {
        return found;
    }
    let mut look = Look::new(&question);
    look.everywhere();
    let Look { stamps, unsettled, found, parents, .. } = look;
    let mut found = Found { parents: parents.into_iter().collect(), ..found };
    found.places.sort();
    found.places.dedup();
    let found = Arc::new(found);
    if !unsettled {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.truncate(MOST_KNOWN - 1);
        known.push_front(Known { question, stamps, found: found.clone() });
    }
    found
}

/// The answer of an earlier look, if nothing has changed since.
fn remembered(question: &Question) -> Option<Arc<Found>> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let at = known.iter().position(|known| known.question == *question)?;
    let fresh = |(path, then): &(PathBuf, Stamp)| stamp(path).is_ok_and(|now| now == *then);
    if known[at].stamps.iter().all(fresh) {
        return Some(known[at].found.clone());
    }
    known.remove(at);
    None
}

/// A directory below another.
pub(crate) enum Below<'q> {
    There(Directory<'q>),
    Absent,
    /// Nobody can tell what is in it.
    Closed,
}

/// Where a path leads.
pub(crate) enum Way {
    To(PathBuf),
    /// Nothing is there: the last directory that is, and the rest.
    Missing(PathBuf, PathBuf),
}

/// One look at everything.
pub(crate) struct Look<'q> {
    pub(crate) question: &'q Question,
    pub(crate) found: Found,
    parents: BTreeSet<PathBuf>,
    stamps: Vec<(PathBuf, Stamp)>,
    unsettled: bool,
    /// Directories whose contents make up a whole working tree or more: never protected as such.
    tops: BTreeSet<PathBuf>,
    pub(crate) repositories: repository::Seen,
}

/// Links that are followed on one way, as the kernel has it.
const MOST_LINKS: usize = 40;
/// Bytes of a file that are read: a configuration of this size is none.
const MOST_BYTES: u64 = 1 << 20;

impl<'q> Look<'q> {
    fn new(question: &'q Question) -> Self {
        Self {
            question,
            found: Found::default(),
            parents: BTreeSet::new(),
            stamps: Vec::new(),
            unsettled: false,
            tops: BTreeSet::new(),
            repositories: repository::Seen::default(),
        }
    }

    fn everywhere(&mut self) {
        let question = self.question;
        let writable = question.writable.iter().filter(|root| root.directory);
        let mut bases: BTreeSet<_> = writable.map(|root| root.path.clone()).collect();
        bases.insert(question.workspace.clone());
        let mut homes = BTreeSet::new();
        for home in &question.homes {
            if let Ok(Way::To(home)) = self.follow(home) {
                homes.insert(home);
            }
        }
        bases.extend(homes.iter().cloned());
        bases.retain(|base| self.tree_around(base).is_some());
        self.tops.clone_from(&bases);
        for base in &bases {
            let lists = if homes.contains(base) { IN_HOME } else { IN_PROJECT };
            self.base(base, lists);
            self.above(base);
        }
        for path in &question.links {
            if let Err(error) = self.follow(path) {
                self.warn(path, &error.to_string());
            }
        }
        // Asked for by name: then even a tree that others lie in.
        self.tops.clear();
        for path in &question.paths {
            self.named(path, &format!("`{}`", path.display()));
        }
    }

    /// A directory that is somebody's top: its own names, and the repository it is in.
    fn base(&mut self, base: &Path, names: Names) {
        let Some(mut directory) = self.enter(base) else { return };
        directory.names = few_names(base);
        for (below, names) in ANYWHERE.iter().chain(names) {
            self.list(&directory, below, names);
        }
        repository::around(self, &directory);
    }

    /// What is looked for upwards from a directory, in those above that the command could change.
    fn above(&mut self, base: &Path) {
        for path in base.ancestors().skip(1) {
            if self.tops.contains(path) || self.tree_around(path).is_none() {
                return;
            }
            let Some(directory) = self.enter(path) else { return };
            for name in ABOVE {
                self.hold(&directory, name, Before::Nothing);
            }
        }
    }

    fn list(&mut self, base: &Directory<'q>, below: &str, names: &[&str]) {
        let inner;
        let directory = match below {
            "" => base,
            below => match self.descend(base, below) {
                Below::There(directory) => {
                    inner = directory;
                    &inner
                }
                Below::Closed => return,
                Below::Absent => {
                    let directory = base.path.join(below);
                    self.stay_above(&directory);
                    for name in names {
                        self.note(&directory.join(name), Before::Nothing);
                    }
                    return;
                }
            },
        };
        for name in names {
            self.hold(directory, name, Before::Nothing);
        }
    }

    /// The directory `below` another.
    pub(crate) fn descend(&mut self, base: &Directory<'q>, below: &str) -> Below<'q> {
        let (first, rest) = below.split_once('/').unwrap_or((below, ""));
        if base.lacks(first) {
            return Below::Absent;
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let path = base.path.join(first);
        let below = match openat(&base.fd, first, flags, Mode::empty()) {
            Ok(fd) => self.opened(path, fd).map_or(Below::Closed, Below::There),
            Err(Errno::ENOENT) => Below::Absent,
            Err(Errno::ENOTDIR | Errno::ELOOP) => self.odd_directory(&path),
            Err(error) => {
                self.warn(&path, &io::Error::from(error).to_string());
                Below::Closed
            }
        };
        match below {
            Below::There(directory) if !rest.is_empty() => self.descend(&directory, rest),
            below => below,
        }
    }

    /// Where a directory was expected: a link to one, or something else.
    fn odd_directory(&mut self, path: &Path) -> Below<'q> {
        match self.follow(path) {
            Ok(Way::To(target)) if target.is_dir() => {
                self.enter(&target).map_or(Below::Closed, Below::There)
            }
            Ok(Way::To(_)) => {
                self.warn(path, "it is no directory");
                Below::Absent
            }
            Ok(Way::Missing(directory, rest)) => {
                self.warn(path, "it is a link to nothing");
                self.absent(&directory.join(rest), Before::Nothing);
                Below::Absent
            }
            Err(error) => {
                self.warn(path, &error.to_string());
                Below::Closed
            }
        }
    }

    /// Opens a directory that is resolved already.
    pub(crate) fn enter(&mut self, path: &Path) -> Option<Directory<'q>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(fd) => self.opened(path.to_owned(), fd),
            Err(Errno::ENOENT) => None,
            Err(error) => {
                self.warn(path, &io::Error::from(error).to_string());
                None
            }
        }
    }

    fn opened(&mut self, path: PathBuf, fd: OwnedFd) -> Option<Directory<'q>> {
        let stat = fstat(&fd).ok()?;
        self.rest_on(path.clone(), (stat.st_dev, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec));
        if self.question.root && locked(stat.st_uid, stat.st_gid, stat.st_mode) {
            return None;
        }
        let tree = self.tree_around(&path);
        Some(Directory { path, fd, tree, names: None })
    }

    fn rest_on(&mut self, path: PathBuf, stamp: Stamp) {
        self.unsettled |= !settled(stamp.2);
        self.stamps.push((path, stamp));
    }

    /// What is called `name` in a directory; no link is followed.
    pub(crate) fn ask(&mut self, directory: &Directory<'q>, name: &str) -> Option<FileStat> {
        match directory.ask(name) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => None,
            Err(error) => {
                let why = io::Error::from(error).to_string();
                self.warn(&directory.path.join(name), &why);
                None
            }
        }
    }

    /// Protects what is called `name` in a directory, or notes that it is not there.
    pub(crate) fn hold(&mut self, directory: &Directory<'q>, name: &str, before: Before) {
        if directory.tree.is_none() {
            return;
        }
        match directory.ask(name) {
            Ok(stat) => self.hold_entry(directory, name, &stat),
            Err(Errno::ENOENT) => self.absent_in(directory, name, before),
            Err(error) => {
                let why = io::Error::from(error).to_string();
                self.warn(&directory.path.join(name), &why);
            }
        }
    }

    fn hold_entry(&mut self, directory: &Directory<'q>, name: &str, stat: &FileStat) {
        let path = directory.path.join(name);
        let inode = (stat.st_dev, stat.st_ino);
        match Kind::of(stat) {
            Kind::Link => {
                let way = self.follow(&path);
                self.hold_target(&path, way);
            }
            kind => self.place(path, inode, kind, stat.st_nlink > 1),
        }
    }

    /// Protects what a path leads to, which `what` names.
    pub(crate) fn named(&mut self, path: &Path, what: &str) {
        let way = self.follow(path);
        match &way {
            Ok(Way::To(_)) => self.hold_target(path, way),
            Ok(Way::Missing(directory, rest)) => {
                self.absent(&directory.join(rest), Before::Nothing)
            }
            Err(error) => self.found.warnings.push(format!("{what} is not protected: {error}")),
        }
    }

    fn hold_target(&mut self, path: &Path, way: io::Result<Way>) {
        match way {
            Ok(Way::To(target)) => {
                if self.tree_around(&target).is_none() {
                    return;
                }
                match fs::symlink_metadata(&target) {
                    Ok(meta) => {
                        let kind = Kind::of_mode(meta.mode());
                        self.place(target, (meta.dev(), meta.ino()), kind, meta.nlink() > 1);
                    }
                    Err(error) => self.warn(path, &error.to_string()),
                }
            }
            Ok(Way::Missing(directory, rest)) => {
                self.warn(path, "it is a link to nothing");
                self.absent(&directory.join(rest), Before::Nothing);
            }
            Err(error) => self.warn(path, &error.to_string()),
        }
    }

    fn place(&mut self, path: PathBuf, inode: (u64, u64), kind: Kind, linked: bool) {
        // Named on purpose: the built-in list gives way.
        if self.question.writable.iter().any(|root| root.path == path) {
            return;
        }
        if self.tops.iter().any(|top| top.starts_with(&path)) {
            self.warn(&path, "a whole tree that may be written lies in it");
            return;
        }
        if kind == Kind::File && linked {
            let path = path.display();
            self.found.warnings.push(format!(
                "`{path}` is a file with another name, by which it can be changed if that can be written"
            ));
        }
        self.parents.extend(path.parent().map(Path::to_owned));
        self.found.places.push(Located { path, inode, directory: kind == Kind::Directory });
    }

    /// Notes that nothing is at a path, if the command could make something there.
    pub(crate) fn absent(&mut self, path: &Path, before: Before) {
        self.stay_above(path);
        let is_known = |(_, known): &(usize, Unheld)| {
            path.strip_prefix(&known.root).is_ok_and(|below| below == known.path)
        };
        // What is asked for by name can be on the built-in list, too.
        if !self.found.absent.iter().any(is_known) {
            self.note(path, before);
        }
    }

    fn note(&mut self, path: &Path, before: Before) {
        let (Some(root), Some(directory)) = (self.tree_around(path), path.parent()) else { return };
        self.push_absent(root, directory, path, before);
    }

    fn push_absent(&mut self, root: &Located, directory: &Path, path: &Path, before: Before) {
        let Ok(below) = path.strip_prefix(&root.path) else { return };
        let (root, path) = (root.path.clone(), below.to_owned());
        let directories = &mut self.found.directories;
        if directories.last().map(|last| last.as_os_str()) != Some(directory.as_os_str()) {
            directories.push(directory.to_owned());
        }
        self.found.absent.push((directories.len() - 1, Unheld { root, path, before }));
    }

    /// The innermost directory that exists must stay, with those above it.
    fn stay_above(&mut self, path: &Path) {
        if self.tree_around(path).is_some() {
            let there = path.ancestors().skip(1).find(|directory| directory.exists());
            self.parents.extend(there.map(Path::to_owned));
        }
    }

    pub(crate) fn absent_in(&mut self, directory: &Directory<'q>, name: &str, before: Before) {
        let Some(root) = directory.tree else { return };
        let known = self.found.directories.last();
        if known.map(|last| last.as_os_str()) != Some(directory.path.as_os_str()) {
            self.parents.insert(directory.path.clone());
        }
        self.push_absent(root, &directory.path, &directory.path.join(name), before);
    }

    /// The innermost listed tree around a path, if it is a writable one.
    pub(crate) fn tree_around(&self, path: &Path) -> Option<&'q Located> {
        let Question { writable, readable, .. } = self.question;
        let around = |trees: &'q [Located]| {
            let around = trees.iter().filter(|tree| path.starts_with(&tree.path));
            around.max_by_key(|tree| tree.path.as_os_str().len())
        };
        let tree = around(writable)?;
        let closed = around(readable)
            .is_some_and(|closed| closed.path.as_os_str().len() >= tree.path.as_os_str().len());
        (!closed).then_some(tree)
    }

    /// Follows a path to its end, and protects each link on the way that the command could change.
    pub(crate) fn follow(&mut self, path: &Path) -> io::Result<Way> {
        let mut ahead: VecDeque<_> =
            path.components().map(Component::as_os_str).map(OsStr::to_owned).collect();
        let (mut here, mut links) = (PathBuf::from("/"), 0);
        while let Some(name) = ahead.pop_front() {
            if name == "/" {
                here = PathBuf::from("/");
                continue;
            }
            if name == ".." {
                here.pop();
                continue;
            }
            if name == "." {
                continue;
            }
            let next = here.join(&name);
            let meta = match fs::symlink_metadata(&next) {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.rest_on_directory(&here);
                    let rest: PathBuf = std::iter::once(name).chain(ahead).collect();
                    return Ok(Way::Missing(here, rest));
                }
                Err(error) => return Err(error),
            };
            if !meta.is_symlink() {
                if self.question.root
                    && !ahead.is_empty()
                    && locked(meta.uid(), meta.gid(), meta.mode())
                {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                here = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::from_raw_os_error(Errno::ELOOP as i32));
            }
            self.rest_on_directory(&here);
            if self.tree_around(&next).is_some() {
                self.place(next.clone(), (meta.dev(), meta.ino()), Kind::Link, false);
            }
            let target = fs::read_link(&next)?;
            for component in target.components().rev() {
                ahead.push_front(component.as_os_str().to_owned());
            }
        }
        Ok(Way::To(here))
    }

    fn rest_on_directory(&mut self, path: &Path) {
        match stamp(path) {
            Ok(stamp) => self.rest_on(path.to_owned(), stamp),
            Err(_) => self.unsettled = true,
        }
    }

    /// The content of a file, if it is one of modest size, and where it really lies.
    pub(crate) fn read(&mut self, path: &Path) -> Option<(PathBuf, Vec<u8>)> {
        match self.read_plain(path) {
            Ok(content) => Some((path.to_owned(), content?)),
            Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
                let Ok(Way::To(path)) = self.follow(path) else { return None };
                let content = self.read_plain(&path).ok()??;
                Some((path, content))
            }
            Err(_) => None,
        }
    }

    fn read_plain(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        // Whoever put a pipe there would have this process wait for ever.
        let mut options = fs::OpenOptions::new();
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
        let file = options.read(true).custom_flags(flags.bits()).open(path)?;
        let meta = file.metadata()?;
        self.rest_on(path.to_owned(), stamp_of(&meta));
        if !meta.is_file() || meta.len() > MOST_BYTES {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    pub(crate) fn warn(&mut self, path: &Path, why: &str) {
        self.found.warnings.push(format!("`{}` is not protected: {why}", path.display()));
    }
}

//! The watched paths as a tree of names, so that each directory is opened once.
//!
//! Where a directory is missing, nothing below it is looked for. What the directories on the way
//! are before the run is surveyed when it begins: a symbolic link that was there is the user's, one
//! that was not is the command's.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::tree::{Dir, FileKind, Identity, is_gone};

/// What lies at a watched path before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Before {
    /// Nothing, not even a link that leads nowhere: whatever is there afterwards is taken away.
    Nothing,
    /// No repository, at the path of a `.git`: one may be made, but its hooks are taken away.
    NoRepository,
    /// Something: a copy is kept, and changes are undone.
    Something,
}

/// One path that must be afterwards as it was before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watched {
    /// The tree it lies in. Absolute and resolved.
    pub root: PathBuf,
    /// The path below `root`.
    pub path: PathBuf,
    /// What lies there before the run.
    pub before: Before,
}

/// What a directory on the way to a watched path was before the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Missing,
    Directory,
    /// A symbolic link, not followed: which one, and a hash of where it leads. A number of an inode is
    /// given out again as soon as it is free.
    Link(Identity, u64),
    /// Something else.
    Other,
}

/// A watched name in its directory.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) name: CString,
    pub(crate) before: Before,
    /// Its place in the list that was given.
    pub(crate) index: usize,
}

/// A directory on the way.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: CString,
    /// Its place in the survey.
    pub(crate) place: usize,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) below: Vec<Node>,
    /// Whether something below it is to be put back when it is gone.
    pub(crate) keeps: bool,
}

/// All watched names of one root.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    pub(crate) top: Node,
}

/// All watched names.
#[derive(Debug, Default)]
pub(crate) struct Watchlist {
    pub(crate) roots: Vec<Root>,
    places: usize,
}

impl Watchlist {
    /// Sorts the paths into a tree.
    pub(crate) fn new(watched: &[Watched]) -> Result<Watchlist> {
        let mut list = Watchlist::default();
        for (index, one) in watched.iter().enumerate() {
            list.add(index, one)?;
        }
        Ok(list)
    }

    fn add(&mut self, index: usize, watched: &Watched) -> Result<()> {
        let mut names = names(&watched.path)?;
        let last = names.pop().ok_or_else(|| Error::BadPath { path: watched.path.clone() })?;
        let keeps = watched.before == Before::Something;
        let at = match self.roots.iter().position(|root| root.path == watched.root) {
            Some(at) => at,
            None => {
                let top = Node::new(CString::default(), &mut self.places);
                self.roots.push(Root { path: watched.root.clone(), top });
                self.roots.len() - 1
            }
        };
        let mut node = &mut self.roots[at].top;
        node.keeps |= keeps;
        for name in names {
            let at = match node.below.iter().position(|below| below.name == name) {
                Some(at) => at,
                None => {
                    node.below.push(Node::new(name, &mut self.places));
                    node.below.len() - 1
                }
            };
            node = &mut node.below[at];
            node.keeps |= keeps;
        }
        node.leaves.push(Leaf { name: last, before: watched.before, index });
        Ok(())
    }

    /// How many directories are on the way, the roots included.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// Looks what the directories on the way are now.
    pub(crate) fn survey(&self) -> Result<Vec<Seen>> {
        let mut seen = vec![Seen::Missing; self.places];
        for root in &self.roots {
            let dir = Dir::open(&root.path).map_err(Error::io("open", &root.path))?;
            seen[root.top.place] = Seen::Directory;
            root.top.survey(&dir, &mut seen).map_err(Error::io("look into", &root.path))?;
        }
        Ok(seen)
    }

    /// Paths in the same trees that watched paths lead to by links that are there already.
    pub(crate) fn resolved(&self, watched: &[Watched], seen: &[Seen]) -> Vec<Watched> {
        let mut found = Vec::new();
        for root in &self.roots {
            root.top.resolve(root, &root.path, seen, watched, &mut found);
        }
        found.retain(|one| !watched.contains(one));
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Node {
    fn new(name: CString, places: &mut usize) -> Node {
        let place = *places;
        *places += 1;
        Node { name, place, leaves: Vec::new(), below: Vec::new(), keeps: false }
    }

    fn survey(&self, dir: &Dir, seen: &mut [Seen]) -> rustix::io::Result<()> {
        for node in &self.below {
            match dir.child(node.name.as_c_str()) {
                Ok(child) => {
                    seen[node.place] = Seen::Directory;
                    node.survey(&child, seen)?;
                }
                Err(Errno::NOENT) => {}
                Err(error) => seen[node.place] = look(dir, &node.name, error)?,
            }
        }
        Ok(())
    }

    fn resolve(
        &self,
        root: &Root,
        path: &Path,
        seen: &[Seen],
        watched: &[Watched],
        found: &mut Vec<Watched>,
    ) {
        for node in &self.below {
            let path = path.join(os(&node.name));
            match seen[node.place] {
                Seen::Link(..) => node.follow(root, &path, watched, found),
                Seen::Directory => node.resolve(root, &path, seen, watched, found),
                Seen::Missing | Seen::Other => {}
            }
        }
    }

    /// Everything below a link of the user's, at the place the link leads to.
    fn follow(&self, root: &Root, path: &Path, watched: &[Watched], found: &mut Vec<Watched>) {
        let Ok(target) = path.canonicalize() else { return };
        let Ok(below) = target.strip_prefix(&root.path) else { return };
        self.each_leaf(below, &mut |path, leaf| {
            let (root, before) = (root.path.clone(), watched[leaf.index].before);
            found.push(Watched { root, path, before });
        });
    }

    fn each_leaf(&self, path: &Path, visit: &mut dyn FnMut(PathBuf, &Leaf)) {
        self.leaves.iter().for_each(|leaf| visit(path.join(os(&leaf.name)), leaf));
        self.below.iter().for_each(|node| node.each_leaf(&path.join(os(&node.name)), visit));
    }
}

/// FNV-1a: the same in every process that reads a journal.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// What lies where a directory could not be opened.
pub(crate) fn look(dir: &Dir, name: &CStr, error: Errno) -> rustix::io::Result<Seen> {
    let Some(meta) = dir.meta(name)? else { return Ok(Seen::Missing) };
    match meta.kind {
        FileKind::Symlink => {
            let target = dir.read_link(OsStr::from_bytes(name.to_bytes()))?;
            Ok(Seen::Link(meta.identity, hash(target.as_bytes())))
        }
        // One that keeps its owner out. It is a directory all the same.
        FileKind::Directory if error == Errno::ACCESS => Ok(Seen::Directory),
        FileKind::Directory if !is_gone(error) => Err(error),
        _ => Ok(Seen::Other),
    }
}

/// The name as the standard library has it.
pub(crate) fn os(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

fn names(path: &Path) -> Result<Vec<CString>> {
    let bad = || Error::BadPath { path: path.to_owned() };
    path.components()
        .map(|component| match component {
            Component::Normal(name) => {
                CString::new(OsString::from(name).into_vec()).map_err(|_| bad())
            }
            _ => Err(bad()),
        })
        .collect()
}

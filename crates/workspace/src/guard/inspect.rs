//! The look after a run: each watched name, and what to do about what lies there.

use std::ffi::OsStr;
use std::path::Path;

use rustix::io::Errno;

use super::finding::{Finding, Findings, What};
use super::quarantine::Quarantine;
use super::watchlist::{Before, Leaf, Node, Root, Seen, Watchlist, look, os};
use super::{keep, repository};
use crate::escape::escape;
use crate::state::State;
use crate::tree::{Dir, FileKind};

/// A look in progress.
pub(super) struct Inspection<'a> {
    quarantine: Quarantine<'a>,
    seen: &'a [Seen],
    /// The copies of what was there, by their place in the list.
    copies: Option<&'a Dir>,
    root: &'a Path,
    findings: Findings,
}

/// Looks at every watched name, and sets right what is wrong.
pub(super) fn inspect(
    state: &State,
    run: &str,
    list: &Watchlist,
    seen: &[Seen],
    copies: Option<&Dir>,
) -> Findings {
    let mut findings = Findings::default();
    for root in &list.roots {
        let quarantine = Quarantine::new(state, run);
        let mut inspection = Inspection {
            quarantine,
            seen,
            copies,
            root: &root.path,
            findings: Findings::default(),
        };
        inspection.root(root);
        findings.extend(inspection.findings);
    }
    findings
}

impl<'a> Inspection<'a> {
    fn root(&mut self, root: &Root) {
        match Dir::open(&root.path) {
            Ok(dir) => self.node(&dir, &root.top, Path::new("")),
            Err(Errno::NOENT) => {}
            Err(error) => self.warn(Path::new(""), &format!("cannot be looked into: {error}")),
        }
    }

    fn node(&mut self, dir: &Dir, node: &Node, path: &Path) {
        for leaf in &node.leaves {
            self.leaf(dir, leaf, path);
        }
        for below in &node.below {
            match dir.child(below.name.as_c_str()) {
                Ok(child) => self.node(&child, below, &path.join(os(&below.name))),
                Err(Errno::NOENT) if !below.keeps => {}
                Err(error) => self.obstacle(dir, below, &path.join(os(&below.name)), error),
            }
        }
    }

    /// Where a directory was expected, there is none that can be opened.
    fn obstacle(&mut self, dir: &Dir, node: &Node, path: &Path, error: Errno) {
        let name = os(&node.name);
        let now = match look(dir, &node.name, error) {
            Ok(now) => now,
            Err(error) => return self.warn(path, &format!("cannot be looked at: {error}")),
        };
        match now {
            // The link of before. What it leads to is watched under its own name, if at all.
            Seen::Link(..) if now == self.seen[node.place] => return,
            Seen::Link(..) => self.take(dir, name, path),
            Seen::Other if node.keeps => self.take(dir, name, path),
            Seen::Directory => return self.locked(dir, node, path),
            Seen::Other | Seen::Missing => {}
        }
        if node.keeps {
            self.rebuild(dir, node, path);
        }
    }

    fn locked(&mut self, dir: &Dir, node: &Node, path: &Path) {
        let name = os(&node.name);
        let opened =
            dir.meta(name).and_then(|meta| dir.unlocked_child(name, &meta.ok_or(Errno::NOENT)?));
        match opened {
            Ok(child) => self.node(&child, node, path),
            Err(error) => self.warn(path, &format!("cannot be looked into: {error}")),
        }
    }

    /// The directory of something that is to be put back is gone.
    fn rebuild(&mut self, dir: &Dir, node: &Node, path: &Path) {
        const USUAL: u32 = 0o755;
        let made = dir.writing(|| dir.make_dir(os(&node.name)));
        match made.and_then(|made| made.set_mode(USUAL).map(|()| made)) {
            Ok(made) => self.node(&made, node, path),
            Err(error) => self.warn(path, &format!("cannot be made again: {error}")),
        }
    }

    fn leaf(&mut self, dir: &Dir, leaf: &Leaf, path: &Path) {
        if leaf.before == Before::Something {
            return keep::undo(self, dir, leaf, &path.join(os(&leaf.name)));
        }
        match dir.meta(leaf.name.as_c_str()) {
            Ok(None) => {}
            Ok(Some(meta)) => {
                let path = path.join(os(&leaf.name));
                match (leaf.before, meta.kind) {
                    (Before::NoRepository, FileKind::Directory) => {
                        self.repository(dir, leaf, &path);
                    }
                    _ => self.take(dir, os(&leaf.name), &path),
                }
            }
            Err(error) => {
                self.warn(&path.join(os(&leaf.name)), &format!("cannot be looked at: {error}"));
            }
        }
    }

    fn repository(&mut self, dir: &Dir, leaf: &Leaf, path: &Path) {
        let name = os(&leaf.name);
        let opened =
            dir.meta(name).and_then(|meta| dir.unlocked_child(name, &meta.ok_or(Errno::NOENT)?));
        match opened {
            Ok(child) => repository::inspect(self, &child, path),
            Err(Errno::NOENT) => {}
            Err(error) => self.warn(path, &format!("cannot be looked into: {error}")),
        }
    }

    /// Takes away what the command made at `path`.
    pub(super) fn take(&mut self, dir: &Dir, name: &OsStr, path: &Path) {
        self.take_as(What::Made, dir, name, path);
    }

    /// Takes away what lies at `path`, and says what the command did there.
    pub(super) fn take_as(&mut self, what: What, dir: &Dir, name: &OsStr, path: &Path) {
        if let Some(taken) = self.quarantine.take(dir, name, path) {
            let path = self.root.join(path);
            let (kept_at, trouble) = (taken.kept_at, taken.trouble);
            self.findings.found.push(Finding { path, what, kept_at, trouble });
        }
    }

    /// Something was set right, or could not be, and nothing was taken away.
    pub(super) fn report(&mut self, what: What, path: &Path, trouble: Option<String>) {
        let path = self.root.join(path);
        self.findings.found.push(Finding { path, what, kept_at: None, trouble });
    }

    /// Notes why the last finding is not all well.
    pub(super) fn trouble(&mut self, trouble: String) {
        if let Some(last) = self.findings.found.last_mut() {
            last.trouble.get_or_insert(trouble);
        }
    }

    pub(super) fn warn(&mut self, path: &Path, what: &str) {
        self.findings.warnings.push(format!("{} {what}", escape(&self.root.join(path))));
    }

    pub(super) fn copies(&self) -> Option<&'a Dir> {
        self.copies
    }
}

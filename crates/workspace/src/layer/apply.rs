//! Carrying a layer out, or parts of it.
//!
//! First everything that speaks against it is listed, and then nothing is done; with `force`, or when
//! nothing does, each change is carried out, and what is on the host is removed from the layer. A
//! process that is killed on the way leaves a layer that has what is missing: apply it again.
//!
//! The trap is a directory that the layer has whole (one that was deleted and made again). Taking
//! single files out of it would read as their deletion, so it leaves the layer in one piece.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::change::{Change, ChangeKind, Diff, drops_bits};
use super::conflict;
use super::host::{Failed, Host};
use super::pending::{self, Notes};
use super::read::Chain;
use super::{Layer, remove_layer};
use crate::error::{Error, Result};
use crate::escape::escape;
use crate::state::Part;
use crate::tree::{Dir, FileKind, Identity, Meta, overlay_mark, remove_entry};

/// What an apply did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Changes that are on the host now.
    pub applied: Vec<Change>,
    /// What speaks against it. When there is any, nothing was applied, unless forced.
    pub refused: Vec<Refusal>,
    /// Changes that could not be carried out. They are still in the layer.
    pub failed: Vec<Refusal>,
    /// What was left out on purpose, in plain words.
    pub warnings: Vec<String>,
    /// Changes that are still in the layer. A layer without any is removed.
    pub left: usize,
}

/// A change that was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Below the workspace.
    pub path: PathBuf,
    /// In plain words, about the path: "it is protected".
    pub why: String,
}

impl Layer {
    /// Carries out the changes at and below `paths`, or all when there are none. What the host changed meanwhile
    /// and what is protected is refused, and with it everything, unless `force`.
    ///
    /// # Errors
    ///
    /// When the layer or the workspace cannot be read, or the run changed nothing at one of the paths. Changes that
    /// fail on their own are in the report.
    pub fn apply(self, paths: &[PathBuf], force: bool) -> Result<Report> {
        let diff = self.diff()?;
        let chosen = choose(&diff.changes, paths)?;
        let host = self.open_workspace()?;
        let touched = pending::touched(&self.dir);
        let refusal = |change: &&Change| {
            let why = conflict::refusal(&self.record, &host, &touched, change)?;
            Some(Refusal { path: change.path.clone(), why: why.to_owned() })
        };
        let refused: Vec<Refusal> = chosen.iter().filter_map(refusal).collect();
        if !force && !refused.is_empty() {
            return Ok(Report { refused, left: diff.changes.len(), ..Report::default() });
        }
        let notes = Notes::open(&self.dir).map_err(Error::io("open", &self.path))?;
        let host = Host::new(host, self.record.created, notes, &self.run);
        let mut applying = Applying::new(&self, host, &diff);
        chosen.iter().for_each(|change| applying.one(change));
        applying.complete(&chosen);
        applying.host.done().map_err(Error::io("write", self.workspace()))?;
        let Applying { mut report, done, .. } = applying;
        report.left = self.prune(&done)?;
        Ok(report)
    }

    /// Removes from the layer what is on the host. Gives the number of changes that are left.
    fn prune(self, applied: &HashSet<PathBuf>) -> Result<usize> {
        let left = self.compare(applied)?.changes;
        let mut busy = HashSet::new();
        for change in &left {
            busy.extend(change.path.ancestors().map(Path::to_owned));
        }
        let upper = self.open_upper()?;
        prune(&upper, Path::new(""), &busy).map_err(Error::io("remove from", &self.upper()))?;
        drop(upper);
        if left.is_empty() {
            let layers = self.state.make(Part::Layers)?;
            remove_layer(&layers, OsStr::new(&self.run))
                .map_err(Error::io("remove", &self.path))?;
        }
        Ok(left.len())
    }
}

fn prune(upper: &Dir, path: &Path, busy: &HashSet<PathBuf>) -> rustix::io::Result<()> {
    for name in upper.names()? {
        let path = path.join(&name);
        let Some(meta) = upper.meta(&name)? else { continue };
        if !busy.contains(&path) {
            upper.writing(|| remove_entry(upper, &name))?;
        } else if meta.is_dir() {
            let child = upper.unlocked_child(&name, &meta)?;
            if overlay_mark(&child, "opaque")?.is_none() {
                prune(&child, &path, busy)?;
            }
        }
    }
    Ok(())
}

/// The changes at and below the paths, with the directories they need.
fn choose<'a>(changes: &'a [Change], paths: &[PathBuf]) -> Result<Vec<&'a Change>> {
    if paths.is_empty() {
        return Ok(changes.iter().collect());
    }
    let mut chosen: HashSet<&Path> = HashSet::new();
    for given in paths {
        let path = below_workspace(given)?;
        let at_or_below =
            |change: &&Change| path.as_os_str().is_empty() || change.path.starts_with(&path);
        let before = chosen.len();
        chosen.extend(changes.iter().filter(at_or_below).map(|change| change.path.as_path()));
        if chosen.len() == before && !chosen.iter().any(|chosen| chosen.starts_with(&path)) {
            return Err(Error::NoSuchChange { path: given.clone() });
        }
    }
    let needed: HashSet<&Path> = chosen.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let is_needed = |change: &&Change| {
        let makes_directory = change.after.is_some_and(|after| after.file == FileKind::Directory)
            && matches!(change.kind, ChangeKind::Added | ChangeKind::TypeChanged);
        chosen.contains(change.path.as_path())
            || makes_directory && needed.contains(change.path.as_path())
    };
    Ok(changes.iter().filter(is_needed).collect())
}

fn below_workspace(given: &Path) -> Result<PathBuf> {
    let is_plain =
        |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::CurDir);
    if !given.components().all(|component| is_plain(&component)) {
        return Err(Error::NoSuchChange { path: given.to_owned() });
    }
    let is_name = |component: &Component<'_>| matches!(component, Component::Normal(_));
    Ok(given.components().filter(is_name).collect())
}

/// An apply in progress.
struct Applying<'a> {
    layer: &'a Layer,
    host: Host,
    /// Names in the layer that are the same file.
    links: &'a HashMap<Identity, Vec<PathBuf>>,
    /// Paths that the layer changes.
    changed: HashSet<&'a Path>,
    /// Those that need no more work.
    done: HashSet<PathBuf>,
    /// Those that were copied or linked.
    copied: HashSet<PathBuf>,
    report: Report,
}

impl<'a> Applying<'a> {
    fn new(layer: &'a Layer, host: Host, diff: &'a Diff) -> Applying<'a> {
        Applying {
            layer,
            host,
            links: &diff.links,
            changed: diff.changes.iter().map(|change| change.path.as_path()).collect(),
            done: HashSet::new(),
            copied: HashSet::new(),
            report: Report::default(),
        }
    }

    fn one(&mut self, change: &Change) {
        match self.try_one(change) {
            Ok(()) => self.report.applied.push(change.clone()),
            Err(Failed::Special) => self.skip(change),
            Err(error) => self.fail(change, &error),
        }
    }

    fn try_one(&mut self, change: &Change) -> std::result::Result<(), Failed> {
        let Some(after) = change.after else {
            self.host.delete(change)?;
            self.done.insert(change.path.clone());
            return Ok(());
        };
        match (change.kind, after.file) {
            // Their bits come last, so that they do not keep out what goes into them.
            (ChangeKind::ModeChanged, FileKind::Directory) => return Ok(()),
            (ChangeKind::ModeChanged, _) => self.host.set_mode(change)?,
            (_, FileKind::Directory) => return self.host.make_directory(change),
            (_, FileKind::Socket | FileKind::Device) => return Err(Failed::Special),
            _ => self.copy(change)?,
        }
        self.done.insert(change.path.clone());
        Ok(())
    }

    fn copy(&mut self, change: &Change) -> std::result::Result<(), Failed> {
        let (chain, meta) = self.in_layer(&change.path)?;
        if drops_bits(&meta) {
            let what = "the set-user-ID and set-group-ID bits were left out";
            self.report.warnings.push(format!("{}: {what}", escape(&change.path)));
        }
        match self.peer(&meta, &change.path) {
            Some(peer) => self.host.link(change, &peer)?,
            None => self.host.copy(change, chain.last())?,
        }
        self.copied.insert(change.path.clone());
        Ok(())
    }

    /// Another name of the same file that is on the host already.
    fn peer(&self, meta: &Meta, path: &Path) -> Option<PathBuf> {
        let names = self.links.get(&meta.identity)?;
        let is_there = |name: &&PathBuf| {
            *name != path && (self.copied.contains(*name) || !self.changed.contains(name.as_path()))
        };
        names.iter().find(is_there).cloned()
    }

    /// Bits and times of directories, the innermost first.
    fn complete(&mut self, chosen: &[&Change]) {
        let is_directory =
            |change: &&&Change| change.after.is_some_and(|after| after.file == FileKind::Directory);
        for change in chosen.iter().rev().filter(is_directory) {
            if self.report.failed.iter().any(|failed| failed.path == change.path) {
                continue;
            }
            match self.complete_one(change) {
                Ok(()) => {
                    self.done.insert(change.path.clone());
                }
                Err(error) => {
                    self.report.applied.retain(|applied| applied.path != change.path);
                    self.fail(change, &error);
                }
            }
        }
    }

    fn complete_one(&mut self, change: &Change) -> std::result::Result<(), Failed> {
        let upper = self.layer.open_upper().map_err(|_| Failed::NoDirectory)?;
        let chain = Chain::open(upper, below(&change.path))?;
        self.host.complete_directory(change, chain.last())
    }

    fn in_layer(&self, path: &Path) -> std::result::Result<(Chain, Meta), Failed> {
        let upper = self.layer.open_upper().map_err(|_| Failed::NoDirectory)?;
        let chain = Chain::open(upper, path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().ok_or(rustix::io::Errno::INVAL)?;
        let meta = chain.last().meta(name)?.ok_or(rustix::io::Errno::NOENT)?;
        Ok((chain, meta))
    }

    fn skip(&mut self, change: &Change) {
        let what = change.after.map_or("entry", |after| after.file.as_str());
        self.done.insert(change.path.clone());
        self.report.warnings.push(format!("{}: a {what} was left out", escape(&change.path)));
    }

    fn fail(&mut self, change: &Change, error: &Failed) {
        self.report.failed.push(Refusal { path: change.path.clone(), why: error.to_string() });
    }
}

/// A path of the list as one below the layer: the workspace itself is the empty path.
fn below(path: &Path) -> &Path {
    if path == Path::new(".") { Path::new("") } else { path }
}

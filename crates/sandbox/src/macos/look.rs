//! From a specification to rules: what the host looks like, as far as a profile depends on it.
//!
//! Much less than on Linux: rules go by name, so nothing is remembered by its inode and what is
//! missing can be spoken of. The price is the trap of this backend: a rule holds for a name. A
//! directory of a writable tree that does not exist yet can be made as a link or moved into place,
//! so what is protected below it is not held, and said to be [`Unheld`].

use super::{
    names::{Named, all_existing, existing, link_and_target, named, resolved},
    rules::{NetworkRule, Rules, View},
    stores,
};
use crate::{
    error::SandboxError,
    protected,
    spec::{FileView, Files, Network, SandboxSpec, UnixSockets},
    unheld::{Before, Unheld},
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The rules, without what a single run brings.
    pub(crate) rules: Rules,
    /// Protected paths that no rule can hold.
    pub(crate) unheld: Vec<Unheld>,
    /// Oddities that were left out.
    pub(crate) warnings: Vec<String>,
}

/// Looks at everything the specification touches.
pub(crate) fn look(spec: &SandboxSpec) -> Result<Seen, SandboxError> {
    let sockets = match &spec.unix_sockets {
        UnixSockets::Listed(paths) => UnixSockets::Listed(all_existing(paths, "Unix socket")?),
        other => other.clone(),
    };
    let rules =
        Rules { view: None, network: network(spec), sockets, temp: None, terminals: vec![] };
    let mut seen = Seen { rules, unheld: Vec::new(), warnings: Vec::new() };
    if let Files::View(view) = &spec.files {
        let workspace = existing(&spec.workspace, "workspace")?;
        let mut looking = Looking::new(view, &workspace)?;
        looking.hide(view)?;
        looking.protect(view, &workspace)?;
        looking.show(workspace);
        seen.rules.view = Some(looking.view);
        seen.unheld = looking.unheld.into_iter().collect();
        seen.warnings = looking.warnings;
    }
    Ok(seen)
}

fn network(spec: &SandboxSpec) -> NetworkRule {
    match spec.network {
        Network::Inherit => NetworkRule::Inherit,
        _ => NetworkRule::Deny,
    }
}

struct Looking {
    view: View,
    homes: Vec<PathBuf>,
    /// Where wildcards cannot begin yet.
    known: Vec<PathBuf>,
    unheld: BTreeSet<Unheld>,
    warnings: Vec<String>,
}

impl Looking {
    fn new(view: &FileView, workspace: &Path) -> Result<Self, SandboxError> {
        let readable = all_existing(&view.readable, "readable path")?;
        let mut writable = all_existing(&view.writable, "writable path")?;
        // Both asked for: the stricter holds.
        writable.retain(|path| !readable.contains(path));
        let homes: Vec<_> = view.homes.iter().map(|home| resolved(home)).collect();
        let mut known = vec![workspace.to_owned()];
        for list in [&view.writable, &view.homes, &writable, &homes] {
            known.extend(list.iter().cloned());
        }
        let view = View { scope: view.scope, writable, readable, ..View::default() };
        Ok(Self { view, homes, known, unheld: BTreeSet::new(), warnings: Vec::new() })
    }

    fn hide(&mut self, view: &FileView) -> Result<(), SandboxError> {
        let root = Path::new("/");
        let mut hidden: Vec<PathBuf> = all_in(root, stores::IN_SYSTEM).collect();
        for home in &self.homes {
            hidden.extend(all_in(home, crate::stores::IN_HOME));
            hidden.extend(all_in(home, stores::IN_HOME));
        }
        hidden = hidden.iter().flat_map(|path| link_and_target(path)).collect();
        // Named on purpose: the built-in list gives way.
        hidden.retain(|path| !self.view.readable.contains(path));
        hidden.retain(|path| !self.view.writable.contains(path));
        for path in &view.hidden {
            match self.named(path, "hidden path")? {
                Named::Path(path) => hidden.extend(link_and_target(&path)),
                Named::Pattern(pattern) => self.view.hidden_patterns.push(pattern),
            }
        }
        hidden.sort();
        hidden.dedup();
        if hidden.first().is_some_and(|path| path == root) {
            hidden.remove(0);
            self.warnings.push("the root is listed as hidden and is not hidden".to_owned());
        }
        self.view.hidden = hidden;
        Ok(())
    }

    fn named(&self, path: &Path, role: &'static str) -> Result<Named, SandboxError> {
        super::names::absolute(path, role)?;
        named(path, &self.known).map_err(|source| SandboxError::Path {
            role,
            path: path.to_owned(),
            source,
        })
    }

    fn protect(&mut self, view: &FileView, workspace: &Path) -> Result<(), SandboxError> {
        let tops: BTreeSet<_> =
            self.view.writable.iter().cloned().chain([workspace.to_owned()]).collect();
        let mut wanted = Vec::new();
        for top in &tops {
            let lists = if self.homes.contains(top) {
                [protected::ANYWHERE, protected::IN_HOME]
            } else {
                [protected::ANYWHERE, protected::IN_PROJECT]
            };
            wanted.extend(lists.into_iter().flat_map(|list| all_in(top, list)));
            wanted.extend(in_repository(top));
        }
        for home in self.homes.iter().filter(|home| !tops.contains(*home)) {
            let lists = [protected::ANYWHERE, protected::IN_HOME];
            wanted.extend(lists.into_iter().flat_map(|list| all_in(home, list)));
        }
        let above = workspace.ancestors().skip(1);
        wanted.extend(above.flat_map(|above| protected::ABOVE.iter().map(|name| above.join(name))));
        for path in &view.protected {
            match self.named(path, "protected path")? {
                Named::Path(path) => wanted.push(path),
                Named::Pattern(pattern) => self.view.protected_patterns.push(pattern),
            }
        }
        wanted.iter().flat_map(|path| link_and_target(path)).for_each(|path| self.guard(path));
        for list in [&mut self.view.protected, &mut self.view.absent] {
            list.sort();
            list.dedup();
        }
        Ok(())
    }

    /// Sorts a protected path by how it can be held.
    fn guard(&mut self, path: PathBuf) {
        let around = self.view.writable.iter().filter(|root| path.starts_with(root));
        let Some(root) = around.min_by_key(|root| root.components().count()).cloned() else {
            return;
        };
        // A path that is writable by name was listed on purpose.
        if self.view.writable.contains(&path) {
            return;
        }
        if fs::symlink_metadata(&path).is_ok() {
            self.view.protected.push(path);
            return;
        }
        let missing = path.ancestors().skip(1).take_while(|above| *above != root);
        let missing: Vec<_> =
            missing.filter(|above| fs::symlink_metadata(above).is_err()).collect();
        if let Some(git) = missing.iter().find(|above| above.ends_with(".git")) {
            // Holding its hooks would keep the command from making a repository at all.
            self.lose(&root, git, Before::NoRepository);
            return;
        }
        if !missing.is_empty() {
            self.lose(&root, &path, Before::Nothing);
        }
        self.view.absent.push(path);
    }

    fn lose(&mut self, root: &Path, path: &Path, before: Before) {
        let Ok(path) = path.strip_prefix(root) else { return };
        self.unheld.insert(Unheld { root: root.to_owned(), path: path.to_owned(), before });
    }

    /// The workspace stays visible, and as it is, wherever something would cover it.
    fn show(&mut self, workspace: PathBuf) {
        let around = |path: &&PathBuf| workspace.starts_with(path);
        let depth = |path: &&PathBuf| path.components().count();
        let nearest = self.view.writable.iter().filter(around).max_by_key(depth).cloned();
        let covers = self.view.hidden.iter().filter(around).any(|cover| {
            nearest.as_ref().is_none_or(|nearest| cover.starts_with(nearest) && cover != nearest)
        });
        let list = match &nearest {
            Some(nearest) if !covers || *nearest == workspace => return,
            Some(_) => &mut self.view.writable,
            None => &mut self.view.readable,
        };
        if !list.contains(&workspace) {
            list.push(workspace);
            list.sort();
        }
    }
}

fn all_in<'a>(
    top: &'a Path,
    lists: &'static [(&'static str, &'static [&'static str])],
) -> impl Iterator<Item = PathBuf> + 'a {
    let name = |directory: &'static str| move |name: &&str| Path::new(directory).join(name);
    let names = lists.iter().flat_map(move |(directory, names)| names.iter().map(name(directory)));
    names.map(|name| top.join(name))
}

/// What runs code in the repository whose working tree this is.
fn in_repository(top: &Path) -> Vec<PathBuf> {
    let git = top.join(".git");
    let mut wanted = Vec::new();
    let directory = match pointer(&git, "gitdir:") {
        Ok(directory) => {
            wanted.push(git.clone());
            directory
        }
        Err(_) => git,
    };
    let common = pointer(&directory.join("commondir"), "").unwrap_or_else(|_| directory.clone());
    for place in BTreeSet::from([directory, common.clone()]) {
        wanted.extend(protected::IN_REPOSITORY.iter().map(|name| place.join(name)));
    }
    if let Ok(worktrees) = fs::read_dir(common.join("worktrees")) {
        for worktree in worktrees.flatten() {
            wanted.extend(protected::IN_WORKTREE.iter().map(|name| worktree.path().join(name)));
        }
    }
    wanted
}

/// The path that a file of git's names, after a word.
fn pointer(file: &Path, word: &str) -> io::Result<PathBuf> {
    let text = fs::read_to_string(file)?;
    let target = text.strip_prefix(word).ok_or(io::ErrorKind::InvalidData)?.trim();
    Ok(resolved(&file.parent().unwrap_or(Path::new("/")).join(target)))
}

#[cfg(test)]
mod tests;

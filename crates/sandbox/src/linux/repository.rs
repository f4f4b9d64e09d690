//! The parts of git repositories that decide what git runs, wherever they lie.
//!
//! A repository is found where git would find it: the `.git` of a directory, or of one above it.
//! From there its own files lead on: the directory a `.git` file names, the common directory of a
//! linked worktree, the directories kept for submodules and worktrees, and what the configuration
//! names. Only directories are asked for names, and two of them are listed (`modules` and
//! `worktrees`), up to a bound.
//!
//! What is not protected, so that git goes on working: references, objects, the index, logs, and
//! `info/attributes`, which can only name a filter that the configuration must define.

use super::protect::{Below, Directory, Kind, Look, Way};
use crate::{
    git::{self, Named},
    protected::{IN_REPOSITORY, IN_WORKTREE},
    unheld::Before,
};
use nix::sys::stat::FileStat;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What has been looked at, so that no circle is gone round twice.
#[derive(Default)]
pub(crate) struct Seen {
    /// Directories that were asked for a `.git`, and whether they are tops of a repository.
    tops: BTreeMap<PathBuf, bool>,
    /// Directories of repositories, each with the working tree it was looked at for.
    directories: BTreeSet<(PathBuf, Option<PathBuf>)>,
    /// Configurations that were read.
    files: usize,
    /// Submodules and linked worktrees that were looked at.
    listed: usize,
}

/// Submodules and linked worktrees that are looked at; each takes some microseconds of every run.
const MOST_LISTED: usize = 500;
/// Configurations that are read, included ones among them.
const MOST_FILES: usize = 2 * MOST_LISTED + 32;
/// Names of submodules may have slashes; this many.
const MOST_SLASHES: usize = 6;
/// Configurations that may include each other in a row, as in git.
const MOST_INCLUDES: usize = 10;

/// The repository that a directory is the top of, or lies in.
pub(crate) fn around<'q>(look: &mut Look<'q>, base: &Directory<'q>) {
    if entry(look, base) {
        return;
    }
    // Git looks upwards: there, too, only where the command could put something.
    let mut above = base.path.clone();
    while above.pop() && look.tree_around(&above).is_some() {
        let Some(directory) = look.enter(&above) else { return };
        if entry(look, &directory) {
            return;
        }
    }
}

/// The repository whose top a directory is; whether it is one.
fn entry<'q>(look: &mut Look<'q>, base: &Directory<'q>) -> bool {
    if let Some(known) = look.repositories.tops.get(&base.path) {
        return *known;
    }
    let is_top = new_entry(look, base);
    look.repositories.tops.insert(base.path.clone(), is_top);
    is_top
}

fn new_entry<'q>(look: &mut Look<'q>, base: &Directory<'q>) -> bool {
    let Some(stat) = look.ask(base, ".git") else {
        if is_repository(look, base) {
            repository(look, &base.path, None);
            return true;
        }
        look.absent_in(base, ".git", Before::NoRepository);
        return false;
    };
    let path = base.path.join(".git");
    if Kind::of(&stat) == Kind::Directory {
        repository(look, &path, Some(&base.path));
        return true;
    }
    // A file that names the directory, or a link to one of the two.
    if Kind::of(&stat) != Kind::Link {
        look.hold(base, ".git", Before::NoRepository);
    }
    match look.follow(&path) {
        Ok(Way::To(target)) if target.is_dir() => {
            repository(look, &target, Some(&base.path));
        }
        Ok(Way::To(target)) => {
            let named = look.read(&target);
            if let Some(named) = named.and_then(|(_, content)| git::git_directory(&content)) {
                linked(look, &base.path, &base.path.join(named));
            }
        }
        Ok(Way::Missing(directory, rest)) => {
            look.warn(&path, "it is a link to nothing");
            look.absent(&directory.join(rest), Before::NoRepository);
        }
        Err(error) => look.warn(&path, &error.to_string()),
    }
    true
}

/// A directory that is a repository without a working tree around it.
fn is_repository<'q>(look: &mut Look<'q>, directory: &Directory<'q>) -> bool {
    let mut has = |name: &str, kind: Kind| {
        let stat: Option<FileStat> = look.ask(directory, name);
        stat.is_some_and(|stat| Kind::of(&stat) == kind)
    };
    has("HEAD", Kind::File) && has("objects", Kind::Directory) && has("refs", Kind::Directory)
}

/// What the `.git` file of a working tree names.
fn linked<'q>(look: &mut Look<'q>, top: &Path, directory: &Path) {
    let directory = match look.follow(directory) {
        Ok(Way::To(directory)) => directory,
        Ok(Way::Missing(there, rest)) => {
            look.absent(&there.join(rest), Before::Nothing);
            return;
        }
        Err(error) => return look.warn(directory, &error.to_string()),
    };
    let common = repository(look, &directory, Some(top));
    let written = look.tree_around(&common).is_some() && look.tree_around(&directory).is_some();
    if !written && look.question.workspace == top && look.tree_around(top).is_some() {
        let (top, common) = (top.display(), common.display());
        look.found.warnings.push(format!(
            "the repository of `{top}` lies outside every writable path, so git can read but not \
             commit: `--rw {common}` allows it"
        ));
    }
}

/// Protects the parts of one repository; the directory its references and objects are in.
fn repository<'q>(look: &mut Look<'q>, path: &Path, top: Option<&Path>) -> PathBuf {
    let key = (path.to_owned(), top.map(Path::to_owned));
    if !look.repositories.directories.insert(key) {
        return path.to_owned();
    }
    let Some(directory) = look.enter(path) else { return path.to_owned() };
    let common = look.ask(&directory, "commondir").is_some();
    let common = common.then(|| look.read(&path.join("commondir"))).flatten();
    let common = common.and_then(|(_, content)| git::line(&content));
    for name in if common.is_some() { IN_WORKTREE } else { IN_REPOSITORY } {
        look.hold(&directory, name, Before::Nothing);
    }
    configuration(look, &path.join("config.worktree"), path, top, 0);
    if let Some(common) = common {
        let Ok(Way::To(common)) = look.follow(&path.join(common)) else { return path.to_owned() };
        return repository(look, &common, top);
    }
    configuration(look, &path.join("config"), path, top, 0);
    modules(look, &directory, 0);
    worktrees(look, &directory);
    path.to_owned()
}

/// What a configuration names. Hooks and programs are named from the top of the working tree.
fn configuration<'q>(
    look: &mut Look<'q>,
    file: &Path,
    repository: &Path,
    top: Option<&Path>,
    depth: usize,
) {
    look.repositories.files += 1;
    if depth > MOST_INCLUDES || look.repositories.files > MOST_FILES {
        return;
    }
    let Some((file, content)) = look.read(file) else { return };
    let home = look.question.homes.first();
    let directory = file.parent().unwrap_or(repository);
    for named in git::named(&content) {
        let (path, base) = match &named {
            Named::Hooks(path) | Named::Program(path) => (path, top.unwrap_or(repository)),
            Named::Include(path) => (path, directory),
            Named::Worktree(path) => (path, repository),
        };
        let Some(path) = git::place(path, base, home.map(PathBuf::as_path)) else { continue };
        let what = format!("`{}`, named in `{}`,", path.display(), file.display());
        match named {
            Named::Hooks(_) | Named::Program(_) => look.named(&path, &what),
            Named::Include(_) => {
                look.named(&path, &what);
                configuration(look, &path, repository, top, depth + 1);
            }
            Named::Worktree(_) => working_tree(look, &path, top),
        }
    }
}

/// The `.git` of a working tree that a repository elsewhere belongs to.
fn working_tree<'q>(look: &mut Look<'q>, path: &Path, known: Option<&Path>) {
    let Ok(Way::To(path)) = look.follow(path) else { return };
    if known == Some(&path) || look.tree_around(&path).is_none() {
        return;
    }
    let Some(directory) = look.enter(&path) else { return };
    match look.ask(&directory, ".git").as_ref().map(Kind::of) {
        Some(Kind::Directory) => {
            repository(look, &path.join(".git"), Some(&path));
        }
        Some(_) => look.hold(&directory, ".git", Before::NoRepository),
        None => {}
    }
}

/// The repositories of submodules, which may themselves have some.
fn modules<'q>(look: &mut Look<'q>, directory: &Directory<'q>, depth: usize) {
    let Below::There(modules) = look.descend(directory, "modules") else { return };
    module_names(look, &modules, depth);
}

fn module_names<'q>(look: &mut Look<'q>, directory: &Directory<'q>, depth: usize) {
    for name in names(look, directory) {
        let path = directory.path.join(&name);
        let Some(inner) = look.enter(&path) else { continue };
        if is_repository(look, &inner) {
            let top = working_tree_of(look, &path);
            repository(look, &path, top.as_deref());
        } else if depth < MOST_SLASHES {
            module_names(look, &inner, depth + 1);
        }
    }
}

/// Where the configuration of a repository says that its working tree is.
fn working_tree_of<'q>(look: &mut Look<'q>, repository: &Path) -> Option<PathBuf> {
    let (_, content) = look.read(&repository.join("config"))?;
    let tree = git::named(&content).into_iter().find_map(|named| match named {
        Named::Worktree(path) => Some(repository.join(path)),
        _ => None,
    })?;
    let Ok(Way::To(tree)) = look.follow(&tree) else { return None };
    working_tree(look, &tree, None);
    Some(tree)
}

/// What is kept for linked worktrees, and the `.git` file of each.
fn worktrees<'q>(look: &mut Look<'q>, directory: &Directory<'q>) {
    let Below::There(worktrees) = look.descend(directory, "worktrees") else { return };
    for name in names(look, &worktrees) {
        let path = worktrees.path.join(&name);
        let Some(inner) = look.enter(&path) else { continue };
        for name in IN_WORKTREE {
            look.hold(&inner, name, Before::Nothing);
        }
        let back = look.read(&path.join("gitdir"));
        let back = back.and_then(|(_, content)| git::line(&content));
        if let Some(top) = back.map(|back| path.join(back)).as_deref().and_then(Path::parent) {
            working_tree(look, top, None);
            // Hooks that are named from the top of the working tree lie in this one, too.
            configuration(look, &directory.path.join("config"), &path, Some(top), 0);
        }
    }
}

/// The directories in a directory, up to the bound that all of one look share.
fn names<'q>(look: &mut Look<'q>, directory: &Directory<'q>) -> Vec<std::ffi::OsString> {
    let Ok(entries) = fs::read_dir(&directory.path) else { return Vec::new() };
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let entries = entries.filter_map(Result::ok).filter(is_directory);
    let room = MOST_LISTED - look.repositories.listed;
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).take(room + 1).collect();
    if names.len() > room {
        names.truncate(room);
        look.warn(&directory.path, "it has more entries than are looked at");
    }
    look.repositories.listed += names.len();
    names
}

//! What may be active in a repository that the command made.
//!
//! A repository is a fine thing to make (`git init`, `git clone`). Its hooks run with the next git
//! command of the user, outside of any sandbox, so they are taken away. Its config may name
//! programs, too, but it also holds what makes the repository work: it stays, with a warning.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use super::git_config::dangerous_keys;
use super::inspect::Inspection;
use crate::escape::escape;
use crate::tree::{Dir, FileKind, Meta};

/// Largest config that is read, in bytes; git's own are a few hundred.
const MAX_CONFIG: u64 = 1 << 20;

/// Repositories within repositories (submodules, worktrees) that are looked into.
const MAX_NESTED: usize = 1_000;

/// Directories below `.git` that hold further repositories, at any depth.
const NESTED: [&str; 2] = ["modules", "worktrees"];

/// Looks into a new `.git` directory, takes its hooks away, and warns.
pub(super) fn inspect(inspection: &mut Inspection<'_>, dir: &Dir, path: &Path) {
    let mut left = MAX_NESTED;
    look_into(inspection, dir, path, &mut left);
    if left == 0 {
        inspection.warn(path, "has more repositories inside than are looked into");
    }
}

fn look_into(inspection: &mut Inspection<'_>, dir: &Dir, path: &Path, left: &mut usize) {
    let Some(rest) = left.checked_sub(1) else { return };
    *left = rest;
    hooks(inspection, dir, path);
    // In a main repository it only diverts config and hooks; worktrees need theirs.
    if path.file_name() == Some(OsStr::new(".git")) {
        inspection.take(dir, OsStr::new("commondir"), &path.join("commondir"));
    }
    for config in ["config", "config.worktree"] {
        warn_of_config(inspection, dir, config, path);
    }
    for name in NESTED {
        nested(inspection, dir, OsStr::new(name), &path.join(name), left);
    }
}

/// Submodules may have slashes in their names, so repositories lie at any depth.
fn nested(inspection: &mut Inspection<'_>, dir: &Dir, name: &OsStr, path: &Path, left: &mut usize) {
    let Some(modules) = open(inspection, dir, name, path) else { return };
    let names = modules.names().unwrap_or_default();
    for name in names {
        if *left == 0 {
            return;
        }
        let path = path.join(&name);
        let Some(module) = open(inspection, &modules, &name, &path) else { continue };
        if is_repository(&module) {
            look_into(inspection, &module, &path, left);
        } else {
            *left -= 1;
            nested(inspection, &modules, &name, &path, left);
        }
    }
}

fn is_repository(dir: &Dir) -> bool {
    ["HEAD", "config", "hooks", "gitdir"].iter().any(|name| matches!(dir.meta(*name), Ok(Some(_))))
}

/// A directory below a repository; a link in its place is taken away.
fn open(inspection: &mut Inspection<'_>, dir: &Dir, name: &OsStr, path: &Path) -> Option<Dir> {
    let meta = dir.meta(name).ok().flatten()?;
    match meta.kind {
        FileKind::Directory => match dir.unlocked_child(name, &meta) {
            Ok(child) => Some(child),
            Err(error) => {
                inspection.warn(path, &format!("cannot be looked into: {error}"));
                None
            }
        },
        FileKind::Symlink => {
            inspection.take(dir, name, path);
            None
        }
        _ => None,
    }
}

fn hooks(inspection: &mut Inspection<'_>, dir: &Dir, path: &Path) {
    let path = path.join("hooks");
    let Some(hooks) = open(inspection, dir, OsStr::new("hooks"), &path) else { return };
    let names = hooks.names().unwrap_or_default();
    let active: Vec<OsString> = names.into_iter().filter(|name| !is_sample(name)).collect();
    for name in &active {
        inspection.take(&hooks, name, &path.join(name));
    }
    if !active.is_empty() {
        let names: Vec<String> = active.iter().map(|name| escape(Path::new(name))).collect();
        inspection.warn(
            &path,
            &format!("was made with hooks, which were taken away: {}", names.join(", ")),
        );
    }
}

fn is_sample(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(b".sample")
}

fn warn_of_config(inspection: &mut Inspection<'_>, dir: &Dir, name: &str, path: &Path) {
    let path = path.join(name);
    let name = OsStr::new(name);
    match dir.meta(name) {
        Ok(Some(Meta { kind: FileKind::Symlink, .. })) => {
            inspection.take(dir, name, &path);
        }
        Ok(Some(meta)) if meta.kind == FileKind::File => {
            let mut text = Vec::new();
            let read = dir
                .open_file(name, Some(&meta))
                .map_err(Into::into)
                .and_then(|file| file.take(MAX_CONFIG).read_to_end(&mut text));
            if let Err(error) = read {
                inspection.warn(&path, &format!("cannot be read: {error}"));
            }
            let keys: Vec<String> =
                dangerous_keys(&text).iter().map(|key| escape(Path::new(key))).collect();
            if !keys.is_empty() {
                inspection.warn(
                    &path,
                    &format!("was made with settings that can run programs: {}", keys.join(", ")),
                );
            }
        }
        _ => {}
    }
}

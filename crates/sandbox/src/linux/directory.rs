//! A directory that is asked for names, and what it answers.
//!
//! Names are asked for below an open descriptor, so that all answers are about one directory. A
//! link is an answer like any other: nothing is followed here.

use super::host::Located;
use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::stat::{FileStat, fstatat},
};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Names that are read at once rather than asked for one by one.
const MOST_NAMES: usize = 1_000;

/// A directory without links in its path, open for asking.
pub(crate) struct Directory<'q> {
    pub(crate) path: PathBuf,
    pub(crate) fd: OwnedFd,
    /// The tree it lies in, if that can be written.
    pub(crate) tree: Option<&'q Located>,
    /// All names in it in lower case, where they are few.
    pub(crate) names: Option<HashSet<OsString>>,
}

impl Directory<'_> {
    /// What is called `name`; no link is followed.
    pub(crate) fn ask(&self, name: &str) -> Result<FileStat, Errno> {
        if self.lacks(name) {
            return Err(Errno::ENOENT);
        }
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Nothing is called so, not even where the file system makes no difference of case.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        let lower = || OsString::from(name.to_ascii_lowercase());
        self.names.as_ref().is_some_and(|names| !names.contains(&lower()))
    }
}

/// A directory that another user locks is locked for the command of the super-user as well, which
/// has no capability, and for the init that would mount something in it.
pub(crate) fn locked(user: u32, group: u32, mode: u32) -> bool {
    let by_group = group == 0 && mode & 0o010 != 0;
    user != 0 && mode & 0o001 == 0 && !by_group
}

/// All names in a directory, if they are few and can be read.
pub(crate) fn few_names(directory: &Path) -> Option<HashSet<OsString>> {
    let entries = fs::read_dir(directory).ok()?;
    let mut names = HashSet::new();
    for entry in entries {
        if names.len() == MOST_NAMES {
            return None;
        }
        let name = entry.ok()?.file_name();
        // Other letters have more than two cases.
        if !name.as_encoded_bytes().is_ascii() {
            return None;
        }
        names.insert(name.to_ascii_lowercase());
    }
    Some(names)
}

/// What lies at a path, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link,
    Other,
}

impl Kind {
    pub(crate) fn of(stat: &FileStat) -> Self {
        Self::of_mode(stat.st_mode)
    }

    pub(crate) fn of_mode(mode: u32) -> Self {
        match mode & libc::S_IFMT {
            libc::S_IFDIR => Self::Directory,
            libc::S_IFREG => Self::File,
            libc::S_IFLNK => Self::Link,
            _ => Self::Other,
        }
    }
}

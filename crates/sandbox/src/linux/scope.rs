//! The narrow view: what exists besides the workspace and what is listed.
//!
//! A list of the system's own directories in the root; whatever else lies there is outside the
//! scope and looks empty. It says what exists, not what is secret: credential stores inside the
//! system's directories are hidden by their own list (see `stores`).

use super::host::Located;
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Directories of the root that programs need to run, whoever runs them.
const SYSTEM: &[&str] =
    &["bin", "sbin", "usr", "etc", "opt", "nix", "gnu", "snap", "dev", "proc", "sys", "run", "tmp"];

/// Elsewhere, and yet part of the system: files that `/etc` leads to.
const NEEDED: &[&str] = &["/var/lib/ca-certificates", "/etc/resolv.conf"];

/// What lies in the root outside the scope.
pub(crate) fn beyond(writable: &[Located]) -> Vec<Located> {
    let Ok(entries) = fs::read_dir("/") else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    let others = names.filter(|name| !is_system(name.as_bytes()));
    let paths = others.map(|name| Path::new("/").join(name));
    // A link leads into the scope or out of it; there is nothing in the link itself.
    let plain = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_symlink());
    let places = paths.filter(plain).filter_map(|path| Located::below(&path).ok());
    let mut beyond: Vec<_> =
        places.filter(|place| !writable.iter().any(|tree| tree.path == place.path)).collect();
    beyond.sort();
    beyond
}

fn is_system(name: &[u8]) -> bool {
    name.starts_with(b"lib") || SYSTEM.iter().any(|system| system.as_bytes() == name)
}

/// What the system needs of it all the same.
pub(crate) fn still_needed(beyond: &[Located]) -> Vec<Located> {
    let places = NEEDED.iter().filter_map(|path| Located::look(Path::new(path)).ok());
    let outside = |place: &Located| beyond.iter().any(|dir| place.path.starts_with(&dir.path));
    places.filter(outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_in_scope_and_people_are_not() {
        for name in ["usr", "bin", "lib", "lib64", "libx32", "etc", "nix", "proc"] {
            assert!(is_system(name.as_bytes()), "{name}");
        }
        for name in ["home", "root", "var", "srv", "mnt", "media", "data", "boot", "work"] {
            assert!(!is_system(name.as_bytes()), "{name}");
        }
    }
}

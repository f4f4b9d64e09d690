//! A workspace that looks writable and is not: what a layer over it needs.
//!
//! The kernel's overlayfs takes the workspace as it is and writes elsewhere. It cannot look
//! through a mount inside the workspace (in a user namespace it refuses such a directory), so
//! that is found out here, where it can be said in words.

use super::host::{Located, lies_in};
use crate::{error::SandboxError, spec::Overlay};
use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A layer over the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// What stays as it is.
    pub(crate) workspace: Located,
    /// Takes up the changes.
    pub(crate) upper: Located,
    /// Scratch on the same file system.
    pub(crate) work: Located,
}

/// Looks at the workspace and the two directories of its layer.
pub(crate) fn look(workspace: &Located, overlay: &Overlay) -> Result<Layer, SandboxError> {
    if !workspace.directory {
        return Err(odd("workspace", &workspace.path, "it is no directory"));
    }
    if let Some(mount) = mounted_in(&workspace.path) {
        let why = format!(
            "something is mounted at `{}` inside it, which a layer cannot be laid over",
            mount.display()
        );
        return Err(odd("workspace", &workspace.path, &why));
    }
    let directory = |path: &Path| {
        let role = "directory of the layer";
        if !path.is_absolute() {
            return Err(SandboxError::NotAbsolute { role, path: path.to_owned() });
        }
        let place = Located::look(path).map_err(|source| SandboxError::Path {
            role,
            path: path.to_owned(),
            source,
        })?;
        if !place.directory {
            return Err(odd(role, path, "it is no directory"));
        }
        let (inner, outer) = (&place.path, &workspace.path);
        if inner == outer || lies_in(inner, outer) || lies_in(outer, inner) {
            return Err(odd(role, path, "it and the workspace lie in each other"));
        }
        Ok(place)
    };
    let (upper, work) = (directory(&overlay.upper)?, directory(&overlay.work)?);
    Ok(Layer { workspace: workspace.clone(), upper, work })
}

fn odd(role: &'static str, path: &Path, why: &str) -> SandboxError {
    let source = io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    SandboxError::Path { role, path: path.to_owned(), source }
}

/// A mount point below a directory, if there is one.
fn mounted_in(directory: &Path) -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let points = mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4).map(unescaped));
    points.map(PathBuf::from).find(|point| lies_in(point, directory))
}

/// A path as mountinfo writes it: spaces and the like in three octal digits.
fn unescaped(text: &[u8]) -> std::ffi::OsString {
    let (mut path, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| *byte == b'\\');
        let code = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &behind[3..] } else { behind };
    }
    OsStr::from_bytes(&path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let check = |text: &str, expect: &str| assert_eq!(unescaped(text.as_bytes()), expect);
        check("/a/b", "/a/b");
        check("/with\\040space", "/with space");
        check("/back\\134slash", "/back\\slash");
        check("/odd\\04", "/odd\\04");
        assert_eq!(mounted_in(Path::new("/proc/self/fd")), None);
        assert!(mounted_in(Path::new("/")).is_some());
    }
}

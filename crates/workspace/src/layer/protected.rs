//! Paths that are applied only when the caller insists: they run code, or loosen the next run.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// A list of protected paths, relative to the workspace. A leading `**/` stands for any directory
/// of it, the workspace itself included; there are no other wildcards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protected {
    patterns: Vec<PathBuf>,
}

impl Protected {
    pub(crate) fn new(patterns: Vec<PathBuf>) -> Protected {
        Protected { patterns }
    }

    pub(crate) fn patterns(&self) -> &[PathBuf] {
        &self.patterns
    }

    /// Whether the path is one of them or lies below one.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        self.patterns.iter().any(|pattern| {
            let mut components = pattern.components();
            match components.next() {
                Some(Component::Normal(first)) if first == OsStr::new("**") => {
                    anywhere(path, components.as_path())
                }
                _ => path.starts_with(pattern),
            }
        })
    }
}

fn anywhere(path: &Path, below: &Path) -> bool {
    let mut rest = path.components();
    loop {
        if rest.as_path().starts_with(below) {
            return true;
        }
        if rest.next().is_none() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: bool) {
        let patterns = [".git/hooks", "ringfence.toml", "**/.envrc", "**/.git/config"];
        let protected = Protected::new(patterns.map(PathBuf::from).to_vec());
        assert_eq!(protected.covers(Path::new(path)), expect, "{path}");
    }

    #[test]
    fn paths() {
        check(".git/hooks", true);
        check(".git/hooks/pre-commit", true);
        check(".git/hooks.d", false);
        check("sub/.git/hooks", false);
        check("ringfence.toml", true);
        check("sub/ringfence.toml", false);
        check(".envrc", true);
        check("a/b/.envrc", true);
        check("a/b/x.envrc", false);
        check("a/.git/config", true);
        check(".git/config", true);
        check("", false);
    }
}

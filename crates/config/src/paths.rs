//! Paths of the config made absolute: `~`, variables, and the workspace as the base.
//!
//! `..` is resolved by its letters, without asking the file system, so that the same config means the same paths before and after a
//! directory exists. The sandbox opens paths its own way and does not trust this.
//!
//! The trap is the empty variable: `"$OUT/"` with an empty `OUT` would be `/`. An empty variable counts as not set.

use crate::environment::Environment;
use crate::error::ConfigProblem;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// What paths are relative to, and where variables come from.
pub(crate) struct PathBase<'a> {
    pub(crate) workspace: &'a Path,
    pub(crate) environment: &'a Environment,
}

impl PathBase<'_> {
    /// A path of the config: `~`, `$NAME` and `${NAME}` are replaced.
    pub(crate) fn expand(&self, written: &str) -> Result<PathBuf, ConfigProblem> {
        check(written.as_bytes())?;
        let after_home = match home_part(written.as_bytes()) {
            HomePart::None => (OsString::new(), written),
            HomePart::Own => (self.home(written)?.into_os_string(), &written[1..]),
            HomePart::Other => return Err(ConfigProblem::OtherHome { path: written.into() }),
        };
        let (mut expanded, mut rest) = after_home;
        while let Some(at) = rest.find('$') {
            expanded.push(&rest[..at]);
            let (name, after) = variable(&rest[at + 1..])
                .ok_or_else(|| ConfigProblem::BadVariable { path: written.into() })?;
            let value = self.environment.get(name).filter(|value| !value.is_empty());
            let unset = || ConfigProblem::UnsetVariable { name: name.into(), path: written.into() };
            expanded.push(value.ok_or_else(unset)?);
            rest = after;
        }
        expanded.push(rest);
        Ok(normalize(&self.workspace.join(expanded)))
    }

    /// A path of a flag: only a leading `~` is replaced, since the caller's shell has done the rest.
    pub(crate) fn flag(&self, path: &Path) -> Result<PathBuf, ConfigProblem> {
        let bytes = path.as_os_str().as_bytes();
        check(bytes)?;
        let path = match home_part(bytes) {
            HomePart::Own => {
                let mut home = self.home(&path.to_string_lossy())?.into_os_string().into_vec();
                home.extend_from_slice(&bytes[1..]);
                PathBuf::from(OsString::from_vec(home))
            }
            HomePart::None | HomePart::Other => path.to_owned(),
        };
        Ok(normalize(&self.workspace.join(path)))
    }

    fn home(&self, written: &str) -> Result<PathBuf, ConfigProblem> {
        let home = self
            .environment
            .home()
            .ok_or_else(|| ConfigProblem::NoHome { path: written.into() })?;
        Ok(home.to_owned())
    }
}

fn check(path: &[u8]) -> Result<(), ConfigProblem> {
    if path.is_empty() || path.contains(&0) {
        return Err(ConfigProblem::BadPath { path: String::from_utf8_lossy(path).into_owned() });
    }
    Ok(())
}

enum HomePart {
    None,
    Own,
    Other,
}

fn home_part(path: &[u8]) -> HomePart {
    match path {
        [b'~'] | [b'~', b'/', ..] => HomePart::Own,
        [b'~', ..] => HomePart::Other,
        _ => HomePart::None,
    }
}

/// The name of a variable after its `$`, and the text after it.
fn variable(text: &str) -> Option<(&str, &str)> {
    let is_name = |name: &str| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let (name, rest) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => {
            let length = text
                .bytes()
                .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                .count();
            text.split_at(length)
        }
    };
    is_name(name).then_some((name, rest))
}

/// Resolves `.` and `..` by their letters; `..` above the root stays at the root.
pub(crate) fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(written: &str) -> Result<PathBuf, ConfigProblem> {
        let environment = Environment::new(
            [("HOME", "/home/u"), ("V", "/v"), ("REL", "r"), ("EMPTY", "")],
            "/elsewhere",
        );
        PathBase { workspace: Path::new("/work/a b"), environment: &environment }.expand(written)
    }

    fn check(written: &str, expect: &str) {
        assert_eq!(expand(written).expect("a good path"), Path::new(expect), "{written}");
    }

    #[test]
    fn expansion() {
        check(".", "/work/a b");
        check("target", "/work/a b/target");
        check("../x/./y", "/work/x/y");
        check("/../../etc", "/etc");
        check("/abs", "/abs");
        check("~", "/home/u");
        check("~/.cargo", "/home/u/.cargo");
        check("a~", "/work/a b/a~");
        check("$V/x", "/v/x");
        check("${V}x", "/vx");
        check("$REL/x", "/work/a b/r/x");
        check("~/$REL/${REL}", "/home/u/r/r");
    }

    fn fails(written: &str, expect: &str) {
        assert_eq!(expand(written).expect_err("a bad path").to_string(), expect, "{written}");
    }

    #[test]
    fn errors_name_what_is_missing() {
        fails("$NOPE/x", "the variable `NOPE` in `$NOPE/x` is not set");
        fails("$EMPTY/", "the variable `EMPTY` in `$EMPTY/` is not set");
        fails("${V", "`${V` has a `$` that is not the start of `$NAME` or `${NAME}`");
        fails("a$", "`a$` has a `$` that is not the start of `$NAME` or `${NAME}`");
        fails("$1", "`$1` has a `$` that is not the start of `$NAME` or `${NAME}`");
        fails("${V:-x}", "`${V:-x}` has a `$` that is not the start of `$NAME` or `${NAME}`");
        fails("~root/x", "`~root/x` names another user's home directory");
        fails("", "`` is not a path");
        fails("a\0", "`a\\0` is not a path");
    }

    #[test]
    fn a_missing_home_is_an_error() {
        let environment = Environment::new(Vec::<(&str, &str)>::new(), "/");
        let base = PathBase { workspace: Path::new("/w"), environment: &environment };
        assert!(matches!(base.expand("~/x"), Err(ConfigProblem::NoHome { .. })));
    }

    #[test]
    fn flags_keep_dollars() {
        let environment = Environment::new([("HOME", "/home/u")], "/");
        let base = PathBase { workspace: Path::new("/w"), environment: &environment };
        let flag = |path: &str| base.flag(Path::new(path)).expect("a good path");
        assert_eq!(flag("a$b"), Path::new("/w/a$b"));
        assert_eq!(flag("~/x"), Path::new("/home/u/x"));
        assert_eq!(flag("~x"), Path::new("/w/~x"));
    }
}

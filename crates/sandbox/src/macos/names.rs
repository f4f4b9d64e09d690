//! Paths of a specification, resolved as far as they exist.
//!
//! The kernel compares real paths, so links must be followed here. What does not exist (a rule may
//! speak of it all the same) is resolved up to the last directory that does.

use super::rules::Pattern;
use crate::error::SandboxError;
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// A path that must exist.
pub(crate) fn existing(path: &Path, role: &'static str) -> Result<PathBuf, SandboxError> {
    absolute(path, role)?;
    fs::canonicalize(path).map_err(|source| SandboxError::Path {
        role,
        path: path.to_owned(),
        source,
    })
}

/// Paths that must exist, each once.
pub(crate) fn all_existing(
    paths: &[PathBuf],
    role: &'static str,
) -> Result<Vec<PathBuf>, SandboxError> {
    let mut found: Vec<_> =
        paths.iter().map(|path| existing(path, role)).collect::<Result<_, _>>()?;
    found.sort();
    found.dedup();
    Ok(found)
}

pub(crate) fn absolute(path: &Path, role: &'static str) -> Result<(), SandboxError> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(SandboxError::NotAbsolute { role, path: path.to_owned() })
}

/// A path that need not exist: real as far as it does, the rest as written.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let path = without_dots(path);
    for above in path.ancestors() {
        if let Ok(real) = fs::canonicalize(above) {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            return if rest == Path::new("") { real } else { real.join(rest) };
        }
    }
    path
}

/// `..` is taken from the text: where something is missing, no link can be followed.
fn without_dots(path: &Path) -> PathBuf {
    if fs::symlink_metadata(path).is_ok() {
        return path.to_owned();
    }
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// A path by its names: as resolved to the end, and, when its last component is a link, where the
/// link lies.
pub(crate) fn link_and_target(path: &Path) -> Vec<PathBuf> {
    let target = resolved(path);
    let link = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => target.clone(),
    };
    if link == target { vec![target] } else { vec![link, target] }
}

/// One word of a list that may hold wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// No wildcard.
    Path(PathBuf),
    /// Wildcards, below the last directory that is named without.
    Pattern(Pattern),
}

/// Takes a path apart. A name below one of `known` is a wildcard's only from there on: what a
/// workspace is called is no pattern.
pub(crate) fn named(path: &Path, known: &[PathBuf]) -> Result<Named, io::Error> {
    let inside = known.iter().filter(|known| path.starts_with(known));
    let fixed = inside.max_by_key(|known| known.components().count());
    let fixed = fixed.map_or(Path::new("/"), PathBuf::as_path);
    let rest = path.strip_prefix(fixed).unwrap_or(path);
    let plain = rest.components().take_while(|component| !has_wildcard(component)).count();
    if plain == rest.components().count() {
        return Ok(Named::Path(path.to_owned()));
    }
    let below = fixed.join(rest.components().take(plain).collect::<PathBuf>());
    let rest: PathBuf = rest.components().skip(plain).collect();
    let rest = rest.into_os_string().into_string().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "a name with wildcards must be UTF-8")
    })?;
    Ok(Named::Pattern(Pattern { below: resolved(&below), rest }))
}

fn has_wildcard(component: &Component<'_>) -> bool {
    component.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_missing_is_resolved_up_to_there() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let top = fs::canonicalize(dir.path()).expect("it is there");
        fs::create_dir_all(top.join("real/inner")).expect("it can be made");
        symlink("real", top.join("link")).expect("a link can be made");
        let check = |path: &str, expect: &str| {
            assert_eq!(resolved(&top.join(path)), top.join(expect), "{path}");
        };
        check("real", "real");
        check("link", "real");
        check("link/inner", "real/inner");
        check("link/none/deep", "real/none/deep");
        check("none/../link/none", "real/none");
        assert_eq!(resolved(Path::new("/nonexistent/a/../b")), Path::new("/nonexistent/b"));
        let both = link_and_target(&top.join("link"));
        assert_eq!(both, [top.join("link"), top.join("real")]);
        assert_eq!(link_and_target(&top.join("link/none")), [top.join("real/none")]);
    }

    #[test]
    fn wildcards_begin_below_what_is_known() {
        let known = [PathBuf::from("/n/ws[1]"), "/n".into()];
        let check = |path: &str, expect: Result<&str, (&str, &str)>| {
            let expect = match expect {
                Ok(path) => Named::Path(path.into()),
                Err((below, rest)) => {
                    Named::Pattern(Pattern { below: below.into(), rest: rest.to_owned() })
                }
            };
            let got = named(Path::new(path), &known).expect("it is text");
            assert_eq!(got, expect, "{path}");
        };
        check("/n/a", Ok("/n/a"));
        check("/n/ws[1]/a", Ok("/n/ws[1]/a"));
        check("/n/ws[1]/a/*.key", Err(("/n/ws[1]/a", "*.key")));
        check("/n/ws[1]/*/a", Err(("/n/ws[1]", "*/a")));
        check("/n/x[1]/a", Err(("/n", "x[1]/a")));
        check("/other/**/b", Err(("/other", "**/b")));
    }

    #[test]
    fn what_must_exist_is_named_with_its_role() {
        let check = |path: &str, expect: &str| {
            let error = existing(Path::new(path), "writable path").expect_err("it is not there");
            assert_eq!(error.to_string(), expect);
        };
        check("relative", "writable path `relative` is not absolute");
        check("/nonexistent/dir", "cannot use writable path `/nonexistent/dir`");
    }
}

//! What every source file must hold, and must not.
//!
//! A head that tells its story; `forbid(unsafe_code)` at the root of each crate but the launcher and those with a `sys`
//! module; in these, no unsafe code outside it; no marks of unfinished work anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::Findings;

/// The crate that is trusted with unsafe code throughout.
const LAUNCHER: &str = "crates/launcher/";

/// Lines above which a file has probably two reasons to change.
const LONG: usize = 600;

/// Marks of unfinished work, put together here so that this file holds none.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// Checks all files below the root that the project is made of.
///
/// # Errors
/// What the file system says.
pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<(), String> {
    for file in files(root)? {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        // Snapshots and test vectors may be anything.
        let Ok(content) = fs::read_to_string(&file) else { continue };
        for mark in UNFINISHED.iter().filter(|mark| content.contains(**mark)) {
            findings.wrong(format!("{name}: holds {mark}"));
        }
        if file.extension().is_some_and(|ending| ending == "rs") {
            source(root, &name, &content, findings);
        }
    }
    Ok(())
}

fn source(root: &Path, name: &str, content: &str, findings: &mut Findings) {
    if !content.trim_start().trim_start_matches("#!/").starts_with("//!") {
        findings.wrong(format!("{name}: has no head that tells what it is for"));
    }
    let lines = content.lines().count();
    if lines > LONG {
        findings.advice.push(format!("{name}: {lines} lines"));
    }
    if name.starts_with(LAUNCHER) || is_sys(name) {
        return;
    }
    if uses_unsafe(content) && !has_attribute_only(content) {
        findings.wrong(format!("{name}: unsafe code outside a `sys` module"));
    }
    if is_root(name) && !forbids(content) && !has_sys(root, name) {
        findings.wrong(format!("{name}: does not forbid unsafe code"));
    }
}

fn is_sys(name: &str) -> bool {
    name.ends_with("/sys.rs") || name.contains("/sys/")
}

/// The root of a library or program, not of a test, example, or build script.
fn is_root(name: &str) -> bool {
    let (directory, file) = name.rsplit_once('/').unwrap_or(("", name));
    let program =
        directory.ends_with("/src/bin") || directory.contains("/src/bin/") && file == "main.rs";
    directory.ends_with("/src") && matches!(file, "lib.rs" | "main.rs")
        || program
        || directory == "xtask/src" && file == "main.rs"
}

fn forbids(content: &str) -> bool {
    content.contains("#![forbid(unsafe_code)]")
}

fn has_sys(root: &Path, name: &str) -> bool {
    let directory = Path::new(name).parent().map(|parent| root.join(parent)).unwrap_or_default();
    files(&directory).is_ok_and(|files| files.iter().any(|file| is_sys(&file.to_string_lossy())))
}

/// True when code, not a comment or the name of a lint, says `unsafe`.
fn uses_unsafe(content: &str) -> bool {
    let code = content.lines().map(|line| line.split("//").next().unwrap_or_default());
    let word = |line: &str| {
        let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        words.any(|word| word == "unsafe")
    };
    code.filter(|line| !line.contains('"')).any(word)
}

fn has_attribute_only(content: &str) -> bool {
    let code = content.lines().filter(|line| uses_unsafe(line));
    code.into_iter()
        .all(|line| line.trim_start().starts_with("#[") || line.trim_start().starts_with("#!["))
}

/// Text files of the project below a directory; what is built or kept by tools is left out.
fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    const LEFT_OUT: &[&str] = &["target", ".git", "corpus", "artifacts", "node_modules"];
    const ENDINGS: &[&str] = &["rs", "toml", "md", "sh", "yml", "yaml"];
    let mut found = Vec::new();
    let mut next = vec![directory.to_path_buf()];
    while let Some(directory) = next.pop() {
        let entries = fs::read_dir(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && !LEFT_OUT.contains(&name.as_str()) {
                next.push(path);
            } else if ENDINGS.contains(&ending.as_str()) || directory.ends_with(".ci") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_unsafe(content: &str, expected: bool) {
        assert_eq!(uses_unsafe(content), expected, "{content}");
    }

    #[test]
    fn unsafe_code_is_seen() {
        check_unsafe("let x = unsafe { y() };", true);
        check_unsafe("pub unsafe fn f() {}", true);
        check_unsafe("// unsafe is not used", false);
        check_unsafe("#![forbid(unsafe_code)]", false);
        check_unsafe("let policy = PolicyMode::Unsafe;", false);
        check_unsafe("let word = \"unsafe\";", false);
    }

    #[test]
    fn roots_are_known() {
        for (name, expected) in [
            ("crates/policy/src/lib.rs", true),
            ("crates/cli/src/main.rs", true),
            ("tests/src/bin/suite.rs", true),
            ("tests/src/bin/attacker/main.rs", true),
            ("tests/src/bin/attacker/files.rs", false),
            ("crates/policy/src/rules.rs", false),
            ("crates/policy/tests/properties.rs", false),
        ] {
            assert_eq!(is_root(name), expected, "{name}");
        }
    }
}

//! What a command says on standard error about things it was refused.
//!
//! Not every refusal is told by the kernel: redirections and reads are not, unless they are traced,
//! and in a nested sandbox nothing is. Then the last lines of standard error are looked at, for the handful of
//! ways in which programs put these errors into words. A line is only believed when the sandbox
//! would refuse just that path, so a file that is refused by its own mode is not mistaken for one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_output_capture::{CallbackSink, Sink};
use ringfence_sandbox::{DeniedKind, Sandbox};

use crate::denials::{self, Denial};

/// How much of the end of standard error is looked at, in bytes.
const TAIL: usize = 16 * 1024;

/// The end of a stream, as it passes by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// What the stream is to be given to.
    pub(crate) fn sink(&self) -> Box<dyn Sink> {
        let tail = self.clone();
        Box::new(CallbackSink::new(move |bytes: &[u8]| tail.push(bytes)))
    }

    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let over = (kept.len() + bytes.len()).saturating_sub(TAIL);
        kept.drain(..over);
        kept.extend_from_slice(bytes);
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

/// The refusals that a command complained of and that this sandbox would make.
pub(crate) fn believed(tail: &Tail, sandbox: &Sandbox, cwd: &Path) -> Vec<Denial> {
    let text = tail.text();
    let refused = |line: &str| {
        let (kind, word) = complaint(line)?;
        let path = lexically(&cwd.join(word));
        let denied = match kind {
            Complaint::ReadOnly if !sandbox.lets_write(&path) => DeniedKind::FileWrite,
            Complaint::Permission if sandbox.hides(&path) => DeniedKind::FileRead,
            _ => return None,
        };
        Some(denials::from_stderr(denied, path.display().to_string(), program(line)))
    };
    text.lines().filter_map(refused).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Complaint {
    Permission,
    ReadOnly,
}

/// Which refusal a line speaks of, and the path it names.
fn complaint(line: &str) -> Option<(Complaint, &str)> {
    const TEXTS: &[(&str, Complaint)] = &[
        ("read-only file system", Complaint::ReadOnly),
        ("erofs", Complaint::ReadOnly),
        ("permission denied", Complaint::Permission),
        ("operation not permitted", Complaint::Permission),
        ("eacces", Complaint::Permission),
    ];
    let lower = line.to_ascii_lowercase();
    let (at, kind) = TEXTS.iter().find_map(|(text, kind)| Some((lower.find(text)?, *kind)))?;
    // The program says its own name first, so of several paths before the error the last is meant.
    let (before, after) = line.split_at(at);
    let has_slash = |word: &&str| word.contains('/');
    let path = (quoted(line).filter(has_slash).last())
        .or_else(|| bare(before).filter(has_slash).last())
        .or_else(|| bare(after).find(has_slash))
        .or_else(|| quoted(line).last())
        .or_else(|| bare(before).last())?;
    Some((kind, path))
}

/// The program that complains, where the line begins with its name, as those of all shells do.
fn program(line: &str) -> Option<String> {
    let (first, _) = line.split_once(':')?;
    let name = first.rsplit('/').next().unwrap_or(first);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let is_name = !name.is_empty() && name.chars().all(plain) && !name.ends_with("Error");
    is_name.then(|| name.to_owned())
}

fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split(['\'', '"', '`', '‘', '’', '“', '”']).skip(1).step_by(2)
}

/// What stands between blanks, without the punctuation around it.
fn bare(text: &str) -> impl Iterator<Item = &str> {
    let around = |c: char| matches!(c, ':' | ',' | ';' | '(' | ')' | '[' | ']');
    text.split_whitespace().map(move |word| word.trim_matches(around)).filter(|w| !w.is_empty())
}

/// Without `.` and `..`, as far as the text says.
fn lexically(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_put_it_into_words_of_their_own() {
        let check = |line: &str, expect: Option<(Complaint, &str)>| {
            assert_eq!(complaint(line), expect, "{line}");
        };
        let (permission, read_only) = (Complaint::Permission, Complaint::ReadOnly);
        check("cat: /root/.ssh/id: Permission denied", Some((permission, "/root/.ssh/id")));
        check("sh: 1: cannot create /etc/x: Read-only file system", Some((read_only, "/etc/x")));
        check("touch: cannot touch '/a b/c': Read-only file system", Some((read_only, "/a b/c")));
        check(
            "PermissionError: [Errno 13] Permission denied: '/home/u/.netrc'",
            Some((permission, "/home/u/.netrc")),
        );
        check("Error: EROFS: read-only file system, open '/etc/x'", Some((read_only, "/etc/x")));
        check(
            "ls: cannot open directory './.aws': Permission denied",
            Some((permission, "./.aws")),
        );
        check("/bin/bash: line 1: /etc/x: Read-only file system", Some((read_only, "/etc/x")));
        check("sh: 1: cannot create hosts: Read-only file system", Some((read_only, "hosts")));
        check("touch: cannot touch 'a b': Read-only file system", Some((read_only, "a b")));
        check("all is well with /etc/hosts", None);
    }

    #[test]
    fn programs_say_who_they_are() {
        let check = |line, expect: Option<&str>| assert_eq!(program(line).as_deref(), expect);
        check("sh: 1: cannot create /etc/x: Read-only file system", Some("sh"));
        check("/bin/bash: line 1: /etc/x: Read-only file system", Some("bash"));
        check("PermissionError: [Errno 13] Permission denied: '/home/u/.netrc'", None);
        check("Error: EROFS: read-only file system, open '/etc/x'", None);
        check("it is read-only: /etc/x", None);
    }

    #[test]
    fn only_the_end_is_kept() {
        let tail = Tail::default();
        tail.push(&vec![b'a'; TAIL]);
        tail.push(b"end");
        assert_eq!(tail.text().len(), TAIL);
        assert!(tail.text().ends_with("aend"));
        tail.push(&vec![b'b'; 3 * TAIL]);
        assert_eq!(tail.text(), "b".repeat(TAIL));
    }

    #[test]
    fn paths_are_cleaned_by_their_text() {
        assert_eq!(lexically(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(lexically(Path::new("/../a")), Path::new("/a"));
    }
}

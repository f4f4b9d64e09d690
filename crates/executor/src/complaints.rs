//! What a command says on standard error about things it was refused.
//!
//! Not every refusal is told by the kernel: reads are not, unless they are traced, and in a nested
//! sandbox nothing is. Then the last lines of standard error are looked at, for the handful of
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
    let refused = |(kind, word): (Complaint, &str)| {
        let path = lexically(&cwd.join(word));
        let denied = match kind {
            Complaint::ReadOnly if !sandbox.lets_write(&path) => DeniedKind::FileWrite,
            Complaint::Permission if sandbox.hides(&path) => DeniedKind::FileRead,
            _ => return None,
        };
        Some(denials::from_stderr(denied, path.display().to_string()))
    };
    text.lines().filter_map(complaint).filter_map(refused).collect()
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
    let path = quoted(line).or_else(|| bare(before).last()).or_else(|| bare(after).next())?;
    Some((kind, path))
}

fn quoted(line: &str) -> Option<&str> {
    let inside = line.split(['\'', '"', '`', '‘', '’', '“', '”']).skip(1).step_by(2);
    inside.filter(|word| word.contains('/')).last()
}

/// What stands between blanks and may be a path, without the punctuation around it.
fn bare(text: &str) -> impl Iterator<Item = &str> {
    let around = |c: char| matches!(c, ':' | ',' | ';' | '(' | ')' | '[' | ']');
    text.split_whitespace().map(move |word| word.trim_matches(around)).filter(|w| w.contains('/'))
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
        check("all is well with /etc/hosts", None);
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

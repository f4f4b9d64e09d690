//! Changes as a patch that `git apply` and `patch` read.
//!
//! The contents come from a command nobody trusts. On a terminal its control characters are shown, not
//! obeyed; anywhere else the patch is exact. Comparing has a deadline, as two texts can be made
//! that take for ever to compare; the patch is then longer than it must be, and still right.

use crate::failure::Failure;
use ringfence::workspace::{Change, ChangeKind, Contents, Entry, FileKind, Layer, Side, escape};
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Largest file that is compared by lines, in bytes; larger ones are only named.
const MAX_TEXT: u64 = 4 << 20;

/// Longest time for one file. Source: five seconds are what a person waits.
const DEADLINE: Duration = Duration::from_secs(5);

/// Lines around a difference. Source: diff(1), git-diff(1).
const CONTEXT: usize = 3;

/// Bytes in which a NUL makes a file binary. Source: git.
const BINARY_PROBE: usize = 8_000;

/// Writes all changes.
pub(crate) fn write(
    layer: &Layer,
    changes: &[Change],
    is_terminal: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for change in changes {
        let mut text = Vec::new();
        one(layer, change, &mut text)?;
        if is_terminal {
            text = visible(&text);
        }
        out.write_all(&text).map_err(Failure::Print)?;
    }
    Ok(())
}

fn one(layer: &Layer, change: &Change, text: &mut Vec<u8>) -> Result<(), Failure> {
    let read = |side| layer.read(&change.path, side, MAX_TEXT);
    let is_plain = |entry: Option<Entry>| {
        entry.is_none_or(|entry| matches!(entry.file, FileKind::File | FileKind::Symlink))
    };
    if change.kind == ChangeKind::ModeChanged || !is_plain(change.before) || !is_plain(change.after)
    {
        special(change, text);
        if change.kind != ChangeKind::TypeChanged {
            return Ok(());
        }
    }
    let before = if is_plain(change.before) && change.before.is_some() {
        read(Side::Before)?
    } else {
        Contents::Nothing
    };
    let after = if is_plain(change.after) && change.after.is_some() {
        read(Side::After)?
    } else {
        Contents::Nothing
    };
    let both = change.kind != ChangeKind::TypeChanged;
    if both {
        file(change, (&before, change.before), (&after, change.after), text);
    } else {
        let nothing = (&Contents::Nothing, None);
        file(change, (&before, change.before), nothing, text);
        file(change, nothing, (&after, change.after), text);
    }
    Ok(())
}

/// What no line of a patch can say, said in a line that `git apply` skips.
fn special(change: &Change, text: &mut Vec<u8>) {
    let (path, a, b) = (escape(&change.path), quoted("a", &change.path), quoted("b", &change.path));
    let line = match (change.kind, change.before, change.after) {
        (ChangeKind::ModeChanged, Some(before), Some(after)) if before.file == FileKind::File => {
            let (old, new) = (git_mode(before), git_mode(after));
            format!("diff --git {a} {b}\nold mode {old}\nnew mode {new}\n")
        }
        (ChangeKind::ModeChanged, _, Some(after)) => {
            format!("# {path} has mode {:o}\n", after.mode)
        }
        (ChangeKind::Deleted, Some(before), _) if before.file == FileKind::Directory => {
            format!("# {path}/ is removed with all that is in it\n")
        }
        (ChangeKind::Added, _, Some(after)) => {
            format!("# {path} is a new {}\n", after.file.as_str())
        }
        (ChangeKind::Deleted, Some(before), _) => {
            format!("# {path} is removed; it was a {}\n", before.file.as_str())
        }
        (_, Some(before), Some(after)) => {
            format!("# {path} is a {} and was a {}\n", after.file.as_str(), before.file.as_str())
        }
        _ => String::new(),
    };
    text.extend_from_slice(line.as_bytes());
}

type Half<'a> = (&'a Contents, Option<Entry>);

fn file(change: &Change, before: Half<'_>, after: Half<'_>, text: &mut Vec<u8>) {
    if *before.0 == Contents::Nothing && *after.0 == Contents::Nothing {
        return;
    }
    let (a, b) = (quoted("a", &change.path), quoted("b", &change.path));
    let mut head = format!("diff --git {a} {b}\n");
    match (
        before.1.filter(|_| *before.0 != Contents::Nothing),
        after.1.filter(|_| *after.0 != Contents::Nothing),
    ) {
        (Some(before), None) => head.push_str(&format!("deleted file mode {}\n", git_mode(before))),
        (None, Some(after)) => head.push_str(&format!("new file mode {}\n", git_mode(after))),
        (Some(before), Some(after)) if git_mode(before) != git_mode(after) => {
            head.push_str(&format!(
                "old mode {}\nnew mode {}\n",
                git_mode(before),
                git_mode(after)
            ));
        }
        _ => {}
    }
    text.extend_from_slice(head.as_bytes());
    let a = if *before.0 == Contents::Nothing { "/dev/null".into() } else { a };
    let b = if *after.0 == Contents::Nothing { "/dev/null".into() } else { b };
    match (bytes(before.0), bytes(after.0)) {
        (Some(before), Some(after)) if !is_binary(before) && !is_binary(after) => {
            if before != after {
                text.extend_from_slice(format!("--- {a}\n+++ {b}\n").as_bytes());
                hunks(before, after, text);
            }
        }
        (Some(_), Some(_)) => {
            text.extend_from_slice(format!("Binary files {a} and {b} differ\n").as_bytes());
        }
        _ => text.extend_from_slice(
            format!("# {a} and {b} differ; they are larger than {} MiB\n", MAX_TEXT >> 20)
                .as_bytes(),
        ),
    }
}

fn bytes(contents: &Contents) -> Option<&[u8]> {
    match contents {
        Contents::Nothing => Some(&[]),
        Contents::File(bytes) | Contents::Link(bytes) => Some(bytes),
        _ => None,
    }
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(BINARY_PROBE).any(|&byte| byte == 0)
}

fn hunks(before: &[u8], after: &[u8], text: &mut Vec<u8>) {
    let lines = |bytes| <[u8]>::split_inclusive(bytes, |&byte| byte == b'\n').collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    let deadline = Some(Instant::now() + DEADLINE);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &before, &after, deadline);
    for group in group_diff_ops(ops, CONTEXT) {
        hunk(&group, &before, &after, text);
    }
}

fn hunk(ops: &[DiffOp], before: &[&[u8]], after: &[&[u8]], text: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (ops.first(), ops.last()) else { return };
    let old = first.old_range().start..last.old_range().end;
    let new = first.new_range().start..last.new_range().end;
    text.extend_from_slice(format!("@@ -{} +{} @@\n", range(&old), range(&new)).as_bytes());
    for op in ops {
        if op.tag() == DiffTag::Equal {
            after[op.new_range()].iter().for_each(|line| self::line(b' ', line, text));
            continue;
        }
        before[op.old_range()].iter().for_each(|line| self::line(b'-', line, text));
        after[op.new_range()].iter().for_each(|line| self::line(b'+', line, text));
    }
}

/// First line and number of lines; the line before where there are none.
fn range(range: &std::ops::Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        length => format!("{},{length}", range.start + 1),
    }
}

fn line(mark: u8, line: &[u8], text: &mut Vec<u8>) {
    text.push(mark);
    text.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        text.extend_from_slice(b"\n\\ No newline at end of file\n");
    }
}

fn git_mode(entry: Entry) -> String {
    match entry.file {
        FileKind::Symlink => "120000".into(),
        _ => format!("100{:03o}", entry.mode & 0o777),
    }
}

/// A path as git writes it: in quotes, with octal escapes, where it has bytes that need them.
fn quoted(side: &str, path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && !b"\"\\".contains(byte);
    if bytes.iter().all(is_plain) {
        return format!("{side}/{}", path.display());
    }
    let mut text = format!("\"{side}/");
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            plain if is_plain(plain) => text.push(char::from(*plain)),
            other => text.push_str(&format!("\\{other:03o}")),
        }
    }
    text.push('"');
    text
}

/// The same text with control characters spelled out, line breaks and tabs excepted.
fn visible(text: &[u8]) -> Vec<u8> {
    let mut seen = String::new();
    for part in text.split_inclusive(|byte| b"\n\t".contains(byte)) {
        let (part, end) = match part.split_last() {
            Some((end @ (b'\n' | b'\t'), part)) => (part, Some(char::from(*end))),
            _ => (part, None),
        };
        seen.push_str(&spelled(part));
        seen.extend(end);
    }
    seen.into_bytes()
}

/// `escape` without doubled backslashes, which are no danger and common in text.
fn spelled(part: &[u8]) -> String {
    use std::ffi::OsStr;
    let pieces = part.split(|&byte| byte == b'\\');
    pieces.map(|piece| escape(Path::new(OsStr::from_bytes(piece)))).collect::<Vec<_>>().join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expect: &str) {
        let mut text = Vec::new();
        hunks(before.as_bytes(), after.as_bytes(), &mut text);
        assert_eq!(String::from_utf8_lossy(&text), expect);
    }

    #[test]
    fn hunks_are_those_of_diff() {
        check("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
        check("a\n", "", "@@ -1 +0,0 @@\n-a\n");
        check("a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        check("a\n", "a", "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n");
        let many = |changed: &[usize]| {
            let line = |number: usize| {
                if changed.contains(&number) { "x\n".into() } else { format!("{number}\n") }
            };
            (0..30).map(line).collect::<String>()
        };
        check(
            &many(&[]),
            &many(&[5, 25]),
            "@@ -3,7 +3,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n@@ -23,7 +23,7 @@\n 22\n 23\n 24\n-25\n+x\n 26\n 27\n 28\n",
        );
    }

    #[test]
    fn names_are_quoted_as_git_does() {
        let check = |path: &str, expect: &str| assert_eq!(quoted("a", Path::new(path)), expect);
        check("x/y z", "a/x/y z");
        check("x\ny", "\"a/x\\ny\"");
        check("ä\"\\", "\"a/\\303\\244\\\"\\\\\"");
        check("\u{1b}", "\"a/\\033\"");
    }

    #[test]
    fn a_terminal_is_not_moved_by_what_it_shows() {
        let check = |text: &[u8], expect: &str| assert_eq!(visible(text), expect.as_bytes());
        check(b"+\x1b[2Ja\tb\\n\r\n-\xff\n", "+\\u{1b}[2Ja\tb\\n\\r\n-\\xff\n");
        check("ä\n".as_bytes(), "ä\n");
    }

    #[test]
    fn texts_made_to_take_for_ever_end() {
        let text = |seed: u32| -> String {
            (0..60_000u32).map(|line| format!("{}\n", line.wrapping_mul(seed) >> 20 & 7)).collect()
        };
        let mut patch = Vec::new();
        hunks(text(2_654_435_761).as_bytes(), text(2_246_822_519).as_bytes(), &mut patch);
        assert!(patch.starts_with(b"@@ "));
    }
}

//! Names as one line of text, and back.
//!
//! A name may hold any byte but `/` and NUL: line breaks, escape sequences of a terminal, broken
//! UTF-8. Printed as it is, it could pretend to be another line or move the cursor. The escaped form
//! is safe to print, and nothing is lost: `unescape` gives the name again.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path as printable text on one line: `\n`, `\t`, `\\`, `\xNN` for bytes that are no text, and
/// `\u{N}` for characters that would not be seen.
#[must_use]
pub fn escape(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        chunk.valid().chars().for_each(|character| escape_char(character, &mut text));
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("because a String takes any text");
        }
    }
    text
}

fn escape_char(character: char, text: &mut String) {
    match character {
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\t' => text.push_str("\\t"),
        '\r' => text.push_str("\\r"),
        unseen if unseen.is_control() || is_invisible(unseen) => {
            write!(text, "\\u{{{:x}}}", u32::from(unseen))
                .expect("because a String takes any text");
        }
        seen => text.push(seen),
    }
}

/// Characters that change how others are shown: direction, joining, line separators.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The path that [`escape`] made the text of; `None` when it never made such a text.
#[must_use]
pub fn unescape(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape_one(&rest[at + 1..], &mut bytes)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(OsString::from_vec(bytes).into())
}

/// Reads what follows a backslash, and gives what comes after.
fn unescape_one<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let plain = match text.as_bytes().first()? {
        b'\\' => b'\\',
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'x' => {
            bytes.push(u8::from_str_radix(text.get(1..3)?, 16).ok()?);
            return Some(&text[3..]);
        }
        b'u' => {
            let (number, rest) = text[1..].strip_prefix('{')?.split_once('}')?;
            let character = char::from_u32(u32::from_str_radix(number, 16).ok()?)?;
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(rest);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(&text[1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(name: &[u8], expect: &str) {
        let path = PathBuf::from(OsString::from_vec(name.to_vec()));
        assert_eq!(escape(&path), expect);
        assert_eq!(unescape(expect), Some(path));
    }

    #[test]
    fn names_become_one_line() {
        check(b"a/b c", "a/b c");
        check("grün".as_bytes(), "grün");
        check(b"a\nb\tc\rd\\e", "a\\nb\\tc\\rd\\\\e");
        check(b"\x1b[31m\x7f", "\\u{1b}[31m\\u{7f}");
        check("a\u{202e}b".as_bytes(), "a\\u{202e}b");
        check(b"\xff\xfe", "\\xff\\xfe");
        check(b"", "");
    }

    #[test]
    fn what_escape_never_made_is_refused() {
        for text in ["\\", "\\q", "\\x1", "\\xzz", "\\u1b", "\\u{d800}", "\\u{"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(bytes: Vec<u8>) {
            let path = PathBuf::from(OsString::from_vec(bytes));
            let text = escape(&path);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(unescape(&text), Some(path));
        }
    }
}

//! Words of a Seatbelt profile: strings that nothing breaks out of, and regular expressions.
//!
//! A profile is a program in a dialect of Scheme, and a path in it is a string in double quotes.
//! In such a string the quote and the backslash are the only characters with a meaning of their
//! own; they are escaped. What the dialect makes of a line break or another control character in a
//! string is written nowhere, so a path that holds one is refused instead of guessed at.

use std::path::Path;

/// A path cannot be written in a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwritable {
    /// A line break, an escape, or another control character.
    #[error("a control character cannot be written in a sandbox profile")]
    Control,
    /// Bytes that are no text. The file systems of macOS hold none.
    #[error("bytes that are not UTF-8 cannot be written in a sandbox profile")]
    NotUtf8,
}

/// The text of a path, when it is one that can be written.
pub(crate) fn plain(path: &Path) -> Result<&str, Unwritable> {
    let text = path.to_str().ok_or(Unwritable::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(Unwritable::Control) } else { Ok(text) }
}

/// A text as a string of the profile.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

/// What lies below a known directory, in letters of either case: on the usual file systems of
/// macOS `.GIT` names the same file as `.git`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Below<'p> {
    /// This very name.
    Name(&'p str),
    /// Wildcards: `*` and `?` stay within a component, `**` does not, `[…]` is a set; a `[` that
    /// nothing closes is itself.
    Pattern(&'p str),
}

/// A regular expression for paths below a directory, and everything below these.
pub(crate) fn regex(directory: &str, below: Below<'_>) -> String {
    let mut regex = String::from("^");
    regex.extend(directory.trim_end_matches('/').chars().map(literal));
    regex.push('/');
    match below {
        Below::Name(name) => regex.extend(name.chars().map(any_case)),
        Below::Pattern(pattern) => push_pattern(&mut regex, pattern),
    }
    regex.push_str("(/.*)?$");
    regex
}

fn push_pattern(regex: &mut String, pattern: &str) {
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let (piece, taken) = match letter {
            '*' if rest.starts_with("**/") => ("(.*/)?".to_owned(), 3),
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            '[' => set(rest).unwrap_or_else(|| (literal('['), 1)),
            letter => (any_case(letter), letter.len_utf8()),
        };
        regex.push_str(&piece);
        rest = &rest[taken..];
    }
}

fn literal(letter: char) -> String {
    if letter.is_ascii_punctuation() && !"/-_".contains(letter) {
        format!("\\{letter}")
    } else {
        letter.to_string()
    }
}

fn any_case(letter: char) -> String {
    if letter.is_ascii_alphabetic() {
        format!("[{}{}]", letter.to_ascii_lowercase(), letter.to_ascii_uppercase())
    } else {
        literal(letter)
    }
}

/// A set, and how many bytes of the pattern it takes; `None` when nothing closes it.
fn set(rest: &str) -> Option<(String, usize)> {
    let body = &rest[1..];
    let negated = body.starts_with(['!', '^']);
    let members = &body[usize::from(negated)..];
    // A `]` in first place is a member.
    let first = members.chars().next()?.len_utf8();
    let end = first + members[first..].find(']')?;
    let members = &members[..end];
    if members.contains('/') {
        return None;
    }
    let escaped = members.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]");
    let escaped = escaped.replace('^', "\\^");
    let regex = if negated { format!("[^/{escaped}]") } else { format!("[{escaped}]") };
    Some((regex, 1 + usize::from(negated) + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        let check = |text: &str, expect: &str| assert_eq!(quoted(text), expect);
        check("/a b", r#""/a b""#);
        check(r#"/a"b"#, r#""/a\"b""#);
        check(r"/a\", r#""/a\\""#);
        check(r#"") (allow default) (""#, r#""\") (allow default) (\"""#);
        check("/é;#(", r#""/é;#(""#);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let check = |bytes: &[u8], expect: Option<Unwritable>| {
            let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
            assert_eq!(plain(path).err(), expect, "{path:?}");
        };
        check(b"/a b\"\\", None);
        check("/\u{e9}".as_bytes(), None);
        check(b"/a\nb", Some(Unwritable::Control));
        check(b"/a\x1b", Some(Unwritable::Control));
        check(b"/a\x7f", Some(Unwritable::Control));
        check("/a\u{85}".as_bytes(), Some(Unwritable::Control));
        check(b"/a\xff", Some(Unwritable::NotUtf8));
    }

    #[test]
    fn wildcards_become_regular_expressions() {
        let check = |pattern: &str, expect: &str| {
            let got = regex("/1", Below::Pattern(pattern));
            assert_eq!(got, format!("^/1/{expect}(/.*)?$"), "{pattern}");
        };
        check("*.p", r"[^/]*\.[pP]");
        check("**/.1", r"(.*/)?\.1");
        check("2/**", "2/.*");
        check("1?2", "1[^/]2");
        check("1[0-9a]2", "1[0-9a]2");
        check("1[!x]2", "1[^/x]2");
        check("1[]]2", r"1[\]]2");
        check("1[^]]2", r"1[^/\]]2");
        check("1[2", r"1\[2");
        check("1[", r"1\[");
        check("1[2/3]", r"1\[2/3\]");
        check(r"1+(2)|{3}$\4", r"1\+\(2\)\|\{3\}\$\\4");
        check("\u{e9}*", "\u{e9}[^/]*");
    }

    #[test]
    fn a_known_directory_has_no_wildcards_and_a_name_has_no_case() {
        let check = |directory: &str, name: &str, expect: &str| {
            assert_eq!(regex(directory, Below::Name(name)), expect);
        };
        check("/W[1]*", ".git/h?", r"^/W\[1\]\*/\.[gG][iI][tT]/[hH]\?(/.*)?$");
        check("/", "1", "^/1(/.*)?$");
    }
}

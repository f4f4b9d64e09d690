//! Words that stand where a value could, and are none: stand-ins, code, prose.
//!
//! For each question there are two functions: whether a whole word is such a thing, and whether a word may be one that
//! has only begun. The second must be true of every beginning of what the first is true of, or what is masked would
//! depend on the reads. The trap: a word that is spared is a secret that shows, so in doubt a word is a value.

use std::sync::LazyLock;

/// How far a value is looked at for what it is, in bytes; one that is still undecided then is masked.
pub(super) const MAX_LOOK: usize = 128;
/// Longest word that may be code or prose, in bytes.
const MAX_WORD: usize = 40;
/// Words that are said of a value and are none.
const STATES: &[&str] = &[
    "string",
    "boolean",
    "number",
    "integer",
    "object",
    "unknown",
    "optional",
    "required",
    "disabled",
    "enabled",
    "missing",
    "invalid",
    "expired",
    "undefined",
    "default",
    "hidden",
    "redacted",
    "filtered",
    "masked",
    "varchar",
    "nullable",
    "present",
    "absent",
    "not set",
    "(unset)",
    "(none)",
    "changeme",
    "granted",
    "denied",
    "allowed",
    "failed",
    // What Terraform says: (sensitive value), (known after apply).
    "(sensitive",
    "(known",
    // Tags of YAML before what is no secret in itself.
    "!vault",
    "!secret",
    "!getatt",
];
/// Words before a credential that are not part of it, and are no value alone.
const SCHEMES: &[&str] =
    &["bearer", "basic", "token", "digest", "negotiate", "apikey", "ntlm", "aws4-hmac-sha256"];

/// How name and value stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `name=value`.
    Tight,
    /// `name: value`, `name = value`.
    Loose,
}

/// Whether `word` is a stand-in for a value: a variable, a template, stars.
pub(super) fn is_placeholder(word: &[u8]) -> bool {
    let inner = |open: &[u8], close: &[u8]| word.starts_with(open) && word.ends_with(close);
    match word {
        [] => true,
        [b'$', rest @ ..] => is_variable(rest),
        [b'{', ..] => inner(b"{", b"}"),
        [b'<', ..] => inner(b"<", b">"),
        [b'%', b'(', ..] => true,
        [b'%', rest @ ..] => {
            rest.split_last().is_some_and(|(last, name)| *last == b'%' && name.iter().all(is_ident))
        }
        [first, ..] => is_filler(*first) && word.iter().all(|b| b == first),
    }
}

/// Whether a word that begins so may turn out to be a placeholder.
pub(super) fn may_be_placeholder(word: &[u8]) -> bool {
    let undecided = word.len() < MAX_LOOK;
    match word {
        [] => true,
        [b'$', rest @ ..] => undecided && (rest.is_empty() || is_variable(rest)),
        [b'{' | b'<', ..] => undecided,
        [b'%', rest @ ..] => {
            undecided && rest.iter().all(|b| is_ident(b) || matches!(b, b'%' | b'(' | b')'))
        }
        [first, ..] => undecided && is_filler(*first) && word.iter().all(|b| b == first),
    }
}

fn is_filler(b: u8) -> bool {
    matches!(b, b'*' | b'x' | b'X' | b'.' | b'-' | b'_' | b'#' | b'?')
}

fn is_ident(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || *b == b'_'
}

/// Whether this comes after `$` where a variable is meant: `{…`, `(…`, a name, a name with more of a path.
fn is_variable(rest: &[u8]) -> bool {
    match rest.first() {
        Some(b'{' | b'(') => true,
        Some(b) if b.is_ascii_alphabetic() || *b == b'_' => rest
            .iter()
            .find(|b| !is_ident(b))
            .is_none_or(|b| matches!(b, b'/' | b'.' | b':' | b')' | b'}' | b']')),
        _ => false,
    }
}

/// The words that begin with a letter, in either case: looking at all of them for each value takes longer than all else.
fn said_from(first: u8) -> impl Iterator<Item = &'static str> {
    static BY_LETTER: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
        let mut all = vec![Vec::new(); 256];
        for word in STATES.iter().chain(SCHEMES) {
            all[usize::from(word.as_bytes()[0])].push(*word);
        }
        all
    });
    BY_LETTER[usize::from(first.to_ascii_lowercase())].iter().copied()
}

/// The schemes that begin with a letter, in either case.
pub(super) fn schemes_from(first: u8) -> &'static [&'static str] {
    match first.to_ascii_lowercase() {
        b'a' => &["apikey", "aws4-hmac-sha256"],
        b'b' => &["bearer", "basic"],
        b'd' => &["digest"],
        b'n' => &["negotiate", "ntlm"],
        b't' => &["token"],
        _ => &[],
    }
}

/// Whether `word` is said of a value and is none.
pub(super) fn is_state(word: &[u8]) -> bool {
    let Some(&first) = word.first() else { return false };
    said_from(first).any(|state| word.eq_ignore_ascii_case(state.as_bytes()))
}

/// Whether a word that begins so may turn out to be said of a value.
pub(super) fn may_be_state(word: &[u8]) -> bool {
    let begins = |state: &str| {
        word.len() <= state.len() && word.eq_ignore_ascii_case(&state.as_bytes()[..word.len()])
    };
    let Some(&first) = word.first() else { return true };
    said_from(first).any(begins)
}

/// The length of the identifier path (`self.token`, `Token::new`) that `word` begins with. Digits make a word a value,
/// except in a path that says what it is.
fn path_len(word: &[u8]) -> usize {
    let field = word.starts_with(b"self.") || word.starts_with(b"this.");
    let in_path = |b: &u8| {
        b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b':') || (field && b.is_ascii_digit())
    };
    word.iter().position(|b| !in_path(b)).unwrap_or(word.len())
}

/// Whether an unquoted word that begins so may turn out to be code or prose.
pub(super) fn may_be_code(word: &[u8], style: Style) -> bool {
    let path = path_len(word);
    if path > MAX_WORD || word.len() == MAX_LOOK {
        return false;
    }
    match word.get(path) {
        None => true,
        Some(b'(' | b'[' | b')') => path > 0,
        Some(b'{' | b'&') => style == Style::Loose,
        // A macro of Rust, or the beginning of one.
        Some(b'!') => {
            let bracket = word.get(path + 1).is_none_or(|b| matches!(b, b'(' | b'[' | b'{'));
            style == Style::Loose && path > 0 && bracket
        }
        Some(_) => false,
    }
}

/// Whether an unquoted word, after which comes `next`, is code or prose.
pub(super) fn is_code(word: &[u8], style: Style, next: u8, begins_line: impl Fn() -> bool) -> bool {
    let path = path_len(word);
    if !may_be_code(word, style) || word[path..] == *b"!" {
        return false;
    }
    let call = word.get(path).is_some_and(|b| matches!(b, b'(' | b'[' | b'{'));
    if style == Style::Tight {
        // f(token=token), f(token=self.token, …), token=get_token(), token=getenv("X"), token=environ['X']
        let argument = matches!(word.get(path), Some(b')'))
            || (path == word.len() && matches!(next, b',' | b')'));
        let of_text = call && path + 1 == word.len() && matches!(next, b'"' | b'\'');
        return argument || of_text || (call && word.ends_with(b")"));
    }
    let dotted = word[..path].iter().any(|b| matches!(b, b'.' | b':'));
    let line_end = matches!(next, b'\n' | b'\r' | b'#');
    // What is left is a word alone: the value of a line in a file, or prose.
    call || path < word.len() || dotted || !line_end || !begins_line()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_by_their_first_letter() {
        for scheme in SCHEMES {
            assert!(schemes_from(scheme.as_bytes()[0]).contains(scheme));
        }
        let all: usize = (0..=255).map(|first| schemes_from(first).len()).sum();
        assert_eq!(all, SCHEMES.len() + SCHEMES.len(), "upper and lower case");
    }
}

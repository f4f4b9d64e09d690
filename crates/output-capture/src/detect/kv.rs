//! The value that goes with a telling name: `password=…`, `"api_key": "…"`, `DB_TOKEN: …`, `<secret>…</secret>`,
//! `--token …`.
//!
//! The name may have anything before it and nothing after it but two digits: `access_token` is one, `tokenizer`,
//! `token_count` and `secretary` are not. Then come a separator and a value of six bytes or more. What only stands for
//! a value (`$TOKEN`, `${TOKEN}`, `<token>`, `***`, `{{ token }}`) stays, and so does what is plainly code or prose.
//!
//! The trap: a value is masked as soon as it cannot be one of those, so each test of a word has to have a form that
//! works on its beginning.

use super::below;
use super::runs::Run;
use super::words::{
    MAX_LOOK, Style, is_code, is_placeholder, is_state, may_be_code, may_be_placeholder,
    may_be_state, schemes_from,
};
use super::{Text, Verdict};

/// The names that count without being configured, in lower case.
pub(super) const KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "_pass",
    "-pass",
    "_pwd",
    ";pwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "accesskey",
    "secret_key",
    "secret-key",
    "secretkey",
    "private_key",
    "private-key",
    "privatekey",
    "account_key",
    "account-key",
    "accountkey",
    "auth_key",
    "auth-key",
    "authkey",
    "signing_key",
    "signing-key",
    "signingkey",
    "encryption_key",
    "encryption-key",
    "encryptionkey",
    "secret_key_base",
    "credential",
    "credentials",
    "authorization",
];
/// The names of secret keys of AWS.
pub(super) const AWS_KEYS: &[&str] =
    &["secret_access_key", "secret-access-key", "secretaccesskey", "session_token", "sessiontoken"];

/// What may come right after a name.
pub(super) const AFTER_KEY: &[u8] = b"=:\"'`\\]> \t0123456789";

/// Shortest value, in bytes.
pub(super) const MIN_VALUE: usize = 6;
/// How far it is looked at first, in bytes.
const FIRST_LOOK: usize = 12;
/// Inside an unquoted value: farther from the end of a name its own value cannot begin, and no scheme can end.
pub(super) const MAX_OPENING: usize = 32;
/// How far a key is followed back, in bytes.
const MAX_KEY: usize = 64;
/// The names under which a configured name is looked for: as it is, and with `_`, `-` or nothing between its words.
pub(super) fn spellings(name: &str) -> Vec<Vec<u8>> {
    let name = name.to_ascii_lowercase();
    let mut all = vec![name.clone()];
    if name.contains(['_', '-']) {
        all.extend(["_", "-", ""].map(|between| name.replace(['_', '-'], between)));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|name| !name.is_empty());
    all.into_iter().map(String::into_bytes).collect()
}

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    None,
    Quote(u8),
    /// A quote with a backslash before it: JSON in JSON.
    Escaped(u8),
}

#[inline]
pub(super) fn judge(at: usize, text: &Text<'_>) -> Verdict {
    if text.get(at) == Some(b'>') {
        return judge_element(at, text);
    }
    let (opening, start, style) = match opening(at, text) {
        Ok(found) => found,
        Err(Verdict::No) if text.get(at) == Some(b' ') => return judge_argument(at, text),
        Err(verdict) => return verdict,
    };
    match opening {
        // The user of a URL (`https://x-access-token:…@host`), whose password ends before the host.
        Opening::None if text.slice(at, at + 1) == b":" && is_user(at, text) => {
            super::url::judge(key_start(at, text), text)
        }
        Opening::None if matches!(text.get(start), Some(b'|' | b'>')) => {
            below::judge_block(at, start, text)
        }
        Opening::None => judge_bare(at, start, style, text),
        // The end of a quotation: "`password=` without a value".
        Opening::Quote(b'`') if text.get(start).is_some_and(|b| b" \t.,;:)".contains(&b)) => {
            Verdict::No
        }
        Opening::Quote(quote) => judge_quoted(start, Run::Quoted(quote), text),
        Opening::Escaped(quote) => judge_quoted(start, Run::Escaped(quote), text),
    }
}

/// From the end of a name over the separator to the beginning of the value.
pub(super) fn opening(at: usize, text: &Text<'_>) -> Result<(Opening, usize, Style), Verdict> {
    let more =
        |at: usize| if at < text.len() || text.end { Verdict::No } else { Verdict::Wait(at) };
    let name = match text.get(at) {
        Some(b'=' | b':') => at,
        _ => after_name(at, text),
    };
    let (separator, _) = text.skip(name, 16, is_blank);
    let spaced = separator > name;
    let (after, style) = match (text.get(separator), text.get(separator + 1)) {
        (Some(b':'), Some(b':')) | (Some(b'='), Some(b'=' | b'~')) => return Err(Verdict::No),
        (Some(b':'), Some(b'=')) | (Some(b'='), Some(b'>')) => (separator + 2, Style::Loose),
        (Some(b':'), Some(_)) => (separator + 1, Style::Loose),
        (Some(b'='), Some(_)) if spaced => (separator + 1, Style::Loose),
        (Some(b'='), Some(_)) => (separator + 1, Style::Tight),
        (Some(b':' | b'='), None) | (None, _) => return Err(more(text.len())),
        _ => return Err(Verdict::No),
    };
    let (start, certain) = text.skip(after, 16, is_blank);
    if style == Style::Tight && start > after {
        return Err(Verdict::No);
    }
    if !certain || start == text.len() {
        return Err(more(start));
    }
    let (slashes, _) = text.skip(start, 3, |b| b == b'\\');
    let letter = matches!(text.get(start), Some(b'b' | b'r' | b'f' | b'u')) && slashes == start;
    let quote = slashes + usize::from(letter);
    match text.get(quote) {
        None if !text.end => return Err(Verdict::Wait(start)),
        Some(b @ (b'"' | b'\'' | b'`')) if slashes > start => {
            return Ok((Opening::Escaped(b), quote + 1, style));
        }
        Some(b @ (b'"' | b'\'' | b'`')) => return Ok((Opening::Quote(b), quote + 1, style)),
        _ => {}
    }
    if text.slice(start, start + 2) == b"//" {
        return Err(Verdict::No);
    }
    Ok((Opening::None, start, style))
}

/// Over what may close a name: two digits, a quote, a bracket.
fn after_name(at: usize, text: &Text<'_>) -> usize {
    let (mut at, _) = text.skip(at, 2, |b| b.is_ascii_digit());
    (at, _) = text.skip(at, 3, |b| b == b'\\');
    (at, _) = text.skip(at, 1, |b| matches!(b, b'"' | b'\'' | b'`'));
    text.skip(at, 1, |b| b == b']').0
}

pub(super) fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// The argument of an option that has the name: `--password hunter2`. Help texts and error messages say a word there,
/// so what is not quoted must have a digit.
fn judge_argument(at: usize, text: &Text<'_>) -> Verdict {
    let name = key_start(at, text);
    if text.slice(name, name + 2) != b"--" || name + 2 >= at {
        return Verdict::No;
    }
    let (start, certain) = text.skip(at, 8, is_blank);
    match text.get(start) {
        Some(quote @ (b'"' | b'\'')) => return judge_quoted(start + 1, Run::Quoted(quote), text),
        Some(b'-') => return Verdict::No,
        Some(_) if certain => {}
        None if !text.end => return Verdict::Wait(start),
        _ => return Verdict::No,
    }
    let (end, certain) = text.skip(start, MAX_LOOK, |b| Run::Value.has(b));
    let word = text.slice(start, end);
    let certain = certain && (end < text.len() || text.end);
    let stands_in = may_be_placeholder(word) && (!certain || is_placeholder(word));
    if word.len() >= MIN_VALUE && word.iter().any(u8::is_ascii_digit) && !stands_in {
        return Verdict::Mask { start, from: start, run: Run::Value };
    }
    if certain { Verdict::No } else { Verdict::Wait(start) }
}

/// The text of an XML element that has the name: one line, up to the tag that ends it. `Option<Token> {` of a program
/// and `<token>: ` of a help text look like the beginning of one.
fn judge_element(at: usize, text: &Text<'_>) -> Verdict {
    if text.before(key_start(at, text)) != Some(b'<') {
        return Verdict::No;
    }
    let start = at + 1;
    match text.get(start) {
        Some(b' ' | b'\t' | b'\r' | b'\n') => return below::judge_element(at, start, text),
        Some(b) if b <= b' ' || b":;,.)]}>|=(".contains(&b) => return Verdict::No,
        Some(_) => {}
        None => return if text.end { Verdict::No } else { Verdict::Wait(start) },
    }
    let (end, certain) = text.skip(start, MAX_LOOK, |b| !matches!(b, b'<' | b'\n' | b'\r'));
    let value = text.slice(start, end);
    if end - start == MAX_LOOK {
        let plain = !value.iter().any(u8::is_ascii_whitespace);
        return if plain {
            Verdict::Mask { start, from: end, run: Run::Element }
        } else {
            Verdict::No
        };
    }
    match (text.get(end), text.get(end + 1)) {
        (None, _) if !certain => Verdict::Wait(start),
        (Some(b'<'), None) if !text.end => Verdict::Wait(start),
        (Some(b'<'), Some(b'/')) if value.len() >= MIN_VALUE && !is_placeholder(value) => {
            Verdict::Exactly { start, end }
        }
        _ => Verdict::No,
    }
}

pub(super) fn judge_quoted(start: usize, run: Run, text: &Text<'_>) -> Verdict {
    let (start, scheme) = match after_scheme(start, text) {
        None => (start, false),
        Some(Ok(next)) => (next, true),
        Some(Err(verdict)) => return verdict,
    };
    let (end, certain) = run.end(start, start + MAX_LOOK, text);
    let word = text.slice(start, end);
    // Empty lines at the end of a block are not part of its value.
    let word = if matches!(run, Run::Block(_)) { word.trim_ascii_end() } else { word };
    if word.len() < MIN_VALUE {
        return if certain { Verdict::No } else { Verdict::Wait(start) };
    }
    if !may_be_placeholder(word) && (scheme || !may_be_state(word)) {
        return Verdict::Mask { start, from: start, run };
    }
    if !certain {
        return Verdict::Wait(start);
    }
    if is_placeholder(word) || (!scheme && is_state(word)) {
        return Verdict::No;
    }
    Verdict::Mask { start, from: start, run }
}

fn judge_bare(at: usize, start: usize, style: Style, text: &Text<'_>) -> Verdict {
    if let Some(next) = after_scheme(start, text) {
        return match next {
            Ok(next) => judge_word(at, next, Style::Tight, text),
            Err(verdict) => verdict,
        };
    }
    judge_word(at, start, style, text)
}

fn judge_word(at: usize, start: usize, style: Style, text: &Text<'_>) -> Verdict {
    // Most values show in their first bytes that they are values.
    for limit in [FIRST_LOOK, MAX_LOOK] {
        let (end, certain) = text.skip(start, limit, |b| Run::Value.has(b));
        let word = text.slice(start, end);
        if word.len() < MIN_VALUE {
            return if certain { Verdict::No } else { Verdict::Wait(start) };
        }
        if !may_be_placeholder(word) && !may_be_code(word, style) && !may_be_state(word) {
            break;
        }
        if word.len() == FIRST_LOOK && limit == FIRST_LOOK {
            continue;
        }
        if !certain || (end == text.len() && !text.end) {
            return Verdict::Wait(start);
        }
        let next = text.get(end).unwrap_or(b'\n');
        let spared = is_placeholder(word)
            || is_state(word)
            || is_code(word, style, next, || begins_line(at, text));
        if spared {
            return Verdict::No;
        }
        break;
    }
    Verdict::Mask { start, from: start, run: Run::Value }
}

/// When a scheme (`Bearer`) stands at `start`: where what comes after it begins, or that this is not known yet.
fn after_scheme(start: usize, text: &Text<'_>) -> Option<Result<usize, Verdict>> {
    let schemes = match text.get(start) {
        // Nothing is there yet, so it may become any.
        None if !text.end => return Some(Err(Verdict::Wait(start))),
        None => return None,
        Some(first) => schemes_from(first),
    };
    if schemes.is_empty() {
        return None;
    }
    let (end, certain) = text.skip(start, 20, |b| b.is_ascii_alphanumeric() || b == b'-');
    let word = text.slice(start, end);
    let fits = |scheme: &&str| {
        let length = word.len().min(scheme.len());
        word.eq_ignore_ascii_case(&scheme.as_bytes()[..length])
    };
    if !certain {
        return schemes.iter().any(fits).then_some(Err(Verdict::Wait(start)));
    }
    if !schemes.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes())) {
        return None;
    }
    let (next, certain) = text.skip(end, 8, is_blank);
    if next == end && (next < text.len() || text.end) {
        return None;
    }
    Some(if certain && next < text.len() { Ok(next) } else { Err(Verdict::Wait(next)) })
}

/// Where the name that ends at `at` begins.
pub(super) fn key_start(at: usize, text: &Text<'_>) -> usize {
    let from = at.saturating_sub(MAX_KEY);
    let word = text.slice(from, at);
    let in_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    at - word.iter().rev().take_while(|b| in_key(b)).count()
}

/// Whether the name that ends at `at` is that of a user in a URL.
fn is_user(at: usize, text: &Text<'_>) -> bool {
    let key = key_start(at, text);
    key >= 3 && text.slice(key - 3, key) == b"://"
}

/// Whether the name that ends at `at` is the first thing on its line.
fn begins_line(at: usize, text: &Text<'_>) -> bool {
    key_column(at, text).is_some()
}

/// When the name that ends at `at` is the first thing on its line: how far it is indented, list marks included.
pub(super) fn key_column(at: usize, text: &Text<'_>) -> Option<usize> {
    let key = key_start(at, text);
    let before = text.slice(key.saturating_sub(MAX_KEY), key);
    let indent =
        before.iter().rev().take_while(|b| matches!(b, b' ' | b'\t' | b'-' | b'"' | b'\'')).count();
    let line = key - indent;
    let first = line == 0 || text.before(line).is_some_and(|b| matches!(b, b'\n' | b'\r'));
    // A quote is part of the name.
    let quoted = usize::from(matches!(before.last(), Some(b'"' | b'\'')));
    first.then_some(indent - quoted)
}

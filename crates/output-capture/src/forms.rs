//! The forms of a secret that count as the secret.
//!
//! From a value to the byte strings that are looked for: itself, trimmed, with other line ends, line by line, and the
//! derived forms of [`Encoding`]. It decides which secrets are too short or blank. The trap: a form shorter than
//! [`MIN_FORM`] would hit by chance, so it is left out.

mod base64;
mod json;
mod shell;
mod text;

use crate::options::{Encoding, Multiline, RedactionOptions, RedactionWarning};
use crate::secret::Secret;
use std::collections::BTreeSet;
use std::ops::Deref;
use zeroize::{Zeroize, Zeroizing};

/// Shortest value that has derived forms, and shortest line that is a secret of its own, in bytes.
const MIN_DERIVED: usize = 8;
/// Shortest derived form, in bytes.
const MIN_FORM: usize = 6;

/// Byte strings to look for.
pub(crate) type Needles = BTreeSet<Form>;

/// One byte string to look for; zeroed when dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    /// Looks for these bytes.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Form {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Adds the needles of `secrets`, the first of which is number `first` of its list, and gives what will not be masked.
pub(crate) fn add_needles<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    first: usize,
    options: &RedactionOptions,
    needles: &mut Needles,
) -> Vec<RedactionWarning> {
    let mut warnings = Vec::new();
    for (number, secret) in (first..).zip(secrets) {
        let name = || match secret.name() {
            Some(name) => format!("secret `{name}`"),
            None => format!("secret number {number}"),
        };
        let value = secret.expose();
        let trimmed = value.trim_ascii();
        let counted = if options.trim { trimmed } else { value };
        if trimmed.is_empty() {
            warnings.push(RedactionWarning::Blank { secret: name() });
        } else if counted.len() < options.min_length {
            warnings.push(RedactionWarning::TooShort {
                secret: name(),
                min_length: options.min_length,
            });
        } else {
            add_value(value, options, needles);
        }
    }
    warnings
}

fn add_value(value: &[u8], options: &RedactionOptions, needles: &mut Needles) {
    let mut values = Needles::new();
    add_trimmed(value, options.trim, &mut values);
    if options.multiline != Multiline::Exact && value.contains(&b'\n') {
        add_trimmed(&with_line_end(value, b"\r\n"), options.trim, &mut values);
        add_trimmed(&with_line_end(value, b"\n"), options.trim, &mut values);
    }
    if options.multiline == Multiline::Lines {
        for line in value.split(|&b| b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let trimmed = line.trim_ascii();
            let counted = if options.trim { trimmed } else { line };
            if counted.len() >= MIN_DERIVED && !trimmed.is_empty() {
                add_trimmed(line, options.trim, &mut values);
            }
        }
    }
    for value in values {
        if value.len() >= MIN_DERIVED {
            for encoding in &options.encodings {
                add_derived(&value, *encoding, needles);
            }
        }
        needles.insert(value);
    }
}

fn add_trimmed(value: &[u8], trim: bool, values: &mut Needles) {
    values.insert(Form(value.to_vec()));
    if trim {
        values.insert(Form(value.trim_ascii().to_vec()));
    }
}

/// A CR belongs to a line end only where an LF follows: that of the last line stays.
fn with_line_end(value: &[u8], end: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut lines: Vec<&[u8]> = value.split(|&b| b == b'\n').collect();
    let last = lines.pop().unwrap_or_default();
    let lines = lines.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Zeroizing::new(lines.chain([last]).collect::<Vec<_>>().join(end))
}

fn add_derived(value: &[u8], encoding: Encoding, needles: &mut Needles) {
    let mut add = |form: Vec<u8>| {
        let form = Form(form);
        if form.len() >= MIN_FORM {
            needles.insert(form);
        }
    };
    match encoding {
        Encoding::Base64 => base64::forms(value, &mut add),
        Encoding::Hex => text::hex(value, &mut add),
        Encoding::Url => text::url(value, &mut add),
        Encoding::Json => json::forms(value, &mut add),
        Encoding::Shell => shell::forms(value, &mut add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All needles of `secrets`, without repetition, and what will not be masked.
    fn needles<'a>(
        secrets: impl IntoIterator<Item = &'a Secret>,
        options: &RedactionOptions,
    ) -> (Needles, Vec<RedactionWarning>) {
        let mut needles = Needles::new();
        let warnings = add_needles(secrets, 1, options, &mut needles);
        (needles, warnings)
    }

    fn plain() -> RedactionOptions {
        RedactionOptions {
            encodings: Vec::new(),
            multiline: Multiline::Exact,
            ..RedactionOptions::default()
        }
    }

    fn check(value: &str, options: RedactionOptions, expect: &[&str]) {
        let (needles, warnings) = needles(&[Secret::new(value)], &options);
        let needles: Vec<_> =
            needles.iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
        assert_eq!(needles, expect);
        assert_eq!(warnings, []);
    }

    #[test]
    fn trimmed_and_whole() {
        check("abcd\n", plain(), &["abcd", "abcd\n"]);
        check("abcd\n", RedactionOptions { trim: false, ..plain() }, &["abcd\n"]);
    }

    #[test]
    fn line_ends_and_lines() {
        let with = |multiline| RedactionOptions { multiline, ..plain() };
        check("ab\ncd", with(Multiline::Exact), &["ab\ncd"]);
        check("ab\ncd", with(Multiline::Crlf), &["ab\ncd", "ab\r\ncd"]);
        check("ab\r\ncd", with(Multiline::Crlf), &["ab\ncd", "ab\r\ncd"]);
        let lines = ["{\n  line-one\n}", "{\r\n  line-one\r\n}"];
        check(lines[0], with(Multiline::Lines), &["  line-one", "line-one", lines[0], lines[1]]);
        let untrimmed = RedactionOptions { trim: false, ..with(Multiline::Lines) };
        check(
            "k\n  123456\n        ",
            untrimmed,
            &["  123456", "k\n  123456\n        ", "k\r\n  123456\r\n        "],
        );
    }

    #[test]
    fn a_return_after_the_last_line_end_belongs_to_the_value() {
        let exact = RedactionOptions { multiline: Multiline::Crlf, trim: false, ..plain() };
        check("ab\ncd\r", exact.clone(), &["ab\ncd\r", "ab\r\ncd\r"]);
        check("ab\r\n\r", exact, &["ab\n\r", "ab\r\n\r"]);
    }

    #[test]
    fn short_and_blank_ones_are_warned_of_and_never_shown() {
        let secrets = [
            Secret::named("PIN", "123"),
            Secret::new(" \n"),
            Secret::new("long-enough"),
            Secret::new("zzz "),
        ];
        let (needles, warnings) = needles(&secrets, &plain());
        assert_eq!(needles.len(), 1);
        let text: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let expect = [
            "secret `PIN` is shorter than 4 bytes and is not masked",
            "secret number 2 is blank and is not masked",
            "secret number 4 is shorter than 4 bytes and is not masked",
        ];
        assert_eq!(text, expect);
    }

    #[test]
    fn derived_forms_of_long_values_only() {
        let options =
            RedactionOptions { multiline: Multiline::Exact, ..RedactionOptions::default() };
        check("1234567", options.clone(), &["1234567"]);
        let (needles, _) = needles(&[Secret::new("12345678")], &options);
        assert!(needles.iter().any(|n| **n == *b"3132333435363738"));
        assert!(needles.iter().all(|n| n.len() >= MIN_FORM));
    }
}

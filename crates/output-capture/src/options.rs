//! What is to be masked, and how: the options of a redaction, and what it has to warn of.
//!
//! Plain data for [`crate::Redaction::compile`]. Where the values come from (a file, a flag) is not known here.
//! The trap: `min_length` counts bytes, not characters.

use crate::detect::Detector;
use std::fmt;
use std::str::FromStr;

/// How a redaction works: the mask, which forms of a secret count, which detectors run.
#[derive(Clone, Debug)]
pub struct RedactionOptions {
    /// What stands in the output for a secret, always the same text. May be empty. Default: `[REDACTED]`.
    pub mask: Vec<u8>,
    /// Whether `A` to `Z` equal `a` to `z` in secrets. ASCII only, on purpose. Default: false.
    pub case_insensitive: bool,
    /// Bytes a secret must have to be masked, white space around it not counted when `trim` is on; a shorter one is
    /// warned of. Default: 4.
    pub min_length: usize,
    /// Whether a secret is looked for without the white space around it too. Default: true.
    pub trim: bool,
    /// What becomes of a secret of several lines. Default: [`Multiline::Crlf`].
    pub multiline: Multiline,
    /// The derived forms that are masked too, of secrets of 8 bytes or more. Default: all.
    pub encodings: Vec<Encoding>,
    /// Names whose values are masked (`password=…`), beside those of [`Detector::Kv`]. Default: none.
    pub names: Vec<String>,
    /// What is recognised without being listed. Default: none.
    pub detectors: Vec<Detector>,
    /// Patterns of the user's own. Default: none.
    pub patterns: Vec<CustomPattern>,
}

impl Default for RedactionOptions {
    /// Literal secrets in all their forms, no detectors.
    fn default() -> Self {
        Self {
            mask: b"[REDACTED]".to_vec(),
            case_insensitive: false,
            min_length: 4,
            trim: true,
            multiline: Multiline::Crlf,
            encodings: Encoding::ALL.to_vec(),
            names: Vec::new(),
            detectors: Vec::new(),
            patterns: Vec::new(),
        }
    }
}

/// What becomes of a secret that has several lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multiline {
    /// Only the whole value counts, byte for byte.
    Exact,
    /// Its line ends count as LF and as CR LF (a terminal turns the one into the other).
    #[default]
    Crlf,
    /// As `Crlf`, and each line of 8 bytes or more is a secret of its own (diffs, indented output). White space around
    /// a line counts when [`RedactionOptions::trim`] is off.
    Lines,
}

/// A family of derived forms of a secret.
///
/// # Caveats
/// Not covered: base64 broken over lines, UTF-16, compressed or encrypted text, forms of forms, escapes that a
/// program puts into the middle of a secret on its own account (colours, line wrapping), and characters that are not
/// ASCII and that a shell takes for not printable in its locale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Base64 and base64url, alone (with and without padding) and inside other data at each of the three alignments;
    /// inside other data the characters that hold bits of a neighbour stay visible.
    Base64,
    /// Hexadecimal, in lower and in upper case.
    Hex,
    /// Percent encoding: RFC 3986, `encodeURIComponent`, form data, and parts of a URL as browsers, Go, Java, PHP and
    /// Python write them; both cases of digits.
    Url,
    /// The inside of a JSON string: as UTF-8 or ASCII, `/` escaped or not, and what Go, Gson, .NET and jq escape more.
    Json,
    /// Shell quoting, as `set -x`, `printf %q` and their like print it in bash, dash, busybox, zsh, ksh, mksh and fish,
    /// and as Python, Ruby, Go, PHP, git and coreutils do: single quotes, double quotes, backslashes, `$'…'`.
    Shell,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Encoding; 5] =
        [Encoding::Base64, Encoding::Hex, Encoding::Url, Encoding::Json, Encoding::Shell];

    /// The name in a configuration: `base64`, `hex`, `url`, `json`, `shell`.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Base64 => "base64",
            Encoding::Hex => "hex",
            Encoding::Url => "url",
            Encoding::Json => "json",
            Encoding::Shell => "shell",
        }
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Encoding::ALL.into_iter().find(|encoding| encoding.as_str() == name);
        known.ok_or_else(|| UnknownEncoding(name.to_owned()))
    }
}

/// A name that no [`Encoding`] has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no encoding `{0}`")]
pub struct UnknownEncoding(pub String);

/// A regular expression of the user's own; what it matches is masked.
///
/// Matches are leftmost-first and do not overlap. Character classes are ASCII; `(?u)` is not available.
///
/// # Caveats
/// A match is at most [`CustomPattern::WINDOW`] bytes long: what lies further than that from its first byte is not
/// looked at.
#[derive(Clone, Debug)]
pub struct CustomPattern {
    pub(crate) name: String,
    pub(crate) regex: crate::detect::CustomRegex,
}

impl CustomPattern {
    /// Longest match, in bytes. Large enough for a token or a header line, small enough to be held back.
    pub const WINDOW: usize = 1024;

    /// Compiles `regex` (the syntax of the `regex` crate, over bytes).
    ///
    /// # Errors
    /// When it is not a regular expression, is too large, or matches the empty text.
    pub fn new(name: impl Into<String>, regex: &str) -> Result<Self, PatternError> {
        let name = name.into();
        match crate::detect::CustomRegex::new(regex) {
            Ok(regex) => Ok(Self { name, regex }),
            Err(problem) => Err(PatternError { name, problem }),
        }
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Why a [`CustomPattern`] could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern `{name}` cannot be used: {problem}")]
pub struct PatternError {
    /// Name of the pattern.
    pub name: String,
    /// What is wrong with it, as one line.
    pub problem: String,
}

/// A secret that will not be masked, and why. Never holds the value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedactionWarning {
    /// Shorter than the minimum length.
    TooShort {
        /// Name of the secret, or its place in the list.
        secret: String,
        /// The minimum length, in bytes.
        min_length: usize,
    },
    /// Empty, or nothing but white space.
    Blank {
        /// Name of the secret, or its place in the list.
        secret: String,
    },
}

impl fmt::Display for RedactionWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { secret, min_length } => {
                write!(f, "{secret} is shorter than {min_length} bytes and is not masked")
            }
            Self::Blank { secret } => write!(f, "{secret} is blank and is not masked"),
        }
    }
}

/// Whether a redaction pattern is a name (`password`, `api_key`), whose value is to be masked.
///
/// A name is a letter followed by letters, `_` and `-`, at most 40 bytes in all. Any other pattern stands for itself.
pub fn is_key_name(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let name_byte = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-');
    bytes.len() <= 40
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.iter().all(name_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_names() {
        for name in ["token", "api_key", "X-Api-Key", "authorization"] {
            assert!(is_key_name(name), "{name}");
        }
        for literal in ["", "hunter2-prod", "a b", "_x", "ghp_a1", "pässwort", "a=b"] {
            assert!(!is_key_name(literal), "{literal}");
        }
    }

    #[test]
    fn encodings_by_name() {
        for encoding in Encoding::ALL {
            assert_eq!(encoding.as_str().parse(), Ok(encoding));
        }
        assert_eq!("rot13".parse::<Encoding>(), Err(UnknownEncoding("rot13".into())));
    }

    #[test]
    fn patterns_that_cannot_be_used() {
        for regex in ["(", "a*", "", r"\p{Greek}", "[a-z]{1000}{1000}"] {
            let error = CustomPattern::new("mine", regex).expect_err(regex).to_string();
            assert!(error.starts_with("pattern `mine` cannot be used: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}

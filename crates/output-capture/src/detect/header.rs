//! The credentials of an `Authorization` header, and of `Bearer` anywhere.
//!
//! The scheme stays, what comes after it goes. Schemes with parameters (`Digest`, `AWS4-HMAC-SHA256`) lose the rest of
//! the line. The trap: prose speaks of authorization too, so a plain word that another word follows is left alone.

use super::kv::{self, Opening};
use super::runs::Run;
use super::{Text, Verdict, words};

/// The name of the header.
pub(super) const NAME: &str = "authorization";
/// The scheme without a header.
pub(super) const BARE: &str = "bearer ";
/// Shortest credential after a header's name, in bytes.
const MIN: usize = 6;
/// Shortest credential after the mere word `Bearer`, in bytes; it must have a digit too.
const MIN_BARE: usize = 20;
/// Longest scheme, in bytes.
const MAX_SCHEME: usize = 24;
/// How far a credential is looked at for what it is, in bytes.
const MAX_LOOK: usize = 64;
/// Schemes whose credentials are parameters.
const PARAMETERS: &[&str] = &["digest", "aws4-hmac-sha256", "oauth", "hawk", "signature", "mac"];

#[inline]
pub(super) fn judge(at: usize, text: &Text<'_>) -> Verdict {
    if text.before(at) == Some(b' ') {
        return judge_bare(at, text);
    }
    let (opening, mut start) = match kv::opening(at, text) {
        Ok((opening, start, _)) => (opening, start),
        Err(verdict) => return verdict,
    };
    let (end, certain) = text.skip(start, MAX_SCHEME, |b| b.is_ascii_alphanumeric() || b == b'-');
    if !certain || (end == text.len() && !text.end) {
        return Verdict::Wait(start);
    }
    let mut run = Run::Credential;
    if text.get(end) == Some(b' ') && end > start {
        let scheme = text.slice(start, end).to_ascii_lowercase();
        let (next, certain) = text.skip(end, 8, |b| b == b' ');
        if !certain {
            return Verdict::Wait(next);
        }
        start = next;
        if PARAMETERS.iter().any(|name| name.as_bytes() == scheme) {
            run = match opening {
                Opening::None => Run::Line,
                Opening::Quote(quote) => Run::Quoted(quote),
                Opening::Escaped(quote) => Run::Escaped(quote),
            };
        }
    }
    judge_credential(start, run, text)
}

fn judge_credential(start: usize, run: Run, text: &Text<'_>) -> Verdict {
    let (end, certain) = text.skip(start, MAX_LOOK, |b| Run::Credential.has(b));
    let word = text.slice(start, end);
    if word.len() >= MIN && !is_plain(word) && !words::may_be_placeholder(word) {
        return Verdict::Mask { start, from: start, run };
    }
    if !certain || (end == text.len() && !text.end) {
        return Verdict::Wait(start);
    }
    let prose = is_plain(word) && (text.get(end) == Some(b' ') || words::is_state(word));
    if word.len() < MIN || prose || words::is_placeholder(word) {
        return Verdict::No;
    }
    Verdict::Mask { start, from: start, run }
}

/// `Bearer` without the header's name: only what cannot be a word.
fn judge_bare(start: usize, text: &Text<'_>) -> Verdict {
    let (end, certain) = text.skip(start, MAX_LOOK, |b| Run::Wide.has(b) || b == b'~');
    let word = text.slice(start, end);
    if word.len() >= MIN_BARE && word.iter().any(u8::is_ascii_digit) {
        return Verdict::Mask { start, from: start, run: Run::Credential };
    }
    if certain { Verdict::No } else { Verdict::Wait(start) }
}

fn is_plain(word: &[u8]) -> bool {
    word.len() < MAX_LOOK && word.iter().all(u8::is_ascii_alphabetic)
}

//! JSON Web Tokens: three parts of base64url with dots between, the first of which is a JSON object
//! whose first member has a name in lower case.
//!
//! Two parts alone are left as they are: without a signature nobody accepts them, and much else looks like that. The
//! trap: the parts have no fixed length, so a token is held back until its second dot, up to a limit.

use super::runs::Run;
use super::{Text, Verdict};

/// `{"` in base64.
pub(super) const ANCHOR: &str = "eyJ";
/// What the first two letters of a name are in base64 after `{"`: a letter, and a letter or a digit, all lower case.
pub(super) const AFTER: [&[u8]; 2] = [b"hijklmnopqrstuvwxyz0123456", b"YZabcdeMNO"];
/// Longest header and longest payload that are waited for, in bytes; a longer payload is taken for one.
const MAX_HEADER: usize = 2048;
const MAX_PAYLOAD: usize = 8192;
/// Shortest header and shortest payload, in bytes. Of a signature one byte will do: logs cut long tokens off.
const MIN_PART: usize = 8;

#[inline]
pub(super) fn judge(at: usize, text: &Text<'_>) -> Verdict {
    let start = at - ANCHOR.len();
    if text.before(start).is_some_and(|b| Run::Dashed.has(b)) {
        return Verdict::No;
    }
    for (at, set) in (at..).zip(AFTER) {
        match text.get(at) {
            Some(b) if set.contains(&b) => {}
            None if !text.end => return Verdict::Wait(start),
            _ => return Verdict::No,
        }
    }
    let mut from = start;
    for limit in [MAX_HEADER, MAX_PAYLOAD] {
        let (end, certain) = text.skip(from, limit, |b| Run::Dashed.has(b));
        if !certain || (end == text.len() && !text.end) {
            return Verdict::Wait(start);
        }
        if end - from == MAX_PAYLOAD {
            return Verdict::Mask { start, from: end, run: Run::Dashed };
        }
        if text.get(end) != Some(b'.') || end - from < MIN_PART {
            return Verdict::No;
        }
        from = end + 1;
    }
    match text.get(from) {
        Some(b) if Run::Dashed.has(b) => Verdict::Mask { start, from, run: Run::Dashed },
        None if !text.end => Verdict::Wait(start),
        _ => Verdict::No,
    }
}

//! The password in `scheme://user:password@host`.
//!
//! The user and the host stay. A password may hold `:` and `@`, but not `/`, `?` or `#`, which end the part before
//! the path. The trap: `host:8080` looks like `user:password` until the byte after the number.

use super::{Text, Verdict, runs, words};

pub(super) const ANCHOR: &str = "://";
/// The last two bytes of a scheme; none is shorter.
pub(super) const BEFORE: [&[u8]; 2] =
    [b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.", super::ALNUM];
/// What a user name begins with; `:` when there is none.
pub(super) const AFTER: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+%~!$&()*,;=:@[]{}|^";
/// Longest part before the path that is looked at, in bytes.
const MAX_AUTHORITY: usize = 1024;

#[inline]
pub(super) fn judge(at: usize, text: &Text<'_>) -> Verdict {
    let scheme = at - ANCHOR.len();
    let ends = |(before, set): (usize, &[bool; 256])| {
        text.before(scheme - before).is_some_and(|b| set[usize::from(b)])
    };
    if !ends((0, &LAST)) || !ends((1, &LAST_BUT_ONE)) {
        return Verdict::No;
    }
    // What the filter does not look for must not be found without it either.
    if text.get(at).is_some_and(|b| !FIRST[usize::from(b)]) {
        return Verdict::No;
    }
    let within = text.slice(at, text.len().min(at + MAX_AUTHORITY));
    let (mut colon, mut sign, mut end) = (None, None, within.len());
    for (place, &b) in within.iter().enumerate() {
        match b {
            b':' if colon.is_none() => colon = Some(place),
            b'@' => sign = Some(place),
            _ if AUTHORITY[usize::from(b)] => {}
            _ => {
                end = place;
                break;
            }
        }
    }
    let certain = end < within.len() || end == MAX_AUTHORITY || text.end;
    let Some(colon) = colon else {
        return if certain { Verdict::No } else { Verdict::Wait(at + end) };
    };
    let start = colon + 1;
    if !certain {
        return Verdict::Wait(at + start);
    }
    match sign {
        Some(sign) if sign > start && !words::is_placeholder(&within[start..sign]) => {
            Verdict::Exactly { start: at + start, end: at + sign }
        }
        _ => Verdict::No,
    }
}

static LAST_BUT_ONE: [bool; 256] = runs::only(BEFORE[0]);
static LAST: [bool; 256] = runs::only(BEFORE[1]);
static FIRST: [bool; 256] = runs::only(AFTER);
/// What may stand before the path.
static AUTHORITY: [bool; 256] = runs::only_from(b'!', 0xff, b"/?#\"'<>`\\\x7f");

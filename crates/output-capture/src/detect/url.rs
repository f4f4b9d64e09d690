//! The password in `scheme://user:password@host`.
//!
//! The user and the host stay. A password may hold `:` and `@`, but not `/`, `?` or `#`, which end the part before
//! the path. The trap: `host:8080` looks like `user:password` until the byte after the number.

use super::{Text, Verdict, words};

pub(super) const ANCHOR: &str = "://";
/// What a user name begins with; `:` when there is none.
pub(super) const AFTER: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+%~!$&()*,;=:@[]{}|^";
/// Longest part before the path that is looked at, in bytes.
const MAX_AUTHORITY: usize = 1024;

pub(super) fn judge(at: usize, text: Text<'_>) -> Verdict {
    if !text.before(at - ANCHOR.len()).is_some_and(|b| b.is_ascii_alphanumeric()) {
        return Verdict::No;
    }
    // What the filter does not look for must not be found without it either.
    if text.get(at).is_some_and(|b| !AFTER.contains(&b)) {
        return Verdict::No;
    }
    let (end, certain) = text.skip(at, MAX_AUTHORITY, in_authority);
    let authority = text.slice(at, end);
    let Some(colon) = authority.iter().position(|&b| b == b':') else {
        return if certain { Verdict::No } else { Verdict::Wait(end) };
    };
    let start = at + colon + 1;
    if !certain {
        return Verdict::Wait(start);
    }
    match authority.iter().rposition(|&b| b == b'@') {
        Some(sign) if at + sign > start && !words::is_placeholder(&authority[colon + 1..sign]) => {
            Verdict::Exactly { start, end: at + sign }
        }
        _ => Verdict::No,
    }
}

fn in_authority(b: u8) -> bool {
    b > b' ' && b != 0x7f && !b"/?#\"'<>`\\".contains(&b)
}

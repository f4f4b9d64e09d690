//! Private keys in PEM: from `-----BEGIN … PRIVATE KEY-----` to its end marker.
//!
//! A mention of the first line in quotes is none. All kinds of label (RSA, EC, OPENSSH, ENCRYPTED, PGP). Certificates and public keys are left alone. A key without
//! an end is masked for 64 KiB, four times the size of the largest key in use. The trap: the end marker may be cut by
//! two reads, so the last bytes of the previous buffer are looked at again.

use super::runs::{self, Run};
use super::{Text, Verdict};

pub(super) const ANCHOR: &str = "-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// What a label begins with: it says `PRIVATE KEY` at least.
pub(super) const LABEL: (&[bool; 256], usize) = (&LABEL_BYTES, 8);
static LABEL_BYTES: [bool; 256] = runs::only(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ");
/// Longest label, in bytes.
const MAX_LABEL: usize = 40;
/// Longest end marker, in bytes.
const MAX_END: usize = 9 + MAX_LABEL + 5;

#[inline]
pub(super) fn judge(at: usize, text: &Text<'_>) -> Verdict {
    let start = at - ANCHOR.len();
    let (end, certain) = text.skip(at, MAX_LABEL, is_label);
    let (after, dashes) = text.skip(end, DASHES.len(), |b| b == b'-');
    if !certain || (!dashes && after - end < DASHES.len()) {
        return Verdict::Wait(start);
    }
    if after - end < DASHES.len() || !is_private(text.slice(at, end)) {
        return Verdict::No;
    }
    match text.get(after) {
        // A program that looks for keys, or a text about them.
        Some(b) if b"\"'`,;:.)]}>".contains(&b) => Verdict::No,
        None if !text.end => Verdict::Wait(start),
        _ => Verdict::Mask { start, from: after, run: Run::Pem },
    }
}

fn is_label(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' '
}

fn is_private(label: &[u8]) -> bool {
    label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK")
}

/// The end of the first end marker that is not over before `from`.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(MAX_END);
    while let Some(found) = bytes.get(at..)?.windows(END.len()).position(|window| window == END) {
        let label = at + found + END.len();
        let length = bytes[label..].iter().take(MAX_LABEL).take_while(|b| is_label(**b)).count();
        let end = label + length + DASHES.len();
        if is_private(&bytes[label..label + length])
            && bytes[label + length..].starts_with(DASHES)
            && end > from
        {
            return Some(end);
        }
        at = label;
    }
    None
}

//! What counts as a secret, from the words of `Multiline` and `Encoding`, not from the code under test.
//!
//! Slow and without regard for what stays behind in memory. A form that is forgotten here or there shows as a
//! difference.

use ringfence_output_capture::{Encoding, Multiline, RedactionOptions};
use std::collections::BTreeSet;

/// The forms that a definition tells exactly. What programs make of a secret in a URL, in JSON and in a shell is what
/// programs do: the tests of the forms compare them with that.
pub const EXACT: [Encoding; 2] = [Encoding::Base64, Encoding::Hex];

/// All byte strings that stand for `value`; none when it is too short or blank.
pub fn forms(value: &[u8], options: &RedactionOptions) -> BTreeSet<Vec<u8>> {
    let trimmed = value.trim_ascii();
    let counted = if options.trim { trimmed } else { value };
    if trimmed.is_empty() || counted.len() < options.min_length {
        return BTreeSet::new();
    }
    let mut values = vec![value.to_vec()];
    if options.multiline != Multiline::Exact {
        let unix = replaced(value, b"\r\n", b"\n");
        values.push(replaced(&unix, b"\n", b"\r\n"));
        values.push(unix);
    }
    if options.multiline == Multiline::Lines {
        let lines =
            value.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let counted = |line: &&[u8]| {
            let trimmed = line.trim_ascii();
            !trimmed.is_empty() && if options.trim { trimmed.len() >= 8 } else { line.len() >= 8 }
        };
        values.extend(lines.filter(counted).map(<[u8]>::to_vec));
    }
    if options.trim {
        values.extend(values.clone().iter().map(|value| value.trim_ascii().to_vec()));
    }
    let long = |value: &&Vec<u8>| value.len() >= 8;
    let derived = values.iter().filter(long).flat_map(|value| {
        options.encodings.iter().flat_map(move |encoding| encoded(value, *encoding))
    });
    let derived: Vec<_> = derived.filter(|form| form.len() >= 6).collect();
    values.into_iter().chain(derived).collect()
}

fn replaced(value: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), value);
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(from) {
            Some(after) => {
                out.extend_from_slice(to);
                rest = after;
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

fn encoded(value: &[u8], encoding: Encoding) -> Vec<Vec<u8>> {
    match encoding {
        Encoding::Base64 => base64_forms(value),
        Encoding::Hex => vec![hex(value, "0123456789abcdef"), hex(value, "0123456789ABCDEF")],
        Encoding::Url | Encoding::Json | Encoding::Shell => unreachable!("see `EXACT`"),
    }
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        let whole = base64(value, alphabet);
        let padding = [b'='; 3][..(4 - whole.len() % 4) % 4].to_vec();
        all.extend([[whole.clone(), padding].concat(), whole]);
        for before in 0..3 {
            let text = base64(&[vec![0; before], value.to_vec()].concat(), alphabet);
            // Characters all of whose bits are the secret's.
            let inside =
                |at: &usize| at * 6 >= before * 8 && (at + 1) * 6 <= (before + value.len()) * 8;
            all.push((0..text.len()).filter(inside).map(|at| text[at]).collect());
        }
    }
    all
}

/// Bit by bit, without padding.
pub fn base64(data: &[u8], alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |at: usize| data.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let six = |at: usize| (0..6).fold(0, |six, more| six << 1 | bit(at + more));
    (0..data.len() * 8).step_by(6).map(|at| alphabet[usize::from(six(at))]).collect()
}

fn hex(value: &[u8], digits: &str) -> Vec<u8> {
    let digit = |four: u8| digits.as_bytes()[usize::from(four)];
    value.iter().flat_map(|&b| [digit(b >> 4), digit(b & 15)]).collect()
}

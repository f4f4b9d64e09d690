//! What counts as a secret, from the words of `Multiline` and `Encoding`, not from the code under test.
//!
//! Slow and without regard for what stays behind in memory. A form that is forgotten here or there shows as a
//! difference.

use ringfence_output_capture::{Encoding, Multiline, RedactionOptions};
use std::collections::BTreeSet;

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
        values.extend(lines.filter(|line| line.trim_ascii().len() >= 8).map(<[u8]>::to_vec));
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
        Encoding::Url => url(value),
        Encoding::Json => json(value),
        Encoding::Shell => shell(value),
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

fn url(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (kept, plus) in [
        // RFC 3986 and Python, Python with `/`, encodeURIComponent, encodeURI, forms, Python's quote_plus.
        ("-._~", false),
        ("-._~/", false),
        ("-._~!*'()", false),
        ("-._~!*'();,/?:@&=+$#", false),
        ("-._*", true),
        ("-._~", true),
    ] {
        for digits in ["0123456789abcdef", "0123456789ABCDEF"] {
            let byte = |&b: &u8| match b {
                b' ' if plus => vec![b'+'],
                _ if b.is_ascii_alphanumeric() || kept.as_bytes().contains(&b) => vec![b],
                _ => [b"%".to_vec(), hex(&[b], digits)].concat(),
            };
            all.push(value.iter().flat_map(byte).collect());
        }
    }
    all
}

fn json(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let is_text = std::str::from_utf8(value).is_ok();
    for choice in 0..16 {
        let [ascii, slash, html, upper] = [1, 2, 4, 8].map(|bit| choice & bit != 0);
        if ascii && !is_text {
            continue;
        }
        let mut form = Vec::new();
        for chunk in value.utf8_chunks() {
            let text = serde_json::to_string(chunk.valid()).expect("a text is JSON");
            let text = &text[1..text.len() - 1];
            form.extend_from_slice(escape_more(text, ascii, slash, html, upper).as_bytes());
            form.extend_from_slice(chunk.invalid());
        }
        all.push(form);
    }
    all
}

/// What `serde_json` has escaped already stays, but for the case of the digits.
fn escape_more(text: &str, ascii: bool, slash: bool, html: bool, upper: bool) -> String {
    let unit = |unit: u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    out += &unit(u16::from_str_radix(&digits, 16).expect("four digits"));
                }
                other => out.extend(['\\'].into_iter().chain(other)),
            },
            '/' if slash => out += "\\/",
            '<' | '>' | '&' if html => out += &unit(c as u16),
            '\0'..='~' => out.push(c),
            _ if ascii => c.encode_utf16(&mut [0; 2]).iter().for_each(|u| out += &unit(*u)),
            _ => out.push(c),
        }
    }
    out
}

fn shell(value: &[u8]) -> Vec<Vec<u8>> {
    let quote = |with: &str| replaced(value, b"'", with.as_bytes());
    let backslash = |special: &dyn Fn(u8) -> bool| {
        let byte = |&b: &u8| if special(b) { vec![b'\\', b] } else { vec![b] };
        value.iter().flat_map(byte).collect::<Vec<u8>>()
    };
    let word = |kept: &'static str| {
        move |b: u8| b.is_ascii() && !b.is_ascii_alphanumeric() && !kept.as_bytes().contains(&b)
    };
    vec![
        quote(r"'\''"),
        quote(r#"'"'"'"#),
        quote(r"\'"),
        backslash(&|b| b"\"$`\\".contains(&b)),
        backslash(&|b| b"\"$`\\!".contains(&b)),
        backslash(&word("%+-./:=@_")),
        backslash(&word("%+-./:@_,")),
        dollar_quoted(value, true),
        dollar_quoted(value, false),
    ]
}

fn dollar_quoted(value: &[u8], octal: bool) -> Vec<u8> {
    let byte = |&b: &u8| match b"''\\\\\nn\rr\tt\x07a\x08b\x0bv\x0cf\x1bE"
        .chunks(2)
        .find(|pair| pair[0] == b)
    {
        Some(pair) => vec![b'\\', pair[1]],
        None if b.is_ascii_control() || (octal && !b.is_ascii()) => {
            format!("\\{b:03o}").into_bytes()
        }
        None => vec![b],
    };
    value.iter().flat_map(byte).collect()
}

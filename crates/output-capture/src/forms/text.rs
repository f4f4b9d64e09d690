//! Hexadecimal, percent, JSON and shell forms of a secret.
//!
//! Each is what common programs print for a value, and no more: a form that nobody writes only costs memory. The trap:
//! programs differ in which harmless characters they escape, which is why there are several variants of each.
//!
//! Every text here is made with room for its longest form, since a text that grows leaves copies of itself behind that
//! nobody zeroes.

use std::fmt::Write;

/// Both cases, no separators.
pub(super) fn hex(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    add(escape(value, |_| false, |b, out| push(out, format_args!("{b:02x}"))));
    add(escape(value, |_| false, |b, out| push(out, format_args!("{b:02X}"))));
}

/// RFC 3986 (Python's `quote` with and without `/` kept), `encodeURIComponent`, `encodeURI`, form data.
pub(super) fn url(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    let kept: [(&[u8], bool); 6] = [
        (b"-._~", false),
        (b"-._~/", false),
        (b"-._~!*'()", false),
        (b"-._~!*'();,/?:@&=+$#", false),
        (b"-._*", true),
        (b"-._~", true),
    ];
    for (kept, plus) in kept {
        let keep = |b: u8| b.is_ascii_alphanumeric() || kept.contains(&b);
        let space = |b: u8, out: &mut String| {
            let plain = plus && b == b' ';
            if plain {
                out.push('+');
            }
            plain
        };
        add(escape(value, keep, |b, out| {
            if !space(b, out) {
                push(out, format_args!("%{b:02X}"));
            }
        }));
        add(escape(value, keep, |b, out| {
            if !space(b, out) {
                push(out, format_args!("%{b:02x}"));
            }
        }));
    }
}

/// The inside of a JSON string, as the common encoders write it.
pub(super) fn json(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    for slash in [false, true] {
        for html in [false, true] {
            for upper in [false, true] {
                add(json_utf8(value, slash, html, upper));
                if let Ok(text) = std::str::from_utf8(value) {
                    add(json_ascii(text, slash, html, upper));
                }
            }
        }
    }
}

fn json_utf8(value: &[u8], slash: bool, html: bool, upper: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 6);
    for &b in value {
        if !json_byte(b, slash, html, upper, &mut out) {
            out.push(b);
        }
    }
    out
}

fn json_ascii(text: &str, slash: bool, html: bool, upper: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 6);
    for c in text.chars() {
        let ascii = u8::try_from(c).ok().filter(u8::is_ascii);
        match ascii {
            Some(b) if json_byte(b, slash, html, upper, &mut out) => {}
            Some(b) if b != 0x7f => out.push(b),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    unicode(*unit, upper, &mut out);
                }
            }
        }
    }
    out
}

/// Writes `b` when JSON has an escape for it.
fn json_byte(b: u8, slash: bool, html: bool, upper: bool, out: &mut Vec<u8>) -> bool {
    let short = match b {
        b'"' | b'\\' => b,
        b'/' if slash => b,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0..=0x1f => return unicode(u16::from(b), upper, out),
        b'<' | b'>' | b'&' if html => return unicode(u16::from(b), upper, out),
        _ => return false,
    };
    out.extend_from_slice(&[b'\\', short]);
    true
}

fn unicode(unit: u16, upper: bool, out: &mut Vec<u8>) -> bool {
    let digits = if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    out.extend_from_slice(digits.as_bytes());
    true
}

/// What is inside the quotes when bash, dash, ash, zsh or a program prints a word for a shell.
pub(super) fn shell(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    add(replace(value, |b| (b == b'\'').then_some(br"'\''")));
    add(replace(value, |b| (b == b'\'').then_some(br#"'"'"'"#)));
    add(replace(value, |b| (b == b'\'').then_some(br"\'")));
    let backslashed = |special: fn(u8) -> bool| {
        let mut out = Vec::with_capacity(value.len() * 2);
        for &b in value {
            if special(b) {
                out.push(b'\\');
            }
            out.push(b);
        }
        out
    };
    add(backslashed(|b| matches!(b, b'"' | b'$' | b'`' | b'\\')));
    add(backslashed(|b| matches!(b, b'"' | b'$' | b'`' | b'\\' | b'!')));
    // printf %q of bash: what is not a letter, a digit or one of these.
    add(backslashed(|b| b < 0x80 && !b.is_ascii_alphanumeric() && !b"%+-./:=@_".contains(&b)));
    add(backslashed(|b| b < 0x80 && !b.is_ascii_alphanumeric() && !b"%+-./:@_,".contains(&b)));
    add(dollar_quoted(value, true));
    add(dollar_quoted(value, false));
}

/// `$'…'` of bash; `octal` for what is not ASCII.
fn dollar_quoted(value: &[u8], octal: bool) -> Vec<u8> {
    let mut out = String::new();
    let mut bytes = Vec::with_capacity(value.len() * 4);
    for &b in value {
        let short = match b {
            b'\'' | b'\\' => Some(char::from(b)),
            b'\n' => Some('n'),
            b'\r' => Some('r'),
            b'\t' => Some('t'),
            0x07 => Some('a'),
            0x08 => Some('b'),
            0x0b => Some('v'),
            0x0c => Some('f'),
            0x1b => Some('E'),
            _ => None,
        };
        out.clear();
        match short {
            Some(c) => push(&mut out, format_args!("\\{c}")),
            None if b < 0x20 || b == 0x7f || (octal && b >= 0x80) => {
                push(&mut out, format_args!("\\{b:03o}"))
            }
            None => {
                bytes.push(b);
                continue;
            }
        }
        bytes.extend_from_slice(out.as_bytes());
    }
    bytes
}

fn escape(value: &[u8], keep: impl Fn(u8) -> bool, write: impl Fn(u8, &mut String)) -> Vec<u8> {
    let mut out = String::with_capacity(value.len() * 3);
    for &b in value {
        if keep(b) {
            out.push(char::from(b));
        } else {
            write(b, &mut out);
        }
    }
    out.into_bytes()
}

fn replace<const N: usize>(value: &[u8], with: impl Fn(u8) -> Option<&'static [u8; N]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 5);
    for &b in value {
        match with(b) {
            Some(text) => out.extend_from_slice(text),
            None => out.push(b),
        }
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("because a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    type Form = fn(&[u8], &mut dyn FnMut(Vec<u8>));

    fn check(form: Form, value: &str, expect: &[&str]) {
        let mut all = Vec::new();
        form(value.as_bytes(), &mut |bytes| all.push(String::from_utf8_lossy(&bytes).into_owned()));
        for text in expect {
            assert!(all.iter().any(|form| form == text), "{text} not among {all:?}");
        }
    }

    #[test]
    fn hexadecimal() {
        check(|v, mut f| hex(v, &mut f), "Kä/", &["4bc3a42f", "4BC3A42F"]);
    }

    #[test]
    fn percent() {
        let value = "p@ss/w0rd +1&é";
        let expect = [
            "p%40ss%2Fw0rd%20%2B1%26%C3%A9",
            "p%40ss%2fw0rd%20%2b1%26%c3%a9",
            "p%40ss/w0rd%20%2B1%26%C3%A9",
            "p%40ss%2Fw0rd+%2B1%26%C3%A9",
            "p@ss/w0rd%20+1&%C3%A9",
        ];
        check(|v, mut f| url(v, &mut f), value, &expect);
        check(
            |v, mut f| url(v, &mut f),
            "a!b*c'd(e)f~",
            &["a!b*c'd(e)f~", "a%21b%2Ac%27d%28e%29f~"],
        );
    }

    #[test]
    fn json_strings() {
        let value = "a\"b\\c\td/9é\n\u{1}<😀";
        let expect = [
            r#"a\"b\\c\td/9é\n\u0001<😀"#,
            r#"a\"b\\c\td\/9\u00e9\n\u0001<\ud83d\ude00"#,
            r#"a\"b\\c\td/9\u00E9\n\u0001<\uD83D\uDE00"#,
            r#"a\"b\\c\td/9é\n\u0001\u003c😀"#,
        ];
        check(|v, mut f| json(v, &mut f), value, &expect);
    }

    #[test]
    fn shell_words() {
        let value = "it's \"$me\" `x`\n";
        let expect = [
            "it'\\''s \"$me\" `x`\n",
            "it'\"'\"'s \"$me\" `x`\n",
            "it's \\\"\\$me\\\" \\`x\\`\n",
            "it\\'s \"$me\" `x`\\n",
        ];
        check(|v, mut f| shell(v, &mut f), value, &expect);
        check(|v, mut f| shell(v, &mut f), "a b&c;d", &["a\\ b\\&c\\;d"]);
        check(|v, mut f| shell(v, &mut f), "é\u{1}", &["\\303\\251\\001", "é\\001"]);
    }
}

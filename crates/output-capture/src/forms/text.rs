//! Hexadecimal and percent forms of a secret.
//!
//! Each is what common programs print for a value, and no more: a form that nobody writes only costs memory. The trap:
//! programs differ in which harmless characters they escape, which is why there are several variants.
//!
//! Every text here is made with room for its longest form, since a text that grows leaves copies of itself behind that
//! nobody zeroes.

use std::fmt::Write;

/// Both cases, no separators.
pub(super) fn hex(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    add(escape(value, |_| false, |b, out| push(out, format_args!("{b:02x}"))));
    add(escape(value, |_| false, |b, out| push(out, format_args!("{b:02X}"))));
}

/// What each program leaves as it is beside letters and digits, and whether it writes `+` for a blank.
const KEPT: [(&[u8], bool); 10] = [
    (b"-._~", false),  // RFC 3986: Python's quote without safe characters, curl, jq, PHP
    (b"-._~/", false), // Python's quote
    (b"-._~!*'()", false), // encodeURIComponent
    (b"-._~!*'();,/?:@&=+$#", false), // encodeURI
    (b"-._*", true),   // form data as browsers send it
    (b"-._~", true),   // form data of Python and Go
    (b"-._", true),    // form data of PHP
    (b"-._~$&+:=@", false), // a path segment of Go
    (b"-._~$&+,/:;=@", false), // a path of Go
    (b"-._~$&+,;=", false), // a password of Go
];

/// What the URL standard of browsers, Node.js and Rust escapes: in a password, in a path, in a query. Not `%`.
const ESCAPED: [&[u8]; 4] = [b" \"#<>?`{}/:;=@[\\]^|", b" \"#<>?`{}^", b" \"#<>?`{}", b" \"#<>'"];

/// RFC 3986, `encodeURIComponent`, `encodeURI`, form data, parts of a URL; both cases of digits.
pub(super) fn url(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    for (kept, plus) in KEPT {
        percent(value, |b| b.is_ascii_alphanumeric() || kept.contains(&b), plus, add);
    }
    for escaped in ESCAPED {
        percent(value, |b| (0x20..0x7f).contains(&b) && !escaped.contains(&b), false, add);
    }
}

fn percent(value: &[u8], keep: impl Fn(u8) -> bool, plus: bool, add: &mut impl FnMut(Vec<u8>)) {
    for upper in [true, false] {
        add(escape(value, &keep, |b, out| match b {
            b' ' if plus => out.push('+'),
            _ if upper => push(out, format_args!("%{b:02X}")),
            _ => push(out, format_args!("%{b:02x}")),
        }));
    }
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
    fn parts_of_a_url() {
        let expect = ["a b:c@d=$e", "a%20b%3Ac%40d%3D$e", "a%20b:c@d=$e", "a%20b%3Ac%40d=$e"];
        check(|v, mut f| url(v, &mut f), "a b:c@d=$e", &expect[1..]);
    }
}

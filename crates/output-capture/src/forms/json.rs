//! The inside of a JSON string, as the common encoders write it.
//!
//! JSON leaves the writer free to escape anything, so encoders differ: by `/`, by what HTML could misread, by what is
//! not ASCII, by the case of digits. Every combination is a form; most secrets have the same text in all of them. The
//! trap: a value that is not UTF-8 has no ASCII form.

/// What is escaped beside what must be.
#[derive(Clone, Copy)]
struct Style {
    /// `/`: PHP.
    slash: bool,
    /// Also as `\u00XX`: nothing, or what Go, Gson or .NET take for dangerous in HTML.
    html: &'static [u8],
    /// Digits of `\uXXXX` in upper case.
    upper: bool,
    /// DEL: jq, and Python where all else is ASCII.
    delete: bool,
    /// What is not ASCII.
    wide: Wide,
}

#[derive(Clone, Copy, PartialEq)]
enum Wide {
    Raw,
    /// U+2028 and U+2029 alone, which JavaScript took for line ends: Go, PHP.
    LineEnds,
    Escaped,
}

const HTML: [&[u8]; 4] = [b"", b"<>&", b"<>&='", b"<>&'\"+`"];

/// Calls `add` with each form, some of them more than once.
pub(super) fn forms(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii());
    for style in styles(value) {
        add(bytes(value, style));
        for wide in [Wide::LineEnds, Wide::Escaped] {
            if let Some(text) = text {
                add(characters(text, Style { wide, ..style }));
            }
        }
    }
}

/// All styles, without those that escape nothing more in `value` than others do.
fn styles(value: &[u8]) -> Vec<Style> {
    let has = |bytes: &[u8]| value.iter().any(|b| bytes.contains(b));
    let with = |bytes: &[u8]| if has(bytes) { &[false, true][..] } else { &[false][..] };
    let mut all = Vec::new();
    for html in HTML.into_iter().filter(|html| html.is_empty() || has(html)) {
        for &slash in with(b"/") {
            for &delete in with(b"\x7f") {
                let style = |upper| Style { slash, html, upper, delete, wide: Wide::Raw };
                all.extend([style(false), style(true)]);
            }
        }
    }
    all
}

fn bytes(value: &[u8], style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 6);
    value.iter().for_each(|&b| byte(b, style, &mut out));
    out
}

fn characters(text: &str, style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 6);
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(b) if b.is_ascii() => byte(b, style, &mut out),
            _ if style.wide == Wide::LineEnds && !matches!(c, '\u{2028}' | '\u{2029}') => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| unicode(unit, style, &mut out))
            }
        }
    }
    out
}

fn byte(b: u8, style: Style, out: &mut Vec<u8>) {
    let short = match b {
        _ if style.html.contains(&b) => return unicode(u16::from(b), style, out),
        b'"' | b'\\' => b,
        b'/' if style.slash => b,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0..=0x1f => return unicode(u16::from(b), style, out),
        0x7f if style.delete => return unicode(u16::from(b), style, out),
        _ => return out.push(b),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn unicode(unit: u16, style: Style, out: &mut Vec<u8>) {
    let digit = |shift: u32| {
        let digit = char::from_digit(u32::from(unit >> shift & 15), 16).unwrap_or('0');
        if style.upper { digit.to_ascii_uppercase() } else { digit }
    };
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| digit(shift) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expect: &[&str]) {
        let mut all = Vec::new();
        forms(value.as_bytes(), &mut |bytes| {
            all.push(String::from_utf8_lossy(&bytes).into_owned())
        });
        for text in expect {
            assert!(all.iter().any(|form| form == text), "{text} not among {all:?}");
        }
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
        check(value, &expect);
    }

    #[test]
    fn what_single_encoders_escape() {
        check("a=b'<c>", &[r"a\u003db\u0027\u003cc\u003e"]); // Gson
        check("a+\"b'`é", &[r"a\u002B\u0022b\u0027\u0060\u00E9"]); // .NET
        check(
            "aé\u{7f}\u{2028}",
            &["aé\u{7f}\\u2028", r"a\u00e9\u007f\u2028", "a\\u00e9\u{7f}\\u2028"],
        );
        check("a\u{7f}", &[r"a\u007f"]); // jq
    }
}

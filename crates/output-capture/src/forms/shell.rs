//! What is inside the quotes when a shell or a program prints a word for a shell.
//!
//! Four kinds of quoting: single quotes, double quotes, backslashes, `$'…'`; and programs that mix them. Which bytes are
//! escaped, and how, was taken from the programs themselves. The trap: how a word begins or ends can decide how its first
//! or last byte is written, and a secret may stand in the middle of a word, so both ways are forms.

/// Calls `add` with each form, some of them more than once.
pub(super) fn forms(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    single_quoted(value, add);
    for special in [&b"\"$`\\"[..], b"\"$`\\!"] {
        add(double_quoted(value, special));
    }
    backslashed(value, add);
    for high in [false, true] {
        for (controls, special) in DOLLAR {
            add(dollar_quoted(value, controls, special, high));
        }
        add(mixed(value, high));
    }
}

/// How a single quote is written inside single quotes: what comes before and after a run of them, and each of them.
const QUOTES: [(&str, &str, &str); 4] = [
    ("", r"'\''", ""),    // bash, yash
    ("", r#"'"'"'"#, ""), // Python's shlex
    ("'\"", "'", "\"'"),  // dash, busybox
    ("'", r"\'", "'"),    // zsh, mksh
];

fn single_quoted(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    for (open, each, close) in QUOTES {
        let form = quotes(value, open, each, close);
        // An empty pair of quotes at an end is left out by most.
        let inner = form.strip_prefix(b"'").filter(|_| value.starts_with(b"'")).unwrap_or(&form);
        let inner = inner.strip_suffix(b"'").filter(|_| value.ends_with(b"'")).unwrap_or(inner);
        add(inner.to_vec());
        add(form);
    }
    // git: also each `!`.
    add(replace(
        value,
        |b| matches!(b, b'\'' | b'!'),
        |b, out| out.extend_from_slice(&[b'\'', b'\\', b, b'\'']),
    ));
    // PHP, Perl.
    add(replace(
        value,
        |b| matches!(b, b'\'' | b'\\'),
        |b, out| out.extend_from_slice(&[b'\\', b]),
    ));
}

fn quotes(value: &[u8], open: &str, each: &str, close: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 5);
    let mut inside = false;
    for &b in value {
        let quote = b == b'\'';
        if quote != inside {
            out.extend_from_slice(if quote { open } else { close }.as_bytes());
            inside = quote;
        }
        if quote {
            out.extend_from_slice(each.as_bytes());
        } else {
            out.push(b);
        }
    }
    if inside {
        out.extend_from_slice(close.as_bytes());
    }
    out
}

fn double_quoted(value: &[u8], special: &[u8]) -> Vec<u8> {
    replace(value, |b| special.contains(&b), |b, out| out.extend_from_slice(&[b'\\', b]))
}

/// What each program writes a backslash before, and what only at the beginning of a word or of a path.
type Bytes = &'static [u8];

const BACKSLASHED: [(Bytes, Bytes, Bytes); 3] = [
    (b" !\"$&'()*,;<>?[\\]^`{|}", b"#~", b"~"), // bash
    (b" \"#$&'()*;<>?[\\]^`{|}", b"=~", b""),   // zsh
    (b" \"#$%&'()*;<>?[\\]{|}~", b"", b""),     // fish
];

/// What is not escaped beside letters and digits by programs that escape all else.
const PLAIN: [&[u8]; 6] =
    [b"_", b"%+-./:=@_", b"%+-./:@_,", b"%+=:,./-@_", b"_-.,:+/@\n", b"_-.,:+/@"];

fn backslashed(value: &[u8], add: &mut impl FnMut(Vec<u8>)) {
    let first = value.first().copied().unwrap_or_default();
    for (always, begin, path) in BACKSLASHED {
        let form = |begin: &[u8], high: bool| {
            let mut before = None;
            controls(value, high, |b| {
                let here = before.replace(b);
                always.contains(&b)
                    || here.is_none() && begin.contains(&b)
                    || matches!(here, Some(b':' | b'=')) && path.contains(&b)
            })
        };
        for high in [false, true] {
            add(form(b"", high));
            if begin.contains(&first) {
                add(form(begin, high));
            }
        }
    }
    for plain in PLAIN {
        let special = |b: u8| b.is_ascii() && !b.is_ascii_alphanumeric() && !plain.contains(&b);
        add(replace(value, special, |b, out| out.extend_from_slice(&[b'\\', b])));
    }
    // Ruby: a line end in quotes of its own, and a backslash before what is not ASCII (`b` begins a character).
    let special = |b: u8| match b {
        0x80.. => b >= 0xc0,
        _ => !b.is_ascii_alphanumeric() && !b"_-.,:+/@".contains(&b),
    };
    add(replace(value, special, |b, out| match b {
        b'\n' => out.extend_from_slice(b"'\n'"),
        _ => out.extend_from_slice(&[b'\\', b]),
    }));
}

/// Backslashes, and each control character in `$'…'` of its own, as zsh does.
fn controls(value: &[u8], high: bool, mut special: impl FnMut(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 7);
    for &b in value {
        match special(b) {
            _ if b.is_ascii_control() || high && !b.is_ascii() => {
                out.extend_from_slice(b"$'");
                number(b, ZSH, &mut out);
                out.push(b'\'');
            }
            true => out.extend_from_slice(&[b'\\', b]),
            false => out.push(b),
        }
    }
    out
}

/// How a program writes a control character: the letters for BEL, BS, TAB, LF, VT, FF, CR and ESC, where it has one,
/// and what it writes for all others.
#[derive(Clone, Copy)]
struct Controls(&'static [u8; 8], Other);

#[derive(Clone, Copy)]
enum Other {
    /// `\001`
    Octal,
    /// `\x01`
    Hex,
    /// `\C-A`, and `\M-C` for 0xc3
    Keys,
    /// `\ca`
    LowerKeys,
}

const BASH: Controls = Controls(b"abtnvfrE", Other::Octal);
const ZSH: Controls = Controls(b"abtnvfr ", Other::Octal);
const ZSH_TRACE: Controls = Controls(b"  tn    ", Other::Keys);
const KSH: Controls = Controls(b"abtn frE", Other::Hex);
const GO: Controls = Controls(b"abtnvfr ", Other::Hex);
const PYTHON: Controls = Controls(b"  tn  r ", Other::Hex);
const FISH: Controls = Controls(b" btn  re", Other::LowerKeys);

/// `$'…'`: how control characters are written, and before what else a backslash stands.
const DOLLAR: [(Controls, &[u8]); 8] = [
    (BASH, b"'\\"),
    (BASH, b"\\"), // mksh, whose quote is a number
    (ZSH, b"'\\!"),
    (ZSH_TRACE, b"'\\"),
    (KSH, b"'\\"),
    (GO, b"\"\\"),
    (PYTHON, b"'\\"),
    (FISH, BACKSLASHED[2].0),
];

/// `high`: bytes above 0x7f are numbers, as where the locale is `C`.
fn dollar_quoted(value: &[u8], controls: Controls, special: &[u8], high: bool) -> Vec<u8> {
    let quote = !special.contains(&b'\'') && !special.contains(&b'"');
    let mut out = Vec::with_capacity(value.len() * 5);
    for &b in value {
        if b.is_ascii_control() || high && !b.is_ascii() || quote && b == b'\'' {
            number(b, controls, &mut out);
        } else {
            if special.contains(&b) {
                out.push(b'\\');
            }
            out.push(b);
        }
    }
    out
}

fn number(b: u8, controls: Controls, out: &mut Vec<u8>) {
    let place = match b {
        7..=13 => Some(usize::from(b - 7)),
        27 => Some(7),
        _ => None,
    };
    out.push(b'\\');
    match (place.map(|place| controls.0[place]), controls.1) {
        (Some(letter), _) if letter != b' ' => out.push(letter),
        (_, Other::Octal) => out.extend([b >> 6, b >> 3 & 7, b & 7].map(|digit| b'0' + digit)),
        (_, Other::LowerKeys) if b < 0x1b => out.extend([b'c', b | 0x60]),
        (_, Other::Hex | Other::LowerKeys) => {
            out.push(b'x');
            out.extend([b >> 4, b & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
        (_, Other::Keys) => {
            let (high, low) = (b >= 0x80, b & 0x7f);
            let (meta, control): (&[u8], &[u8]) = match (high, low.is_ascii_control()) {
                (false, _) => (b"", b"C-"),
                (true, false) => (b"M-", b""),
                (true, true) => (b"M-", b"\\C-"),
            };
            out.extend_from_slice(meta);
            out.extend_from_slice(control);
            out.push(if low.is_ascii_control() { low ^ 0x40 } else { low });
        }
    }
}

/// Single quotes, left for `$'…'` where control characters come, as the programs of coreutils write names.
fn mixed(value: &[u8], high: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 7);
    let mut dollar = false;
    for &b in value {
        let control = b.is_ascii_control() || high && !b.is_ascii();
        match (control, dollar) {
            _ if b == b'\'' => out.extend_from_slice(br"'\'"),
            (true, false) => out.extend_from_slice(b"'$'"),
            (false, true) => out.extend_from_slice(b"''"),
            _ => {}
        }
        dollar = control;
        if control {
            number(b, ZSH, &mut out);
        } else {
            out.push(b);
        }
    }
    out
}

/// Writes the bytes that are `special` with `write`.
fn replace(
    value: &[u8],
    special: impl Fn(u8) -> bool,
    write: impl Fn(u8, &mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 4);
    for &b in value {
        if special(b) {
            write(b, &mut out);
        } else {
            out.push(b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expect` is what programs print for `value`, without the outer quotes.
    fn check(value: &str, expect: &[&str]) {
        let mut all = Vec::new();
        forms(value.as_bytes(), &mut |bytes| {
            all.push(String::from_utf8_lossy(&bytes).into_owned());
        });
        for text in expect {
            assert!(all.iter().any(|form| form == text), "{text} not among {all:?}");
        }
    }

    #[test]
    fn words() {
        let expect = [
            "it'\\''s \"$me\" `x`\n",
            "it'\"'\"'s \"$me\" `x`\n",
            "it's \\\"\\$me\\\" \\`x\\`\n",
            "it\\'s \"$me\" `x`\\n",
        ];
        check("it's \"$me\" `x`\n", &expect);
        check("a b&c;d", &["a\\ b\\&c\\;d"]);
        check("é\u{1}", &["\\303\\251\\001", "é\\001"]);
    }

    #[test]
    fn quotes_in_a_row_and_at_the_ends() {
        let bash = r"a'\'''\''b";
        check("a''b", &[bash, r"a'\'\''b", r#"a'"''"'b"#, r#"a'"'"''"'"'b"#]);
        check("ab'", &[r"ab'\''", r"ab'\'", r##"ab'"'""##]);
        check("'ab", &[r"'\''ab", r"\''ab"]);
        check("a'b!", &[r"a'\''b'\!'"]);
        check("a'\\\nb", &["a\\'\\\\\nb"]);
    }

    #[test]
    fn bytes_that_only_matter_at_the_beginning() {
        check("ab#~ c", &["ab#~\\ c", "ab\\#~\\ c"]); // bash, zsh
        check("#a b", &["\\#a\\ b", "#a\\ b"]);
        check("~a:~b c", &["\\~a:\\~b\\ c", "~a:~b\\ c"]);
        check("=a!b c", &["\\=a!b\\ c", "=a\\!b\\ c"]);
    }

    #[test]
    fn control_characters() {
        let value = "a'\u{1}\u{1b}\u{7f}\u{b}!";
        let expect = [
            r"a\'\001\E\177\v!",               // bash
            r"a\047\001\E\177\v!",             // mksh
            r"a\'\001\033\177\v\!",            // zsh
            r"a\'\C-A\C-[\C-?\C-K!",           // zsh -x
            r"a\'\x01\E\x7f\x0b!",             // ksh
            r"a'\x01\x1b\x7f\v!",              // Go
            r"a\'\x01\x1b\x7f\x0b!",           // Python
            r"a\'\ca\e\x7f\ck!",               // fish
            r"a\'$'\001'$'\033'$'\177'$'\v'!", // zsh
            r"a'\'''$'\001\033\177\v''!",      // coreutils
        ];
        check(value, &expect);
        check("a é", &["a\\ \\é", "a\\ $'\\303'$'\\251'", "a \\M-C\\M-)"]); // Ruby, zsh
        check("aß\n", &[r"a\M-C\M-\C-_\n"]);
        check("aé\nb", &[r"a\M-C\M-)\nb", "a'$'\\303\\251\\n''b", "aé'$'\\n''b", "a\\é'\n'b"]);
    }
}

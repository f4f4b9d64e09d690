//! What secrets of a fixed shape are, said a second time: over a text that is there as a whole.

use regex_automata::meta::Regex;
use regex_automata::util::{captures::Captures, syntax};
use regex_automata::{Anchored, Input};
use ringfence_output_capture::{CustomPattern, Detector};
use std::sync::LazyLock;

/// What a token is; where it has a group, that is what is masked. None of them may have a letter or a digit before it.
const TOKENS: &[(Detector, &str)] = &[
    (Detector::Aws, "((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})(?:[^A-Za-z0-9]|$)"),
    (Detector::Github, "gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{82,}"),
    (
        Detector::Gitlab,
        "gl(?:pat|dt|rt|ft|cbt|ptt|imt|soat|ffct|agent)-[A-Za-z0-9_-]{20,}|gloas-[A-Za-z0-9_-]{20,}",
    ),
    (
        Detector::Google,
        "AIza[A-Za-z0-9_-]{35,}|ya29\\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{28,}",
    ),
    (Detector::Anthropic, "sk-ant-[A-Za-z0-9_-]{20,}"),
    (Detector::Openai, "sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|sk-[A-Za-z0-9]{32,}"),
    (Detector::Npm, "npm_[A-Za-z0-9]{36,}"),
    (Detector::Pypi, "pypi-AgEI[A-Za-z0-9_-]{50,}"),
    (Detector::Huggingface, "hf_[A-Za-z0-9]{30,}"),
    (Detector::Stripe, "[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9_./+=-]{24,}"),
    (
        Detector::Slack,
        "xox[abeoprs]-[A-Za-z0-9_-]{10,}|xapp-[A-Za-z0-9_-]{20,}|xoxe\\.xox[A-Za-z0-9_./+=-]{20,}",
    ),
    (Detector::Slack, "hooks\\.slack\\.com/services/([A-Za-z0-9_./+=-]{20,})"),
];

/// The detectors whose shapes are said here. The one of AWS knows names, too.
pub(crate) fn detectors() -> Vec<Detector> {
    let mut all: Vec<_> = TOKENS.iter().map(|token| token.0).collect();
    all.extend([Detector::Jwt, Detector::Pem]);
    all
}

pub(crate) fn bytes_regex(pattern: &str) -> Regex {
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    Regex::builder().syntax(syntax).build(pattern).expect("a sound pattern")
}

/// Every secret of a fixed shape that these detectors know.
pub(crate) fn shapes(text: &[u8], detectors: &[Detector]) -> Vec<(usize, usize)> {
    let at = |place| [jwt(text, place), pem(text, place)].into_iter().flatten();
    tokens(text, detectors).into_iter().chain((0..text.len()).flat_map(at)).collect()
}

/// Every place at which a token begins, with its end.
fn tokens(text: &[u8], detectors: &[Detector]) -> Vec<(usize, usize)> {
    static REGEXES: LazyLock<Vec<Regex>> =
        LazyLock::new(|| TOKENS.iter().map(|token| bytes_regex(token.1)).collect());
    let mut ranges = Vec::new();
    let wanted = |(_, token): &(_, &(Detector, &str))| detectors.contains(&token.0);
    for (regex, _) in REGEXES.iter().zip(TOKENS).filter(wanted) {
        let mut groups = regex.create_captures();
        let mut from = 0;
        while let Some(at) = regex.find(Input::new(text).range(from..)).map(|found| found.start()) {
            from = at + 1;
            let within = at.checked_sub(1).is_some_and(|at| text[at].is_ascii_alphanumeric());
            if !within {
                let input = Input::new(text).range(at..).anchored(Anchored::Yes);
                regex.search_captures(&input, &mut groups);
                ranges.extend(masked(&groups));
            }
        }
    }
    ranges
}

fn masked(groups: &Captures) -> Option<(usize, usize)> {
    let span = groups.get_group(1).or_else(|| groups.get_group(0))?;
    Some((span.start, span.end))
}

fn dashed(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
}

/// Three parts of base64url, the first of which is `{"` and a name; a payload of 8 KiB needs no third.
fn jwt(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let rest = text[start..].strip_prefix(b"eyJ")?;
    let name = (b'h'..=b'z').contains(rest.first()?) || (b'0'..=b'6').contains(rest.first()?);
    let within = start.checked_sub(1).is_some_and(|at| dashed(&text[at]));
    if within || !name || !b"YZabcdeMNO".contains(rest.get(1)?) {
        return None;
    }
    let part =
        |from: usize| text.get(from..).map(|rest| rest.iter().take_while(|b| dashed(b)).count());
    let header = part(start)?;
    let payload = start + header + 1;
    if !(8..=2048).contains(&header) || text.get(payload - 1) != Some(&b'.') {
        return None;
    }
    let length = part(payload)?;
    let signature = payload + length + 1;
    if length >= 8192 {
        return Some((start, payload + length));
    }
    let two = length >= 8 && text.get(signature - 1) == Some(&b'.');
    let third = part(signature).filter(|third| two && *third >= 1)?;
    Some((start, signature + third))
}

/// From the first line of a private key to the first end of one, or 64 KiB.
fn pem(text: &[u8], start: usize) -> Option<(usize, usize)> {
    static BEGIN: LazyLock<Regex> = LazyLock::new(|| {
        bytes_regex("-----BEGIN [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----(?:[^\"'`,;:.)\\]}>]|$)")
    });
    static END: LazyLock<Regex> =
        LazyLock::new(|| bytes_regex("-----END [A-Z0-9 ]{0,40}?PRIVATE KEY(?: BLOCK)?-----"));
    let begins = text[start..].starts_with(b"-----BEGIN ");
    let label = |from: usize| text[from..].iter().position(|b| *b == b'-');
    if !begins || label(start + 11)? > 40 {
        return None;
    }
    let from = start + 11 + label(start + 11)? + 5;
    BEGIN.find(Input::new(text).range(start..).anchored(Anchored::Yes))?;
    let limit = text.len().min(start + 64 * 1024);
    let mut ends = END.find_iter(Input::new(text).range(from.saturating_sub(5)..limit));
    let short = |start: usize, end: usize| end - start <= 9 + 40 + 5;
    let end = ends.find(|end| end.end() > from && short(end.start(), end.end()));
    Some((start, end.map_or(limit, |end| end.end())))
}

/// What an own pattern matches: leftmost first, each match in the window after its first byte.
pub(crate) fn own(text: &[u8], pattern: &str) -> Vec<(usize, usize)> {
    let (regex, mut ranges, mut at) = (bytes_regex(pattern), Vec::new(), 0);
    while at < text.len() {
        let window = at..text.len().min(at + CustomPattern::WINDOW);
        match regex.find(Input::new(text).range(window).anchored(Anchored::Yes)) {
            Some(found) => {
                ranges.push((at, found.end()));
                at = found.end();
            }
            None => at += 1,
        }
    }
    ranges
}

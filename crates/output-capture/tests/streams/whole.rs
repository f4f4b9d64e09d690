//! Detectors of fixed shape and own patterns against regular expressions that see the whole text at once.

use crate::at_least;
use crate::common::{cut, mask_ranges, plain, run};
use proptest::prelude::*;
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, util::syntax};
use ringfence_output_capture::{CustomPattern, Detector, Redaction, RedactionOptions, Secret};

/// What a token is, said a second time. None of them may have a letter or a digit before it.
pub(crate) const TOKENS: &[(Detector, &str)] = &[
    (Detector::Aws, "(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?:[^A-Za-z0-9]|$)"),
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
    (Detector::Npm, "npm_[A-Za-z0-9]{36,}"),
    (Detector::Pypi, "pypi-AgEI[A-Za-z0-9_-]{50,}"),
    (Detector::Huggingface, "hf_[A-Za-z0-9]{30,}"),
];

const PIECES: &[&str] = &[
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "gloas-",
    "AIza",
    "ya29.",
    "GOCSPX-",
    "sk-ant-",
    "npm_",
    "pypi-AgEI",
    "hf_",
    "AKIA",
    "ASIA",
    "IOSFODNN7EXAMPLE",
    "a1B2c3D4e5F6g7H8i9J0",
    "_",
    "-",
    " ",
    "\n",
    "A",
    "x",
    ".",
    "\"",
    "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6",
];

fn bytes_regex(pattern: &str) -> Regex {
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    Regex::builder().syntax(syntax).build(pattern).expect("a sound pattern")
}

/// Every place at which a token begins, with its end.
fn tokens(text: &[u8]) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for (detector, pattern) in TOKENS {
        let regex = bytes_regex(pattern);
        let begins =
            |at: &usize| !at.checked_sub(1).is_some_and(|at| text[at].is_ascii_alphanumeric());
        for at in (0..text.len()).filter(begins) {
            let found = regex.find(Input::new(text).range(at..).anchored(Anchored::Yes));
            let Some(found) = found else { continue };
            let exact = *detector == Detector::Aws;
            ranges.push((at, if exact { at + 20 } else { found.end() }));
        }
    }
    ranges
}

proptest! {
    #![proptest_config(at_least(300))]

    #[test]
    fn tokens_of_fixed_shape(text in prop::collection::vec(prop::sample::select(PIECES), 0..25), cuts in prop::collection::vec(1usize..40, 0..12)) {
        let text = text.concat();
        let detectors = TOKENS.iter().map(|token| token.0).collect();
        let options = RedactionOptions { detectors, ..plain() };
        let redaction = Redaction::compile(std::iter::empty::<Secret>(), &options).0;
        let expect = mask_ranges(text.as_bytes(), tokens(text.as_bytes()));
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        prop_assert_eq!(shown(&run(&redaction, &[text.as_bytes()])), shown(&expect), "{}", text);
        prop_assert_eq!(shown(&run(&redaction, &cut(text.as_bytes(), &cuts))), shown(&expect), "{}", text);
    }

    #[test]
    fn own_patterns(text in "[abcz01 \n-]{0,300}", cuts in prop::collection::vec(1usize..60, 0..12), which in 0usize..8) {
        let pattern = ["TCK-[0-9]+|ab|abcz", "a[^z]*z", "(?i)A+b?", r"\bab*\b", "(?m)^[ab]+$", "a.?c|b-+", "[0-9]{2,5}?z", "z$"][which];
        let custom = CustomPattern::new("own", pattern).expect("a sound pattern");
        let options = RedactionOptions { patterns: vec![custom], ..plain() };
        let redaction = Redaction::compile(std::iter::empty::<Secret>(), &options).0;
        let regex = bytes_regex(pattern);
        let ranges = regex.find_iter(text.as_bytes()).map(|found| (found.start(), found.end()));
        let expect = mask_ranges(text.as_bytes(), ranges.collect());
        prop_assert_eq!(&run(&redaction, &[text.as_bytes()]), &expect, "{} in {:?}", pattern, text);
        prop_assert_eq!(&run(&redaction, &cut(text.as_bytes(), &cuts)), &expect, "{} in {:?}", pattern, text);
    }
}

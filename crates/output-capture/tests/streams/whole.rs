//! Detectors of fixed shape and own patterns against regular expressions that see the whole text at once.

use crate::at_least;
use crate::common::{cut, mask_ranges, plain, run};
use crate::formats::{detectors, own, shapes};
use proptest::prelude::*;
use ringfence_output_capture::{CustomPattern, Redaction, RedactionOptions, Secret};

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
    "sk-",
    "proj-",
    "whsec_",
    "rk_live_",
    "xoxb-",
    "xoxe.",
    "hooks.slack.com/services/",
    "eyJhbGci",
    "-----BEGIN ",
    "-----END ",
    "PRIVATE KEY-----",
    "RSA ",
];

proptest! {
    #![proptest_config(at_least(300))]

    #[test]
    fn secrets_of_fixed_shape(text in prop::collection::vec(prop::sample::select(PIECES), 0..25), cuts in prop::collection::vec(1usize..40, 0..12)) {
        let text = text.concat();
        let options = RedactionOptions { detectors: detectors(), ..plain() };
        let redaction = Redaction::compile(std::iter::empty::<Secret>(), &options).0;
        let expect = mask_ranges(text.as_bytes(), shapes(text.as_bytes(), &detectors()));
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
        let expect = mask_ranges(text.as_bytes(), own(text.as_bytes(), pattern));
        prop_assert_eq!(&run(&redaction, &[text.as_bytes()]), &expect, "{} in {:?}", pattern, text);
        prop_assert_eq!(&run(&redaction, &cut(text.as_bytes(), &cuts)), &expect, "{} in {:?}", pattern, text);
    }
}

//! From the redaction part of the config to the words of the capture crate.

use ringfence_config::{Encoding as ConfigEncoding, Multiline as ConfigMultiline, Runner};
use ringfence_output_capture::{
    CustomPattern, Detector, Encoding, Multiline, PatternError, RedactionOptions, Redactor, Secret,
    UnknownDetector, is_key_name,
};

/// A detector of the config that the capture crate does not take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskingError {
    /// No detector has this name.
    #[error("`runner.redaction.detectors` names a detector that does not exist")]
    Detector(#[from] UnknownDetector),
    /// An own pattern is no regular expression, or too large a one.
    #[error("`runner.detectors` has a pattern that cannot be used")]
    Pattern(#[from] PatternError),
}

/// A text through a stream of its own, and how much of it was masked; bytes that are not UTF-8 are
/// replaced.
pub(crate) fn masked(mut redactor: Redactor, text: &[u8]) -> (String, u64) {
    let mut out = Vec::with_capacity(text.len());
    redactor.push(text, &mut out);
    redactor.finish(&mut out);
    (String::from_utf8_lossy(&out).into_owned(), redactor.count())
}

/// What to mask and how; a pattern that is a name masks values, any other is a secret itself.
pub(crate) fn options(runner: &Runner) -> Result<(RedactionOptions, Vec<Secret>), MaskingError> {
    let redaction = &runner.redaction;
    let (names, literals): (Vec<_>, Vec<_>) =
        runner.redaction_patterns.iter().cloned().partition(|pattern| is_key_name(pattern));
    let detectors = redaction.detectors.iter().map(|name| name.parse::<Detector>());
    let patterns = runner.detectors.iter().map(|own| CustomPattern::new(&own.name, &own.regex));
    let options = RedactionOptions {
        mask: redaction.mask.clone().into_bytes(),
        case_insensitive: redaction.case_insensitive,
        min_length: redaction.min_length,
        trim: redaction.trim,
        multiline: multiline(redaction.multiline),
        encodings: redaction.encodings.iter().copied().map(encoding).collect(),
        names,
        detectors: detectors.collect::<Result<_, _>>()?,
        patterns: patterns.collect::<Result<_, _>>()?,
    };
    let literal = |(number, text): (usize, String)| {
        Secret::named(format!("pattern {} of `redaction_patterns`", number + 1), text)
    };
    Ok((options, literals.into_iter().enumerate().map(literal).collect()))
}

fn multiline(multiline: ConfigMultiline) -> Multiline {
    match multiline {
        ConfigMultiline::Exact => Multiline::Exact,
        ConfigMultiline::Crlf => Multiline::Crlf,
        ConfigMultiline::Lines => Multiline::Lines,
    }
}

fn encoding(encoding: ConfigEncoding) -> Encoding {
    match encoding {
        ConfigEncoding::Base64 => Encoding::Base64,
        ConfigEncoding::Hex => Encoding::Hex,
        ConfigEncoding::Url => Encoding::Url,
        ConfigEncoding::Json => Encoding::Json,
        ConfigEncoding::Shell => Encoding::Shell,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringfence_config::{Config, Environment, Overrides};

    use super::*;

    fn runner(lines: &str) -> Runner {
        let environment = Environment::new([("HOME", "/home/user")], "/work");
        Config::from_str(lines, Path::new("ringfence.toml"))
            .and_then(|config| {
                config.resolve(None, &Overrides::default(), Path::new("/work"), &environment)
            })
            .expect("because the tests write sound configs")
            .runner
    }

    #[test]
    fn names_mask_values_and_other_patterns_themselves() {
        let runner = runner("[runner]\nredaction_patterns = [\"token\", \"s3cr3t!\", \"api_key\"]");
        let (options, literals) = options(&runner).expect("because these patterns are sound");
        assert_eq!(options.names, ["token", "api_key"]);
        assert_eq!(literals.iter().map(Secret::expose).collect::<Vec<_>>(), [b"s3cr3t!"]);
    }

    #[test]
    fn every_option_is_carried_over() {
        let runner = runner(
            "[runner.redaction]\nmask = \"***\"\ncase_insensitive = true\nmin_length = 7\ntrim = false
            multiline = \"lines\"\nencodings = [\"hex\", \"json\"]\ndetectors = [\"jwt\"]
            [[runner.detectors]]\nname = \"ticket\"\nregex = 'TCK-[0-9]{8}'\n",
        );
        let (options, _) = options(&runner).expect("because this config is sound");
        assert_eq!((options.mask.as_slice(), options.min_length), (&b"***"[..], 7));
        assert!(options.case_insensitive && !options.trim);
        assert_eq!(options.multiline, Multiline::Lines);
        assert_eq!(options.encodings, [Encoding::Hex, Encoding::Json]);
        assert_eq!(options.detectors.len(), 1);
        assert_eq!(options.patterns[0].name(), "ticket");
    }

    #[test]
    fn every_detector_and_encoding_of_the_config_exists() {
        for name in ringfence_config::DETECTORS {
            assert!(name.parse::<Detector>().is_ok(), "{name}");
        }
        for own in ConfigEncoding::ALL {
            assert_eq!(encoding(*own).as_str(), own.as_str());
        }
    }
}

//! Tokens that say what they are by their first bytes.
//!
//! One line a format: where it begins, what it is made of, how long it is at least. What the issuers have documented
//! or what scanners agree on; a format that cannot be told from ordinary text is not here. The trap: `sk-` and its
//! like occur inside words, so the byte before a token must not be a letter or a digit.

use super::kind::Detector;
use super::runs::Run;
use super::{Text, Verdict};

/// A kind of token.
#[derive(Debug)]
pub(super) struct Format {
    pub(super) prefix: &'static str,
    pub(super) run: Run,
    /// Bytes after the prefix.
    pub(super) min: usize,
    /// Whether `min` is all, and no letter or digit comes after it.
    exact: bool,
}

const fn at_least(prefix: &'static str, run: Run, min: usize) -> Format {
    Format { prefix, run, min, exact: false }
}

const fn exactly(prefix: &'static str, run: Run, min: usize) -> Format {
    Format { prefix, run, min, exact: true }
}

/// The formats of a detector. Sources: the issuers' documentation where there is any, else the rules of gitleaks.
pub(super) fn formats(detector: Detector) -> &'static [Format] {
    match detector {
        Detector::Aws => {
            const {
                &[
                    exactly("AKIA", Run::Alnum, 16),
                    exactly("ASIA", Run::Alnum, 16),
                    exactly("ABIA", Run::Alnum, 16),
                    exactly("ACCA", Run::Alnum, 16),
                ]
            }
        }
        Detector::Github => {
            const {
                &[
                    at_least("ghp_", Run::Alnum, 36),
                    at_least("gho_", Run::Alnum, 36),
                    at_least("ghu_", Run::Alnum, 36),
                    at_least("ghs_", Run::Alnum, 36),
                    at_least("ghr_", Run::Alnum, 36),
                    at_least("github_pat_", Run::Word, 82),
                ]
            }
        }
        Detector::Gitlab => {
            const {
                &[
                    at_least("glpat-", Run::Dashed, 20),
                    at_least("gldt-", Run::Dashed, 20),
                    at_least("glrt-", Run::Dashed, 20),
                    at_least("glft-", Run::Dashed, 20),
                    at_least("glcbt-", Run::Dashed, 20),
                    at_least("glptt-", Run::Dashed, 20),
                    at_least("glimt-", Run::Dashed, 20),
                    at_least("glsoat-", Run::Dashed, 20),
                    at_least("gloas-", Run::Dashed, 20),
                    at_least("glffct-", Run::Dashed, 20),
                    at_least("glagent-", Run::Dashed, 20),
                    at_least("GR1348941", Run::Dashed, 20),
                ]
            }
        }
        Detector::Slack => {
            const {
                &[
                    at_least("xoxa-", Run::Dashed, 10),
                    at_least("xoxb-", Run::Dashed, 10),
                    at_least("xoxe-", Run::Dashed, 10),
                    at_least("xoxe.xox", Run::Wide, 20),
                    at_least("xoxo-", Run::Dashed, 10),
                    at_least("xoxp-", Run::Dashed, 10),
                    at_least("xoxr-", Run::Dashed, 10),
                    at_least("xoxs-", Run::Dashed, 10),
                    at_least("xapp-", Run::Dashed, 20),
                    at_least("hooks.slack.com/services/", Run::Wide, 20),
                ]
            }
        }
        Detector::Google => {
            const {
                &[
                    at_least("AIza", Run::Dashed, 35),
                    at_least("ya29.", Run::Dashed, 20),
                    at_least("GOCSPX-", Run::Dashed, 28),
                ]
            }
        }
        Detector::Anthropic => const { &[at_least("sk-ant-", Run::Dashed, 20)] },
        Detector::Openai => {
            const {
                &[
                    at_least("sk-proj-", Run::Dashed, 20),
                    at_least("sk-svcacct-", Run::Dashed, 20),
                    at_least("sk-admin-", Run::Dashed, 20),
                    at_least("sk-", Run::Alnum, 32),
                ]
            }
        }
        Detector::Npm => const { &[at_least("npm_", Run::Alnum, 36)] },
        Detector::Pypi => const { &[at_least("pypi-AgEI", Run::Dashed, 50)] },
        Detector::Huggingface => const { &[at_least("hf_", Run::Alnum, 30)] },
        Detector::Stripe => {
            const {
                &[
                    at_least("sk_live_", Run::Alnum, 10),
                    at_least("sk_test_", Run::Alnum, 10),
                    at_least("rk_live_", Run::Alnum, 10),
                    at_least("rk_test_", Run::Alnum, 10),
                    at_least("whsec_", Run::Wide, 24),
                ]
            }
        }
        _ => &[],
    }
}

/// What the prefix of a format, which ends at `at`, turns out to be.
#[inline]
pub(super) fn judge(format: &Format, at: usize, text: &Text<'_>) -> Verdict {
    let start = at - format.prefix.len();
    if text.before(start).is_some_and(|b| b.is_ascii_alphanumeric()) {
        return Verdict::No;
    }
    let set = format.run.set().expect("because a token is a matter of bytes");
    let (end, certain) = text.skip(at, format.min, |b| set[usize::from(b)]);
    if end - at < format.min {
        return if certain { Verdict::No } else { Verdict::Wait(start) };
    }
    // What stays visible of a web hook is its host.
    let start = if format.run == Run::Wide && format.prefix.contains('/') { at } else { start };
    if !format.exact {
        return Verdict::Mask { start, from: at, run: format.run };
    }
    match text.get(end) {
        Some(b) if b.is_ascii_alphanumeric() => Verdict::No,
        None if !text.end => Verdict::Wait(start),
        _ if is_upper(text.slice(at, end)) => Verdict::Exactly { start, end },
        _ => Verdict::No,
    }
}

fn is_upper(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

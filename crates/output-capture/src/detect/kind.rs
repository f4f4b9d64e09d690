//! The names of the detectors.
//!
//! What each recognises is in the module of its shape; here is only the list. The trap: the names are the ones of the
//! configuration, so they never change.

use std::str::FromStr;

/// A kind of secret that is recognised by its shape or by the name beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// The value that goes with a name: `password=…`, `"api_key": "…"`, `db_password: …`.
    Kv,
    /// The credentials of an `Authorization` header; the scheme stays.
    AuthHeader,
    /// Access key ids and secret access keys of Amazon Web Services.
    Aws,
    /// Tokens of GitHub: `ghp_…`, `github_pat_…`.
    Github,
    /// PEM private keys, from `BEGIN` to `END`.
    Pem,
    /// JSON Web Tokens of three parts.
    Jwt,
    /// The password in `scheme://user:password@host`.
    UrlUserinfo,
    /// Tokens of GitLab: `glpat-…`.
    Gitlab,
    /// Tokens and web hooks of Slack: `xoxb-…`.
    Slack,
    /// Keys of Google: `AIza…`, `ya29.…`, `GOCSPX-…`.
    Google,
    /// Keys of Anthropic: `sk-ant-…`.
    Anthropic,
    /// Keys of OpenAI: `sk-…`, `sk-proj-…`.
    Openai,
    /// Tokens of npm: `npm_…`.
    Npm,
    /// Tokens of PyPI: `pypi-AgEI…`.
    Pypi,
    /// Tokens of Hugging Face: `hf_…`.
    Huggingface,
    /// Keys of Stripe: `sk_live_…`, `rk_live_…`, `whsec_…`.
    Stripe,
}

impl Detector {
    /// All of them.
    pub const ALL: [Detector; 16] = [
        Detector::Kv,
        Detector::AuthHeader,
        Detector::Aws,
        Detector::Github,
        Detector::Pem,
        Detector::Jwt,
        Detector::UrlUserinfo,
        Detector::Gitlab,
        Detector::Slack,
        Detector::Google,
        Detector::Anthropic,
        Detector::Openai,
        Detector::Npm,
        Detector::Pypi,
        Detector::Huggingface,
        Detector::Stripe,
    ];

    /// The name in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Detector::Kv => "kv",
            Detector::AuthHeader => "auth_header",
            Detector::Aws => "aws",
            Detector::Github => "github",
            Detector::Pem => "pem",
            Detector::Jwt => "jwt",
            Detector::UrlUserinfo => "url_userinfo",
            Detector::Gitlab => "gitlab",
            Detector::Slack => "slack",
            Detector::Google => "google",
            Detector::Anthropic => "anthropic",
            Detector::Openai => "openai",
            Detector::Npm => "npm",
            Detector::Pypi => "pypi",
            Detector::Huggingface => "huggingface",
            Detector::Stripe => "stripe",
        }
    }
}

impl FromStr for Detector {
    type Err = UnknownDetector;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Detector::ALL.into_iter().find(|detector| detector.as_str() == name);
        known.ok_or_else(|| UnknownDetector(name.to_owned()))
    }
}

/// A name that no [`Detector`] has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no detector `{0}`")]
pub struct UnknownDetector(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectors_by_name() {
        for detector in Detector::ALL {
            assert_eq!(detector.as_str().parse(), Ok(detector));
        }
        assert_eq!("KV".parse::<Detector>(), Err(UnknownDetector("KV".into())));
    }
}

//! `[runner]`, `[runner.redaction]`, `[runner.output]`, `[[runner.detectors]]` and `[[runner.rules]]` as written.

use crate::located::At;
use crate::words::{
    Ansi, CgroupScope, EffectWord, Encoding, Executor, Multiline, PolicyWord, Progress, Timestamps,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// How commands are started, which may be, and what is masked in their output.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Runner")]
pub(crate) struct RunnerWritten {
    /// The shell that runs a command line: an absolute path.
    /// Default: /bin/bash where it exists, else /bin/sh.
    #[schemars(extend("examples" = ["/bin/bash"]))]
    pub(crate) shell: Option<At<String>>,
    /// The argument between the shell and the command line.
    #[schemars(extend("default" = "-c"))]
    pub(crate) shell_arg: Option<At<String>>,
    /// "allowlist": only the shells, shell arguments and variables listed here. "unsafe": any shell, the caller's whole
    /// environment. Rules hold in both.
    #[schemars(extend("default" = "allowlist"))]
    pub(crate) policy: Option<At<PolicyWord>>,
    /// What runs a command line; there is only "shell".
    #[schemars(extend("default" = "shell"))]
    pub(crate) executor: Option<At<Executor>>,
    /// Shells that may be started, by their exact path.
    #[schemars(extend("default" = ["/bin/bash", "/bin/zsh", "/bin/sh"]))]
    pub(crate) allowed_shells: Option<At<Vec<String>>>,
    /// Arguments that may stand between the shell and the command line.
    #[schemars(extend("default" = ["-lc", "-c"]))]
    pub(crate) allowed_shell_args: Option<At<Vec<String>>>,
    /// Variables that pass from the caller to the command. `*` and `?` are wild, as in "LC_*".
    #[schemars(extend("default" = ["PATH", "HOME", "USER", "LANG", "TERM"]))]
    pub(crate) env_allowlist: Option<Vec<At<String>>>,
    /// A name masks the value that goes with it (`password=…`, `"token": "…"`), in any case; any other text masks itself.
    #[schemars(extend("default" = ["token", "password", "secret", "api_key", "authorization"]))]
    pub(crate) redaction_patterns: Option<Vec<At<String>>>,
    /// The profile of a run that names none.
    #[schemars(extend("default" = "default"))]
    pub(crate) default_profile: Option<At<String>>,
    /// A control group (version 2) that each run gets a group of its own in: an absolute path of a directory that
    /// this user may make directories in. It must hold no processes itself. Default: the nearest one of
    /// the groups that ringfence runs in, where one is delegated.
    #[schemars(extend("examples" = ["/sys/fs/cgroup/ringfence"]))]
    pub(crate) cgroup_parent: Option<At<String>>,
    /// "auto": when a profile or a flag limits memory, processes or cores and no control group is delegated, `ringfence` asks
    /// systemd for a scope and moves there. "never": it does not.
    #[schemars(extend("default" = "auto"))]
    pub(crate) cgroup_scope: Option<At<CgroupScope>>,
    /// How secrets are found and masked in output.
    pub(crate) redaction: Option<RedactionWritten>,
    /// What becomes of output beside masking.
    pub(crate) output: Option<OutputWritten>,
    /// Own patterns whose matches are masked.
    pub(crate) detectors: Option<Vec<DetectorWritten>>,
    /// Command rules, read in order: the first that matches a command decides, no match allows.
    pub(crate) rules: Option<Vec<At<RuleWritten>>>,
}

/// How secrets are found and masked in output.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Redaction")]
pub(crate) struct RedactionWritten {
    /// What stands in place of a secret.
    #[schemars(extend("default" = "[REDACTED]"))]
    pub(crate) mask: Option<At<String>>,
    /// Whether secrets are found in any case; ASCII only.
    #[schemars(extend("default" = false))]
    pub(crate) case_insensitive: Option<bool>,
    /// A shorter secret is not masked, and a warning names it. In bytes.
    #[schemars(extend("default" = 4))]
    pub(crate) min_length: Option<At<u32>>,
    /// White space around a secret does not belong to it.
    #[schemars(extend("default" = true))]
    pub(crate) trim: Option<bool>,
    /// How a secret of several lines is masked: "exact", "crlf" (also with CR LF line ends), or "lines" (each line of 8 bytes or
    /// more is a secret too).
    #[schemars(extend("default" = "crlf"))]
    pub(crate) multiline: Option<At<Multiline>>,
    /// Derived forms of secrets of 8 bytes or more that are masked too.
    #[schemars(extend("default" = ["base64", "hex", "url", "json", "shell"]))]
    pub(crate) encodings: Option<Vec<At<Encoding>>>,
    /// Built-in patterns whose matches are masked. There are also "gitlab", "slack", "google", "anthropic", "openai", "npm",
    /// "pypi", "huggingface" and "stripe".
    #[schemars(extend("default" = ["kv", "auth_header", "aws", "github", "pem", "jwt", "url_userinfo"]))]
    pub(crate) detectors: Option<Vec<At<String>>>,
}

/// What becomes of output beside masking. What is passed through to the caller's own streams, events and transcripts are not
/// touched by it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Output")]
pub(crate) struct OutputWritten {
    /// Terminal control sequences, such as colours, in results and files: "keep" or "strip".
    #[schemars(extend("default" = "keep"))]
    pub(crate) ansi: Option<At<Ansi>>,
    /// Lines that are drawn over and over, as progress bars are, in results and files: "keep", or "collapse" (only their last
    /// state stays).
    #[schemars(extend("default" = "keep"))]
    pub(crate) progress: Option<At<Progress>>,
    /// Whether the result has both streams in one text, in the order in which they came, too.
    #[schemars(extend("default" = false))]
    pub(crate) combined: Option<bool>,
    /// The time before each line, in files: "none", "utc" (date and time), or "elapsed" (seconds since the start).
    #[schemars(extend("default" = "none"))]
    pub(crate) timestamps: Option<At<Timestamps>>,
    /// Largest file of `--stdout` and `--stderr`, in MiB. Default: what is kept of a stream (`max_output_mb`).
    #[schemars(extend("examples" = [64]))]
    pub(crate) max_file_mb: Option<At<u64>>,
    /// Full files that are kept beside the present one, as FILE.1, FILE.2 and so on. With 0 there is one file, and what is too
    /// much is dropped from its middle.
    #[schemars(extend("default" = 0))]
    pub(crate) rotate_files: Option<At<u32>>,
}

/// An own pattern whose matches are masked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Detector")]
pub(crate) struct DetectorWritten {
    /// A name for messages.
    #[schemars(extend("examples" = ["ticket"]))]
    pub(crate) name: At<String>,
    /// A regular expression in the syntax of the Rust `regex` crate; its matches are found within a bounded window.
    #[schemars(extend("examples" = ["TCK-[0-9]{8}"]))]
    pub(crate) regex: At<String>,
}

/// A command rule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule")]
pub(crate) struct RuleWritten {
    /// "allow" or "deny".
    #[schemars(extend("examples" = ["deny"]))]
    pub(crate) effect: EffectWord,
    /// The program: a name, or a path for that path only. `*` and `?` are wild.
    #[schemars(extend("examples" = ["git"]))]
    pub(crate) program: At<String>,
    /// These words, in this order; other words may stand between. Default: any arguments.
    #[schemars(extend("examples" = [["push", "--force"]]))]
    pub(crate) args: Option<Vec<String>>,
    /// Why, for the person who meets the rule.
    #[schemars(extend("examples" = ["history is shared"]))]
    pub(crate) reason: Option<String>,
}

//! The options of `run` and `explain`.

use super::{CommandArgs, PlaceArgs, ProfileArgs};
use crate::message::Level;
use clap::{Args, ValueEnum};
use ringfence::sandbox::Trace;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) command: CommandArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,

    /// Working directory, relative to the workspace [default: the workspace].
    #[arg(long, value_name = "DIR", help_heading = "Command")]
    pub(crate) cwd: Option<PathBuf>,
    /// Set a variable, or pass one through from the caller (repeatable).
    #[arg(short, long, value_name = "KEY[=VALUE]", help_heading = "Command")]
    pub(crate) env: Vec<OsString>,

    /// What is told of refused calls [default: changes; reads when given without a value]. Reads cost time with every
    /// file opened.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "reads",
        help_heading = "Output")]
    pub(crate) trace: Option<TraceArg>,

    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    /// Less on stderr: no warnings, and nothing about how the run ended.
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// More on stderr: how the run ended, and what enforced it.
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
}

impl RunArgs {
    pub(crate) fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (false, true) => Level::Verbose,
            (false, false) => Level::Normal,
        }
    }
}

/// What must not be seen in any output.
#[derive(Debug, Clone, Args)]
pub(crate) struct SecretArgs {
    /// The value of this variable is a secret (repeatable).
    #[arg(long, value_name = "KEY", help_heading = "Secrets")]
    pub(crate) redact_env: Vec<OsString>,
    /// Each line of this file is a secret (repeatable).
    #[arg(long, value_name = "FILE", help_heading = "Secrets")]
    pub(crate) redact_file: Vec<PathBuf>,
    /// This text is a secret (repeatable).
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true, help_heading = "Secrets")]
    pub(crate) redact: Vec<OsString>,
}

/// Where streams come from and go to.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    /// Where the command's standard output goes, redacted [default: this process's own].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) stdout: Option<PathBuf>,
    /// Where the command's standard error goes, redacted [default: this process's own].
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) stderr: Option<PathBuf>,
    /// Where its standard input comes from: null, inherit or a file [default: inherit; null with --json].
    #[arg(long, value_name = "null|inherit|FILE", help_heading = "Output")]
    pub(crate) stdin: Option<StdinArg>,
    /// Give the command a pseudo-terminal of its own; everything it shows is its standard output.
    #[arg(long, help_heading = "Output")]
    pub(crate) tty: bool,
    /// Record the output with its times, as it happens, for `ringfence replay`: JSON Lines, or asciicast v2 with --tty.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) transcript: Option<PathBuf>,
    /// Write events to this file as they happen, one JSON object a line.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) events: Option<PathBuf>,
    /// Print the result object on stdout at the end, and nothing else there; the streams are inside it.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// The value of `--trace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceArg {
    /// Connections, and system calls that are refused by name
    Connections,
    /// Also changes of files, but for redirections of shells
    Changes,
    /// Also redirections: a shell that gets a signal just then may see one fail with EINTR
    AllChanges,
    /// Also reads of files
    Reads,
}

impl From<TraceArg> for Trace {
    fn from(arg: TraceArg) -> Trace {
        match arg {
            TraceArg::Connections => Trace::Connections,
            TraceArg::Changes => Trace::Changes,
            TraceArg::AllChanges => Trace::AllChanges,
            TraceArg::Reads => Trace::Reads,
        }
    }
}

/// The value of `--stdin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StdinArg {
    Null,
    Inherit,
    File(PathBuf),
}

impl FromStr for StdinArg {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<StdinArg, Infallible> {
        Ok(match text {
            "null" => StdinArg::Null,
            "inherit" => StdinArg::Inherit,
            path => StdinArg::File(path.into()),
        })
    }
}

//! What to run and with which streams: one run's own part, beside what its profile says.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use ringfence_output_capture::Sink;
use ringfence_sandbox::{TerminalSize, Trace};

use crate::prepared::Prepared;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// A line for the profile's shell.
    Shell(Vec<u8>),
    /// A program and its arguments, the program first; no shell between.
    Program(Vec<OsString>),
}

impl Command {
    /// The command as one text, words joined by spaces. For messages; not redacted.
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
            Self::Shell(line) => line.clone(),
            Self::Program(words) => {
                words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&b' ')
            }
        }
    }
}

/// Where the command's standard input comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stdin {
    /// Empty.
    #[default]
    Null,
    /// This process's own.
    Inherit,
    /// A file, opened with the caller's rights. A FIFO must have its writer already, or it is empty.
    File(PathBuf),
    /// These bytes, then the end.
    Bytes(Vec<u8>),
}

/// A change to the environment that the policy lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvChange {
    /// The variable has this value.
    Set(OsString, OsString),
    /// The variable has the caller's value, whatever the policy's allowlist says.
    Pass(OsString),
}

/// Whether the output is in the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Yes, up to the profile's `max_output`.
    Keep,
    /// No: it goes to the sinks and the events only, and the outcome counts it.
    CountOnly,
}

/// Whether the output is in the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputEvents {
    /// Yes, as long as the reader keeps up.
    Send,
    /// No.
    Omit,
}

/// One run to be made.
pub struct RunRequest {
    /// The profile, made ready.
    pub prepared: Arc<Prepared>,
    /// What to run.
    pub command: Command,
    /// Working directory; relative to the workspace. Default: the workspace.
    pub cwd: Option<PathBuf>,
    /// Changes to the environment, applied in order. Default: none.
    pub env: Vec<EnvChange>,
    /// Standard input. Default: empty.
    pub stdin: Stdin,
    /// Where standard output goes besides the outcome. Default: nowhere.
    pub stdout: Vec<Box<dyn Sink>>,
    /// Where standard error goes besides the outcome. Default: nowhere.
    pub stderr: Vec<Box<dyn Sink>>,
    /// Which refusals are told of. Default: those of changes and connections.
    pub trace: Trace,
    /// A pseudo-terminal of the command's own, of this size: standard input is typed into it, and
    /// everything it shows is the command's standard output. Default: none.
    pub terminal: Option<TerminalSize>,
    /// Whether the output is in the outcome. Default: yes.
    pub capture: Capture,
    /// How much of the last output is kept for [`RunHandle::viewer`](crate::RunHandle::viewer), in
    /// bytes. Default: 0, there are no viewers.
    pub view_buffer: usize,
    /// Whether the output is in the events. Default: yes.
    pub output_events: OutputEvents,
}

impl RunRequest {
    /// A run of `command` with everything else at its default.
    #[must_use]
    pub fn new(prepared: Arc<Prepared>, command: Command) -> Self {
        Self {
            prepared,
            command,
            cwd: None,
            env: Vec::new(),
            stdin: Stdin::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            trace: Trace::Changes,
            terminal: None,
            view_buffer: 0,
            capture: Capture::Keep,
            output_events: OutputEvents::Send,
        }
    }
}

//! One run in the making.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringfence_config::{FsMode, NetworkMode, Overrides};
use ringfence_executor::{
    Capture, Command, EnvChange, Explanation, Outcome, OutputEvents, Prepared, RunRequest, Running,
    Stdin, explain, spawn,
};
use ringfence_output_capture::{Secret, Sink};
use ringfence_sandbox::{TerminalSize, Trace};

use crate::cache::Wanted;
use crate::error::Error;
use crate::runner::Runner;

/// One run in the making; see [`Runner::shell`] and [`Runner::program`].
///
/// What is not said here is as the profile has it.
#[must_use = "a run does nothing until it is spawned"]
pub struct RunBuilder {
    runner: Runner,
    wanted: Wanted,
    command: Command,
    cwd: Option<PathBuf>,
    env: Vec<EnvChange>,
    stdin: Stdin,
    stdout: Vec<Box<dyn Sink>>,
    stderr: Vec<Box<dyn Sink>>,
    trace: Trace,
    terminal: Option<TerminalSize>,
    capture: Capture,
    view_buffer: usize,
    output_events: OutputEvents,
}

impl RunBuilder {
    pub(crate) fn new(runner: Runner, command: Command) -> Self {
        let workspace = runner.environment().cwd().to_owned();
        Self {
            wanted: Wanted { workspace, ..Wanted::default() },
            runner,
            command,
            cwd: None,
            env: Vec::new(),
            stdin: Stdin::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            trace: Trace::Changes,
            terminal: None,
            capture: Capture::Keep,
            view_buffer: 0,
            output_events: OutputEvents::Send,
        }
    }

    /// The profile. Default: the config's `default_profile`.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.wanted.profile = Some(name.into());
        self
    }

    /// The workspace root; relative to the caller's working directory. Default: that directory.
    pub fn workspace(mut self, path: impl Into<PathBuf>) -> Self {
        self.wanted.workspace = path.into();
        self
    }

    /// The working directory; relative to the workspace. Default: the workspace.
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push(EnvChange::Set(name.into(), value.into()));
        self
    }

    /// Passes a variable of the caller, whatever the policy's allowlist says.
    pub fn pass_env(mut self, name: impl Into<OsString>) -> Self {
        self.env.push(EnvChange::Pass(name.into()));
        self
    }

    /// Standard input. Default: empty.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Adds a place where standard output goes, redacted, besides the outcome.
    pub fn stdout(mut self, sink: impl Sink + 'static) -> Self {
        self.stdout.push(Box::new(sink));
        self
    }

    /// Adds a place where standard error goes, redacted, besides the outcome.
    pub fn stderr(mut self, sink: impl Sink + 'static) -> Self {
        self.stderr.push(Box::new(sink));
        self
    }

    /// Which refusals are told of in `denials`. Default: those of changes and connections; reads
    /// cost time with every file that is opened.
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// Gives the command a pseudo-terminal of its own: standard input is typed into it, and all it
    /// shows is standard output. Default: none.
    pub fn terminal(mut self, size: TerminalSize) -> Self {
        self.terminal = Some(size);
        self
    }

    /// Keeps the last output for [`RunHandle::viewer`](crate::RunHandle::viewer), in bytes.
    /// Default: 0, nobody may watch.
    pub fn view_buffer(mut self, bytes: usize) -> Self {
        self.view_buffer = bytes;
        self
    }

    /// Keeps both streams in one text, too, in the order in which they came: `combined` of the
    /// outcome. Default: as the config says.
    pub fn combined(mut self) -> Self {
        self.wanted.overrides.combined = true;
        self
    }

    /// Takes control sequences and the earlier states of progress bars out of what is kept.
    /// Default: as the config says.
    pub fn plain(mut self) -> Self {
        self.wanted.overrides.plain = true;
        self
    }

    /// Whether the output is in the outcome. Default: yes.
    pub fn capture(mut self, capture: Capture) -> Self {
        self.capture = capture;
        self
    }

    /// Whether the output is in the events. Default: yes.
    pub fn output_events(mut self, output_events: OutputEvents) -> Self {
        self.output_events = output_events;
        self
    }

    /// Adds a value that must not be seen in any output.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.wanted.secrets.push(secret);
        self
    }

    /// Adds a tree the command may write.
    pub fn writable(mut self, path: impl Into<PathBuf>) -> Self {
        self.wanted.overrides.rw.push(path.into());
        self
    }

    /// Adds a tree the command may read.
    pub fn readable(mut self, path: impl Into<PathBuf>) -> Self {
        self.wanted.overrides.ro.push(path.into());
        self
    }

    /// Adds a file or tree the command cannot see.
    pub fn hidden(mut self, path: impl Into<PathBuf>) -> Self {
        self.wanted.overrides.hide.push(path.into());
        self
    }

    /// Which files the command sees and writes.
    pub fn fs_mode(mut self, mode: FsMode) -> Self {
        self.wanted.overrides.fs = Some(mode);
        self
    }

    /// Which network the command has.
    pub fn network_mode(mut self, mode: NetworkMode) -> Self {
        self.wanted.overrides.net = Some(mode);
        self
    }

    /// Longest time of the run, wall clock.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.wanted.overrides.timeout = Some(timeout);
        self
    }

    /// Longest time without output.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.wanted.overrides.idle_timeout = Some(timeout);
        self
    }

    /// Time between `SIGTERM` and `SIGKILL`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.wanted.overrides.grace = Some(grace);
        self
    }

    /// All overrides at once, instead of those set before: every flag of the command line.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.wanted.overrides = overrides;
        self
    }

    /// The profile as this run will have it, made ready. The run itself uses the same.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the profile cannot be resolved, [`Error::Run`] when this backend
    /// cannot carry it out.
    pub fn prepared(&self) -> Result<Arc<Prepared>, Error> {
        let parts = &self.runner.parts;
        parts.cache.get(&self.wanted, parts)
    }

    /// The request as the executor takes it.
    ///
    /// # Errors
    ///
    /// As [`RunBuilder::prepared`].
    pub fn request(self) -> Result<RunRequest, Error> {
        let mut request = RunRequest::new(self.prepared()?, self.command);
        request.cwd = self.cwd;
        request.env = self.env;
        request.stdin = self.stdin;
        request.stdout = self.stdout;
        request.stderr = self.stderr;
        request.trace = self.trace;
        request.terminal = self.terminal;
        request.capture = self.capture;
        request.view_buffer = self.view_buffer;
        request.output_events = self.output_events;
        Ok(request)
    }

    /// What this run would see, write, reach and use up; runs nothing.
    ///
    /// # Errors
    ///
    /// As [`RunBuilder::spawn`].
    pub fn explain(self) -> Result<Explanation, Error> {
        Ok(explain(&self.request()?)?)
    }

    /// Starts the run.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the profile cannot be resolved, [`Error::Run`] when the command is
    /// refused or the profile cannot be carried out here.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its IO and time drivers.
    pub async fn spawn(self) -> Result<Running, Error> {
        Ok(spawn(self.request()?)?)
    }

    /// Starts the run and waits for its outcome.
    ///
    /// # Errors
    ///
    /// As [`RunBuilder::spawn`], and when the run was lost.
    pub async fn output(mut self) -> Result<Outcome, Error> {
        self.output_events = OutputEvents::Omit;
        Ok(self.spawn().await?.wait().await?)
    }
}

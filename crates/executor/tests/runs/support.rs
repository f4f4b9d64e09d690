//! What the tests of real runs share: a workspace, profiles in both modes, requests, waiting with a
//! deadline.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringfence_config::{Config, Environment, Overrides, Resolved};
use ringfence_executor::{
    Command, Event, EventKind, Kept, Outcome, Prepared, RunError, RunRequest, Running, spawn,
};
use ringfence_output_capture::Secret;
use tempfile::TempDir;

/// Longer than anything here takes on the slowest machine; only a failure waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Host,
    Sandbox,
}

/// A workspace and what the config says in it.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) mode: Mode,
    runner: String,
    profile: String,
    secrets: Vec<&'static str>,
    variables: Vec<(String, String)>,
}

impl Bench {
    pub(crate) fn new(mode: Mode) -> Self {
        let dir = tempfile::tempdir().expect("because /tmp is writable");
        for part in ["home", "work"] {
            std::fs::create_dir(dir.path().join(part)).expect("because it is new");
        }
        Self {
            dir,
            mode,
            runner: "shell = \"/bin/sh\"\n".to_owned(),
            profile: String::new(),
            secrets: Vec::new(),
            variables: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        }
    }

    /// Lines for `[runner]`.
    pub(crate) fn runner(mut self, lines: &str) -> Self {
        self.runner += lines;
        self
    }

    /// Lines for the profile.
    pub(crate) fn profile(mut self, lines: &str) -> Self {
        self.profile += lines;
        self.profile.push('\n');
        self
    }

    pub(crate) fn secret(mut self, secret: &'static str) -> Self {
        self.secrets.push(secret);
        self
    }

    /// A variable of the caller.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The workspace.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn resolved(&self) -> Resolved {
        let mode = match self.mode {
            Mode::Host => "host",
            Mode::Sandbox => "sandbox",
        };
        let text = format!(
            "[runner]\n{}\n[profiles.test]\nmode = \"{mode}\"\n{}",
            self.runner, self.profile
        );
        Config::from_str(&text, &self.path().join("ringfence.toml"))
            .and_then(|config| {
                config.resolve(
                    Some("test"),
                    &Overrides::default(),
                    &self.path(),
                    &self.environment(),
                )
            })
            .expect("because the tests write sound configs")
    }

    fn environment(&self) -> Environment {
        let mut variables = self.variables.clone();
        variables.push(("HOME".into(), self.dir.path().join("home").display().to_string()));
        Environment::new(variables, self.path())
    }

    pub(crate) fn prepare(&self) -> Result<Arc<Prepared>, RunError> {
        let secrets = self.secrets.iter().map(|secret| Secret::new(*secret));
        Prepared::new(self.resolved(), self.environment(), secrets).map(Arc::new)
    }

    pub(crate) fn request(&self, command: Command) -> RunRequest {
        RunRequest::new(self.prepare().expect("because the profile is supported"), command)
    }

    pub(crate) fn shell(&self, line: &str) -> RunRequest {
        self.request(Command::Shell(line.as_bytes().to_vec()))
    }

    pub(crate) fn program(&self, words: &[&str]) -> RunRequest {
        self.request(Command::Program(words.iter().map(Into::into).collect()))
    }

    /// The outcome of a line.
    pub(crate) async fn run(&self, line: &str) -> Outcome {
        finish(self.shell(line)).await
    }
}

/// Both modes, or the host alone, with a word about it, where no sandbox can be had.
pub(crate) fn modes() -> Vec<Mode> {
    if sandbox_works() { vec![Mode::Host, Mode::Sandbox] } else { vec![Mode::Host] }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn sandbox_works() -> bool {
    let bench = Bench::new(Mode::Sandbox);
    match ringfence_executor::explain(&bench.program(&["true"])) {
        Ok(_) => true,
        Err(error) => {
            let must = std::env::var_os("RINGFENCE_MUST_WORK").is_some_and(|value| value == "1");
            assert!(!must, "no sandbox here: {error}");
            eprintln!("skipped in the sandbox: {error}");
            false
        }
    }
}

pub(crate) fn start(request: RunRequest) -> Running {
    spawn(request).expect("because the run can be started")
}

pub(crate) async fn finish(request: RunRequest) -> Outcome {
    in_time(start(request).wait()).await.expect("because the run is set up")
}

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("because this happens in time")
}

/// Reads events until the command has printed `text` on stdout, whatever the pieces.
pub(crate) async fn until_printed(run: &mut Running, text: &str) {
    let mut printed = Vec::new();
    while !String::from_utf8_lossy(&printed).contains(text) {
        let event = in_time(run.next_event()).await.expect("because the command prints it");
        if let EventKind::Output(output) = event.kind {
            printed.extend(output.bytes);
        }
    }
}

pub(crate) async fn all_events(run: &mut Running) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = in_time(run.next_event()).await {
        events.push(event);
    }
    events
}

pub(crate) fn text(kept: &Kept) -> &str {
    match kept {
        Kept::Text(text) | Kept::Base64(text) => text,
    }
}

/// The reading end of a named pipe in the workspace. It ends when the last process that has the
/// other end open is dead: what a test waits for to see that a tree is gone.
pub(crate) struct Lifeline(tokio::net::unix::pipe::Receiver);

impl Lifeline {
    pub(crate) fn new(bench: &Bench) -> Self {
        let path = bench.path().join("lifeline");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("because it is new");
        let open = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&path);
        Self(open.expect("because it was just made"))
    }

    /// Waits until nobody holds the other end.
    pub(crate) async fn cut(&self) {
        let mut buffer = [0; 64];
        loop {
            in_time(self.0.readable()).await.expect("because the pipe is sound");
            match self.0.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("because the pipe is sound: {error}"),
            }
        }
    }
}

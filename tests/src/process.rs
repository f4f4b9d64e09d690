//! One run of a program to its end, with everything it wrote and a deadline.
//!
//! The trap: a program that leaves a process behind which holds its pipes. The end of the program and the end of its
//! streams are therefore waited for separately, both against the deadline, and a run that misses it is ended with
//! its whole process group.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::leftovers::Watch;

/// Longest time one run may take, wall clock. Far beyond what any case needs: a miss means "hangs", not "slow machine".
pub const DEADLINE: Duration = Duration::from_secs(90);

/// What a program is given on its standard input.
#[derive(Clone, Debug)]
pub enum Input {
    /// `/dev/null`.
    Null,
    /// A pipe with these bytes, then end of file.
    Pipe(Vec<u8>),
    /// A file opened for reading.
    File(PathBuf),
}

/// How much longer than usual everything may take: `RINGFENCE_TEST_SLOWNESS`, for an emulated machine. Default: 1.
pub fn slowness() -> u32 {
    let asked = std::env::var("RINGFENCE_TEST_SLOWNESS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// A program to run.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The program, an absolute path or a name to look up.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: Input,
    /// Longest time to its end, wall clock, on a machine of usual speed.
    pub deadline: Duration,
    /// True for a program outside any sandbox: what it leaves behind is its own affair.
    pub bare: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status, or 128 + N for signal N, as a shell would say it.
    pub status: i32,
    /// Everything written to standard output.
    pub stdout: Vec<u8>,
    /// Everything written to standard error.
    pub stderr: Vec<u8>,
    /// True when the deadline passed and the run was killed.
    pub hung: bool,
}

enum Part {
    Status(ExitStatus),
    Stream(usize, Vec<u8>),
}

/// Runs a program as `account` and waits for its end and the end of its streams.
///
/// # Errors
/// When the program cannot be started.
pub fn run(invocation: &Invocation, account: &Account, watch: &Watch) -> io::Result<Ended> {
    let mut command = account.command(&invocation.program);
    command.args(&invocation.args).envs(environment(invocation)).current_dir(&invocation.cwd);
    let (stdout, out) = pipe(account)?;
    let (stderr, err) = pipe(account)?;
    command.stdin(open(&invocation.stdin)?).stdout(out).stderr(err).process_group(0);
    let child = watch.spawn(&mut command, invocation.bare)?;
    // The command holds our copies of the writing ends.
    drop(command);
    let pid = child.id();
    let parts = follow(child, &invocation.stdin, [stdout, stderr]);
    let ended = collect(&parts, pid, invocation.deadline * slowness(), watch);
    watch.ended(pid, invocation.bare);
    Ok(ended)
}

/// A pipe that belongs to the account: who may write to it may also open it by the name `/dev/stdout`.
fn pipe(account: &Account) -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    account.own_open(&writer)?;
    Ok((reader, writer))
}

fn environment(invocation: &Invocation) -> HashMap<&OsString, &OsString> {
    invocation.env.iter().map(|(name, value)| (name, value)).collect()
}

fn open(input: &Input) -> io::Result<Stdio> {
    Ok(match input {
        Input::Null => Stdio::null(),
        Input::Pipe(_) => Stdio::piped(),
        Input::File(path) => Stdio::from(File::open(path)?),
    })
}

fn follow(mut child: Child, input: &Input, streams: [PipeReader; 2]) -> Receiver<Part> {
    let (sender, parts) = channel();
    if let (Some(mut pipe), Input::Pipe(bytes)) = (child.stdin.take(), input) {
        let bytes = bytes.clone();
        // A program that does not read its input closes the pipe: that is no failure of the run.
        thread::spawn(move || pipe.write_all(&bytes).ok());
    }
    for (index, stream) in streams.into_iter().enumerate() {
        read_all(index, stream, sender.clone());
    }
    thread::spawn(move || {
        let status = child.wait().expect("because the child is ours and not yet reaped");
        sender.send(Part::Status(status)).ok();
    });
    parts
}

fn read_all(index: usize, mut stream: PipeReader, sender: Sender<Part>) {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok();
        sender.send(Part::Stream(index, bytes)).ok();
    });
}

fn collect(parts: &Receiver<Part>, pid: u32, deadline: Duration, watch: &Watch) -> Ended {
    let mut until = Instant::now() + deadline;
    let mut ended = Ended { status: -1, stdout: Vec::new(), stderr: Vec::new(), hung: false };
    let mut missing = 3;
    while missing > 0 {
        match parts.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(part) => {
                missing -= 1;
                ended.take(part);
            }
            Err(_) if ended.hung => break,
            Err(_) => {
                ended.hung = true;
                watch.kill_group(pid);
                until = Instant::now() + Duration::from_secs(5);
            }
        }
    }
    ended
}

impl Ended {
    fn take(&mut self, part: Part) {
        match part {
            Part::Status(status) => self.status = code(status),
            Part::Stream(0, bytes) => self.stdout = bytes,
            Part::Stream(_, bytes) => self.stderr = bytes,
        }
    }
}

/// The exit status as a shell would give it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// A child that is talked to while it runs, for scenarios.
///
/// # Errors
/// When the program cannot be started.
pub fn start(mut command: Command, watch: &Watch, bare: bool) -> io::Result<Child> {
    command.process_group(0);
    watch.spawn(&mut command, bare)
}

//! What needs more than one process, or a signal at the right moment.
//!
//! The trap: waiting. Nothing here sleeps; an end is waited for by a descriptor of the process, against a deadline that
//! is far from what it takes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::account::Account;
use crate::leftovers::descendants;
use crate::process::{DEADLINE, Ended, Input, Invocation, code, run, slowness, start};
use crate::stage::{CREDENTIAL, Stage, make_directory};
use crate::tally::Verdict;

/// A test in code.
#[derive(Debug)]
pub struct Scenario {
    /// What it shows, in a few words.
    pub name: &'static str,
    test: fn(&Act<'_>) -> Result<(), String>,
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "the supervisor is killed", test: killed },
    Scenario { name: "the supervisor is killed in host mode", test: killed_in_host_mode },
    Scenario {
        name: "the supervisor is asked to end by TERM",
        test: |act| asked(act, Signal::TERM),
    },
    Scenario { name: "the supervisor is asked to end by INT", test: |act| asked(act, Signal::INT) },
    Scenario { name: "the supervisor is asked to end by HUP", test: |act| asked(act, Signal::HUP) },
    Scenario { name: "init is killed from outside", test: init_killed },
    Scenario { name: "a reader that leaves ends the run", test: reader_leaves },
    Scenario { name: "forty at once", test: forty_at_once },
    Scenario { name: "a hundred one after another", test: hundred_in_a_row },
    Scenario { name: "thousands of orphans are reaped", test: orphans },
    Scenario { name: "standard input is a directory", test: directory_as_input },
    Scenario { name: "streams that are closed", test: closed_streams },
    Scenario { name: "a working directory that is gone", test: directory_gone },
    Scenario { name: "a workspace in /tmp", test: workspace_in_tmp },
    Scenario { name: "a workspace that is the home directory", test: workspace_is_home },
    Scenario { name: "a store moved aside with its parent", test: moved_aside },
];

impl Scenario {
    /// Runs the scenario.
    pub fn run(&self, account: &Account, stage: &Stage) -> Verdict {
        let outcome =
            stage.directory(account).map_err(|error| error.to_string()).and_then(|directory| {
                let act = Act { account, stage, directory };
                let outcome = (self.test)(&act);
                fs::remove_dir_all(&act.directory).ok();
                outcome
            });
        match outcome {
            Ok(()) => Verdict::Passed,
            Err(what) => Verdict::Failed(what),
        }
    }
}

/// Who and where.
struct Act<'a> {
    account: &'a Account,
    stage: &'a Stage,
    directory: PathBuf,
}

impl Act<'_> {
    fn ringfence(&self) -> PathBuf {
        self.stage.bin.join("ringfence")
    }

    /// Runs a program to its end in a directory.
    fn run_in(
        &self,
        directory: &Path,
        program: impl Into<OsString>,
        args: &[&str],
    ) -> Result<Ended, String> {
        let invocation = Invocation {
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            env: self.stage.environment(self.account),
            cwd: directory.to_path_buf(),
            stdin: Input::Null,
            deadline: DEADLINE,
            bare: false,
        };
        run(&invocation, self.account, &self.stage.watch).map_err(|error| error.to_string())
    }

    fn run(&self, args: &[&str]) -> Result<Ended, String> {
        self.run_in(&self.directory, self.ringfence(), args)
    }

    /// Starts a run and waits until it has said `begun`.
    fn begin(&self, args: &[&str]) -> Result<(Child, BufReader<ChildStdout>), String> {
        let mut command = self.account.command(self.ringfence());
        command.args(args).envs(self.stage.environment(self.account)).current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            start(command, &self.stage.watch, false).map_err(|error| error.to_string())?;
        let mut stdout = BufReader::new(child.stdout.take().expect("because it is piped"));
        let mut line = String::new();
        let said = readable(stdout.get_ref()).and_then(|()| {
            stdout.read_line(&mut line).map_err(|error| error.to_string())?;
            equal("what it says first", line.as_str(), "begun\n")
        });
        if let Err(what) = said {
            child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
            self.stage.watch.ended(child.id(), true);
            return Err(what);
        }
        Ok((child, stdout))
    }

    /// Waits for the end of a child, reading what it still says; gives its exit status.
    fn end(&self, mut child: Child, mut stdout: BufReader<ChildStdout>) -> Result<i32, String> {
        gone(&[child.id()], Duration::from_secs(30))?;
        let status = child.wait().map_err(|error| error.to_string())?;
        stdout.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
        self.stage.watch.ended(child.id(), false);
        Ok(code(status))
    }

    /// Nothing is left of a run that has ended: none of these processes, and no orphan.
    fn nothing_left(&self, pids: &[u32]) -> Result<(), String> {
        gone(pids, Duration::ZERO)?;
        let left = self.stage.watch.take_found();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    }
}

/// Waits until something can be read, or everybody has closed the other end.
fn readable(stream: &ChildStdout) -> Result<(), String> {
    let left = Timespec { tv_sec: 30 * i64::from(slowness()), tv_nsec: 0 };
    match poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&left)) {
        Ok(0) => Err("it says nothing".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Waits until all these processes have ended.
fn gone(pids: &[u32], patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience * slowness();
    for &pid in pids {
        let Some(number) = Pid::from_raw(pid.cast_signed()) else { continue };
        // A process that cannot be found any more has ended and been reaped.
        let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty()) else { continue };
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|error| error.to_string())?;
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left))
            .map_err(|error| error.to_string())?;
        if ended == 0 {
            return Err(format!("process {pid} is still there"));
        }
    }
    Ok(())
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, expected {expected:?}"))
    }
}

/// A daemon that holds the output, and a main process that goes on for ever. Whoever hears `begun` finds a shell that
/// waits for nobody: one that waits for a child leaves an interrupt to it.
const LONG: &str = "attacker emit daemon x 3>&1 >/dev/null; echo begun; exec sleep 1000";

fn killed(act: &Act<'_>) -> Result<(), String> {
    killed_with(act, &["run", "-c", LONG])
}

fn killed_in_host_mode(act: &Act<'_>) -> Result<(), String> {
    let config = act.directory.join("host.toml");
    fs::write(&config, "[profiles.default]\nmode = \"host\"\n")
        .map_err(|error| error.to_string())?;
    killed_with(act, &["run", "--config", &config.to_string_lossy(), "-c", LONG])
}

/// Nobody is there to tidy up: the tree must see it and end by itself.
fn killed_with(act: &Act<'_>, args: &[&str]) -> Result<(), String> {
    let (child, stdout) = act.begin(args)?;
    let tree = descendants(child.id());
    if tree.len() < 3 {
        return Err(format!("only {} processes before the end", tree.len()));
    }
    act.stage.watch.bereave(&tree);
    kill_process(Pid::from_child(&child), Signal::KILL).map_err(|error| error.to_string())?;
    gone(&tree, Duration::from_secs(10))?;
    equal("exit status", act.end(child, stdout)?, 137)
}

fn asked(act: &Act<'_>, signal: Signal) -> Result<(), String> {
    let (child, stdout) = act.begin(&["run", "--grace", "1s", "-c", LONG])?;
    let tree = descendants(child.id());
    kill_process(Pid::from_child(&child), signal).map_err(|error| error.to_string())?;
    let status = act.end(child, stdout)?;
    act.nothing_left(&tree)?;
    equal("exit status", status, 128 + signal.as_raw())
}

/// The result says that something went wrong; that is all that can be said.
fn init_killed(act: &Act<'_>) -> Result<(), String> {
    let (child, stdout) = act.begin(&["run", "-c", LONG])?;
    let tree = descendants(child.id());
    let init =
        tree.first().and_then(|&pid| Pid::from_raw(pid.cast_signed())).ok_or("there is no init")?;
    kill_process(init, Signal::KILL).map_err(|error| error.to_string())?;
    let status = act.end(child, stdout)?;
    act.nothing_left(&tree)?;
    if status == 0 { Err("it was taken for a success".to_owned()) } else { Ok(()) }
}

/// As in `yes | head -n 1`: without a reader, a writer of the bare shell would end.
fn reader_leaves(act: &Act<'_>) -> Result<(), String> {
    let (mut child, stdout) = act.begin(&["run", "-c", "echo begun; yes"])?;
    let tree = descendants(child.id());
    drop(stdout);
    let ended = gone(&[child.id()], Duration::from_secs(20));
    if ended.is_err() {
        child.kill().map_err(|error| error.to_string())?;
    }
    child.wait().map_err(|error| error.to_string())?;
    gone(&tree, Duration::from_secs(10))?;
    act.stage.watch.ended(child.id(), false);
    if ended.is_err() {
        act.stage.watch.take_found();
    }
    ended
}

fn forty_at_once(act: &Act<'_>) -> Result<(), String> {
    let one = |number: usize| {
        let line = format!("echo {number}; attacker emit daemon d; exit 3");
        let ended = act.run(&["run", "-c", &line])?;
        equal("exit status", ended.status, 3)?;
        equal(
            "output",
            String::from_utf8_lossy(&ended.stdout).into_owned(),
            format!("{number}\nd\n"),
        )
    };
    thread::scope(|scope| {
        let runs: Vec<_> = (0..40).map(|number| scope.spawn(move || one(number))).collect();
        runs.into_iter().try_for_each(|run| run.join().expect("because a run does not panic"))
    })?;
    act.nothing_left(&[])
}

fn hundred_in_a_row(act: &Act<'_>) -> Result<(), String> {
    for _ in 0..100 {
        equal("exit status", act.run(&["run", "--", "true"])?.status, 0)?;
    }
    act.nothing_left(&[])
}

fn orphans(act: &Act<'_>) -> Result<(), String> {
    let line = "i=0; while [ $i -lt 3000 ]; do (true & ) ; i=$((i+1)); done; \
                n=$(ls -d /proc/[0-9]* | wc -l); test $n -lt 500 || echo $n";
    let ended = act.run(&["run", "--pids", "2000", "-c", line])?;
    equal("what it says", String::from_utf8_lossy(&ended.stdout).into_owned(), String::new())?;
    equal("exit status", ended.status, 0)
}

fn directory_as_input(act: &Act<'_>) -> Result<(), String> {
    let line = "exec \"$0\" run -c 'cat' < /";
    let ended =
        act.run_in(&act.directory, "/bin/sh", &["-c", line, &act.ringfence().to_string_lossy()])?;
    equal("exit status", ended.status, 125)?;
    equal("output", String::from_utf8_lossy(&ended.stdout).into_owned(), String::new())
}

/// A program that is started with a standard stream closed must not open something else in its place.
fn closed_streams(act: &Act<'_>) -> Result<(), String> {
    let ringfence = act.ringfence();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let line = format!("exec \"$0\" run -c 'exit 3' {closed}");
        let ended =
            act.run_in(&act.directory, "/bin/sh", &["-c", &line, &ringfence.to_string_lossy()])?;
        equal(&format!("exit status with {closed}"), ended.status, 3)?;
    }
    act.nothing_left(&[])
}

fn directory_gone(act: &Act<'_>) -> Result<(), String> {
    let line = "mkdir d && cd d && rmdir ../d && exec \"$0\" run -c 'true'";
    let ended =
        act.run_in(&act.directory, "/bin/sh", &["-c", line, &act.ringfence().to_string_lossy()])?;
    equal("exit status", ended.status, 125)?;
    if ended.stderr.is_empty() { Err("no word about it".to_owned()) } else { Ok(()) }
}

/// Where `mktemp -d` puts it. The rest of `/tmp` is not to be seen.
fn workspace_in_tmp(act: &Act<'_>) -> Result<(), String> {
    let directory =
        PathBuf::from(format!("/tmp/ringfence-test-{}-{}", std::process::id(), act.account.uid));
    make_directory(&directory, act.account).map_err(|error| error.to_string())?;
    let line = "echo x > made && ls /tmp && pwd && echo y > /tmp/other";
    let ended = act.run_in(&directory, act.ringfence(), &["run", "-c", line]);
    let made = fs::read_to_string(directory.join("made")).unwrap_or_default();
    fs::remove_dir_all(&directory).map_err(|error| error.to_string())?;
    let ended = ended?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let expected = format!("{name}\n{}\n", directory.display());
    equal("output", String::from_utf8_lossy(&ended.stdout).into_owned(), expected)?;
    equal("what it wrote", made, "x\n".to_owned())?;
    equal("exit status", ended.status, 0)
}

/// Nothing is left in the home directory but what the command makes, and no credential is seen.
fn workspace_is_home(act: &Act<'_>) -> Result<(), String> {
    let home = act.stage.home(act.account);
    let before = names(&home)?;
    let line = "echo x > made && cat made && rm made; grep -rs credential . | head -n 1";
    let ended = act.run_in(&home, act.ringfence(), &["run", "-c", line])?;
    equal("output", String::from_utf8_lossy(&ended.stdout).into_owned(), "x\n".to_owned())?;
    equal("the home directory", names(&home)?, before)
}

fn names(directory: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let mut found = BTreeSet::new();
    let mut next = vec![directory.to_path_buf()];
    while let Some(path) = next.pop() {
        for entry in fs::read_dir(&path).map_err(|error| error.to_string())?.flatten() {
            if entry.path().is_dir() && !entry.path().is_symlink() {
                next.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    Ok(found)
}

/// Two runs that may write the home directory: one moves the parent of a store, the other looks there.
fn moved_aside(act: &Act<'_>) -> Result<(), String> {
    let home = act.stage.home(act.account);
    let (from, to) = (home.join(".config"), home.join("moved"));
    act.run_in(&home, act.ringfence(), &["run", "-c", "mv .config moved"])?;
    let moved = to.is_dir();
    let ended = act.run_in(
        &home,
        act.ringfence(),
        &["run", "-c", "cat moved/gh/hosts.yml .config/gh/hosts.yml"],
    )?;
    if moved {
        fs::rename(&to, &from).map_err(|error| error.to_string())?;
    }
    let seen = String::from_utf8_lossy(&ended.stdout).contains(CREDENTIAL);
    if seen { Err("the credential was read".to_owned()) } else { Ok(()) }
}

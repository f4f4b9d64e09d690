//! `--tty` as a person at a terminal meets it: this test opens a terminal and sits at the other side.
#![cfg(target_os = "linux")]

#[path = "support/pty.rs"]
mod pty;

use pty::terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::pty::ptsname;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A person at a terminal, and what they have seen of it.
struct Desk {
    master: OwnedFd,
    /// Also held here: a terminal whose other side nobody has open forgets how it was set.
    slave: OwnedFd,
    child: Child,
    seen: String,
    /// The workspace and the home, apart from each other.
    dirs: [tempfile::TempDir; 2],
}

impl Desk {
    /// Types `ringfence run --tty` and these words.
    fn run(words: &[&str]) -> Desk {
        let (master, slave) = terminal();
        size(&master, 100, 30);
        let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let side = || slave.try_clone().expect("a descriptor");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command.args(["run", "--tty"]).args(words).current_dir(dirs[0].path());
        command.env("HOME", dirs[1].path()).env_remove("XDG_STATE_HOME").env("TERM", "xterm");
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("the tool is built");
        Desk { master, slave, child, seen: String::new(), dirs }
    }

    /// Looks at the terminal until it has shown `text`.
    fn until(&mut self, text: &str) -> &mut Desk {
        let deadline = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            assert!(Instant::now() < deadline, "`{text}` was not seen in {:?}", self.seen);
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            if poll(&mut fds, Some(&second)).expect("it can be looked at") > 0 {
                let mut buffer = [0; 4096];
                let count = rustix::io::read(&self.master, &mut buffer).expect("it is open");
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
        self
    }

    fn types(&mut self, text: &str) -> &mut Desk {
        rustix::io::write(&self.master, text.as_bytes()).expect("it takes it");
        self
    }

    fn signal(&mut self, signal: Signal) -> &mut Desk {
        kill_process(self.pid(), signal).expect("it is there");
        self
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether lines are edited and shown here, as a shell leaves a terminal.
    fn is_as_it_was(&self) -> bool {
        let modes = tcgetattr(&self.slave).expect("it is a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().expect("it is a child of ours")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn size(master: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).expect("it is a terminal");
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let script = "stty size; tty; read -rsp 'Password: ' it; echo; echo \"it is $it, ${#it} long\"";
    let mut desk = Desk::run(&["--redact", "hunter2-prod", "-c", script]);
    desk.until("Password: ");
    assert!(!desk.is_as_it_was(), "what is typed goes on as it is");
    desk.types("hunter2-prod\r").until("12 long\r\n");
    assert_eq!(desk.end().code(), Some(0));
    assert!(desk.is_as_it_was());
    let seen = desk.seen.replace("\r\n", "\n");
    assert_eq!(seen, "30 100\n/dev/pts/0\nPassword: \nit is [REDACTED], 12 long\n");
}

#[test]
fn the_interrupt_key_is_a_signal_for_the_command() {
    let mut desk = Desk::run(&[
        "-c",
        "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.01; done",
    ]);
    desk.until("ready").types("\x03").until("interrupted");
    assert_eq!(desk.end().code(), Some(3));
}

#[test]
fn a_new_size_is_told_to_the_command() {
    let mut desk = Desk::run(&[
        "-c",
        "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done",
    ]);
    desk.until("ready");
    size(&desk.master, 155, 44);
    desk.signal(Signal::WINCH).until("44 155");
    assert_eq!(desk.end().code(), Some(0));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    // With a trap for each: bash ignores SIGQUIT by itself.
    let script = "trap 'exit 9' TERM INT QUIT HUP; echo ready; while :; do sleep 0.01; done";
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let mut desk = Desk::run(&["-c", script]);
        desk.until("ready");
        assert!(!desk.is_as_it_was());
        desk.signal(signal);
        assert_eq!(desk.end().code(), Some(9), "{signal:?}");
        assert!(desk.is_as_it_was(), "{signal:?}");
    }
}

#[test]
fn a_stop_gives_the_terminal_back_for_a_while() {
    let mut desk = Desk::run(&["-c", "echo ready; read -r word; echo \"read $word\""]);
    desk.until("ready").signal(Signal::TSTP);
    let stopped = waitpid(Some(desk.pid()), WaitOptions::UNTRACED).expect("it is a child of ours");
    assert!(stopped.is_some_and(|(_, status)| status.stopped()));
    assert!(desk.is_as_it_was());
    desk.signal(Signal::CONT);
    let deadline = Instant::now() + PATIENCE;
    while desk.is_as_it_was() {
        assert!(Instant::now() < deadline, "it does not go on");
        std::thread::yield_now();
    }
    desk.types("on\r").until("read on");
    assert_eq!(desk.end().code(), Some(0));
    assert!(desk.is_as_it_was());
}

/// Runs a program that owns the screen: what it shows, what is typed then, and so on; it ends by itself.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn owns_the_screen(program: &str, script: &str, steps: &[(&str, &str)]) -> Option<Desk> {
    let found = ["/bin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
    if !found {
        eprintln!("skipped: there is no {program}");
        return None;
    }
    let mut desk = Desk::run(&["-c", script]);
    for (shows, typed) in steps {
        desk.until(shows).types(typed);
        desk.seen.clear();
    }
    assert_eq!(desk.end().code(), Some(0), "{program}");
    assert!(desk.is_as_it_was(), "{program}");
    Some(desk)
}

#[test]
fn programs_that_own_the_screen_are_usable() {
    let script = "echo one two >file; exec vi -u NONE file";
    if let Some(desk) = owns_the_screen("vi", script, &[("one two", "A three\x1b:wq\r")]) {
        let written = std::fs::read_to_string(desk.dirs[0].path().join("file"));
        assert_eq!(written.expect("it was saved"), "one two three\n");
    }
    // Thirty rows: the page ends there, and the last one is jumped to.
    owns_the_screen("less", "seq 1000 1999 | less", &[("1028", "G"), ("1999", "q")]);
    owns_the_screen("top", "exec top", &[("COMMAND", "q")]);
    let script = "exec python3 -c 'import getpass; print(len(getpass.getpass(\"Key: \")))'";
    owns_the_screen("python3", script, &[("Key: ", "hunter2\r"), ("7", "")]);
}

#[test]
fn a_program_may_close_its_terminal_and_come_back() {
    let script = "exec 0<&- 1>&- 2>&-; exec 0</dev/tty 1>/dev/tty; echo back";
    let mut desk = Desk::run(&["-c", script]);
    desk.until("back");
    assert_eq!(desk.end().code(), Some(0));
}

#[test]
fn the_callers_terminal_is_not_among_the_commands_descriptors() {
    let name = |words: &[&str]| {
        let mut desk = Desk::run(words);
        let caller = ptsname(&desk.master, Vec::new()).expect("it has a name");
        assert!(desk.end().success());
        desk.until("end");
        (desk.seen.clone(), caller.to_string_lossy().into_owned())
    };
    // Standard output is the pipe to grep.
    let script = "ls -l /proc/self/fd | grep -o '/dev/.*'; echo end";
    let (inside, caller) = name(&["-c", script]);
    assert_eq!(inside.matches("/dev/pts/0").count(), 2, "{inside}");
    assert!(caller == "/dev/pts/0" || !inside.contains(&caller), "{inside}");
}

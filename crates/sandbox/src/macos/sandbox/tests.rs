//! Trees on any system, with a script in the place of `sandbox-exec`.
//!
//! What the profile does is the kernel's business and not tested here; how a tree is started,
//! followed and ended is, and how a profile is handed over.

use super::*;
use crate::spec::{FileView, ReadScope, Rlimit, Trace};
use ringfence_launcher::{ExitStatus, Report, TreeUsage};
use std::{
    fs::File,
    io::{BufRead, BufReader, PipeReader, Read},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

/// `RLIMIT_CORE`, the same number everywhere.
const CORE: u32 = 4;

/// Takes the options that `sandbox-exec` takes, refuses a profile that speaks of `refused`, and
/// leaves a witness of the profile in the working directory.
const STAND_IN: &str = r#"#!/bin/sh
[ "$1" = -p ] && [ "$3" = -- ] || exit 64
case $2 in *refused*) echo "<input string>:9: unbound variable" >&2; exit 65 ;; esac
case $2 in *nested*|*"allow default"*) [ -e "$0.nested" ] && exit 71 ;; esac
[ "$PWD" = / ] || printf %s "$2" > profile
shift 3
exec "$@"
"#;

struct Place {
    dir: tempfile::TempDir,
    top: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let top = fs::canonicalize(dir.path()).expect("it is there");
        let place = Self { dir, top };
        fs::create_dir(place.path("ws")).expect("it can be made");
        fs::write(place.stand_in(), STAND_IN).expect("it can be written");
        let mode = PermissionsExt::from_mode(0o755);
        fs::set_permissions(place.stand_in(), mode).expect("it is ours");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    fn stand_in(&self) -> PathBuf {
        self.path("sandbox-exec")
    }

    fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            confinement: Confinement::Sandbox,
            strict: false,
            files: Files::View(FileView { writable: vec![self.path("ws")], ..FileView::default() }),
            network: Network::Deny,
            unix_sockets: UnixSockets::Private,
            trace: Trace::Changes,
            workspace: self.path("ws"),
        }
    }

    fn host(&self) -> SandboxSpec {
        SandboxSpec {
            confinement: Confinement::Host,
            files: Files::Inherit,
            network: Network::Inherit,
            unix_sockets: UnixSockets::Inherit,
            ..self.spec()
        }
    }

    fn prepare(&self, spec: &SandboxSpec) -> Sandbox {
        Sandbox::prepare_by(spec, self.stand_in()).expect("the stand-in takes the profile")
    }

    fn process(&self, words: &[&str]) -> Process {
        let program = match words[0] {
            path if path.contains('/') => Program::Path(path.into()),
            name => Program::Search { name: name.into(), path: "/usr/bin:/bin".into() },
        };
        Process {
            program,
            args: words.iter().map(Into::into).collect(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("MARK".into(), "a b".into())],
            cwd: self.path("ws"),
            rlimits: vec![Rlimit { resource: CORE, soft: 0, hard: 0 }],
            linger: Duration::ZERO,
            temp: None,
            proxy: None,
            terminal: None,
        }
    }

    fn shell(&self, line: &str) -> Process {
        self.process(&["/bin/sh", "-c", line])
    }
}

/// A started tree and what it prints.
struct Run {
    tree: Tree,
    output: BufReader<PipeReader>,
}

fn start(sandbox: &Sandbox, process: &Process) -> Run {
    let (reader, writer) = io::pipe().expect("a pipe can be made");
    let stdio = Stdio {
        stdin: File::open("/dev/null").expect("it is there").into(),
        stdout: writer.try_clone().expect("it can be copied").into(),
        stderr: writer.into(),
    };
    let tree = sandbox.start(process, &stdio).expect("it can be started");
    Run { tree, output: BufReader::new(reader) }
}

impl Run {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        line.trim_end().to_owned()
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("it is text");
        rest
    }

    /// All reports, from the start to the last.
    fn reports(&self) -> Vec<Report> {
        std::iter::from_fn(|| self.tree.wait_report().expect("the socket works")).collect()
    }

    fn end(&self) -> (Option<ExitStatus>, TreeUsage) {
        let reports = self.reports();
        assert_eq!(
            reports.first(),
            Some(&Report::Started {
                pid: self.tree.pid(),
                listening: false,
                most_processes: false
            })
        );
        let Some(Report::Finished { usage }) = reports.last() else { panic!("{reports:?}") };
        let status = reports.iter().find_map(|report| match report {
            Report::CommandExited { status } => Some(*status),
            _ => None,
        });
        (status, *usage)
    }
}

/// On both ways: through the stand-in, and without a sandbox.
fn both_ways(check: impl Fn(&Place, &Sandbox)) {
    let place = Place::new();
    check(&place, &place.prepare(&place.spec()));
    check(&place, &place.prepare(&place.host()));
}

#[test]
fn a_command_ends_as_it_ends() {
    both_ways(|place, sandbox| {
        let check = |line: &str, expect: ExitStatus| {
            let run = start(sandbox, &place.shell(line));
            let (status, usage) = run.end();
            assert_eq!((status, usage.killed), (Some(expect), 0), "{line}");
            assert_eq!(run.tree.wait_report().expect("the socket works"), None);
            assert!(run.tree.signal(15).is_err() && run.tree.kill().is_err());
        };
        check("exit 0", ExitStatus::Exited(0));
        check("exit 7", ExitStatus::Exited(7));
        check("exit 127", ExitStatus::Exited(127));
        check("kill -s TERM $$", ExitStatus::Signaled(15));
    });
}

#[test]
fn it_gets_what_it_was_given_and_nothing_else() {
    both_ways(|place, sandbox| {
        let outer = File::open("/dev/null").expect("it is there");
        let inherited = outer.try_clone().expect("it can be copied");
        nix::fcntl::fcntl(&inherited, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
            .expect("it is open");
        let mut run = start(
            sandbox,
            &place.shell(
                "printf '%s|' \"$0\" \"$1\" \"$MARK\" \"$HOME\" \"$(pwd)\" \"$(ulimit -c)\"; echo; \
                 for fd in /dev/fd/*; do n=${fd##*/}; [ $n -gt 2 ] && [ -e $fd ] && echo fd $n; done; \
                 (: < /dev/tty) 2> /dev/null && echo tty; \
                 [ \"$(ps -o pgid= -p $$ | tr -d ' ')\" = $$ ] && echo leads",
            ),
        );
        let ws = place.path("ws");
        assert_eq!(run.line(), format!("/bin/sh||a b||{}|0|", ws.display()));
        // The one descriptor that is left belongs to the directory that the shell lists.
        let rest = run.rest();
        let extra: Vec<_> = rest.lines().filter(|line| *line != "leads").collect();
        assert!(rest.contains("leads") && !extra.contains(&"tty"), "{rest}");
        let held = format!("fd {}", std::os::fd::AsRawFd::as_raw_fd(&inherited));
        assert!(!extra.contains(&held.as_str()) && extra.len() <= 1, "{rest}");
        assert_eq!(run.end().0, Some(ExitStatus::Exited(0)));
    });
}

#[test]
fn arguments_and_names_arrive_whole() {
    both_ways(|place, sandbox| {
        let mut process = place.process(&["sh", "-c", "echo \"$0 $#\"", "a b\n", "", "-x"]);
        let mut run = start(sandbox, &process);
        assert_eq!(run.rest(), "a b\n 2\n");
        run.end();
        process.args[0] = "other".into();
        assert_eq!(start(sandbox, &process).end().0, Some(ExitStatus::Exited(0)));
    });
}

#[test]
fn what_cannot_be_executed_is_told_as_on_linux() {
    both_ways(|place, sandbox| {
        fs::write(place.path("ws/plain"), "").expect("it can be written");
        let check = |word: &str, found: bool| {
            let run = start(sandbox, &place.process(&[word]));
            let reports = run.reports();
            let [Report::Failed(failure)] = &reports[..] else { panic!("{word}: {reports:?}") };
            assert!(failure.is_exec(), "{failure}");
            assert_eq!((failure.not_found(), failure.not_executable()), (!found, found));
            assert!(failure.to_string().starts_with("cannot execute `/"), "{failure}");
        };
        check("no-such-program", false);
        check("./no-such-program", false);
        check("./plain", true);
        check("/bin", true);
    });
}

#[test]
fn a_directory_that_is_gone_and_a_limit_that_is_refused_are_told() {
    both_ways(|place, sandbox| {
        let failure = |process: &Process| match &start(sandbox, process).reports()[..] {
            [Report::Failed(failure)] if !failure.is_exec() => failure.to_string(),
            reports => panic!("{reports:?}"),
        };
        let mut process = place.shell("true");
        process.cwd = place.path("none");
        assert!(failure(&process).starts_with("cannot change to directory"));
        let mut process = place.shell("true");
        process.rlimits = vec![Rlimit { resource: 9999, soft: 1, hard: 1 }];
        assert!(failure(&process).starts_with("cannot set the limits"));
        process.args.push("a\0b".into());
        let nothing = || File::open("/dev/null").expect("it is there").into();
        let stdio = Stdio { stdin: nothing(), stdout: nothing(), stderr: nothing() };
        let error = sandbox.start(&process, &stdio).expect_err("it has a NUL byte");
        assert!(matches!(error, SandboxError::Nul { role: "an argument" }), "{error}");
    });
}

#[test]
fn a_signal_reaches_the_whole_group() {
    both_ways(|place, sandbox| {
        let line = "trap 'echo outer; wait; exit 3' TERM; \
                    (trap 'echo inner; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done) & \
                    wait";
        let mut run = start(sandbox, &place.shell(line));
        assert_eq!(run.line(), "up");
        run.tree.signal(15).expect("it runs");
        let mut said = [run.line(), run.line()];
        said.sort();
        assert_eq!(said, ["inner", "outer"]);
        assert_eq!(run.end().0, Some(ExitStatus::Exited(3)));
    });
}

/// Reads to the end, which comes when the last process that holds the pipe is gone.
fn all_are_gone(run: &mut Run) {
    let begin = Instant::now();
    run.rest();
    assert!(begin.elapsed() < Duration::from_secs(60), "somebody lives on");
}

/// One that ignores signals, and one that has left the group while its parent lives.
const STUBBORN: &str = "(trap '' TERM HUP INT; echo up; sleep 1000) & \
                        perl -MPOSIX -e 'POSIX::setsid() or fork && wait; $| = 1; print \"up\\n\"; \
                        sleep 1000' & wait";

#[test]
fn a_kill_ends_all_of_it_at_once() {
    both_ways(|place, sandbox| {
        let mut run = start(sandbox, &place.shell(STUBBORN));
        assert_eq!([run.line(), run.line()], ["up", "up"]);
        run.tree.kill().expect("it runs");
        assert_eq!(run.end().0, Some(ExitStatus::Signaled(9)));
        all_are_gone(&mut run);
    });
}

#[test]
fn dropping_the_handle_ends_all_of_it() {
    both_ways(|place, sandbox| {
        let Run { tree, output } = start(sandbox, &place.shell(STUBBORN));
        let mut lines = output.lines();
        for _ in 0..2 {
            assert_eq!(lines.next().expect("it is up").expect("it is text"), "up");
        }
        drop(tree);
        assert_eq!(lines.count(), 0);
        tree::flush_reaper();
    });
}

#[test]
fn who_outlives_the_command_is_given_its_time_and_killed() {
    both_ways(|place, sandbox| {
        let mut process = place.shell("sleep 1000 & echo up");
        let mut run = start(sandbox, &process);
        let (status, usage) = run.end();
        assert_eq!(status, Some(ExitStatus::Exited(0)));
        assert!(usage.killed >= 1, "{usage:?}");
        all_are_gone(&mut run);
        // One that ends in time is not killed.
        process = place.shell("(read x < pipe; echo late) & echo up");
        process.linger = Duration::from_secs(600);
        if !place.path("ws/pipe").exists() {
            nix::unistd::mkfifo(&place.path("ws/pipe"), nix::sys::stat::Mode::S_IRWXU)
                .expect("a pipe can be made");
        }
        let mut run = start(sandbox, &process);
        assert_eq!(run.line(), "up");
        fs::write(place.path("ws/pipe"), "go\n").expect("somebody reads");
        assert_eq!(run.line(), "late");
        drop(run);
    });
}

#[test]
fn a_tree_can_be_waited_for_by_its_socket() {
    both_ways(|place, sandbox| {
        let run = start(sandbox, &place.shell("exit 0"));
        // A runtime has a descriptor of its own of the same socket.
        let other = run.tree.control().try_clone_to_owned().expect("it can be copied");
        let mut seen = Vec::new();
        loop {
            let mut polled = [nix::poll::PollFd::new(other.as_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut polled, nix::poll::PollTimeout::NONE)
                .expect("it can be waited for");
            match run.tree.next_report() {
                Ok(Some(report)) => seen.push(report),
                Ok(None) => break,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
    });
}

#[test]
fn the_profile_is_the_one_of_the_run() {
    let place = Place::new();
    let sandbox = place.prepare(&place.spec());
    assert_eq!(sandbox.backend(), Backend::MacosSeatbelt);
    assert!(sandbox.wants_temp());
    let mut process = place.shell("echo $TMPDIR");
    process.temp = Some(place.path("temp"));
    let mut run = start(&sandbox, &process);
    assert_eq!(run.line(), place.path("temp").display().to_string());
    run.end();
    let used = fs::read_to_string(place.path("ws/profile")).expect("the stand-in wrote it");
    assert!(used.contains(&format!("(subpath \"{}\")", place.path("temp").display())), "{used}");
    let plan = sandbox.plan_text(&process).expect("it can be written");
    assert!(plan.contains(&used), "{plan}");
    assert!(plan.contains("execute `/bin/sh`"), "{plan}");
}

#[test]
fn a_profile_that_is_not_taken_is_an_error_before_anything_starts() {
    let place = Place::new();
    let check = |spec: &SandboxSpec, expect: &str| {
        let error = Sandbox::prepare_by(spec, place.stand_in()).expect_err("it is not taken");
        assert!(matches!(error, SandboxError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains(expect), "{error}");
    };
    let hiding = |name: &str| {
        let mut spec = place.spec();
        if let Files::View(view) = &mut spec.files {
            view.hidden = vec![place.path(name)];
        }
        spec
    };
    check(&hiding("refused"), "unbound variable");
    fs::write(place.path("sandbox-exec.nested"), "").expect("it can be written");
    check(&hiding("nested"), "no profile is taken here");
    let gone = Sandbox::prepare_by(&hiding("x"), place.path("none")).expect_err("it is not there");
    assert!(gone.to_string().contains("cannot be started"), "{gone}");
}

#[test]
fn what_macos_cannot_do_is_refused_and_what_holds_is_said() {
    let place = Place::new();
    let mut spec = place.spec();
    let said = |spec: &SandboxSpec| {
        let sandbox = place.prepare(spec);
        let said = sandbox.enforcement().iter().map(|(name, level)| format!("{name}: {level}"));
        said.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!("sandboxed", said(&spec));
    insta::assert_snapshot!("host", said(&place.host()));
    assert!(place.prepare(&spec).warnings().iter().any(|warning| warning.contains("tried")));
    spec.strict = true;
    let error = Sandbox::prepare_by(&spec, place.stand_in()).expect_err("not all of it holds");
    assert!(matches!(error, SandboxError::NotFull { property: "files", .. }), "{error}");
    spec.strict = false;
    if let Files::View(view) = &mut spec.files {
        let (upper, work) = (place.path("upper"), place.path("work"));
        view.overlay = Some(crate::spec::Overlay { upper, work });
    }
    let error = Sandbox::prepare_by(&spec, place.stand_in()).expect_err("there is no layer");
    assert!(error.hint().is_some_and(|hint| hint.contains("copy")), "{error}");
}

#[test]
fn it_is_described_in_plain_words() {
    let place = Place::new();
    let mut spec = place.spec();
    spec.files = Files::View(FileView {
        writable: vec![place.path("ws")],
        hidden: vec![place.path("ws/secret"), place.path("ws/*.key")],
        protected: vec![place.path("ws/sandbox-rules")],
        scope: ReadScope::Minimal,
        ..FileView::default()
    });
    let mut process = place.shell("true");
    process.temp = Some("/private/tmp/run".into());
    let described = place.prepare(&spec).describe(&process).join("\n");
    let ours = |line: &&str| {
        !line.contains("cannot")
            || ["secret", "key", "rules"].iter().any(|name| line.contains(name))
    };
    let shown: Vec<_> = described.lines().filter(ours).collect();
    let shown = shown.join("\n").replace(&place.top.display().to_string(), "/top");
    insta::assert_snapshot!(shown);
    let host = place.prepare(&place.host()).describe(&process);
    assert_eq!(host[0], "runs without a sandbox, with the caller's rights");
    drop(place.dir);
}

#[test]
fn doctor_tries_what_there_is() {
    let place = Place::new();
    let rows = |program: &Path| super::super::doctor::checks(program);
    // The last row is the verdict, which is never a good one here.
    let (verdict, tried) = (
        |all: &[crate::Check]| all.last().expect("a row").clone(),
        |all: Vec<crate::Check>| {
            let count = all.len() - 1;
            all.into_iter().take(count).collect::<Vec<_>>()
        },
    );
    let good = rows(&place.stand_in());
    assert!(!verdict(&good).works && tried(good).iter().all(|check| check.works));
    let missing = rows(&place.path("none"));
    let untried = tried(missing.clone());
    assert!(untried.iter().all(|check| !check.works && check.remedy.is_some()), "{untried:?}");
    // The real one, where there is one.
    assert_eq!(super::super::doctor::doctor().len(), missing.len());
    if !Path::new(SANDBOX_EXEC).exists() {
        let error = Sandbox::prepare(&place.spec()).expect_err("nothing puts a profile on");
        let sandbox = place.prepare(&place.spec());
        assert!(sandbox.fall_back(&error).is_none() && !sandbox.unheld().is_empty());
    }
}

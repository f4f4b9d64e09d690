//! Trees on the real kernel, by both carriers, with and without a PID namespace.
#![cfg(target_os = "linux")]

use ringfence_launcher::{Carrier, ExitStatus, Plan, Report, Step, Tree, TreeUsage, spawn_by};
use std::{
    ffi::CString,
    fs::File,
    io::{BufRead, BufReader, PipeReader, Read},
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    time::{Duration, Instant},
};

const CARRIERS: [Carrier; 2] = [Carrier::Program, Carrier::ForkedChild];
const IN_NAMESPACE: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;
const ON_HOST: u64 = 0;

/// Every combination of carrier and place.
fn everywhere(check: impl Fn(Carrier, u64)) {
    for carrier in CARRIERS {
        for namespaces in [ON_HOST, IN_NAMESPACE] {
            check(carrier, namespaces);
        }
    }
}

fn plan(namespaces: u64, script: &str) -> Plan {
    let text = |text: &str| CString::new(text).expect("no NUL byte in a test's script");
    let setup = (namespaces == ON_HOST).then_some(Step::Subreaper);
    let mut steps: Vec<_> = setup.into_iter().collect();
    steps.extend([Step::NewSession, Step::ResetSignals, Step::Stdio, Step::CloseOthers]);
    steps.push(Step::Exec {
        candidates: vec![text("/bin/sh")],
        args: vec![text("sh"), text("-c"), text(script)],
        env: vec![text("PATH=/usr/bin:/bin")],
    });
    Plan { namespaces, linger_ms: 20, steps }
}

/// Starts a plan whose output can be read.
fn start(carrier: Carrier, plan: Plan) -> (Tree, BufReader<PipeReader>) {
    let (reader, writer) = std::io::pipe().expect("a pipe can be had");
    let nothing = File::open("/dev/null").expect("/dev/null is there");
    let stdio = [nothing.as_fd(), writer.as_fd(), writer.as_fd()];
    let tree = spawn_by(carrier, &Arc::new(plan), stdio).expect("the tree starts");
    (tree, BufReader::new(reader))
}

fn reports(tree: &Tree) -> Vec<Report> {
    std::iter::from_fn(|| tree.wait_report().expect("the socket works")).collect()
}

fn run(carrier: Carrier, plan: Plan) -> (Vec<Report>, String) {
    let (tree, mut output) = start(carrier, plan);
    let reports = reports(&tree);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("the output is text");
    (reports, text)
}

fn ended(reports: &[Report]) -> ExitStatus {
    let status = reports.iter().find_map(|report| match report {
        Report::CommandExited { status } => Some(*status),
        _ => None,
    });
    status.unwrap_or_else(|| panic!("the command did not end: {reports:?}"))
}

fn usage(reports: &[Report]) -> TreeUsage {
    match reports.last() {
        Some(Report::Finished { usage }) => *usage,
        other => panic!("not finished: {other:?}"),
    }
}

/// Waits until nobody is called that any more; a deadline, as there is nothing to wait on.
fn gone(pid: i32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    // SAFETY: signal 0 only asks whether the process is there.
    while unsafe { libc::kill(pid, 0) } == 0 {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn statuses_and_output_arrive() {
    everywhere(|carrier, namespaces| {
        let check = |script: &str, status, text: &str| {
            let (reports, output) = run(carrier, plan(namespaces, script));
            assert_eq!((ended(&reports), output.as_str()), (status, text), "{script}");
            assert!(matches!(reports[0], Report::Started { .. }), "{reports:?}");
        };
        check("echo hello", ExitStatus::Exited(0), "hello\n");
        check("exit 42", ExitStatus::Exited(42), "");
        check("kill -9 $$", ExitStatus::Signaled(9), "");
        check("kill -TERM $$", ExitStatus::Signaled(15), "");
        check("trap 'echo caught; exit 3' USR1; kill -USR1 $$", ExitStatus::Exited(3), "caught\n");
        check("echo $(ls /proc/self/fd | wc -l)", ExitStatus::Exited(0), "4\n");
    });
}

#[test]
fn the_command_gets_no_other_descriptor() {
    let leak = File::open("/etc/passwd").expect("/etc/passwd is there");
    // SAFETY: numbers only; the descriptor stays open in this process.
    unsafe { libc::fcntl(leak.as_raw_fd(), libc::F_SETFD, 0) };
    everywhere(|carrier, namespaces| {
        let (_, output) =
            run(carrier, plan(namespaces, "ls -l /proc/self/fd; ls -l /proc/$PPID/fd 2>&1"));
        assert!(!output.contains("passwd"), "{output}");
    });
}

#[test]
fn who_outlives_the_command_is_killed_and_counted() {
    everywhere(|carrier, namespaces| {
        let script =
            "(setsid sh -c 'trap \"\" TERM HUP; echo $$; exec sleep 1000' &) & wait; exit 5";
        let (tree, mut output) = start(carrier, plan(namespaces, script));
        let reports = reports(&tree);
        assert_eq!(ended(&reports), ExitStatus::Exited(5));
        assert!(usage(&reports).killed >= 1, "{reports:?}");
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("the pipe is closed by everyone");
    });
}

#[test]
fn who_keeps_forking_does_not_put_its_end_off() {
    everywhere(|carrier, namespaces| {
        let script = "(setsid sh -c 'while :; do /bin/true; done' &); exit 6";
        let (reports, _) = run(carrier, plan(namespaces, script));
        assert_eq!(ended(&reports), ExitStatus::Exited(6));
        assert!(usage(&reports).killed >= 1, "{reports:?}");
    });
}

#[test]
fn letting_go_kills_the_tree() {
    everywhere(|carrier, namespaces| {
        let script = "trap '' TERM INT HUP; setsid sleep 1000 & echo up; wait";
        let (tree, mut output) = start(carrier, plan(namespaces, script));
        let mut line = String::new();
        output.read_line(&mut line).expect("the command is up");
        let init = i32::try_from(tree.pid()).expect("process numbers are small");
        drop(tree);
        output.read_to_string(&mut line).expect("nobody holds the pipe any more");
        ringfence_launcher::flush_reaper();
        assert!(gone(init));
    });
}

#[test]
fn a_signal_reaches_everyone_even_who_is_stopped() {
    everywhere(|carrier, namespaces| {
        // The trap comes first: who has said it is up is ready, however slow the machine.
        let script = "trap 'wait; echo parent; exit 9' TERM
                      sh -c 'trap \"echo child; exit\" TERM; echo up; kill -STOP $$; sleep 1000' &
                      wait; wait";
        let (tree, mut output) = start(carrier, plan(namespaces, script));
        let mut line = String::new();
        output.read_line(&mut line).expect("the command is up");
        tree.signal(libc::SIGTERM).expect("the init listens");
        assert_eq!(ended(&reports(&tree)), ExitStatus::Exited(9));
        output.read_to_string(&mut line).expect("output is text");
        assert!(line.contains("child") && line.contains("parent"), "{line}");
    });
}

#[test]
fn a_kill_order_ends_what_ignores_signals() {
    everywhere(|carrier, namespaces| {
        let script = "trap '' TERM; echo up; while :; do sleep 1000; done";
        let (tree, mut output) = start(carrier, plan(namespaces, script));
        output.read_line(&mut String::new()).expect("the command is up");
        tree.kill().expect("the init listens");
        assert_eq!(ended(&reports(&tree)), ExitStatus::Signaled(9));
    });
}

#[test]
fn what_the_whole_tree_used_is_counted() {
    everywhere(|carrier, namespaces| {
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let script = format!("(setsid sh -c '{spin}' &); {spin}; wait; sleep 0.01");
        let mut plan = plan(namespaces, &script);
        plan.linger_ms = 60_000;
        let (reports, _) = run(carrier, plan);
        let usage = usage(&reports);
        assert!(usage.user_cpu > Duration::from_millis(5), "{usage:?}");
        assert!(usage.max_rss_bytes > 100_000, "{usage:?}");
        assert_eq!(usage.processes.is_some(), namespaces == IN_NAMESPACE);
        assert_eq!(usage.killed, 0);
    });
}

#[test]
fn a_step_that_fails_says_which_and_why() {
    everywhere(|carrier, namespaces| {
        let mut plan = plan(namespaces, "echo never");
        plan.steps.insert(plan.steps.len() - 1, Step::Chdir { path: "/nonexistent/dir".into() });
        let index = plan.steps.len() - 2;
        let (reports, output) = run(carrier, plan);
        let [Report::Failed(failure)] = &reports[..] else { panic!("{reports:?}") };
        assert_eq!((failure.index, failure.errno()), (index, libc::ENOENT));
        assert!(failure.to_string().contains("/nonexistent/dir"), "{failure}");
        assert!(!failure.is_exec() && output.is_empty());
    });
}

#[test]
fn programs_are_found_as_a_shell_finds_them() {
    let dir = std::env::temp_dir().join(format!("ringfence-launcher-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory can be made");
    let script = dir.join("script");
    std::fs::write(&script, "echo script $1\n").expect("it can be written");
    let plain = dir.join("plain");
    std::fs::write(&plain, "x").expect("it can be written");
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&script, mode(0o755)).expect("its mode can be set");
    let attempt = |paths: &[&std::path::Path]| {
        let text =
            |path: &std::path::Path| CString::new(path.to_str().expect("text")).expect("text");
        let mut plan = plan(ON_HOST, "");
        plan.steps.pop();
        plan.steps.push(Step::Exec {
            candidates: paths.iter().map(|path| text(path)).collect(),
            args: vec![c"name".into(), c"argument".into()],
            env: Vec::new(),
        });
        run(Carrier::Program, plan)
    };
    let missing = dir.join("missing");
    let (reports, output) = attempt(&[&missing, &plain, &script]);
    assert_eq!((ended(&reports), output.as_str()), (ExitStatus::Exited(0), "script argument\n"));
    let failure = |paths: &[&std::path::Path]| match attempt(paths).0.remove(0) {
        Report::Failed(failure) => failure,
        other => panic!("{other:?}"),
    };
    assert!(failure(&[&missing]).not_found());
    assert!(failure(&[&plain.join("below"), &missing]).not_found());
    assert!(failure(&[&missing, &plain]).not_executable());
    std::fs::remove_dir_all(&dir).expect("it can be removed");
}

#[test]
fn the_init_cannot_be_looked_into_or_killed_by_the_command() {
    let script = "kill -9 1; kill -STOP 1; cat /proc/1/environ /proc/1/maps >/dev/null 2>&1 && echo read; echo alive";
    let mut plan = plan(IN_NAMESPACE, script);
    plan.steps.splice(
        0..0,
        [
            Step::Unshare { flags: libc::CLONE_NEWNS as u64 },
            Step::NewFs {
                into: ringfence_launcher::Slot(0),
                kind: "proc",
                options: vec![],
                attributes: 0,
            },
            Step::Attach {
                tree: ringfence_launcher::Slot(0),
                path: "/proc".into(),
                identity: None,
                cover: false,
            },
        ],
    );
    let drop_at = plan.steps.len() - 1;
    plan.steps.splice(drop_at..drop_at, [Step::NoNewPrivs, Step::DropPrivileges]);
    let (reports, output) = run(Carrier::Program, plan);
    assert_eq!((ended(&reports), output.as_str()), (ExitStatus::Exited(0), "alive\n"));
}

#[test]
fn many_at_once_do_not_mix() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..8 {
                    let word = format!("{thread}-{round}");
                    let (reports, output) = run(
                        CARRIERS[round % 2],
                        plan(
                            [ON_HOST, IN_NAMESPACE][thread % 2],
                            &format!("echo {word}; exit {round}"),
                        ),
                    );
                    assert_eq!(ended(&reports), ExitStatus::Exited(round as i32));
                    assert_eq!(output, format!("{word}\n"));
                }
            });
        }
    });
}

/// A plan that offers sockets of a network namespace of its own.
fn plan_that_offers(script: &str) -> Plan {
    let namespaces = IN_NAMESPACE | libc::CLONE_NEWNET as u64;
    let mut plan = plan(namespaces, script);
    plan.steps.splice(0..0, [Step::InterfaceUp { name: "lo" }, Step::OfferSockets]);
    plan
}

const TCP: [u32; 3] = [libc::AF_INET as u32, (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u32, 0];

#[test]
fn sockets_of_the_namespace_are_handed_out() {
    for carrier in CARRIERS {
        let script =
            "exec 3<>/dev/tcp/127.0.0.1/7 && read line <&3 && echo $line; ls /proc/self/fd | wc -l";
        let mut plan = plan_that_offers(script);
        if let Some(Step::Exec { candidates, .. }) = plan.steps.last_mut() {
            *candidates = vec![c"/bin/bash".into()];
        }
        let (tree, mut output) = start(carrier, plan);
        assert_eq!(tree.wait_report().expect("the socket works"), Some(Report::Sockets));
        let sockets = tree.take_sockets().expect("they came with the report");
        let mut made = sockets.open(&[TCP, [77, 77, 77]]).expect("the init answers");
        assert!(made.pop().expect("two answers").is_err(), "there is no such socket");
        let listener = made.remove(0).expect("a socket can be made");
        // The port is privileged, and the namespace is ours.
        let mut address: libc::sockaddr_in = unsafe_zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = 7_u16.to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: an address of that size.
        let bound = unsafe { libc::bind(listener.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: numbers only.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
        sockets.proceed().expect("the init listens");
        let listener = std::net::TcpListener::from(listener);
        let (mut stream, _) = listener.accept().expect("the command connects");
        std::io::Write::write_all(&mut stream, b"from outside\n").expect("it reads");
        let late = sockets.open(&[TCP]).expect("the init still answers");
        assert!(late[0].is_ok());
        drop(sockets);
        assert_eq!(ended(&reports(&tree)), ExitStatus::Exited(0));
        let mut text = String::new();
        output.read_to_string(&mut text).expect("the output is text");
        assert_eq!(text, "from outside\n5\n");
    }
}

fn unsafe_zeroed() -> libc::sockaddr_in {
    // SAFETY: numbers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

#[test]
fn a_tree_that_waits_for_the_gateway_ends_when_it_is_let_go() {
    for carrier in CARRIERS {
        let (tree, mut output) = start(carrier, plan_that_offers("echo never"));
        assert_eq!(tree.wait_report().expect("the socket works"), Some(Report::Sockets));
        let sockets = tree.take_sockets().expect("they came with the report");
        tree.kill().expect("the init listens");
        let [Report::Failed(failure)] = &reports(&tree)[..] else { panic!("it was started") };
        assert_eq!(failure.errno(), libc::ECANCELED);
        drop(sockets);
        let (tree, _) = start(carrier, plan_that_offers("echo never"));
        assert_eq!(tree.wait_report().expect("the socket works"), Some(Report::Sockets));
        drop(tree.take_sockets());
        assert!(matches!(reports(&tree)[..], [Report::Failed(_)]));
        drop(tree);
        let mut text = String::new();
        output.read_to_string(&mut text).expect("nobody holds the pipe");
        assert_eq!(text, "");
    }
}

fn deaths(reports: &[Report]) -> Vec<(i32, String, bool)> {
    let died = reports.iter().filter_map(|report| match report {
        Report::Died(died) => Some(died),
        _ => None,
    });
    let words = |died: &ringfence_launcher::Died| {
        (died.signal, died.program.to_string_lossy().into_owned(), died.command)
    };
    died.map(words).collect()
}

#[test]
fn deaths_by_the_signals_of_limits_are_told_by_name() {
    everywhere(|carrier, namespaces| {
        // Without a file system of its own the namespace has the outer /proc, where nobody goes by the same number.
        let name =
            |known: &str| if namespaces == ON_HOST { known.to_owned() } else { String::new() };
        let (reports, _) = run(carrier, plan(namespaces, "kill -XFSZ $$"));
        assert_eq!(deaths(&reports), [(25, name("sh"), true)], "{carrier:?}");
        let orphan = "(sh -c 'kill -XCPU $$' & echo $! > /dev/null) ; read x";
        let (reports, _) = run(carrier, plan(namespaces, orphan));
        for (signal, _, command) in deaths(&reports) {
            assert_eq!((signal, command), (24, false), "{carrier:?}: {reports:?}");
        }
        let (reports, _) = run(carrier, plan(namespaces, "kill -TERM $$"));
        assert_eq!(deaths(&reports), [], "{carrier:?}");
    });
}

#[test]
fn what_goes_to_storage_is_counted() {
    let directory = tempfile::tempdir_in("/var/tmp").expect("there is room for a file");
    let file = directory.path().join("file").display().to_string();
    let script = format!("head -c 1048576 /dev/zero > {file}");
    let (reports, _) = run(Carrier::Program, plan(ON_HOST, &script));
    let usage = usage(&reports);
    let disk = std::fs::read_to_string("/proc/self/io").is_ok();
    assert!(!disk || usage.written_bytes >= 1 << 20 || in_memory(&directory), "{usage:?}");
}

/// File systems in memory write nothing to storage.
fn in_memory(directory: &tempfile::TempDir) -> bool {
    let path = CString::new(directory.path().to_str().expect("a plain path")).expect("no NUL");
    // SAFETY: all zero is a valid structure.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string and the structure that the call fills.
    let known = unsafe { libc::statfs(path.as_ptr(), &raw mut stat) };
    known != 0 || stat.f_type == libc::TMPFS_MAGIC || stat.f_type == libc::OVERLAYFS_SUPER_MAGIC
}

#[test]
fn numbers_of_a_namespace_are_limited_and_the_machines_are_not() {
    let outside = || std::fs::read_to_string("/proc/sys/kernel/pid_max").expect("Linux has it");
    let before = outside();
    let highest: u64 = 400;
    for (carrier, said) in [(Carrier::Program, before.trim()), (Carrier::ForkedChild, "4194304")] {
        let mut plan = plan(IN_NAMESPACE, "cat /proc/sys/kernel/pid_max");
        let outside = said.parse().expect("a number");
        plan.steps.insert(0, Step::MostProcesses { highest, outside });
        let (reports, inside) = run(carrier, plan);
        let limited = reports
            .iter()
            .any(|report| matches!(report, Report::Started { most_processes: true, .. }));
        // Where it cannot be told whose number it is, nothing is changed.
        assert!(!limited || said != "4194304", "{reports:?}");
        assert_eq!(inside.trim() == "400", limited, "{inside} {reports:?}");
    }
    assert_eq!(outside(), before);
}

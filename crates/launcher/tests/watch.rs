//! A filter that is listened to, and layers over directories, on the real kernel.
//! Where a program inside is needed it is this very test program, asked for one probe.
#![cfg(target_os = "linux")]

use ringfence_launcher::{
    Carrier, Denied, DeniedKind, ExitStatus, Identity, MountAttributes, Plan, READ_ONLY, Report,
    Slot, Step, spawn_by,
};
use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::MetadataExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

const CARRIERS: [Carrier; 2] = [Carrier::Program, Carrier::ForkedChild];
const ON_HOST: u64 = 0;
const IN_NAMESPACES: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;
const PROBE: &str = "RINGFENCE_PROBE";

/// A filter that hands these calls on, with what becomes of them where nobody listens.
fn filter(calls: &[(libc::c_long, i32)]) -> Vec<[u8; 8]> {
    let instruction = |code: u16, if_true: u8, if_false: u8, k: u32| {
        let (code, k) = (code.to_ne_bytes(), k.to_ne_bytes());
        [code[0], code[1], if_true, if_false, k[0], k[1], k[2], k[3]]
    };
    let mut program = vec![instruction(0x20, 0, 0, 0)];
    for (call, otherwise) in calls {
        program.push(instruction(0x15, 0, 1, *call as u32));
        program.push(instruction(0x06, 0, 0, 0x7fc0_0000 | otherwise.unsigned_abs()));
    }
    program.push(instruction(0x06, 0, 0, 0x7fff_0000));
    program
}

const HANDED: &[(libc::c_long, i32)] =
    &[(libc::SYS_connect, 0), (libc::SYS_chroot, libc::EPERM), (libc::SYS_unlinkat, 0)];

/// Where the command lives: in namespaces it has a `/proc` of its own.
fn setup(namespaces: u64) -> Vec<Step> {
    if namespaces == ON_HOST {
        return vec![Step::Subreaper];
    }
    let tree = Slot(0);
    let flags = (libc::CLONE_NEWNS | libc::CLONE_NEWNET) as u64;
    let private = MountAttributes { set: 0, recursive: true, private: true };
    vec![
        Step::Unshare { flags },
        Step::InterfaceUp { name: "lo" },
        Step::MountAttr { path: "/".into(), attributes: private },
        Step::NewFs { into: tree, kind: "proc", options: vec![], attributes: 0 },
        Step::Attach { tree, path: "/proc".into(), identity: None, cover: false },
    ]
}

fn text(text: &str) -> CString {
    CString::new(text).expect("no NUL byte in a test's words")
}

fn plan(namespaces: u64, allowed: &[Identity], args: &[&str], probe: &str) -> Plan {
    let mut steps = setup(namespaces);
    steps.push(Step::Watch {
        own_network: namespaces != ON_HOST,
        any_socket: false,
        gateway: false,
    });
    steps.extend(allowed.iter().map(|socket| Step::WatchAllow { socket: *socket }));
    steps.extend([Step::NewSession, Step::ResetSignals, Step::Stdio, Step::NoNewPrivs]);
    steps.extend([Step::DropPrivileges, Step::CloseOthers]);
    steps.push(Step::Seccomp { program: filter(HANDED), listen: true });
    steps.push(Step::Exec {
        candidates: vec![text(args[0])],
        args: args.iter().map(|arg| text(arg)).collect(),
        env: vec![text("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), text(&format!("{PROBE}={probe}"))],
    });
    Plan { namespaces, linger_ms: 20, steps }
}

struct Outcome {
    listening: bool,
    status: ExitStatus,
    denied: Vec<Denied>,
    output: String,
}

fn run(carrier: Carrier, plan: Plan) -> Outcome {
    let (mut reader, writer) = io::pipe().expect("a pipe can be had");
    let nothing = File::open("/dev/null").expect("/dev/null is there");
    let stdio = [nothing.as_fd(), writer.as_fd(), writer.as_fd()];
    let tree = spawn_by(carrier, &Arc::new(plan), stdio).expect("the tree starts");
    drop(writer);
    let (mut heard, mut status, mut denied, mut output) = (None, None, Vec::new(), String::new());
    reader.read_to_string(&mut output).expect("the output is text");
    while let Some(report) = tree.wait_report().expect("the socket works") {
        match report {
            Report::Started { listening, .. } => heard = Some(listening),
            Report::CommandExited { status: ended } => status = Some(ended),
            Report::Denied(told) => denied.push(told),
            Report::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
    let listening = heard.expect("the command was started");
    let status = status.expect("the command ended");
    Outcome { listening, status, denied, output }
}

fn everywhere(check: impl Fn(Carrier, u64)) {
    for carrier in CARRIERS {
        for namespaces in [ON_HOST, IN_NAMESPACES] {
            check(carrier, namespaces);
        }
    }
}

fn shell(carrier: Carrier, namespaces: u64, script: &str) -> Outcome {
    run(carrier, plan(namespaces, &[], &["/bin/sh", "-c", script], ""))
}

fn probe(carrier: Carrier, namespaces: u64, allowed: &[Identity], words: &[&str]) -> Outcome {
    let itself = std::env::current_exe().expect("it has a path");
    let itself = itself.to_str().expect("the path is text");
    let args = [itself, "--exact", "probes", "--nocapture", "--test-threads=1"];
    run(carrier, plan(namespaces, allowed, &args, &words.join("\n")))
}

/// Not a test by itself: the program that the others start.
#[test]
fn probes() {
    let words = std::env::var(PROBE).unwrap_or_default();
    let words: Vec<&str> = words.split('\n').filter(|word| !word.is_empty()).collect();
    let done = match words[..] {
        [] => return,
        ["connect", path] => UnixStream::connect(path).map(drop),
        ["serve", path] => serve(path),
        ["run-another", path] => run_another(path),
        ["alarm"] => alarm(),
        ref other => panic!("no such probe: {other:?}"),
    };
    if let Err(error) = done {
        println!("{error}");
        std::process::exit(error.raw_os_error().unwrap_or(1));
    }
}

fn serve(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let client = UnixStream::connect(path)?;
    drop((client, listener.accept()?));
    fs::remove_file(path)
}

/// A tree within a tree: a second listener is not to be had, which is told as the failure of
/// the step. Without one the connections inside are the outer one's to judge.
fn run_another(host: &str) -> io::Result<()> {
    for carrier in CARRIERS {
        let nothing = File::open("/dev/null")?;
        let stdio = [nothing.as_fd(), nothing.as_fd(), nothing.as_fd()];
        let heard = plan(ON_HOST, &[], &["/bin/true"], "");
        let tree = spawn_by(carrier, &Arc::new(heard), stdio).expect("the tree starts");
        match tree.wait_report()? {
            Some(Report::Failed(failure)) => assert_eq!(failure.errno(), libc::EBUSY, "{failure}"),
            other => panic!("two listeners: {other:?}"),
        }
    }
    UnixStream::connect(host).map(drop)
}

/// A SIGALRM for this thread, again and again: the first may come before it waits.
fn remind_this_thread() -> io::Result<()> {
    // SAFETY: all zero is a valid event.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = libc::SIGALRM;
    // SAFETY: it takes nothing.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: the event is read, the timer written.
    if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let period = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let times = libc::itimerspec { it_interval: period, it_value: period };
    // SAFETY: the timer was made just now, the times are read.
    match unsafe { libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A call that waits is interrupted by a signal with a handler, and only by such.
fn alarm() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // SAFETY: numbers only; a queue of one place is full after two connections.
    unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) };
    // SAFETY: all zero is a valid action: no flags, so that calls are not begun again.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the action is read; nothing is written.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    remind_this_thread()?;
    let mut kept = Vec::new();
    loop {
        let std::net::SocketAddr::V4(v4) = address else { unreachable!("it was bound so") };
        // SAFETY: numbers only.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
        let to = libc::sockaddr_in {
            sin_family: libc::AF_INET as u16,
            sin_port: v4.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
            sin_zero: [0; 8],
        };
        // SAFETY: the address is as long as said.
        if unsafe { libc::connect(fd, (&raw const to).cast(), 16) } != 0 {
            let error = io::Error::last_os_error();
            let interrupted = error.kind() == io::ErrorKind::Interrupted;
            return if interrupted && !kept.is_empty() { Ok(()) } else { Err(error) };
        }
        kept.push(fd);
    }
}

/// A directory that the host's view shows, with a server in it.
fn host_server() -> (tempfile::TempDir, PathBuf, UnixListener) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = dir.path().join("host");
    let listener = UnixListener::bind(&path).expect("it can be bound");
    listener.set_nonblocking(true).expect("it can be set");
    (dir, path, listener)
}

fn identity(path: &Path) -> Identity {
    let metadata = fs::metadata(path).expect("it is there");
    Identity { device: metadata.dev(), inode: metadata.ino() }
}

#[test]
fn refused_calls_are_told_with_a_count() {
    everywhere(|carrier, namespaces| {
        let outcome = shell(carrier, namespaces, "for i in 1 2 3; do chroot / true; done; exit 7");
        assert!(outcome.listening);
        assert_eq!(outcome.status, ExitStatus::Exited(7));
        assert!(outcome.denied.iter().all(|denied| {
            (denied.kind, denied.target.as_bytes(), denied.program.as_bytes())
                == (DeniedKind::SystemCall, b"chroot", b"chroot")
        }));
        assert_eq!(outcome.denied.iter().map(|denied| denied.count).sum::<u64>(), 3);
    });
}

#[test]
fn the_command_holds_nothing_of_the_listener() {
    everywhere(|carrier, namespaces| {
        let outcome = shell(carrier, namespaces, "echo $(ls /proc/self/fd | wc -l)");
        assert_eq!(outcome.output, "4\n");
    });
}

#[test]
fn only_own_and_allowed_sockets_are_connected_to() {
    let (dir, path, listener) = host_server();
    let name = path.to_str().expect("the path is text");
    everywhere(|carrier, namespaces| {
        let refused = probe(carrier, namespaces, &[], &["connect", name]);
        assert_eq!(refused.status, ExitStatus::Exited(libc::EACCES), "{}", refused.output);
        let told = &refused.denied[..];
        assert!(matches!(told, [d] if d.kind == DeniedKind::UnixSocket && d.target == *name));
        assert!(listener.accept().is_err(), "the server was reached");
        let allowed = probe(carrier, namespaces, &[identity(&path)], &["connect", name]);
        assert_eq!(allowed.status, ExitStatus::Exited(0), "{}", allowed.output);
        listener.accept().expect("the server was reached");
        let own = dir.path().join("own");
        let own = probe(carrier, namespaces, &[], &["serve", own.to_str().expect("text")]);
        assert_eq!(own.status, ExitStatus::Exited(0), "{}", own.output);
    });
}

/// There a file's numbers are not those the kernel lists its socket by.
#[test]
fn own_sockets_work_in_a_layer() {
    for carrier in CARRIERS {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let [lower, upper, work] = layer(dir.path());
        let (host, is) = (lower.join("host"), identity(&lower));
        let listener = UnixListener::bind(&host).expect("it can be bound");
        listener.set_nonblocking(true).expect("it can be set");
        let over = layered([&lower, &upper, &work], is, 0, "").steps;
        let over = over.into_iter().filter(|step| {
            matches!(step, Step::Overlay { .. })
                || matches!(step, Step::Attach { tree: Slot(1), .. })
        });
        let check = |path: &Path, word: &str, expect: i32| {
            let itself = std::env::current_exe().expect("it has a path");
            let words = format!("{word}\n{}", path.to_str().expect("the path is text"));
            let args = [itself.to_str().expect("text"), "--exact", "probes", "--nocapture"];
            let mut plan = plan(IN_NAMESPACES, &[], &args, &words);
            let end = setup(IN_NAMESPACES).len();
            plan.steps.splice(end..end, over.clone());
            let outcome = run(carrier, plan);
            assert_eq!(outcome.status, ExitStatus::Exited(expect), "{}", outcome.output);
        };
        check(&lower.join("own"), "serve", 0);
        check(&host, "connect", libc::EACCES);
        assert!(listener.accept().is_err(), "the server was reached");
        let_it_be_removed(&work);
    }
}

#[test]
fn within_a_tree_there_is_no_second_listener() {
    let (_dir, path, _listener) = host_server();
    let name = path.to_str().expect("the path is text");
    everywhere(|carrier, namespaces| {
        let outcome = probe(carrier, namespaces, &[], &["run-another", name]);
        assert!(outcome.listening);
        assert_eq!(outcome.status, ExitStatus::Exited(libc::EACCES), "{}", outcome.output);
    });
}

#[test]
fn a_signal_interrupts_who_waits_for_a_connection() {
    everywhere(|carrier, namespaces| {
        let outcome = probe(carrier, namespaces, &[], &["alarm"]);
        assert_eq!(outcome.status, ExitStatus::Exited(0), "{}", outcome.output);
    });
}

#[test]
fn a_program_that_does_not_exist_is_told_all_the_same() {
    everywhere(|carrier, namespaces| {
        let plan = plan(namespaces, &[], &["/nonexistent/program"], "");
        let nothing = File::open("/dev/null").expect("/dev/null is there");
        let stdio = [nothing.as_fd(); 3];
        let tree = spawn_by(carrier, &Arc::new(plan), stdio).expect("the tree starts");
        match tree.wait_report().expect("the socket works") {
            Some(Report::Failed(failure)) => assert!(failure.not_found(), "{failure}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(tree.wait_report().expect("the socket works"), None);
    });
}

/// A layer takes up every change, and what lies below stays as it is, whatever the
/// directories are called.
#[test]
fn changes_go_to_the_layer_whatever_its_directories_are_called() {
    let names = ["plain", "a:b", "a,b=c", "back\\slash", "sp ace\n", "quote'\"", "ünï"];
    for carrier in CARRIERS {
        for name in names {
            let dir = tempfile::tempdir().expect("a directory can be made");
            let [lower, upper, work] = layer(&dir.path().join(name));
            let script = "echo after > file; echo new > dir/new; rm -f doomed; cat file dir/new";
            let plan = layered([&lower, &upper, &work], identity(&lower), 0, script);
            let outcome = run(carrier, plan);
            assert_eq!(outcome.output, "after\nnew\n", "{name}");
            let content = |path: &Path| fs::read_to_string(path).expect("it is there");
            assert_eq!(content(&lower.join("file")), "before");
            assert_eq!(content(&lower.join("doomed")), "before");
            assert_eq!(content(&upper.join("file")), "after\n");
            assert_eq!(content(&upper.join("dir/new")), "new\n");
            assert!(fs::symlink_metadata(upper.join("doomed")).is_ok(), "it is whited out");
            let_it_be_removed(&work);
        }
    }
}

/// Three directories for a layer, the lower one with something in it.
fn layer(base: &Path) -> [PathBuf; 3] {
    let parts = ["lower", "upper", "work"].map(|part| base.join(part));
    for part in &parts {
        fs::create_dir_all(part).expect("it can be made");
    }
    fs::create_dir(parts[0].join("dir")).expect("it can be made");
    for name in ["file", "doomed"] {
        fs::write(parts[0].join(name), "before").expect("it can be written");
    }
    parts
}

/// The kernel leaves a directory in the scratch directory that nobody has a right to.
fn let_it_be_removed(work: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(work.join("work"), mode).expect("it is the user's own");
}

fn layered([lower, upper, work]: [&Path; 3], is: Identity, attributes: u64, script: &str) -> Plan {
    let mut steps = setup(IN_NAMESPACES);
    steps.push(Step::Overlay {
        into: Slot(1),
        lower: lower.to_owned(),
        identity: Some(is),
        upper: upper.to_owned(),
        work: work.to_owned(),
        attributes,
    });
    let path = lower.to_owned();
    steps.push(Step::Attach { tree: Slot(1), path, identity: None, cover: false });
    steps.extend([Step::Stdio, Step::CloseOthers, Step::NoNewPrivs, Step::DropPrivileges]);
    steps.push(Step::Chdir { path: lower.to_owned() });
    steps.push(Step::Exec {
        candidates: vec![text("/bin/sh")],
        args: ["sh", "-c", script].map(text).into(),
        env: vec![text("PATH=/usr/bin:/bin")],
    });
    Plan { namespaces: IN_NAMESPACES, linger_ms: 20, steps }
}

/// The step that must fail, and how.
fn fails(plan: Plan) -> (usize, i32) {
    let nothing = File::open("/dev/null").expect("/dev/null is there");
    let tree = spawn_by(Carrier::Program, &Arc::new(plan), [nothing.as_fd(); 3]).expect("starts");
    match tree.wait_report().expect("the socket works") {
        Some(Report::Failed(failure)) => (failure.index, failure.errno()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_layer_over_something_else_than_was_looked_at_stops_the_start() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let [lower, upper, work] = layer(dir.path());
    let other = identity(dir.path());
    let plan = layered([&lower, &upper, &work], other, READ_ONLY, "true");
    assert_eq!(fails(plan), (setup(IN_NAMESPACES).len(), libc::ESTALE));
}

/// The kernel makes a layer read-only when it cannot use the scratch directory; nobody
/// would know why nothing can be written.
#[test]
fn a_layer_that_cannot_take_up_changes_stops_the_start() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let [lower, upper, work] = layer(dir.path());
    // It cleans up after itself, but not after others.
    fs::create_dir_all(work.join("work/of/somebody/else/deep/down")).expect("it can be made");
    let plan = layered([&lower, &upper, &work], identity(&lower), 0, "true");
    assert_eq!(fails(plan), (setup(IN_NAMESPACES).len(), libc::EROFS));
}

//! What the init does with the calls it is handed: connections it carries out, refusals
//! it tells. The programs inside are this very test program, asked for one probe.
#![cfg(target_os = "linux")]

#[path = "../support/place.rs"]
mod place;
#[path = "../support/spec.rs"]
mod plain;
mod probe;
mod sys;

use place::place;
use probe::abstract_address;
use ringfence_sandbox::{
    Denied, DeniedKind, ExitStatus, FileView, Files, Network, Process, Program, Report, Sandbox,
    SandboxSpec, Stdio, Trace, Tree, UnixSockets,
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

fn spec(workspace: &Path) -> SandboxSpec {
    let itself = std::env::current_exe().expect("it has a path");
    let view = FileView {
        writable: vec![workspace.to_owned()],
        readable: vec![itself],
        ..FileView::default()
    };
    SandboxSpec { trace: Trace::AllChanges, ..plain::spec(workspace, view) }
}

/// A workspace, and beside it what is not to be reached.
struct Ground {
    dir: TempDir,
    spec: SandboxSpec,
}

impl Ground {
    fn new() -> Self {
        let dir = place();
        fs::create_dir(dir.path().join("ws")).expect("it can be made");
        let spec = spec(&dir.path().join("ws"));
        Self { dir, spec }
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.spec.workspace.join(name)
    }

    /// A server of the host that counts who reaches it.
    fn host_server(&self, name: &str) -> Server {
        Server::start(UnixListener::bind(self.outside(name)).expect("it can be bound"))
    }
}

struct Server {
    reached: Arc<AtomicUsize>,
    asked: AtomicUsize,
    end: Arc<AtomicBool>,
    address: UnixAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(listener: UnixListener) -> Self {
        let address = listener.local_addr().expect("it has an address");
        let (reached, end) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, over) = (Arc::clone(&reached), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                counter.fetch_add(1, Ordering::AcqRel);
                drop(stream.and_then(|mut stream| stream.write_all(b"host")));
            }
        });
        Self { reached, asked: AtomicUsize::new(0), end, address, thread: Some(thread) }
    }

    /// How many have reached it. It takes them in one after the other, so who asks last is
    /// served when all before it are counted; this also shows that it can be reached.
    fn reached(&self) -> usize {
        let mut last = UnixStream::connect_addr(&self.address).expect("outside it can be reached");
        last.read_exact(&mut [0; 4]).expect("it answers");
        let asked = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.reached.load(Ordering::Acquire) - asked
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        drop(UnixStream::connect_addr(&self.address));
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// What came of a run.
struct Outcome {
    status: ExitStatus,
    output: String,
    denied: Vec<Denied>,
    untold: u64,
}

impl Outcome {
    /// How often it was told that this was refused.
    fn count(&self, kind: DeniedKind, target: impl AsRef<OsStr>) -> u64 {
        let same = |d: &&Denied| d.kind == kind && d.target == target.as_ref();
        self.denied.iter().filter(same).map(|denied| denied.count).sum()
    }
}

const PROBE: &str = "RINGFENCE_PROBE";

fn start(spec: &SandboxSpec, program: &[&str], env: &[(&str, &str)]) -> (Tree, io::PipeReader) {
    let sandbox = Sandbox::prepare(spec).expect("the sandbox can be prepared");
    let (reader, writer) = io::pipe().expect("a pipe can be had");
    let stdio = Stdio {
        stdin: File::open("/dev/null").expect("/dev/null is there").into(),
        stdout: writer.try_clone().expect("it can be copied").into(),
        stderr: writer.into(),
    };
    let mut variables = vec![("PATH".into(), "/usr/bin:/bin".into())];
    variables.extend(env.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let process = Process {
        program: Program::Search { name: program[0].into(), path: "/bin:/usr/bin".into() },
        args: program.iter().map(Into::into).collect(),
        env: variables,
        cwd: spec.workspace.clone(),
        rlimits: Vec::new(),
        linger: Duration::from_millis(20),
        temp: None,
        proxy: None,
    };
    (sandbox.start(&process, &stdio).expect("it starts"), reader)
}

fn follow(tree: &Tree, mut reader: io::PipeReader) -> Outcome {
    let output = std::thread::spawn(move || {
        let mut output = Vec::new();
        reader.read_to_end(&mut output).map(|_| String::from_utf8_lossy(&output).into_owned())
    });
    let (mut status, mut denied, mut untold) = (None, Vec::new(), 0);
    while let Some(report) = tree.wait_report().expect("the socket works") {
        match report {
            Report::Started { listening, .. } => assert!(listening, "nobody listens"),
            Report::CommandExited { status: ended } => status = Some(ended),
            Report::Denied(told) => denied.push(told),
            Report::Untold { count } => untold = count,
            Report::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
    let status = status.expect("the command ended");
    let output = output.join().expect("it does not panic").expect("the pipe can be read");
    Outcome { status, output, denied, untold }
}

/// Runs a probe of this program in the sandbox.
fn run(spec: &SandboxSpec, words: &[&str]) -> Outcome {
    let itself = std::env::current_exe().expect("it has a path");
    let itself = itself.to_str().expect("the path is text");
    let program = [itself, "--exact", "probes", "--nocapture", "--test-threads=1"];
    let (tree, reader) = start(spec, &program, &[(PROBE, &words.join("\n"))]);
    follow(&tree, reader)
}

fn shell(spec: &SandboxSpec, script: &str) -> Outcome {
    let (tree, reader) = start(spec, &["sh", "-c", script], &[]);
    follow(&tree, reader)
}

/// The probe finds what it looks for.
#[track_caller]
fn works(spec: &SandboxSpec, words: &[&str]) -> Outcome {
    let outcome = run(spec, words);
    assert_eq!(outcome.status, ExitStatus::Exited(0), "{words:?}: {}", outcome.output);
    outcome
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

/// Not a test by itself: the program that the others start.
#[test]
fn probes() {
    let Ok(words) = std::env::var(PROBE) else { return };
    let words: Vec<&str> = words.split('\n').collect();
    if let Err(error) = probe::carry_out(&words) {
        println!("{error}");
        std::process::exit(1);
    }
}

// ---------------------------------------------------------------------------------------
// Sockets.

#[test]
fn a_socket_of_the_host_cannot_be_reached_by_any_way() {
    let ground = Ground::new();
    let server = ground.host_server("host");
    let host = ground.outside("host");
    let link = ground.inside("link");
    std::os::unix::fs::symlink(&host, &link).expect("it can be made");
    let hard = ground.inside("hard");
    fs::hard_link(&host, &hard).expect("it can be made");
    let relative = "../host";
    let by_proc = "/proc/self/cwd/../host";
    let root = format!("/proc/self/root{}", text(&host));
    for way in [text(&host), text(&link), text(&hard), relative, by_proc, &root] {
        let refused = ["connect-refused", way, &libc::EACCES.to_string()];
        let outcome = works(&ground.spec, &refused);
        let told = if way == text(&hard) { &hard } else { &host };
        assert_eq!(outcome.count(DeniedKind::UnixSocket, told), 1, "{way}: {:?}", outcome.denied);
    }
    assert_eq!(server.reached(), 0);
}

#[test]
fn with_the_callers_sockets_those_of_the_host_can_be_reached() {
    let mut ground = Ground::new();
    let server = ground.host_server("host");
    let other = ground.host_server("other");
    let host = ground.outside("host");
    ground.spec.unix_sockets = UnixSockets::Inherit;
    works(&ground.spec, &["connect", text(&host)]);
    assert_eq!((server.reached(), other.reached()), (1, 0));
}

#[test]
fn own_sockets_work_wherever_they_are() {
    let ground = Ground::new();
    for network in [Network::Deny, Network::Inherit] {
        let spec = SandboxSpec { network: network.clone(), ..ground.spec.clone() };
        let workspace = ground.inside("own");
        for path in ["/tmp/own", text(&workspace), "relative", "./x/../relative", "/dev/shm/own"] {
            fs::create_dir_all(ground.inside("x")).expect("it can be made");
            let outcome = works(&spec, &["serve-and-connect", path]);
            assert_eq!(outcome.denied, [], "{network:?} {path}");
        }
        works(&spec, &["serve-abstract"]);
        works(&spec, &["packets", "/tmp/packets"]);
        works(&spec, &["undumpable", "/tmp/undumpable"]);
        works(&spec, &["backlog", "/tmp/backlog"]);
    }
}

#[test]
fn abstract_names_of_the_host_cannot_be_reached_over_its_network() {
    let ground = Ground::new();
    let name = format!("ringfence-host-{}", std::process::id());
    let address = abstract_address(&name).expect("it is a name");
    let server = Server::start(UnixListener::bind_addr(&address).expect("it can be bound"));
    let spec = SandboxSpec { network: Network::Inherit, ..ground.spec.clone() };
    let outcome = run(&spec, &["connect-abstract", &name]);
    assert_eq!(outcome.status, ExitStatus::Exited(1), "{}", outcome.output);
    assert_eq!(outcome.count(DeniedKind::UnixSocket, format!("@{name}")), 1);
    assert_eq!(server.reached(), 0);
}

#[test]
fn no_race_reaches_a_socket_of_the_host() {
    for network in [Network::Deny, Network::Inherit] {
        let ground = Ground::new();
        let spec = SandboxSpec { network: network.clone(), ..ground.spec.clone() };
        let server = ground.host_server("host");
        let host = ground.outside("host");
        for race in ["flip-address", "flip-descriptor", "flip-link"] {
            works(&spec, &[race, &format!("/tmp/{race}"), text(&host)]);
        }
        assert_eq!(server.reached(), 0);
    }
}

#[test]
fn datagrams_reach_nobody_but_the_other_half_of_a_pair() {
    let ground = Ground::new();
    let host = ground.outside("host");
    let receiver = UnixDatagram::bind(&host).expect("it can be bound");
    receiver.set_nonblocking(true).expect("it can be set");
    let outcome = works(&ground.spec, &["datagrams", text(&host)]);
    let what = "socket(AF_UNIX, SOCK_DGRAM)";
    assert_eq!(outcome.count(DeniedKind::SystemCall, what), 1, "{:?}", outcome.denied);
    let nothing = receiver.recv(&mut [0; 8]).expect_err("nothing has arrived");
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    let sender = UnixDatagram::unbound().expect("outside one can be made");
    sender.send_to(b"word", &host).expect("and reaches it");
}

#[test]
fn nonsense_gets_the_kernels_answer_and_disturbs_nobody() {
    let ground = Ground::new();
    works(&ground.spec, &["bad-arguments", "/tmp/none"]);
    works(&ground.spec, &["die-while-asking", "/tmp/dying"]);
    works(&ground.spec, &["crowd"]);
    works(&ground.spec, &["descriptors"]);
    works(&ground.spec, &["limits"]);
}

#[test]
fn who_waits_for_a_connection_can_be_killed() {
    let ground = Ground::new();
    let script = "echo up; exec \"$0\" --exact probes --nocapture";
    let itself = std::env::current_exe().expect("it has a path");
    let program = ["sh", "-c", script, text(&itself)];
    let (tree, mut reader) = start(&ground.spec, &program, &[(PROBE, "crowd")]);
    reader.read_exact(&mut [0; 3]).expect("it is up");
    tree.kill().expect("the init listens");
    assert_eq!(follow(&tree, reader).status, ExitStatus::Signaled(libc::SIGKILL));
}

// ---------------------------------------------------------------------------------------
// Network.

#[test]
fn connections_inside_work_and_those_outside_are_told() {
    let ground = Ground::new();
    let outcome = works(&ground.spec, &["tcp"]);
    assert_eq!(outcome.denied, []);
    let outcome = works(&ground.spec, &["no-way-out"]);
    for target in ["192.0.2.1:80", "[2001:db8::1]:443", "127.0.0.53:53"] {
        assert_eq!(outcome.count(DeniedKind::Network, target), 1, "{target}");
    }
}

// ---------------------------------------------------------------------------------------
// Files and calls.

#[test]
fn refused_changes_are_told_with_path_program_and_count() {
    let ground = Ground::new();
    fs::write(ground.outside("file"), "before").expect("it can be written");
    fs::create_dir(ground.outside("dir")).expect("it can be made");
    let check = |script: &str, names: &[&str]| {
        let outcome = shell(&ground.spec, script);
        let mut told: Vec<_> =
            outcome.denied.iter().map(|d| (d.kind, PathBuf::from(&d.target))).collect();
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told.dedup();
        let expect: Vec<_> =
            names.iter().map(|name| (DeniedKind::FileWrite, ground.outside(name))).collect();
        assert_eq!(told, expect, "{script}: {}", outcome.output);
    };
    check("echo x > ../new", &["new"]);
    check("echo x >> ../file", &["file"]);
    check("ln -s ../file link; echo x > link", &["file"]);
    check("mkdir ../made", &["made"]);
    check("rm -f ../file", &["file"]);
    check("rmdir ../dir", &["dir"]);
    check("mv ../file ../moved", &["file", "moved"]);
    check("chmod 600 ../file", &["file"]);
    check("touch ../file", &["file"]);
    check("ln -s x ../linked", &["linked"]);
    check("truncate -s 0 ../file", &["file"]);
    // What is allowed, and what would fail anywhere, is not told.
    check("echo x > own; mv own other; chmod 600 other; rm other; mkdir d; rmdir d", &[]);
    check("cat ../file; test -w ../file; rm -f ../absent; mkdir ../dir; echo > ../no/dir", &[]);
    check("echo > /dev/null; echo > /tmp/x; : > /dev/shm/y", &[]);
    let outcome = shell(&ground.spec, "for i in 1 2 3; do touch ../file; done");
    assert_eq!(outcome.count(DeniedKind::FileWrite, ground.outside("file")) % 3, 0);
    assert!(outcome.denied.iter().all(|denied| denied.program == "touch"), "{:?}", outcome.denied);
}

#[test]
fn a_protected_file_that_cannot_be_replaced_is_told() {
    let mut ground = Ground::new();
    let kept = ground.inside("kept");
    fs::write(&kept, "before").expect("it can be written");
    let Files::View(view) = &mut ground.spec.files else { panic!("it is a view") };
    view.readable.push(kept.clone());
    for script in ["echo > kept", "rm -f kept", "echo > new; mv -f new kept"] {
        let outcome = shell(&ground.spec, script);
        assert!(outcome.count(DeniedKind::FileWrite, &kept) > 0, "{script}: {:?}", outcome.denied);
    }
}

#[test]
fn what_is_hidden_is_told_when_it_is_read() {
    let mut ground = Ground::new();
    let (file, dir) = (ground.outside("secret"), ground.outside("secrets"));
    fs::write(&file, "x").expect("it can be written");
    fs::create_dir(&dir).expect("it can be made");
    fs::write(dir.join("inner"), "x").expect("it can be written");
    let Files::View(view) = &mut ground.spec.files else { panic!("it is a view") };
    view.hidden = vec![file.clone(), dir.clone()];
    let script = "cat ../secret; cat ../secrets/inner; ls ../secrets; cat ../none; cat /etc/passwd";
    let silent = shell(&ground.spec, script);
    assert_eq!(silent.denied, []);
    ground.spec.trace = Trace::Reads;
    let outcome = shell(&ground.spec, script);
    for path in [file.clone(), dir.join("inner"), dir.clone()] {
        assert_eq!(outcome.count(DeniedKind::FileRead, &path), 1, "{:?}", outcome.denied);
    }
    assert_eq!(outcome.denied.len(), 3, "{:?}", outcome.denied);
    let outcome = shell(&ground.spec, "echo > ../secret; echo > ../secrets/new");
    for path in [file, dir.join("new")] {
        assert_eq!(outcome.count(DeniedKind::FileWrite, &path), 1, "{:?}", outcome.denied);
    }
}

#[test]
fn a_flood_of_refusals_is_counted() {
    let ground = Ground::new();
    let outcome = works(&ground.spec, &["flood", text(ground.dir.path())]);
    assert_eq!(outcome.count(DeniedKind::FileWrite, ground.outside("same")), 5000);
    let different: std::collections::BTreeSet<_> =
        outcome.denied.iter().map(|d| &d.target).collect();
    assert!(different.len() <= 500, "{} were told", different.len());
    let told: u64 = outcome.denied.iter().map(|denied| denied.count).sum();
    assert_eq!(told + outcome.untold, 10_000);
}

#[test]
fn refused_calls_are_told_by_name() {
    let ground = Ground::new();
    let check = |script: &str, name: &str| {
        let outcome = shell(&ground.spec, script);
        assert!(outcome.count(DeniedKind::SystemCall, name) > 0, "{script}: {}", outcome.output);
    };
    check("mount -t tmpfs x /tmp", "mount");
    check("unshare -m true", "unshare");
    check("umount /tmp", "umount");
    check("hostname elsewhere", "sethostname");
    check("nsenter -t $$ -m true", "setns");
}

#[test]
fn names_with_odd_characters_are_told_as_they_are() {
    let ground = Ground::new();
    let name = OsStr::from_bytes(b"odd \xff,:\\\n'");
    fs::write(ground.dir.path().join(name), "x").expect("it can be written");
    let outcome = shell(&ground.spec, "rm -f ../odd*");
    let path = ground.dir.path().join(name);
    assert_eq!(outcome.count(DeniedKind::FileWrite, path), 1, "{:?}", outcome.denied);
}

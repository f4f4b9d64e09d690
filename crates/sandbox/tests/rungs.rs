//! What holds on each rung of the ladder, and which rung is found where the kernel refuses more.
//!
//! A rung is forced by name for the attacks; for the fall itself the test runs again, as a child,
//! where namespaces, a new `/proc` or both are refused for real. Everything is done twice when
//! the tests run as root: by it, and by an ordinary user.
#![cfg(target_os = "linux")]

#[path = "support/ended.rs"]
mod ended;
#[path = "support/spec.rs"]
mod spec;

use ended::ended;
use ringfence_sandbox::{
    Backend, Confinement, ExitStatus, FileView, Files, Level, Network, Process, Program, Report,
    Rung, Sandbox, SandboxError, SandboxSpec, Stdio, UnixSockets,
};
use spec::spec;
use std::{
    env,
    fs::{self, File, Permissions},
    io::ErrorKind,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio as ChildStdio},
    time::Duration,
};
use tempfile::TempDir;

/// Where the tests of an ordinary user may write; set by the super-user's.
const PLACE: &str = "RINGFENCE_TEST_PLACE";
/// What a child must find: the name of a backend and whether it is nested.
const EXPECT: &str = "RINGFENCE_TEST_EXPECT";
const NOBODY: u32 = 65534;

/// A directory that no private one covers, where there is one to be had.
fn place() -> TempDir {
    let given = env::var_os(PLACE).map(PathBuf::from);
    let homes = env::var_os("HOME").map(PathBuf::from);
    let candidates = given.into_iter().chain(["/srv".into()]).chain(homes);
    candidates
        .chain([env!("CARGO_TARGET_TMPDIR").into()])
        .find_map(|dir: PathBuf| tempfile::tempdir_in(dir).ok())
        .expect("a directory can be made")
}

/// A home directory with a key, a project and a neighbour.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: place() };
        for name in ["ws", "other", ".ssh", "private"] {
            fs::create_dir(home.path(name)).expect("it can be made");
        }
        for name in ["other/file", ".ssh/key", ".netrc", "private/file", "beside"] {
            fs::write(home.path(name), "before\n").expect("it can be written");
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("it is there").join(name)
    }

    fn view(&self) -> FileView {
        FileView {
            writable: vec![self.path("ws")],
            hidden: vec![self.path("private")],
            homes: vec![self.path("")],
            ..FileView::default()
        }
    }

    fn spec(&self) -> SandboxSpec {
        spec(&self.path("ws"), self.view())
    }

    fn host_spec(&self) -> SandboxSpec {
        SandboxSpec {
            confinement: Confinement::Host,
            files: Files::Inherit,
            network: Network::Inherit,
            unix_sockets: UnixSockets::Inherit,
            ..self.spec()
        }
    }
}

fn process(cwd: &Path, program: &str, args: &[&str]) -> Process {
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    Process {
        program: Program::Search { name: program.into(), path: path.clone() },
        args: [program].iter().chain(args).map(Into::into).collect(),
        env: vec![("PATH".into(), path)],
        cwd: cwd.to_owned(),
        rlimits: Vec::new(),
        linger: Duration::from_millis(20),
        temp: None,
        proxy: None,
        terminal: None,
    }
}

fn stdio() -> (std::io::PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().expect("a pipe can be had");
    let stdin = File::open("/dev/null").expect("/dev/null is there").into();
    let stdout = writer.try_clone().expect("it can be copied").into();
    (reader, Stdio { stdin, stdout, stderr: writer.into() })
}

/// Runs in the best sandbox from this one down.
fn run(mut sandbox: Sandbox, process: &Process) -> (Sandbox, ExitStatus, String) {
    let (reader, stdio) = stdio();
    let tree = loop {
        match sandbox.start(process, &stdio) {
            Ok(tree) => break tree,
            Err(error) => {
                let weaker = sandbox.fall_back(&error).unwrap_or_else(|| panic!("{error:?}"));
                sandbox = weaker.expect("a weaker sandbox stands");
            }
        }
    };
    drop(stdio);
    let (status, output) = ended(&tree, reader);
    (sandbox, status, output)
}

fn on(spec: &SandboxSpec, rung: Rung) -> Sandbox {
    Sandbox::prepare_on(spec, rung).expect("the sandbox can be prepared")
}

fn shell(spec: &SandboxSpec, rung: Rung, script: &str) -> (ExitStatus, String) {
    let sandbox = on(spec, rung);
    let backend = sandbox.backend();
    let (ran, status, output) = run(sandbox, &process(&spec.workspace, "bash", &["-c", script]));
    assert_eq!(ran.backend(), backend, "fell from the rung that was asked for");
    (status, output)
}

fn works(spec: &SandboxSpec, rung: Rung, script: &str) {
    let (status, output) = shell(spec, rung, script);
    assert_eq!(status, ExitStatus::Exited(0), "{rung:?}: {script}: {output}");
}

/// The script must fail inside and succeed outside.
fn refused(spec: &SandboxSpec, rung: Rung, script: &str) {
    let (status, output) = shell(spec, rung, script);
    assert_ne!(status, ExitStatus::Exited(0), "{rung:?}: worked inside: {script}: {output}");
    let mut outside = Command::new("bash");
    let output = outside.args(["-c", script]).current_dir(&spec.workspace).output();
    let output = output.expect("a shell is there");
    assert!(output.status.success(), "fails outside too: {script}: {output:?}");
}

fn level(spec: &SandboxSpec, rung: Rung, property: &str) -> Option<Level> {
    let sandbox = on(spec, rung);
    sandbox.enforcement().iter().find(|(name, _)| *name == property).map(|(_, level)| level.clone())
}

/// Somebody who has nothing to do with the sandbox; gone with the value.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        let sleep = Command::new("sleep").arg("60").env("OUTSIDER", "1").spawn();
        Self(sleep.expect("it can be started"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().expect("it is ours");
        self.0.wait().expect("it is ours");
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn without_mounts_only_writable_paths_can_be_changed() {
    let home = Home::new();
    let (spec, rung) = (home.spec(), Rung::Landlock);
    works(&spec, rung, "echo x > a && mkdir -p d/e && mv a d/e/ && ln d/e/a b && rm -r d && cat b");
    works(&spec, rung, "echo '#!/bin/sh' > run && chmod +x run && ./run");
    works(&spec, rung, "cat ../other/file && ls ../other && ls .. && cat ../beside");
    works(&spec, rung, "echo x > /dev/null && head -c 4 /dev/urandom > r && test -s r");
    works(
        &spec,
        rung,
        "echo x > /proc/self/fd/1 && { test ! -e /dev/stdout || echo x > /dev/stdout; }",
    );
    refused(&spec, rung, "echo x > ../other/new");
    refused(&spec, rung, "echo x > ../other/file");
    refused(&spec, rung, "mkdir ../other/dir");
    refused(&spec, rung, "ln ../other/file ../other/link");
    refused(&spec, rung, "ln ../other/file linked && echo evil > linked");
    refused(&spec, rung, "ln -s ../other out && echo x > out/through");
    refused(&spec, rung, "mv ../other/file moved && mv moved ../other/file");
    refused(&spec, rung, "truncate -s 0 ../other/file");
    refused(&spec, rung, "mkfifo ../other/fifo");
    refused(&spec, rung, "rm ../other/link");
}

#[test]
fn without_mounts_hidden_paths_cannot_be_read() {
    let home = Home::new();
    let (spec, rung) = (home.spec(), Rung::Landlock);
    refused(&spec, rung, "cat ../.ssh/key");
    refused(&spec, rung, "cat ../.netrc");
    refused(&spec, rung, "cat ../private/file");
    refused(&spec, rung, "cat /proc/self/cwd/../.netrc");
    refused(&spec, rung, "ln ../.netrc copy && cat copy");
    refused(&spec, rung, "mv ../private moved && mv moved ../private");
    let hidden = level(&spec, rung, "hidden").expect("it is asked for");
    assert!(matches!(&hidden, Level::Partial(why) if why.contains("names")), "{hidden}");
    // The siblings are those of the moment it was prepared.
    let sandbox = on(&spec, rung);
    fs::write(home.path("later"), "x").expect("it can be written");
    let later = process(&spec.workspace, "cat", &["../later"]);
    assert_ne!(run(sandbox, &later).1, ExitStatus::Exited(0));
    works(&spec, rung, "cat ../later");
}

#[test]
fn a_sibling_that_becomes_a_link_is_not_followed() {
    let home = Home::new();
    let spec = home.spec();
    let sandbox = on(&spec, Rung::Landlock);
    fs::remove_file(home.path("beside")).expect("it can be removed");
    std::os::unix::fs::symlink(".netrc", home.path("beside")).expect("it can be made");
    let read = process(&spec.workspace, "cat", &["../beside"]);
    let (_, status, output) = run(sandbox, &read);
    assert_ne!(status, ExitStatus::Exited(0), "{output}");
}

#[test]
fn what_cannot_be_held_without_mounts_is_an_error_that_names_it() {
    let home = Home::new();
    let check = |view: FileView, expect: &str| {
        let spec = SandboxSpec { files: Files::View(view), ..home.spec() };
        let error = Sandbox::prepare_on(&spec, Rung::Landlock).expect_err("it cannot be held");
        assert!(matches!(error, SandboxError::CannotHold { .. }), "{error:?}");
        assert!(error.to_string().contains(expect), "{error}");
        assert!(error.hint().is_some());
        Sandbox::prepare_on(&spec, Rung::Namespaces).expect("mounts hold it");
    };
    fs::create_dir(home.path("ws/secret")).expect("it can be made");
    let hidden = vec![home.path("ws/secret")];
    check(FileView { hidden, ..home.view() }, "the hidden path `");
    let readable = vec![home.path("ws/secret")];
    check(FileView { readable, ..home.view() }, "the readable path `");
    check(FileView { writable: vec!["/".into()], ..home.view() }, "the writable path `/`");
    for name in ["up", "work"] {
        fs::create_dir(home.path(name)).expect("it can be made");
    }
    let overlay = ringfence_sandbox::Overlay { upper: home.path("up"), work: home.path("work") };
    check(FileView { overlay: Some(overlay), ..home.view() }, "the layer over the workspace");
    // The built-in list is no demand: that it does not hold is said.
    let view = FileView { writable: vec![home.path("")], hidden: Vec::new(), ..home.view() };
    let spec = SandboxSpec { files: Files::View(view), ..home.spec() };
    let hidden = level(&spec, Rung::Landlock, "hidden").expect("it is asked for");
    assert!(matches!(&hidden, Level::Partial(why) if why.contains(".netrc`")), "{hidden}");
}

#[test]
fn without_mounts_the_hosts_tmp_is_out_of_reach_and_a_given_one_is_not() {
    let home = Home::new();
    let (spec, rung) = (home.spec(), Rung::Landlock);
    let file = tempfile::NamedTempFile::new_in("/tmp").expect("a file can be made");
    refused(&spec, rung, &format!("cat {}", file.path().display()));
    refused(&spec, rung, "f=$(mktemp /tmp/ringfence-test-XXXXXX) && rm \"$f\"");
    refused(&spec, rung, "f=$(mktemp /dev/shm/ringfence-test-XXXXXX) && rm \"$f\"");
    let sandbox = on(&spec, rung);
    assert!(sandbox.wants_temp() && !on(&spec, Rung::Namespaces).wants_temp());
    let temp = tempfile::tempdir_in("/tmp").expect("a directory can be made");
    let script = format!("echo x > {0}/a && mkdir {0}/d && cat {0}/a", temp.path().display());
    let with_temp = Process {
        temp: Some(temp.path().to_owned()),
        ..process(&spec.workspace, "bash", &["-c", &script])
    };
    let (_, status, output) = run(sandbox, &with_temp);
    assert_eq!(status, ExitStatus::Exited(0), "{output}");
}

#[test]
fn other_processes_cannot_be_signalled_or_traced_on_any_rung() {
    let home = Home::new();
    let bystander = Bystander::new();
    let pid = bystander.pid();
    for rung in [Rung::Namespaces, Rung::OuterProc, Rung::Landlock] {
        let spec = home.spec();
        let processes = level(&spec, rung, "processes").expect("it is asked for");
        assert_eq!(processes.is_full(), rung == Rung::Namespaces, "{processes}");
        if !processes.to_string().contains("can be signalled, but") {
            refused(&spec, rung, &format!("kill -0 {pid}"));
            refused(&spec, rung, &format!("kill -CONT {pid}"));
        }
        refused(&spec, rung, &format!("grep -q OUTSIDER /proc/{pid}/environ"));
        refused(&spec, rung, &format!("grep -q . /proc/{pid}/maps"));
        refused(&spec, rung, &format!("readlink /proc/{pid}/fd/0"));
        refused(&spec, rung, &format!("cat /proc/{pid}/fd/0 < /dev/null"));
        refused(&spec, rung, &format!("ls /proc/{pid}/cwd/"));
        refused(&spec, rung, &format!("cat /proc/{pid}/oom_score_adj > /proc/{pid}/oom_score_adj"));
        refused(&spec, rung, &format!("prlimit --pid {pid} --core=0:0"));
        // Its own can be.
        works(&spec, rung, "sleep 60 & kill $! && ! wait $!");
        works(&spec, rung, "cat /proc/self/environ | grep -qa PATH");
        if rung != Rung::OuterProc {
            works(&spec, rung, "sleep 60 & ls -l /proc/$!/fd/ && kill $!");
        }
    }
}

#[test]
fn without_namespaces_there_is_no_network_and_no_ipc() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = listener.local_addr().expect("it is bound").port();
    let (mut spec, rung) = (home.spec(), Rung::Landlock);
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    refused(&spec, rung, &connect);
    refused(&spec, rung, &format!("exec 3<>/dev/udp/127.0.0.1/{port}"));
    for (kind, size) in [("Q", ""), ("M", "64"), ("S", "1")] {
        let remove = kind.to_lowercase();
        let make = format!("id=$(ipcmk -{kind} {size}) && ipcrm -{remove} ${{id##* }}");
        refused(&spec, rung, &make);
    }
    spec.network = Network::Inherit;
    works(&spec, rung, &connect);
    let spec = SandboxSpec { files: Files::Inherit, network: Network::Deny, ..spec };
    refused(&spec, rung, &connect);
    works(&spec, rung, "cat ../.netrc && echo x > ../other/file");
}

#[test]
fn kernel_files_cannot_be_written_even_by_root() {
    let home = Home::new();
    for rung in [Rung::Namespaces, Rung::OuterProc, Rung::Landlock] {
        for files in [home.spec().files, Files::Inherit] {
            let sys = matches!(files, Files::View(_));
            let spec = SandboxSpec { files, ..home.spec() };
            // Whoever is not root could not do it outside either.
            let write = if is_root() { refused } else { fails };
            if rung != Rung::Landlock || sys {
                write(&spec, rung, "f=/proc/sys/vm/swappiness && v=$(cat $f) && echo $v > $f");
            }
            if sys {
                let file = "/sys/kernel/mm/transparent_hugepage/enabled";
                if is_root() && Path::new(file).exists() {
                    write(
                        &spec,
                        rung,
                        &format!("v=$(sed 's/.*\\[//;s/\\].*//' {file}) && echo $v > {file}"),
                    );
                }
            }
        }
    }
    let caps = "! grep -E '^Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]' /proc/self/status";
    for rung in [Rung::Namespaces, Rung::OuterProc, Rung::Landlock] {
        works(&home.spec(), rung, caps);
    }
}

/// Fails inside; whether it would outside is another matter.
fn fails(spec: &SandboxSpec, rung: Rung, script: &str) {
    let (status, output) = shell(spec, rung, script);
    assert_ne!(status, ExitStatus::Exited(0), "{rung:?}: worked inside: {script}: {output}");
}

#[test]
fn without_a_sandbox_no_signal_leaves_the_tree() {
    let home = Home::new();
    let spec = home.host_spec();
    let processes = level(&spec, Rung::Namespaces, "processes").expect("it is said");
    if matches!(processes, Level::None(_)) {
        eprintln!("not tried: this kernel's Landlock has no scopes");
        return;
    }
    let bystander = Bystander::new();
    let (pid, rung) = (bystander.pid(), Rung::Namespaces);
    refused(&spec, rung, &format!("kill -0 {pid}"));
    refused(&spec, rung, &format!("kill -CONT {pid}"));
    refused(&spec, rung, &format!("readlink /proc/{pid}/fd/0"));
    refused(&spec, rung, &format!("ls /proc/{pid}/cwd/"));
    // The init of the tree is outside, too: the child asks for its parent's parent.
    works(&spec, rung, "! kill -0 $PPID");
    // The own tree is its own: children, grandchildren, sessions, job control.
    works(&spec, rung, "sleep 60 & kill $! && ! wait $!");
    works(&spec, rung, "setsid sleep 60 & sleep 60 & ls /proc/$!/fd/ && kill %1 %2");
    works(&spec, rung, "timeout 0.01 sleep 60; test $? = 124");
    works(&spec, rung, "set -m; sleep 60 & kill -STOP %1 && kill -CONT %1 && kill %1");
    if is_root() {
        works(
            &spec,
            rung,
            "grep -q 'NoNewPrivs:.0' /proc/self/status && unshare -m mount -t tmpfs none /mnt",
        );
    } else {
        works(&spec, rung, "grep -q 'NoNewPrivs:.1' /proc/self/status");
    }
}

#[test]
fn strict_isolation_takes_nothing_weaker() {
    let home = Home::new();
    let spec = SandboxSpec { strict: true, ..home.spec() };
    for (rung, property) in [(Rung::OuterProc, "processes"), (Rung::Landlock, "files")] {
        match Sandbox::prepare_on(&spec, rung) {
            Err(SandboxError::NotFull { property: named, .. }) => assert_eq!(named, property),
            other => panic!("{other:?}"),
        }
    }
    Sandbox::prepare_on(&spec, Rung::Namespaces).expect("everything is full");
}

#[test]
fn an_error_of_the_run_is_no_refusal_of_a_wall() {
    let home = Home::new();
    let spec = home.spec();
    let sandbox = Sandbox::prepare_by_trying(&spec).expect("something stands here");
    fs::rename(home.path("ws"), home.path("old")).expect("it can be moved");
    fs::create_dir(home.path("ws")).expect("it can be made");
    let (_reader, stdio) = stdio();
    let tree = sandbox.start(&process(&spec.workspace, "true", &[]), &stdio);
    match tree.expect("it starts").wait_report().expect("the socket works") {
        Some(Report::Failed(failure)) => assert_eq!(failure.errno(), libc::ESTALE, "{failure}"),
        other => panic!("{other:?}"),
    }
    let error = SandboxError::NotAbsolute { role: "path", path: "x".into() };
    assert!(sandbox.fall_back(&error).is_none());
}

/// In a child: the best sandbox here is the one that is expected, and it holds.
#[test]
fn child_finds_its_rung() {
    let Some(expect) = env::var_os(EXPECT) else { return };
    let home = Home::new();
    let spec = home.spec();
    let sandbox = Sandbox::prepare(&spec).expect("the sandbox can be prepared");
    let script = "echo x > a && ! cat ../.netrc && ! { echo x > ../other/file; }";
    let (sandbox, status, output) =
        run(sandbox, &process(&spec.workspace, "bash", &["-c", script]));
    assert_eq!(status, ExitStatus::Exited(0), "{output}");
    let processes = sandbox.enforcement().iter().find(|(name, _)| *name == "processes");
    let processes = processes.expect("it is asked for").1.is_full();
    let found = match (sandbox.backend(), processes) {
        (Backend::LinuxNamespaces, true) => "namespaces",
        (Backend::LinuxNamespaces, false) => "outer proc",
        (Backend::LinuxLandlock, _) => "landlock",
        (other, _) => other.as_str(),
    };
    assert_eq!(found, expect, "{output}");
    // Under the outer /proc nobody can tell whose a connection is, and that is said.
    let sockets = sandbox.enforcement().iter().find(|(name, _)| *name == "unix_sockets");
    let sockets = sockets.expect("it is asked for").1;
    assert!(found != "outer proc" || !sockets.is_full(), "{sockets}");
    // What is said without a start is what the start has found.
    let tried = Sandbox::prepare_by_trying(&spec).expect("something stands here");
    assert_eq!(tried.enforcement(), sandbox.enforcement());
    // And what is full by demand is refused by name.
    let strict = Sandbox::prepare(&SandboxSpec { strict: true, ..spec });
    assert_eq!(strict.is_ok(), found == "namespaces", "{strict:?}");
}

/// This program again, under another one.
fn child(wrapper: &[&str], expect: &str) -> Output {
    let myself = env::current_exe().expect("it is known");
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(myself).args(["--exact", "child_finds_its_rung"]);
    command.env(EXPECT, expect).stdin(ChildStdio::null()).output().expect("it can be started")
}

fn finds(wrapper: &[&str], expect: &str) {
    let output = child(wrapper, expect);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{wrapper:?}: {output:?}");
}

/// A shell script in a user and mount namespace of its own, then this program.
fn in_namespace(script: &str, expect: &str) {
    let script = format!("{script} && exec \"$@\"");
    let wrapper = ["unshare", "-r", "-m", "--propagation", "private", "sh", "-c", &script, "sh"];
    finds(&wrapper, expect);
}

#[test]
fn the_best_walls_are_found_where_nothing_is_refused() {
    in_namespace("true", "namespaces");
}

#[test]
fn namespaces_at_their_limit_leave_landlock() {
    in_namespace("echo 0 > /proc/sys/user/max_user_namespaces", "landlock");
    in_namespace("echo 0 > /proc/sys/user/max_pid_namespaces", "landlock");
    in_namespace("echo 0 > /proc/sys/user/max_net_namespaces", "landlock");
}

/// Whether no new `/proc` may be mounted below `wrapper`: the kernel allows one where any other
/// that is mounted, be it out of sight, can be seen whole.
fn refuses_new_proc(wrapper: &[&str]) -> bool {
    let unshare = ["unshare", "-r", "-m", "-p", "-f", "mount", "-t", "proc", "proc", "/proc"];
    let mut command = Command::new(wrapper[0]);
    let output = command.args(&wrapper[1..]).args(unshare).output().expect("it can be started");
    !output.status.success()
}

#[test]
fn a_covered_proc_stays_the_outer_one() {
    let script = "mount --bind /dev/null /proc/kallsyms && exec \"$@\"";
    let wrapper = ["unshare", "-r", "-m", "--propagation", "private", "sh", "-c", script, "sh"];
    if refuses_new_proc(&wrapper) {
        finds(&wrapper, "outer proc");
    } else {
        eprintln!("not tried: another /proc is mounted, whose parts are not covered");
    }
}

#[test]
fn a_chroot_leaves_landlock() {
    // Debian has the program where only root looks.
    let script = "mount --rbind / /mnt && PATH=$PATH:/usr/sbin && exec chroot /mnt \"$@\"";
    let wrapper = ["unshare", "-r", "-m", "--propagation", "private", "sh", "-c", script, "sh"];
    finds(&wrapper, "landlock");
}

#[test]
fn inside_bubblewrap_its_namespaces_are_enough() {
    let bwrap = ["bwrap", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"];
    match Command::new("bwrap").arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("not tried: bwrap is not installed");
        }
        // Run by root, it makes a part of its /proc read-only.
        _ if refuses_new_proc(&bwrap) => finds(&bwrap, "outer proc"),
        _ => finds(&bwrap, "namespaces"),
    }
}

#[test]
fn inside_itself_landlock_is_left() {
    let home = Home::new();
    let myself = env::current_exe().expect("it is known").canonicalize().expect("it is there");
    let place = home.path("ws");
    for rung in [Rung::Namespaces, Rung::Landlock] {
        let view = FileView { readable: vec![myself.clone()], ..home.view() };
        let spec = SandboxSpec { files: Files::View(view), ..home.spec() };
        let program = myself.to_str().expect("a path of text");
        let mut nested = process(&place, program, &["--exact", "child_finds_its_rung"]);
        nested.program = Program::Path(myself.clone());
        nested.env.push((EXPECT.into(), "landlock".into()));
        nested.env.push((PLACE.into(), place.clone().into()));
        let (_, status, output) = run(on(&spec, rung), &nested);
        assert_eq!(status, ExitStatus::Exited(0), "{rung:?}: {output}");
        assert!(output.contains("1 passed"), "{rung:?}: {output}");
    }
}

/// All of this again by a user without any privileges.
#[test]
fn an_ordinary_user_finds_the_same() {
    if !is_root() {
        return;
    }
    let dir = place();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let program = dir.path().join("rungs");
    fs::copy(env::current_exe().expect("it is known"), &program).expect("it can be copied");
    let home = dir.path().join("home");
    fs::create_dir(&home).expect("it can be made");
    chown(&home, Some(NOBODY), Some(NOBODY)).expect("root may");
    let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    let mut command = Command::new("setpriv");
    command.args(ids).args(["--clear-groups", "--inh-caps=-all"]).arg(&program);
    command.env("HOME", &home).env(PLACE, &home).env_remove("CARGO_TARGET_TMPDIR");
    let output = command.current_dir(&home).output().expect("it can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

//! What a command really sees, writes and reaches, on the kernel at hand.
//!
//! Each refusal is tried twice: it must fail inside and succeed outside.
#![cfg(target_os = "linux")]
#![cfg(target_os = "linux")]

#[path = "support/place.rs"]
mod place;
mod support;

use place::place;
use ringfence_sandbox::{
    Confinement, FileView, Files, Network, Report, Sandbox, SandboxError, SandboxSpec, Stdio,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};
use support::{process, refused, spec, works};

#[test]
fn only_writable_paths_can_be_changed() {
    let dir = place();
    let path = |name: &str| dir.path().join(name);
    for name in ["ws", "other", "extra"] {
        fs::create_dir(path(name)).expect("it can be made");
    }
    fs::write(path("other/file"), "before").expect("it can be written");
    fs::write(path("single"), "before").expect("it can be written");
    let view = FileView {
        writable: vec![path("ws"), path("extra"), path("single")],
        ..FileView::default()
    };
    let spec = spec(&path("ws"), view);
    works(
        &spec,
        "echo x > a && mkdir -p d/e && mv a d/e/ && echo y > ../extra/b && echo z > ../single",
    );
    assert_eq!(fs::read_to_string(path("single")).expect("it is there"), "z\n");
    assert_eq!(fs::read_to_string(path("ws/d/e/a")).expect("it is there"), "x\n");
    refused(&spec, "echo x > ../other/new");
    refused(&spec, "echo x > ../other/file");
    refused(&spec, "chmod 600 ../other/file");
    refused(&spec, "touch -d 2000-01-01 ../other/file");
    refused(&spec, "mkdir ../other/dir");
    refused(&spec, "ln ../other/file ../other/link");
    refused(&spec, "ln ../other/file linked && echo evil > linked");
    refused(&spec, "ln -s ../other out && echo x > out/through");
    refused(&spec, "mv ../other/file ../other/moved");
    refused(&spec, "rm ../other/moved");
}

#[test]
fn a_read_only_tree_inside_a_writable_one_stays_read_only() {
    let dir = place();
    fs::create_dir_all(dir.path().join("ws/vendor")).expect("it can be made");
    let ws = dir.path().join("ws");
    let view = FileView {
        writable: vec![ws.clone()],
        readable: vec![ws.join("vendor")],
        ..FileView::default()
    };
    let spec = spec(&ws, view);
    works(&spec, "echo x > a");
    refused(&spec, "echo x > vendor/a");
}

#[test]
fn hidden_paths_cannot_be_opened() {
    let dir = place();
    let home = dir.path().join("home");
    let ws = home.join("ws");
    fs::create_dir_all(home.join(".ssh")).expect("it can be made");
    fs::create_dir_all(ws.join("private/shown")).expect("it can be made");
    fs::write(home.join(".ssh/id_rsa"), "key").expect("it can be written");
    fs::write(home.join(".netrc"), "password").expect("it can be written");
    fs::write(ws.join("private/secret"), "secret").expect("it can be written");
    fs::write(ws.join("private/shown/file"), "shown").expect("it can be written");
    let view = FileView {
        writable: vec![home.clone()],
        readable: vec![ws.join("private/shown")],
        hidden: vec![ws.join("private"), ws.join("not-there")],
        homes: vec![home],
        ..FileView::default()
    };
    let spec = spec(&ws, view);
    works(&spec, "cat private/shown/file && echo x > file");
    refused(&spec, "cat ../.ssh/id_rsa");
    refused(&spec, "ls ../.ssh");
    refused(&spec, "cat ../.netrc");
    refused(&spec, "cat private/secret");
    refused(&spec, "cat /proc/self/root$(realpath ../.netrc)");
    refused(&spec, "ln ../.netrc copy && cat copy");
    refused(&spec, "mv ../.ssh ../.ssh2 && cat ../.ssh2/id_rsa && mv ../.ssh2 ../.ssh");
    // Nor in a later run, under another name.
    fs::create_dir_all(home_of(&spec).join(".config/gcloud")).expect("it can be made");
    fs::write(home_of(&spec).join(".config/gcloud/key"), "key").expect("it can be written");
    refused(&spec, "mv ../.config ../moved && mv ../moved ../.config");
    works(&spec, "echo x > ../.config/other && rm ../.config/other");
    // Named on purpose, a store of the built-in list is shown.
    let home = dir.path().join("home");
    let view = FileView {
        readable: vec![home.join(".netrc")],
        homes: vec![home.clone()],
        ..FileView::default()
    };
    works(&SandboxSpec { files: Files::View(view), ..spec }, "cat ../.netrc");
}

/// The directory that the workspace lies in.
fn home_of(spec: &SandboxSpec) -> &Path {
    spec.workspace.parent().expect("it lies in a directory")
}

#[test]
fn a_workspace_below_tmp_is_there_and_its_neighbours_are_not() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory can be made");
    let ws = dir.path().join("with space\nand line");
    fs::create_dir(&ws).expect("it can be made");
    fs::write(dir.path().join("neighbour"), "x").expect("it can be written");
    let writable = spec(&ws, FileView { writable: vec![ws.clone()], ..FileView::default() });
    works(&writable, "echo x > here && cat here");
    refused(&writable, "cat ../neighbour");
    let readable = spec(&ws, FileView::default());
    works(&readable, "cat here");
    refused(&readable, "echo y > here");
}

#[test]
fn private_directories_are_its_own() {
    let dir = place();
    let spec = spec(dir.path(), FileView::default());
    works(&spec, "echo x > /tmp/a && echo x > /var/tmp/a && echo x > /dev/shm/a && cat /tmp/a");
    // Another run sees nothing of it.
    works(&spec, "test ! -e /tmp/a && test ! -e /var/tmp/a && test -z \"$(ls -A /dev/shm)\"");
    works(&spec, "echo x > /dev/null && head -c 4 /dev/urandom > /tmp/r && ls /dev/pts");
    let host = tempfile::NamedTempFile::new_in("/tmp").expect("a file can be made");
    refused(&spec, &format!("cat {}", host.path().display()));
    let name = format!("{}-inside", host.path().display());
    works(&spec, &format!("echo x > {name}"));
    assert!(!Path::new(&name).exists(), "the host's /tmp was written");
}

#[test]
fn its_network_is_a_loopback_and_nothing_else() {
    let dir = place();
    let mut spec = spec(dir.path(), FileView::default());
    works(&spec, "test \"$(grep -c : /proc/net/dev)\" = 1 && grep -q lo: /proc/net/dev");
    works(&spec, "getent hosts localhost");
    refused(&spec, &format!("test \"$(readlink /proc/self/ns/net)\" = \"{}\"", net_namespace()));
    spec.network = Network::Inherit;
    works(&spec, &format!("test \"$(readlink /proc/self/ns/net)\" = \"{}\"", net_namespace()));
}

fn net_namespace() -> String {
    let link = fs::read_link("/proc/self/ns/net").expect("/proc is there");
    link.display().to_string()
}

#[test]
fn the_hosts_files_can_be_shared_under_a_pid_namespace() {
    let dir = place();
    let spec = SandboxSpec { files: Files::Inherit, ..spec(dir.path(), FileView::default()) };
    works(&spec, "echo x > shared && test \"$(cat /proc/sys/kernel/ns_last_pid)\" -lt 20");
    assert!(dir.path().join("shared").exists());
}

#[test]
fn without_a_sandbox_nothing_is_changed() {
    let dir = place();
    let spec = SandboxSpec {
        confinement: Confinement::Host,
        files: Files::Inherit,
        network: Network::Inherit,
        ..spec(dir.path(), FileView::default())
    };
    works(&spec, &format!("test \"$(readlink /proc/self/ns/net)\" = \"{}\"", net_namespace()));
    // The fence of who is not privileged gains nothing by set-user-ID programs.
    works(&spec, "echo x > shared; [ $(id -u) != 0 ] || grep -q 'NoNewPrivs:.0' /proc/self/status");
}

#[test]
fn what_cannot_be_used_is_named() {
    let dir = place();
    let check = |view: FileView, expect: &str| {
        let error = Sandbox::prepare(&spec(dir.path(), view)).expect_err("it cannot be used");
        assert!(error.to_string().contains(expect), "{error}");
        assert!(matches!(error, SandboxError::Path { .. } | SandboxError::NotAbsolute { .. }));
    };
    let writable =
        |path: &str| FileView { writable: vec![PathBuf::from(path)], ..FileView::default() };
    check(writable("/nonexistent/dir"), "writable path `/nonexistent/dir`");
    check(writable("relative"), "`relative` is not absolute");
    check(writable("/proc/self"), "/proc/");
}

#[test]
fn a_path_that_is_swapped_stops_the_start() {
    let dir = place();
    let ws = dir.path().join("ws");
    fs::create_dir(&ws).expect("it can be made");
    let spec = spec(&ws, FileView { writable: vec![ws.clone()], ..FileView::default() });
    let sandbox = Sandbox::prepare(&spec).expect("the sandbox can be prepared");
    fs::rename(&ws, dir.path().join("old")).expect("it can be moved");
    std::os::unix::fs::symlink("/etc", &ws).expect("a link can be made");
    let nothing = || File::open("/dev/null").expect("/dev/null is there").into();
    let stdio = Stdio { stdin: nothing(), stdout: nothing(), stderr: nothing() };
    let tree = sandbox.start(&process(&ws, "true"), &stdio).expect("it starts");
    drop(stdio);
    match tree.wait_report().expect("the socket works") {
        Some(Report::Failed(failure)) => assert!(failure.to_string().contains("ws"), "{failure}"),
        other => panic!("{other:?}"),
    }
}

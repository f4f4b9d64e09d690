//! Which Unix sockets of the host are there, and which files a listed one may be.
#![cfg(target_os = "linux")]

mod support;

use ringfence_sandbox::{FileView, Sandbox, SandboxSpec, UnixSockets};
use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};
use support::{refused, spec, works};

fn with(ws: &Path, unix_sockets: UnixSockets) -> SandboxSpec {
    let view = FileView { writable: vec![ws.to_owned()], ..FileView::default() };
    SandboxSpec { unix_sockets, ..spec(ws, view) }
}

#[test]
fn a_listed_socket_is_there_and_its_neighbours_are_not() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory can be made");
    let ws = dir.path().join("ws");
    fs::create_dir(&ws).expect("it can be made");
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    let _listening = [&one, &other].map(|path| UnixListener::bind(path).expect("it can be bound"));
    let listed = with(&ws, UnixSockets::Listed(vec![one.clone()]));
    works(&listed, "test -S ../one && test ! -e ../other");
    refused(&listed, "test -S ../other");
    refused(&with(&ws, UnixSockets::Private), "test -S ../one");
}

#[test]
fn a_listed_path_is_a_socket_that_exists() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory can be made");
    let check = |path: &str, expect: &str| {
        let spec = with(dir.path(), UnixSockets::Listed(vec![PathBuf::from(path)]));
        let error = Sandbox::prepare(&spec).expect_err("it cannot be used");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let said = format!("{error}: {}", source.unwrap_or_default());
        assert!(said.contains(expect), "{said}");
    };
    check("/nonexistent/socket", "cannot use unix socket `/nonexistent/socket`: No such file");
    check("/etc/passwd", "it is not a socket");
    check("relative", "unix socket `relative` is not absolute");
}

#[test]
fn all_sockets_means_that_run_is_there() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory can be made");
    let there = fs::read_dir("/run").expect("it can be read").filter_map(Result::ok).next();
    let Some(there) = there else { return };
    let name = there.path().display().to_string();
    let inherit = with(dir.path(), UnixSockets::Inherit);
    works(&inherit, &format!("test -e '{name}' && ! touch /run/new 2>/dev/null"));
    refused(&with(dir.path(), UnixSockets::Private), &format!("test -e '{name}'"));
}

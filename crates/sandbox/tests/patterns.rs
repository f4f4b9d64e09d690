//! Hidden paths that are given as patterns.
#![cfg(target_os = "linux")]

#[path = "support/place.rs"]
mod place;
mod support;

use place::place;
use ringfence_sandbox::{FileView, Sandbox, SandboxSpec};
use std::{fs, os::unix::fs::symlink, path::Path};
use support::{refused, spec, works};

fn hiding(ws: &Path, patterns: &[&str]) -> SandboxSpec {
    let view = FileView {
        writable: vec![ws.to_owned()],
        hidden: patterns.iter().map(|pattern| ws.join(pattern)).collect(),
        ..FileView::default()
    };
    spec(ws, view)
}

fn files(ws: &Path, files: &[&str]) {
    for file in files {
        let path = ws.join(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, "secret").expect("it can be written");
    }
}

#[test]
fn what_matches_cannot_be_opened() {
    let dir = place();
    let ws = dir.path().join("ws");
    files(&ws, &[".env", "a/.env", "a/b/.env.local", "a/b/key.pem", "a/plain", "c/x/in", "[x]/y"]);
    let spec = hiding(&ws, &["**/.env*", "a/*/*.pem", "[b-d]/**", "[x]/y"]);
    works(&spec, "cat a/plain && echo x > a/b/new && ls c");
    for script in [
        "cat .env",
        "cat a/.env",
        "cat a/b/.env.local",
        "cat a/b/key.pem",
        "ls c/x",
        "cat c/x/in",
        "cat '[x]/y'",
        "mv a/b a/c && mv a/c a/b",
        "ln a/.env copy && rm copy",
    ] {
        refused(&spec, script);
    }
    // A pattern hides what is there, and the next run hides what came with this one.
    works(&spec, "rm -f a/later && echo x > a/.env.new && cat a/.env.new");
    refused(&spec, "cat a/.env.new");
}

#[test]
fn many_matches_are_hidden() {
    let dir = place();
    let ws = dir.path().join("ws");
    for i in 0..700 {
        files(&ws, &[&format!("d{}/{i}.key", i % 40)]);
    }
    let spec = hiding(&ws, &["**/*.key"]);
    works(&spec, "echo x > d1/new");
    refused(&spec, "cat d39/679.key");
    refused(&spec, "cat */*.key | grep secret");
}

#[test]
fn a_link_to_what_is_hidden_stays_where_it_leads() {
    let dir = place();
    let ws = dir.path().join("ws");
    files(&ws, &["conf/secret"]);
    symlink("conf/secret", ws.join(".env")).expect("it can be made");
    let spec = hiding(&ws, &["**/.env"]);
    refused(&spec, "cat .env");
    refused(&spec, "cat conf/secret");
    refused(&spec, "rm .env && ln -s conf/secret .env");
    refused(&spec, "mv conf c && mv c conf");
}

#[test]
fn a_pattern_that_says_too_much_is_told() {
    let dir = place();
    let ws = dir.path().join("ws");
    files(&ws, &["a/b"]);
    let long = vec!["*"; 80].join("/");
    let sandbox = Sandbox::prepare(&hiding(&ws, &[&long])).expect("it can be prepared");
    assert!(sandbox.warnings().iter().any(|said| said.contains("too many parts")));
}

#[test]
fn other_private_directories_are_not_searched() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory can be made");
    let (ws, other) = (dir.path().join("ws"), dir.path().join("other"));
    files(&ws, &["a/x.key"]);
    files(&other, &["x.key"]);
    let view = FileView {
        writable: vec![ws.clone()],
        hidden: vec!["/tmp/**/x.key".into()],
        ..FileView::default()
    };
    refused(&spec(&ws, view), "cat a/x.key");
}

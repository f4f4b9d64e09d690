//! A workspace that looks writable while its changes go to a layer of their own.
#![cfg(target_os = "linux")]

#[path = "support/place.rs"]
mod place;
mod support;

use place::place;
use ringfence_sandbox::{FileView, Overlay, Sandbox, SandboxSpec};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use support::{refused, spec, works};
use tempfile::TempDir;

struct Layered {
    dir: TempDir,
    spec: SandboxSpec,
}

impl Layered {
    /// A workspace with files, and an empty layer beside it.
    fn new(files: &[&str], view: impl FnOnce(&Path) -> FileView) -> Self {
        let dir = place();
        for name in ["ws", "upper", "work", "out"] {
            fs::create_dir(dir.path().join(name)).expect("it can be made");
        }
        let ws = dir.path().join("ws");
        for file in files {
            let path = ws.join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, "before").expect("it can be written");
        }
        let path = |name: &str| dir.path().join(name);
        let overlay = Some(Overlay { upper: path("upper"), work: path("work") });
        let view = FileView { overlay, ..view(dir.path()) };
        Self { spec: spec(&ws, view), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it is there")
    }
}

impl Drop for Layered {
    /// The kernel leaves a directory in the scratch space that nobody may enter.
    fn drop(&mut self) {
        let left = self.path("work/work");
        if left.exists() {
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(left, mode).expect("it is ours");
        }
    }
}

#[test]
fn changes_go_to_the_layer_and_the_workspace_stays() {
    let layered = Layered::new(&["a", "dir/b", "gone"], |dir| FileView {
        writable: vec![dir.join("ws"), dir.join("out")],
        ..FileView::default()
    });
    works(
        &layered.spec,
        "echo after > a && echo new > new && echo x > dir/c && mv dir/b dir/d && rm gone && \
         mkdir -p e/f && chmod 700 e && ln new linked && mkfifo pipe && echo really > ../out/file",
    );
    assert_eq!(layered.read("ws/a"), "before");
    assert_eq!(layered.read("ws/dir/b"), "before");
    assert!(layered.path("ws/gone").exists() && !layered.path("ws/new").exists());
    assert_eq!(layered.read("upper/a"), "after\n");
    assert_eq!(layered.read("out/file"), "really\n");
    // The layer is there again in the next run.
    works(&layered.spec, "cat new && test ! -e gone && test \"$(cat a)\" = after");
    works(&layered.spec, "touch ../outside; touch ../upper/x; true");
    assert!(!layered.path("outside").exists() && !layered.path("upper/x").exists());
}

#[test]
fn hidden_and_protected_places_hold_in_a_layer() {
    let files =
        &[".env", ".bashrc", ".vscode/tasks.json", "vendor/x", "secret/x", "secret/shown/y"];
    let layered = Layered::new(files, |dir| FileView {
        hidden: vec![dir.join("ws/.env"), dir.join("ws/secret")],
        readable: vec![dir.join("ws/vendor"), dir.join("ws/secret/shown")],
        ..FileView::default()
    });
    works(&layered.spec, "echo x > new && cat vendor/x secret/shown/y");
    for script in [
        "cat .env",
        "cat secret/x",
        "echo x >> .bashrc",
        "echo x > .vscode/tasks.json",
        "mv .vscode v && mv v .vscode",
        "echo x > vendor/x",
    ] {
        refused(&layered.spec, script);
    }
}

#[test]
fn a_layer_lies_in_a_writable_tree() {
    let layered = Layered::new(&["a"], |dir| FileView {
        writable: vec![dir.to_owned()],
        ..FileView::default()
    });
    works(&layered.spec, "echo x > a && echo y > ../out/y");
    assert_eq!(layered.read("ws/a"), "before");
    assert_eq!(layered.read("out/y"), "y\n");
    // Nobody writes into the layer but by it.
    refused(&layered.spec, "echo x > ../upper/new && rm ../upper/new");
    refused(&layered.spec, "mv ../ws ../w && mv ../w ../ws");
}

#[test]
fn git_works_in_a_layer() {
    let layered = Layered::new(&["a"], |_| FileView::default());
    let git = "set -e; export HOME=/nonexistent EMAIL=a@b GIT_AUTHOR_NAME=a GIT_COMMITTER_NAME=a; ";
    works(&layered.spec, &format!("{git} git init -q; git add a; git commit -qm a; git gc -q"));
    works(&layered.spec, &format!("{git} echo b > a; git stash -q; git log --oneline"));
    assert!(!layered.path("ws/.git").exists());
}

#[test]
fn what_cannot_be_a_layer_is_named() {
    let layered = Layered::new(&[], |_| FileView::default());
    let check = |upper: PathBuf, expect: &str| {
        let overlay = Some(Overlay { upper, work: layered.path("work") });
        let spec = spec(&layered.path("ws"), FileView { overlay, ..FileView::default() });
        let error = Sandbox::prepare(&spec).expect_err("it cannot be used");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let said = format!("{error}: {}", source.unwrap_or_default());
        assert!(said.contains(expect), "{said}");
    };
    check("relative".into(), "`relative` is not absolute");
    check(layered.path("none"), "No such file");
    check(layered.path("ws"), "lie in each other");
    check(layered.dir.path().to_owned(), "lie in each other");
    fs::write(layered.path("file"), "").expect("it can be written");
    check(layered.path("file"), "it is no directory");
    let overlay = Some(Overlay { upper: layered.path("upper"), work: layered.path("work") });
    let root = spec(Path::new("/"), FileView { overlay, ..FileView::default() });
    let error = Sandbox::prepare(&root).expect_err("it has mounts");
    let source = std::error::Error::source(&error).expect("it has one").to_string();
    assert!(source.contains("is mounted at"), "{source}");
}

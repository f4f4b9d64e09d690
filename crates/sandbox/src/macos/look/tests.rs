//! Real directories, and what is seen of them.

use super::*;
use crate::macos::rules::Pattern;
use crate::spec::{Confinement, Trace};
use std::os::unix::fs::symlink;

struct Place {
    _dir: tempfile::TempDir,
    top: PathBuf,
}

impl Place {
    fn with(directories: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let top = fs::canonicalize(dir.path()).expect("it is there");
        for name in directories {
            fs::create_dir_all(top.join(name)).expect("it can be made");
        }
        Self { _dir: dir, top }
    }

    fn paths(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| self.top.join(name)).collect()
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.top.join(name), content).expect("it can be written");
    }

    fn look(&self, view: FileView) -> Result<Seen, SandboxError> {
        look(&SandboxSpec {
            confinement: Confinement::Sandbox,
            strict: false,
            files: Files::View(view),
            network: Network::Deny,
            unix_sockets: UnixSockets::Private,
            trace: Trace::Changes,
            workspace: self.top.join("ws"),
        })
    }

    fn view(&self, view: FileView) -> View {
        let seen = self.look(view).expect("the paths are there");
        seen.rules.view.expect("a view was asked for")
    }

    fn shown(&self, paths: &[PathBuf]) -> Vec<String> {
        let ours = paths.iter().filter_map(|path| path.strip_prefix(&self.top).ok());
        ours.map(|path| path.display().to_string()).collect()
    }
}

#[test]
fn links_are_hidden_at_both_ends_and_what_is_named_is_shown() {
    let place = Place::with(&["ws", "home/.aws", "dotfiles/ssh"]);
    symlink("../dotfiles/ssh", place.top.join("home/.ssh")).expect("a link can be made");
    let view = place.view(FileView {
        homes: place.paths(&["home"]),
        readable: place.paths(&["home/.aws"]),
        hidden: place.paths(&["ws/secret", "ws/*.key"]),
        ..FileView::default()
    });
    let hidden = place.shown(&view.hidden);
    for name in ["home/.ssh", "dotfiles/ssh", "home/Library/Keychains", "home/.netrc", "ws/secret"]
    {
        assert!(hidden.iter().any(|path| path == name), "{name} in {hidden:?}");
    }
    assert!(!hidden.contains(&"home/.aws".to_owned()));
    let pattern = Pattern { below: place.top.join("ws"), rest: "*.key".to_owned() };
    assert_eq!(view.hidden_patterns, [pattern]);
}

#[test]
fn protected_paths_are_sorted_by_how_they_can_be_held() {
    let place = Place::with(&["ws/.git/hooks", "ws/.vscode", "ws/.cargo", "elsewhere"]);
    place.file("ws/.git/config", "");
    let seen = place
        .look(FileView {
            writable: place.paths(&["ws"]),
            protected: place.paths(&["ws/a/b", "ws/*.lock", "elsewhere/x"]),
            ..FileView::default()
        })
        .expect("the paths are there");
    let view = seen.rules.view.expect("a view was asked for");
    let check = |list: &[PathBuf], names: &[&str], expect: bool| {
        let list = place.shown(list);
        for name in names {
            assert_eq!(list.iter().any(|path| path == name), expect, "{name} in {list:?}");
        }
    };
    check(&view.protected, &["ws/.git/hooks", "ws/.git/config", "ws/.vscode"], true);
    check(&view.absent, &["ws/.git/commondir", "ws/.envrc", "ws/a/b"], true);
    check(&view.absent, &["ws/.vscode", "elsewhere/x"], false);
    assert_eq!(view.protected_patterns.len(), 1);
    // What lies in a directory that is not there is not held.
    let unheld: Vec<_> = seen.unheld.iter().map(|unheld| &unheld.path).collect();
    assert!(unheld.contains(&&PathBuf::from("a/b")), "{unheld:?}");
    assert!(!unheld.iter().any(|path| path.starts_with(".git")), "{unheld:?}");
}

#[test]
fn a_repository_that_is_not_there_may_be_made() {
    let place = Place::with(&["ws"]);
    let view = FileView { writable: place.paths(&["ws"]), ..FileView::default() };
    let seen = place.look(view).expect("the paths are there");
    let git =
        Unheld { root: place.top.join("ws"), path: ".git".into(), before: Before::NoRepository };
    assert!(seen.unheld.contains(&git), "{:?}", seen.unheld);
    let view = seen.rules.view.expect("a view was asked for");
    assert!(!place.shown(&view.absent).iter().any(|path| path.starts_with("ws/.git/")));
}

#[test]
fn the_repository_of_a_linked_worktree_is_found() {
    let place = Place::with(&["ws", "main/.git/worktrees/ws", "main/.git/hooks"]);
    place.file("ws/.git", "gitdir: ../main/.git/worktrees/ws\n");
    place.file("main/.git/worktrees/ws/commondir", "../..\n");
    place.file("main/.git/worktrees/ws/gitdir", "");
    let view =
        place.view(FileView { writable: place.paths(&["ws", "main"]), ..FileView::default() });
    let protected = place.shown(&view.protected);
    for name in [
        "ws/.git",
        "main/.git/hooks",
        "main/.git/worktrees/ws/commondir",
        "main/.git/worktrees/ws/gitdir",
    ] {
        assert!(protected.iter().any(|path| path == name), "{name} in {protected:?}");
    }
}

#[test]
fn the_workspace_stays_visible() {
    let check = |writable: &[&str], hidden: &[&str], expect: (&[&str], &[&str])| {
        let place = Place::with(&["ws", "other"]);
        let view = place.view(FileView {
            writable: place.paths(writable),
            hidden: place.paths(hidden),
            ..FileView::default()
        });
        let got = (place.shown(&view.writable), place.shown(&view.readable));
        let expect = (expect.0.to_vec(), expect.1.to_vec());
        assert_eq!((&got.0[..], &got.1[..]), (&own(&expect.0)[..], &own(&expect.1)[..]));
    };
    fn own(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
    check(&["ws"], &[], (&["ws"], &[]));
    check(&["other"], &[], (&["other"], &["ws"]));
    check(&[], &["ws"], (&[], &["ws"]));
    check(&[""], &["ws"], (&["", "ws"], &[]));
    check(&[""], &[], (&[""], &[]));
}

#[test]
fn what_cannot_be_used_is_named() {
    let place = Place::with(&["ws"]);
    let check = |view: FileView, expect: &str| {
        let error = place.look(view).expect_err("it cannot be used");
        assert!(error.to_string().contains(expect), "{error}");
    };
    let relative = || vec![PathBuf::from("relative")];
    check(FileView { writable: place.paths(&["none"]), ..FileView::default() }, "writable path");
    check(FileView { hidden: relative(), ..FileView::default() }, "hidden path `relative`");
    check(FileView { protected: relative(), ..FileView::default() }, "protected path `relative`");
    let root = FileView { hidden: vec!["/".into()], ..FileView::default() };
    let seen = place.look(root).expect("it is left out");
    assert_eq!(seen.warnings.len(), 1, "{:?}", seen.warnings);
}

//! Protected paths inside writable trees: what they hold, and that git goes on working.
#![cfg(target_os = "linux")]

#[path = "support/place.rs"]
mod place;
mod support;

use place::place;
use ringfence_sandbox::{Before, FileView, Sandbox, SandboxSpec, Unheld};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use support::{refused, spec, works};
use tempfile::TempDir;

/// What a script that uses git begins with: nothing of this machine's own configuration.
const GIT: &str = "export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a \
    GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; set -e; ";

/// Prepares a workspace by a script.
fn outside(dir: &Path, script: &str) {
    let done = Command::new("/bin/sh")
        .args(["-c", &format!("{GIT}{script}")])
        .current_dir(dir)
        .output()
        .expect("a shell is there");
    assert!(done.status.success(), "{script}: {done:?}");
}

/// A workspace made by a script, and a specification in which all of it can be written.
fn workspace(script: &str) -> (TempDir, SandboxSpec) {
    let dir = place();
    let ws = dir.path().join("ws");
    fs::create_dir(&ws).expect("it can be made");
    outside(&ws, script);
    let spec = spec(&ws, FileView { writable: vec![ws.clone()], ..FileView::default() });
    (dir, spec)
}

fn git_works(spec: &SandboxSpec, script: &str) {
    works(spec, &format!("{GIT}{script}"));
}

fn git_refused(spec: &SandboxSpec, script: &str) {
    refused(spec, &format!("{GIT}{script}"));
}

fn unheld(spec: &SandboxSpec) -> Vec<Unheld> {
    Sandbox::prepare(spec).expect("it can be prepared").unheld().to_vec()
}

fn warnings(spec: &SandboxSpec) -> String {
    Sandbox::prepare(spec).expect("it can be prepared").warnings().join("\n")
}

fn before(spec: &SandboxSpec, path: &str) -> Option<Before> {
    let all = unheld(spec);
    all.into_iter().find(|unheld| unheld.path == Path::new(path)).map(|unheld| unheld.before)
}

#[test]
fn what_runs_code_later_cannot_be_changed() {
    let (_dir, spec) = workspace(
        "echo x > .bashrc; echo x > ringfence.toml; mkdir -p .vscode .config/fish a; \
         echo {} > .vscode/tasks.json; echo x > AGENTS.md; echo x > .mcp.json",
    );
    works(&spec, "echo y >> AGENTS.md && echo y > a/b && mkdir -p .config/other && echo y > new");
    works(&spec, "cat .bashrc .vscode/tasks.json ringfence.toml");
    for script in [
        "echo evil >> .bashrc",
        "echo evil > .vscode/tasks.json",
        "echo evil > .vscode/new",
        "echo evil > ringfence.toml",
        "echo evil > .config/fish/config.fish",
        "chmod 777 .bashrc",
        "touch -d 2000-01-01 .mcp.json",
        "truncate -s 0 .mcp.json",
        "mv .bashrc b && mv b .bashrc",
        "mv .vscode v && mv v .vscode",
        "mv .config c && mv c .config",
        "rm .mcp.json && echo {} > .mcp.json",
        "rm -r .config/fish && mkdir .config/fish",
        "echo evil > x && mv x .bashrc",
        "ln -f AGENTS.md .bashrc",
        "ln -sfn a .vscode && rm .vscode/a",
        "ln .bashrc other && echo evil >> other && rm other",
        "ln .vscode/tasks.json other && rm other",
    ] {
        refused(&spec, script);
    }
}

#[test]
fn the_parts_of_a_repository_that_run_code_cannot_be_changed() {
    let (_dir, spec) = workspace("git init -q; echo x > .git/info/attributes");
    git_works(&spec, "echo x > a; git add a; git commit -qm a; echo x >> .git/info/exclude");
    for script in [
        "git config user.name x",
        "git config core.fsmonitor ./evil && git config --unset core.fsmonitor",
        "echo evil > .git/hooks/pre-commit && rm .git/hooks/pre-commit",
        "mv .git/hooks .git/h && mv .git/h .git/hooks",
        "mv .git g && mv g .git",
        "mv .git/config c && mv c .git/config",
        "rm -r .git/hooks && mkdir .git/hooks",
        "ln -sfn /tmp .git/config && rm .git/config && git init -q",
    ] {
        git_refused(&spec, script);
    }
    assert_eq!(before(&spec, ".git/commondir"), Some(Before::Nothing));
    assert_eq!(before(&spec, ".git/config.worktree"), Some(Before::Nothing));
    assert_eq!(before(&spec, ".git"), None);
}

/// The everyday commands of a repository that was there.
const EVERYDAY: &str = "echo b >> a; git add a; git commit -qm b; git branch topic; \
    git checkout -q -b other; echo c > c; git add c; git commit -qm c; echo d >> c; git stash -q; \
    git stash pop -q; git reset -q --hard; git checkout -q topic; echo e > e; git add e; \
    git commit -qm e; git rebase -q other; git checkout -q other; git merge -q topic; \
    git tag v1; git tag -a v2 -m x; git gc -q; touch untracked; git clean -qfd; \
    git worktree add -q wt v1; git -C wt log -1 --oneline; git status --short; git fsck; \
    git mv e f; git rm -q --cached c; git commit -qm f; git reflog expire --all; \
    git worktree remove wt -f; git branch -D topic; git notes add -m x";

#[test]
fn git_goes_on_working() {
    let (_dir, spec) = workspace("git init -q; echo a > a; git add a; git commit -qm a");
    git_works(&spec, EVERYDAY);
    git_works(&spec, "git init -q new; cd new; echo a > a; git add a; git commit -qm a");
    git_works(&spec, "git clone -q . copy; cd copy; git config x.y z; git checkout -q -b x");
    git_refused(&spec, "git config x.y z");
}

#[test]
fn a_new_repository_can_be_made() {
    let (_dir, spec) = workspace("mkdir a; true");
    assert_eq!(before(&spec, ".git"), Some(Before::NoRepository));
    git_works(&spec, "git init -q; git config x.y z; echo x > a/b; git add a; git commit -qm a");
    assert_eq!(before(&spec, ".git"), None);
    git_refused(&spec, "git config x.y z");
}

#[test]
fn a_linked_worktree_works_with_its_repository() {
    let dir = place();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("main")).expect("it can be made");
    let make = "git init -q; echo a > a; git add a; git commit -qm a; git worktree add -q ../wt";
    outside(&path("main"), make);
    let view = |writable: &[&str]| FileView {
        writable: writable.iter().map(|name| path(name)).collect(),
        ..FileView::default()
    };
    let both = spec(&path("wt"), view(&["wt", "main/.git"]));
    assert_eq!(warnings(&both), "");
    git_works(&both, "echo b >> a; git add a; git commit -qm b; git checkout -q -b x; git gc -q");
    git_works(&both, "git stash list; git tag t1; git worktree add -q new; git -C new log -1");
    for script in [
        "cat .git > g; rm .git; mv g .git",
        "mv .git g && mv g .git",
        "echo x >> ../main/.git/hooks/new",
        "git config a.b c",
        "f=../main/.git/worktrees/wt/commondir; echo ../.. > $f",
        "f=../main/.git/worktrees/wt/gitdir; echo $PWD/.git > $f",
        "cd ../main/.git/worktrees; mv wt w; mv w wt",
    ] {
        git_refused(&both, script);
    }
    // Without its repository git can read and not write, and it is said how it could.
    let alone = spec(&path("wt"), view(&["wt"]));
    assert!(warnings(&alone).contains(&format!("--rw {}", path("main/.git").display())));
    git_works(&spec(&path("main"), view(&["main"])), EVERYDAY);
}

#[test]
fn a_repository_with_submodules_works() {
    let dir = place();
    let path = |name: &str| dir.path().join(name);
    for name in ["lib", "ws"] {
        fs::create_dir(path(name)).expect("it can be made");
    }
    outside(&path("lib"), "git init -q; echo a > a; git add a; git commit -qm a");
    let allow = "export GIT_ALLOW_PROTOCOL=file; ";
    let make = "git init -q; git submodule --quiet add ../lib sub/lib; git commit -qm a";
    outside(&path("ws"), &format!("{allow}{make}"));
    let spec = spec(&path("ws"), FileView { writable: vec![path("ws")], ..FileView::default() });
    git_works(&spec, "cd sub/lib; echo b >> a; git commit -qam b; cd ../..; git commit -qam b");
    git_works(&spec, "git submodule status; git checkout -q -b x; git submodule foreach git gc -q");
    for script in [
        "git -C sub/lib config a.b c",
        "echo x > .git/modules/sub/lib/hooks/new",
        "mv .git/modules/sub s && mv s .git/modules/sub",
        "git config -f .gitmodules a.b c",
        "mv sub/lib/.git g && mv g sub/lib/.git",
        "mv sub s && mv s sub",
    ] {
        git_refused(&spec, script);
    }
}

#[test]
fn what_a_configuration_names_cannot_be_changed() {
    let (_dir, spec) = workspace(
        "git init -q; mkdir -p tools/hooks more; echo 'true' > tools/hooks/pre-commit; \
         git config core.hooksPath tools/hooks; git config include.path ../more/config; \
         printf '[core]\\n\\tfsmonitor = ./tools/watch\\n[include]\\npath=absent\\n' > more/config; \
         echo 'exit 1' > tools/watch; chmod +x tools/watch",
    );
    works(&spec, "echo x > tools/other; echo x > more/other");
    for script in [
        "echo evil > tools/hooks/pre-commit",
        "echo evil > tools/watch",
        "echo evil >> more/config",
        "mv tools t && mv t tools",
        "mv more m && mv m more",
    ] {
        refused(&spec, script);
    }
    assert_eq!(before(&spec, "more/absent"), Some(Before::Nothing));
}

#[test]
fn a_link_is_held_with_what_it_leads_to() {
    let (_dir, spec) = workspace(
        "mkdir -p real/dir step; echo x > real/rc; ln -s real/rc .bashrc; \
         ln -s ../real step/next; ln -s step/next/dir .vscode; ln -s missing .profile; \
         ln -s .zshrc .zshrc; echo x > .config; git init -q --separate-git-dir=real/git; \
         rm .git; ln -s real/git .git",
    );
    let said = warnings(&spec);
    for odd in
        [".profile` is not protected: it is a link to nothing", ".zshrc` is not", ".config` is"]
    {
        assert!(said.contains(odd), "{odd}: {said}");
    }
    assert_eq!(before(&spec, "missing"), Some(Before::Nothing));
    git_works(&spec, "echo x > real/other; git add real/rc; git commit -qm a");
    for script in [
        "echo evil >> .bashrc",
        "echo evil >> real/rc",
        "rm .bashrc && ln -s real/rc .bashrc",
        "ln -sfn other .bashrc && ln -sfn real/rc .bashrc",
        "echo evil > .vscode/tasks.json",
        "ln -sfn real .vscode && ln -sfn step/next/dir .vscode",
        "ln -sfn /tmp step/next && ln -sfn ../real step/next",
        "mv real r && mv r real",
        "ln -sfn real .profile && ln -sfn missing .profile",
        "ln -sfn x .git && ln -sfn real/git .git",
        "echo evil > real/git/hooks/x",
    ] {
        refused(&spec, script);
    }
}

#[test]
fn what_is_absent_is_told_and_leaves_nothing() {
    let (_dir, spec) = workspace("mkdir .config; true");
    let ws = spec.workspace.clone();
    let absent = unheld(&spec);
    for path in [".vscode", ".bashrc", "ringfence.toml", ".config/fish", ".gitmodules"] {
        let ws = fs::canonicalize(&ws).expect("it is there");
        let expect = Unheld { root: ws, path: path.into(), before: Before::Nothing };
        assert!(absent.contains(&expect), "{path}");
    }
    // No name below one that is absent itself.
    assert!(absent.iter().all(|unheld| unheld.path.components().count() <= 2));
    works(&spec, "true");
    let left: Vec<_> = fs::read_dir(&ws).expect("it can be read").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    refused(&spec, "mv .config c && mv c .config");
}

#[test]
fn a_file_with_another_name_is_told() {
    let (_dir, spec) = workspace("echo x > a; ln a .bashrc; true");
    assert!(warnings(&spec).contains(".bashrc` is a file with another name"));
}

#[test]
fn own_paths_and_patterns_are_held_too() {
    let (_dir, spec) = workspace("mkdir -p a/b; touch a/b/x.lock a/x.lock a/y; mkdir 'c[d]'");
    let with = |protected: &[&str]| {
        let ws = &spec.workspace;
        let view = FileView {
            writable: vec![ws.clone()],
            protected: protected.iter().map(|path| ws.join(path)).collect(),
            ..FileView::default()
        };
        support::spec(ws, view)
    };
    let spec = with(&["**/*.lock", "a/y", "c[d]", "not/there", "/etc/passwd"]);
    works(&spec, "echo x > a/new && echo x > a/b/new");
    for script in [
        "echo x > a/x.lock",
        "rm a/b/x.lock && touch a/b/x.lock",
        "echo x > a/y",
        "echo x > 'c[d]/e'",
        "mv a/b a/c && mv a/c a/b",
    ] {
        refused(&spec, script);
    }
    assert_eq!(before(&spec, "not/there"), Some(Before::Nothing));
    // A tree that is protected as a whole cannot be written at all.
    refused(&with(&["."]), "echo x > new");
    let relative = FileView { protected: vec![PathBuf::from("x")], ..FileView::default() };
    let error = Sandbox::prepare(&support::spec(&spec.workspace, relative)).expect_err("relative");
    assert!(error.to_string().contains("protected path `x` is not absolute"), "{error}");
}

#[test]
fn a_home_directory_has_more_that_is_protected() {
    let dir = place();
    let home = dir.path().join("home");
    for path in [".config/autostart", ".config/systemd/user", ".claude/projects", "src/ws", ".git"]
    {
        fs::create_dir_all(home.join(path)).expect("it can be made");
    }
    fs::write(home.join(".claude/settings.json"), "{}").expect("it can be written");
    let view =
        FileView { writable: vec![home.clone()], homes: vec![home.clone()], ..FileView::default() };
    let spec = spec(&home.join("src/ws"), view);
    works(&spec, "echo x > ../../.claude/projects/x && echo x > ../../.config/x && echo x > y");
    for script in [
        "echo x > ../../.config/autostart/x",
        "echo x > ../../.config/systemd/user/x",
        "echo x > ../../.claude/settings.json",
        "cd ..; mv ws w && mv w ws",
        "cd ../..; mv src s && mv s src",
    ] {
        refused(&spec, script);
    }
    for path in [".ssh", ".local/share/systemd", ".config/nvim", "src/ws/.vscode", ".vscode"] {
        assert_eq!(before(&spec, path), Some(Before::Nothing), "{path}");
    }
    // Git looks upwards from the workspace.
    for path in ["src/ws/.git", "src/.git"] {
        assert_eq!(before(&spec, path), Some(Before::NoRepository), "{path}");
    }
    // Named on purpose, the built-in list gives way.
    let view = FileView {
        writable: vec![home.clone(), home.join(".config/autostart")],
        homes: vec![home.clone()],
        ..FileView::default()
    };
    works(&support::spec(&home, view), "echo x > .config/autostart/x");
}

#[test]
fn a_pipe_where_a_file_is_read_holds_nobody_up() {
    let (_dir, spec) = workspace("git init -q; rm .git/config; mkfifo .git/config .git/commondir");
    works(&spec, "true");
    refused(&spec, "rm .git/config && mkfifo .git/config");
}

#[test]
fn a_directory_that_cannot_be_entered_is_told() {
    let (_dir, spec) = workspace("mkdir -p .config/fish; true");
    let config = spec.workspace.join(".config");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o000)).expect("it is ours");
    works(&spec, "true");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o755)).expect("it is ours");
    refused(&spec, "echo x > .config/fish/x");
}

#[test]
fn a_change_between_two_runs_is_seen() {
    let (_dir, spec) = workspace("true");
    for round in 0..3 {
        let name = [".bashrc", ".zshrc", ".envrc"][round];
        assert_eq!(before(&spec, name), Some(Before::Nothing));
        fs::write(spec.workspace.join(name), "x").expect("it can be written");
        assert_eq!(before(&spec, name), None);
        refused(&spec, &format!("echo x > {name}"));
    }
    fs::remove_file(spec.workspace.join(".envrc")).expect("it can be removed");
    symlink("target", spec.workspace.join(".envrc")).expect("it can be made");
    assert_eq!(before(&spec, "target"), Some(Before::Nothing));
}

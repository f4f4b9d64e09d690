//! What a guard finds after a run, and what it leaves.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence_workspace::{Before, Findings, Guard, State, Watched, What, release, sweep};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().expect("a temporary directory") };
        for name in ["w", "outside"] {
            fs::create_dir(place.path(name)).expect("a directory");
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("a directory").join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("w")
    }

    fn state(&self) -> State {
        State::at(self.path("state"))
    }

    fn watch(&self, paths: &[(&str, Before)]) -> Vec<Watched> {
        let watched = |&(path, before): &(&str, Before)| Watched {
            root: self.root(),
            path: path.into(),
            before,
        };
        paths.iter().map(watched).collect()
    }

    fn shell(&self, commands: &str) {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", commands])
            .current_dir(self.root())
            .env("OUTSIDE", self.path("outside"));
        assert!(command.status().expect("a shell").success(), "{commands}");
    }

    /// Before the run, the paths, and the run.
    fn run(&self, before: &str, paths: &[(&str, Before)], commands: &str) -> Findings {
        self.shell(before);
        let guard = Guard::begin(&self.state(), "run", self.watch(paths)).expect("a guard");
        self.shell(commands);
        guard.finish()
    }

    /// Nothing but names of the run's own is left below a part of the state.
    fn left(&self, part: &str) -> Vec<String> {
        let entries = fs::read_dir(self.state().path().join(part));
        let mut names: Vec<String> = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// What was found, as the path below the root and what was done there.
fn found(place: &Place, findings: &Findings) -> Vec<(String, What)> {
    let below = |path: &Path| {
        path.strip_prefix(place.root()).expect("below the root").display().to_string()
    };
    findings.found.iter().map(|finding| (below(&finding.path), finding.what)).collect()
}

const WATCHED: &[(&str, Before)] = &[
    (".envrc", Before::Nothing),
    (".vscode/settings.json", Before::Nothing),
    ("a/b/c/d", Before::Nothing),
    (".git", Before::NoRepository),
];

/// Commands, the paths that are taken away, and what is left of the workspace.
fn check(before: &str, commands: &str, taken: &[&str], left: &[&str]) {
    let place = Place::new();
    let findings = place.run(before, WATCHED, commands);
    let expect: Vec<_> = taken.iter().map(|path| ((*path).to_owned(), What::Made)).collect();
    assert_eq!(found(&place, &findings), expect, "{commands}");
    for finding in &findings.found {
        assert_eq!(finding.trouble, None, "{commands}");
        let kept_at = finding.kept_at.as_deref().expect("a place");
        assert!(kept_at.symlink_metadata().is_ok(), "{commands}: {}", kept_at.display());
        assert!(finding.path.symlink_metadata().is_err(), "{commands}");
    }
    let mut found: Vec<String> = Vec::new();
    collect(&place.root(), Path::new(""), &mut found);
    assert_eq!(found, left, "{commands}");
    assert_eq!(fs::read_dir(place.path("outside")).expect("a directory").count(), 0, "{commands}");
}

fn collect(root: &Path, path: &Path, found: &mut Vec<String>) {
    let mut names: Vec<_> = fs::read_dir(root.join(path))
        .expect("a directory")
        .map(|entry| path.join(entry.expect("an entry").file_name()))
        .collect();
    names.sort();
    for name in names {
        found.push(name.display().to_string());
        if root.join(&name).symlink_metadata().expect("a file").is_dir() {
            collect(root, &name, found);
        }
    }
}

#[test]
fn what_was_made_is_taken_away() {
    check("true", "true", &[], &[]);
    check("true", "echo x > .envrc", &[".envrc"], &[]);
    check("true", "mkdir .envrc; echo x > .envrc/f", &[".envrc"], &[]);
    check("true", "ln -s /etc/passwd .envrc", &[".envrc"], &[]);
    check("true", "ln -s nowhere .envrc", &[".envrc"], &[]);
    check("true", "mkfifo .envrc", &[".envrc"], &[]);
    check("true", "mkdir .envrc; chmod 000 .envrc", &[".envrc"], &[]);
    check("true", "echo x > .envrc; chmod 000 .envrc", &[".envrc"], &[]);
    check("true", "echo x > .envrc; rm .envrc; echo y > other", &[], &["other"]);
    check(
        "true",
        "mkdir .vscode; echo x > .vscode/settings.json; echo y > .vscode/other",
        &[".vscode/settings.json"],
        &[".vscode", ".vscode/other"],
    );
    check(
        "mkdir .vscode",
        "echo x > .vscode/settings.json",
        &[".vscode/settings.json"],
        &[".vscode"],
    );
    check("true", "mkdir -p a/b/c/d/e", &["a/b/c/d"], &["a", "a/b", "a/b/c"]);
    check("true", "echo x > .vscode", &[], &[".vscode"]);
}

#[test]
fn links_on_the_way_are_not_followed() {
    check("true", "ln -s \"$OUTSIDE\" .vscode", &[".vscode"], &[]);
    check("mkdir -p a/b", "rm -r a/b; ln -s \"$OUTSIDE\" a/b", &["a/b"], &["a"]);
    check(
        "mkdir a",
        "mv a z; ln -s z a; mkdir -p z/b/c/d",
        &["a"],
        &["z", "z/b", "z/b/c", "z/b/c/d"],
    );
    // The link of the user's stays, and what it leads to in the same tree is watched.
    check(
        "mkdir v; ln -s v .vscode",
        "echo x > v/settings.json",
        &["v/settings.json"],
        &[".vscode", "v"],
    );
    check(
        "mkdir v; ln -s v .vscode",
        "echo x > .vscode/settings.json",
        &["v/settings.json"],
        &[".vscode", "v"],
    );
    check("ln -s \"$OUTSIDE\" .vscode", "true", &[], &[".vscode"]);
    check("ln -s nowhere .vscode", "true", &[], &[".vscode"]);
    check("ln -s nowhere .vscode", "rm .vscode; ln -s v .vscode; mkdir v", &[".vscode"], &["v"]);
}

#[test]
fn a_parent_that_keeps_its_owner_out_is_opened() {
    check(
        "mkdir .vscode",
        "echo x > .vscode/settings.json; chmod 555 .vscode",
        &[".vscode/settings.json"],
        &[".vscode"],
    );
    let place = Place::new();
    let commands = "mkdir .vscode; echo x > .vscode/settings.json; chmod 000 .vscode";
    let findings = place.run("true", WATCHED, commands);
    assert_eq!(found(&place, &findings), [(".vscode/settings.json".to_owned(), What::Made)]);
    assert_eq!(fs::metadata(place.root().join(".vscode")).expect("a directory").mode() & 0o777, 0);
    fs::set_permissions(place.root().join(".vscode"), fs::Permissions::from_mode(0o700))
        .expect("a mode");
}

#[test]
fn what_is_kept_twice_is_kept_beside() {
    let place = Place::new();
    for number in 0..3 {
        let findings = place.run("true", WATCHED, &format!("echo {number} > .envrc"));
        let kept_at = findings.found[0].kept_at.clone().expect("a place");
        assert_eq!(fs::read_to_string(kept_at).expect("a file"), format!("{number}\n"));
    }
    assert_eq!(
        fs::read_dir(place.state().path().join("quarantine/run")).expect("a directory").count(),
        3
    );
}

#[test]
fn across_file_systems_it_is_copied() {
    let place = Place::new();
    let memory = Path::new("/dev/shm");
    let same = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
    if same(memory).is_none() || same(memory) == same(&place.root()) {
        return;
    }
    let kept = tempfile::tempdir_in(memory).expect("a temporary directory");
    let state = State::at(kept.path().join("state"));
    let guard = Guard::begin(&state, "run", place.watch(WATCHED)).expect("a guard");
    place.shell("mkdir -p .envrc/d; echo x > .envrc/d/f; chmod 640 .envrc/d/f; ln -s \"$OUTSIDE\" .envrc/l; mkfifo .envrc/p; chmod 500 .envrc/d");
    let findings = guard.finish();
    assert_eq!((findings.found.len(), findings.found[0].trouble.as_ref()), (1, None));
    let kept_at = findings.found[0].kept_at.clone().expect("a place");
    assert_eq!(fs::read(kept_at.join("d/f")).expect("a file"), b"x\n");
    assert_eq!(fs::metadata(kept_at.join("d/f")).expect("a file").mode() & 0o777, 0o640);
    assert_eq!(fs::read_link(kept_at.join("l")).expect("a link"), place.path("outside"));
    assert!(!place.root().join(".envrc").exists());
    fs::set_permissions(kept_at.join("d"), fs::Permissions::from_mode(0o700)).expect("a mode");
}

#[test]
fn deeper_than_there_are_descriptors() {
    let place = Place::new();
    let findings = place.run(
        "true",
        WATCHED,
        "mkdir .envrc; cd .envrc; i=0; while [ $i -lt 1500 ]; do mkdir d; cd -P d || exit 1; i=$((i+1)); done",
    );
    assert_eq!(findings.found.len(), 1);
    assert!(!place.root().join(".envrc").exists());
    let kept_at = findings.found[0].kept_at.clone().expect("a place");
    // The standard library cannot remove it.
    assert!(Command::new("rm").arg("-rf").arg(kept_at).status().expect("rm(1)").success());
}

#[test]
fn a_repository_may_be_made_but_its_hooks_may_not() {
    let place = Place::new();
    let findings = place.run(
        "true",
        WATCHED,
        "mkdir -p .git/hooks .git/modules/a/b/hooks; echo ref > .git/HEAD; echo x > .git/hooks/pre-commit; \
         echo x > .git/hooks/pre-push.sample; echo x > .git/modules/a/b/hooks/post-checkout; echo x > .git/commondir; \
         printf '[core]\\nbare = false\\nfsmonitor = ./evil\\n[alias]\\nst = status\\nx = !sh\\n' > .git/config",
    );
    let taken: Vec<String> = found(&place, &findings).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        taken,
        [".git/hooks/pre-commit", ".git/commondir", ".git/modules/a/b/hooks/post-checkout"]
    );
    let root = place.root();
    let warnings: Vec<String> =
        findings.warnings.iter().map(|text| text.replace(&*root.to_string_lossy(), "")).collect();
    assert_eq!(
        warnings,
        [
            "/.git/hooks was made with hooks, which were taken away: pre-commit",
            "/.git/config was made with settings that can run programs: alias.x, core.fsmonitor",
            "/.git/modules/a/b/hooks was made with hooks, which were taken away: post-checkout",
        ]
    );
    assert!(root.join(".git/hooks/pre-push.sample").exists());
}

#[test]
fn a_pointer_to_a_repository_is_taken_away() {
    check("true", "echo \"gitdir: $OUTSIDE\" > .git", &[".git"], &[]);
    check("true", "ln -s \"$OUTSIDE\" .git", &[".git"], &[]);
    check("true", "mkdir .git; ln -s \"$OUTSIDE\" .git/hooks", &[".git/hooks"], &[".git"]);
    check("true", "mkdir .git; ln -s \"$OUTSIDE\" .git/config", &[".git/config"], &[".git"]);
}

const KEPT: &[(&str, Before)] = &[("c/config", Before::Something), ("hooks", Before::Something)];
const KEPT_BEFORE: &str = "mkdir c hooks; echo one > c/config; chmod 640 c/config; echo h > hooks/a; mkdir hooks/d; echo g > hooks/d/b; ln -s a hooks/l";

/// Commands, and what is found; afterwards everything is as before.
fn undone(commands: &str, expect: &[(&str, What)]) {
    let (place, control) = (Place::new(), Place::new());
    control.shell(KEPT_BEFORE);
    let findings = place.run(KEPT_BEFORE, KEPT, commands);
    let expect: Vec<_> = expect.iter().map(|(path, what)| ((*path).to_owned(), *what)).collect();
    assert_eq!(found(&place, &findings), expect, "{commands}");
    assert!(findings.found.iter().all(|finding| finding.trouble.is_none()), "{findings:?}");
    let listing = |place: &Place| {
        let mut found = Vec::new();
        collect(&place.root(), Path::new(""), &mut found);
        let of = |name: String| {
            let path = place.root().join(&name);
            let meta = path.symlink_metadata().expect("a file");
            (name, meta.mode(), meta.is_file().then(|| fs::read(path).expect("a file")))
        };
        found
            .into_iter()
            .filter(|name| name != "moved" && !name.starts_with("moved/"))
            .map(of)
            .collect::<Vec<_>>()
    };
    assert_eq!(listing(&place), listing(&control), "{commands}");
    assert_eq!(place.left("guards"), Vec::<String>::new(), "{commands}");
}

#[test]
fn what_was_there_is_put_back() {
    undone("true", &[]);
    undone("echo one > c/config", &[]);
    undone("echo two > c/config", &[("c/config", What::Changed)]);
    undone("chmod 777 c/config", &[("c/config", What::Changed)]);
    undone("rm c/config", &[("c/config", What::Removed)]);
    undone("rm -r c; ln -s \"$OUTSIDE\" c", &[("c", What::Made), ("c/config", What::Removed)]);
    undone("mv c moved; mkdir c; echo x > c/config", &[("c/config", What::Changed)]);
    undone("mv c moved", &[("c/config", What::Removed)]);
    undone("rm c/config; mkdir c/config; echo > c/config/x", &[("c/config", What::Changed)]);
    undone("echo x > hooks/new", &[("hooks/new", What::Made)]);
    undone(
        "echo x > hooks/d/b; rm hooks/a",
        &[("hooks/a", What::Removed), ("hooks/d/b", What::Changed)],
    );
    undone("rm -r hooks", &[("hooks", What::Removed)]);
    undone("rm hooks/l; ln -s /etc/passwd hooks/l", &[("hooks/l", What::Changed)]);
    undone("rm -r hooks/d; echo x > hooks/d", &[("hooks/d", What::Changed)]);
    undone("chmod 000 hooks", &[("hooks", What::Changed)]);
}

#[test]
fn what_is_too_large_is_said_and_left() {
    let place = Place::new();
    place.shell("truncate -s 5M big");
    let watched = place.watch(&[("big", Before::Something)]);
    let guard = Guard::begin(&place.state(), "run", watched).expect("a guard");
    place.shell("rm big");
    let findings = guard.finish();
    assert_eq!((findings.found.len(), findings.warnings.len()), (0, 1));
    assert!(
        findings.warnings[0].ends_with("cannot be undone: it is larger than what is kept"),
        "{findings:?}"
    );
}

/// The journal of a run whose process was killed: a child that begins and ends itself. It is this test, called again.
fn killed(place: &Place, paths: &str) {
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_process_that_is_killed", "--nocapture"])
        .env("GUARD_TEST_PLACE", place.path(""))
        .env("GUARD_TEST_PATHS", paths)
        .output()
        .expect("this program");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.status.signal(), Some(9), "{status:?}");
}

#[test]
fn a_process_that_is_killed() {
    let (Some(place), Some(paths)) =
        (std::env::var_os("GUARD_TEST_PLACE"), std::env::var("GUARD_TEST_PATHS").ok())
    else {
        return;
    };
    let base = PathBuf::from(place).canonicalize().expect("a directory");
    let watched = paths
        .split(' ')
        .map(|path| {
            let (path, before) = match path.strip_prefix('=') {
                Some(kept) => (kept, Before::Something),
                None => (path, Before::Nothing),
            };
            Watched { root: base.join("w"), path: path.into(), before }
        })
        .collect();
    let guard = Guard::begin(&State::at(base.join("state")), "killed", watched).expect("a guard");
    let own = std::process::id().to_string();
    Command::new("kill").args(["-9", &own]).status().expect("kill(1)");
    drop(guard);
}

#[test]
fn the_next_process_finishes_what_a_killed_one_began() {
    let place = Place::new();
    place.shell("echo one > kept");
    killed(&place, ".envrc a/b =kept");
    assert_eq!(place.left("guards").len(), 2, "a journal and its copies");
    place.shell("echo x > .envrc; mkdir a; ln -s \"$OUTSIDE\" a/b; echo two > kept");
    let findings = sweep(&place.state()).expect("a sweep");
    let expect = [(".envrc", What::Made), ("kept", What::Changed), ("a/b", What::Made)];
    assert_eq!(found(&place, &findings), expect.map(|(path, what)| (path.to_owned(), what)));
    assert_eq!(fs::read(place.root().join("kept")).expect("a file"), b"one\n");
    assert_eq!(place.left("guards"), Vec::<String>::new());
    assert!(sweep(&place.state()).expect("a sweep").is_empty());
}

#[test]
fn a_sweep_leaves_the_living_alone() {
    let place = Place::new();
    let guard = Guard::begin(&place.state(), "run", place.watch(WATCHED)).expect("a guard");
    place.shell("echo x > .envrc");
    assert!(sweep(&place.state()).expect("a sweep").is_empty());
    assert_eq!(guard.finish().found.len(), 1);
    assert_eq!(place.left("guards").len(), 1, "it is used again");
    release();
}

#[test]
fn sweeps_at_once_find_each_thing_once() {
    let place = Place::new();
    for _ in 0..4 {
        killed(&place, ".envrc other");
    }
    place.shell("echo x > .envrc");
    let found: usize = std::thread::scope(|scope| {
        let sweeps: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| sweep(&place.state()).expect("a sweep").found.len()))
            .collect();
        sweeps.into_iter().map(|sweep| sweep.join().expect("a sweep")).sum()
    });
    assert_eq!(found, 1);
    assert!(sweep(&place.state()).expect("a sweep").is_empty());
    assert_eq!(place.left("guards"), Vec::<String>::new());
}

#[test]
fn what_a_crash_left_half_made_is_removed() {
    let place = Place::new();
    let guards = place.state().path().join("guards");
    fs::create_dir_all(guards.join("dead-1-0.copies/0")).expect("a directory");
    fs::write(guards.join(".new-dead-1-1"), "0000").expect("a file");
    fs::write(guards.join("dead-1-2"), "nonsense").expect("a file");
    assert!(sweep(&place.state()).expect("a sweep").is_empty());
    assert_eq!(place.left("guards"), Vec::<String>::new());
}

#[test]
fn runs_at_once_in_one_workspace() {
    let place = Place::new();
    let found: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let guard =
                        Guard::begin(&place.state(), "run", place.watch(WATCHED)).expect("a guard");
                    fs::write(place.root().join(".envrc"), "x").expect("a file");
                    let findings = guard.finish();
                    assert!(
                        findings.found.iter().all(|finding| finding.trouble.is_none()),
                        "{findings:?}"
                    );
                    findings.found.len()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("a run")).sum()
    });
    assert!((1..=8).contains(&found), "{found}");
    assert!(!place.root().join(".envrc").exists());
    release();
}

#[test]
fn paths_that_lead_out_are_refused() {
    let place = Place::new();
    for path in ["", "..", "a/../b", "/etc/passwd", "."] {
        let watched = place.watch(&[(path, Before::Nothing)]);
        assert!(Guard::begin(&place.state(), "run", watched).is_err(), "{path}");
    }
    symlink(place.root(), place.path("link")).expect("a link");
    let watched = Watched { root: place.path("link"), path: "a".into(), before: Before::Nothing };
    assert!(Guard::begin(&place.state(), "run", vec![watched]).is_err(), "a root is resolved");
}

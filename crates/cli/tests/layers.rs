//! `diff`, `apply` and `discard` as a person meets them. The layers are made by hand here, as the kernel would have; real ones
//! are tested where they are read.

use ringfence::workspace::{Layer, NewLayer, State};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(place.workspace()).expect("a directory");
        place
    }

    /// The layer of a run; shell scripts write the workspace before it, the layer, and the workspace after it.
    fn run(&self, run: &str, before: &str, layer: &str, after: &str) {
        shell(&self.workspace(), before);
        let state = State::at(self.path("state/ringfence"));
        let new = NewLayer {
            run: run.into(),
            workspace: self.workspace(),
            command: Some("make".into()),
            protected: vec![".git/hooks".into()],
        };
        let made = Layer::create(&state, new).expect("a layer");
        shell(&made.upper(), layer);
        drop(made);
        shell(&self.workspace(), after);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("a directory").join(name)
    }

    fn workspace(&self) -> PathBuf {
        self.path("w")
    }

    fn call(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command.args(words).env("XDG_STATE_HOME", self.path("state"));
        command.output().expect("the tool is built")
    }

    fn check(&self, words: &[&str], status: i32, stdout: &str, stderr: &str) {
        let output = self.call(words);
        assert_eq!(String::from_utf8_lossy(&output.stderr), stderr, "{words:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{words:?}");
        assert_eq!(output.status.code(), Some(status), "{words:?}");
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.workspace().join(name)).expect("a file")
    }
}

fn shell(directory: &Path, commands: &str) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("umask 022\n{commands}")]).current_dir(directory);
    assert!(command.status().expect("a shell").success(), "{commands}");
}

const BEFORE: &str = "printf 'one\\ntwo\\n' > f; echo x > gone; echo m > mode";
const LAYER: &str = "printf 'one\\n2\\n' > f; mknod gone c 0 0; echo m > mode; chmod 755 mode; mkdir d; echo n > \"d/a\nb\"; ln -s f l";

#[test]
fn a_run_is_shown_and_applied() {
    let place = Place::new();
    place.check(&["diff"], 0, "no run has changes\n", "");
    place.run("01RUN", BEFORE, LAYER, "true");
    let lines = "A d/\nA d/a\\nb\nM f\nD gone\nA l\nM mode (mode 755, was 644)\n";
    place.check(&["diff", "01"], 0, lines, "");
    place.check(&["apply", "01RUN", "d/a\\nb"], 0, "A d/\nA d/a\\nb\n", "");
    assert_eq!(place.text("d/a\nb"), "n\n");
    let absolute = place.workspace().join("f").display().to_string();
    place.check(&["apply", "01RUN", &absolute], 0, "M f\n", "");
    place.check(&["apply", "01RUN"], 0, "D gone\nA l\nM mode (mode 755, was 644)\n", "");
    assert_eq!(
        (place.text("f"), place.workspace().join("gone").exists()),
        ("one\n2\n".into(), false)
    );
    place.check(&["diff"], 0, "no run has changes\n", "");
}

#[test]
fn a_list_names_runs_and_workspaces() {
    let place = Place::new();
    place.run("01RUN", BEFORE, LAYER, "true");
    let output = place.call(&["diff"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.lines().nth(1).expect("a run").split_whitespace().collect();
    let workspace = place.workspace().display().to_string();
    assert_eq!(
        (words[0], words[2..].to_vec()),
        ("01RUN", vec!["s", "6", &*workspace, "make"]),
        "{text}"
    );
    let output = place.call(&["diff", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = &list["runs"][0];
    assert_eq!(
        (&run["run"], &run["changes"], &run["running"]),
        (&"01RUN".into(), &6.into(), &false.into())
    );
}

#[test]
fn a_patch_is_one() {
    let place = Place::new();
    place.run("01RUN", BEFORE, LAYER, "true");
    let expect = "\
# d is a new directory
diff --git \"a/d/a\\nb\" \"b/d/a\\nb\"
new file mode 100644
--- /dev/null
+++ \"b/d/a\\nb\"
@@ -0,0 +1 @@
+n
diff --git a/f b/f
--- a/f
+++ b/f
@@ -1,2 +1,2 @@
 one
-two
+2
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/l b/l
new file mode 120000
--- /dev/null
+++ b/l
@@ -0,0 +1 @@
+f
\\ No newline at end of file
diff --git a/mode b/mode
old mode 100644
new mode 100755
";
    place.check(&["diff", "01RUN", "--patch"], 0, expect, "");
}

#[test]
fn json_loses_nothing() {
    let place = Place::new();
    place.run("01RUN", "true", "echo a > \"$(printf '\\377')\"; printf 'a\\0b' > \"a\nb\"", "true");
    let output = place.call(&["diff", "01RUN", "--json"]);
    let diff: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(diff["changes"][0]["path"], "a\nb");
    assert_eq!(diff["changes"][1]["path_base64"], "/w==");
    assert_eq!(diff["changes"][1]["after"]["mode"], "0644");
    let patch = place.call(&["diff", "01RUN", "--patch"]).stdout;
    let patch = String::from_utf8_lossy(&patch).into_owned();
    assert!(patch.contains("Binary files /dev/null and \"b/a\\nb\" differ\n"), "{patch}");
}

#[test]
fn what_is_refused_is_said_and_left() {
    let place = Place::new();
    let layer = "echo layer > f; mkdir -p .git/hooks; echo x > .git/hooks/pre-commit";
    // The change on the host has a later time than the layer, whatever the grain of the clock.
    let after = "until [ -n \"$(find f -newercm ../state/ringfence/layers/01RUN/record.json)\" ]; do echo host > f; done";
    place.run("01RUN", "echo before > f", layer, after);
    place.check(
        &["apply", "01RUN"],
        1,
        "",
        "ringfence: .git/hooks: it is protected\n\
         ringfence: .git/hooks/pre-commit: it is protected\n\
         ringfence: f: it changed on the host after the run began\n\
         ringfence: 3 changes are refused, so nothing was applied\n  \
         hint: look at them with `ringfence diff 01RUN --patch`; apply others by naming their paths, or these, too, with \
         `--force`\n",
    );
    assert_eq!(
        (place.text("f"), place.workspace().join(".git").exists()),
        ("host\n".into(), false)
    );
    let applied = "A .git/\nA .git/hooks/ [protected]\nA .git/hooks/pre-commit [protected]\nM f\n";
    place.check(&["apply", "--force", "01RUN"], 0, applied, "");
    assert_eq!(place.text("f"), "layer\n");
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    place.run("01A", "true", "echo x > f", "true");
    place.run("01B", "true", "echo x > g", "true");
    let none = "ringfence: there are no changes of a run `02`\n  hint: `ringfence diff` lists the runs that have changes\n";
    place.check(&["diff", "02"], 125, "", none);
    place.check(&["discard", "02", "01A"], 125, "", none);
    place.check(&["diff", "01A"], 125, "", &none.replace("`02`", "`01A`"));
    place.run("01C", "true", "echo x > f", "true");
    let several = "ringfence: `01` can be 01B or 01C\n  hint: give more of the name\n";
    place.check(&["apply", "01"], 125, "", several);
    let nothing = "ringfence: the run changed nothing at h\n  hint: give paths as `ringfence diff RUN` prints them\n";
    place.check(&["apply", "01B", "h"], 125, "", nothing);
    place.check(&["discard", "01B", "01C"], 0, "", "");
    place.check(&["diff"], 0, "no run has changes\n", "");
}

//! The tool as a person meets it: what it prints, where, and with which status. Runs themselves are tested elsewhere, against
//! real shells.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

struct Place {
    dir: tempfile::TempDir,
    /// Where runs keep what outlives them.
    state: tempfile::TempDir,
}

impl Place {
    /// An empty directory, or one with a config.
    fn with_config(config: Option<&str>) -> Place {
        let dir = tempfile::tempdir().expect("a temporary directory");
        if let Some(text) = config {
            fs::write(dir.path().join("ringfence.toml"), text).expect("a file");
        }
        Place { dir, state: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command
            .args(words)
            .current_dir(self.path())
            .env("HOME", "/nonexistent")
            .env("XDG_STATE_HOME", self.state.path())
            .env_remove("XDG_CONFIG_HOME");
        command
    }

    fn call(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the tool is built")
    }

    /// The three things a caller sees.
    fn check(&self, words: &[&str], status: i32, stdout: &str, stderr: &str) {
        support::check(&self.call(words), words, status, stdout, stderr);
    }
}

const RULES: &str = "\
[[runner.rules]]
effect = \"deny\"
program = \"git\"
args = [\"push\", \"--force\"]
reason = \"history is shared\"
";

#[test]
fn check_says_what_is_good() {
    Place::with_config(None).check(&["check"], 0, "built-in config: good; profiles: default\n", "");
    let place = Place::with_config(Some("[profiles.a]\nnetwork_allowlist = [\"a.com\"]"));
    place.check(
        &["check", "--config", "ringfence.toml"],
        0,
        "ringfence.toml: good; profiles: default, a\n",
        "ringfence: warning: profile a: network_allowlist has no effect with network_mode = \"deny\"\n",
    );
}

#[test]
fn check_decides_on_a_command() {
    let place = Place::with_config(Some(RULES));
    let good = "ringfence.toml: good; profiles: default\n";
    let allowed = format!("{good}allowed: no rule speaks about the command\n");
    let denied = "ringfence: denied: `git push --force` matches rule 1 (ringfence.toml:1): history is shared\n  \
                  hint: change rule 1 (ringfence.toml:1), or put an `allow` rule before it\n";
    place.check(&["check", "-c", "git push"], 0, &allowed, "");
    place.check(&["check", "-c", "cd x && git push --force"], 125, good, denied);
    place.check(&["check", "--", "git", "push", "--force"], 125, good, denied);
    let empty = "ringfence: denied: the command is empty\n  hint: give a command with `-c COMMAND_LINE` or after `--`\n";
    place.check(&["check", "-c", " "], 125, good, empty);
}

#[test]
fn a_bad_config_is_refused_by_every_subcommand_that_reads_it() {
    let place = Place::with_config(Some("[profiles.build]\nfs_mod = \"inherit\"\n"));
    let message = "ringfence: ringfence.toml:2:1: profiles.build.fs_mod: unknown field `fs_mod`\n  \
                   hint: did you mean `fs_mode`?\n";
    for words in [&["check"][..], &["run", "-c", "true"], &["explain", "-c", "true"]] {
        place.check(words, 125, "", message);
    }
}

#[test]
fn a_missing_config_is_named() {
    Place::with_config(None).check(
        &["run", "--config", "x.toml", "-c", "true"],
        125,
        "",
        "ringfence: failed to read the config `x.toml`: No such file or directory (os error 2)\n  \
         hint: check the path, or leave `--config` out to use the nearest ringfence.toml\n",
    );
}

#[test]
fn a_run_that_cannot_be_has_a_result_too() {
    let place = Place::with_config(None);
    let output = place.call(&["run", "--json", "--events", "events", "-p", "nobody", "-c", "true"]);
    assert_eq!(output.status.code(), Some(125));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "ringfence: there is no profile `nobody`\n  hint: known are default\n");
    let result: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one result object");
    assert_eq!((&result["outcome"], &result["profile"]), (&"failed".into(), &"nobody".into()));
    assert_eq!(result["reason"]["message"], "there is no profile `nobody`");
    let events = fs::read_to_string(place.path().join("events")).expect("an events file");
    let event: serde_json::Value = serde_json::from_str(&events).expect("one event");
    assert_eq!((&event["event"], &event["run"]), (&"run_finished".into(), &result["run"]));
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let place = Place::with_config(None);
    for (flag, hint) in [
        ("--stdout", "make its directory first"),
        ("--stderr", "make its directory first"),
        ("--events", "make its directory first"),
        ("--redact-file", "give a file that is there"),
    ] {
        let message = format!(
            "ringfence: {flag} no/such: failed to open the file: No such file or directory (os error 2)\n  hint: {hint}\n"
        );
        place.check(&["run", flag, "no/such", "-c", "true"], 125, "", &message);
    }
}

#[test]
fn a_secret_in_a_failure_is_masked() {
    let place = Place::with_config(None);
    let secrets = ["--redact", "hunter2-prod", "-e", "KEY=abc123def", "--redact-env", "KEY"];
    let path = "no/hunter2-prod/abc123def";
    let run = ["run", "--json", "--events", "events", "--stdout", path, "-c", "true"];
    let output = place.call(&[&run[..1], &secrets, &run[1..]].concat());
    assert_eq!(output.status.code(), Some(125));
    let expect = "--stdout no/[REDACTED]/[REDACTED]: failed to open the file";
    let events = fs::read(place.path().join("events")).expect("an events file");
    for told in [output.stdout, output.stderr, events] {
        let told = String::from_utf8(told).expect("text");
        assert!(told.contains(expect), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("abc123def"), "{told}");
    }
}

#[test]
fn a_file_that_is_named_twice_is_refused_before_it_is_emptied() {
    let place = Place::with_config(None);
    fs::write(place.path().join("in"), "kept").expect("it can be written");
    let run = ["run", "--stdin", "in", "--stdout", "./in", "-c", "cat"];
    let message = "ringfence: --stdin and --stdout name the same file: ./in\n  hint: it would be emptied before it is read: give another file\n";
    place.check(&run, 125, "", message);
    assert_eq!(fs::read_to_string(place.path().join("in")).expect("it is there"), "kept");
    let run = ["run", "--stdout", "new", "--stderr", "./new", "-c", "true"];
    let message = "ringfence: --stdout and --stderr name the same file: ./new\n  hint: for both streams in one file, in their order, add `2>&1` to the command line\n";
    place.check(&run, 125, "", message);
    assert!(!place.path().join("new").exists());
    let run = ["run", "--stdout", "/dev/null", "--stderr", "/dev/null", "-c", "exit 3"];
    place.check(&run, 3, "", "");
}

#[test]
fn events_that_cannot_be_written_are_told_of_and_the_status_stands() {
    let place = Place::with_config(None);
    let run = ["run", "--events", "/dev/full", "-c", "echo hi; exit 3"];
    let message = "ringfence: warning: failed to write /dev/full: No space left on device (os error 28); the events from there on are lost\n";
    place.check(&run, 3, "hi\n", message);
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_a_run_that_was_ended() {
    let place = Place::with_config(None);
    let mut command = place.command(&["run", "--timeout", "200ms", "--grace", "0s", "-c", "yes"]);
    // Both streams in one pipe, which is full: the messages at the end find no room either.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stderr(writer.try_clone().expect("a descriptor")).stdout(writer);
    let status = command.status().expect("ringfence starts");
    drop(command);
    drop(reader);
    assert_eq!(status.code(), Some(124));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::with_config(None);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = place.command(&["schema"]).stdout(writer).output().expect("ringfence starts");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), b"".as_slice()));
}

#[test]
fn init_never_overwrites_unless_told() {
    let place = Place::with_config(None);
    place.check(&["init"], 0, "wrote ./ringfence.toml\n", "");
    place.check(&["check"], 0, "ringfence.toml: good; profiles: default\n", "");
    let file = place.path().join("ringfence.toml");
    fs::write(&file, "mine").expect("a file");
    let message =
        "ringfence: ./ringfence.toml is there already\n  hint: remove it first, or add `--force`\n";
    place.check(&["init"], 125, "", message);
    assert_eq!(fs::read_to_string(&file).expect("a file"), "mine");
    place.check(&["init", "--force"], 0, "wrote ./ringfence.toml\n", "");
}

#[test]
fn schema_is_json_and_knows_every_profile_field() {
    let output = Place::with_config(None).call(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let fields = schema["$defs"]["Profile"]["properties"].as_object().expect("fields");
    assert_eq!(fields.len(), 27);
}

#[test]
fn completions_and_pages_are_there() {
    let place = Place::with_config(None);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = place.call(&["completions", shell]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("redact-env"), "{shell}");
    }
    let page = place.call(&["man", "run"]).stdout;
    assert!(String::from_utf8_lossy(&page).contains("idle\\-timeout"));
    place.check(&["man", "--dir", "."], 0, "", "");
    assert!(
        place.path().join("ringfence-run.1").exists() && place.path().join("ringfence.1").exists()
    );
    place.check(&["man", "nothing"], 125, "", "ringfence: there is no man page for `nothing`\n");
}

#[test]
fn mistakes_in_arguments_have_the_status_of_a_refusal() {
    let place = Place::with_config(None);
    for words in [&["run", "--frobnicate"][..], &["run"], &["nothing"], &[]] {
        let output = place.call(words);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{words:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
    for words in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = place.call(words);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words:?}");
    }
}

//! `cargo xtask test`: every test there is, and a summary that hides nothing.
//!
//! Parts, in this order: `unit` (unit and integration tests of all crates), `user` (the same as an ordinary user, when
//! root runs this), `doc` (examples in documentation), `examples` (each crate's own), `suite` (real shells and the
//! attacker, against the real binary). It needs nothing but cargo; what it finds beside that, it uses. Where the
//! environment has `RINGFENCE_MUST_WORK=1`, a skip is a failure.
//!
//! The trap: counts come from the words of other programs. A part that ends badly counts as one failure at least,
//! whatever it said.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use ringfence_tests::account::Account;
use ringfence_tests::leftovers::{Inventory, Watch};

use crate::cargo::{cargo, host_in_capitals, programs, root};
use crate::shells;

const PARTS: &[&str] = &["unit", "user", "doc", "examples", "suite"];

struct Options {
    parts: Vec<String>,
    release: bool,
    suite: Vec<String>,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
    remarks: Vec<String>,
}

/// Runs the tests; false when one failed.
///
/// # Errors
/// When the command line is not understood or cargo cannot be run.
pub(crate) fn test(args: &[String]) -> Result<bool, String> {
    let options = options(args)?;
    let wants = |part: &str| options.parts.iter().any(|wanted| wanted == part);
    let watch = Watch::new().map_err(|error| error.to_string())?;
    let ordinary = shells::is_root().then(Account::ordinary);
    let uid =
        ordinary.as_ref().and_then(|account| account.as_ref().ok()).map(|account| account.uid);
    let before = Inventory::take(uid);
    let mut counts = Counts::default();
    if wants("unit") {
        run("unit and integration tests", unit(&options), &watch, &mut counts);
    }
    if let (true, Some(account)) = (wants("user"), &ordinary) {
        user(&options, account, &watch, &mut counts)?;
    }
    if wants("doc") {
        run("documentation tests", documentation(), &watch, &mut counts);
    }
    if wants("examples") {
        examples(&options, &watch, &mut counts)?;
    }
    nothing_left(&before, uid, &watch, &mut counts);
    if wants("suite") {
        suite(&options, &watch, &mut counts)?;
    }
    Ok(summary(&counts))
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options { parts: Vec::new(), release: false, suite: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--only" => {
                let part = args.next().filter(|part| PARTS.contains(&part.as_str()));
                options
                    .parts
                    .push(part.ok_or(format!("--only needs one of {}", PARTS.join(", ")))?.clone());
            }
            "--release" => options.release = true,
            "--" => options.suite.extend(args.by_ref().cloned()),
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    if options.parts.is_empty() {
        options.parts = PARTS.iter().map(|&part| part.to_owned()).collect();
    }
    Ok(options)
}

fn nextest() -> bool {
    let mut command = cargo();
    command.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn unit(options: &Options) -> Command {
    let mut command = cargo();
    if nextest() {
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--no-tests",
            "pass",
            "--no-fail-fast",
            "--status-level",
            "fail",
        ]);
    } else {
        command.args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--quiet",
        ]);
    }
    if options.release {
        command.arg("--release");
    }
    command
}

/// The same tests by way of cargo's own hook for running test programs elsewhere: here, as somebody else.
fn user(
    options: &Options,
    account: &Result<Account, String>,
    watch: &Watch,
    counts: &mut Counts,
) -> Result<(), String> {
    let what = "unit and integration tests as an ordinary user";
    let account = match account {
        Ok(account) => account,
        Err(why) => {
            counts.skip(&format!("{what}: {why}"));
            return Ok(());
        }
    };
    let directory = programs(options.release)?;
    let reachable = |path: &Path| {
        let mut test = account.command("test");
        test.arg("-r")
            .arg(path)
            .env("PATH", "/usr/bin:/bin")
            .status()
            .is_ok_and(|status| status.success())
    };
    let hidden =
        [root(), directory.clone()].into_iter().find(|path| path.exists() && !reachable(path));
    if let Some(path) = hidden {
        // Not a skip that must not be: the suite runs everything as this user, from a copy that it can reach.
        counts.remarks.push(format!(
            "not run: {what}: {} is out of reach for `{}`",
            path.display(),
            account.login
        ));
        return Ok(());
    }
    // Where cargo lets integration tests put their files is root's so far.
    open_to_all(&directory.with_file_name("tmp"))?;
    let mut command = unit(options);
    let home = account.passwd_home.display();
    let runner = format!(
        "setpriv --reuid={} --regid={} --clear-groups -- env HOME={home} USER={}",
        account.uid, account.gid, account.login
    );
    command.env(format!("CARGO_TARGET_{}_RUNNER", host_in_capitals()?), runner);
    run(what, command, watch, counts);
    Ok(())
}

fn open_to_all(directory: &Path) -> Result<(), String> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o1777)))
        .map_err(|error| format!("{}: {error}", directory.display()))
}

fn documentation() -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--doc", "--no-fail-fast", "--quiet"]);
    command
}

/// Each example of each crate must run to its end with nothing given to it.
fn examples(options: &Options, watch: &Watch, counts: &mut Counts) -> Result<(), String> {
    let mut build = cargo();
    build.args(["build", "--workspace", "--examples", "--quiet"]);
    if options.release {
        build.arg("--release");
    }
    let before = counts.failed;
    run("examples: build", build, watch, counts);
    if counts.failed > before {
        return Ok(());
    }
    let directory = programs(options.release)?.join("examples");
    for name in example_names()? {
        let mut command = Command::new(directory.join(&name));
        command.current_dir(root()).stdin(Stdio::null());
        let before = counts.failed;
        run(&format!("example {name}"), command, watch, counts);
        counts.passed += u64::from(counts.failed == before);
    }
    Ok(())
}

fn example_names() -> Result<Vec<String>, String> {
    let text = crate::cargo::output(&["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let targets = packages
        .iter()
        .flat_map(|package| package["targets"].as_array().cloned().unwrap_or_default());
    let examples = targets.filter(|target| target["kind"][0] == "example");
    Ok(examples.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect())
}

fn suite(options: &Options, watch: &Watch, counts: &mut Counts) -> Result<(), String> {
    shells::install_missing();
    let mut build = cargo();
    build.args(["build", "--quiet", "-p", "ringfence-cli", "-p", "ringfence-tests"]);
    if options.release {
        build.arg("--release");
    }
    let before = counts.failed;
    run("build of ringfence and its attacker", build, watch, counts);
    if counts.failed > before {
        return Ok(());
    }
    let directory = programs(options.release)?;
    let mut command = Command::new(directory.join("suite"));
    command.arg("--bin").arg(&directory).args(&options.suite);
    run("real shells, real kernel", command, watch, counts);
    Ok(())
}

/// Runs one part, passes its words on, and counts what it says it did.
fn run(what: &str, mut command: Command, watch: &Watch, counts: &mut Counts) {
    println!("== {what}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match watch.spawn(&mut command, false) {
        Ok(child) => child,
        Err(error) => return counts.fail(&format!("{what}: cannot be started: {error}")),
    };
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    let failed = counts.failed;
    let shared = Mutex::new(std::mem::take(counts));
    thread::scope(|scope| {
        for stream in streams.into_iter().flatten() {
            scope.spawn(|| pass_on(stream, &shared));
        }
    });
    *counts = shared.into_inner().expect("because no reader panicked");
    let status = child.wait();
    watch.ended(child.id(), false);
    match status {
        Ok(status) if !status.success() && counts.failed == failed => {
            counts.fail(&format!("{what}: {status}"))
        }
        Err(error) => counts.fail(&format!("{what}: {error}")),
        Ok(_) => {}
    }
}

fn pass_on(stream: Box<dyn Read + Send>, counts: &Mutex<Counts>) {
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.lock().expect("because no reader panicked").hear(line.trim_end());
    }
}

impl Counts {
    /// Takes in a line of somebody's summary; other lines say nothing.
    fn hear(&mut self, line: &str) {
        if line.starts_with("skipped: ") || line.starts_with("not shown: ") {
            self.remarks.push(line.to_owned());
        }
        // Indented lines are quotations: what a failed test has said. Only nextest's own summary is indented, too.
        let Some(summary) = ["test result: ", "suite: ", "     Summary ["]
            .iter()
            .find_map(|start| line.strip_prefix(start))
        else {
            return;
        };
        let summary = summary.rsplit("tests run:").next().unwrap_or(summary);
        let words: Vec<&str> =
            summary.split([' ', ',', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" | "timed" | "exec" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn fail(&mut self, what: &str) {
        self.failed += 1;
        self.remarks.push(format!("failed: {what}"));
    }

    fn skip(&mut self, what: &str) {
        self.skipped += 1;
        self.remarks.push(format!("skipped: {what}"));
    }
}

/// What the tests of the crates have left; the suite looks after itself.
fn nothing_left(before: &Inventory, uid: Option<u32>, watch: &Watch, counts: &mut Counts) {
    watch.look();
    // A dead child of a test that has ended would be reaped by the system's init, had we not taken its place.
    let mut left = watch.take_found();
    left.retain(|process| process.contains("(alive)"));
    left.extend(Inventory::take(uid).since(before));
    if left.is_empty() {
        counts.passed += 1;
    } else {
        counts.fail(&format!("the tests of the crates have left:\n    {}", left.join("\n    ")));
    }
}

fn summary(counts: &Counts) -> bool {
    println!("== summary");
    for remark in &counts.remarks {
        println!("{remark}");
    }
    let must_work = std::env::var_os("RINGFENCE_MUST_WORK").is_some_and(|value| value == "1");
    let forbidden = must_work && counts.skipped > 0;
    if forbidden {
        println!("failed: RINGFENCE_MUST_WORK=1 does not allow to skip anything");
    }
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    counts.failed == 0 && !forbidden
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn check(line: &str, expected: (u64, u64, u64)) {
        let mut counts = Counts::default();
        counts.hear(line);
        assert_eq!((counts.passed, counts.failed, counts.skipped), expected, "{line}");
    }

    #[test]
    fn summaries_are_understood() {
        check(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s",
            (3, 0, 1),
        );
        check(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            (3, 2, 0),
        );
        check("     Summary [   0.523s] 12 tests run: 12 passed (1 slow), 0 skipped", (12, 0, 0));
        check(
            "     Summary [   0.523s] 12/14 tests run: 10 passed, 1 failed, 1 timed out, 2 skipped",
            (10, 2, 2),
        );
        check("suite: 12 passed, 1 failed, 3 skipped", (12, 1, 3));
        check("5 passed, 1 failed", (0, 0, 0));
        check("    test result: FAILED. 3 passed; 2 failed; 0 ignored", (0, 0, 0));
    }
}

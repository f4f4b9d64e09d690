//! Real runs: standard input, environment, working directory.

use crate::support::{Bench, Mode, finish, modes, text};
use ringfence_executor::{EnvChange, RunError, RunRequest, Stdin, spawn};

async fn check_stdin(make: impl Fn(&Bench) -> Stdin, line: &str, expect: &str) {
    for mode in modes() {
        let bench = Bench::new(mode);
        let mut request = bench.shell(line);
        request.stdin = make(&bench);
        let outcome = finish(request).await;
        assert_eq!(text(&outcome.stdout.kept), expect, "{mode:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn standard_input_is_what_was_asked_for() {
    let file = |bench: &Bench| {
        let path = bench.path().join("input");
        std::fs::write(&path, "from a file\n").expect("because the workspace is ours");
        Stdin::File(path)
    };
    check_stdin(|_| Stdin::Null, "cat; echo end", "end\n").await;
    check_stdin(|_| Stdin::Bytes(b"some bytes\n".to_vec()), "cat; echo end", "some bytes\nend\n")
        .await;
    check_stdin(|_| Stdin::Bytes(vec![b'x'; 3_000_000]), "wc -c | tr -d ' '", "3000000\n").await;
    check_stdin(file, "cat", "from a file\n").await;
}

#[tokio::test]
async fn input_that_nobody_reads_does_not_hold_up_the_run() {
    check_stdin(|_| Stdin::Bytes(vec![b'x'; 3_000_000]), "echo end", "end\n").await;
    check_stdin(|_| Stdin::Bytes(vec![b'x'; 3_000_000]), "head -c 2; echo", "xx\n").await;
}

#[tokio::test]
async fn a_directory_is_no_input() {
    let bench = Bench::new(Mode::Host);
    let mut request = bench.shell("true");
    request.stdin = Stdin::File(bench.path());
    let error = spawn(request).expect_err("because a directory is a way out of the sandbox");
    assert!(matches!(error, RunError::StdinDirectory { .. }), "{error}");
}

async fn check_env(
    bench: impl Fn(Bench) -> Bench,
    changes: &[EnvChange],
    line: &str,
    expect: &str,
) {
    for mode in modes() {
        let bench = bench(Bench::new(mode));
        let mut request = bench.shell(line);
        request.env = changes.to_vec();
        let outcome = finish(request).await;
        assert_eq!(text(&outcome.stdout.kept), expect, "{mode:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_environment_is_what_the_policy_lets_through() {
    let caller =
        |bench: Bench| bench.variable("MINE", "m").variable("LC_ALL", "C").variable("OTHER", "o");
    let show = "echo \"${MINE-none} ${LC_ALL-none} ${OTHER-none}\"";
    let some = |bench| caller(bench).runner("env_allowlist = [\"PATH\", \"LC_*\", \"OTHER\"]\n");
    check_env(some, &[], show, "none C o\n").await;
    check_env(|bench| caller(bench).runner("policy = \"unsafe\"\n"), &[], show, "m C o\n").await;
    let pass = [EnvChange::Pass("MINE".into())];
    check_env(some, &pass, show, "m C o\n").await;
    let set = [
        EnvChange::Set("OTHER".into(), "changed".into()),
        EnvChange::Set("MINE".into(), "".into()),
    ];
    check_env(some, &set, show, " C changed\n").await;
}

#[tokio::test]
async fn a_variable_that_cannot_be_passed_is_warned_of() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let mut request = bench.shell("true");
        request.env = vec![EnvChange::Pass("NOT_SET".into())];
        let outcome = finish(request).await;
        assert_eq!(outcome.warnings, ["variable `NOT_SET` was to be passed and is not set"]);
    }
}

#[tokio::test]
async fn the_working_directory_is_the_workspace_or_another() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let sub = bench.path().join("a b\nc");
        std::fs::create_dir(&sub).expect("because the workspace is ours");
        let at =
            |cwd: Option<&str>| RunRequest { cwd: cwd.map(Into::into), ..bench.shell("pwd -P") };
        let printed = |path: &std::path::Path| {
            format!("{}\n", path.canonicalize().expect("because it exists").display())
        };
        let root = finish(at(None)).await;
        assert_eq!(text(&root.stdout.kept), printed(&bench.path()), "{mode:?}");
        let inner = finish(at(Some("a b\nc"))).await;
        assert_eq!(text(&inner.stdout.kept), printed(&sub), "{mode:?}");
        let error = spawn(at(Some("nowhere"))).expect_err("because there is no such directory");
        assert!(matches!(error, RunError::Cwd { .. }), "{error}");
    }
}

//! Real runs: how a command ends is what the outcome says.

use crate::support::{Bench, finish, modes};
use ringfence_executor::{OutcomeKind, RunRequest};
use ringfence_policy::ReasonCode;

async fn check(
    make: impl Fn(&Bench) -> RunRequest,
    kind: OutcomeKind,
    exit_code: Option<i32>,
    signal: Option<i32>,
) {
    for mode in modes() {
        let bench = Bench::new(mode);
        let outcome = finish(make(&bench)).await;
        let got = (outcome.outcome, outcome.exit_code, outcome.signal);
        assert_eq!(got, (kind, exit_code, signal), "{mode:?}: {outcome:?}");
        assert_eq!(outcome.success(), exit_code == Some(0));
    }
}

#[tokio::test]
async fn exit_statuses_are_the_commands() {
    for code in [0, 1, 42, 126, 127, 128, 255] {
        let line = format!("exit {code}");
        check(|bench| bench.shell(&line), OutcomeKind::Exited, Some(code), None).await;
    }
    check(|bench| bench.shell("no-such-command"), OutcomeKind::Exited, Some(127), None).await;
}

#[tokio::test]
async fn signals_are_told_as_signals() {
    for signal in [1, 2, 6, 9, 11, 15] {
        let line = format!("kill -{signal} $$");
        check(|bench| bench.shell(&line), OutcomeKind::Signaled, None, Some(signal)).await;
    }
}

#[tokio::test]
async fn programs_run_without_a_shell() {
    check(|bench| bench.program(&["true"]), OutcomeKind::Exited, Some(0), None).await;
    check(|bench| bench.program(&["/bin/false"]), OutcomeKind::Exited, Some(1), None).await;
    check(
        |bench| bench.program(&["test", "$HOME", "=", "$HOME"]),
        OutcomeKind::Exited,
        Some(0),
        None,
    )
    .await;
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_as_in_a_shell() {
    check(|bench| bench.program(&["no-such-program"]), OutcomeKind::Failed, Some(127), None).await;
    check(|bench| bench.program(&["/no/such/program"]), OutcomeKind::Failed, Some(127), None).await;
}

#[tokio::test]
async fn a_file_that_is_no_program_fails_as_in_a_shell() {
    let make = |bench: &Bench| {
        std::fs::write(bench.path().join("data"), "x").expect("because the workspace is ours");
        bench.program(&["./data"])
    };
    check(make, OutcomeKind::Failed, Some(126), None).await;
}

#[tokio::test]
async fn a_failed_start_says_why_and_what_to_do() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let outcome = finish(bench.program(&["no-such-program"])).await;
        let reason = outcome.reason.expect("because the run failed");
        assert_eq!(reason.code, ReasonCode::SpawnFailed);
        assert!(reason.message.contains("no-such-program"), "{}", reason.message);
        assert!(reason.hint.is_some());
    }
}

#[tokio::test]
async fn usage_and_backend_are_told() {
    for mode in modes() {
        let outcome = Bench::new(mode).run("true; (true); :").await;
        assert!(outcome.usage.peak_memory_bytes > 0, "{mode:?}");
        let backend = outcome.backend.expect("because it ran").as_str();
        assert_eq!(backend == "host", mode == crate::support::Mode::Host, "{backend}");
        assert_eq!(outcome.profile, "test");
        assert_eq!(outcome.warnings, Vec::<String>::new());
    }
}

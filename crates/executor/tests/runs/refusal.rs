//! What is refused before anything runs, and in which words.

use crate::support::{Bench, Mode};
use ringfence_executor::{Command, OutcomeKind, spawn};
use ringfence_policy::ReasonCode;

const RULE: &str = "[[runner.rules]]
effect = \"deny\"
program = \"git\"
args = [\"push\", \"--force\"]
reason = \"history is shared\"
";

#[tokio::test]
async fn a_denied_command_is_refused_with_its_cause() {
    let bench = Bench::new(Mode::Sandbox).runner(RULE);
    let error =
        spawn(bench.shell("cd x && git push --force")).expect_err("because a rule denies it");
    assert!(error.to_string().contains("`git push --force` matches rule 1"), "{error}");
    assert!(error.to_string().ends_with("history is shared"), "{error}");
    let outcome = error.to_outcome("test");
    assert_eq!(outcome.outcome, OutcomeKind::Refused);
    assert_eq!(outcome.reason.map(|reason| reason.code), Some(ReasonCode::PolicyDenied));
}

#[tokio::test]
async fn a_refusal_quotes_no_secret() {
    let bench = Bench::new(Mode::Sandbox).runner(RULE).secret("hunter2-prod");
    let padding = "x".repeat(130);
    for line in [
        "git push --force https://me:hunter2-prod@example.com/".to_owned(),
        format!("git push --force {padding} hunter2-prod"),
        format!("git push --force {padding}xx hunter2-prod"),
    ] {
        let error = spawn(bench.shell(&line)).expect_err("because a rule denies it");
        assert!(!error.to_string().contains("hunt"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let bench = Bench::new(Mode::Sandbox);
    for line in [&b""[..], b"  ", b"a\0b", b"a\rb"] {
        let error = spawn(bench.request(Command::Shell(line.to_vec())));
        let error = error.expect_err("because this is no command");
        assert_eq!(error.reason_code(), ReasonCode::InvalidCommand, "{line:?}");
        assert_eq!(error.to_outcome("test").outcome, OutcomeKind::Refused);
    }
    let error = spawn(bench.request(Command::Program(Vec::new())));
    assert_eq!(
        error.expect_err("because there is no program").reason_code(),
        ReasonCode::InvalidCommand
    );
}

#[tokio::test]
async fn a_shell_that_is_not_allowed_is_refused() {
    let bench = Bench::new(Mode::Sandbox).runner("allowed_shells = [\"/bin/zsh\"]\n");
    let error = spawn(bench.shell("true")).expect_err("because /bin/sh is not in the list");
    assert_eq!(error.reason_code(), ReasonCode::PolicyDenied);
}

#[test]
fn every_field_of_a_profile_can_be_carried_out() {
    let check = |profile: &str| {
        let result = Bench::new(Mode::Sandbox).profile(profile).prepare();
        result.unwrap_or_else(|error| panic!("{profile}: {error}"));
    };
    check("");
    check("fs_mode = \"inherit\"");
    check("fs_mode = \"workspace_readonly\"\nnetwork_mode = \"inherit\"");
    check("fs_mode = \"workspace_overlay\"");
    check("read_scope = \"minimal\"");
    check("network_mode = \"allowlist\"\nnetwork_allowlist = [\"example.com:443\"]");
    check("unix_sockets = \"inherit\"");
    check("unix_sockets = [\"/run/x.sock\"]");
    check("protected_paths = [\"/a\"]");
    check("hidden_paths = [\"/a\", \"/b*\"]");
    check("max_memory_mb = 512");
    check("hidden_paths = [\"/a\"]");
}

#[test]
fn in_host_mode_only_limits_are_asked_for() {
    let check = |profile: &str, supported: bool| {
        let result = Bench::new(Mode::Host).profile(profile).prepare();
        assert_eq!(result.is_ok(), supported, "{profile}");
    };
    check("fs_mode = \"inherit\"", true);
    check("max_open_files = 64", true);
    check("max_memory_mb = 512", true);
}

#[test]
fn reason_codes_of_limits_are_those_of_the_interface() {
    for resource in ringfence_resource_limits::LimitedResource::ALL {
        let known = ReasonCode::ALL.iter().any(|code| code.as_str() == resource.reason_code());
        assert!(known, "{resource}");
    }
}

//! The facade alone: building runs, in host mode, which every machine has.

use std::path::Path;
use std::time::Duration;

use ringfence::config::{Config, Environment};
use ringfence::{Error, EventKind, Kept, OutcomeKind, RunError, Runner, Secret, Stdin};
use tempfile::TempDir;

const CONFIG: &str = "[runner]\nshell = \"/bin/sh\"\n[profiles.host]\nmode = \"host\"\n";

fn runner() -> (Runner, TempDir) {
    let dir = tempfile::tempdir().expect("because /tmp is writable");
    let config = Config::from_str(CONFIG, Path::new("ringfence.toml"));
    let environment = Environment::new([("PATH", "/usr/bin:/bin"), ("MINE", "m")], dir.path());
    (Runner::new(config.expect("because this config is sound"), environment), dir)
}

#[tokio::test]
async fn a_run_is_built_spawned_and_waited_for() -> Result<(), Error> {
    let (runner, _dir) = runner();
    let builder = runner.shell("cat; echo $CI $MINE; exit 3").profile("host").env("CI", "1");
    let builder = builder.pass_env("MINE").stdin(Stdin::Bytes(b"in ".to_vec()));
    let mut run = builder.spawn().await?;
    let mut printed = Vec::new();
    while let Some(event) = run.next_event().await {
        if let EventKind::Output(output) = event.kind {
            printed.extend(output.bytes);
        }
    }
    let outcome = run.wait().await?;
    assert_eq!((outcome.outcome, outcome.exit_code), (OutcomeKind::Exited, Some(3)));
    assert_eq!(printed, b"in 1 m\n");
    Ok(())
}

#[tokio::test]
async fn programs_need_no_shell() -> Result<(), Error> {
    let (runner, dir) = runner();
    std::fs::create_dir(dir.path().join("sub")).expect("because it is new");
    let words = ["sh", "-c", "basename \"$PWD\""];
    let outcome = runner.program(words).profile("host").cwd("sub").output().await?;
    assert_eq!(outcome.stdout.kept, Kept::Text("sub\n".into()));
    Ok(())
}

#[tokio::test]
async fn flags_and_secrets_hold_for_their_run_only() -> Result<(), Error> {
    let (runner, _dir) = runner();
    let line = "echo hunter2-prod";
    let run = || runner.shell(line).profile("host");
    let masked = run().secret(Secret::new("hunter2-prod")).output().await?;
    assert_eq!(masked.stdout.kept, Kept::Text("[REDACTED]\n".into()));
    let plain = run().output().await?;
    assert_eq!(plain.stdout.kept, Kept::Text("hunter2-prod\n".into()));
    let slow = runner.shell("exec sleep 600").profile("host").grace(Duration::ZERO);
    let timed_out = slow.timeout(Duration::from_millis(10)).output().await?;
    assert_eq!(timed_out.outcome, OutcomeKind::TimedOut);
    Ok(())
}

#[test]
fn the_same_profile_is_prepared_once() -> Result<(), Error> {
    let (runner, _dir) = runner();
    let request = |line: &str| runner.shell(line).profile("host").request();
    let (one, two) = (request("one")?, request("two")?);
    assert!(std::sync::Arc::ptr_eq(&one.prepared, &two.prepared));
    let other = runner.shell("one").profile("host").timeout(Duration::from_secs(1)).request()?;
    assert!(!std::sync::Arc::ptr_eq(&one.prepared, &other.prepared));
    Ok(())
}

#[test]
fn errors_keep_their_type_and_their_advice() {
    let (runner, _dir) = runner();
    let unknown = runner.shell("true").profile("hots").request().err();
    assert!(matches!(unknown, Some(Error::Config(_))), "{unknown:?}");
    let hint = unknown.and_then(|error| error.hint()).unwrap_or_default();
    assert!(hint.contains("host"), "{hint}");
    let allowlist = ringfence::config::NetworkMode::Allowlist;
    let variables = [("HTTPS_PROXY", "https://user:secret@proxy")];
    let environment = ringfence::config::Environment::new(variables, "/");
    let runner = Runner::new(ringfence::config::Config::builtin(), environment);
    let refused = runner.shell("true").network_mode(allowlist).request().err();
    assert!(matches!(refused, Some(Error::Run(RunError::Outlet(_)))), "{refused:?}");
    assert!(!format!("{refused:?}").contains("secret"));
}

#[test]
fn a_config_file_is_found_or_named() {
    let dir = tempfile::tempdir().expect("because /tmp is writable");
    let inner = dir.path().join("a/b");
    std::fs::create_dir_all(&inner).expect("because it is new");
    std::fs::write(dir.path().join("ringfence.toml"), CONFIG).expect("because it is new");
    let found = Runner::discover(&inner).expect("because a parent has a config");
    assert!(found.config().profile_names().contains(&"host"));
    let missing = Runner::from_config_file(dir.path().join("nope.toml"));
    assert!(matches!(missing, Err(Error::Config(_))));
}

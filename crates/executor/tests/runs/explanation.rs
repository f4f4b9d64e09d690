//! What a run would do, told without running it.

use ringfence_executor::{EnvChange, explain};

use crate::support::{Bench, Mode, modes};

const RULE: &str = "[[runner.rules]]
effect = \"deny\"
program = \"git\"
reason = \"not here\"
";

#[test]
fn a_run_is_told_in_words_and_not_made() {
    for mode in modes() {
        let bench = Bench::new(mode)
            .profile("timeout_seconds = 90\nmax_open_files = 64\nmax_file_size_mb = 3")
            .secret("hunter2-prod");
        let mut request = bench.shell("touch made; echo hunter2-prod");
        request.env = vec![EnvChange::Set("CI".into(), "1".into())];
        let told = explain(&request).expect("because this profile can be carried out");
        assert!(told.allowed && told.verdict.starts_with("allowed"), "{}", told.verdict);
        assert_eq!(told.backend.as_str() == "host", mode == Mode::Host);
        assert!(told.variables.contains(&"CI".to_owned()));
        for limit in [
            "wall clock: 90 s, then SIGTERM to the whole tree, and 5 s later SIGKILL",
            "open files of a process: 64",
            "size of a file: 3 MiB",
            "output kept of each stream: 2 MiB",
        ] {
            assert!(told.limits.iter().any(|line| line == limit), "{limit}: {:?}", told.limits);
        }
        let all = format!("{told:?}");
        assert!(!all.contains("hunter2"), "{all}");
        assert!(!bench.path().join("made").exists());
    }
}

#[test]
fn a_denied_command_is_explained_too() {
    let bench = Bench::new(Mode::Host).runner(RULE);
    let told = explain(&bench.shell("git status")).expect("because explaining refuses nothing");
    assert!(!told.allowed);
    assert!(told.verdict.starts_with("denied: `git status` matches rule 1"), "{}", told.verdict);
}

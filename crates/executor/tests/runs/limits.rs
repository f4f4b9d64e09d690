//! Real runs: limits hold, and the outcome names the one that ended the run.

use crate::support::{Bench, modes, text};
use ringfence_executor::OutcomeKind;
use ringfence_resource_limits::LimitedResource;

#[tokio::test]
async fn the_file_size_limit_is_named() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_file_size_mb = 1");
        let line = "exec dd if=/dev/zero of=big bs=65536 count=100";
        let outcome = bench.run(line).await;
        assert_eq!(
            (outcome.outcome, outcome.signal),
            (OutcomeKind::LimitExceeded, Some(25)),
            "{mode:?}"
        );
        let limit = outcome.limit.expect("because it ended the run");
        assert_eq!((limit.resource, limit.limit), (LimitedResource::FileSize, 1 << 20));
        let size = std::fs::metadata(bench.path().join("big")).expect("because dd made it").len();
        assert_eq!(size, 1 << 20);
    }
}

#[tokio::test]
async fn the_cpu_limit_is_named() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_cpu_seconds = 1");
        let outcome = bench.run("while :; do :; done").await;
        assert_eq!(
            (outcome.outcome, outcome.signal),
            (OutcomeKind::LimitExceeded, Some(24)),
            "{mode:?}"
        );
        let limit = outcome.limit.expect("because it ended the run");
        assert_eq!((limit.resource, limit.limit), (LimitedResource::Cpu, 1000));
    }
}

#[tokio::test]
async fn the_cpu_limit_is_one_of_the_tree() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_cpu_seconds = 1");
        let burn = "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done";
        let line = format!("while :; do (sh -c '{burn}'); done");
        let outcome = bench.run(&line).await;
        assert_eq!(outcome.outcome, OutcomeKind::LimitExceeded, "{mode:?}: {outcome:?}");
        assert_eq!(outcome.limit.map(|limit| limit.resource), Some(LimitedResource::Cpu));
    }
}

#[tokio::test]
async fn open_files_are_limited_for_good() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_open_files = 12");
        let outcome =
            bench.run("ulimit -n; ulimit -Hn; ulimit -n 13 2> /dev/null || echo no").await;
        let printed = text(&outcome.stdout.kept);
        assert!(printed.starts_with("12\n12\n"), "{mode:?}: {printed}");
        if mode == crate::support::Mode::Sandbox || !nix::unistd::getuid().is_root() {
            assert_eq!(printed, "12\n12\nno\n", "{mode:?}");
        }
    }
}

#[tokio::test]
async fn core_dumps_are_off() {
    for mode in modes() {
        let outcome = Bench::new(mode).run("ulimit -c; ulimit -Hc").await;
        assert_eq!(text(&outcome.stdout.kept), "0\n0\n", "{mode:?}");
    }
}

/// A bomb of 255 shells at most, each with a child that sleeps: far over the limit, and no danger
/// to the machine if nobody keeps it.
const BOMB: &str =
    "bomb() { [ $1 = 0 ] || { bomb $(($1-1)) & bomb $(($1-1)) & }; sleep 600; }; bomb 7";

#[tokio::test]
async fn a_fork_bomb_ends_within_its_limit() {
    for mode in modes() {
        let bench =
            Bench::new(mode).profile("max_processes = 50\ntimeout_seconds = 5\ngrace_seconds = 0");
        let outcome = bench.run(BOMB).await;
        let level = outcome.enforcement.iter().find(|(property, _)| *property == "process_count");
        let kept_by_kernel = level.is_some_and(|(_, level)| level.is_full());
        if kept_by_kernel {
            // The kernel refuses the forks; nothing ends the run but its timeout, or itself.
            assert!(text(&outcome.stderr.kept).contains("fork"), "{mode:?}: {outcome:?}");
        } else {
            assert_eq!(outcome.outcome, OutcomeKind::LimitExceeded, "{mode:?}: {outcome:?}");
            let limit = outcome.limit.expect("because it ended the run");
            assert_eq!((limit.resource, limit.limit), (LimitedResource::Processes, 50));
        }
    }
}

#[tokio::test]
async fn the_memory_limit_is_one_of_the_tree_and_is_named() {
    // Two children fill memory; none of them alone would be over the limit.
    let fill = "dd if=/dev/zero of=/dev/null bs=48M count=100000 2>/dev/null";
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_memory_mb = 64");
        let outcome = bench.run(&format!("{fill} & {fill} & wait")).await;
        let limit = outcome.limit.expect("because the limit ended it");
        assert_eq!(outcome.outcome, OutcomeKind::LimitExceeded);
        assert_eq!((limit.resource, limit.limit), (LimitedResource::Memory, 64 << 20));
        assert!(limit.observed.is_some_and(|seen| seen > 64 << 20), "{limit:?}");
        let outcome = bench.run("dd if=/dev/zero of=/dev/null bs=8M count=1 2>/dev/null").await;
        assert_eq!((outcome.outcome, outcome.limit), (OutcomeKind::Exited, None));
    }
}

#[tokio::test]
async fn what_hampers_without_ending_is_listed() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_open_files = 12\nmax_output_mb = 0");
        let line = "exec 3< /dev/null 4< /dev/null 5< /dev/null 6< /dev/null 7< /dev/null; \
                    exec 8< /dev/null 9< /dev/null 10< /dev/null 11< /dev/null; \
                    n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; echo x";
        let outcome = bench.run(&format!("exec bash -c '{line}'")).await;
        assert_eq!(outcome.outcome, OutcomeKind::Exited, "{mode:?}: {outcome:?}");
        let listed: Vec<_> = outcome.limits_hit.iter().map(|hit| hit.resource.as_str()).collect();
        assert_eq!(listed, ["open_files", "output"], "{mode:?}: {outcome:?}");
        assert_eq!(outcome.limit.as_ref(), outcome.limits_hit.first());
    }
}

#[tokio::test]
async fn an_orphan_that_a_limit_ends_is_named_though_the_command_succeeds() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_file_size_mb = 1");
        let orphan = "(dd if=/dev/zero of=big bs=65536 count=100 2> /dev/null & echo $! > pid)";
        let gone = "while kill -0 $(cat pid) 2> /dev/null; do :; done";
        let outcome = bench.run(&format!("{orphan}; {gone}; exit 0")).await;
        assert_eq!(outcome.exit_code, Some(0), "{mode:?}: {outcome:?}");
        let limit = outcome.limit.expect("because the kernel ended dd by it");
        assert_eq!((limit.resource, limit.ended_command), (LimitedResource::FileSize, false));
        assert_eq!(limit.program.as_deref(), Some("dd"), "{mode:?}");
    }
}

#[tokio::test]
async fn usage_is_that_of_the_whole_tree() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let burn = "n=0; while [ $n -lt 30000 ]; do n=$((n+1)); done";
        let daemon = format!("(sh -c '{burn}; echo done > end' &)");
        let outcome = bench.run(&format!("{daemon}; while [ ! -e end ]; do :; done")).await;
        assert!(outcome.success(), "{mode:?}: {outcome:?}");
        let usage = outcome.usage;
        assert!(usage.user_cpu.as_millis() > 0 && usage.peak_memory_bytes > 0, "{usage:?}");
        assert!(usage.voluntary_switches + usage.involuntary_switches > 0, "{usage:?}");
    }
}

#[tokio::test]
async fn a_share_of_cores_is_kept_or_refused() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_cpu_cores = 0.5");
        match ringfence_executor::spawn(bench.shell("echo ran")) {
            Ok(run) => {
                let outcome = crate::support::in_time(run.wait()).await;
                let outcome = outcome.expect("because the command was started");
                let level = outcome.enforcement.iter().find(|(name, _)| *name == "cpu_cores");
                assert!(level.is_some(), "{mode:?}: {outcome:?}");
            }
            Err(error) => {
                assert!(matches!(error, ringfence_executor::RunError::NoGroup { .. }), "{error}");
                assert!(error.hint().is_some_and(|hint| hint.contains("cgroup_parent")));
            }
        }
    }
}

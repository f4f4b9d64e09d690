//! Real runs: deadlines, cancelling, dropping, and that nothing of a tree is left afterwards.

use std::time::Duration;

use crate::support::{
    Bench, Lifeline, all_events, finish, in_time, modes, start, text, until_printed,
};
use ringfence_executor::{EventKind, OutcomeKind};
use ringfence_resource_limits::LimitedResource;

/// Two processes that nothing but `SIGKILL` ends: one in a session of its own, orphaned.
const STUBBORN: &str = "exec 3>lifeline; trap '' TERM INT HUP
    (setsid sh -c 'trap \"\" TERM INT HUP; echo up; while :; do sleep 600; done' &)
    while :; do sleep 600; done";

#[tokio::test]
async fn a_timeout_asks_first() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("timeout_seconds = 1\ngrace_seconds = 60");
        let outcome = bench.run("trap 'echo asked; exit 7' TERM; echo up; sleep 600 & wait").await;
        assert_eq!(
            (outcome.outcome, outcome.exit_code),
            (OutcomeKind::TimedOut, Some(7)),
            "{mode:?}"
        );
        assert_eq!(text(&outcome.stdout.kept), "up\nasked\n");
        let limit = outcome.limit.expect("because the time was limited");
        assert_eq!((limit.resource, limit.limit), (LimitedResource::Time, 1000));
        assert!(limit.observed >= Some(1000), "{limit:?}");
    }
}

#[tokio::test]
async fn a_timeout_kills_what_does_not_listen() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("timeout_seconds = 1\ngrace_seconds = 1");
        let lifeline = Lifeline::new(&bench);
        let outcome = bench.run(STUBBORN).await;
        assert_eq!((outcome.outcome, outcome.signal), (OutcomeKind::TimedOut, Some(9)), "{mode:?}");
        assert!(outcome.duration >= Duration::from_secs(2));
        lifeline.cut().await;
    }
}

#[tokio::test]
async fn silence_is_a_timeout_of_its_own() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("idle_timeout_seconds = 1\ngrace_seconds = 0");
        let mut run = start(bench.shell("echo up; exec sleep 600"));
        let events = all_events(&mut run).await;
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        assert_eq!((outcome.outcome, outcome.signal), (OutcomeKind::TimedOut, Some(9)), "{mode:?}");
        let limit = outcome.limit.expect("because silence was limited");
        assert_eq!((limit.resource, limit.limit), (LimitedResource::Idle, 1000));
        let told = events.iter().filter(|event| {
            matches!(&event.kind, EventKind::SandboxResourceExceeded(hit) if hit.resource == LimitedResource::Idle)
        });
        assert_eq!(told.count(), 1);
    }
}

#[tokio::test]
async fn cancelling_kills_the_tree() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let lifeline = Lifeline::new(&bench);
        let mut run = start(bench.shell(STUBBORN));
        until_printed(&mut run, "up").await;
        let handle = run.handle();
        handle.cancel();
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        assert_eq!(
            (outcome.outcome, outcome.signal),
            (OutcomeKind::Cancelled, Some(9)),
            "{mode:?}"
        );
        lifeline.cut().await;
        assert!(handle.signal(15).is_err(), "the run is over");
    }
}

#[tokio::test]
async fn dropping_kills_the_tree() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let lifeline = Lifeline::new(&bench);
        let mut run = start(bench.shell(STUBBORN));
        until_printed(&mut run, "up").await;
        drop(run);
        lifeline.cut().await;
    }
}

#[tokio::test]
async fn dropping_the_wait_kills_the_tree() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let lifeline = Lifeline::new(&bench);
        let mut run = start(bench.shell(STUBBORN));
        until_printed(&mut run, "up").await;
        let waited = tokio::time::timeout(Duration::from_millis(1), run.wait()).await;
        assert!(waited.is_err());
        lifeline.cut().await;
    }
}

#[test]
fn a_runtime_that_ends_takes_its_runs_along() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("because threads can be had")
        };
        let (kept, observer) = (runtime(), runtime());
        let lifeline = observer.block_on(async { Lifeline::new(&bench) });
        let run = kept.block_on(async {
            let mut run = start(bench.shell(STUBBORN));
            until_printed(&mut run, "up").await;
            run
        });
        drop(kept);
        observer.block_on(lifeline.cut());
        drop(run);
    }
}

#[tokio::test]
async fn signals_reach_the_whole_tree() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let script = "trap 'echo outer; exit 3' USR1
            sh -c 'trap \"echo inner; exit\" USR1; echo up; while :; do sleep 0.1; done' &
            while :; do wait; done";
        let mut run = start(bench.shell(script));
        until_printed(&mut run, "up").await;
        run.signal(10).expect("because the run goes on");
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        assert_eq!(outcome.exit_code, Some(3), "{mode:?}");
        let printed = text(&outcome.stdout.kept);
        assert!(printed.contains("inner") && printed.contains("outer"), "{printed}");
    }
}

#[tokio::test]
async fn a_background_process_does_not_hold_up_the_result() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let lifeline = Lifeline::new(&bench);
        let line = "exec 3>lifeline; sleep 600 & (setsid sleep 600 &); echo done";
        let outcome = bench.run(line).await;
        assert_eq!(
            (outcome.outcome, outcome.exit_code),
            (OutcomeKind::Exited, Some(0)),
            "{mode:?}"
        );
        assert_eq!(text(&outcome.stdout.kept), "done\n");
        assert_eq!(outcome.warnings, ["2 processes outlived the command and were killed"]);
        lifeline.cut().await;
    }
}

#[tokio::test]
async fn the_far_end_of_a_pipeline_may_finish_its_work() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let line = "mkfifo p; (read line < p; echo \"got $line\") & echo late > p; exit 0";
        let outcome = bench.run(line).await;
        assert_eq!(text(&outcome.stdout.kept), "got late\n", "{mode:?}");
    }
}

#[tokio::test]
async fn what_outlives_a_request_to_end_has_the_grace_time() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("timeout_seconds = 1\ngrace_seconds = 60");
        let line =
            "sh -c 'trap \"sleep 0.5; echo cleaned; exit\" TERM; echo up; sleep 600 & wait' &
            exec sleep 600";
        let outcome = finish(bench.shell(line)).await;
        assert_eq!(outcome.outcome, OutcomeKind::TimedOut, "{mode:?}");
        assert_eq!(text(&outcome.stdout.kept), "up\ncleaned\n");
    }
}

#[tokio::test]
async fn orders_that_come_too_late_lose_no_report() {
    for mode in modes() {
        for _ in 0..50 {
            let bench = Bench::new(mode);
            let run = start(bench.shell("exit 3"));
            let handle = run.handle();
            let nagging = std::thread::spawn(move || while handle.signal(0).is_ok() {});
            let outcome = in_time(run.wait()).await.expect("because the run is set up");
            assert_eq!(outcome.exit_code, Some(3), "{mode:?}");
            nagging.join().expect("because it does not panic");
        }
    }
}

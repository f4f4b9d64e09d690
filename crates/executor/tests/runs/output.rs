//! Real runs: what a command prints, where it arrives, and in what shape.

use std::sync::{Arc, Mutex};

use crate::support::{Bench, Lifeline, all_events, finish, in_time, modes, start, text};
use ringfence_executor::{Capture, EventKind, Kept, OutputEvents, Stream};
use ringfence_output_capture::{CallbackSink, FileSink, Sink};
use ringfence_resource_limits::LimitedResource;

#[tokio::test]
async fn both_streams_are_kept_apart() {
    for mode in modes() {
        let outcome = Bench::new(mode).run("echo out; echo err >&2; printf '\\303\\244'").await;
        assert_eq!(outcome.stdout.kept, Kept::Text("out\nä".into()), "{mode:?}");
        assert_eq!(outcome.stderr.kept, Kept::Text("err\n".into()));
        assert_eq!((outcome.stdout.bytes, outcome.stdout.kept_bytes), (6, 6));
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_arrive_as_they_are() {
    for mode in modes() {
        let outcome = Bench::new(mode).run("printf 'a\\000\\377'").await;
        assert_eq!(outcome.stdout.kept, Kept::Base64("YQD/".into()), "{mode:?}");
    }
}

#[tokio::test]
async fn much_output_on_both_streams_at_once() {
    for mode in modes() {
        let line = "yes out | head -c 5000000 & yes err | head -c 5000000 >&2; wait";
        let outcome = Bench::new(mode).profile("max_output_mb = 8").run(line).await;
        assert_eq!(
            (outcome.stdout.bytes, outcome.stderr.bytes),
            (5_000_000, 5_000_000),
            "{mode:?}"
        );
        assert_eq!((outcome.stdout.kept_bytes, outcome.stdout.dropped_bytes), (5_000_000, 0));
    }
}

#[tokio::test]
async fn over_the_cap_the_middle_is_dropped_and_counted() {
    for mode in modes() {
        let bench = Bench::new(mode).profile("max_output_mb = 1");
        let outcome = bench.run("echo first; yes | head -c 3000000; echo last").await;
        let (stdout, kept) = (&outcome.stdout, text(&outcome.stdout.kept));
        assert!(kept.starts_with("first\n") && kept.ends_with("last\n"), "{mode:?}");
        assert_eq!(stdout.bytes, 3_000_011);
        assert_eq!(stdout.kept_bytes + stdout.dropped_bytes, stdout.bytes);
        let limit = outcome.limit.as_ref().expect("because output was dropped");
        assert_eq!((limit.resource, limit.limit), (LimitedResource::Output, 1 << 20));
        assert!(outcome.success(), "the command itself did not notice");
    }
}

#[tokio::test]
async fn secrets_reach_no_sink_no_event_and_no_outcome() {
    for mode in modes() {
        let bench = Bench::new(mode).secret("hunter2-prod");
        let path = bench.path().join("log");
        let called = Arc::new(Mutex::new(Vec::new()));
        let callback = {
            let called = Arc::clone(&called);
            move |bytes: &[u8]| {
                called.lock().expect("because nobody panics").extend_from_slice(bytes)
            }
        };
        let mut request =
            bench.shell("printf hunter; sleep 0.1; echo 2-prod; echo password=abcdefgh >&2");
        let file = FileSink::create(&path, None, request.prepared.mask());
        request.stdout = vec![
            Box::new(file.expect("because the workspace is ours")),
            Box::new(CallbackSink::new(callback)),
        ];
        let mut run = start(request);
        let events = all_events(&mut run).await;
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        assert_eq!(text(&outcome.stdout.kept), "[REDACTED]\n", "{mode:?}");
        assert_eq!(outcome.stdout.redactions, 1);
        assert!(!text(&outcome.stderr.kept).contains("abcdefgh"));
        let log = std::fs::read(&path).expect("because it was written");
        assert_eq!(log, b"[REDACTED]\n");
        assert_eq!(*called.lock().expect("because nobody panics"), b"[REDACTED]\n");
        let lines = serde_json::to_string(&events).expect("because events are plain data");
        assert!(!lines.contains("hunter2") && !lines.contains("abcdefgh"), "{lines}");
    }
}

#[tokio::test]
async fn output_that_is_only_counted_is_not_kept() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let mut request = bench.shell("echo hello");
        request.capture = Capture::CountOnly;
        let outcome = finish(request).await;
        assert_eq!((outcome.stdout.bytes, outcome.stdout.kept_bytes), (6, 0), "{mode:?}");
        assert_eq!((text(&outcome.stdout.kept), outcome.stdout.dropped_bytes), ("", 0));
        assert_eq!(outcome.limit, None);
    }
}

/// Takes two writes; at the third it fails or panics.
struct Faulty {
    panics: bool,
    writes: u32,
    taken: Arc<Mutex<u64>>,
}

impl Sink for Faulty {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writes += 1;
        if self.writes > 2 {
            assert!(!self.panics, "made to");
            return Err(std::io::Error::other("no more"));
        }
        *self.taken.lock().expect("because nobody panics there") += bytes.len() as u64;
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_fails_is_told_of_and_the_run_goes_on() {
    for mode in modes() {
        let check = async |panics: bool, error: &str| {
            let bench = Bench::new(mode);
            let mut request = bench.shell("yes | head -c 5000000; echo over >&2");
            let taken = Arc::new(Mutex::new(0));
            request.stdout = vec![Box::new(Faulty { panics, writes: 0, taken: taken.clone() })];
            let outcome = finish(request).await;
            assert_eq!((outcome.exit_code, text(&outcome.stderr.kept)), (Some(0), "over\n"));
            assert_eq!(outcome.stdout.bytes, 5_000_000, "{mode:?}");
            let taken = *taken.lock().expect("because nobody panics there");
            let lost = 5_000_000 - taken;
            let expect = format!("stdout to sink: {error}, {lost} bytes lost");
            assert!(taken > 0 && lost > 0, "{taken}");
            assert_eq!(outcome.warnings, [expect], "{mode:?}");
        };
        check(false, "no more").await;
        check(true, "it panicked").await;
    }
}

#[tokio::test]
async fn events_tell_the_run_in_order() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let mut run = start(bench.shell("echo out; exec echo err >&2"));
        let events = all_events(&mut run).await;
        let names: Vec<_> = events.iter().map(|event| name(&event.kind)).collect();
        assert_eq!(names.first().map(String::as_str), Some("run_started"), "{mode:?}: {names:?}");
        assert_eq!(names.last().map(String::as_str), Some("run_finished"));
        let outputs: Vec<_> = names[1..names.len() - 1].to_vec();
        assert_eq!(outputs.len(), 2, "{names:?}");
        assert!(
            outputs.contains(&"output:stdout".into()) && outputs.contains(&"output:stderr".into())
        );
        assert!(events.is_sorted_by_key(|event| event.ts_ms));
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        let Some(EventKind::RunFinished(last)) = events.last().map(|event| &event.kind) else {
            panic!("because this was asserted above");
        };
        assert_eq!(json(&**last), json(&outcome));
    }
}

#[tokio::test]
async fn a_reader_who_never_reads_holds_up_nothing_and_still_gets_the_end() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let lifeline = Lifeline::new(&bench);
        let mut run = start(bench.shell("exec 3>lifeline; yes | head -c 20000000"));
        lifeline.cut().await;
        let events = all_events(&mut run).await;
        let printed: usize = events.iter().map(|event| output_size(&event.kind)).sum();
        assert!(printed < 20_000_000, "{mode:?}");
        assert_eq!(events.last().map(|event| name(&event.kind)).as_deref(), Some("run_finished"));
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        assert_eq!(outcome.stdout.bytes, 20_000_000);
    }
}

#[tokio::test]
async fn output_events_can_be_left_out() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let mut request = bench.shell("echo hello");
        request.output_events = OutputEvents::Omit;
        let mut run = start(request);
        let names: Vec<_> = all_events(&mut run).await.iter().map(|e| name(&e.kind)).collect();
        assert_eq!(names, ["run_started", "run_finished"], "{mode:?}");
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        assert_eq!(text(&outcome.stdout.kept), "hello\n");
    }
}

#[tokio::test]
async fn a_long_run_is_sampled() {
    for mode in modes() {
        let bench = Bench::new(mode);
        let mut run = start(bench.shell("read line < /dev/null; exec sleep 600"));
        let sample = loop {
            let event = in_time(run.next_event()).await.expect("because the run goes on");
            if let EventKind::Usage(sample) = event.kind {
                break sample;
            }
        };
        assert_eq!(sample.processes, 1, "{mode:?}");
        assert!(sample.memory_bytes > 0);
    }
}

fn name(kind: &EventKind) -> String {
    match kind {
        EventKind::Output(output) if output.stream == Stream::Stdout => "output:stdout".into(),
        EventKind::Output(_) => "output:stderr".into(),
        other => json(other)["event"].as_str().expect("because every event has a name").to_owned(),
    }
}

fn output_size(kind: &EventKind) -> usize {
    match kind {
        EventKind::Output(output) => output.bytes.len(),
        _ => 0,
    }
}

fn json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("because it is plain data")
}

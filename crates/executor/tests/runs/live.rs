//! Real runs, taken hold of while they go on: secrets that come late, viewers, terminals.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Bench, PATIENCE, finish, in_time, modes, start, text, until_printed};
use ringfence_executor::{Kept, RunRequest, Stdin};
use ringfence_output_capture::{CallbackSink, Channel, Secret, Seen, Since};
use ringfence_sandbox::TerminalSize;

/// A pipe in the workspace that a command waits at with `read -r word < go`.
fn gate(bench: &Bench) {
    let path = bench.path().join("go");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("because it is new");
}

async fn open(workspace: &Path) {
    let go = workspace.join("go");
    let opened = tokio::task::spawn_blocking(move || std::fs::write(go, "word\n"));
    in_time(opened).await.expect("because it does not panic").expect("because it is read");
}

#[tokio::test]
async fn a_secret_that_comes_late_is_masked_from_then_on() {
    for mode in modes() {
        let bench = Bench::new(mode);
        gate(&bench);
        let script = "echo ready hunter2-prod; read -r word < go; echo $word hunter2-prod; exit 3";
        let mut run = start(bench.shell(script));
        until_printed(&mut run, "ready").await;
        assert!(run.redact(&Secret::new("hunter2-prod")).is_none());
        let short = run.redact(&Secret::new("abc")).expect("because it is too short");
        assert!(short.to_string().contains("number 2"), "{short}");
        open(&bench.path()).await;
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        let expect = "ready hunter2-prod\nword [REDACTED]\n";
        assert_eq!(
            (text(&outcome.stdout.kept), outcome.stdout.redactions),
            (expect, 1),
            "{mode:?}"
        );
        // The next run of the same profile knows nothing of it.
        let next = bench.run("echo hunter2-prod").await;
        assert_eq!(text(&next.stdout.kept), "hunter2-prod\n");
    }
}

#[tokio::test]
async fn secrets_that_come_in_the_middle_of_output_do_not_show_again() {
    const WORDS: [&str; 3] = ["alpha-secret", "beta-secret", "gamma-secret"];
    for mode in modes() {
        let bench = Bench::new(mode);
        let line = WORDS.join(" ");
        let script = format!("while ! test -e stop; do echo {line}; done");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&printed);
        let sink = CallbackSink::new(move |bytes: &[u8]| {
            into.lock().expect("because nobody panics").extend_from_slice(bytes);
        });
        let mut run = start(RunRequest { stdout: vec![Box::new(sink)], ..bench.shell(&script) });
        // The lines as they look when none of the words is known, one, two, all.
        let looks: Vec<_> = (0..=WORDS.len()).map(|known| masked(&WORDS, known)).collect();
        until_printed(&mut run, &looks[0]).await;
        for (known, word) in (1..).zip(WORDS) {
            assert_eq!(run.redact(&Secret::new(word)), None);
            until_printed(&mut run, &looks[known]).await;
        }
        std::fs::write(bench.path().join("stop"), "").expect("because the workspace is ours");
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        let printed = printed.lock().expect("because nobody panics");
        let printed = std::str::from_utf8(&printed).expect("because only text was printed");
        let known = printed.lines().map(|line| looks.iter().position(|look| look == line));
        let known: Vec<_> = known.map(|known| known.expect("because a line is whole")).collect();
        assert!(known.is_sorted() && known.contains(&3), "{mode:?}");
        assert_eq!(outcome.stdout.redactions, known.iter().sum::<usize>() as u64);
    }
}

fn masked(words: &[&str], known: usize) -> String {
    let look = |(number, word)| if number < known { "[REDACTED]" } else { word };
    words.iter().copied().enumerate().map(look).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn both_streams_in_one_are_in_order() {
    for mode in modes() {
        let bench = Bench::new(mode).runner("[runner.output]\ncombined = true\n");
        gate(&bench);
        let mut run = start(bench.shell("echo one; read -r word < go; echo two >&2"));
        until_printed(&mut run, "one").await;
        open(&bench.path()).await;
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        let combined = outcome.combined.expect("because it was asked for");
        assert_eq!((text(&combined.kept), combined.kept_bytes), ("one\ntwo\n", 8), "{mode:?}");
    }
}

#[tokio::test]
async fn a_viewer_sees_the_output_from_any_point() {
    for mode in modes() {
        let bench = Bench::new(mode).secret("hunter2-prod");
        let request = bench.shell("echo one hunter2-prod; seq 1000 >&2");
        let run = start(RunRequest { view_buffer: 1 << 20, ..request });
        let handle = run.handle();
        let outcome = in_time(run.wait()).await.expect("because the run is set up");
        let mut viewer = handle.viewer(Since::Oldest).expect("because the request asked for it");
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            match viewer.next(PATIENCE) {
                Seen::Output { channel: Channel::Stdout, bytes, .. } => stdout.extend(bytes),
                Seen::Output { channel: Channel::Stderr, bytes, .. } => stderr.extend(bytes),
                Seen::End => break,
                other => panic!("nothing else comes: {other:?}"),
            }
        }
        assert_eq!(stdout, b"one [REDACTED]\n", "{mode:?}");
        assert_eq!(stderr.len() as u64, outcome.stderr.bytes);
        let mut late = handle.viewer(Since::Now).expect("because the request asked for it");
        assert_eq!(late.next(Duration::ZERO), Seen::End);
        let unwatched = start(bench.shell("true"));
        assert!(unwatched.viewer(Since::Now).is_none());
        in_time(unwatched.wait()).await.expect("because the run is set up");
    }
}

#[tokio::test]
async fn a_terminal_is_typed_into_and_shows_everything() {
    for mode in modes() {
        let check = async |stdin: Stdin, script: &str, expect: &str| {
            let terminal = Some(TerminalSize { columns: 100, rows: 30 });
            let bench = Bench::new(mode);
            let request = bench.shell(script);
            let outcome = finish(RunRequest { terminal, stdin, ..request }).await;
            assert_eq!(outcome.stdout.kept, Kept::Text(expect.into()), "{mode:?}: {script}");
            assert_eq!(outcome.stderr.bytes, 0);
        };
        check(Stdin::Null, "stty size; cat; echo over >&2", "30 100\r\nover\r\n").await;
        let typed = || Stdin::Bytes(b"typed\n".to_vec());
        check(typed(), "cat", "typed\r\ntyped\r\n").await;
        check(Stdin::Null, "test -t 0 -a -t 1 -a -t 2 && tty | cut -c 1-9", "/dev/pts/\r\n").await;
        let bench = Bench::new(mode);
        let pipe = start(bench.shell("true"));
        assert!(pipe.resize(TerminalSize { columns: 1, rows: 1 }).is_err());
        in_time(pipe.wait()).await.expect("because the run is set up");
    }
}

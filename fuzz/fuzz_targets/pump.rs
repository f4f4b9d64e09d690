//! A pump and a child that means harm: any writes, at any pace, some of which it steals back; sinks that fail, panic or
//! are small; an observer that panics; a stop at any time with the pipe still open. The pump must return; each byte of
//! the stream, as a redactor alone would show it, is in each sink, kept, or counted as lost.
#![no_main]

use ringfence_fuzz::Input;
use ringfence_output_capture::{
    Broadcast, CallbackSink, CappedSink, Channel, Combined, KeepSink, LineSink, Observer,
    PlainSink, PlainText, PumpOptions, Redaction, RedactionOptions, Secret, Seen, Since, Sink,
    SinkFailure, StopToken, StreamReport, Viewer, pump,
};
use rustix::io::ioctl_fionbio;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/output-capture/tests/streams/common.rs"]
mod common;

const SECRET: &[u8] = b"hunter2-prod";

/// What the child does next.
enum Act {
    Write(Vec<u8>),
    Stop,
}

/// What is tried.
struct Case {
    keep: usize,
    /// The writes that the failing sink takes, and whether it panics then.
    takes: usize,
    panics: bool,
    observer_panics: bool,
    leaves_open: bool,
    /// Before how many of the reads the child takes back what is in the pipe.
    thefts: usize,
    acts: Vec<Act>,
}

impl Case {
    fn read(data: &[u8]) -> Self {
        let mut input = Input(data);
        let (keep, more, takes, ways) = (input.byte(), input.byte(), input.below(6), input.byte());
        let thefts = if ways & 8 == 8 { usize::from(ways >> 4) } else { 0 };
        let mut acts = Vec::new();
        while !input.0.is_empty() && acts.len() < 64 {
            acts.push(act(&mut input));
        }
        let way = |bit: u8| ways & bit == bit;
        Self {
            keep: usize::from(keep) * usize::from(more),
            takes,
            panics: way(1),
            observer_panics: way(2),
            leaves_open: way(4),
            thefts,
            acts,
        }
    }
}

fn act(input: &mut Input<'_>) -> Act {
    match input.byte() {
        0xf0 => Act::Write(SECRET.to_vec()),
        // The secret in two writes, and one that is none.
        0xf1 => Act::Write(SECRET[..input.below(12)].to_vec()),
        0xf2 => Act::Write(SECRET[input.below(12)..].to_vec()),
        0xf3 => Act::Write(b"hun\x1b[1mter2-pr\x1b[0mod".to_vec()),
        0xf4 => Act::Write("äöü€😀".repeat(input.below(40)).into_bytes()),
        0xf5 => Act::Write(b"a line\nanother\r\n10%\r20%\r".repeat(input.below(40))),
        0xf6 => {
            let count = usize::from(input.byte()) * usize::from(input.byte());
            Act::Write(vec![input.byte(); count])
        }
        0xf7 => Act::Stop,
        first => {
            let more = usize::from(first % 32).min(input.0.len());
            let (text, rest) = input.0.split_at(more);
            input.0 = rest;
            Act::Write([&[first], text].concat())
        }
    }
}

/// The reading end, from which the child reads too: between the moment at which there is something and the read.
struct Robbed {
    reader: PipeReader,
    thefts: usize,
    stolen: u64,
}

impl Read for &mut Robbed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(left) = self.thefts.checked_sub(1) {
            self.thefts = left;
            self.stolen += self.reader.read(&mut [0; 4096]).unwrap_or(0) as u64;
        }
        self.reader.read(buffer)
    }
}

impl AsFd for &mut Robbed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// Takes so many writes and then fails, by an error or by a panic; counts what it took.
struct Failing {
    takes: usize,
    panics: bool,
    taken: Arc<Mutex<u64>>,
}

impl Sink for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match (self.takes.checked_sub(1), self.panics) {
            (Some(left), _) => self.takes = left,
            (None, false) => return Err(io::Error::other("no more")),
            // Not a panic by `panic!`, which would end the fuzzing.
            (None, true) => std::panic::resume_unwind(Box::new(())),
        }
        *self.taken.lock().expect("no panic") += bytes.len() as u64;
        Ok(())
    }
}

/// What a sink was given.
type Shown = Arc<Mutex<Vec<u8>>>;

fn into(shown: &Shown) -> impl Sink + use<> {
    let shown = Arc::clone(shown);
    CallbackSink::new(move |bytes: &[u8]| shown.lock().expect("no panic").extend_from_slice(bytes))
}

/// Counts, and panics if it is to.
#[derive(Default)]
struct Notes {
    panics: bool,
    read: u64,
    over_cap: u32,
    failures: u32,
}

impl Observer for &mut Notes {
    fn read(&mut self, bytes: u64) {
        self.read += bytes;
        if self.panics {
            std::panic::resume_unwind(Box::new(()));
        }
    }
    fn sink_failed(&mut self, _: &SinkFailure) {
        self.failures += 1;
    }
    fn over_cap(&mut self) {
        self.over_cap += 1;
    }
}

/// Everything that is watched while a stream is pumped.
struct Watch {
    exact: Shown,
    lines: Shown,
    capped: Shown,
    plain: Shown,
    taken: Arc<Mutex<u64>>,
    combined: Combined,
    kept: KeepSink,
    viewers: [Viewer; 2],
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let case = Case::read(data);
    let options = RedactionOptions { mask: b"[MASK]".to_vec(), ..common::plain() };
    let redaction = Redaction::compile([Secret::new(SECRET)], &options).0;
    let (sinks, watch) = sinks(&case, &redaction);
    let (reader, writer) = io::pipe().expect("a pipe");
    // What is stolen between a look and a read must not make the read wait.
    ioctl_fionbio(&reader, true).expect("a pipe");
    // A pipe that somebody could read ends nobody by a signal.
    let _second = reader.try_clone().expect("a descriptor");
    let stop = StopToken::with_grace(Duration::ZERO).expect("a token");
    let pumping = {
        let (stop, stream) = (stop.clone(), redaction.stream());
        let options = PumpOptions { keep: case.keep as u64, activity: None };
        let mut robbed = Robbed { reader, thefts: case.thefts, stolen: 0 };
        let mut notes = Notes { panics: case.observer_panics, ..Notes::default() };
        std::thread::spawn(move || {
            let report = pump(&mut robbed, &stop, stream, options, sinks, &mut notes);
            (report, robbed.stolen, notes)
        })
    };
    let (written, stopped, writer) = write(&case, writer, &stop, || pumping.is_finished());
    let (report, stolen, notes) = pumping.join().expect("the pump does not panic");
    drop(writer);
    assert!(report.bytes + stolen <= written.len() as u64);
    assert!(stopped || report.bytes + stolen == written.len() as u64, "all is read");
    if stolen == 0 {
        let read = usize::try_from(report.bytes).expect("small");
        let expect = common::run(&redaction, &[&written[..read]]);
        check(&case, &report, &notes, watch, &expect);
    }
});

/// What the child wrote, whether it was stopped before its end, and the pipe if it is left open. The child does not wait
/// where the pipe is full, and gives up when nobody reads any more.
fn write(
    case: &Case,
    to: PipeWriter,
    stop: &StopToken,
    nobody_reads: impl Fn() -> bool,
) -> (Vec<u8>, bool, Option<PipeWriter>) {
    ioctl_fionbio(&to, true).expect("a pipe");
    let (mut written, mut stopped) = (Vec::new(), false);
    for act in &case.acts {
        let Act::Write(bytes) = act else {
            stop.stop();
            stopped = true;
            continue;
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match (&to).write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(_) if nobody_reads() => break,
                Err(_) => std::thread::yield_now(),
            }
        }
        written.extend_from_slice(&bytes[..bytes.len() - rest.len()]);
    }
    if case.leaves_open {
        stop.stop();
    }
    (written, stopped, case.leaves_open.then_some(to))
}

fn sinks(case: &Case, redaction: &Redaction) -> (Vec<Box<dyn Sink>>, Watch) {
    let broadcast = Broadcast::new(case.keep);
    let watch = Watch {
        exact: Shown::default(),
        lines: Shown::default(),
        capped: Shown::default(),
        plain: Shown::default(),
        taken: Arc::default(),
        combined: Combined::new(case.keep, b"[MASK]"),
        kept: KeepSink::new(case.keep as u64, b"[MASK]"),
        viewers: [broadcast.viewer(Since::Oldest), broadcast.viewer(Since::Now)],
    };
    let failing =
        Failing { takes: case.takes, panics: case.panics, taken: Arc::clone(&watch.taken) };
    let plain = PlainSink::new(into(&watch.plain), PlainText::FULL, redaction.stream());
    let sinks: Vec<Box<dyn Sink>> = vec![
        Box::new(failing),
        Box::new(into(&watch.exact)),
        Box::new(LineSink::new(into(&watch.lines))),
        Box::new(CappedSink::new(into(&watch.capped), case.keep as u64, b"[MASK]")),
        Box::new(plain),
        Box::new(watch.combined.sink(Channel::Stderr)),
        Box::new(watch.kept.clone()),
        Box::new(broadcast.sink(Channel::Stdout)),
    ];
    (sinks, watch)
}

fn check(case: &Case, report: &StreamReport, notes: &Notes, watch: Watch, expect: &[u8]) {
    let of = |shown: &Shown| shown.lock().expect("no panic").clone();
    let all = expect.len() as u64;
    assert!(of(&watch.exact) == expect && of(&watch.lines) == expect, "all of it, and no more");
    for shown in [&watch.exact, &watch.plain, &watch.capped] {
        assert!(!of(shown).windows(SECRET.len()).any(|window| window == SECRET));
    }

    let dropped = (report.dropped_bytes, report.dropped_lines);
    assert_eq!(report.kept_bytes, (report.head.len() + report.tail.len()) as u64);
    two_ends(case.keep, expect, &report.head, &report.tail, dropped);
    let kept = watch.kept.take();
    assert_eq!((kept.dropped_bytes, kept.dropped_lines), dropped);
    assert_eq!(kept.text, report.text());
    let combined = watch.combined.take();
    let one = |pieces: &[ringfence_output_capture::Piece]| {
        pieces.iter().flat_map(|piece| piece.bytes.clone()).collect::<Vec<u8>>()
    };
    let dropped = (combined.dropped_bytes, combined.dropped_lines);
    two_ends(case.keep, expect, &one(&combined.head), &one(&combined.tail), dropped);
    let capped = of(&watch.capped);
    assert!(if expect.len() <= case.keep {
        capped == expect
    } else {
        capped.len() <= case.keep + 80
    });

    let failed = report.sink_errors.first().map(|failure| failure.lost_bytes);
    assert_eq!(*watch.taken.lock().expect("no panic") + failed.unwrap_or(0), all);
    assert!(report.sink_errors.len() <= 1);
    if !case.observer_panics {
        assert_eq!((notes.read, notes.failures), (report.bytes, u32::from(failed.is_some())));
        assert_eq!(notes.over_cap, u32::from(all > case.keep as u64));
    }
    watch.viewers.into_iter().for_each(|viewer| watched(viewer, expect));
}

/// Beginning and end of what there was, and the count of what was between.
fn two_ends(keep: usize, expect: &[u8], head: &[u8], tail: &[u8], (bytes, lines): (u64, u64)) {
    let dropped = usize::try_from(bytes).expect("small");
    assert!(head.len() + tail.len() <= keep && expect.starts_with(head) && expect.ends_with(tail));
    assert_eq!(head.len() + dropped + tail.len(), expect.len());
    let between = &expect[head.len()..expect.len() - tail.len()];
    assert_eq!(lines, between.iter().filter(|&&b| b == b'\n').count() as u64);
    let masks = |bytes: &[u8]| bytes.windows(6).filter(|window| window == b"[MASK]").count();
    let whole = masks(head) + masks(between) + masks(tail) == masks(expect);
    assert!(whole || between.is_empty(), "a mask is cut");
}

/// Each byte in its place, or told as lost.
fn watched(mut viewer: Viewer, expect: &[u8]) {
    let mut at = 0;
    loop {
        match viewer.next(Duration::ZERO) {
            Seen::Output { place, bytes, .. } => {
                assert_eq!(place, at as u64);
                assert_eq!(expect.get(at..at + bytes.len()), Some(bytes.as_slice()));
                at += bytes.len();
            }
            Seen::Lost(lost) => at += usize::try_from(lost).expect("small"),
            Seen::Nothing => panic!("the stream is over"),
            Seen::End => break,
        }
    }
    assert_eq!((at, viewer.place()), (expect.len(), expect.len() as u64));
}

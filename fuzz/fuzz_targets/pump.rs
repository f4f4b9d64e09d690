//! A pump and a child that means harm: any writes, sinks that fail, panic or are
//! slow to end, a stop at any time with the pipe still open. The pump must return,
//! count right, and show no secret.
#![no_main]

use arbitrary::Arbitrary;
use ringfence_output_capture::{
    Broadcast, CallbackSink, Channel, Combined, PlainSink, PlainText, PumpOptions, Redaction,
    RedactionOptions, Secret, Since, Sink, StopToken, pump,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECRET: &[u8] = b"hunter2-prod";

#[derive(Arbitrary, Debug)]
enum Act {
    Secret,
    Text(Vec<u8>),
    Much(u16),
    Escape,
    Stop,
}

#[derive(Arbitrary, Debug)]
struct Input {
    acts: Vec<Act>,
    keep: u16,
    fails_at: u8,
    panics: bool,
    leaves_open: bool,
}

struct Failing(u8, bool);

impl Sink for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        match (self.0.checked_sub(1), self.1) {
            (Some(left), _) => self.0 = left,
            (None, false) => return Err(io::Error::other("no more")),
            // Not a panic by `panic!`, which would end the fuzzing.
            (None, true) => std::panic::resume_unwind(Box::new(())),
        }
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|input: Input| {
    let redaction = Redaction::compile([Secret::new(SECRET)], &RedactionOptions::default()).0;
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let stop = StopToken::with_grace(Duration::ZERO).expect("a token");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let combined = Combined::new(usize::from(input.keep), b"[REDACTED]");
    let broadcast = Broadcast::new(usize::from(input.keep));
    let mut viewer = broadcast.viewer(Since::Oldest);
    let plain = PlainSink::new(combined.sink(Channel::Stderr), PlainText::FULL, redaction.stream());
    let sinks: Vec<Box<dyn Sink>> = vec![
        Box::new(Failing(input.fails_at, input.panics)),
        Box::new(CallbackSink::new(move |bytes: &[u8]| {
            into.lock().expect("no panic").extend_from_slice(bytes);
        })),
        Box::new(plain),
        Box::new(broadcast.sink(Channel::Stdout)),
    ];
    let options = PumpOptions { keep: u64::from(input.keep), activity: None };
    let pumping = {
        let (stop, stream) = (stop.clone(), redaction.stream());
        std::thread::spawn(move || pump(reader, &stop, stream, options, sinks, ()))
    };
    let (mut written, mut stopped) = (0u64, false);
    for act in input.acts.iter().take(64) {
        let bytes = match act {
            Act::Secret => SECRET.to_vec(),
            Act::Text(text) => text.clone(),
            Act::Much(count) => vec![b'h'; usize::from(*count)],
            Act::Escape => b"hun\x1b[1mter2-pr\x1b[0mod".to_vec(),
            Act::Stop => {
                stop.stop();
                stopped = true;
                continue;
            }
        };
        match writer.write_all(&bytes) {
            Ok(()) => written += bytes.len() as u64,
            Err(_) => assert!(stopped, "the pipe is closed only after a stop"),
        }
    }
    let writer = if input.leaves_open {
        stop.stop();
        Some(writer)
    } else {
        drop(writer);
        None
    };
    let report = pumping.join().expect("the pump does not panic");
    drop(writer);
    assert!(report.bytes <= written && (stopped || report.bytes == written));
    let seen = seen.lock().expect("no panic");
    assert!(!seen.windows(SECRET.len()).any(|window| window == SECRET));
    assert_eq!(report.kept_bytes + report.dropped_bytes, seen.len() as u64);
    let combined = combined.take();
    for piece in combined.head.iter().chain(&combined.tail) {
        assert!(!piece.bytes.windows(SECRET.len()).any(|window| window == SECRET));
    }
    while viewer.next(Duration::ZERO) != ringfence_output_capture::Seen::End {}
});

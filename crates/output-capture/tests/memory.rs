//! The memory of a pump does not grow with the output. Alone in its file: it measures the process.

use ringfence_output_capture::{
    Detector, PumpOptions, Redaction, RedactionOptions, Secret, StopToken, pump,
};
use std::io::{self, Write};
use std::thread;

/// Most the process may grow by, in KiB: buffers, what is kept, and some slack for the allocator.
const MAX_GROWTH: u64 = 8 * 1024;

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse()
        .ok()
}

#[test]
fn a_hundred_megabytes_without_a_line_end() {
    let options =
        RedactionOptions { detectors: Detector::ALL.to_vec(), ..RedactionOptions::default() };
    let (redaction, _) = Redaction::compile(
        [Secret::new("hunter2-prod"), Secret::new("x".repeat(5000) + "y")],
        &options,
    );
    let stream = redaction.stream();
    let stop = StopToken::new().expect("a token");
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let before = peak_kib();
    let writing = thread::spawn(move || {
        let mut put = |byte| writer.write_all(&[byte; 100_000]).expect("the pump reads");
        (0..980).for_each(|_| put(b'.'));
        (0..20).for_each(|_| put(b'x'));
    });
    let report =
        pump(reader, &stop, stream, PumpOptions { keep: 1 << 20, activity: None }, Vec::new(), ());
    writing.join().expect("the writer is done");
    assert_eq!((report.bytes, report.kept_bytes), (100_000_000, 1 << 20));
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        assert!(after - before < MAX_GROWTH, "grew by {} KiB", after - before);
    }
}

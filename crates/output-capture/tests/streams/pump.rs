//! The pump over real pipes: nothing lost, nothing unmasked, never stuck.

use crate::common::plain;
use ringfence_output_capture::{
    Activity, CallbackSink, CappedSink, FdSink, FileSink, Kept, Observer, PumpOptions, Redaction,
    RedactionOptions, Secret, Sink, SinkFailure, StopToken, StreamReport, pump,
};
use std::io::{self, PipeReader, Read, Write};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Longest a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(keep: u64) -> PumpOptions {
    PumpOptions { keep, activity: None }
}

fn masking(secret: &str) -> Redaction {
    Redaction::compile([Secret::new(secret)], &plain()).0
}

/// What a sink has been given.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    fn sink(&self) -> Box<dyn Sink> {
        let seen = self.clone();
        Box::new(CallbackSink::new(move |bytes: &[u8]| {
            seen.0.lock().expect("no panic").extend_from_slice(bytes)
        }))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Pumps all that `write` writes.
fn pumped(
    redaction: &Redaction,
    keep: u64,
    sinks: Vec<Box<dyn Sink>>,
    write: impl FnOnce(&mut dyn Write) + Send + 'static,
) -> StreamReport {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let writing = thread::spawn(move || write(&mut writer));
    let stop = StopToken::new().expect("a token");
    let report = pump(reader, &stop, redaction.stream(), options(keep), sinks, ());
    writing.join().expect("the writer is done");
    report
}

fn put(writer: &mut dyn Write, bytes: &[u8]) {
    writer.write_all(bytes).expect("the pump reads");
}

#[test]
fn bytes_come_through_exactly() {
    let all: Vec<u8> = (0..=255u8).cycle().take(3_000_000).collect();
    let (seen, data) = (Seen::default(), all.clone());
    let report = pumped(&Redaction::none(), u64::MAX, vec![seen.sink()], move |to| put(to, &data));
    assert_eq!((report.bytes, report.kept_bytes, report.dropped_bytes), (3_000_000, 3_000_000, 0));
    assert!(seen.bytes() == all && report.kept() == all);
    assert!(!report.held_open && matches!(report.text(), Kept::Base64(_)));
}

#[test]
fn secrets_are_masked_before_every_sink() {
    let seen = Seen::default();
    let report = pumped(&masking("hunter2-prod"), 1000, vec![seen.sink()], |to| {
        for byte in b"key=hunter2-prod; hunter2-pro" {
            put(to, &[*byte]);
        }
    });
    assert_eq!(seen.bytes(), b"key=*; hunter2-pro");
    assert_eq!(report.text(), Kept::Text("key=*; hunter2-pro".into()));
    assert_eq!((report.bytes, report.kept_bytes, report.redactions), (29, 18, 1));
}

#[test]
fn more_than_the_cap_is_counted_and_dropped_from_the_middle() {
    let report = pumped(&Redaction::none(), 10, Vec::new(), |to| {
        put(to, b"01234");
        put(to, &[b'\n'; 100_000]);
        put(to, b"56789");
    });
    assert_eq!((report.bytes, report.kept_bytes, report.dropped_bytes), (100_010, 10, 100_000));
    assert_eq!(
        (report.head.as_slice(), report.tail.as_slice(), report.dropped_lines),
        (&b"01234"[..], &b"56789"[..], 100_000)
    );
    assert_eq!(
        report.text(),
        Kept::Text("01234\n[… 100000 bytes dropped, 100000 lines …]\n56789".into())
    );
}

#[test]
fn nothing_is_kept_when_nothing_is_to_be_kept() {
    let seen = Seen::default();
    let report = pumped(&Redaction::none(), 0, vec![seen.sink()], |to| put(to, b"abc"));
    assert_eq!(
        (report.bytes, report.kept_bytes, report.dropped_bytes, seen.bytes().len()),
        (3, 0, 3, 3)
    );
}

/// A pump on a thread, and what its sink gets.
fn pumping(
    reader: PipeReader,
    stop: &StopToken,
) -> (thread::JoinHandle<StreamReport>, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel();
    let stop = stop.clone();
    let pumping = thread::spawn(move || {
        let sink = CallbackSink::new(move |bytes: &[u8]| {
            sender.send(bytes.to_vec()).expect("the test listens")
        });
        pump(
            reader,
            &stop,
            masking("hunter2-prod").stream(),
            options(1000),
            vec![Box::new(sink)],
            (),
        )
    });
    (pumping, receiver)
}

#[test]
fn a_writer_that_stays_does_not_hold_up_the_result() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let stop = StopToken::new().expect("a token");
    let (pumping, receiver) = pumping(reader, &stop);
    put(&mut writer, b"Password: hunter2");
    assert_eq!(receiver.recv_timeout(PATIENCE).expect("a prompt leaves at once"), b"Password: ");
    stop.stop();
    let report = pumping.join().expect("the pump returns");
    assert_eq!((report.head.as_slice(), report.held_open), (&b"Password: hunter2"[..], true));
    drop(writer);
}

#[test]
fn what_is_in_the_pipe_is_read_after_the_stop() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    put(&mut writer, &[b'x'; 50_000]);
    let stop = StopToken::new().expect("a token");
    stop.stop();
    stop.stop();
    assert!(stop.is_stopped());
    let report = pump(reader, &stop, Redaction::none().stream(), options(0), Vec::new(), ());
    assert_eq!((report.bytes, report.held_open), (50_000, true));
    drop(writer);
}

#[test]
fn an_end_before_the_stop_is_an_end() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    put(&mut writer, b"abc");
    drop(writer);
    let stop = StopToken::new().expect("a token");
    stop.stop();
    let report = pump(reader, &stop, Redaction::none().stream(), options(9), Vec::new(), ());
    assert_eq!((report.bytes, report.held_open), (3, false));
}

#[test]
fn somebody_who_never_stops_writing_is_left() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let writing = thread::spawn(move || while writer.write_all(&[b'y'; 65_536]).is_ok() {});
    let stop = StopToken::new().expect("a token");
    let (sender, receiver) = mpsc::channel::<()>();
    let of_pump = stop.clone();
    let pumping = thread::spawn(move || {
        let mut first = Some(sender);
        let sink = CallbackSink::new(move |_: &[u8]| drop(first.take()));
        pump(reader, &of_pump, Redaction::none().stream(), options(0), vec![Box::new(sink)], ())
    });
    assert!(
        receiver
            .recv_timeout(PATIENCE)
            .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
    );
    stop.stop();
    assert!(pumping.join().expect("the pump returns").held_open);
    writing.join().expect("the writer finds the pipe closed");
}

/// A sink that takes some writes and then fails.
struct Failing(usize);

impl Sink for Failing {
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        match self.0.checked_sub(1) {
            Some(left) => self.0 = left,
            None => return Err(io::Error::other("no more")),
        }
        Ok(())
    }

    fn name(&self) -> String {
        "failing".into()
    }
}

#[derive(Default)]
struct Notes {
    failures: Vec<SinkFailure>,
    over_cap: u32,
    read: u64,
}

impl Observer for &mut Notes {
    fn read(&mut self, bytes: u64) {
        self.read += bytes;
    }
    fn sink_failed(&mut self, failure: &SinkFailure) {
        self.failures.push(failure.clone());
    }
    fn over_cap(&mut self) {
        self.over_cap += 1;
    }
}

#[test]
fn a_failed_sink_does_not_stop_the_reading() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let writing = thread::spawn(move || put(&mut writer, &[b'x'; 1_000_000]));
    let (seen, mut notes) = (Seen::default(), Notes::default());
    let stop = StopToken::new().expect("a token");
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(Failing(0)), seen.sink()];
    let report = pump(reader, &stop, Redaction::none().stream(), options(10), sinks, &mut notes);
    writing.join().expect("the writer is done");
    assert_eq!((report.bytes, seen.bytes().len()), (1_000_000, 1_000_000));
    let expect = SinkFailure {
        sink: "failing".into(),
        error: "no more".into(),
        errno: None,
        lost_bytes: 1_000_000,
    };
    assert_eq!(report.sink_errors, [expect]);
    assert_eq!((notes.failures.len(), notes.over_cap, notes.read), (1, 1, 1_000_000));
}

#[test]
fn a_full_disk_is_reported_with_what_was_lost() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let sink = FileSink::from_file("/dev/full", full, None, b"*");
    let report =
        pumped(&Redaction::none(), 0, vec![Box::new(sink)], |to| put(to, &[b'x'; 300_000]));
    assert_eq!(report.bytes, 300_000);
    let failure = &report.sink_errors[0];
    assert_eq!(
        (failure.sink.as_str(), failure.errno, failure.lost_bytes),
        ("/dev/full", Some(28), 300_000)
    );
}

#[test]
fn a_file_has_a_cap_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, cap: Option<u64>, pieces: &[&str]| {
        let path = dir.path().join(name);
        let mut sink = FileSink::create(&path, cap, b"[MASK]").expect("a file");
        pieces.iter().for_each(|piece| sink.write(piece.as_bytes()).expect("written"));
        sink.finish().expect("finished");
        assert_eq!(sink.name(), path.display().to_string());
        std::fs::read_to_string(path).expect("text")
    };
    assert_eq!(write("all", None, &["abc", "def"]), "abcdef");
    assert_eq!(write("fits", Some(6), &["abc", "def"]), "abcdef");
    assert_eq!(
        write("cut", Some(60), &[&"a".repeat(40), &"b".repeat(40)]).len(),
        60 + "\n[… 20 bytes dropped …]\n".len()
    );
    let cut = write("mask", Some(60), &[&"a".repeat(26), "[MASK]", &"b".repeat(40)]);
    assert_eq!(cut, format!("{}\n[… 16 bytes dropped …]\n{}", "a".repeat(26), "b".repeat(30)));
}

#[test]
fn the_first_half_of_a_capped_sink_does_not_wait() {
    let seen = Seen::default();
    struct Boxed(Box<dyn Sink>);
    impl Sink for Boxed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.write(bytes)
        }
    }
    let mut sink = CappedSink::new(Boxed(seen.sink()), 1000, b"*");
    sink.write(b"now").expect("written");
    assert_eq!(seen.bytes(), b"now");
}

#[test]
fn a_full_pipe_that_does_not_block_is_waited_for() {
    let (mut from, to) = io::pipe().expect("a pipe");
    let flags = nix_flags(&to);
    assert!(flags, "the pipe is non-blocking now");
    let mut sink = FdSink::new("pipe", to);
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).expect("read");
        all.len()
    });
    sink.write(&[b'x'; 1_000_000]).expect("written");
    drop(sink);
    assert_eq!(reading.join().expect("read"), 1_000_000);
}

#[test]
fn a_reader_that_does_not_read_is_given_up_when_told() {
    let (from, to) = io::pipe().expect("a pipe");
    assert!(nix_flags(&to), "the pipe is non-blocking now");
    let given_up = StopToken::new().expect("a token");
    let mut sink = FdSink::new("pipe", to).until(given_up.clone());
    let writing = thread::spawn(move || {
        let error = sink.write(&[b'x'; 1_000_000]).expect_err("nobody reads");
        (error.kind(), sink.undelivered())
    });
    given_up.stop();
    let (kind, left) = writing.join().expect("it returns");
    assert_eq!(kind, io::ErrorKind::TimedOut);
    assert!(left.is_some_and(|left| left > 0 && left < 1_000_000), "{left:?}");
    drop(from);
}

/// Makes a descriptor non-blocking.
fn nix_flags(fd: impl std::os::fd::AsFd) -> bool {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok()
}

#[test]
fn output_sets_the_clock() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let activity = Activity::new();
    let made = activity.last();
    let stop = StopToken::new().expect("a token");
    drop(writer);
    let quiet = PumpOptions { keep: 0, activity: Some(activity.clone()) };
    pump(reader, &stop, Redaction::none().stream(), quiet, Vec::new(), ());
    assert_eq!(activity.last(), made);
    activity.touch();
    assert!(activity.last() >= made && activity.idle() < PATIENCE);
}

#[test]
fn all_detectors_over_a_pipe() {
    let options =
        RedactionOptions { detectors: ringfence_output_capture::Detector::ALL.to_vec(), ..plain() };
    let redaction = Redaction::compile(std::iter::empty::<Secret>(), &options).0;
    let report = pumped(&redaction, 100, Vec::new(), |to| put(to, b"password=hunter2-prod\nok\n"));
    assert_eq!(report.head, b"password=*\nok\n");
}

#[test]
fn a_sink_or_an_observer_that_panics_is_not_used_any_more() {
    struct Panics(u32);
    impl Observer for &mut Panics {
        fn read(&mut self, _: u64) {
            self.0 += 1;
            panic!("made to");
        }
    }
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let writing = thread::spawn(move || put(&mut writer, &[b'x'; 1_000_000]));
    let (seen, mut observer) = (Seen::default(), Panics(0));
    let stop = StopToken::new().expect("a token");
    let panics = CallbackSink::new(|_: &[u8]| panic!("made to"));
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(panics), seen.sink()];
    let report = pump(reader, &stop, Redaction::none().stream(), options(9), sinks, &mut observer);
    writing.join().expect("the writer is done");
    assert_eq!((report.bytes, seen.bytes().len(), observer.0), (1_000_000, 1_000_000, 1));
    let failure = &report.sink_errors[0];
    assert_eq!((failure.error.as_str(), failure.lost_bytes), ("it panicked", 1_000_000));
}

#[test]
fn who_holds_the_pipe_is_named() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let child = std::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(writer)
        .spawn();
    let Ok(mut child) = child else { return };
    let stop = StopToken::with_grace(Duration::ZERO).expect("a token");
    stop.stop();
    let report = pump(reader, &stop, Redaction::none().stream(), options(9), Vec::new(), ());
    assert!(report.held_open);
    if cfg!(target_os = "linux") {
        assert!(report.held_by.contains(&child.id()), "{:?}", report.held_by);
    }
    drop(child.stdin.take());
    child.wait().expect("it ends with its input");
}

#[test]
fn the_end_is_waited_for_in_the_grace() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let stop = StopToken::with_grace(PATIENCE).expect("a token");
    stop.stop();
    let (pumping, receiver) = pumping(reader, &stop);
    put(&mut writer, b"late");
    assert_eq!(receiver.recv_timeout(PATIENCE).expect("it is still read"), b"late");
    drop(writer);
    let report = pumping.join().expect("the pump returns");
    assert_eq!((report.held_open, report.held_by.len(), report.bytes), (false, 0, 4));
}

/// A reader from which somebody else has taken everything when it comes to read.
struct Robbed(PipeReader);

impl Read for &Robbed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while (&self.0).read(&mut [0; 4096]).is_ok_and(|taken| taken > 0) {}
        (&self.0).read(buffer)
    }
}

impl std::os::fd::AsFd for &Robbed {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn who_takes_what_was_to_be_read_does_not_hold_up_the_result() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    assert!(nix_flags(&reader), "the pipe is non-blocking now");
    put(&mut writer, b"taken");
    let stop = StopToken::with_grace(Duration::ZERO).expect("a token");
    stop.stop();
    let redactor = Redaction::none().stream();
    let report = pump(&Robbed(reader), &stop, redactor, options(9), Vec::new(), ());
    assert_eq!((report.bytes, report.held_open, report.read_error), (0, true, None));
    drop(writer);
}

#[test]
fn a_drip_that_never_ends_is_left() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let writing = thread::spawn(move || while writer.write_all(b"y").is_ok() {});
    let stop = StopToken::with_grace(Duration::ZERO).expect("a token");
    stop.stop();
    let report = pump(reader, &stop, Redaction::none().stream(), options(0), Vec::new(), ());
    writing.join().expect("the writer finds the pipe closed");
    assert!(report.bytes < 10_000_000);
}

#[test]
fn a_terminal_ends_with_an_error_of_its_own() {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let (master, mut slave) = (std::fs::File::from(pty.master), std::fs::File::from(pty.slave));
    slave.write_all(b"key=hunter2-prod\nPassword: ").expect("the terminal takes it");
    drop(slave);
    let stop = StopToken::new().expect("a token");
    let redactor = masking("hunter2-prod").stream();
    let report = pump(master, &stop, redactor, options(1000), Vec::new(), ());
    assert_eq!(report.text(), Kept::Text("key=*\r\nPassword: ".into()));
    assert_eq!((report.read_error, report.held_open), (None, false));
}

#[test]
fn line_after_line_is_read_in_gulps_and_whole() {
    let lines = 50_000;
    let report = pumped(&Redaction::none(), u64::MAX, Vec::new(), move |to| {
        (0..lines).for_each(|n| put(to, format!("line {n}\n").as_bytes()));
    });
    let expect: String = (0..lines).map(|n| format!("line {n}\n")).collect();
    assert!(report.kept() == expect.as_bytes());
}

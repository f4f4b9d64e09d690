//! Both formats there and back, torn, damaged, played.

use super::*;
use crate::pieces::Channel::{self, Stderr, Stdout};
use crate::sink::Sink;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TERMINAL: Format = Format::Asciicast { columns: 80, rows: 24 };

/// A file in memory with room for so many bytes.
#[derive(Clone)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl Disk {
    fn of(size: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), size))))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no panic").0.clone()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, size) = &mut *self.0.lock().expect("no panic");
        let room = bytes.len().min(*size - file.len());
        file.extend_from_slice(&bytes[..room]);
        if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn events(text: &[u8]) -> (Vec<Event>, bool) {
    let mut reader = Reader::new(text).expect("a transcript");
    let events = reader.by_ref().map(|entry| entry.expect("a sound line").event).collect();
    (events, reader.is_torn())
}

fn output(channel: Channel, bytes: &[u8]) -> Event {
    Event::Output { channel, bytes: bytes.to_vec() }
}

fn written(format: Format) -> Vec<u8> {
    let disk = Disk::of(usize::MAX);
    let transcript = Transcript::begin(disk.clone(), format, Some("a title"), None).expect("room");
    let (mut out, mut err) = (transcript.sink(Stdout), transcript.sink(Stderr));
    out.write("a\"\n\x1b[1mé".as_bytes()).expect("room");
    out.write(b"\xe2\x82").expect("room");
    err.write(b"\xff\x00").expect("room");
    out.write(b"\xac\xe2").expect("room");
    transcript.resize(100, 30).expect("room");
    out.finish().expect("room");
    transcript.mark("the end").expect("room");
    disk.bytes()
}

#[test]
fn json_lines_are_exact() {
    let (events, torn) = events(&written(Format::JsonLines));
    let expect = [
        output(Stdout, "a\"\n\x1b[1mé".as_bytes()),
        output(Stderr, b"\xff\x00"),
        output(Stdout, "€".as_bytes()),
        Event::Resize { columns: 100, rows: 30 },
        output(Stdout, b"\xe2"),
        Event::Mark("the end".into()),
    ];
    assert_eq!((events.as_slice(), torn), (&expect[..], false));
}

#[test]
fn asciicast_is_text() {
    let text = written(TERMINAL);
    let expect = [
        output(Stdout, "a\"\n\x1b[1mé".as_bytes()),
        output(Stdout, "\u{fffd}\0".as_bytes()),
        output(Stdout, "€".as_bytes()),
        Event::Resize { columns: 100, rows: 30 },
        output(Stdout, "\u{fffd}".as_bytes()),
        Event::Mark("the end".into()),
    ];
    assert_eq!(events(&text).0, expect);
    let reader = Reader::new(text.as_slice()).expect("a transcript");
    assert_eq!(reader.header().size, Some((80, 24)));
    assert_eq!(reader.header().title.as_deref(), Some("a title"));
    assert!(
        text.starts_with(b"{\"height\":24,\"timestamp\":") || text.starts_with(b"{\"version\":2,")
    );
}

#[test]
fn a_torn_last_line_is_no_error() {
    for format in [Format::JsonLines, TERMINAL] {
        let text = written(format);
        let header = text.iter().position(|&b| b == b'\n').expect("a header") + 1;
        for end in header..text.len() {
            let (events, torn) = events(&text[..end]);
            let lines = text[header..end].iter().filter(|&&b| b == b'\n').count();
            // A line that lacks nothing but its end is whole.
            let (whole, ended) = (text[end] == b'\n', text[end - 1] == b'\n');
            assert_eq!((events.len(), torn), (lines + usize::from(whole), !whole && !ended));
        }
    }
}

#[test]
fn after_a_full_disk_nothing_is_written() {
    let disk = Disk::of(200);
    let transcript = Transcript::begin(disk.clone(), Format::JsonLines, None, None).expect("room");
    let (mut out, mut err) = (transcript.sink(Stdout), transcript.sink(Stderr));
    out.write(b"first").expect("room");
    let full = out.write(&[b'x'; 300]).expect_err("no room");
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    *disk.0.lock().expect("no panic") = (disk.bytes(), 1000);
    assert!(err.write(b"later").is_err());
    assert_eq!(events(&disk.bytes()), (vec![output(Stdout, b"first")], true));
}

#[test]
fn a_cap_ends_at_a_whole_line() {
    let disk = Disk::of(usize::MAX);
    let transcript =
        Transcript::begin(disk.clone(), Format::JsonLines, None, Some(150)).expect("room");
    let mut out = transcript.sink(Stdout);
    out.write(b"first").expect("room");
    let full = out.write(&[b'x'; 300]).expect_err("no room");
    assert_eq!(full.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(events(&disk.bytes()), (vec![output(Stdout, b"first")], false));
}

#[test]
fn long_output_is_many_lines() {
    let disk = Disk::of(usize::MAX);
    let transcript = Transcript::begin(disk.clone(), TERMINAL, None, None).expect("room");
    let text = "é".repeat(200_000);
    transcript.sink(Stdout).write(text.as_bytes()).expect("room");
    let (events, _) = events(&disk.bytes());
    let bytes = events.iter().map(|event| match event {
        Event::Output { bytes, .. } => bytes.as_slice(),
        _ => panic!("only output"),
    });
    assert_eq!((events.len(), bytes.collect::<Vec<_>>().concat() == text.as_bytes()), (7, true));
}

#[test]
fn what_is_wrong_is_said() {
    let check = |text: &str, expect: &str| {
        let error = match Reader::new(text.as_bytes()) {
            Ok(reader) => reader.filter_map(Result::err).next(),
            Err(error) => Some(error),
        };
        assert_eq!(error.map(|error| error.to_string()).unwrap_or_default(), expect, "{text}");
    };
    check("", "this is no transcript");
    check("{}\n", "this is no transcript");
    check("hello\n", "this is no transcript");
    check("{\"version\":1}\n", "this is no transcript");
    check("{\"version\":3}\n# a comment\n\n[0.1,\"x\",\"0\"]\n", "");
    check(
        "{\"version\":2}\n# no comment\n[0.1,\"o\",\"0\"]\n",
        "line 2 of the transcript is wrong",
    );
    check("{\"version\":2}\n\n[0.1,\"o\"]\n", "line 3 of the transcript is wrong");
    check("{\"version\":2}\n[-1,\"o\",\"x\"]\n", "line 2 of the transcript is wrong");
    check("{\"version\":2}\n[0.1,\"i\",\"x\"]\n[0.1,\"r\",\"1x2\"]\n", "");
    check("{\"transcript\":1}\n{\"t\":1,\"base64\":\"*\"}\n", "line 2 of the transcript is wrong");
    check("{\"transcript\":1}\n{\"t\":1,\"later\":\"*\"}\n", "");
}

#[test]
fn version_3_counts_from_event_to_event() {
    let text = "{\"version\":3,\"term\":{\"cols\":90,\"rows\":20},\"title\":\"x\"}\n[1.5,\"o\",\"a\"]\n[0.5,\"i\",\"typed\"]\n# b\n[1,\"o\",\"b\"]";
    let mut reader = Reader::new(text.as_bytes()).expect("a transcript");
    assert_eq!(reader.header().size, Some((90, 20)));
    let times: Vec<_> = reader.by_ref().map(|entry| entry.expect("sound").at.as_millis()).collect();
    assert_eq!((times.as_slice(), reader.is_torn()), (&[1500, 3000][..], false));
}

#[test]
fn played_at_its_times() {
    let text =
        "{\"version\":2}\n[1,\"o\",\"a\"]\n[1.5,\"o\",\"b\"]\n[1.2,\"o\",\"c\"]\n[9,\"o\",\"d\"]\n";
    let check = |speed: f64, max_idle: Option<u64>, expect: &[u64]| {
        let playback = Playback { speed, max_idle: max_idle.map(Duration::from_millis) };
        let (mut waits, mut shown) = (Vec::new(), 0);
        let mut reader = Reader::new(text.as_bytes()).expect("a transcript");
        let wait = |pause: Duration| waits.push(pause.as_millis() as u64);
        play(&mut reader, &playback, wait, |_| {
            shown += 1;
            Ok(())
        })
        .expect("a sound transcript");
        assert_eq!((waits.as_slice(), shown), (expect, 4));
    };
    check(1.0, None, &[1000, 500, 7500]);
    check(2.0, None, &[500, 250, 3750]);
    check(1.0, Some(700), &[700, 500, 700]);
    check(f64::INFINITY, None, &[]);
    check(0.0, None, &[]);
    check(f64::NAN, None, &[]);
}

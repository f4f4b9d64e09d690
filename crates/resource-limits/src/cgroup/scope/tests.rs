//! A bus that is a thread, for every way in which a real one may behave.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use super::*;
use crate::bus::sent;

const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

fn removed(unit: &str, result: &str) -> Vec<u8> {
    let names = [MANAGER_INTERFACE, "JobRemoved", ""];
    sent(SIGNAL, 0, names, &["/org/freedesktop/systemd1/job/7", unit, result])
}

/// What a bus answers before anything is asked of the manager.
fn welcome() -> Vec<u8> {
    let mut bytes = b"OK 0123456789abcdef\r\n".to_vec();
    bytes.extend(sent(RETURN, 1, ["", "", ""], &[":1.7"]));
    bytes.extend(sent(SIGNAL, 0, [BUS, "NameAcquired", ""], &[":1.7"]));
    bytes
}

fn wish() -> Wish<'static> {
    let name = "ringfence-1.scope".to_owned();
    Wish { name, process: 1, slice: Some("user.slice"), processes: Some(9) }
}

/// Asks a bus that says this, in pieces of so many bytes, and then closes the connection, or stays silent.
fn ask(says: Vec<u8>, piece: usize, closes: bool) -> Result<(), BusError> {
    let directory = tempfile::tempdir().expect("because there is room for one");
    let path = directory.path().join("bus");
    let listener = UnixListener::bind(&path).expect("because the directory is new");
    let bus = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("because somebody connects");
        for bytes in says.chunks(piece) {
            // Whoever has heard enough goes.
            if stream.write_all(bytes).is_err() {
                break;
            }
        }
        if closes {
            shut(&stream)
        }
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).ok();
        heard
    });
    let address = format!("unix:path={}", path.display());
    // What stays silent is waited for to the end, so that is not far.
    let patience = if closes { PATIENCE * 10 } else { Duration::from_millis(50) };
    let done = wish().fulfil(&address, Instant::now() + patience);
    let heard = bus.join().expect("because the bus does not panic");
    assert!(heard.starts_with(b"\0AUTH EXTERNAL "), "{}", String::from_utf8_lossy(&heard));
    done
}

fn shut(stream: &UnixStream) {
    stream.shutdown(std::net::Shutdown::Write).expect("because it is open");
}

fn check(says: &[&[u8]], closes: bool, expect: &str) {
    for piece in [1, 7, 100_000] {
        let done = ask(says.concat(), piece, closes);
        let got = done.map_or_else(|error| error.to_string(), |()| "done".to_owned());
        assert_eq!(got, expect, "in pieces of {piece}");
    }
}

#[test]
fn a_scope_is_had_when_its_job_is_over() {
    let other = removed("other.scope", "done");
    let done = removed("ringfence-1.scope", "done");
    check(&[&welcome(), &other, &done], true, "done");
    // The answer may come before or after it.
    let started = sent(RETURN, 3, ["", "", ""], &["/org/freedesktop/systemd1/job/7"]);
    check(&[&welcome(), &started, &done], true, "done");
}

#[test]
fn a_refusal_is_told_in_its_own_words() {
    let name = "org.freedesktop.DBus.Error.AccessDenied";
    let refusal = sent(ERROR, 3, ["", "", name], &["not\nfor you"]);
    let expect =
        "the service manager refused: org.freedesktop.DBus.Error.AccessDenied: not for you";
    check(&[&welcome(), &refusal], true, expect);
    let failed = removed("ringfence-1.scope", "canceled");
    let expect = "the service manager could not do it: canceled";
    check(&[&welcome(), &failed], true, expect);
    check(&[b"REJECTED EXTERNAL\r\n"], true, "the bus does not let this user in");
}

#[test]
fn what_is_no_bus_is_not_believed() {
    let odd = "the bus answered in no words of D-Bus";
    check(&[b"HTTP/1.1 400 Bad Request\r\n"], true, odd);
    check(&[&[b'x'; 5000]], true, odd);
    check(&[b"OK\r\n", &[0xff; 64]], true, odd);
    // A header that promises more than there may be.
    check(&[b"OK\r\nl\x04\0\x01\xff\xff\xff\x7f\x01\0\0\0\x08\0\0\0"], true, odd);
}

#[test]
fn a_bus_that_goes_or_stays_silent_is_not_waited_for() {
    let closed = "the bus closed the connection";
    check(&[], true, closed);
    check(&[&welcome()], true, closed);
    check(&[&welcome()[..40]], true, closed);
    check(&[&welcome()], false, "the bus did not answer in time");
    check(&[], false, "the bus did not answer in time");
}

#[test]
fn where_nobody_listens_is_told() {
    for address in ["unix:path=/nowhere/bus", "tcp:host=localhost", ""] {
        let error = wish().fulfil(address, Instant::now() + PATIENCE).expect_err("because");
        assert!(matches!(error, BusError::Connect { .. }), "{address}: {error}");
    }
}

#[test]
fn only_a_process_of_a_scope_is_moved() {
    let check = |own: &str, expect: Option<&str>| {
        assert_eq!(slice(Path::new(own)).and_then(OsStr::to_str), expect, "{own}");
    };
    let top = "/sys/fs/cgroup/user.slice/user-1000.slice";
    check(&format!("{top}/session-3.scope"), Some("user-1000.slice"));
    check(&format!("{top}/session-3.scope/ringfence-supervisor-7"), Some("user-1000.slice"));
    check(&format!("{top}/user@1000.service/app.slice/vte.scope"), Some("app.slice"));
    check(&format!("{top}/user@1000.service/init.scope"), None);
    check(&format!("{top}/user@1000.service/app.slice/emacs.service"), None);
    check("/sys/fs/cgroup/system.slice/cron.service", None);
    check("/sys/fs/cgroup/init.scope", None);
    check("/sys/fs/cgroup", None);
}

#[test]
fn limits_are_not_left_behind() {
    let top = tempfile::tempdir().expect("because there is room for one");
    let own = top.path().join("a.slice/b.scope/c");
    fs::create_dir_all(&own).expect("because the directory is new");
    let write = |place: &str, text: &str| {
        fs::write(top.path().join(place), text).expect("because the directory is there");
    };
    let limited = || limited(&own).and_then(Path::file_name).and_then(OsStr::to_str);
    write("a.slice/memory.max", "4096\n");
    write("a.slice/b.scope/cpu.max", "max 100000\n");
    write("a.slice/b.scope/c/memory.max", "max\n");
    write("a.slice/b.scope/c/io.max", "");
    assert_eq!(limited(), None);
    write("a.slice/b.scope/cpu.max", "50000 100000\n");
    assert_eq!(limited(), Some("b.scope"));
    write("a.slice/b.scope/c/memory.max", "4096\n");
    assert_eq!(limited(), Some("c"));
}

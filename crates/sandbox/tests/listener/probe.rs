//! Probes: what runs inside, each in a process of its own.

use crate::sys::{self, FULL, address_of, connect_raw, socket, unix_address};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, RawFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Carries out the probe that these words name.
pub(crate) fn carry_out(words: &[&str]) -> io::Result<()> {
    match *words {
        ["connect", path] => UnixStream::connect(path).map(drop),
        ["connect-refused", path, errno] => refused(UnixStream::connect(path), errno),
        ["connect-abstract", name] => {
            abstract_address(name).and_then(|address| UnixStream::connect_addr(&address)).map(drop)
        }
        ["serve-and-connect", path] => serve_and_connect(path),
        ["serve-abstract"] => serve_abstract(),
        ["packets", path] => packets(path),
        ["datagrams", path] => datagrams(path),
        ["flip-address", own, host] => flip_address(own, host),
        ["flip-descriptor", own, host] => flip_descriptor(own, host),
        ["flip-link", own, host] => flip_link(own, host),
        ["tcp"] => tcp(),
        ["no-way-out"] => no_way_out(),
        ["backlog", path] => backlog(path),
        ["bad-arguments", path] => bad_arguments(path),
        ["undumpable", path] => undumpable(path),
        ["die-while-asking", path] => die_while_asking(path),
        ["crowd"] => crowd(),
        ["flood", dir] => flood(dir),
        ["descriptors"] => descriptors(),
        ["limits"] => limits(),
        ref other => panic!("no such probe: {other:?}"),
    }
}

pub(crate) fn abstract_address(name: &str) -> io::Result<UnixAddr> {
    UnixAddr::from_abstract_name(name)
}

fn refused<T>(result: io::Result<T>, errno: &str) -> io::Result<()> {
    match result {
        Ok(_) => Err(io::Error::other("it was not refused")),
        Err(error) if error.raw_os_error().map(|n| n.to_string()).as_deref() == Some(errno) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn exchange(listener: &UnixListener, client: &mut UnixStream) -> io::Result<()> {
    let (mut server, _) = listener.accept()?;
    server.write_all(b"word")?;
    let mut word = [0; 4];
    client.read_exact(&mut word)?;
    client.write_all(&word)?;
    server.read_exact(&mut word)
}

fn serve_and_connect(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    exchange(&listener, &mut UnixStream::connect(path)?)?;
    fs::remove_file(path)?;
    refused(UnixStream::connect(path), &libc::ENOENT.to_string())
}

fn serve_abstract() -> io::Result<()> {
    let address = abstract_address(&format!("ringfence-{}", std::process::id()))?;
    let listener = UnixListener::bind_addr(&address)?;
    exchange(&listener, &mut UnixStream::connect_addr(&address)?)
}

fn packets(path: &str) -> io::Result<()> {
    let address = unix_address(path);
    let _server = sys::serve(libc::SOCK_SEQPACKET, &address, 4)?;
    let client = socket(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
    connect_raw(client.as_raw_fd(), address_of(&address), FULL)?;
    let stream = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let wrong = connect_raw(stream.as_raw_fd(), address_of(&address), FULL);
    refused(wrong, &libc::EPROTOTYPE.to_string())
}

/// None can be made that could reach `path`, and a pair is as good as one.
fn datagrams(path: &str) -> io::Result<()> {
    refused(UnixDatagram::unbound(), &libc::EACCES.to_string())?;
    let (one, other) = UnixDatagram::pair()?;
    one.send(b"first")?;
    one.send(b"second")?;
    let mut buffer = [0; 32];
    let n = other.recv(&mut buffer)?;
    assert_eq!(&buffer[..n], b"first");
    let n = other.recv(&mut buffer)?;
    assert_eq!(&buffer[..n], b"second");
    let flags = sys::control(one.as_raw_fd(), libc::F_GETFD)?;
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    // An address is of no use to it.
    drop(one.send_to(b"third", path));
    refused(sys::pair_at_nowhere(libc::SOCK_DGRAM), &libc::EFAULT.to_string())
}

const ROUNDS: usize = 3000;

/// An own server that takes everyone in.
fn own_server(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || listener.incoming().for_each(drop));
    Ok(())
}

/// Races `disturb` in one thread against connections in another, until enough were made.
fn race(
    mut disturb: impl FnMut(usize) + Send + 'static,
    mut connect: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let thread = std::thread::spawn(move || {
        for round in 0.. {
            if ended.load(Ordering::Acquire) {
                return;
            }
            disturb(round);
        }
    });
    let mut made = 0;
    for _ in 0..ROUNDS {
        made += usize::from(connect().is_ok());
    }
    over.store(true, Ordering::Release);
    thread.join().expect("it does not panic");
    if made == 0 { Err(io::Error::other("no connection was made at all")) } else { Ok(()) }
}

/// The address in memory changes while it is asked for.
fn flip_address(own: &str, host: &str) -> io::Result<()> {
    own_server(own)?;
    let both = [unix_address(own), unix_address(host)];
    let place = sys::Place::new(both[0]);
    race(
        move |round| place.set(both[round % 2]),
        move || {
            let fd = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
            connect_raw(fd.as_raw_fd(), place.address(), FULL)
        },
    )
}

/// The number of the socket is given to an internet socket and back.
fn flip_descriptor(own: &str, host: &str) -> io::Result<()> {
    own_server(own)?;
    let number = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let fd = number.as_raw_fd();
    let host = unix_address(host);
    race(
        move |round| {
            let domain = [libc::AF_UNIX, libc::AF_INET][round % 2];
            if let Ok(other) = socket(domain, libc::SOCK_STREAM) {
                sys::replace(fd, &other);
            }
        },
        {
            let own = own.to_owned();
            move || {
                // The host's is refused whatever lies under the number.
                drop(connect_raw(number.as_raw_fd(), address_of(&host), FULL));
                UnixStream::connect(&own).map(drop)
            }
        },
    )
}

/// A link on the way points to the one and to the other.
fn flip_link(own: &str, host: &str) -> io::Result<()> {
    own_server(own)?;
    std::os::unix::fs::symlink(own, "link")?;
    let targets = [own.to_owned(), host.to_owned()];
    race(
        move |round| {
            drop(std::os::unix::fs::symlink(&targets[round % 2], "next"));
            drop(fs::rename("next", "link"));
        },
        || UnixStream::connect("link").map(drop),
    )
}

fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    // It waits, and leaves the socket as a call that waited would.
    let mut client = TcpStream::connect(address)?;
    let (mut server, _) = listener.accept()?;
    server.write_all(b"word")?;
    let mut word = [0; 4];
    client.read_exact(&mut word)?;
    let flags = sys::control(client.as_raw_fd(), libc::F_GETFL)?;
    assert_eq!(flags & libc::O_NONBLOCK, 0, "it still waits");
    let again = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    drop((again, listener));
    refused(TcpStream::connect(address), &libc::ECONNREFUSED.to_string())
}

fn no_way_out() -> io::Result<()> {
    let out: SocketAddr = "192.0.2.1:80".parse().expect("it is an address");
    refused(TcpStream::connect(out), &libc::ENETUNREACH.to_string())?;
    let six: SocketAddr = "[2001:db8::1]:443".parse().expect("it is an address");
    refused(TcpStream::connect(six), &libc::ENETUNREACH.to_string())?;
    UdpSocket::bind("127.0.0.1:0")?.connect("127.0.0.53:53")
}

/// A server that does not take anybody in: who waits is let in when there is room, who
/// does not wait is told so, and who waits for a time only waits that long.
fn backlog(path: &str) -> io::Result<()> {
    let address = unix_address(path);
    let server = sys::serve(libc::SOCK_STREAM, &address, 0)?;
    let first = UnixStream::connect(path)?;
    let hasty = socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?;
    let answer = connect_raw(hasty.as_raw_fd(), address_of(&address), FULL);
    refused(answer, &libc::EAGAIN.to_string())?;
    let patient = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    sys::wait_at_most(&patient, 30_000)?;
    let answer = connect_raw(patient.as_raw_fd(), address_of(&address), FULL);
    refused(answer, &libc::EAGAIN.to_string())?;
    let path = path.to_owned();
    let waiting = std::thread::spawn(move || UnixStream::connect(path));
    let listener = UnixListener::from(server);
    drop(listener.accept()?);
    drop(listener.accept()?);
    waiting.join().expect("it does not panic")?;
    drop(first);
    Ok(())
}

/// Nonsense gets the kernel's answer.
fn bad_arguments(path: &str) -> io::Result<()> {
    let address = unix_address(path);
    let fd = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let check = |fd: RawFd, address: usize, length, errno: i32| {
        refused(connect_raw(fd, address, length), &errno.to_string())
            .map_err(|error| io::Error::other(format!("length {length}: {error}")))
    };
    let raw = fd.as_raw_fd();
    check(-1, address_of(&address), FULL, libc::EBADF)?;
    check(999, address_of(&address), FULL, libc::EBADF)?;
    check(0, address_of(&address), FULL, libc::ENOTSOCK)?;
    check(raw, 8, FULL, libc::EFAULT)?;
    check(raw, address_of(&address), 0, libc::EINVAL)?;
    check(raw, address_of(&address), 2, libc::EINVAL)?;
    check(raw, address_of(&address), 4096, libc::EINVAL)?;
    check(raw, address_of(&address), usize::MAX, libc::EINVAL)?;
    let long = unix_address(&"x".repeat(200));
    check(raw, address_of(&long), FULL, libc::ENOENT)?;
    // Paths that are longer than any, not ended, or not there.
    let endless = vec![b'a'; 1 << 16];
    for place in [endless.as_ptr() as usize, 0, 8, usize::MAX - 4] {
        sys::call_with_path(place);
    }
    Ok(())
}

/// A process that keeps its memory to itself, as ssh-agent and ssh-add do.
fn undumpable(path: &str) -> io::Result<()> {
    sys::keep_memory_private()?;
    serve_and_connect(path)
}

/// Threads are killed while the init has their calls.
fn die_while_asking(path: &str) -> io::Result<()> {
    own_server(path)?;
    let address = unix_address(path);
    for round in 0..200 {
        let child = sys::fork_and_connect(&address)?;
        for _ in 0..round % 20 {
            drop(UnixStream::connect(path)?);
        }
        sys::kill_child(child)?;
    }
    UnixStream::connect(path).map(drop)
}

/// More connections wait than the init keeps; all the same nobody is stuck.
fn crowd() -> io::Result<()> {
    let address = unix_address("/tmp/crowd");
    let server = sys::serve(libc::SOCK_STREAM, &address, 0)?;
    let waiting: Vec<_> = (0..300)
        .map(|_| std::thread::spawn(|| UnixStream::connect("/tmp/crowd").map(drop)))
        .collect();
    let listener = UnixListener::from(server);
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while waiting.iter().any(|thread| !thread.is_finished()) {
        if listener.accept().is_err() {
            std::thread::yield_now();
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("somebody is stuck"));
        }
    }
    let answers = waiting.into_iter().map(|thread| thread.join().expect("it does not panic"));
    let (served, sent_away): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
    assert!(served.len() >= 64, "{} were served", served.len());
    sent_away.into_iter().try_for_each(|answer| refused(answer, &libc::EAGAIN.to_string()))
}

fn flood(dir: &str) -> io::Result<()> {
    for i in 0..5000 {
        let path = format!("{dir}/{i}");
        refused(File::create(path), &libc::EROFS.to_string())?;
        refused(File::create(format!("{dir}/same")), &libc::EROFS.to_string())?;
    }
    Ok(())
}

/// Nothing is open but what was given, and what this program opens to look.
fn descriptors() -> io::Result<()> {
    let open: Vec<_> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .map(|target| target.display().to_string())
        .filter(|target| !target.starts_with("/proc/"))
        .collect();
    let odd = open.iter().filter(|t| t.contains("seccomp") || t.contains("socket"));
    assert_eq!(odd.count(), 0, "{open:?}");
    Ok(())
}

/// Neither the init nor its thread can be starved of descriptors.
fn limits() -> io::Result<()> {
    for pid in [1, 2] {
        refused(sys::take_descriptors_away(pid), &libc::EPERM.to_string())?;
        sys::strike(pid);
    }
    serve_and_connect("/tmp/after")
}

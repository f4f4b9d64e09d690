//! Reaching a Unix socket of the host by other ways than its plain path.
//!
//! Whoever lets a connection pass or not looks at an address in the command's memory, or at a descriptor: both can
//! change between the look and the call. So besides detours there are races, with thousands of rounds; one greeting
//! of the bystander is enough.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::sys::{call, open, own};
use crate::{Attempt, Probe, Refusal, arg, denied};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("unix-relative", relative),
    ("unix-symlink", through_link),
    ("unix-by-descriptor", by_descriptor),
    ("unix-nonblocking", nonblocking),
    ("unix-seqpacket", seqpacket),
    ("unix-sendto", |args| datagram(args, Door::SendTo)),
    ("unix-sendmsg", |args| datagram(args, Door::SendMsg)),
    ("unix-sendmmsg", |args| datagram(args, Door::SendMmsg)),
    ("unix-dgram-connect", |args| datagram(args, Door::Connect)),
    ("unix-pair-sendto", pair_sendto),
    ("unix-received", received),
    ("unix-race-address", race_address),
    ("unix-race-descriptor", race_descriptor),
    ("unix-race-link", race_link),
];

/// Rounds of a race, of either side: who begins late or has to wait for a processor is waited for.
const ROUNDS: usize = 3000;

/// Races `attempt` against `flip` in another thread; gives the first success.
fn race(flip: impl Fn() + Sync, mut attempt: impl FnMut() -> Option<String>) -> Attempt {
    let (done, flips) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                flip();
                flips.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut found = None;
        let mut round = 0;
        while found.is_none() && (round < ROUNDS || flips.load(Ordering::Relaxed) < ROUNDS) {
            found = attempt();
            round += 1;
        }
        done.store(true, Ordering::Relaxed);
        found.map_or_else(|| denied("never in all rounds"), Ok)
    })
}

/// `struct sockaddr_un`: the family, and 108 bytes of path.
#[derive(Clone, Copy)]
#[repr(C)]
struct Address {
    family: u16,
    path: [u8; 108],
}

fn unix_address(path: &str) -> Address {
    let mut address = Address { family: libc::AF_UNIX as u16, path: [0; 108] };
    address.path[..path.len()].copy_from_slice(path.as_bytes());
    address
}

fn socket(kind: i32) -> std::io::Result<OwnedFd> {
    open(libc::SYS_socket, &[libc::AF_UNIX as usize, (kind | libc::SOCK_CLOEXEC) as usize, 0])
}

fn connect(fd: RawFd, address: &Address) -> std::io::Result<usize> {
    let size = size_of::<Address>();
    call(libc::SYS_connect, &[fd as usize, std::ptr::from_ref(address) as usize, size])
}

/// Only the bystander's own word counts.
fn greeted(fd: OwnedFd) -> Attempt {
    let mut stream = UnixStream::from(fd);
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting)?;
    if greeting.contains("bystander") { Ok(greeting) } else { denied(&greeting) }
}

fn connected(path: &str) -> Attempt {
    let fd = socket(libc::SOCK_STREAM)?;
    connect(fd.as_raw_fd(), &unix_address(path))?;
    greeted(fd)
}

fn relative(args: &[String]) -> Attempt {
    let path = Path::new(arg(args, 0));
    let (directory, name) = (path.parent(), path.file_name().unwrap_or_default());
    std::env::set_current_dir(directory.unwrap_or(Path::new("/")))?;
    connected(&name.to_string_lossy())
}

fn through_link(args: &[String]) -> Attempt {
    symlink(arg(args, 0), arg(args, 1))?;
    connected(arg(args, 1))
}

/// A descriptor that opens nothing leads to the socket without its name.
fn by_descriptor(args: &[String]) -> Attempt {
    let found = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(arg(args, 0))?;
    connected(&format!("/proc/self/fd/{}", found.as_raw_fd()))
}

fn nonblocking(args: &[String]) -> Attempt {
    let fd = socket(libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?;
    connect(fd.as_raw_fd(), &unix_address(arg(args, 0)))?;
    UnixStream::from(fd.try_clone()?).set_nonblocking(false)?;
    greeted(fd)
}

/// The kind of socket is wrong, which a kernel finds out after it has found the path: refused for this reason alone,
/// the path was reached.
fn seqpacket(args: &[String]) -> Attempt {
    let fd = socket(libc::SOCK_SEQPACKET)?;
    match connect(fd.as_raw_fd(), &unix_address(arg(args, 0))) {
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
            Ok("the socket was found".to_owned())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok("connected".to_owned()),
    }
}

enum Door {
    SendTo,
    SendMsg,
    SendMmsg,
    Connect,
}

/// `struct msghdr` of a 64 bit machine.
#[repr(C)]
struct Message {
    name: usize,
    name_size: u64,
    parts: usize,
    part_count: usize,
    control: usize,
    control_size: usize,
    flags: u64,
}

fn datagram(args: &[String], door: Door) -> Attempt {
    let fd = socket(libc::SOCK_DGRAM)?;
    send(fd.as_raw_fd(), &unix_address(arg(args, 0)), door)
}

fn send(fd: RawFd, to: &Address, door: Door) -> Attempt {
    let text = *b"to the bystander";
    let (fd, size) = (fd as usize, size_of::<Address>());
    let name = std::ptr::from_ref(to) as usize;
    let part = [text.as_ptr() as usize, text.len()];
    let message = Message {
        name,
        name_size: size as u64,
        parts: part.as_ptr() as usize,
        part_count: 1,
        control: 0,
        control_size: 0,
        flags: 0,
    };
    let header = std::ptr::from_ref(&message) as usize;
    match door {
        Door::SendTo => call(libc::SYS_sendto, &[fd, part[0], part[1], 0, name, size])?,
        Door::SendMsg => call(libc::SYS_sendmsg, &[fd, header, 0])?,
        Door::SendMmsg => {
            // `struct mmsghdr` is a message and a length, which the kernel writes.
            let several = (message, 0_u64);
            call(libc::SYS_sendmmsg, &[fd, std::ptr::from_ref(&several) as usize, 1, 0])?
        }
        Door::Connect => {
            call(libc::SYS_connect, &[fd, name, size])?;
            call(libc::SYS_write, &[fd, part[0], part[1]])?
        }
    };
    Ok("sent".to_owned())
}

/// A pair of one's own is nothing to be asked about; its ends can send elsewhere all the same.
fn pair_sendto(args: &[String]) -> Attempt {
    let (ours, theirs) = UnixDatagram::pair()?;
    theirs.set_nonblocking(true)?;
    let sent = send(ours.as_raw_fd(), &unix_address(arg(args, 0)), Door::SendTo)?;
    match theirs.recv(&mut [0; 64]) {
        Ok(_) => denied("it went to the other end of the pair"),
        Err(_) => Ok(sent),
    }
}

/// A socket that came as a message from somebody else.
fn received(args: &[String]) -> Attempt {
    let (ours, theirs) = UnixStream::pair()?;
    let made = socket(libc::SOCK_STREAM)?;
    pass(&theirs, made.as_raw_fd())?;
    drop(made);
    let fd = take(&ours)?;
    connect(fd.as_raw_fd(), &unix_address(arg(args, 0)))?;
    greeted(fd)
}

/// A control message with one descriptor: length, level, kind, and the descriptor in eight bytes.
type Control = [u64; 3];
const CONTROL_SIZE: usize = size_of::<Control>();

fn carry(door: libc::c_long, stream: &UnixStream, control: &mut Control) -> std::io::Result<usize> {
    let mut byte = [0_u8; 1];
    let part = [byte.as_mut_ptr() as usize, 1];
    let mut message = Message {
        name: 0,
        name_size: 0,
        parts: part.as_ptr() as usize,
        part_count: 1,
        control: control.as_mut_ptr() as usize,
        control_size: CONTROL_SIZE,
        flags: 0,
    };
    call(door, &[stream.as_raw_fd() as usize, std::ptr::from_mut(&mut message) as usize, 0])
}

fn pass(stream: &UnixStream, fd: RawFd) -> std::io::Result<usize> {
    let level_and_kind = (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32;
    carry(libc::SYS_sendmsg, stream, &mut [20, level_and_kind, fd as u64])
}

fn take(stream: &UnixStream) -> Result<OwnedFd, Refusal> {
    let mut control = [0; 3];
    carry(libc::SYS_recvmsg, stream, &mut control)?;
    if control[0] != 20 {
        return denied("no descriptor came");
    }
    Ok(own((control[2] & 0xffff_ffff) as RawFd))
}

/// The address flips between a server of one's own and the bystander while the call is under way.
fn race_address(args: &[String]) -> Attempt {
    let own = Own::serve(arg(args, 1))?;
    // Both paths have the same length, so one byte tells them apart: `a` is a link to the own server.
    let (good, bad) = (format!("{}/a", arg(args, 2)), format!("{}/b", arg(args, 2)));
    symlink(&own.path, &good).and_then(|()| symlink(arg(args, 0), &bad))?;
    let shared = Shared::new(&good);
    let last = &shared.path[good.len() - 1];
    let flip = || {
        last.store(b'b', Ordering::Relaxed);
        thread::yield_now();
        last.store(b'a', Ordering::Relaxed);
    };
    race(flip, || {
        let fd = socket(libc::SOCK_STREAM).ok()?;
        let name = std::ptr::from_ref(&shared) as usize;
        call(libc::SYS_connect, &[fd.as_raw_fd() as usize, name, size_of::<Address>()]).ok()?;
        greeted(fd).ok()
    })
}

/// An address that two threads may touch.
#[repr(C)]
struct Shared {
    family: u16,
    path: [AtomicU8; 108],
}

impl Shared {
    fn new(path: &str) -> Shared {
        let address = unix_address(path);
        Shared { family: address.family, path: address.path.map(AtomicU8::new) }
    }
}

/// The descriptor is now one socket and now another while the call is under way. The other is a datagram socket, whose
/// calls may be judged otherwise.
fn race_descriptor(args: &[String]) -> Attempt {
    let to = unix_address(arg(args, 0));
    let (stream, other) = (socket(libc::SOCK_STREAM)?, socket(libc::SOCK_DGRAM)?);
    let number = stream.try_clone()?;
    let put = |from: &OwnedFd| {
        let args = [from.as_raw_fd() as usize, number.as_raw_fd() as usize, 0];
        call(libc::SYS_dup3, &args).ok();
    };
    let flip = || {
        put(&other);
        put(&stream);
    };
    race(flip, || {
        connect(number.as_raw_fd(), &to).ok();
        greeted(stream.try_clone().ok()?).ok()
    })
}

/// A symbolic link leads now to a server of one's own and now to the bystander.
fn race_link(args: &[String]) -> Attempt {
    let own = Own::serve(arg(args, 1))?;
    let [link, good, bad] =
        ["turning", "good", "bad"].map(|name| format!("{}/{name}", arg(args, 2)));
    symlink(&own.path, &good).and_then(|()| symlink(arg(args, 0), &bad))?;
    symlink(&own.path, &link)?;
    let (from, to) = (crate::sys::text(&bad), crate::sys::text(&link));
    let flip = || {
        let here = libc::AT_FDCWD as usize;
        let exchange = libc::RENAME_EXCHANGE as usize;
        let args = [here, from.as_ptr() as usize, here, to.as_ptr() as usize, exchange];
        call(libc::SYS_renameat2, &args).ok();
    };
    race(flip, || connected(&link).ok())
}

/// A server of one's own that answers with another word.
struct Own {
    path: String,
}

impl Own {
    fn serve(directory: &str) -> std::io::Result<Own> {
        let path = format!("{directory}/own-{}.sock", std::process::id());
        let listener = UnixListener::bind(&path)?;
        thread::spawn(move || {
            use std::io::Write;
            listener.incoming().flatten().for_each(|mut stream| {
                stream.write_all(b"my own server").ok();
            });
        });
        Ok(Own { path })
    }
}

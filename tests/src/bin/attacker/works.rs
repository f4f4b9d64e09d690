//! What every program may expect to work: its own files, processes, sockets, terminals.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::sys::{address, call, fork, in_child, open, text, wait};
use crate::{Attempt, Probe, arg, denied};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("trace-own", |_| trace_own()),
    ("attach-own", |_| attach_own()),
    ("read-own", |_| read_own()),
    ("loopback", loopback),
    ("loopback-udp", loopback_udp),
    ("own-unix", own_unix),
    ("own-abstract", |_| own_abstract()),
    ("own-terminal", |_| own_terminal()),
    ("own-files", own_files),
    ("own-shm", |_| own_shm()),
    ("own-sysv", |_| own_sysv()),
    ("own-signals", |_| own_signals()),
    ("many-threads", |_| many_threads()),
    ("many-processes", |_| many_processes()),
    ("executable-memory", |_| executable_memory()),
    ("no-randomize", |_| no_randomize()),
    ("devices", |_| devices()),
    ("proc", |_| proc()),
    ("descriptors-of-kernel", |_| descriptors_of_kernel()),
    ("names", |_| names()),
    ("own-filter", |_| own_filter()),
];

fn works(what: &str) -> Attempt {
    Ok(what.to_owned())
}

/// What gdb does: run a child that asks to be traced, see it stop, read it, let it go on.
fn trace_own() -> Attempt {
    let child = fork(|| {
        call(libc::SYS_ptrace, &[libc::PTRACE_TRACEME as usize]).ok();
        call(libc::SYS_kill, &[std::process::id() as usize, libc::SIGSTOP as usize]).ok();
        7
    })?;
    let stopped = wait(child)?;
    if stopped & 0xff != 0x7f {
        return denied(&format!("the child did not stop: {stopped:#x}"));
    }
    call(libc::SYS_ptrace, &[libc::PTRACE_CONT as usize, child as usize, 0, 0])?;
    let ended = wait(child)?;
    if ended == 7 << 8 {
        works("traced")
    } else {
        denied(&format!("the child ended with {ended:#x}"))
    }
}

fn with_child(look: impl Fn(usize) -> Attempt) -> Attempt {
    let child = fork(|| {
        loop {
            call(libc::SYS_pause, &[]).ok();
        }
    })?;
    let seen = look(child as usize);
    call(libc::SYS_kill, &[child as usize, libc::SIGKILL as usize])?;
    wait(child)?;
    seen
}

fn attach_own() -> Attempt {
    with_child(|child| {
        call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE as usize, child, 0, 0])?;
        works("attached")
    })
}

fn read_own() -> Attempt {
    let secret = *b"of my own child!";
    with_child(|child| {
        let mut buffer = [0_u8; 16];
        let local = [buffer.as_mut_ptr() as usize, buffer.len()];
        let remote = [address(&secret), buffer.len()];
        let args = [child, local.as_ptr() as usize, 1, remote.as_ptr() as usize, 1, 0];
        call(libc::SYS_process_vm_readv, &args)?;
        fs::read_dir(format!("/proc/{child}/fd"))?;
        if buffer == secret { works("read") } else { denied("it read something else") }
    })
}

/// A server and its client, by the name given.
fn loopback(args: &[String]) -> Attempt {
    let listener = TcpListener::bind((arg(args, 0), 0))?;
    let port = listener.local_addr()?.port();
    let server = thread::spawn(move || {
        listener.accept().and_then(|(mut stream, _)| stream.write_all(b"hello"))
    });
    let to = (arg(args, 1), port).to_socket_addrs()?;
    let mut answer = String::new();
    let connected = to.map(TcpStream::connect).find_map(Result::ok);
    let Some(mut stream) = connected else { return denied("no address of that name answers") };
    stream.read_to_string(&mut answer)?;
    server.join().expect("because the server does not panic")?;
    works(&answer)
}

fn loopback_udp(args: &[String]) -> Attempt {
    let (one, other) = (UdpSocket::bind((arg(args, 0), 0))?, UdpSocket::bind((arg(args, 0), 0))?);
    one.send_to(b"hello", other.local_addr()?)?;
    let mut buffer = [0; 8];
    let length = other.recv(&mut buffer)?;
    works(&String::from_utf8_lossy(&buffer[..length]))
}

fn own_unix(args: &[String]) -> Attempt {
    let path = Path::new(arg(args, 0)).join("ringfence-own.sock");
    let listener = UnixListener::bind(&path)?;
    let client = UnixStream::connect(&path)?;
    let (mut server, _) = listener.accept()?;
    server.write_all(b"hello")?;
    drop(server);
    let mut answer = String::new();
    (&client).read_to_string(&mut answer)?;
    fs::remove_file(path)?;
    works(&answer)
}

fn own_abstract() -> Attempt {
    let name = UnixAddr::from_abstract_name(format!("ringfence-own-{}", std::process::id()))?;
    let listener = UnixListener::bind_addr(&name)?;
    let _client = UnixStream::connect_addr(&name)?;
    listener.accept()?;
    works("connected")
}

fn own_terminal() -> Attempt {
    let (mut ours, mut theirs) = crate::terminal::pair()?;
    theirs.write_all(b"hello\n")?;
    let mut buffer = [0; 16];
    let length = ours.read(&mut buffer)?;
    let size = [24_u16, 80, 0, 0];
    call(
        libc::SYS_ioctl,
        &[ours.as_raw_fd() as usize, libc::TIOCSWINSZ as usize, size.as_ptr() as usize],
    )?;
    works(&String::from_utf8_lossy(&buffer[..length]).escape_debug().to_string())
}

/// All that one does with files, in a directory that is one's own.
fn own_files(args: &[String]) -> Attempt {
    let base = Path::new(arg(args, 0)).join(format!("ringfence-own-{}", std::process::id()));
    let (one, two) = (base.join("one"), base.join("two"));
    fs::create_dir(&base)?;
    fs::write(&one, "text")?;
    fs::hard_link(&one, &two)?;
    fs::rename(&two, base.join("three"))?;
    symlink("one", base.join("link"))?;
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600))?;
    let file = fs::File::options().write(true).open(base.join("link"))?;
    file.set_len(2)?;
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    call(libc::SYS_flock, &[file.as_raw_fd() as usize, libc::LOCK_EX as usize])?;
    file.sync_all()?;
    let fifo = text(&base.join("fifo").to_string_lossy());
    let mode = (libc::S_IFIFO | 0o600) as usize;
    call(libc::SYS_mknodat, &[libc::AT_FDCWD as usize, fifo.as_ptr() as usize, mode, 0])?;
    fs::remove_dir_all(&base)?;
    works("done")
}

fn own_shm() -> Attempt {
    let path = format!("/dev/shm/ringfence-own-{}", std::process::id());
    fs::write(&path, "shared")?;
    fs::remove_file(path)?;
    works("done")
}

fn own_sysv() -> Attempt {
    let create = libc::IPC_CREAT as usize | 0o600;
    let id = call(libc::SYS_shmget, &[0, 4096, create])?;
    let attached = call(libc::SYS_shmat, &[id, 0, 0]);
    call(libc::SYS_shmctl, &[id, libc::IPC_RMID as usize, 0])?;
    attached?;
    works("attached")
}

fn own_signals() -> Attempt {
    let child = fork(|| {
        call(libc::SYS_setsid, &[]).ok();
        loop {
            call(libc::SYS_pause, &[]).ok();
        }
    })?;
    call(libc::SYS_kill, &[child as usize, libc::SIGTERM as usize])?;
    let ended = wait(child)?;
    if ended == libc::SIGTERM {
        works("ended by a signal")
    } else {
        denied(&format!("ended with {ended:#x}"))
    }
}

fn many_threads() -> Attempt {
    let threads: Vec<_> = (0..64).map(|number| thread::spawn(move || number)).collect();
    let sum: u32 =
        threads.into_iter().map(|thread| thread.join().expect("because it does not panic")).sum();
    works(&sum.to_string())
}

fn many_processes() -> Attempt {
    let children: std::io::Result<Vec<i32>> = (0..64).map(|_| fork(|| 0)).collect();
    for child in children? {
        wait(child)?;
    }
    let output = Command::new("/bin/sh").args(["-c", "echo from a shell"]).output()?;
    works(String::from_utf8_lossy(&output.stdout).trim())
}

/// What a just-in-time compiler does.
fn executable_memory() -> Attempt {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let page = call(libc::SYS_mmap, &[0, 4096, protection, flags, usize::MAX, 0])?;
    call(libc::SYS_mprotect, &[page, 4096, (libc::PROT_READ | libc::PROT_EXEC) as usize])?;
    works("executable")
}

/// What gdb asks for before it starts its child.
fn no_randomize() -> Attempt {
    call(libc::SYS_personality, &[libc::ADDR_NO_RANDOMIZE as usize])?;
    let status = in_child(|| 0)?;
    works(&format!("set, {status}"))
}

fn devices() -> Attempt {
    let mut bytes = [1_u8; 8];
    fs::File::open("/dev/zero")?.read_exact(&mut bytes)?;
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    fs::File::open("/dev/random")?.read_exact(&mut bytes)?;
    fs::File::options().write(true).open("/dev/null")?.write_all(&bytes)?;
    let full = fs::File::options().write(true).open("/dev/full")?.write_all(&bytes);
    for link in ["fd", "stdin", "stdout", "stderr"] {
        fs::read_link(Path::new("/dev").join(link))?;
    }
    match full {
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => works("all there"),
        _ => denied("/dev/full is not full"),
    }
}

fn proc() -> Attempt {
    for path in [
        "cpuinfo",
        "meminfo",
        "uptime",
        "loadavg",
        "self/maps",
        "self/status",
        "self/mountinfo",
        "sys/kernel/osrelease",
    ] {
        fs::read(Path::new("/proc").join(path))?;
    }
    for path in ["/etc/passwd", "/etc/group", "/etc/hosts", "/sys/devices/system/cpu/online"] {
        fs::read(path)?;
    }
    works("all there")
}

fn descriptors_of_kernel() -> Attempt {
    let name = c"ringfence-own".as_ptr() as usize;
    let _memfd = open(libc::SYS_memfd_create, &[name, 1])?;
    let _event = open(libc::SYS_eventfd2, &[0, 0])?;
    let _epoll = open(libc::SYS_epoll_create1, &[0])?;
    let _timer = open(libc::SYS_timerfd_create, &[libc::CLOCK_MONOTONIC as usize, 0])?;
    let _inotify = open(libc::SYS_inotify_init1, &[0])?;
    let _pidfd = open(libc::SYS_pidfd_open, &[std::process::id() as usize, 0])?;
    works("all there")
}

/// The names by which a program finds itself.
fn names() -> Attempt {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let uid = call(libc::SYS_getuid, &[])?;
    let entry = format!(":{uid}:");
    let known = fs::read_to_string("/etc/passwd")?.lines().any(|line| line.contains(&entry));
    if known {
        works(&format!("user {uid} on {}", name.trim()))
    } else {
        denied(&format!("user {uid} has no name"))
    }
}

/// A program may put a filter of its own on top: browsers and sandboxes do.
fn own_filter() -> Attempt {
    // One instruction: allow.
    let allow: [u32; 2] = [6, 0x7fff_0000];
    let program = [1_usize, address(&allow)];
    call(libc::SYS_prctl, &[libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0])?;
    call(libc::SYS_seccomp, &[1, 0, address(&program)])?;
    works("installed")
}

//! A process of the host that has something to lose.
//!
//! It prints what an attacker would like to know, as `name=value` lines up to one with a dot, and lives until its
//! standard input closes. Then it looks whether anybody has been at it, takes its things down, and ends with 0 when
//! all is as it was. It blocks all signals: one that arrives does no harm outside, and is found in the end.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use crate::sys::{address, block_signals, call, open, text};

const SECRET: &[u8; 16] = b"bystander-secret";
static HOLDER: OnceLock<Box<[u8; 16]>> = OnceLock::new();

/// Stands by. The argument is a directory of its own.
pub(crate) fn stand(args: &[String]) {
    block_signals();
    // Debuggers may look at it even where the machine lets them look at their own children only.
    call(libc::SYS_prctl, &[libc::PR_SET_PTRACER as usize, usize::MAX]).ok();
    let directory = PathBuf::from(crate::arg(args, 0));
    let mut facts = Facts::default();
    let secret = HOLDER.get_or_init(|| Box::new(*SECRET));
    facts.add("pid", std::process::id());
    facts.add("secret-address", address(&**secret));
    let file = fs::File::create(directory.join("held")).expect("because the directory is ours");
    facts.add("held", directory.join("held").display());
    facts.add("fd", std::os::fd::AsRawFd::as_raw_fd(&file));
    network(&mut facts);
    let sockets = sockets(&directory, &mut facts);
    let memory = memory(&mut facts);
    facts.tell();
    io::stdin().read_to_end(&mut Vec::new()).ok();
    for path in sockets {
        fs::remove_file(path).ok();
    }
    memory.remove();
    let harmed = **secret != *SECRET;
    std::process::exit(i32::from(harmed));
}

#[derive(Default)]
struct Facts(String);

impl Facts {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{name}={value}\n"));
    }

    fn tell(&self) {
        let mut out = io::stdout();
        out.write_all(self.0.as_bytes())
            .and_then(|()| out.write_all(b".\n"))
            .expect("because somebody listens");
    }
}

fn network(facts: &mut Facts) {
    let hosts = [("4", "127.0.0.1".parse().ok()), ("6", "::1".parse().ok())];
    let outer = own_address().map(|address| ("-host", Some(address)));
    if let Some(("-host", Some(IpAddr::V4(address)))) = outer {
        facts.add("host4", address);
    }
    for (name, host) in hosts.into_iter().chain(outer) {
        let Some(host) = host else { continue };
        if let Ok(listener) = TcpListener::bind(SocketAddr::new(host, 0)) {
            let own = listener.local_addr().expect("because it is bound");
            facts.add(&format!("tcp{name}"), own);
            facts.add(&format!("port{name}"), own.port());
            thread::spawn(move || {
                listener.incoming().flatten().for_each(|mut stream| greet(&mut stream))
            });
        }
        if let Ok(socket) = UdpSocket::bind(SocketAddr::new(host, 0)) {
            facts.add(&format!("udp{name}"), socket.local_addr().expect("because it is bound"));
            thread::spawn(move || answer(&socket));
        }
    }
}

/// An address of this machine that is not the loopback: the one a route to elsewhere starts from. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn greet(stream: &mut impl Write) {
    stream.write_all(b"the bystander says hello").ok();
}

fn answer(socket: &UdpSocket) {
    let mut buffer = [0; 64];
    while let Ok((_, from)) = socket.recv_from(&mut buffer) {
        socket.send_to(b"the bystander says hello", from).ok();
    }
}

/// Listens at paths and names; gives the paths to remove.
fn sockets(directory: &Path, facts: &mut Facts) -> Vec<PathBuf> {
    let name = format!("ringfence-test-{}", std::process::id());
    let workspace = directory.join("workspace");
    let places = [
        ("beside", directory),
        ("workspace", workspace.as_path()),
        ("tmp", Path::new("/tmp")),
        ("run", Path::new("/run")),
        ("shm", Path::new("/dev/shm")),
    ];
    let mut paths = Vec::new();
    for (label, place) in places {
        let (stream, datagram) =
            (place.join(format!("{name}.stream")), place.join(format!("{name}.dgram")));
        if let (Ok(listener), Ok(receiver)) =
            (UnixListener::bind(&stream), UnixDatagram::bind(&datagram))
        {
            facts.add(&format!("unix-{label}"), stream.display());
            facts.add(&format!("dgram-{label}"), datagram.display());
            serve(listener, receiver);
            paths.extend([stream, datagram]);
        }
    }
    let abstract_names = (format!("{name}.stream"), format!("{name}.dgram"));
    let bound = |name: &str| UnixAddr::from_abstract_name(name).expect("because the name is short");
    let listener =
        UnixListener::bind_addr(&bound(&abstract_names.0)).expect("because the name is new");
    let receiver =
        UnixDatagram::bind_addr(&bound(&abstract_names.1)).expect("because the name is new");
    serve(listener, receiver);
    facts.add("abstract", abstract_names.0);
    facts.add("abstract-dgram", abstract_names.1);
    paths
}

fn serve(listener: UnixListener, receiver: UnixDatagram) {
    thread::spawn(move || listener.incoming().flatten().for_each(|mut stream| greet(&mut stream)));
    thread::spawn(move || while receiver.recv(&mut [0; 64]).is_ok() {});
}

/// System V objects, a message queue, and a file in shared memory.
struct Memory {
    shm: usize,
    sem: usize,
    msg: usize,
    queue: String,
    file: PathBuf,
}

fn memory(facts: &mut Facts) -> Memory {
    let key = 0x7266_0000 | (std::process::id() as usize & 0xffff);
    let create = libc::IPC_CREAT as usize | 0o600;
    let name = format!("ringfence-test-{}", std::process::id());
    let shm = call(libc::SYS_shmget, &[key, 4096, create]).expect("because the key is ours");
    let sem = call(libc::SYS_semget, &[key, 1, create]).expect("because the key is ours");
    let msg = call(libc::SYS_msgget, &[key, create]).expect("because the key is ours");
    let c_name = text(&name);
    // A queue is a matter of chance: an ordinary user may make a few only.
    let flags = (libc::O_CREAT | libc::O_RDWR) as usize;
    let queue = open(libc::SYS_mq_open, &[c_name.as_ptr() as usize, flags, 0o600, 0]);
    if queue.is_ok() {
        facts.add("queue", &name);
    }
    let file = Path::new("/dev/shm").join(&name);
    if fs::write(&file, SECRET).is_ok() {
        facts.add("shm-file", file.display());
    }
    facts.add("key", key);
    facts.add("shm-id", shm);
    Memory { shm, sem, msg, queue: name, file }
}

impl Memory {
    fn remove(&self) {
        let remove = libc::IPC_RMID as usize;
        call(libc::SYS_shmctl, &[self.shm, remove, 0]).ok();
        call(libc::SYS_semctl, &[self.sem, 0, remove, 0]).ok();
        call(libc::SYS_msgctl, &[self.msg, remove, 0]).ok();
        let name = text(&self.queue);
        call(libc::SYS_mq_unlink, &[name.as_ptr() as usize]).ok();
        fs::remove_file(&self.file).ok();
    }
}

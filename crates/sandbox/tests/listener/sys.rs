//! What the init does with the calls it is handed: connections it carries out, refusals
//! it tells. The programs inside are this very test program, asked for one probe.

use ringfence_sandbox::{
    Confinement, Denied, DeniedKind, ExitStatus, FileView, Files, Network, Process, Program,
    Report, Sandbox, SandboxSpec, Stdio, Trace, Tree, UnixSockets,
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A directory outside every private one, so that the host's view counts.
fn place() -> TempDir {
    let private = |dir: &PathBuf| ["/tmp", "/var/tmp", "/run"].iter().any(|p| dir.starts_with(p));
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    [PathBuf::from(env!("CARGO_TARGET_TMPDIR")), home]
        .into_iter()
        .filter(|dir| !private(dir))
        .find_map(|dir| tempfile::tempdir_in(dir).ok())
        .expect("a directory outside the private ones can be made")
}

fn spec(workspace: &Path) -> SandboxSpec {
    let itself = std::env::current_exe().expect("it has a path");
    let view = FileView {
        writable: vec![workspace.to_owned()],
        readable: vec![itself],
        ..FileView::default()
    };
    SandboxSpec {
        confinement: Confinement::Sandbox,
        strict: false,
        files: Files::View(view),
        network: Network::Deny,
        unix_sockets: UnixSockets::Private,
        trace: Trace::Changes,
        workspace: workspace.to_owned(),
    }
}

/// A workspace, and beside it what is not to be reached.
struct Ground {
    dir: TempDir,
    spec: SandboxSpec,
}

impl Ground {
    fn new() -> Self {
        let dir = place();
        fs::create_dir(dir.path().join("ws")).expect("it can be made");
        let spec = spec(&dir.path().join("ws"));
        Self { dir, spec }
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.spec.workspace.join(name)
    }

    /// A server of the host that counts who reaches it.
    fn host_server(&self, name: &str) -> Server {
        Server::start(UnixListener::bind(self.outside(name)).expect("it can be bound"))
    }
}

struct Server {
    reached: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    address: UnixAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(listener: UnixListener) -> Self {
        let address = listener.local_addr().expect("it has an address");
        let (reached, end) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counter, over) = (Arc::clone(&reached), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                counter.fetch_add(1, Ordering::AcqRel);
                drop(stream.and_then(|mut stream| stream.write_all(b"host")));
            }
        });
        Self { reached, end, address, thread: Some(thread) }
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        drop(UnixStream::connect_addr(&self.address));
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// What came of a run.
struct Outcome {
    status: ExitStatus,
    output: String,
    denied: Vec<Denied>,
    untold: u64,
}

impl Outcome {
    /// How often it was told that this was refused.
    fn count(&self, kind: DeniedKind, target: impl AsRef<OsStr>) -> u64 {
        let same = |d: &&Denied| d.kind == kind && d.target == target.as_ref();
        self.denied.iter().filter(same).map(|denied| denied.count).sum()
    }
}

const PROBE: &str = "RINGFENCE_PROBE";

fn start(spec: &SandboxSpec, program: &[&str], env: &[(&str, &str)]) -> (Tree, io::PipeReader) {
    let sandbox = Sandbox::prepare(spec).expect("the sandbox can be prepared");
    let (reader, writer) = io::pipe().expect("a pipe can be had");
    let stdio = Stdio {
        stdin: File::open("/dev/null").expect("/dev/null is there").into(),
        stdout: writer.try_clone().expect("it can be copied").into(),
        stderr: writer.into(),
    };
    let mut variables = vec![("PATH".into(), "/usr/bin:/bin".into())];
    variables.extend(env.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let process = Process {
        program: Program::Search { name: program[0].into(), path: "/bin:/usr/bin".into() },
        args: program.iter().map(Into::into).collect(),
        env: variables,
        cwd: spec.workspace.clone(),
        rlimits: Vec::new(),
        linger: Duration::from_millis(20),
        temp: None,
    };
    (sandbox.start(&process, &stdio).expect("it starts"), reader)
}

fn follow(tree: &Tree, mut reader: io::PipeReader) -> Outcome {
    let output = std::thread::spawn(move || {
        let mut output = Vec::new();
        reader.read_to_end(&mut output).map(|_| String::from_utf8_lossy(&output).into_owned())
    });
    let (mut status, mut denied, mut untold) = (None, Vec::new(), 0);
    while let Some(report) = tree.wait_report().expect("the socket works") {
        match report {
            Report::Started { listening, .. } => assert!(listening, "nobody listens"),
            Report::CommandExited { status: ended } => status = Some(ended),
            Report::Denied(told) => denied.push(told),
            Report::Untold { count } => untold = count,
            Report::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
    let status = status.expect("the command ended");
    let output = output.join().expect("it does not panic").expect("the pipe can be read");
    Outcome { status, output, denied, untold }
}

/// Runs a probe of this program in the sandbox.
fn probe(spec: &SandboxSpec, words: &[&str]) -> Outcome {
    let itself = std::env::current_exe().expect("it has a path");
    let itself = itself.to_str().expect("the path is text");
    let program = [itself, "--exact", "sys::probes", "--nocapture", "--test-threads=1"];
    let (tree, reader) = start(spec, &program, &[(PROBE, &words.join("\n"))]);
    follow(&tree, reader)
}

fn shell(spec: &SandboxSpec, script: &str) -> Outcome {
    let (tree, reader) = start(spec, &["sh", "-c", script], &[]);
    follow(&tree, reader)
}

/// The probe finds what it looks for.
#[track_caller]
fn works(spec: &SandboxSpec, words: &[&str]) -> Outcome {
    let outcome = probe(spec, words);
    assert_eq!(outcome.status, ExitStatus::Exited(0), "{words:?}: {}", outcome.output);
    outcome
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}

// ---------------------------------------------------------------------------------------
// Probes: what runs inside.

/// Not a test by itself: the program that the others start.
#[test]
fn probes() {
    let Ok(words) = std::env::var(PROBE) else { return };
    let words: Vec<&str> = words.split('\n').collect();
    let done = match words[..] {
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
    };
    if let Err(error) = done {
        println!("{error}");
        std::process::exit(1);
    }
}

fn abstract_address(name: &str) -> io::Result<UnixAddr> {
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

fn check(answer: libc::c_int) -> io::Result<RawFd> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn socket(domain: i32, kind: i32) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn unix_address(path: &str) -> libc::sockaddr_un {
    // SAFETY: all zero is a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (place, byte) in address.sun_path.iter_mut().zip(path.as_bytes()) {
        *place = *byte as libc::c_char;
    }
    address
}

fn connect_raw(fd: RawFd, address: *const libc::sockaddr_un, length: usize) -> io::Result<()> {
    // SAFETY: the kernel checks the address itself; some tests give it bad ones.
    check(unsafe { libc::connect(fd, address.cast(), length as libc::socklen_t) }).map(drop)
}

const FULL: usize = size_of::<libc::sockaddr_un>();

fn packets(path: &str) -> io::Result<()> {
    let server = socket(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
    let address = unix_address(path);
    // SAFETY: the address is as long as said.
    check(unsafe { libc::bind(server.as_raw_fd(), (&raw const address).cast(), FULL as u32) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::listen(server.as_raw_fd(), 4) })?;
    let client = socket(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
    connect_raw(client.as_raw_fd(), &raw const address, FULL)?;
    let stream = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let wrong = connect_raw(stream.as_raw_fd(), &raw const address, FULL);
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
    // SAFETY: number only.
    let flags = check(unsafe { libc::fcntl(one.as_raw_fd(), libc::F_GETFD) })?;
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    // An address is of no use to it.
    drop(one.send_to(b"third", path));
    // SAFETY: a place that cannot be written.
    let pair = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, 8 as *mut i32) };
    refused(check(pair), &libc::EFAULT.to_string())
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
    let shared: &'static mut libc::sockaddr_un = Box::leak(Box::new(unix_address(own)));
    let place = std::ptr::from_mut(shared) as usize;
    let both = [unix_address(own), unix_address(host)];
    race(
        move |round| {
            let place = place as *mut libc::sockaddr_un;
            // SAFETY: it lives as long as the program; that others read it is the point.
            unsafe { place.write_volatile(both[round % 2]) };
        },
        move || {
            let fd = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
            connect_raw(fd.as_raw_fd(), place as *const _, FULL)
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
                // SAFETY: numbers only.
                unsafe { libc::dup2(other.as_raw_fd(), fd) };
            }
        },
        {
            let own = own.to_owned();
            move || {
                // The host's is refused whatever lies under the number.
                drop(connect_raw(number.as_raw_fd(), &raw const host, FULL));
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
    // SAFETY: number only.
    let flags = check(unsafe { libc::fcntl(client.as_raw_fd(), libc::F_GETFL) })?;
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
    let server = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let address = unix_address(path);
    // SAFETY: the address is as long as said.
    check(unsafe { libc::bind(server.as_raw_fd(), (&raw const address).cast(), FULL as u32) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::listen(server.as_raw_fd(), 0) })?;
    let first = UnixStream::connect(path)?;
    let hasty = socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK)?;
    let answer = connect_raw(hasty.as_raw_fd(), &raw const address, FULL);
    refused(answer, &libc::EAGAIN.to_string())?;
    let patient = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let time = libc::timeval { tv_sec: 0, tv_usec: 30_000 };
    // SAFETY: the structure is as long as said.
    check(unsafe {
        libc::setsockopt(
            patient.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const time).cast(),
            size_of_val(&time) as u32,
        )
    })?;
    let answer = connect_raw(patient.as_raw_fd(), &raw const address, FULL);
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
    let check = |fd: RawFd, address: *const libc::sockaddr_un, length, errno: i32| {
        refused(connect_raw(fd, address, length), &errno.to_string())
            .map_err(|error| io::Error::other(format!("length {length}: {error}")))
    };
    let raw = fd.as_raw_fd();
    check(-1, &raw const address, FULL, libc::EBADF)?;
    check(999, &raw const address, FULL, libc::EBADF)?;
    check(0, &raw const address, FULL, libc::ENOTSOCK)?;
    check(raw, 8 as *const _, FULL, libc::EFAULT)?;
    check(raw, &raw const address, 0, libc::EINVAL)?;
    check(raw, &raw const address, 2, libc::EINVAL)?;
    check(raw, &raw const address, 4096, libc::EINVAL)?;
    check(raw, &raw const address, usize::MAX, libc::EINVAL)?;
    let long = unix_address(&"x".repeat(200));
    check(raw, &raw const long, FULL, libc::ENOENT)?;
    // Paths that are longer than any, not ended, or not there.
    let endless = vec![b'a'; 1 << 16];
    for place in [endless.as_ptr() as usize, 0, 8, usize::MAX - 4] {
        for call in [libc::SYS_unlink, libc::SYS_mkdir, libc::SYS_rename, libc::SYS_truncate] {
            // SAFETY: the kernel checks the address.
            unsafe { libc::syscall(call, place, place, 0) };
        }
        // SAFETY: the kernel checks the addresses.
        unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, place, place, 24) };
        // SAFETY: the kernel checks the address.
        unsafe { libc::syscall(libc::SYS_openat, -77, place, libc::O_RDWR) };
    }
    Ok(())
}

/// A process that keeps its memory to itself, as ssh-agent and ssh-add do.
fn undumpable(path: &str) -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) })?;
    serve_and_connect(path)
}

/// Threads are killed while the init has their calls.
fn die_while_asking(path: &str) -> io::Result<()> {
    own_server(path)?;
    let address = unix_address(path);
    for round in 0..200 {
        // SAFETY: the child does nothing but system calls.
        let child = check(unsafe { libc::fork() })?;
        if child == 0 {
            loop {
                // SAFETY: numbers only.
                let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
                drop(connect_raw(fd, &raw const address, FULL));
                // SAFETY: numbers only.
                unsafe { libc::close(fd) };
            }
        }
        for _ in 0..round % 20 {
            drop(UnixStream::connect(path)?);
        }
        // SAFETY: a child of this process.
        check(unsafe { libc::kill(child, libc::SIGKILL) })?;
        // SAFETY: likewise; no status is wanted.
        check(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) })?;
    }
    UnixStream::connect(path).map(drop)
}

/// More connections wait than the init keeps; all the same nobody is stuck.
fn crowd() -> io::Result<()> {
    let server = socket(libc::AF_UNIX, libc::SOCK_STREAM)?;
    let address = unix_address("/tmp/crowd");
    // SAFETY: the address is as long as said.
    check(unsafe { libc::bind(server.as_raw_fd(), (&raw const address).cast(), FULL as u32) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::listen(server.as_raw_fd(), 0) })?;
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
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure is read.
        let answer = unsafe {
            libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const none, std::ptr::null_mut())
        };
        refused(check(answer), &libc::EPERM.to_string())?;
        // SAFETY: numbers only.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        // SAFETY: numbers only.
        unsafe { libc::syscall(libc::SYS_tgkill, 1, pid, libc::SIGKILL) };
    }
    serve_and_connect("/tmp/after")
}

// ---------------------------------------------------------------------------------------
// Sockets.

#[test]
fn a_socket_of_the_host_cannot_be_reached_by_any_way() {
    let ground = Ground::new();
    let server = ground.host_server("host");
    let host = ground.outside("host");
    let link = ground.inside("link");
    std::os::unix::fs::symlink(&host, &link).expect("it can be made");
    let hard = ground.inside("hard");
    fs::hard_link(&host, &hard).expect("it can be made");
    let relative = "../host";
    let by_proc = "/proc/self/cwd/../host";
    let root = format!("/proc/self/root{}", text(&host));
    for way in [text(&host), text(&link), text(&hard), relative, by_proc, &root] {
        let refused = ["connect-refused", way, &libc::EACCES.to_string()];
        let outcome = works(&ground.spec, &refused);
        let told = if way == text(&hard) { &hard } else { &host };
        assert_eq!(outcome.count(DeniedKind::UnixSocket, told), 1, "{way}: {:?}", outcome.denied);
    }
    assert_eq!(server.reached(), 0);
    UnixStream::connect(&host).expect("outside it can be reached");
}

#[test]
fn a_socket_that_is_listed_can_be_reached() {
    let mut ground = Ground::new();
    let server = ground.host_server("host");
    let other = ground.host_server("other");
    let host = ground.outside("host");
    ground.spec.unix_sockets = UnixSockets::Inherit;
    works(&ground.spec, &["connect", text(&host)]);
    assert_eq!((server.reached(), other.reached()), (1, 0));
}

#[test]
fn own_sockets_work_wherever_they_are() {
    let ground = Ground::new();
    for network in [Network::Deny, Network::Inherit] {
        let spec = SandboxSpec { network, ..ground.spec.clone() };
        let workspace = ground.inside("own");
        for path in ["/tmp/own", text(&workspace), "relative", "./x/../relative", "/dev/shm/own"] {
            fs::create_dir_all(ground.inside("x")).expect("it can be made");
            let outcome = works(&spec, &["serve-and-connect", path]);
            assert_eq!(outcome.denied, [], "{network:?} {path}");
        }
        works(&spec, &["serve-abstract"]);
        works(&spec, &["packets", "/tmp/packets"]);
        works(&spec, &["undumpable", "/tmp/undumpable"]);
        works(&spec, &["backlog", "/tmp/backlog"]);
    }
}

#[test]
fn abstract_names_of_the_host_cannot_be_reached_over_its_network() {
    let ground = Ground::new();
    let name = format!("ringfence-host-{}", std::process::id());
    let address = abstract_address(&name).expect("it is a name");
    let server = Server::start(UnixListener::bind_addr(&address).expect("it can be bound"));
    let spec = SandboxSpec { network: Network::Inherit, ..ground.spec.clone() };
    let outcome = probe(&spec, &["connect-abstract", &name]);
    assert_eq!(outcome.status, ExitStatus::Exited(1), "{}", outcome.output);
    assert_eq!(outcome.count(DeniedKind::UnixSocket, format!("@{name}")), 1);
    assert_eq!(server.reached(), 0);
    UnixStream::connect_addr(&address).expect("outside it can be reached");
}

#[test]
fn no_race_reaches_a_socket_of_the_host() {
    for network in [Network::Deny, Network::Inherit] {
        let ground = Ground::new();
        let spec = SandboxSpec { network, ..ground.spec.clone() };
        let server = ground.host_server("host");
        let host = ground.outside("host");
        for race in ["flip-address", "flip-descriptor", "flip-link"] {
            works(&spec, &[race, &format!("/tmp/{race}"), text(&host)]);
        }
        assert_eq!(server.reached(), 0);
        UnixStream::connect(&host).expect("outside it can be reached");
    }
}

#[test]
fn datagrams_reach_nobody_but_the_other_half_of_a_pair() {
    let ground = Ground::new();
    let host = ground.outside("host");
    let receiver = UnixDatagram::bind(&host).expect("it can be bound");
    receiver.set_nonblocking(true).expect("it can be set");
    let outcome = works(&ground.spec, &["datagrams", text(&host)]);
    let what = "socket(AF_UNIX, SOCK_DGRAM)";
    assert_eq!(outcome.count(DeniedKind::SystemCall, what), 1, "{:?}", outcome.denied);
    let nothing = receiver.recv(&mut [0; 8]).expect_err("nothing has arrived");
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    let sender = UnixDatagram::unbound().expect("outside one can be made");
    sender.send_to(b"word", &host).expect("and reaches it");
}

#[test]
fn nonsense_gets_the_kernels_answer_and_disturbs_nobody() {
    let ground = Ground::new();
    works(&ground.spec, &["bad-arguments", "/tmp/none"]);
    works(&ground.spec, &["die-while-asking", "/tmp/dying"]);
    works(&ground.spec, &["crowd"]);
    works(&ground.spec, &["descriptors"]);
    works(&ground.spec, &["limits"]);
}

#[test]
fn who_waits_for_a_connection_can_be_killed() {
    let ground = Ground::new();
    let script = "echo up; exec \"$0\" --exact sys::probes --nocapture";
    let itself = std::env::current_exe().expect("it has a path");
    let program = ["sh", "-c", script, text(&itself)];
    let (tree, mut reader) = start(&ground.spec, &program, &[(PROBE, "crowd")]);
    reader.read_exact(&mut [0; 3]).expect("it is up");
    tree.kill().expect("the init listens");
    assert_eq!(follow(&tree, reader).status, ExitStatus::Signaled(libc::SIGKILL));
}

// ---------------------------------------------------------------------------------------
// Network.

#[test]
fn connections_inside_work_and_those_outside_are_told() {
    let ground = Ground::new();
    let outcome = works(&ground.spec, &["tcp"]);
    assert_eq!(outcome.denied, []);
    let outcome = works(&ground.spec, &["no-way-out"]);
    for target in ["192.0.2.1:80", "[2001:db8::1]:443", "127.0.0.53:53"] {
        assert_eq!(outcome.count(DeniedKind::Network, target), 1, "{target}");
    }
}

// ---------------------------------------------------------------------------------------
// Files and calls.

#[test]
fn refused_changes_are_told_with_path_program_and_count() {
    let ground = Ground::new();
    fs::write(ground.outside("file"), "before").expect("it can be written");
    fs::create_dir(ground.outside("dir")).expect("it can be made");
    let check = |script: &str, names: &[&str]| {
        let outcome = shell(&ground.spec, script);
        let mut told: Vec<_> =
            outcome.denied.iter().map(|d| (d.kind, PathBuf::from(&d.target))).collect();
        told.sort_by(|a, b| a.1.cmp(&b.1));
        told.dedup();
        let expect: Vec<_> =
            names.iter().map(|name| (DeniedKind::FileWrite, ground.outside(name))).collect();
        assert_eq!(told, expect, "{script}: {}", outcome.output);
    };
    check("echo x > ../new", &["new"]);
    check("echo x >> ../file", &["file"]);
    check("ln -s ../file link; echo x > link", &["file"]);
    check("mkdir ../made", &["made"]);
    check("rm -f ../file", &["file"]);
    check("rmdir ../dir", &["dir"]);
    check("mv ../file ../moved", &["file", "moved"]);
    check("chmod 600 ../file", &["file"]);
    check("touch ../file", &["file"]);
    check("ln -s x ../linked", &["linked"]);
    check("truncate -s 0 ../file", &["file"]);
    // What is allowed, and what would fail anywhere, is not told.
    check("echo x > own; mv own other; chmod 600 other; rm other; mkdir d; rmdir d", &[]);
    check("cat ../file; test -w ../file; rm -f ../absent; mkdir ../dir; echo > ../no/dir", &[]);
    check("echo > /dev/null; echo > /tmp/x; : > /dev/shm/y", &[]);
    let outcome = shell(&ground.spec, "for i in 1 2 3; do touch ../file; done");
    assert_eq!(outcome.count(DeniedKind::FileWrite, ground.outside("file")) % 3, 0);
    assert!(outcome.denied.iter().all(|denied| denied.program == "touch"), "{:?}", outcome.denied);
}

#[test]
fn a_protected_file_that_cannot_be_replaced_is_told() {
    let mut ground = Ground::new();
    let kept = ground.inside("kept");
    fs::write(&kept, "before").expect("it can be written");
    let Files::View(view) = &mut ground.spec.files else { panic!("it is a view") };
    view.readable.push(kept.clone());
    for script in ["echo > kept", "rm -f kept", "echo > new; mv -f new kept"] {
        let outcome = shell(&ground.spec, script);
        assert!(outcome.count(DeniedKind::FileWrite, &kept) > 0, "{script}: {:?}", outcome.denied);
    }
}

#[test]
fn what_is_hidden_is_told_when_it_is_read() {
    let mut ground = Ground::new();
    let (file, dir) = (ground.outside("secret"), ground.outside("secrets"));
    fs::write(&file, "x").expect("it can be written");
    fs::create_dir(&dir).expect("it can be made");
    fs::write(dir.join("inner"), "x").expect("it can be written");
    let Files::View(view) = &mut ground.spec.files else { panic!("it is a view") };
    view.hidden = vec![file.clone(), dir.clone()];
    let script = "cat ../secret; cat ../secrets/inner; ls ../secrets; cat ../none; cat /etc/passwd";
    let silent = shell(&ground.spec, script);
    assert_eq!(silent.denied, []);
    ground.spec.trace = Trace::Reads;
    let outcome = shell(&ground.spec, script);
    for path in [file.clone(), dir.join("inner"), dir.clone()] {
        assert_eq!(outcome.count(DeniedKind::FileRead, &path), 1, "{:?}", outcome.denied);
    }
    assert_eq!(outcome.denied.len(), 3, "{:?}", outcome.denied);
    let outcome = shell(&ground.spec, "echo > ../secret; echo > ../secrets/new");
    for path in [file, dir.join("new")] {
        assert_eq!(outcome.count(DeniedKind::FileWrite, &path), 1, "{:?}", outcome.denied);
    }
}

#[test]
fn a_flood_of_refusals_is_counted() {
    let ground = Ground::new();
    let outcome = works(&ground.spec, &["flood", text(ground.dir.path())]);
    assert_eq!(outcome.count(DeniedKind::FileWrite, ground.outside("same")), 5000);
    let different: std::collections::BTreeSet<_> =
        outcome.denied.iter().map(|d| &d.target).collect();
    assert!(different.len() <= 500, "{} were told", different.len());
    let told: u64 = outcome.denied.iter().map(|denied| denied.count).sum();
    assert_eq!(told + outcome.untold, 10_000);
}

#[test]
fn refused_calls_are_told_by_name() {
    let ground = Ground::new();
    let check = |script: &str, name: &str| {
        let outcome = shell(&ground.spec, script);
        assert!(outcome.count(DeniedKind::SystemCall, name) > 0, "{script}: {}", outcome.output);
    };
    check("mount -t tmpfs x /tmp", "mount");
    check("unshare -m true", "unshare");
    check("umount /tmp", "umount");
    check("hostname elsewhere", "sethostname");
    check("nsenter -t $$ -m true", "setns");
}

#[test]
fn names_with_odd_characters_are_told_as_they_are() {
    let ground = Ground::new();
    let name = OsStr::from_bytes(b"odd \xff,:\\\n'");
    fs::write(ground.dir.path().join(name), "x").expect("it can be written");
    let outcome = shell(&ground.spec, "rm -f ../odd*");
    let path = ground.dir.path().join(name);
    assert_eq!(outcome.count(DeniedKind::FileWrite, path), 1, "{:?}", outcome.denied);
}

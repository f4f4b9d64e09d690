//! A network namespace for tests, without a sandbox: `unshare` makes it, and this test program, started again inside, hands out
//! sockets by a Unix socket that is its standard input.

use ringfence_network::{
    Entered, Events, Gate, Gateway, GatewayEvent, Resolve, Settings, SocketKind, Sockets,
    hosts_file, resolv_conf,
};
use rustix::net::{
    AddressFamily, Protocol, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socket_with, socketpair,
};
use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The variable that makes the test `serve_sockets` do so.
const SERVE: &str = "RINGFENCE_SERVE_SOCKETS";

/// Fetches sockets from the program inside.
pub(crate) struct Service(Mutex<OwnedFd>);

impl Sockets for Service {
    fn open(&self, kinds: &[SocketKind]) -> io::Result<Vec<io::Result<OwnedFd>>> {
        let channel = self.0.lock().expect("nobody panics with it");
        for kind in kinds {
            let bytes = kind.numbers().map(u32::to_ne_bytes).concat();
            rustix::net::send(&*channel, &bytes, SendFlags::NOSIGNAL)?;
        }
        kinds.iter().map(|_| receive(channel.as_fd())).collect()
    }
}

fn receive(channel: BorrowedFd<'_>) -> io::Result<io::Result<OwnedFd>> {
    let mut answer = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut answer)];
    let got = recvmsg(channel, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes != 4 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let sockets = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let socket = sockets.flatten().next();
    Ok(socket.ok_or_else(|| io::Error::from_raw_os_error(i32::from_ne_bytes(answer))))
}

/// Inside: makes sockets until nobody asks any more. Does nothing in an ordinary run of the tests.
pub(crate) fn serve_sockets() {
    if std::env::var_os(SERVE).is_none() {
        return;
    }
    let stdin = io::stdin();
    let channel = stdin.as_fd();
    let mut request = [0; 12];
    loop {
        match rustix::net::recv(channel, &mut request, RecvFlags::empty()) {
            Ok((12, _)) => {}
            _ => return,
        }
        let [domain, kind, protocol] = [0, 4, 8]
            .map(|at| u32::from_ne_bytes(request[at..at + 4].try_into().expect("four bytes")));
        answer(channel, domain, kind, protocol);
    }
}

fn answer(channel: BorrowedFd<'_>, domain: u32, kind: u32, protocol: u32) {
    let family = AddressFamily::from_raw(domain as u16);
    let flags = SocketFlags::from_bits_retain(kind & !15);
    let protocol = std::num::NonZeroU32::new(protocol).map(Protocol::from_raw);
    let made = socket_with(family, SocketType::from_raw(kind & 15), flags, protocol);
    let code = made.as_ref().map_or_else(|error| error.raw_os_error(), |_| 0).to_ne_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets: Vec<BorrowedFd<'_>> = made.iter().map(AsFd::as_fd).collect();
    if !sockets.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&sockets)));
    }
    sendmsg(channel, &[IoSlice::new(&code)], &mut control, SendFlags::NOSIGNAL)
        .expect("somebody listens");
}

/// A namespace with a gateway.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) events: Events,
    pub(crate) service: Arc<Service>,
    pub(crate) entered: Option<Entered>,
    init: Child,
    _files: tempfile::TempDir,
}

/// Names with fixed addresses, and how often they were asked for.
#[derive(Default)]
pub(crate) struct Fixed {
    pub(crate) names: HashMap<String, Vec<IpAddr>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Fixed {
    pub(crate) fn new(names: &[(&str, &str)]) -> Arc<Fixed> {
        let mut fixed = Fixed::default();
        for (name, address) in names {
            let address = address.parse().expect("an address");
            fixed.names.entry((*name).to_owned()).or_default().push(address);
        }
        Arc::new(fixed)
    }
}

impl Resolve for Fixed {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().expect("nobody panics with it").push(name.to_owned());
        self.names.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Settings for these entries and names.
pub(crate) fn settings(entries: &[&str], resolver: Arc<Fixed>) -> Settings {
    Settings {
        resolver,
        ..Settings::new(Gate::parse(entries.iter().copied()).expect("good entries"))
    }
}

impl World {
    /// A namespace whose gateway allows these entries and knows these names.
    pub(crate) fn new(entries: &[&str], names: &[(&str, &str)]) -> World {
        World::with(settings(entries, Fixed::new(names)))
    }

    pub(crate) fn with(settings: Settings) -> World {
        let mut world = World::bare(settings);
        let service: Arc<dyn Sockets> = world.service.clone();
        world.entered =
            Some(world.gateway.enter(service).expect("the namespace can be configured"));
        world
    }

    /// A namespace that the gateway has not entered.
    pub(crate) fn bare(settings: Settings) -> World {
        let files = tempfile::tempdir().expect("a temporary directory can be made");
        let write = |name: &str, text: String| {
            std::fs::write(files.path().join(name), text).expect("it can be written");
        };
        write("resolv", resolv_conf());
        write("hosts", hosts_file(None));
        write("nsswitch", "hosts: files dns\n".into());
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("a pair of sockets");
        let script = "mount --bind resolv /etc/resolv.conf && mount --bind hosts /etc/hosts && exec \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["-r", "-n", "-m", "sh", "-c", script])
            .arg(std::env::current_exe().expect("this program"));
        command.args(["serve_sockets", "--exact", "--nocapture"]).env(SERVE, "1");
        command.current_dir(files.path()).stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let init = command.spawn().expect("unshare can be started");
        // It holds its end of the socket, and nobody else does.
        drop(command);
        let (gateway, events) = Gateway::start(settings).expect("a gateway starts");
        let service = Arc::new(Service(Mutex::new(ours)));
        World { gateway, events, service, entered: None, init, _files: files }
    }

    /// What a shell says inside.
    pub(crate) fn run(&self, script: &str) -> Output {
        let pid = self.init.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "-U", "-n", "-m", "-t", &pid, "sh", "-c", script]);
        for name in
            ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
        {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).output().expect("nsenter can be started")
    }

    /// A socket that lives inside.
    pub(crate) fn socket(&self, kind: SocketKind) -> OwnedFd {
        let mut made = self.service.open(&[kind]).expect("the service answers");
        let socket = made.remove(0).expect("a socket can be made");
        rustix::io::ioctl_fionbio(&socket, false).expect("a socket can block");
        socket
    }

    /// A connection from inside.
    pub(crate) fn connect(&self, address: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let address = address.into();
        let kind = if address.is_ipv4() { SocketKind::Tcp4 } else { SocketKind::Tcp6 };
        let socket = self.socket(kind);
        rustix::net::connect(&socket, &address)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LONG)).expect("a timeout can be set");
        Ok(stream)
    }

    /// The synthetic address of a name, asked for from inside.
    pub(crate) fn lookup(&self, name: &str) -> Option<IpAddr> {
        let output = self.run(&format!("getent ahostsv4 {name}"));
        String::from_utf8_lossy(&output.stdout).split_whitespace().next()?.parse().ok()
    }

    /// The next event that `wanted` makes something of.
    pub(crate) fn event<T>(&mut self, wanted: impl Fn(&GatewayEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + LONG;
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                Err(_) => assert!(Instant::now() < deadline, "the event does not come"),
            }
            std::thread::yield_now();
        }
    }

    /// The next refusal, in words.
    pub(crate) fn refusal(&mut self) -> String {
        self.event(|event| match event {
            GatewayEvent::Refused(refusal) => Some(refusal.to_string()),
            _ => None,
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.init.kill());
        drop(self.init.wait());
    }
}

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A server on the host's loopback; each connection is handed to `serve` in a thread of its own. Its port.
pub(crate) fn server(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Sends back what comes, and its end.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                if stream.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
        }
    }
    drop(stream.shutdown(std::net::Shutdown::Write));
    drop(stream.read(&mut buffer));
}

/// Answers every HTTP request with `hello`.
pub(crate) fn hello(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
        }
    }
    drop(
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"),
    );
}

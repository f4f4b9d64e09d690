//! The gateway and a network namespace, on the real kernel.

use crate::support::{Fixed, LONG, World, echo, hello, server, settings};
use ringfence_network::{Attempt, Entered, GatewayEvent, Reach, SocketKind, Sockets};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// What a client gets for a line that it sends.
fn exchange(stream: &mut TcpStream, line: &str) -> io::Result<String> {
    stream.write_all(line.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn a_listed_name_is_reached_and_another_is_not() {
    let port = server(echo);
    let listed = [format!("db.test:{port}"), format!("127.0.0.1:{port}")];
    let mut world = World::new(
        &[&listed[0], &listed[1]],
        &[("db.test", "127.0.0.1"), ("other.test", "127.0.0.1")],
    );
    let address = world.lookup("db.test").expect("a listed name resolves");
    assert_eq!(address, IpAddr::from([198, 18, 0, 2]));
    let mut stream = world.connect((address, port)).expect("it is allowed");
    assert_eq!(exchange(&mut stream, "hello").expect("it is carried"), "hello");
    assert_eq!(world.lookup("other.test"), None);
    assert_eq!(world.refusal(), "lookup to other.test: not listed");
    let error = world.connect((address, port ^ 1)).expect_err("another port is not allowed");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(
        world.refusal(),
        format!("connection to db.test:{}: listed for port {port} only", port ^ 1)
    );
}

#[test]
fn addresses_and_networks_are_reached_by_port() {
    let port = server(echo);
    let mut world = World::new(
        &[
            &format!("127.0.0.0/8:{port}"),
            &format!("[::1]:{port}"),
            "10.0.0.0/8:22",
            "2001:db8::/32",
        ],
        &[],
    );
    let mut stream = world.connect(loopback(port)).expect("the host's loopback is listed");
    assert_eq!(exchange(&mut stream, "a").expect("it is carried"), "a");
    let error = world
        .connect((Ipv4Addr::new(127, 9, 9, 9), port))
        .expect_err("all of it is listed, and nobody listens there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let check = |address: &str| {
        world
            .connect(address.parse::<SocketAddr>().expect("an address"))
            .map(|_| ())
            .map_err(|e| e.kind())
    };
    let refused = Err(io::ErrorKind::ConnectionRefused);
    for address in [
        "10.0.0.1:23",
        "11.0.0.1:22",
        "8.8.8.8:443",
        "[2001:db9::1]:1",
        "169.254.169.254:80",
        "198.18.9.9:443",
    ] {
        assert_eq!(check(address), refused, "{address}");
    }
    for expect in [
        "connection to 10.0.0.1:23: listed for port 22 only",
        "connection to 11.0.0.1:22: not listed",
        "connection to 8.8.8.8:443: not listed",
        "connection to [2001:db9::1]:1: not listed",
        "connection to 169.254.169.254:80: not listed",
        "connection to 198.18.9.9:443: the address stands for no name any more",
    ] {
        assert_eq!(world.refusal(), expect);
    }
}

#[test]
fn what_is_refused_ends_at_once() {
    let mut world = World::new(&["a.test:443"], &[]);
    let begin = Instant::now();
    world.connect(([8, 8, 8, 8], 443)).expect_err("not listed");
    world.connect((Ipv6Addr::new(0x2001, 0x4860, 0, 0, 0, 0, 0, 1), 443)).expect_err("not listed");
    assert_eq!(world.lookup("evil.test"), None);
    let udp = world.socket(SocketKind::Udp4);
    rustix::net::connect(&udp, &SocketAddr::from(([8, 8, 8, 8], 53))).expect("there is a route");
    rustix::net::send(&udp, b"x", rustix::net::SendFlags::empty()).expect_err("not let out");
    assert!(begin.elapsed() < LONG / 4, "{:?}", begin.elapsed());
    world.event(|event| match event {
        GatewayEvent::Refused(refusal) if refusal.attempt == Attempt::Datagram => {
            assert_eq!(refusal.target.to_string(), "8.8.8.8:53");
            assert_eq!(refusal.missing_entry(), None, "no entry lets datagrams out");
            Some(())
        }
        _ => None,
    });
}

#[test]
fn a_name_that_leads_inside_is_refused() {
    let port = server(echo);
    let names = [
        ("evil.test", "127.0.0.1"),
        ("meta.test", "169.254.169.254"),
        ("six.test", "fd00:ec2::254"),
        ("mapped.test", "::ffff:127.0.0.1"),
    ];
    let mut world = World::new(&["*.test"], &names);
    for (name, expect) in [
        ("evil.test", "127.0.0.1, a loopback address"),
        ("meta.test", "169.254.169.254, a cloud metadata address"),
        ("six.test", "fd00:ec2::254, a cloud metadata address"),
        ("mapped.test", "::ffff:127.0.0.1, a loopback address"),
    ] {
        let address = world.lookup(name).expect("the name is listed");
        let error = world.connect((address, port)).expect_err("the gateway judges the address");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let refusal = world.refusal();
        assert!(refusal.contains(expect), "{refusal}");
    }
}

#[test]
fn nothing_is_asked_for_outside_before_a_connection_is_made() {
    let fixed = Fixed::new(&[("a.test", "127.0.0.1")]);
    let world = World::with(settings(&["a.test:1"], fixed.clone()));
    assert!(world.lookup("a.test").is_some());
    assert!(world.lookup("c2VjcmV0.evil.test").is_none());
    world.run("getent ahosts a.test; getent ahosts secret.a.test; getent hosts 198.18.0.2");
    assert_eq!(*fixed.asked.lock().expect("nobody panics with it"), Vec::<String>::new());
}

#[test]
fn an_end_is_passed_on_as_what_it_is() {
    let half = server(|mut stream| {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the end is said");
        stream.write_all(format!("got {}", text.len()).as_bytes()).expect("this way is still open");
    });
    let breaks = server(|stream| {
        rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO))
            .expect("it takes options");
    });
    let (sender, told) = std::sync::mpsc::channel();
    let watches = server(move |mut stream| {
        let kind = stream.read(&mut [0; 8]).map_err(|error| error.kind());
        sender.send(kind).expect("somebody listens");
    });
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        listener.local_addr().expect("it is bound").port()
    };
    let world = World::new(&["127.0.0.1"], &[]);
    let mut stream = world.connect(loopback(half)).expect("listed");
    assert_eq!(exchange(&mut stream, &"x".repeat(100_000)).expect("both ways end"), "got 100000");
    // It may do so before whoever connected has looked.
    let connected = world.connect(loopback(breaks));
    let error =
        connected.and_then(|mut stream| stream.read(&mut [0; 8])).expect_err("it breaks off");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = world.connect(loopback(nobody)).expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let stream = world.connect(loopback(watches)).expect("listed");
    rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO))
        .expect("it takes options");
    drop(stream);
    assert_eq!(told.recv_timeout(LONG), Ok(Err(io::ErrorKind::ConnectionReset)));
}

#[test]
fn programs_inside_keep_their_ports_and_their_loopback() {
    let port = server(echo);
    let world = World::new(&["0.0.0.0/0", "db.test:5432"], &[("db.test", "127.0.0.1")]);
    let socket = world.socket(SocketKind::Tcp4);
    rustix::net::bind(&socket, &SocketAddr::from(([0, 0, 0, 0], 5432)))
        .expect("the port is free inside");
    rustix::net::listen(&socket, 8).expect("it can listen");
    let listener = std::net::TcpListener::from(socket);
    let mut client = world.connect(loopback(5432)).expect("the server is inside");
    let (mut accepted, _) = listener.accept().expect("it comes");
    client.write_all(b"x").expect("it is there");
    accepted.read_exact(&mut [0]).expect("it arrives");
    // The host's loopback is not what a wide network is about.
    let error = world.connect(loopback(port)).expect_err("nobody listens inside");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_port_of_the_host_leads_to_a_server_inside() {
    let world = World::new(&[], &[]);
    let socket = world.socket(SocketKind::Tcp4);
    rustix::net::bind(&socket, &loopback(8080)).expect("the port is free inside");
    rustix::net::listen(&socket, 8).expect("it can listen");
    let listener = std::net::TcpListener::from(socket);
    std::thread::spawn(move || echo(listener.accept().expect("it comes").0));
    let service: Arc<dyn Sockets> = world.service.clone();
    let address =
        world.gateway.expose(0, loopback(8080), service.clone()).expect("a port can be had");
    let mut client = TcpStream::connect(address).expect("it listens");
    assert_eq!(exchange(&mut client, "from outside").expect("it is carried"), "from outside");
    let address = world.gateway.expose(0, loopback(8081), service).expect("a port can be had");
    let mut client = TcpStream::connect(address).expect("it listens");
    client.read(&mut [0]).expect_err("nobody listens inside");
}

#[test]
fn many_at_once_lose_nothing() {
    let port = server(echo);
    let world = World::new(&["127.0.0.1"], &[]);
    // Slow readers: their windows are full, and stay so.
    let stuck: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = world.connect(loopback(port)).expect("listed");
            stream
                .set_write_timeout(Some(std::time::Duration::from_millis(20)))
                .expect("a timeout can be set");
            while stream.write(&[7; 64 * 1024]).is_ok() {}
            stream
        })
        .collect();
    let streams: Vec<TcpStream> =
        (0..200).map(|_| world.connect(loopback(port)).expect("listed")).collect();
    std::thread::scope(|scope| {
        for (n, mut stream) in streams.into_iter().enumerate() {
            scope.spawn(move || {
                let text = format!("{n}-").repeat(5_000);
                assert_eq!(exchange(&mut stream, &text).expect("it is carried"), text);
            });
        }
    });
    drop(stuck);
    let account = world.gateway.accounts().into_iter().find(|account| account.connections >= 220);
    assert!(account.is_some_and(|account| account.up > 1_000_000 && account.down > 1_000_000));
}

#[test]
fn the_account_and_the_events_agree() {
    let port = server(echo);
    let entry = format!("127.0.0.1:{port}");
    let mut world = World::new(&[&entry], &[]);
    let mut stream = world.connect(loopback(port)).expect("listed");
    exchange(&mut stream, "12345").expect("it is carried");
    drop(stream);
    let (up, down) = world.event(|event| match event {
        GatewayEvent::Closed { target, up, down, reset: false, .. }
            if target.to_string() == entry =>
        {
            Some((*up, *down))
        }
        _ => None,
    });
    assert_eq!((up, down), (5, 5));
    let accounts = world.gateway.accounts();
    assert_eq!(
        (accounts[0].connections, accounts[0].open, accounts[0].up, accounts[0].down),
        (1, 0, 5, 5)
    );
}

#[test]
fn ordinary_programs_know_nothing_of_it() {
    let port = server(hello);
    let entries = [format!("*.test:{port}"), format!("127.0.0.1:{port}")];
    let world = World::new(&[&entries[0], &entries[1]], &[("web.test", "127.0.0.1")]);
    let url = format!("http://web.test:{port}/");
    let check = |program: &str, script: &str| {
        if !world.run(&format!("command -v {program}")).status.success() {
            return;
        }
        let output = world.run(script);
        assert!(String::from_utf8_lossy(&output.stdout).contains("hello"), "{program}: {output:?}");
    };
    check("curl", &format!("curl -sS -m 20 {url}"));
    check("wget", &format!("wget -q -T 20 -O - {url}"));
    check(
        "python3",
        &format!(
            "python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}\", timeout=20).read())'"
        ),
    );
    check(
        "node",
        &format!("node -e 'fetch(\"{url}\").then(r => r.text()).then(t => console.log(t))'"),
    );
    check(
        "node",
        &format!(
            "node -e 'require(\"dns\").resolve4(\"web.test\", (e, a) => require(\"http\").get({{host: a[0], port: {port}}}, r => r.pipe(process.stdout)))'"
        ),
    );
    check(
        "perl",
        &format!(
            "perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(PeerAddr=>\"web.test:{port}\") or die; print $s \"GET / HTTP/1.0\\r\\n\\r\\n\"; print <$s>'"
        ),
    );
    check("busybox", &format!("busybox wget -q -O - {url}"));
    let output = world.run("curl -sS -m 20 http://other.example/");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Could not resolve host"),
        "{output:?}"
    );
}

#[test]
fn the_kernel_here_can_tell_what_it_refuses() {
    let world = World::new(&[], &[]);
    let entered = world.entered.as_ref().expect("it was entered");
    assert_eq!(
        (entered.reach, entered.caveats.len()),
        (Reach::Rules { told: true }, 0),
        "{entered:?}"
    );
}

/// Sockets as a kernel without some of netfilter would hand them out: the first few of that kind, then none.
struct Without {
    service: Arc<dyn Sockets>,
    netfilter: usize,
}

impl Sockets for Without {
    fn open(&self, kinds: &[SocketKind]) -> io::Result<Vec<io::Result<OwnedFd>>> {
        let mut left = self.netfilter;
        let mut made = self.service.open(kinds)?;
        for (kind, made) in kinds.iter().zip(&mut made) {
            if *kind == SocketKind::Netfilter {
                if left == 0 {
                    *made = Err(io::ErrorKind::Unsupported.into());
                }
                left = left.saturating_sub(1);
            }
        }
        Ok(made)
    }
}

#[test]
fn without_a_log_the_gateway_sees_every_connection() {
    let port = server(echo);
    let entry = format!("127.0.0.1:{port}");
    let mut world = World::bare(settings(&[&entry, "db.test:5432"], Fixed::new(&[])));
    let service = Arc::new(Without { service: world.service.clone(), netfilter: 1 });
    let entered = world.gateway.enter(service).expect("the namespace can be configured");
    assert_eq!((entered.reach, entered.caveats.len()), (Reach::Rules { told: false }, 1));
    let mut stream = world.connect(loopback(port)).expect("listed");
    assert_eq!(exchange(&mut stream, "a").expect("it is carried"), "a");
    for address in ["8.8.8.8:443", "[2001:4860::1]:443"] {
        let mut stream = world
            .connect(address.parse::<SocketAddr>().expect("an address"))
            .expect("the gateway takes it up");
        let error = stream.read(&mut [0]).expect_err("and lets it go");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(world.refusal(), format!("connection to {address}: not listed"));
    }
}

#[test]
fn without_a_queue_a_server_that_refuses_is_a_connection_that_breaks_off() {
    let world = World::bare(settings(&["127.0.0.0/8:1"], Fixed::new(&[])));
    let service = Arc::new(Without { service: world.service.clone(), netfilter: 2 });
    let entered = world.gateway.enter(service).expect("the namespace can be configured");
    assert_eq!(entered, Entered { reach: Reach::Rules { told: true }, caveats: vec![] });
    let mut stream = world.connect((Ipv4Addr::new(127, 9, 9, 9), 1)).expect("it is taken up");
    let error = stream.read(&mut [0]).expect_err("and breaks off");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn who_connects_without_waiting_hears_how_it_went_and_who_goes_away_leaves_nothing() {
    let port = server(echo);
    let world = World::new(&["127.0.0.0/8"], &[]);
    let begun = |address: Ipv4Addr, port: u16| {
        let socket = world.socket(SocketKind::Tcp4);
        rustix::io::ioctl_fionbio(&socket, true).expect("it takes options");
        let said = rustix::net::connect(&socket, &SocketAddr::from((address, port)));
        assert_eq!(said, Err(rustix::io::Errno::INPROGRESS));
        socket
    };
    drop(begun(Ipv4Addr::LOCALHOST, port));
    let ended = |socket: &OwnedFd| {
        let mut polled = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::OUT)];
        let patience = rustix::time::Timespec { tv_sec: 30, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut polled, Some(&patience)), Ok(1));
        rustix::net::sockopt::socket_error(socket).expect("it takes options")
    };
    let refused = begun(Ipv4Addr::new(127, 9, 9, 9), port);
    let taken = begun(Ipv4Addr::LOCALHOST, port);
    assert_eq!(ended(&refused), Err(rustix::io::Errno::CONNREFUSED));
    assert_eq!(ended(&taken), Ok(()));
    let mut stream = TcpStream::from(taken);
    stream.set_nonblocking(false).expect("it takes options");
    assert_eq!(exchange(&mut stream, "a").expect("it is carried"), "a");
}

#[test]
fn without_rules_there_is_a_listener_for_each_address_and_port() {
    let port = server(echo);
    let entries = [format!("127.0.0.1:{port}"), format!("*.test:{port}"), format!("[::1]:{port}")];
    let listed: Vec<&str> =
        entries.iter().map(String::as_str).chain(["10.0.0.0/8:22", "any.example"]).collect();
    let world = World::bare(settings(
        &listed,
        Fixed::new(&[("a.test", "127.0.0.1"), ("b.test", "10.9.9.9")]),
    ));
    let service = Arc::new(Without { service: world.service.clone(), netfilter: 0 });
    let entered = world.gateway.enter(service).expect("the namespace can be configured");
    assert_eq!(entered.reach, Reach::Listeners);
    let text = entered.caveats.join("\n");
    for entry in ["`10.0.0.0/8:22` cannot be reached", "`any.example` cannot be reached"] {
        assert!(text.contains(entry), "{text}");
    }
    let mut stream = world.connect(loopback(port)).expect("listed");
    assert_eq!(exchange(&mut stream, "a").expect("it is carried"), "a");
    let address = world.lookup("a.test").expect("a listed name resolves");
    let mut stream = world.connect((address, port)).expect("listed");
    assert_eq!(exchange(&mut stream, "b").expect("it is carried"), "b");
    let error = world.connect((address, port ^ 1)).expect_err("nobody listens there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let error = world.connect(([8, 8, 8, 8], 443)).expect_err("there is no route");
    assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
    let (a, b) = (world.lookup("a.test"), world.lookup("b.test"));
    assert!(a == Some(address) && b.is_some() && a != b);
}

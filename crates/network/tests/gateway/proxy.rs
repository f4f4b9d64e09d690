//! The gateway as a proxy on a port, for programs that are told of it.

use crate::support::{Fixed, LONG, echo, hello, server, settings};
use ringfence_network::{Cause, Events, Gateway, GatewayEvent, Proxy, proxy_variables};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::Instant;

/// A gateway that listens as a proxy.
struct Told {
    gateway: Gateway,
    events: Events,
    proxy: Proxy,
}

impl Told {
    fn new(entries: &[&str], names: &[(&str, &str)]) -> Told {
        let (gateway, events) =
            Gateway::start(settings(entries, Fixed::new(names))).expect("a gateway starts");
        let proxy = gateway.listen_as_proxy(0).expect("a port can be had");
        Told { gateway, events, proxy }
    }

    fn run(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(proxy_variables(&self.proxy)).output().expect("a shell can be started")
    }

    /// What the proxy answers to these bytes.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.proxy.address()).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a timeout can be set");
        stream.write_all(bytes).expect("it reads");
        let mut answer = Vec::new();
        // It may break off, as not everything was read.
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn refusal(&mut self) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            if let Ok(GatewayEvent::Refused(refusal)) = self.events.try_recv() {
                assert!(!matches!(refusal.cause, Cause::Forgotten));
                return refusal.to_string();
            }
            assert!(Instant::now() < deadline, "the refusal does not come");
            std::thread::yield_now();
        }
    }
}

#[test]
fn programs_that_are_told_reach_what_is_listed() {
    let port = server(hello);
    let listed = [format!("web.test:{port}"), format!("127.0.0.1:{port}")];
    let told = Told::new(&[&listed[0], &listed[1]], &[("web.test", "127.0.0.1")]);
    let url = format!("http://web.test:{port}/");
    let check = |script: &str| {
        let output = told.run(script);
        assert!(String::from_utf8_lossy(&output.stdout).contains("hello"), "{script}: {output:?}");
    };
    check(&format!("curl -sS -m 20 {url}"));
    check(&format!("curl -sS -m 20 -p {url}"));
    check(&format!("curl -sS -m 20 -x $ALL_PROXY {url}"));
    check(&format!(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}\", timeout=20).read())'"
    ));
    let accounts = told.gateway.accounts();
    assert_eq!(
        (accounts.len(), accounts[0].connections, accounts[0].refused),
        (1, 4, 0),
        "{accounts:?}"
    );
}

#[test]
fn what_is_not_listed_is_refused_in_the_protocols_own_words() {
    let port = server(echo);
    let mut told = Told::new(
        &[&format!("a.test:{port}")],
        &[("a.test", "127.0.0.1"), ("b.test", "127.0.0.1")],
    );
    let output =
        told.run(&format!("curl -sS -m 20 -o /dev/null -w '%{{http_code}}' http://b.test:{port}/"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "403");
    assert_eq!(told.refusal(), format!("connection to b.test:{port}: not listed"));
    let output = told.run(&format!("curl -sS -m 20 -x $ALL_PROXY http://b.test:{port}/"));
    assert_eq!(output.status.code(), Some(97), "{output:?}");
    assert_eq!(told.refusal(), format!("connection to b.test:{port}: not listed"));
    // Listed, but it leads to the host's own loopback.
    told.run(&format!("curl -sS -m 20 http://a.test:{port}/"));
    let expect = "the name leads to 127.0.0.1, a loopback address that is not listed itself";
    assert_eq!(told.refusal(), format!("connection to a.test:{port}: {expect}"));
    told.run("curl -sS -m 20 -p http://x.0x7f:80/");
    assert_eq!(told.refusal(), "connection to x.0x7f:80: not a host");
}

#[test]
fn nobody_gets_in_without_the_password() {
    let port = server(echo);
    let told = Told::new(&[&format!("127.0.0.1:{port}")], &[]);
    let connect = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n");
    assert!(told.say(format!("{connect}\r\n").as_bytes()).starts_with("HTTP/1.1 407 "));
    let wrong = "Proxy-Authorization: Basic cmluZ2ZlbmNlOnB3\r\n\r\n";
    assert!(told.say(format!("{connect}{wrong}").as_bytes()).starts_with("HTTP/1.1 407 "));
    assert_eq!(told.say(&[5, 1, 0]), "\u{5}\u{fffd}");
    let login = [&[5, 1, 2, 1, 9][..], b"ringfence", &[2], b"pw"].concat();
    assert_eq!(told.say(&login), "\u{5}\u{2}\u{1}\u{1}");
    assert!(told.say(b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(told.gateway.accounts().is_empty());
    let shown = format!("{} {:?}", told.proxy, told.proxy);
    assert!(!shown.contains(told.proxy.expose_password()), "{shown}");
}

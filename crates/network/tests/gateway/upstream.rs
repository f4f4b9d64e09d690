//! The gateway where the host itself needs a proxy: another gateway, as a proxy on a port, stands for it.

use crate::support::{Fixed, World, echo, server, settings};
use ringfence_network::{Gateway, GatewayEvent, HostProxies, ProxySettings, Settings};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

fn check(scheme: &str) {
    let port = server(echo);
    let upstream_entries = [format!("db.test:{port}"), format!("127.0.0.1:{port}")];
    let entries: Vec<&str> = upstream_entries.iter().map(String::as_str).collect();
    let upstream = settings(&entries, Fixed::new(&[("db.test", "127.0.0.1")]));
    let (upstream, _events) = Gateway::start(upstream).expect("a gateway starts");
    let proxy = upstream.listen_as_proxy(0).expect("a port can be had");
    let url = proxy.expose_url(scheme);
    let variables = ProxySettings { https_proxy: Some(&url), ..ProxySettings::default() };
    let proxies = HostProxies::parse(&variables).expect("a good URL");
    let fixed = Fixed::new(&[]);
    let entries = [format!("db.test:{port}"), "other.test".to_owned()];
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let mut world = World::with(Settings { proxies, ..settings(&entries, Arc::clone(&fixed)) });
    let address = world.lookup("db.test").expect("the name is listed");
    let mut stream = world.connect((address, port)).expect("it is allowed");
    stream.write_all(b"by a proxy").expect("it is carried");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it comes back");
    assert_eq!(text, "by a proxy");
    let address = world.lookup("other.test").expect("the name is listed");
    let error = world.connect((address, 443)).expect_err("the proxy says no");
    assert_eq!(error.kind(), ErrorKind::HostUnreachable);
    let why = world.event(|event| match event {
        GatewayEvent::Failed { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.contains("***@") && !why.contains(proxy.expose_password()), "{why}");
    assert!(
        fixed.asked.lock().expect("nobody panics with it").is_empty(),
        "the proxy resolves names"
    );
}

#[test]
fn a_tunnel_by_connect() {
    check("http");
}

#[test]
fn a_tunnel_by_socks() {
    check("socks5h");
}

//! What else a command can send to the gateway: the head of a request for the proxy, and a packet that the rules
//! refuse.
//!
//! A head means the same however it comes in, and what is passed on is one head, without what was meant for the proxy.
#![no_main]

use ringfence_network::Request;
use std::net::IpAddr;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(request)) = ringfence_network::parse_request(bytes) {
        assert!(request.length <= bytes.len() && request.port != 0 && !request.host.is_empty());
        for end in 0..request.length {
            let begun = ringfence_network::parse_request(&bytes[..end]);
            assert_eq!(begun, Ok(None), "a part of a request is none and is no error");
        }
        let alone = ringfence_network::parse_request(&bytes[..request.length]);
        assert_eq!(alone, Ok(Some(request.clone())), "what comes after a head is none of it");
        passed_on(&request);
    }
    if let Some(packet) = ringfence_network::parse_packet(bytes) {
        let [from, to] = match packet.destination.ip() {
            IpAddr::V4(_) => [12, 16].map(|at| bytes[at..at + 4].to_vec()),
            IpAddr::V6(_) => [8, 24].map(|at| bytes[at..at + 16].to_vec()),
        };
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        assert_eq!([octets(packet.source.ip()), octets(packet.destination.ip())], [from, to]);
    }
});

/// Nothing that is passed on can be taken for the head of a second request, or for the proxy's.
fn passed_on(request: &Request) {
    let ends = request.head.windows(4).filter(|end| end == b"\r\n\r\n").count();
    assert_eq!(ends, usize::from(!request.tunnel));
    let lines: Vec<_> = request.head.split(|&b| b == b'\n').collect();
    let named = |name: &str| {
        let begins = |line: &&&[u8]| {
            line.get(..name.len()).is_some_and(|there| there.eq_ignore_ascii_case(name.as_bytes()))
        };
        lines.iter().filter(begins).count()
    };
    let expect = usize::from(!request.tunnel);
    assert_eq!([named("host:"), named("connection:")], [expect, expect]);
    let meant = named("proxy-authorization:") + named("proxy-connection:");
    assert_eq!(meant, 0, "what was for the proxy goes on");
    assert!(lines.iter().rev().skip(1).all(|line| line.ends_with(b"\r")), "a line end is hidden");
}

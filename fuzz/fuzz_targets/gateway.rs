//! What else a command can send to the gateway: the head of a request for the proxy, and a packet that
//! the rules refuse.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(request)) = ringfence_network::parse_request(bytes) {
        assert!(request.length <= bytes.len() && request.port != 0 && !request.host.is_empty());
        // Nothing that is passed on can be taken for the head of a second request.
        let ends = request.head.windows(4).filter(|end| end == b"\r\n\r\n").count();
        assert_eq!(ends, usize::from(!request.tunnel));
    }
    if let Some(packet) = ringfence_network::parse_packet(bytes) {
        assert!(bytes.len() >= if packet.destination.is_ipv4() { 20 } else { 40 });
    }
});

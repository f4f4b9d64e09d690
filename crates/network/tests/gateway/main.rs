//! The gateway on the real kernel: from a namespace, as a proxy, and through the host's own proxy.
#![cfg(target_os = "linux")]

mod measure;
mod namespace;
mod proxy;
mod support;
mod upstream;

/// The program inside; see `support`.
#[test]
fn serve_sockets() {
    support::serve_sockets();
}

//! Which destinations a command may reach, and the gateway that carries it there and nowhere else.
//!
//! A [`Gate`] is made from the entries of a profile, once, with every bad entry found at that time. For each destination that a
//! command asks for, it gives a [`Decision`]: the entry that lets it through, or why none does, in words a person can act on.
//!
//! A [`Gateway`] acts on those decisions. From a network namespace of Linux it takes the connections of programs that know nothing
//! of it (`Gateway::enter`); elsewhere it is a proxy on a port ([`Gateway::listen_as_proxy`]). It resolves names outside, at the
//! moment of the connection, and says of everything what became of it ([`GatewayEvent`], [`Account`]).
//!
//! The grammar and the matching are those of `ringfence_policy::allowlist`. Nothing here makes a namespace or knows a sandbox: who
//! has one hands out sockets that live in it (`Sockets`).
//!
//! The trap is to decide on a name and then connect to whatever it resolves to. A decision on a name is about the name only; the
//! address behind it is a destination of its own ([`Gate::decide`] again, with [`Destination::ip`]) when it is not public.
//!
//! ```
//! use ringfence_network::{Decision, Destination, Gate};
//!
//! let gate = Gate::parse(["crates.example.org:443", "*.example.com"])?;
//! let decision = gate.decide(&Destination::new("crates.example.org", 80)?);
//! assert!(!decision.is_allowed());
//! assert_eq!(decision.to_string(), "blocked: crates.example.org:80 (listed for port 443 only)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
pub mod dns;
mod gate;
mod gateway;
#[cfg(target_os = "linux")]
mod held;
mod inside;
mod ledger;
#[cfg(target_os = "linux")]
mod linux;
mod outside;
mod proxy;
mod relay;
mod resolve;
#[cfg(target_os = "linux")]
mod transparent;
mod upstream;

pub use address::AddressKind;
pub use gate::{BadEntry, Blocked, Decision, Gate, NearMiss};
pub use gateway::{Events, Gateway, Settings};
pub use inside::{Entered, NamespaceError, Reach, SocketKind, Sockets, hosts_file, resolv_conf};
pub use ledger::{Account, Attempt, Cause, GatewayEvent, Refusal, Target};
#[cfg(target_os = "linux")]
pub use linux::{Packet, Rules, parse_packet};
pub use outside::Patience;
pub use proxy::{HeadError, Proxy, Request, is_proxy_variable, parse_request, proxy_variables};
pub use resolve::{Resolve, SystemResolver};
pub use ringfence_policy::{
    AllowEntry, AllowEntryError, Allowlist, Destination, DestinationError, ReasonCode,
};
pub use upstream::{
    HostProxies, NoProxy, ProxyKind, ProxyServer, ProxySettings, ProxyUrlError, ProxyUrlProblem,
    TunnelError,
};

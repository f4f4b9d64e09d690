//! Which destinations a command may reach, as the gateway of `network_mode = "allowlist"` sees it.
//!
//! A [`Gate`] is made from the entries of a profile, once, with every bad entry found at that time. For each destination that a
//! command asks for, it gives a [`Decision`]: the entry that lets it through, or why none does, in words a person can act on.
//!
//! The grammar and the matching are those of `ringfence_policy::allowlist`; nothing here resolves a name, opens a socket or knows a
//! sandbox.
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

mod gate;

pub use gate::{BadEntry, Blocked, Decision, Gate, NearMiss};
pub use ringfence_policy::{
    AllowEntry, AllowEntryError, Allowlist, Destination, DestinationError, ReasonCode,
};

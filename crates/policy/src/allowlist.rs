//! The network allowlist: the grammar of its entries, and which entry covers a destination.
//!
//! An entry is a host with an optional port: a name, `*.name`, an address, or a network. A [`Destination`] is what a command asks
//! for: a name or an address, and a port. Nothing is resolved here; a name matches names and an address matches addresses, and
//! whether a name may point at a private address is the gateway's question.
//!
//! The trap is that hosts have many spellings. Both sides are brought to one form first (lower case, no trailing dot,
//! IPv4-mapped IPv6 as IPv4), and the spellings that only some resolvers understand (`0x7f.1`, `017700000001`, `127.1`) are
//! neither entries nor destinations.

mod destination;
mod entry;
mod host;

pub use destination::{Allowlist, Destination, DestinationError};
pub use entry::{AllowEntry, AllowEntryError, EntryProblem};
pub use host::{AllowHost, HostName, HostNameError, Network};

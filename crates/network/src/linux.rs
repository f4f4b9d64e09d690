//! The gateway seen from a network namespace: rules that lead every allowed connection to it, and what it says to the rest.
//!
//! The namespace has a loopback and nothing else. Listed names have addresses there that exist nowhere, listed addresses have a
//! route that leads nowhere, and one rule set redirects what is allowed to one listener. Whatever is left is refused in the kernel
//! at once, and told.
//!
//! Where the kernel can, the first packet of an allowed connection waits until there is a connection outside.
//!
//! Everything is done from outside, by sockets that somebody inside makes and hands out ([`Sockets`](crate::Sockets)): whoever owns a namespace may
//! configure it by them. So nothing of this runs in the command's reach, and the program inside that makes the sockets needs to know
//! nothing.

mod asker;
mod namespace;
mod netlink;
mod nflog;
mod queue;
mod rules;

pub(crate) use asker::program;
pub(crate) use namespace::Fitted;
pub use nflog::{Packet, parse_packet};
pub use rules::Rules;

pub(crate) use namespace::{fit_out, listen};
pub(crate) use nflog::packets;
pub(crate) use queue::{Verdict, Waiting, answer, waiting};

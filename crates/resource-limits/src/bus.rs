//! A few words of D-Bus, spoken to the service manager of the user or of the system.
//!
//! One question is all there is to ask, so this is a client of one connection: it sends all that it has to say at
//! once, and then listens, for a bounded time, to messages of bounded size. Whatever comes is taken for hostile: nothing
//! in here panics on it.
//!
//! Deliberately not here: types that no answer has, descriptors, other ways to prove who one is than by the
//! socket's own credentials.
//!
//! The trap: connecting waits, too. A socket whose owner has stopped takes connections until its queue is full.

mod address;
mod connection;
mod message;

pub(crate) use connection::Bus;
pub use connection::BusError;
pub(crate) use message::{Body, Call, Kind, Message};

#[cfg(test)]
pub(crate) use message::tests::sent;

//! Runs one command of a resolved profile, from the request to the outcome.
//!
//! A [`Prepared`] profile and a [`Command`] make a [`RunRequest`]; [`spawn()`] makes it a
//! [`Running`] tree; that gives [`Event`]s while it goes on and an [`Outcome`] at its end. The
//! executor turns the words of the config into those of the sandbox, the limits and the capture;
//! it keeps the deadlines, and it makes sure of two things: when a run has returned, no process of
//! its tree is alive, and when the handle is dropped, the tree dies.
//!
//! Deliberately not here: reading a config file, printing anything, and how a sandbox is made.
//!
//! The trap: the command's end is not the run's end. A background process may hold the pipes for
//! hours, so nothing here waits for the end of a pipe; what ends a run is the init's word that the
//! tree is empty.
#![forbid(unsafe_code)]

mod aftermath;
mod captured;
mod check;
mod complaints;
mod conclude;
mod control;
mod counted;
mod deadlines;
mod denials;
mod driver;
mod error;
mod event;
mod event_text;
mod explain;
mod feed;
mod groups;
mod json;
mod masking;
mod outcome;
mod outlet;
mod prepared;
mod process;
mod pumps;
mod queue;
mod request;
mod run_id;
mod running;
mod spawn;
mod spec;
mod stdin;
mod terminal;
mod typist;
mod watch;

pub use check::check_gateway;
pub use denials::{Denial, DenialSource};
pub use error::{Refusal, RunError, StdinSource};
pub use event::{Connection, Event, EventKind, Output, RunStarted, Stream};
pub use explain::{Explanation, explain};
pub use groups::{allow_scope, leave_control_groups, service_manager};
pub use masking::MaskingError;
pub use outcome::{Captured, Interleaved, Kept, Outcome, OutcomeKind, Reached, Reason};
pub use outlet::OutletError;
pub use prepared::Prepared;
pub use request::{Capture, Command, EnvChange, OutputEvents, RunRequest, Stdin};
pub use run_id::RunId;
pub use running::{RunHandle, Running};
pub use spawn::spawn;

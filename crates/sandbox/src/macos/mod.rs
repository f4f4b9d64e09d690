//! macOS: a Seatbelt profile, carried out by `sandbox-exec`.
//!
//! Written from what is known of the system and never run on it: `docs/platforms.md` says what is
//! untried. What can be tried elsewhere is tried on every system: the text of the profile is a
//! pure function with snapshots, and trees of processes are started with a stand-in for
//! `sandbox-exec`. So these modules are compiled on macOS, and in tests everywhere.
//!
//! The trap: there is no PID namespace and no subreaper. A tree is a session and its process group,
//! and a process that leaves both after its parent has ended is out of reach.

#![cfg_attr(
    not(target_os = "macos"),
    expect(unreachable_pub, reason = "what is public on macOS is only tried here")
)]

pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod group;
pub(crate) mod guard;
pub(crate) mod look;
pub(crate) mod names;
pub(crate) mod profile;
pub(crate) mod program;
pub(crate) mod rules;
pub(crate) mod sandbox;
pub(crate) mod seatbelt;
pub(crate) mod services;
pub(crate) mod stores;
pub(crate) mod sys;
pub(crate) mod text;
pub(crate) mod tree;

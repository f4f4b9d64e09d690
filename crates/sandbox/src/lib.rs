//! What a command may see and touch: from a specification to a tree the kernel confines.
//!
//! A [`SandboxSpec`] says what is wanted: which files are seen and written, which
//! network there is. [`Sandbox::prepare`] looks at the host and makes a plan of it,
//! and [`Sandbox::start`] has the launcher carry the plan out for one command. On
//! Linux that means namespaces of its own, the host's tree read-only, a filter for
//! system calls and Landlock as a second wall, all of it without privileges. Where the
//! kernel refuses namespaces, [`Sandbox::fall_back`] knows what is left, and
//! [`Sandbox::enforcement`] says what that does not hold.
//! On macOS
//! it means a Seatbelt profile, which has never been tried on a real machine.
//!
//! The crate does not decide whether a command may run, does not limit what it
//! uses up beyond passing limits on, and does not touch its output.
//!
//! The one trap: what the host looks like is part of a prepared sandbox. Paths are
//! remembered with their inodes, and a start fails if they are other files by then.

#![cfg_attr(all(target_os = "linux", not(test)), forbid(unsafe_code))]
#![deny(unsafe_code)]

mod apparmor;
mod check;
mod enforcement;
mod error;
#[cfg(target_os = "linux")]
mod git;
#[cfg(target_os = "linux")]
mod globs;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, target_os = "macos"))]
mod macos;
mod protected;
#[cfg(target_os = "linux")]
mod sandbox;
mod spec;
mod stores;
mod unheld;

#[cfg(target_os = "linux")]
use ringfence_launcher::SpawnError;

pub use apparmor::apparmor_profile;
pub use check::{Check, VERDICT};
pub use enforcement::{Backend, Enforcement, Level};
pub use error::SandboxError;
#[cfg(target_os = "linux")]
pub use linux::{doctor::doctor, rung::Rung, terminal::receive_terminal};
#[cfg(target_os = "macos")]
pub use macos::{
    doctor::doctor,
    sandbox::{Sandbox, receive_terminal},
    tree::{SocketService, SpawnError, Tree, flush_reaper},
};
pub use protected::protected_names;
pub use ringfence_launcher::{
    Denied, DeniedKind, Died, ExitStatus, Report, StepFailure, TreeUsage,
};
#[cfg(target_os = "linux")]
pub use ringfence_launcher::{SocketService, Tree, flush_reaper};
#[cfg(target_os = "linux")]
pub use sandbox::Sandbox;
pub use spec::{
    Bounds, Confinement, FileView, Files, NameService, Network, Overlay, Process, Program,
    ReadScope, Rlimit, SandboxSpec, Stdio, TerminalSize, Trace, UnixSockets,
};
pub use unheld::{Before, Unheld};

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("this system has no sandbox that this crate knows: only Linux and macOS");

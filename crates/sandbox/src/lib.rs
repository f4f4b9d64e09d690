//! What a command may see and touch: from a specification to a tree the kernel confines.
//!
//! A [`SandboxSpec`] says what is wanted: which files are seen and written, which
//! network there is. [`Sandbox::prepare`] looks at the host and makes a plan of it,
//! and [`Sandbox::start`] has the launcher carry the plan out for one command. On
//! Linux that means namespaces of its own, the host's tree read-only, a filter for
//! system calls and Landlock as a second wall, all of it without privileges.
//!
//! The crate does not decide whether a command may run, does not limit what it
//! uses up beyond passing limits on, and does not touch its output.
//!
//! The one trap: what the host looks like is part of a prepared sandbox. Paths are
//! remembered with their inodes, and a start fails if they are other files by then.

#![forbid(unsafe_code)]

mod enforcement;
mod error;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, target_os = "macos"))]
mod macos;
#[cfg(any(test, target_os = "macos"))]
mod protected;
#[cfg(target_os = "linux")]
mod sandbox;
mod spec;
mod stores;
mod unheld;

pub use enforcement::{Backend, Enforcement, Level};
pub use error::SandboxError;
pub use linux::doctor::{Check, doctor};
pub use ringfence_launcher::{
    Denied, DeniedKind, ExitStatus, Report, StepFailure, Tree, TreeUsage, flush_reaper,
};
pub use sandbox::Sandbox;
pub use spec::{
    Confinement, FileView, Files, Network, Overlay, Process, Program, ReadScope, Rlimit,
    SandboxSpec, Stdio, Trace, UnixSockets,
};
pub use unheld::{Before, Unheld};

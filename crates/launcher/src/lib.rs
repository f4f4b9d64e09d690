//! Carries a sandbox plan out and stays as the init of the tree it started.
//!
//! A [`Plan`] is a list of steps: namespaces to enter, mounts to make, limits to
//! set, a program to execute. [`spawn()`] starts a tiny freestanding program that
//! does just that, step by step, and then lives on as the tree's init: it reaps,
//! says how the command ended and what the tree used, and when it goes the whole
//! tree goes. The caller's memory is not copied for it, so a start costs the same
//! from a process of one megabyte and of a hundred gigabytes.
//!
//! The crate knows nothing of why a step is there: it has no opinion on what is
//! safe. What a secure plan looks like is the business of the crate that makes it.
//!
//! All of this is Linux. On other systems the crate is the vocabulary of reports alone.
//!
//! The one trap: everything in `init` is compiled twice, once without any
//! library, and must stay free of allocation and of this crate's other modules.

#[cfg(all(target_os = "linux", any(test, fuzzing)))]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod init;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod reaper;
mod report;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(target_os = "linux")]
mod tree;

#[cfg(target_os = "linux")]
pub use crate::{
    landlock::landlock_abi,
    plan::{
        Identity, MountAttributes, NO_DEV, NO_EXEC, NO_SUID, Plan, PlanError, READ_ONLY, Slot, Step,
    },
    reaper::flush_reaper,
    service::SocketService,
    spawn::{Carrier, SpawnError, spawn, spawn_by, spawn_into},
    tree::Tree,
};
pub use report::{Denied, DeniedKind, Died, ExitStatus, Report, StepFailure, TreeUsage};

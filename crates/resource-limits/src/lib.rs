//! What a command may use up, what it did use up, and which limit ended it.
//!
//! Small pieces, each pure but for those that say so:
//!
//! - [`Limits`] is what was asked for; [`Limits::rlimits`] turns it into the numbers that
//!   `setrlimit(2)` takes, for somebody else to set in the process to come.
//! - [`Usage`] is what a whole process tree had used when it ended.
//! - [`attribute`] says which limit ended a command, from its wait status and its CPU time.
//! - `cgroup` has the kernel keep limits of a whole tree, where a control group is delegated.
//! - [`DiskWatch`] finds out when a tree takes too much storage.
//! - [`sample()`] reads `/proc` for what a tree uses at this moment; [`pace()`] says when to look again.
//!
//! Deliberately not here: setting a limit (the process that becomes the command does that),
//! wall clock deadlines (whoever waits for the command keeps them), and sandboxes.
//!
//! The trap: a POSIX resource limit is a limit of one process, not of its tree. A command that
//! forks gets the whole CPU time again in each child. [`Enforced`] says so for each limit, so that
//! nobody has to promise more than the kernel gives.
#![forbid(unsafe_code)]

mod bus;
mod ceiling;
pub mod cgroup;
mod disk;
mod enforced;
mod hit;
mod limits;
mod pace;
pub mod sample;
mod usage;

pub use bus::BusError;
pub use ceiling::{CeilingError, hard_ceiling};
pub use disk::DiskWatch;
pub use enforced::{Context, Enforced};
pub use hit::{Death, Ending, Evidence, LimitHit, LimitedResource, attribute, attribute_death};
pub use limits::{Limits, Resource, Rlimit};
pub use pace::{LONGEST, Left, SHORTEST, cores, pace};
pub use sample::{
    CAN_SAMPLE, ProgramName, Sample, SampleError, Sampler, Scope, proportional_memory, sample,
};
pub use usage::{Pressure, Stall, Usage};

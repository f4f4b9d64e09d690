//! Control groups, version 2: limits of a whole tree that the kernel keeps, where somebody has left us a
//! part of the hierarchy.
//!
//! A [`Parent`] is a group that runs get their own group in; a [`Leaf`] is that of one run. Whether there is
//! a parent is found by trying: no version, no name of a service manager decides.
//!
//! Where none is found a service manager can be asked for one: [`ServiceManager`].
//!
//! Deliberately not here: putting a process into a group. Whoever starts the tree has it born there.
//!
//! The traps. A group that gives controllers to its children may hold no processes itself, so this process may
//! have to move into a child of its own, and does so only in a group where it is alone. A supervisor
//! that dies leaves its leaves; each is locked by its owner, so the next one can tell which are left over.

mod disks;
mod error;
mod leaf;
mod parent;
mod scope;
mod stat;

pub use disks::{Disk, Disks};
pub use error::CgroupError;
pub use leaf::{Leaf, LeafEvents, LeafLimits, LeafUsage};
pub use parent::Parent;
pub use scope::ServiceManager;

/// The beginning of the name of every group that is made here.
const PREFIX: &str = "ringfence-";

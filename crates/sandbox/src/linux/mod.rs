//! Linux: namespaces, mounts, system call filter, Landlock.

pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod host;
pub(crate) mod mounts;
pub(crate) mod plan;
pub(crate) mod present;
pub(crate) mod seccomp;
pub(crate) use crate::stores;

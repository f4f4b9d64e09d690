//! Linux: namespaces, mounts, system call filter, Landlock.

pub(crate) mod describe;
pub(crate) mod directory;
pub(crate) mod doctor;
pub(crate) mod host;
pub(crate) mod landlock;
pub(crate) mod layer;
pub(crate) mod levels;
pub(crate) mod mounts;
pub(crate) mod plan;
pub(crate) mod present;
pub(crate) mod protect;
pub(crate) mod reach;
pub(crate) mod remedy;
pub(crate) mod repository;
pub(crate) mod rung;
pub(crate) mod scope;
pub(crate) mod seccomp;
pub(crate) mod terminal;
pub(crate) use crate::stores;

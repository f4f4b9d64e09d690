//! The program that carries a plan out and stays as the tree's init.
//!
//! These modules are compiled twice. The build script makes a freestanding
//! program of them, with `main.rs` as its root: no libc, no allocation, a few
//! kilobytes, embedded into this crate. And this crate compiles them as its own
//! modules, so that they can be tested, and run in a forked child where a
//! program in memory may not be executed. That is why they use `core` only and
//! name each other by `super`.

pub(crate) mod bury;
pub(crate) mod descend;
pub(crate) mod interp;
pub(crate) mod net;
pub(crate) mod proc;
pub(crate) mod supervise;
pub(crate) mod sys;
pub(crate) mod tell;
pub(crate) mod terminal;
pub(crate) mod watch;
pub(crate) mod wire;

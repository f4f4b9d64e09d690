//! The integration tests: the real binary, real shells, the real kernel.
//!
//! What is tested is data: `cases/*.toml` says what a shell script must do inside the sandbox (and that it does the
//! same outside), `probes/*.toml` says what a native attacker must not be able to do inside (and that it can outside,
//! or nothing has been shown). The program `suite` reads both and runs them, as root and as an ordinary user; the
//! program `attacker` carries the probes out. What needs more than one process or a signal at the right moment is
//! code: [`scenario`].
//!
//! Deliberately not here: tests of one crate alone, which live in that crate.
//!
//! The trap: a test that passes because the attack was written wrongly. Therefore every probe runs outside as well,
//! and every case runs in the bare shell as well, and `suite --bare` runs these halves alone.
#![forbid(unsafe_code)]

pub mod account;
pub mod case;
pub mod check;
pub mod leftovers;
pub mod probe;
pub mod process;
#[cfg(target_os = "linux")]
pub mod scenario;
pub mod shell;
pub mod stage;
pub mod tally;
pub mod trial;

//! Run commands nobody fully trusts: policy, sandbox, limits, redacted output, nothing left behind.
//!
//! A [`Runner`] holds a config. It reads like `tokio::process::Command`: build, `spawn`, `wait`;
//! dropping the handle kills the whole tree.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ringfence::Error> {
//! use ringfence::{EventKind, Runner};
//!
//! let runner = Runner::from_config_file("ringfence.toml")?;
//! let mut run =
//!     runner.shell("cargo test").profile("build").workspace(".").env("CI", "1").spawn().await?;
//! while let Some(event) = run.next_event().await {
//!     if let EventKind::SandboxResourceExceeded(limit) = event.kind {
//!         eprintln!("{limit}");
//!     }
//! }
//! let outcome = run.wait().await?;
//! assert!(outcome.success());
//! # Ok(())
//! # }
//! ```
//!
//! This crate has no logic of its own. It puts the parts together and re-exports them; each is
//! usable alone:
//!
//! | module | what for |
//! |---|---|
//! | [`config`] | the TOML, profiles and their inheritance |
//! | [`policy`] | whether a command may run |
//! | [`executor`] | from a profile and a command to an outcome |
//! | [`sandbox`] | what a command may see and touch |
//! | [`resource_limits`] | what it may use up |
//! | [`output_capture`] | its output: redacted, bounded, delivered |
//! | [`network`] | which destinations it may reach |
//! | [`workspace`] | what a run leaves on the host: layers of changes, quarantine |
//!
//! The trap: a [`Runner`] is a snapshot. The config file and the caller's environment are read when
//! it is made, not at each run.
#![forbid(unsafe_code)]

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod builder;
mod cache;
mod error;
mod runner;

pub use builder::RunBuilder;
pub use error::Error;
pub use runner::Runner;

pub use ringfence_config as config;
pub use ringfence_executor as executor;
pub use ringfence_network as network;
pub use ringfence_output_capture as output_capture;
pub use ringfence_policy as policy;
pub use ringfence_resource_limits as resource_limits;
pub use ringfence_sandbox as sandbox;
pub use ringfence_workspace as workspace;

pub use ringfence_executor::{
    Capture, Captured, Event, EventKind, Explanation, Interleaved, Kept, Outcome, OutcomeKind,
    OutputEvents, RunError, RunHandle, RunId, Running, Stdin,
};
pub use ringfence_output_capture::{Secret, Seen, Since, Sink, Viewer};
pub use ringfence_sandbox::TerminalSize;

//! What a run leaves on the host: layers of changes, quarantine, and the state directory they live in.
//!
//! Three things outlive a run, or must not:
//!
//! - A [`Layer`] has the changes of a run whose workspace only looked writable. They can be read, carried out or
//!   thrown away later.
//! - A [`Guard`] looks, when a run is over, at paths that no mount could protect: what was made there is moved to
//!   the quarantine, what was changed is put back.
//! - The [`State`] directory holds both, and journals from which [`sweep()`] finishes what a killed process could not.
//!
//! This crate makes no sandbox and knows none. It takes paths, and it treats whatever lies at them as made by an
//! enemy: no symbolic link is followed, everything is reached from an open directory.
//!
//! The trap: a run that can write to the state directory can loosen the next one. Keep it out of every writable tree.
//!
//! ```
//! use ringfence_workspace::{Before, Guard, State, Watched, sweep};
//!
//! # let dir = tempfile::tempdir()?;
//! # let workspace = dir.path().canonicalize()?;
//! # let state = dir.path().join("state");
//! let state = State::at(state);
//! sweep(&state)?;
//!
//! let watched = Watched { root: workspace.clone(), path: ".envrc".into(), before: Before::Nothing };
//! let guard = Guard::begin(&state, "run-1", vec![watched])?;
//! std::fs::write(workspace.join(".envrc"), "a command that runs as the user, some day")?;
//! let findings = guard.finish();
//!
//! assert_eq!(findings.found.len(), 1);
//! assert!(!workspace.join(".envrc").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod escape;
mod guard;
mod layer;
mod scratch;
mod state;
mod sweep;
mod tree;

pub use error::{Error, Result};
pub use escape::{escape, unescape};
pub use guard::{Before, Finding, Findings, Guard, Watched, What, release};
pub use layer::{
    Change, ChangeKind, Contents, Diff, Entry, Layer, Layers, Listed, NewLayer, Refusal, Report,
    Side,
};
pub use scratch::Scratch;
pub use state::State;
pub use sweep::sweep;
pub use tree::FileKind;

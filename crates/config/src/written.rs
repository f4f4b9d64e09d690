//! The config as it is written: the serde twin of [`Runner`](crate::Runner) and [`Profile`](crate::Profile).
//!
//! Each field is optional and knows its place. The doc comments, defaults and examples here are the one source of three texts:
//! the JSON Schema, the commented file of `ringfence init`, and this documentation. What a default *is* stands in `resolve`,
//! and a test holds the two together.
//!
//! The trap: a doc comment here is read by the author of a config, not by a programmer.

mod profile;
mod runner;

pub(crate) use profile::{ProfileWritten, UnixSocketsWritten};
pub(crate) use runner::{
    DetectorWritten, OutputWritten, RedactionWritten, RuleWritten, RunnerWritten,
};

use crate::located::At;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The configuration of ringfence: how commands are started (`runner`), and what they may see, write, reach and use up
/// (`profiles`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ringfence.toml")]
pub(crate) struct FileWritten {
    /// How commands are started, which may be, and what is masked in their output.
    pub(crate) runner: Option<RunnerWritten>,
    /// Profiles by name. `default` is built in; a profile of that name here changes it.
    #[schemars(with = "Option<BTreeMap<String, ProfileWritten>>")]
    pub(crate) profiles: Option<BTreeMap<At<String>, ProfileWritten>>,
}

//! The configuration: TOML text in, one [`Resolved`] value for a run out.
//!
//! A config is read as it is written, with the place of every value ([`Config`]), and then resolved ([`Config::resolve`]): flags
//! over profile over defaults, `inherits` followed, paths made absolute. The resolved form has no `Option` that means "default".
//!
//! This is the only crate that reads the user's environment; it does so in one value, [`Environment`], that a test can make by
//! hand. It does not know how any of what it describes is enforced.
//!
//! The trap is failing open. An unknown field, a variable that is not set, a file that cannot be read, a field that another one
//! rules out: each is an error with its place, never a default.
//!
//! ```
//! use ringfence_config::{Config, Environment, FsMode, Overrides};
//! use std::path::Path;
//!
//! let text = "[profiles.look]\nfs_mode = \"workspace_readonly\"\n";
//! let config = Config::from_str(text, Path::new("ringfence.toml"))?;
//! let environment = Environment::new([("HOME", "/home/user")], "/home/user/project");
//! let resolved = config.resolve(Some("look"), &Overrides::default(), Path::new("."), &environment)?;
//! assert_eq!(resolved.profile.fs_mode, FsMode::WorkspaceReadonly);
//! # Ok::<(), ringfence_config::ConfigError>(())
//! ```
#![forbid(unsafe_code)]

mod config;
mod discover;
mod environment;
mod error;
mod init;
mod load;
mod located;
mod overrides;
mod paths;
mod profile;
mod resolve;
mod runner;
mod schema;
mod units;
mod words;
mod written;

pub use config::{Config, DEFAULT_PROFILE, Resolved};
pub use discover::{FILE_NAME, Search};
pub use environment::Environment;
pub use error::{ConfigError, ConfigProblem};
pub use init::init_file;
pub use located::Location;
pub use overrides::Overrides;
pub use profile::{Exposed, Profile, UnixSockets};
pub use resolve::DETECTORS;
pub use ringfence_policy::{AllowEntry, PolicyMode, Rule};
pub use runner::{CustomDetector, Output, Redaction, Runner};
pub use schema::json_schema;
pub use units::{ByteSize, CpuCores, UnitError, parse_duration};
pub use words::{
    Ansi, CgroupScope, EffectWord, Encoding, Executor, FsMode, Isolation, Mode, Multiline,
    NetworkMode, PolicyWord, Progress, ReadScope, Timestamps, UnknownWord,
};

//! A config and the caller's environment: what all runs have in common.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use ringfence_config::{Config, Environment, Search};
use ringfence_executor::Command;

use crate::builder::RunBuilder;
use crate::cache::Cache;
use crate::error::Error;

/// A config, ready to run commands. Clones share it.
///
/// The config file and the environment are read once, when the runner is made.
#[derive(Debug, Clone)]
pub struct Runner {
    pub(crate) parts: Arc<Parts>,
}

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    pub(crate) cache: Cache,
}

impl Runner {
    /// The config in a file.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the place of what is wrong.
    pub fn from_config_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let environment = Environment::current().map_err(Error::Environment)?;
        Ok(Self::new(Config::from_file(path.as_ref())?, environment))
    }

    /// The config that holds for a workspace: `ringfence.toml` found upwards from it, then the
    /// user's own, then the built-in one.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the file that is found cannot be used; it is never passed over.
    pub fn discover(workspace: impl AsRef<Path>) -> Result<Self, Error> {
        let environment = Environment::current().map_err(Error::Environment)?;
        let workspace = workspace.as_ref();
        let search = Search { explicit: None, workspace, environment: &environment };
        let config = Config::discover(&search)?;
        Ok(Self::new(config, environment))
    }

    /// The built-in config: sandboxed, the workspace writable, no network.
    ///
    /// # Errors
    ///
    /// [`Error::Environment`] when the working directory is gone.
    pub fn builtin() -> Result<Self, Error> {
        let environment = Environment::current().map_err(Error::Environment)?;
        Ok(Self::new(Config::builtin(), environment))
    }

    /// A config and an environment from elsewhere.
    #[must_use]
    pub fn new(config: Config, environment: Environment) -> Self {
        Self { parts: Arc::new(Parts { config, environment, cache: Cache::default() }) }
    }

    /// The config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The environment that runs see, as far as the policy lets them.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.parts.environment
    }

    /// A run of a line in the config's shell.
    pub fn shell(&self, line: impl Into<Vec<u8>>) -> RunBuilder {
        RunBuilder::new(self.clone(), Command::Shell(line.into()))
    }

    /// A run of a program, no shell between: its name or path, then its arguments.
    pub fn program<W: Into<OsString>>(&self, words: impl IntoIterator<Item = W>) -> RunBuilder {
        RunBuilder::new(self.clone(), Command::Program(words.into_iter().map(Into::into).collect()))
    }
}

//! Where the config is looked for.
//!
//! The nearest file wins whole; files are not merged. A file that is there but cannot be read stops the search with an error,
//! because to go on would be to run under rules nobody chose.

use crate::environment::Environment;
use crate::error::{ConfigError, ConfigProblem};
use crate::resolve;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The name of a config in a workspace.
pub const FILE_NAME: &str = "ringfence.toml";

/// Largest config, in bytes. A config of a person has a few KiB; the bound keeps a wrong path from filling the memory.
const MAX_FILE: u64 = 1 << 20;

/// Where to look for a config.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// This file and no other. Default: none.
    pub explicit: Option<PathBuf>,
    /// Where the search upwards begins.
    pub workspace: &'a Path,
    /// Where relative paths and `$XDG_CONFIG_HOME` come from.
    pub environment: &'a Environment,
}

/// The file that holds, absolute.
pub(crate) fn find(search: &Search<'_>) -> Result<Option<PathBuf>, ConfigError> {
    let cwd = search.environment.cwd();
    if let Some(explicit) = &search.explicit {
        return Ok(Some(cwd.join(explicit)));
    }
    let workspace = resolve::workspace(search.workspace, search.environment)?;
    let upwards = workspace.ancestors().map(|directory| directory.join(FILE_NAME));
    for candidate in upwards.chain(user_file(search.environment)) {
        if exists(&candidate)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

fn user_file(environment: &Environment) -> Option<PathBuf> {
    Some(environment.config_home()?.join("ringfence/config.toml"))
}

fn exists(path: &Path) -> Result<bool, ConfigError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(false)
        }
        Err(source) => Err(unreadable(path, source)),
    }
}

/// The text of a config file, which errors call `name`.
pub(crate) fn read_file(path: &Path, name: &Path) -> Result<String, ConfigError> {
    let metadata = fs::metadata(path).map_err(|source| unreadable(name, source))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(ConfigError::nowhere(ConfigProblem::NotAConfig { path: name.to_owned() }));
    }
    fs::read_to_string(path).map_err(|source| unreadable(name, source))
}

fn unreadable(path: &Path, source: io::Error) -> ConfigError {
    ConfigError::nowhere(ConfigProblem::Read { path: path.to_owned(), source })
}

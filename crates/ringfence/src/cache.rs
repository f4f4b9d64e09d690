//! The last prepared profile, for the next run of the same.
//!
//! Preparing compiles what is to be masked, which takes longer than many a command. One entry is
//! enough for a loop, and keeps no secret longer than the next run of another kind.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_config::Overrides;
use ringfence_executor::{Prepared, RunError};
use ringfence_output_capture::Secret;

use crate::error::Error;
use crate::runner::Parts;

/// Everything a prepared profile depends on, beside the runner itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) profile: Option<String>,
    pub(crate) workspace: PathBuf,
    pub(crate) overrides: Overrides,
    pub(crate) secrets: Vec<Secret>,
}

impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        let seen = |secret: &Secret| (secret.name().map(str::to_owned), secret.expose().to_vec());
        self.profile == other.profile
            && self.workspace == other.workspace
            && self.overrides == other.overrides
            && self.secrets.iter().map(seen).eq(other.secrets.iter().map(seen))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Option<(Wanted, Arc<Prepared>)>>);

impl Cache {
    /// The prepared profile that is wanted, made if the last one was another.
    pub(crate) fn get(&self, wanted: &Wanted, parts: &Parts) -> Result<Arc<Prepared>, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, prepared)) = &*last
            && known == wanted
        {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(prepare(wanted, parts)?);
        *last = Some((wanted.clone(), Arc::clone(&prepared)));
        Ok(prepared)
    }
}

fn prepare(wanted: &Wanted, parts: &Parts) -> Result<Prepared, Error> {
    let Parts { config, environment, .. } = parts;
    let profile = wanted.profile.as_deref();
    let resolved = config.resolve(profile, &wanted.overrides, &wanted.workspace, environment)?;
    let prepared = Prepared::new(resolved, environment.clone(), wanted.secrets.iter().cloned());
    prepared.map_err(RunError::into)
}

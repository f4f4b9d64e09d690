//! All profiles of a config: which there are, what they inherit, and the checks that need no environment.

use super::fail;
use super::layers::Layers;
use crate::config::DEFAULT_PROFILE;
use crate::environment::Environment;
use crate::error::{ConfigError, ConfigProblem, nearest};
use crate::located::{At, Source};
use crate::overrides::Overrides;
use crate::paths::PathBase;
use crate::profile::Profile;
use crate::written::ProfileWritten;
use std::collections::BTreeMap;
use std::path::Path;

/// The profiles of a config file, and the built-in one below them.
pub(crate) struct Profiles<'a> {
    pub(crate) source: Option<&'a Source>,
    pub(crate) profiles: Option<&'a BTreeMap<At<String>, ProfileWritten>>,
}

impl<'a> Profiles<'a> {
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let written = self
            .entries()
            .map(|(name, _)| name.value.as_str())
            .filter(|name| *name != DEFAULT_PROFILE);
        std::iter::once(DEFAULT_PROFILE).chain(written).collect()
    }

    /// The problem of a name that no profile has.
    pub(crate) fn unknown(&self, name: &str) -> ConfigProblem {
        let known = self.names();
        ConfigProblem::UnknownProfile {
            name: name.to_owned(),
            nearest: nearest(name, known.iter().copied()),
            known: known.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Everything that can be wrong before a profile is chosen: what it inherits, its numbers, its allowlist.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (name, _) in self.entries() {
            Layers::new(self.chain(&name.value)?, self.source).check_values()?;
        }
        Ok(())
    }

    pub(crate) fn resolve(
        &self,
        name: &str,
        overrides: &Overrides,
        workspace: &Path,
        environment: &Environment,
        warnings: &mut Vec<String>,
    ) -> Result<Profile, ConfigError> {
        if name != DEFAULT_PROFILE && self.find(name).is_none() {
            return Err(ConfigError::nowhere(self.unknown(name)));
        }
        Layers::new(self.chain(name)?, self.source).resolve(
            name,
            overrides,
            &PathBase { workspace, environment },
            warnings,
        )
    }

    /// A profile and what it inherits, the nearest first; the built-in one, which ends every chain, is not among them.
    fn chain(&self, name: &str) -> Result<Vec<(&'a str, &'a ProfileWritten)>, ConfigError> {
        let mut chain: Vec<(&str, &ProfileWritten)> = Vec::new();
        let mut next = self.find(name);
        while let Some((name, profile)) = next {
            chain.push((name, profile));
            let Some(parent) = &profile.inherits else { break };
            next = self.find(&parent.value);
            let inherits_itself = parent.value == name && name == DEFAULT_PROFILE;
            if inherits_itself {
                break;
            }
            let field = format!("profiles.{name}.inherits");
            if let Some(at) = chain.iter().position(|(seen, _)| *seen == parent.value) {
                let mut names: Vec<String> =
                    chain[at..].iter().map(|(name, _)| (*name).to_owned()).collect();
                names.push(parent.value.clone());
                return Err(fail(
                    self.source,
                    parent,
                    field,
                    ConfigProblem::InheritanceCycle { chain: names },
                ));
            }
            if next.is_none() && parent.value != DEFAULT_PROFILE {
                return Err(fail(self.source, parent, field, self.unknown(&parent.value)));
            }
        }
        Ok(chain)
    }

    fn find(&self, name: &str) -> Option<(&'a str, &'a ProfileWritten)> {
        let found = self.entries().find(|(written, _)| written.value == name);
        found.map(|(name, profile)| (name.value.as_str(), profile))
    }

    fn entries(&self) -> impl Iterator<Item = (&'a At<String>, &'a ProfileWritten)> + use<'a> {
        self.profiles.into_iter().flatten()
    }
}

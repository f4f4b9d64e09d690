//! A config: found, read, checked as far as that goes without an environment, and ready to be resolved.

use crate::discover::{Search, find, read_file};
use crate::environment::Environment;
use crate::error::{ConfigError, ConfigProblem};
use crate::load;
use crate::located::Source;
use crate::overrides::Overrides;
use crate::profile::Profile;
use crate::resolve::{self, Profiles};
use crate::runner::Runner;
use crate::written::FileWritten;
use std::path::{Path, PathBuf};

/// The name of the built-in profile.
pub const DEFAULT_PROFILE: &str = "default";

/// A config that was read and checked.
#[derive(Debug, Clone)]
pub struct Config {
    source: Option<Source>,
    written: FileWritten,
    runner: Runner,
}

/// What holds for one run, after all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// How the command is started.
    pub runner: Runner,
    /// What it may see, write, reach and use up.
    pub profile: Profile,
    /// The config file. Default: none, for the built-in config.
    pub source: Option<PathBuf>,
    /// What is odd, but no error.
    pub warnings: Vec<String>,
}

impl Config {
    /// The config that holds where there is no file.
    #[must_use]
    pub fn builtin() -> Config {
        let written = FileWritten::default();
        let runner = resolve::runner(None, None)
            .expect("because an empty config has nothing that could be wrong");
        Config { source: None, written, runner }
    }

    /// Reads a config from its text; `name` is what messages call the file.
    ///
    /// # Errors
    /// [`ConfigError`] with the place and the field.
    pub fn from_str(text: &str, name: &Path) -> Result<Config, ConfigError> {
        let source = Source::new(name, text);
        let written = load::read(&source)?;
        let runner = resolve::runner(written.runner.as_ref(), Some(&source))?;
        let config = Config { source: Some(source), written, runner };
        config.profiles_view().check()?;
        config.check_default_profile()?;
        Ok(config)
    }

    /// Reads a config file.
    ///
    /// # Errors
    /// As [`Config::from_str`], and when the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Config, ConfigError> {
        Config::from_str(&read_file(path, path)?, path)
    }

    /// Finds and reads the config of a workspace: the explicit file, else the nearest `ringfence.toml` from the workspace upwards,
    /// else `$XDG_CONFIG_HOME/ringfence/config.toml` (`~/.config` where that is not set), else the built-in config.
    ///
    /// # Errors
    /// As [`Config::from_file`]. A file that is there and cannot be read is an error, never skipped.
    pub fn discover(search: &Search<'_>) -> Result<Config, ConfigError> {
        let Some(path) = find(search)? else { return Ok(Config::builtin()) };
        let name = path.strip_prefix(search.environment.cwd()).unwrap_or(&path);
        let mut config = Config::from_str(&read_file(&path, name)?, name)?;
        if let Some(source) = &mut config.source {
            source.path = Some(path.clone());
        }
        Ok(config)
    }

    /// The file. Default: none, for the built-in config.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.source.as_ref().map(Source::path)
    }

    /// What messages call the file: its path, relative to the working directory where it is below that.
    #[must_use]
    pub fn name(&self) -> Option<&Path> {
        self.source.as_ref().map(|source| source.name.as_path())
    }

    /// The names of all profiles, `default` first.
    #[must_use]
    pub fn profile_names(&self) -> Vec<&str> {
        self.profiles_view().names()
    }

    /// The profile of a run that names none.
    #[must_use]
    pub fn default_profile(&self) -> &str {
        let written =
            self.written.runner.as_ref().and_then(|runner| runner.default_profile.as_ref());
        written.map_or(DEFAULT_PROFILE, |name| &name.value)
    }

    /// The `[runner]` part.
    #[must_use]
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Lays flags over the profile over the defaults, and makes every path absolute.
    ///
    /// `workspace` is taken relative to the environment's working directory; `None` as the profile means the default one.
    ///
    /// # Errors
    /// [`ConfigError`]: a profile that does not exist, a variable that is not set, a field that another one rules out.
    pub fn resolve(
        &self,
        profile: Option<&str>,
        overrides: &Overrides,
        workspace: &Path,
        environment: &Environment,
    ) -> Result<Resolved, ConfigError> {
        let workspace = resolve::workspace(workspace, environment)?;
        let name = profile.unwrap_or_else(|| self.default_profile());
        let mut warnings = Vec::new();
        let profile = self.profiles_view().resolve(
            name,
            overrides,
            &workspace,
            environment,
            &mut warnings,
        )?;
        let source = self.path().map(Path::to_owned);
        let mut runner = self.runner.clone();
        runner.output = overrides.lay_over(runner.output);
        Ok(Resolved { runner, profile, source, warnings })
    }

    fn profiles_view(&self) -> Profiles<'_> {
        Profiles { source: self.source.as_ref(), profiles: self.written.profiles.as_ref() }
    }

    fn check_default_profile(&self) -> Result<(), ConfigError> {
        let Some(name) =
            self.written.runner.as_ref().and_then(|runner| runner.default_profile.as_ref())
        else {
            return Ok(());
        };
        let profiles = self.profiles_view();
        if profiles.names().contains(&name.value.as_str()) {
            return Ok(());
        }
        let problem: ConfigProblem = profiles.unknown(&name.value);
        let location = self.source.as_ref().map(|source| source.location(name.start));
        Err(ConfigError::new(location, Some("runner.default_profile".into()), problem))
    }
}

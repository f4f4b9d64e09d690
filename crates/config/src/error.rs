//! What can be wrong with a config, and where.
//!
//! Every error is a [`ConfigError`]: a place, a field, and a [`ConfigProblem`]. The advice stands beside it, in [`ConfigError::hint`].

use crate::located::Location;
use ringfence_policy::AllowEntryError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A config that cannot be used.
#[derive(Debug)]
pub struct ConfigError {
    location: Option<Location>,
    field: Option<String>,
    problem: Box<ConfigProblem>,
}

impl ConfigError {
    pub(crate) fn new(
        location: Option<Location>,
        field: Option<String>,
        problem: ConfigProblem,
    ) -> ConfigError {
        ConfigError { location, field, problem: Box::new(problem) }
    }

    /// A problem that no line of a file has caused.
    pub(crate) fn nowhere(problem: ConfigProblem) -> ConfigError {
        ConfigError::new(None, None, problem)
    }

    /// A problem with what a flag says.
    pub(crate) fn flag(flag: &str, problem: ConfigProblem) -> ConfigError {
        ConfigError::new(None, Some(flag.to_owned()), problem)
    }

    /// Where it is written. Default: none, for a flag or a file that could not be read.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    /// The field, as `profiles.build.fs_mode`, or the flag, as `--hide`.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &ConfigProblem {
        &self.problem
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.problem)
    }
}

/// What is wrong with a config.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The file cannot be read.
    #[error("failed to read the config `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no regular file, or larger than any config.
    #[error("`{}` is not a config file", path.display())]
    NotAConfig {
        /// The file.
        path: PathBuf,
    },
    /// It is not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A field that does not exist.
    #[error("unknown field `{name}`")]
    UnknownField {
        /// What is written.
        name: String,
        /// The nearest field that exists.
        nearest: Option<String>,
        /// All that exist here.
        expected: Vec<String>,
    },
    /// A value that is not one of a set.
    #[error("unknown value `{value}`")]
    UnknownValue {
        /// What is written.
        value: String,
        /// The nearest value of the set.
        nearest: Option<String>,
        /// The set.
        expected: Vec<String>,
    },
    /// A value of the wrong kind, or a field that must be there and is not.
    #[error("{message}")]
    WrongKind {
        /// What is expected.
        message: String,
    },
    /// A number outside of what has a meaning.
    #[error("{value} is out of range")]
    OutOfRange {
        /// What is written.
        value: u64,
        /// What is accepted.
        allowed: String,
    },
    /// Not a number of cores.
    #[error("{value} is not a number of cores")]
    Cores {
        /// What is written.
        value: String,
    },
    /// A text that must not be empty.
    #[error("it is empty")]
    Empty,
    /// An allowlist entry that is none.
    #[error(transparent)]
    Entry(#[from] AllowEntryError),
    /// An exposed port that is none.
    #[error("`{text}` is no port")]
    Port {
        /// What is written.
        text: String,
    },
    /// A profile that does not exist.
    #[error("there is no profile `{name}`")]
    UnknownProfile {
        /// What is asked for.
        name: String,
        /// The nearest that exists.
        nearest: Option<String>,
        /// All that exist.
        known: Vec<String>,
    },
    /// Profiles that inherit from each other in a circle.
    #[error("profiles inherit in a circle: {}", chain.join(" → "))]
    InheritanceCycle {
        /// The circle; the first name is the last too.
        chain: Vec<String>,
    },
    /// A variable in a path that is not set, or empty.
    #[error("the variable `{name}` in `{path}` is not set")]
    UnsetVariable {
        /// The variable.
        name: String,
        /// The path as written.
        path: String,
    },
    /// A `$` that begins no variable.
    #[error("`{path}` has a `$` that is not the start of `$NAME` or `${{NAME}}`")]
    BadVariable {
        /// The path as written.
        path: String,
    },
    /// `~` for a user that has no home directory.
    #[error("`{path}` begins with `~`, but no home directory is known")]
    NoHome {
        /// The path as written.
        path: String,
    },
    /// `~user`.
    #[error("`{path}` names another user's home directory")]
    OtherHome {
        /// The path as written.
        path: String,
    },
    /// A path that is empty or has a NUL byte.
    #[error("`{}` is not a path", path.escape_debug())]
    BadPath {
        /// The path as written.
        path: String,
    },
    /// A path that must be absolute.
    #[error("`{path}` is not an absolute path")]
    NotAbsolute {
        /// The path as written.
        path: String,
    },
    /// A workspace that is not there.
    #[error("failed to find the workspace `{}`", path.display())]
    Workspace {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A regular expression that is none.
    #[error("the regular expression does not compile: {message}")]
    Regex {
        /// What its compiler says.
        message: String,
    },
    /// A regular expression that would mask every place.
    #[error("the regular expression matches the empty text")]
    RegexMatchesNothing,
    /// A field asks for something that another field rules out.
    #[error("it has no meaning with `{other}`")]
    Conflict {
        /// The other field and its value.
        other: String,
        /// What to do.
        advice: String,
    },
}

impl ConfigProblem {
    fn hint(&self) -> Option<String> {
        match self {
            ConfigProblem::UnknownField { nearest, expected, .. }
            | ConfigProblem::UnknownValue { nearest, expected, .. } => {
                Some(suggestion(nearest.as_deref(), expected))
            }
            ConfigProblem::UnknownProfile { nearest, known, .. } => {
                Some(suggestion(nearest.as_deref(), known))
            }
            ConfigProblem::OutOfRange { allowed, .. } => Some(format!("write {allowed}")),
            ConfigProblem::Cores { .. } => Some("write a number from 0.01 to 65536".into()),
            ConfigProblem::Entry(error) => error.hint(),
            ConfigProblem::Port { .. } => {
                Some("write a number from 1 to 65535, or two as \"OUTSIDE:INSIDE\"".into())
            }
            ConfigProblem::UnsetVariable { name, .. } => {
                Some(format!("set `{name}`, or write the path without it"))
            }
            ConfigProblem::NoHome { .. } => Some("set `HOME`, or write the path out".into()),
            ConfigProblem::BadVariable { .. }
            | ConfigProblem::OtherHome { .. }
            | ConfigProblem::NotAbsolute { .. } => Some("write the path out".into()),
            ConfigProblem::Conflict { advice, .. } => Some(advice.clone()),
            ConfigProblem::Regex { message } if message.contains("Unicode") => {
                Some("output is bytes: classes are ASCII, as `[A-Za-z0-9]`".into())
            }
            ConfigProblem::RegexMatchesNothing => {
                Some("ask for one character at least: `+` in the place of `*`".into())
            }
            ConfigProblem::Read { .. } => Some(
                "check the path, or leave `--config` out to use the nearest ringfence.toml".into(),
            ),
            ConfigProblem::InheritanceCycle { .. } => {
                Some("remove one `inherits` of the circle".into())
            }
            _ => None,
        }
    }
}

fn suggestion(nearest: Option<&str>, expected: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", expected.join(", ")),
    }
}

/// Least likeness of a suggestion, on the Jaro-Winkler scale from 0 to 1. Below it a suggestion puzzles more than it helps.
const LIKENESS: f64 = 0.75;

/// The name most like `word`, when any is like it at all.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let scored = names.into_iter().map(|name| (strsim::jaro_winkler(word, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS).then(|| best.1.to_owned())
}

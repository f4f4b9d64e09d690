//! What was found after a run, in words for the caller.

use std::fmt;
use std::path::PathBuf;

use crate::escape::escape;

/// What was done about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where. Absolute.
    pub path: PathBuf,
    /// What the command did there.
    pub what: What,
    /// Where lies now what the command made; `None` when there was nothing to keep or it could
    /// not be kept.
    pub kept_at: Option<PathBuf>,
    /// Why it could not be set right, or not kept.
    pub trouble: Option<String>,
}

/// What a command did at a path where it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It made something.
    Made,
    /// It changed something.
    Changed,
    /// It removed or moved something.
    Removed,
}

/// What was found, and what else the caller should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Violations, each set right unless it has a `trouble`.
    pub found: Vec<Finding>,
    /// In plain words.
    pub warnings: Vec<String>,
}

impl Findings {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.warnings.is_empty()
    }

    /// Adds those of another look.
    pub fn extend(&mut self, other: Findings) {
        self.found.extend(other.found);
        self.warnings.extend(other.warnings);
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match (self.what, &self.trouble) {
            (What::Made, None) => "was made by the command and is protected: it was taken away",
            (What::Changed, None) => "was changed by the command and is protected: it was put back",
            (What::Removed, None) => "was removed by the command and is protected: it was put back",
            (What::Made, Some(_)) => "was made by the command and is protected",
            (What::Changed, Some(_)) => "was changed by the command and is protected",
            (What::Removed, Some(_)) => "was removed by the command and is protected",
        };
        write!(f, "{} {done}", escape(&self.path))?;
        if let Some(trouble) = &self.trouble {
            write!(f, ", but {trouble}")?;
        }
        match &self.kept_at {
            Some(kept_at) => write!(f, " (kept at {})", escape(kept_at)),
            None => Ok(()),
        }
    }
}

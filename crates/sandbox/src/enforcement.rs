//! What is really enforced, property by property, in words a result can carry.

use std::fmt;

/// How far one property holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything asked for.
    Full,
    /// Something of it, and why not all.
    Partial(String),
    /// Nothing of it, and why.
    None(String),
}

impl Level {
    /// Everything asked for holds.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Partial(why) => write!(f, "partial: {why}"),
            Self::None(why) => write!(f, "none: {why}"),
        }
    }
}

/// Each property that was asked for, in a fixed order, with its level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforcement(Vec<(&'static str, Level)>);

impl Enforcement {
    /// Says how far `property` holds; a later word replaces an earlier one.
    pub fn set(&mut self, property: &'static str, level: Level) {
        match self.0.iter_mut().find(|(name, _)| *name == property) {
            Some(entry) => entry.1 = level,
            None => self.0.push((property, level)),
        }
    }

    /// The properties in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Level)> {
        self.0.iter().map(|(name, level)| (*name, level))
    }

    /// The first property that was asked for and is short of full.
    #[must_use]
    pub fn first_gap(&self) -> Option<(&'static str, &Level)> {
        self.iter().find(|(_, level)| !level.is_full())
    }
}

/// What carries the sandbox out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// No sandbox: the tree is watched and ended, nothing more.
    Host,
    /// Namespaces, seccomp and Landlock.
    LinuxNamespaces,
    /// Landlock and seccomp, where namespaces are refused.
    LinuxLandlock,
    /// Seatbelt, by `sandbox-exec`.
    MacosSeatbelt,
}

impl Backend {
    /// The name in results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::LinuxNamespaces => "linux_namespaces",
            Self::LinuxLandlock => "linux_landlock",
            Self::MacosSeatbelt => "macos_seatbelt",
        }
    }
}

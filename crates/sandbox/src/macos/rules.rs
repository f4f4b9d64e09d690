//! What a Seatbelt profile depends on: a specification with its paths resolved.
//!
//! Plain data between looking at the host and writing the text, so that the text is a
//! pure function and can be compared on any machine.

use crate::spec::{ReadScope, UnixSockets};
use std::path::PathBuf;

/// Everything a profile depends on. Paths are absolute, and resolved as far as they exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Which files are seen; `None`: the caller's, as they are.
    pub(crate) view: Option<View>,
    /// Which network there is.
    pub(crate) network: NetworkRule,
    /// Which Unix sockets can be connected to.
    pub(crate) sockets: UnixSockets,
    /// The run's own directory for temporary files.
    pub(crate) temp: Option<PathBuf>,
    /// Terminals the command was given as standard streams: it may ask what they are.
    pub(crate) terminals: Vec<PathBuf>,
}

/// The host's tree, read-only, with exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// How much of the host's tree can be seen.
    pub(crate) scope: ReadScope,
    /// Trees that may be changed.
    pub(crate) writable: Vec<PathBuf>,
    /// Trees that are seen and not changed, wherever they lie.
    pub(crate) readable: Vec<PathBuf>,
    /// What cannot be opened.
    pub(crate) hidden: Vec<PathBuf>,
    /// Whatever has such a name cannot be opened either.
    pub(crate) hidden_patterns: Vec<Pattern>,
    /// What exists in writable trees and stays as it is.
    pub(crate) protected: Vec<PathBuf>,
    /// What does not exist in writable trees and cannot be made.
    pub(crate) absent: Vec<PathBuf>,
    /// Whatever has such a name stays as it is, too.
    pub(crate) protected_patterns: Vec<Pattern>,
}

/// A name with wildcards, below a directory whose own name has none, whatever it looks like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    /// The directory.
    pub(crate) below: PathBuf,
    /// The rest, with `*`, `**`, `?` and `[…]`. Relative.
    pub(crate) rest: String,
}

/// Which network there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkRule {
    /// The caller's.
    Inherit,
    /// None, not even a loopback: a private one does not exist on macOS.
    Deny,
    /// This port of the loopback and nothing else: a gateway listens there.
    Gateway(u16),
}

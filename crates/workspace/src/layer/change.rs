//! One change of a layer, in the caller's terms.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::tree::{FileKind, Identity, Meta};

/// What a layer does to one path of the workspace.
#[derive(Clone, Debug)]
pub struct Change {
    /// Below the workspace; `.` for the workspace itself.
    pub path: PathBuf,
    /// What is done.
    pub kind: ChangeKind,
    /// What lies on the host now; `None` for something added.
    pub before: Option<Entry>,
    /// What the layer has; `None` for something deleted. A directory is deleted with all that is below it.
    pub after: Option<Entry>,
    /// Whether it is applied only when the caller insists.
    pub protected: bool,
    /// All that is known of what lies on the host.
    pub(crate) host: Option<Meta>,
    /// Whether a directory that the layer has whole was changed on the host since.
    pub(crate) directory_changed: bool,
    /// Whether the layer's copy comes from the host.
    pub(crate) is_copied_up: bool,
}

/// What is done to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It has other contents, and maybe other permission bits.
    Modified,
    /// It is gone.
    Deleted,
    /// It is another kind of thing, as a link where a file was.
    TypeChanged,
    /// It has other permission bits only.
    ModeChanged,
}

impl ChangeKind {
    /// The letter for it, as `git diff --name-status` has it; a change of permission bits counts as `M`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified | Self::ModeChanged => 'M',
            Self::Deleted => 'D',
            Self::TypeChanged => 'T',
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::TypeChanged => "type_changed",
            Self::ModeChanged => "mode_changed",
        }
    }
}

/// One side of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind of thing.
    pub file: FileKind,
    /// Permission bits. Set-user-ID and set-group-ID of a file are left out where they would be applied.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
}

impl Entry {
    pub(crate) fn of(meta: &Meta) -> Entry {
        Entry { file: meta.kind, mode: meta.mode, size: meta.size }
    }

    /// As it would be applied.
    pub(crate) fn applied(meta: &Meta) -> Entry {
        Entry { file: meta.kind, mode: applied_mode(meta), size: meta.size }
    }
}

const SET_ID: u32 = 0o6000;

/// The permission bits that reach the host: a program does not get anybody's rights by being applied.
pub(crate) fn applied_mode(meta: &Meta) -> u32 {
    if meta.is_dir() { meta.mode } else { meta.mode & !SET_ID }
}

/// Whether permission bits are left out when it is applied.
pub(crate) fn drops_bits(meta: &Meta) -> bool {
    meta.kind == FileKind::File && meta.mode & SET_ID != 0
}

/// All changes of a layer, against the workspace as it is now.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// By path, directories before what is in them.
    pub changes: Vec<Change>,
    /// What applying would leave out, in plain words.
    pub warnings: Vec<String>,
    /// Names of the layer's files that have several.
    pub(crate) links: HashMap<Identity, Vec<PathBuf>>,
}

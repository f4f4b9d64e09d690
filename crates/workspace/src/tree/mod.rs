//! Trees of files, reached by descriptors and names only.
//!
//! Everything here starts from an open directory and takes one name at a time, and no symbolic
//! link is ever followed. What a hostile command made can so be looked at, moved, copied and
//! removed without going where it points. This is deliberately not a general file library.
//!
//! The trap is the lock that is none: a directory of mode 000 keeps its owner out, too. Who must
//! get in (to remove, to read a layer) unlocks it first and locks it again afterwards.

mod copy;
mod dir;
mod meta;
mod platform;
mod remove;
mod same;

pub(crate) use copy::{Bounds, CopyError, copy_entry, copy_xattrs, set_modified};
pub(crate) use dir::{Dir, is_gone};
pub(crate) use meta::{Identity, Meta, Moment};
pub(crate) use platform::{exchange, has_whiteout_mark, overlay_mark, rename_new, sync_all};
pub(crate) use remove::remove_entry;
pub(crate) use same::same_entry;

pub use meta::FileKind;

/// Deepest tree that is walked, in directories. Each level holds two descriptors, and the usual
/// limit of a process is 1,024.
pub(crate) const MAX_DEPTH: usize = 256;

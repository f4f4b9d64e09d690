//! Where a test makes what it needs.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory outside every private one, so that the host's view counts: with the
/// build, or in the home directory where that lies in a private one or cannot be written.
pub(crate) fn place() -> TempDir {
    let private = |dir: &Path| ["/tmp", "/var/tmp", "/run"].iter().any(|p| dir.starts_with(p));
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    [PathBuf::from(env!("CARGO_TARGET_TMPDIR")), home]
        .into_iter()
        .filter(|dir| !private(dir))
        .find_map(|dir| tempfile::tempdir_in(dir).ok())
        .expect("a directory outside the private ones can be made")
}

//! Where a test makes what it needs.

use tempfile::TempDir;

/// A directory outside every private one, so that the host's view counts: with the
/// build, or in the home directory of whoever cannot write there.
pub(crate) fn place() -> TempDir {
    let home = || tempfile::tempdir_in(std::env::var_os("HOME").unwrap_or_default());
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .or_else(|_| home())
        .expect("a directory can be made")
}

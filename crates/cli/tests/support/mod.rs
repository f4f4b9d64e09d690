//! What a caller sees of the tool.

use std::process::Output;

/// The three things there are: the exit status and both streams.
pub(crate) fn check(output: &Output, words: &[&str], status: i32, stdout: &str, stderr: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr, "{words:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{words:?}");
    assert_eq!(output.status.code(), Some(status), "{words:?}");
}

//! The end of a command, as a test waits for it.

use ringfence_sandbox::{ExitStatus, Report, Tree};
use std::io::{PipeReader, Read};

/// Reads all that the command says, and waits for its end; a failed step fails the test.
pub(crate) fn ended(tree: &Tree, mut output: PipeReader) -> (ExitStatus, String) {
    let mut text = String::new();
    output.read_to_string(&mut text).expect("the output is text");
    let mut status = None;
    while let Some(report) = tree.wait_report().expect("the socket works") {
        match report {
            Report::CommandExited { status: ended } => status = Some(ended),
            Report::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
    (status.expect("the command ended"), text)
}

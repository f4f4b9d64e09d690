//! The sandbox that tests begin with.

use ringfence_sandbox::{Confinement, FileView, Files, Network, SandboxSpec, Trace, UnixSockets};
use std::path::Path;

/// A view of the host's files, and nothing of it beyond.
pub(crate) fn spec(workspace: &Path, view: FileView) -> SandboxSpec {
    SandboxSpec {
        confinement: Confinement::Sandbox,
        strict: false,
        files: Files::View(view),
        network: Network::Deny,
        unix_sockets: UnixSockets::Private,
        trace: Trace::Changes,
        workspace: workspace.to_owned(),
    }
}

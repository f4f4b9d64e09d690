//! The specification in plain words, as it will be enforced on macOS.
//!
//! Made from the same rules as the profile, so that what is said and what is done cannot drift
//! apart by themselves.

use super::{look::Seen, rules::View};
use crate::spec::{Confinement, Network, Process, ReadScope, SandboxSpec, UnixSockets};
use std::path::Path;

/// What a command will see, write, reach and use up, a line each.
pub(crate) fn describe(spec: &SandboxSpec, seen: &Seen, process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    match spec.confinement {
        Confinement::Host => lines.push("runs without a sandbox, with the caller's rights".into()),
        Confinement::Sandbox => {
            describe_files(seen.rules.view.as_ref(), process, &mut lines);
            lines.push(network(&spec.network).to_owned());
            lines.extend(sockets(&seen.rules.sockets));
            lines.push(
                "signals and traces no process but its own; may see that others exist".into(),
            );
            lines.push("asks no system service but those that every program needs".into());
        }
    }
    lines.push(format!("starts in {}", shown(&process.cwd)));
    let names: Vec<_> = process.env.iter().map(|(name, _)| name.to_string_lossy()).collect();
    lines.push(format!("has {} environment variables: {}", names.len(), names.join(", ")));
    lines.push(
        "is ended with its process group and every descendant that can be found when it is over, \
         or its caller is"
            .into(),
    );
    lines
}

fn describe_files(view: Option<&View>, process: &Process, lines: &mut Vec<String>) {
    let Some(view) = view else {
        lines.push("sees and writes the host's files as the caller does".into());
        return;
    };
    lines.push(match view.scope {
        ReadScope::Host => "sees the host's files read-only, but for temporary ones".into(),
        ReadScope::Minimal => "sees system directories and what is listed".into(),
    });
    if view.writable.is_empty() {
        lines.push("writes nothing of the host's".into());
    }
    lines.extend(view.writable.iter().map(|path| format!("may write below {}", shown(path))));
    match &process.temp {
        Some(temp) => lines.push(format!("has {} for temporary files", shown(temp))),
        None => lines.push("has no place for temporary files".into()),
    }
    lines.extend(view.readable.iter().map(|path| format!("reads {}", shown(path))));
    lines.extend(view.hidden.iter().map(|path| format!("cannot open {}", shown(path))));
    let patterns = |patterns: &[super::rules::Pattern]| {
        patterns.iter().map(|pattern| shown(&pattern.below.join(&pattern.rest))).collect::<Vec<_>>()
    };
    let hidden = patterns(&view.hidden_patterns);
    lines.extend(hidden.into_iter().map(|path| format!("cannot open {path}")));
    let protected = view.protected.iter().map(|path| shown(path));
    let protected = protected.chain(patterns(&view.protected_patterns));
    lines.extend(protected.map(|path| format!("cannot change {path}")));
    lines.extend(view.absent.iter().map(|path| format!("cannot make {}", shown(path))));
}

fn shown(path: &Path) -> String {
    format!("`{}`", path.display())
}

fn network(network: &Network) -> &'static str {
    match network {
        Network::Inherit => "has the caller's network",
        Network::Deny => "has no network, not even a loopback",
        Network::Gateway(_) => {
            "connects to one port of the loopback, where a gateway listens as a proxy, and listens nowhere"
        }
    }
}

fn sockets(sockets: &UnixSockets) -> Vec<String> {
    match sockets {
        UnixSockets::Private => vec!["connects to no Unix socket but its own".into()],
        UnixSockets::Listed(paths) => {
            paths.iter().map(|path| format!("may connect to {}", shown(path))).collect()
        }
        UnixSockets::Inherit => vec!["connects to the host's Unix sockets".into()],
    }
}

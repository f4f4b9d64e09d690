//! The specification in plain words, as it will be enforced on this host.
//!
//! Made from the same values as the plan, so that what is said and what is done
//! cannot drift apart by themselves.

use super::host::{Host, Located};
use crate::spec::{Confinement, Files, Network, Process, SandboxSpec};
use std::path::Path;

/// What a command will see, write, reach and use up, a line each.
pub(crate) fn describe(spec: &SandboxSpec, host: &Host, process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    match spec.confinement {
        Confinement::Host => lines.push("runs without a sandbox, with the caller's rights".into()),
        Confinement::Sandbox => {
            describe_files(spec, host, &mut lines);
            lines.push(network(spec.network).to_owned());
            lines.push("sees no process but its own, and can signal and trace no other".into());
            lines.push(
                "gains no privileges, has no capabilities, and cannot mount, load modules, use \
                 keyrings, io_uring, bpf or perf, or make further namespaces"
                    .into(),
            );
        }
    }
    lines.push(format!("starts in `{}`", process.cwd.display()));
    let names: Vec<_> = process.env.iter().map(|(name, _)| name.to_string_lossy()).collect();
    lines.push(format!("has {} environment variables: {}", names.len(), names.join(", ")));
    lines.push("is ended with everything it started when it is over, or its caller is".into());
    lines
}

fn describe_files(spec: &SandboxSpec, host: &Host, lines: &mut Vec<String>) {
    if matches!(spec.files, Files::Inherit) {
        lines.push("sees and writes the host's files as the caller does".into());
        return;
    }
    lines.push("sees the host's files read-only".into());
    if host.writable.is_empty() {
        lines.push("writes nothing of the host's".into());
    }
    lines.extend(host.writable.iter().map(|place| format!("may write below {}", shown(place))));
    let private: Vec<_> = host.private.iter().map(|dir| dir.display().to_string()).collect();
    lines.push(format!(
        "has its own, empty {}, /dev/shm and a minimal /dev; they vanish with it",
        private.join(", ")
    ));
    let (inside, outside): (Vec<_>, Vec<_>) =
        host.readable.iter().partition(|place| in_private(host, &place.path));
    lines.extend(inside.into_iter().map(|place| format!("still sees {}", shown(place))));
    lines.extend(outside.into_iter().map(|place| format!("reads {}", shown(place))));
    lines.extend(host.hidden.iter().map(|place| format!("cannot open {}", shown(place))));
}

fn in_private(host: &Host, path: &Path) -> bool {
    host.private.iter().any(|dir| path.starts_with(dir))
}

fn shown(place: &Located) -> String {
    format!("`{}`", place.path.display())
}

fn network(network: Network) -> &'static str {
    match network {
        Network::Inherit => "has the caller's network",
        Network::Deny => {
            "has a network of its own: nothing but a loopback, on which `localhost` works"
        }
    }
}

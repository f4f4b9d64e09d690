//! The specification in plain words, as it will be enforced on this host.
//!
//! Made from the same values as the plan, so that what is said and what is done
//! cannot drift apart by themselves.

use super::{
    host::{Host, Located},
    landlock::SCOPES_ABI,
    rung::Rung,
};
use crate::spec::{Confinement, Files, Network, Process, SandboxSpec};
use std::path::Path;

/// What a command will see, write, reach and use up, a line each.
pub(crate) fn describe(spec: &SandboxSpec, host: &Host, process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    match spec.confinement {
        Confinement::Host => {
            lines.push("runs without a sandbox, with the caller's rights".into());
            lines.extend(fenced(host));
        }
        Confinement::Sandbox => {
            lines.extend(footing(host));
            describe_files(spec, host, &mut lines);
            lines.push(network(spec.network, host.ground.rung).to_owned());
            lines.push(processes(host).to_owned());
            lines.push(
                "gains no privileges, has no capabilities, and cannot mount, load modules, use \
                 keyrings, io_uring, bpf or perf, or make further namespaces"
                    .into(),
            );
        }
    }
    if let Some(temp) = process.temp.as_ref().filter(|_| host.ground.rung == Rung::Landlock) {
        lines.push(format!("may write below `{}`, for temporary files", temp.display()));
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
    lines.push(match host.ground.rung {
        Rung::Landlock => format!(
            "cannot open anything in {}, nor /dev but for {}; no new terminals, no shared memory",
            private.join(", "),
            host.devices.join(", ")
        ),
        _ => format!(
            "has its own, empty {}, /dev/shm and a minimal /dev; they vanish with it",
            private.join(", ")
        ),
    });
    if host.ground.rung == Rung::Landlock && !host.hidden.is_empty() {
        lines.push(
            "reads no file that comes after its start to a directory with something hidden in it"
                .into(),
        );
    }
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

fn fenced(host: &Host) -> Vec<String> {
    if host.landlock_abi < SCOPES_ABI {
        return vec!["can signal and trace whatever the caller can".into()];
    }
    let mut lines =
        vec!["sees other processes, and can signal and trace none outside its own tree".to_owned()];
    if !host.admin {
        lines.push(
            "gains no privileges: sudo and other set-user-ID programs gain it nothing".into(),
        );
    }
    lines
}

/// What the sandbox stands on, where it is not the best.
fn footing(host: &Host) -> Vec<String> {
    let means = match host.ground.rung {
        Rung::Namespaces => return Vec::new(),
        Rung::OuterProc => "keeps the outer /proc, read-only: this machine refuses a new one",
        Rung::Landlock => {
            "is held by Landlock and the system call filter alone: this machine refuses namespaces"
        }
    };
    let why = host.ground.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    vec![format!("{means}{why}")]
}

fn processes(host: &Host) -> &'static str {
    match host.ground.rung {
        Rung::Namespaces => "sees no process but its own, and can signal and trace no other",
        Rung::Landlock if host.landlock_abi < SCOPES_ABI => {
            "sees other processes, can signal those of the same user, and can trace none"
        }
        _ => "sees other processes, and can signal and trace none but its own",
    }
}

fn network(network: Network, rung: Rung) -> &'static str {
    match (network, rung) {
        (Network::Inherit, _) => "has the caller's network",
        (Network::Deny, Rung::Landlock) => "has no network, not even a loopback of its own",
        (Network::Deny, _) => {
            "has a network of its own: nothing but a loopback, on which `localhost` works"
        }
    }
}

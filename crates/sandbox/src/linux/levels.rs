//! How far each property holds, for a specification on a host.
//!
//! A property that nobody asked for is not in the list. Each reason is a half sentence for the
//! person who reads the result; how to get more is `doctor`'s business.

use super::{
    host::{Host, lies_in},
    landlock::{LEAST_ABI, SCOPES_ABI},
    rung::Rung,
};
use crate::{
    enforcement::{Enforcement, Level},
    spec::{Confinement, Files, Network, SandboxSpec, UnixSockets},
};
use std::path::Path;

/// The properties in their order.
pub(crate) fn levels(spec: &SandboxSpec, host: &Host) -> Enforcement {
    let mut levels = Enforcement::default();
    if spec.confinement == Confinement::Host {
        levels.set("processes", fenced(host));
        return levels;
    }
    if matches!(spec.files, Files::View(_)) {
        levels.set("files", files(host));
        levels.set("hidden", hidden(host));
        if !host.writable.is_empty() {
            levels.set("protected", protected(host));
        }
    }
    match &spec.network {
        Network::Inherit => {}
        Network::Deny => levels.set("network", Level::Full),
        Network::Gateway(_) => levels.set("network", gateway(spec, host)),
    }
    levels.set("processes", processes(host));
    levels.set("ipc", ipc(spec, host));
    if spec.unix_sockets != UnixSockets::Inherit {
        levels.set("unix_sockets", unix_sockets(host));
    }
    levels.set("system_calls", Level::Full);
    levels
}

/// Full when nothing is missing.
fn level(missing: &[String]) -> Level {
    if missing.is_empty() { Level::Full } else { Level::Partial(missing.join("; ")) }
}

fn fenced(host: &Host) -> Level {
    if host.landlock_abi < SCOPES_ABI {
        let why = "signals to processes outside the tree need Landlock's scopes (Linux 6.12)";
        return Level::None(why.to_owned());
    }
    let why = "other processes are seen, but cannot be signalled or traced";
    Level::Partial(why.to_owned())
}

fn files(host: &Host) -> Level {
    if host.ground.rung != Rung::Landlock {
        if host.landlock_abi >= LEAST_ABI {
            return Level::Full;
        }
        let why = "without Landlock a file given as standard input can be opened again for writing";
        return Level::Partial(why.to_owned());
    }
    let why = "without mounts the modes, owners, times and attributes of the caller's other files \
               can be changed";
    Level::Partial(why.to_owned())
}

fn hidden(host: &Host) -> Level {
    let later = |glob| format!("what comes to match `{glob}` after the start can be read");
    let mut missing: Vec<_> = host.open_globs.iter().map(later).collect();
    if host.ground.rung == Rung::Landlock {
        missing.extend(shown_in_writable(host));
        if host.hidden.iter().any(|place| place.directory) {
            missing.push("names in hidden directories can be listed".to_owned());
        }
    }
    level(&missing)
}

/// Credential stores that a writable tree shows, as no mount covers them.
fn shown_in_writable(host: &Host) -> Option<String> {
    let in_writable = |path: &Path| {
        host.writable.iter().any(|tree| tree.path == path || lies_in(path, &tree.path))
    };
    let shown: Vec<_> = host
        .hidden
        .iter()
        .filter(|place| in_writable(&place.path))
        .map(|place| format!("`{}`", place.path.display()))
        .collect();
    (!shown.is_empty())
        .then(|| format!("without mounts {} can be read, inside a writable path", shown.join(", ")))
}

fn gateway(spec: &SandboxSpec, host: &Host) -> Level {
    if host.ground.rung == Rung::Landlock {
        let why = "without a network namespace the gateway is a proxy on the host's loopback: \
                   programs that do not heed `HTTPS_PROXY` and its like reach nothing, and nobody can \
                   listen";
        return Level::Partial(why.to_owned());
    }
    let mut missing = Vec::new();
    if spec.unix_sockets == UnixSockets::Inherit {
        missing.push(
            "who serves the host's Unix sockets may ask for any name, and connect anywhere"
                .to_owned(),
        );
    } else if let (Some(why), Files::Inherit) = (&host.ground.deaf, &spec.files) {
        missing.push(format!("the host's name services can be asked by their Unix sockets: {why}"));
    }
    level(&missing)
}

/// What mounts hold and what is put aside when the run is over is the same to whoever comes after.
fn protected(host: &Host) -> Level {
    match host.ground.rung {
        Rung::Namespaces | Rung::OuterProc => Level::Full,
        Rung::Landlock => {
            let why = "without mounts changes are undone when the run is over";
            Level::Partial(why.to_owned())
        }
    }
}

fn processes(host: &Host) -> Level {
    let why = match host.ground.rung {
        Rung::Namespaces => return Level::Full,
        Rung::OuterProc => {
            "parts of the outer /proc are covered, so no new one may be mounted: other processes \
             are seen, but cannot be signalled or traced"
        }
        Rung::Landlock if host.landlock_abi < SCOPES_ABI => {
            "without namespaces, and without Landlock's scopes (Linux 6.12), other processes are \
             seen and those of the same user can be signalled, but not traced"
        }
        Rung::Landlock => {
            "without namespaces other processes are seen and their scheduling can be changed, but \
             they cannot be signalled or traced"
        }
    };
    Level::Partial(why.to_owned())
}

fn ipc(spec: &SandboxSpec, host: &Host) -> Level {
    let shared = spec.network == Network::Inherit || host.ground.rung == Rung::Landlock;
    if shared && host.landlock_abi < SCOPES_ABI {
        let why = "abstract sockets of the host can be reached on the host's network";
        return Level::Partial(why.to_owned());
    }
    if host.ground.rung == Rung::Landlock {
        let why = "without namespaces System V objects of the host are listed in /proc, though \
                   they cannot be used";
        return Level::Partial(why.to_owned());
    }
    Level::Full
}

fn unix_sockets(host: &Host) -> Level {
    host.ground.deaf.as_ref().map_or(Level::Full, |why| {
        Level::Partial(format!("connections to the host's sockets are not looked at: {why}"))
    })
}

//! The specification in plain words, as it will be enforced on this host.
//!
//! Made from the same values as the plan, so that what is said and what is done
//! cannot drift apart by themselves.

use super::{
    host::{Host, Located},
    landlock::SCOPES_ABI,
    rung::Rung,
};
use crate::{
    spec::{
        Confinement, Files, Network, Process, ReadScope, SandboxSpec, TerminalSize, UnixSockets,
    },
    unheld::{Before, Unheld},
};
use std::path::Path;

/// Places of one kind that are named one by one.
const MOST_LINES: usize = 100;

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
            lines.push(network(&spec.network, host.ground.rung).to_owned());
            lines.extend(sockets(spec, host));
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
    if let Some(TerminalSize { columns, rows }) = process.terminal {
        lines.push(format!("has a terminal of its own, of {columns} columns and {rows} rows"));
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
    if let Files::View(view) = &spec.files {
        lines.push(scope(view.scope, host));
    }
    if host.writable.is_empty() {
        lines.push("writes nothing of the host's".into());
    }
    lines.extend(host.writable.iter().map(|place| format!("may write below {}", shown(place))));
    if let Some(layer) = &host.overlay {
        let (workspace, upper) = (shown(&layer.workspace), shown(&layer.upper));
        lines.push(format!("sees {workspace} as if it could write there; changes go to {upper}"));
    }
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
    each("cannot open", &host.hidden, lines);
    each("cannot change", &host.protected, lines);
    if !host.pinned.is_empty() {
        lines.push("cannot move or remove a directory that one of these lies in".into());
    }
    lines.extend(host.open_globs.iter().map(|pattern| {
        format!("`{pattern}` is what it stands for now; what comes to match later is not meant")
    }));
    unheld(&host.unheld, lines);
}

fn scope(scope: ReadScope, host: &Host) -> String {
    if scope == ReadScope::Host {
        return "sees the host's files read-only".into();
    }
    let empty: Vec<_> = host.beyond.iter().map(shown).collect();
    format!(
        "sees the system's directories read-only, and of {} only what is listed here",
        empty.join(", ")
    )
}

/// A line for each place, up to a bound.
fn each(what: &str, places: &[Located], lines: &mut Vec<String>) {
    lines.extend(places.iter().take(MOST_LINES).map(|place| format!("{what} {}", shown(place))));
    if places.len() > MOST_LINES {
        lines.push(format!("{what} {} more", places.len() - MOST_LINES));
    }
}

/// What the sandbox does not hold itself, a line for each tree.
fn unheld(unheld: &[Unheld], lines: &mut Vec<String>) {
    let mut rest = unheld;
    while let Some(first) = rest.first() {
        let here = rest.iter().take_while(|unheld| unheld.root == first.root).count();
        let (these, others) = rest.split_at(here);
        rest = others;
        let root = first.root.display();
        let names = |before| {
            let these = these.iter().filter(|unheld| unheld.before == before);
            let names: Vec<_> =
                these.map(|unheld| format!("`{}`", unheld.path.display())).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        lines.extend(names(Before::Nothing).map(|names| {
            format!("keeps nothing that it makes in `{root}` at the protected names {names}")
        }));
        lines.extend(names(Before::NoRepository).map(|names| {
            format!("may make a repository in `{root}` at {names}, but keeps no hooks in it")
        }));
        lines.extend(names(Before::Something).map(|names| {
            format!("keeps no change that it makes in `{root}` to the protected {names}")
        }));
    }
}

fn sockets(spec: &SandboxSpec, host: &Host) -> Vec<String> {
    match &spec.unix_sockets {
        UnixSockets::Private => {
            vec!["connects to no Unix socket but those of its own processes".into()]
        }
        UnixSockets::Listed(_) => {
            host.sockets.iter().map(|place| format!("may connect to {}", shown(place))).collect()
        }
        UnixSockets::Inherit => {
            vec!["may connect to the host's Unix sockets as the caller can, but for those in private directories".into()]
        }
    }
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

fn network(network: &Network, rung: Rung) -> &'static str {
    match (network, rung) {
        (Network::Inherit, _) => "has the caller's network",
        (Network::Deny, Rung::Landlock) => "has no network, not even a loopback of its own",
        (Network::Gateway(_), Rung::Landlock) => {
            "connects to one port of the loopback, where a gateway listens as a proxy, and listens nowhere"
        }
        (Network::Gateway(_), _) => {
            "has a network of its own: a loopback, on which `localhost` works, and what a gateway lets out"
        }
        (Network::Deny, _) => {
            "has a network of its own: nothing but a loopback, on which `localhost` works"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        linux::layer::Layer,
        spec::{FileView, Program, Trace},
    };
    use std::{path::PathBuf, time::Duration};

    fn at(path: &str) -> Located {
        Located { path: path.into(), inode: (1, 1), directory: true }
    }

    fn absent(path: &str, before: Before) -> Unheld {
        Unheld { root: "/ws".into(), path: path.into(), before }
    }

    fn described(view: FileView, unix_sockets: UnixSockets, host: &Host) -> String {
        let spec = SandboxSpec {
            confinement: Confinement::Sandbox,
            strict: false,
            files: Files::View(view),
            network: Network::Deny,
            unix_sockets,
            trace: Trace::Changes,
            workspace: "/ws".into(),
        };
        let process = Process {
            program: Program::Path("/bin/x".into()),
            args: Vec::new(),
            env: vec![("PATH".into(), "/bin".into())],
            cwd: "/ws".into(),
            rlimits: Vec::new(),
            linger: Duration::ZERO,
            temp: None,
            proxy: None,
            terminal: None,
        };
        describe(&spec, host, &process).join("\n")
    }

    #[test]
    fn a_writable_workspace_reads_as_words() {
        let host = Host {
            private: ["/tmp", "/run"].map(PathBuf::from).to_vec(),
            writable: vec![at("/ws")],
            readable: vec![at("/run/service.sock"), at("/ws/vendor")],
            hidden: vec![at("/etc/shadow")],
            protected: vec![at("/ws/.git/hooks"), at("/ws/.vscode")],
            pinned: vec![at("/ws/.git")],
            sockets: vec![at("/run/service.sock")],
            open_globs: vec!["/ws/**/.env".into()],
            unheld: vec![
                absent(".bashrc", Before::Nothing),
                absent(".git", Before::NoRepository),
                absent(".profile", Before::Nothing),
            ],
            ..Host::default()
        };
        let sockets = UnixSockets::Listed(vec!["/run/service.sock".into()]);
        insta::assert_snapshot!(described(FileView::default(), sockets, &host));
    }

    #[test]
    fn a_narrow_view_with_a_layer_reads_as_words() {
        let host = Host {
            private: vec!["/tmp".into()],
            beyond: vec![at("/home"), at("/srv")],
            hidden: vec![at("/usr/x"); MOST_LINES + 20],
            overlay: Some(Layer { workspace: at("/ws"), upper: at("/up"), work: at("/work") }),
            ..Host::default()
        };
        let view = FileView { scope: ReadScope::Minimal, ..FileView::default() };
        let words = described(view, UnixSockets::Inherit, &host);
        insta::assert_snapshot!(words.replace("cannot open `/usr/x`\n", ""));
    }
}

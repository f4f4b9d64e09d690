//! From a specification and what the host looks like to the steps of a plan.
//!
//! Two lists: what the init does before the command exists, and the walls the
//! command raises around itself. Between them, at the start of each run, come the
//! steps that depend on the command: directory, limits, program.

use super::{
    host::{Host, Located},
    landlock, mounts,
    rung::Rung,
    seccomp::{self, Heard, Inet, PLAIN, Spec},
};
use crate::{
    error::SandboxError,
    spec::{
        Bounds, Confinement, Files, Network, Process, Program, SandboxSpec, TerminalSize, Trace,
        UnixSockets,
    },
};
use ringfence_launcher::{Plan, Step};
use std::{
    ffi::{CString, OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// Steps that do not depend on the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) namespaces: u64,
    pub(crate) setup: Vec<Step>,
    pub(crate) walls: Vec<Step>,
    /// Rights on a directory that stands in for a private `/tmp`, where there is none.
    pub(crate) temp: Option<u64>,
    /// A gateway is a proxy on a port.
    pub(crate) proxy: Option<Proxied>,
}

/// Who holds connections to the port of a proxy, beside the init: it alone looks at the address, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proxied {
    landlock: bool,
}

/// User and PID namespace can only be entered at birth; the others are the first step.
pub(crate) const BORN_IN: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;
const ENTERED: u64 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP) as u64;

/// The frame of every run in this sandbox.
pub(crate) fn frame(spec: &SandboxSpec, host: &Host) -> Frame {
    match (spec.confinement, host.ground.rung) {
        (Confinement::Host, _) => fenced(host),
        (Confinement::Sandbox, Rung::Landlock) => without_namespaces(spec, host),
        (Confinement::Sandbox, Rung::Namespaces | Rung::OuterProc) => in_namespaces(spec, host),
    }
}

/// No sandbox: the tree is held together, and kept from whatever else runs.
fn fenced(host: &Host) -> Frame {
    let mut setup = vec![Step::Subreaper];
    let fence = landlock::fence(host);
    let mut walls = Vec::new();
    if !fence.is_empty() {
        // Who may do this without giving up set-user-ID programs keeps them.
        walls.extend((!host.admin).then_some(Step::NoNewPrivs));
        walls.push(landlock::ENFORCE);
    }
    walls.push(Step::CloseOthers);
    setup.extend(fence);
    Frame { namespaces: 0, setup, walls, temp: None, proxy: None }
}

fn in_namespaces(spec: &SandboxSpec, host: &Host) -> Frame {
    let own = spec.network.is_own();
    let net = if own { libc::CLONE_NEWNET as u64 } else { 0 };
    let mut setup = vec![Step::Unshare { flags: ENTERED | net }];
    if own {
        setup.push(Step::InterfaceUp { name: "lo" });
    }
    if matches!(spec.network, Network::Gateway(_)) {
        // The only thing that the init waits for: what is done after it, the gateway need not wait for.
        setup.push(Step::OfferSockets);
    }
    setup.extend(match &spec.files {
        Files::Inherit => mounts::proc_only(host),
        Files::View(_) => mounts::view(host),
    });
    let mut walls = raise(spec, host, own, &mut setup);
    walls.push(filter(PLAIN, spec, host));
    Frame { namespaces: BORN_IN, setup, walls, temp: None, proxy: None }
}

/// The files by Landlock, the network and the IPC of the host by the filter.
fn without_namespaces(spec: &SandboxSpec, host: &Host) -> Frame {
    let mut setup = vec![Step::Subreaper];
    let mut walls = raise(spec, host, false, &mut setup);
    let bare = Spec {
        inet: match spec.network {
            Network::Inherit => Inet::Any,
            Network::Deny => Inet::None,
            Network::Gateway(_) => Inet::Connections,
        },
        sysv_ipc: false,
        own_processes: false,
        truncate: host.landlock_abi >= landlock::TRUNCATE_ABI,
        heard: None,
    };
    walls.push(filter(bare, spec, host));
    let view = matches!(spec.files, Files::View(_));
    let temp = view.then(|| landlock::temp_rights(host.landlock_abi));
    let landlock = host.landlock_abi >= landlock::PORTS_ABI;
    let proxied = matches!(spec.network, Network::Gateway(_));
    let proxy = proxied.then_some(Proxied { landlock });
    Frame { namespaces: 0, setup, walls, temp, proxy }
}

/// What the walls need goes to the set-up; the walls, but for the filter.
fn raise(spec: &SandboxSpec, host: &Host, own_network: bool, setup: &mut Vec<Step>) -> Vec<Step> {
    if host.ground.deaf.is_none() {
        let any_socket = spec.unix_sockets == UnixSockets::Inherit;
        let gateway = matches!(spec.network, Network::Gateway(_));
        setup.push(Step::Watch { own_network, any_socket, gateway });
        let allow = |place: &Located| Step::WatchAllow { socket: place.identity() };
        setup.extend(host.sockets.iter().map(allow));
    }
    let ruleset = landlock::ruleset(spec, host);
    let mut walls = vec![Step::NoNewPrivs];
    walls.extend((!ruleset.is_empty()).then_some(landlock::ENFORCE));
    walls.extend([Step::DropPrivileges, Step::CloseOthers]);
    setup.extend(ruleset);
    walls
}

/// The filter, and whether the init hears of what it hands on.
fn filter(filter: Spec, spec: &SandboxSpec, host: &Host) -> Step {
    let listen = host.ground.deaf.is_none();
    let heard = listen.then(|| heard(spec));
    Step::Seccomp { program: seccomp::filter(Spec { heard, ..filter }), listen }
}

fn heard(spec: &SandboxSpec) -> Heard {
    let restricted = spec.unix_sockets != UnixSockets::Inherit;
    let connections = restricted || spec.network.is_own();
    let changes = spec.trace != Trace::Connections;
    let redirections = matches!(spec.trace, Trace::AllChanges | Trace::Reads);
    let reads = spec.trace == Trace::Reads;
    Heard { connections, datagrams: restricted, changes, redirections, reads }
}

/// The whole plan of one run.
pub(crate) fn plan(
    frame: &Frame,
    process: &Process,
    temp: Option<&Located>,
) -> Result<Plan, SandboxError> {
    let mut steps = frame.setup.clone();
    steps.extend(frame.temp.zip(temp).map(|(rights, temp)| landlock::allow_temp(rights, temp)));
    if let Some(Proxied { landlock }) = frame.proxy {
        let port = process.proxy.filter(|port| *port != 0).ok_or(SandboxError::NoProxy)?;
        steps.extend(landlock.then(|| landlock::allow_proxy(port)));
        steps.push(Step::WatchPort { port });
    }
    steps.extend([Step::NewSession, Step::ResetSignals, streams(process)]);
    steps.push(Step::Chdir { path: process.cwd.clone() });
    for limit in &process.rlimits {
        let (resource, soft, hard) = (limit.resource, limit.soft, limit.hard);
        steps.push(Step::Rlimit { resource, soft, hard });
    }
    steps.extend(frame.walls.iter().cloned());
    steps.push(execution(process)?);
    let linger_ms = u32::try_from(process.linger.as_millis()).unwrap_or(u32::MAX);
    Ok(Plan { namespaces: frame.namespaces, linger_ms, steps })
}

/// Where the three standard descriptors come from.
fn streams(process: &Process) -> Step {
    match process.terminal {
        Some(TerminalSize { columns, rows }) => Step::Terminal { columns, rows },
        None => Step::Stdio,
    }
}

/// The step that keeps the number of processes, where a namespace may have one.
///
/// A kernel does not give a number below 300 out again once it has come that far, so that many are
/// added, or a tree that starts one process after the other would run out of numbers.
pub(crate) fn most_processes(bounds: &Bounds<'_>, namespaces: u64) -> Option<Step> {
    const RESERVED: u64 = 300;
    const FILE: &str = "/proc/sys/kernel/pid_max";
    let most = bounds.most_processes.filter(|_| namespaces & libc::CLONE_NEWPID as u64 != 0)?;
    let outside = std::fs::read_to_string(FILE).ok()?.trim().parse().ok()?;
    let highest = most.saturating_add(RESERVED + 1).min(u64::from(u32::MAX));
    Some(Step::MostProcesses { highest, outside })
}

/// A plan whose program does not exist: when the launcher says just that, every step before it
/// has worked. Below a file nothing can be, whoever asks; a directory that others may not look into
/// would be another error.
pub(crate) fn probe(namespaces: u64, setup: &[Step], walls: &[Step]) -> Plan {
    let candidates = vec![c"/dev/null/ringfence-probe".to_owned()];
    let exec = Step::Exec { candidates, args: vec![c"probe".to_owned()], env: Vec::new() };
    let steps = setup.iter().chain(walls).cloned().chain([exec]).collect();
    Plan { namespaces, linger_ms: 0, steps }
}

fn execution(process: &Process) -> Result<Step, SandboxError> {
    let candidates = candidates(&process.program);
    let candidates =
        texts("the program's path", candidates.into_iter().map(PathBuf::into_os_string))?;
    let args = texts("an argument", process.args.iter().cloned())?;
    let env = process.env.iter().map(|(name, value)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        entry
    });
    let env = texts("an environment variable", env)?;
    Ok(Step::Exec { candidates, args, env })
}

/// The files to try; an empty directory of the search path is the working directory.
fn candidates(program: &Program) -> Vec<PathBuf> {
    match program {
        Program::Path(path) => vec![path.clone()],
        Program::Search { name, path } => {
            path.as_bytes()
                .split(|byte| *byte == b':')
                .map(|dir| {
                    if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) }
                })
                .map(|dir| dir.join(name))
                .collect()
        }
    }
}

fn texts(
    role: &'static str,
    texts: impl Iterator<Item = OsString>,
) -> Result<Vec<CString>, SandboxError> {
    texts
        .map(|text| CString::new(text.into_vec()).map_err(|_| SandboxError::Nul { role }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn spec(confinement: Confinement) -> SandboxSpec {
        SandboxSpec {
            confinement,
            strict: false,
            files: Files::Inherit,
            network: Network::Deny,
            unix_sockets: UnixSockets::Private,
            trace: Trace::Changes,
            workspace: "/ws".into(),
        }
    }

    fn process(program: Program) -> Process {
        Process {
            program,
            args: vec!["x".into()],
            env: vec![("K".into(), "v".into())],
            cwd: "/ws".into(),
            rlimits: vec![crate::spec::Rlimit { resource: 7, soft: 10, hard: 20 }],
            linger: Duration::from_millis(5),
            temp: None,
            proxy: None,
            terminal: None,
        }
    }

    #[test]
    fn walls_are_raised_in_order() {
        let host = Host { landlock_abi: 6, ..Host::default() };
        let frame = frame(&spec(Confinement::Sandbox), &host);
        let plan =
            plan(&frame, &process(Program::Path("/bin/x".into())), None).expect("no NUL bytes");
        insta::assert_snapshot!(plan.to_string());
        plan.encode().expect("the order is sound");
    }

    #[test]
    fn without_a_sandbox_the_tree_is_fenced_in() {
        let host = Host { landlock_abi: 6, ..Host::default() };
        let frame = frame(&spec(Confinement::Host), &host);
        let plan =
            plan(&frame, &process(Program::Path("/bin/x".into())), None).expect("no NUL bytes");
        assert_eq!(plan.namespaces, 0);
        insta::assert_snapshot!(plan.to_string());
        plan.encode().expect("the order is sound");
    }

    fn at(path: &str, inode: u64, directory: bool) -> Located {
        Located { path: path.into(), inode: (1, inode), directory }
    }

    /// The second interface is that of Debian 12, the seventh that of the newest kernel.
    #[test]
    fn without_namespaces_landlock_and_the_filter_are_the_walls() {
        use super::super::{
            reach::{Access, Grant},
            rung::Ground,
        };
        let grant = |place, access| Grant { place, access };
        let ground = Ground { rung: Rung::Landlock, ..Ground::default() };
        for abi in [2, 7] {
            let host = Host {
                landlock_abi: abi,
                ground: ground.clone(),
                writable: vec![at("/home/u/ws", 4, true)],
                hidden: vec![at("/home/u/.ssh", 5, true)],
                grants: vec![
                    grant(at("/", 1, true), Access::List),
                    grant(at("/dev/null", 2, false), Access::Device),
                    grant(at("/home/u/.profile", 3, false), Access::Read),
                    grant(at("/home/u/ws", 4, true), Access::Write),
                    grant(at("/usr", 6, true), Access::Read),
                ],
                ..Host::default()
            };
            let spec = SandboxSpec {
                files: Files::View(crate::spec::FileView::default()),
                ..spec(Confinement::Sandbox)
            };
            let frame = frame(&spec, &host);
            let temp = at("/tmp/run", 9, true);
            let process = process(Program::Path("/bin/x".into()));
            let plan = plan(&frame, &process, Some(&temp)).expect("no NUL bytes");
            assert_eq!(plan.namespaces, 0);
            plan.encode().expect("the order is sound");
            let levels = super::super::levels::levels(&spec, &host);
            let levels: Vec<_> =
                levels.iter().map(|(name, level)| format!("{name}: {level}")).collect();
            insta::assert_snapshot!(
                format!("without_namespaces_{abi}"),
                format!("{plan}\n{}", levels.join("\n"))
            );
        }
    }

    #[test]
    fn files_that_are_shared_leave_a_domain_that_nobody_is_traced_from() {
        use super::super::rung::Ground;
        for (abi, network) in [(3, Network::Deny), (5, Network::Deny), (6, Network::Inherit)] {
            let ground = Ground { rung: Rung::Landlock, ..Ground::default() };
            let host = Host { landlock_abi: abi, ground, ..Host::default() };
            let frame = frame(&SandboxSpec { network, ..spec(Confinement::Sandbox) }, &host);
            assert!(frame.walls.contains(&landlock::ENFORCE), "interface {abi}");
            assert!(frame.temp.is_none());
        }
    }

    #[test]
    fn a_gateway_is_waited_for_before_the_view_is_made() {
        let names = crate::spec::NameService {
            resolv_conf: "nameserver 198.18.0.1\n".into(),
            hosts: "127.0.0.1 localhost\n".into(),
        };
        let spec = SandboxSpec { network: Network::Gateway(names), ..spec(Confinement::Sandbox) };
        let said = vec![(at("/etc/resolv.conf", 3, false), "nameserver 198.18.0.1\n".into())];
        let host = Host { landlock_abi: 6, said, ..Host::default() };
        let process = process(Program::Path("/bin/x".into()));
        let plan = plan(&frame(&spec, &host), &process, None).expect("no NUL bytes");
        insta::assert_snapshot!(plan.to_string());
        plan.encode().expect("the order is sound");
    }

    #[test]
    fn without_namespaces_a_gateway_is_one_port() {
        use super::super::rung::Ground;
        let ground = Ground { rung: Rung::Landlock, ..Ground::default() };
        let network = Network::Gateway(crate::spec::NameService::default());
        let spec = SandboxSpec { network, ..spec(Confinement::Sandbox) };
        for (landlock_abi, rules) in [(3, 0), (4, 1)] {
            let host = Host { landlock_abi, ground: ground.clone(), ..Host::default() };
            let frame = frame(&spec, &host);
            let mut process = process(Program::Path("/bin/x".into()));
            let refused = plan(&frame, &process, None);
            assert!(matches!(refused, Err(SandboxError::NoProxy)), "{refused:?}");
            process.proxy = Some(4711);
            let plan = plan(&frame, &process, None).expect("there is a port");
            let count = |wanted: &Step| plan.steps.iter().filter(|step| *step == wanted).count();
            assert_eq!(count(&Step::WatchPort { port: 4711 }), 1);
            assert_eq!(count(&landlock::allow_proxy(4711)), rules);
            plan.encode().expect("the order is sound");
        }
    }

    #[test]
    fn a_search_path_is_read_as_a_shell_does() {
        let check = |path: &str, expect: &[&str]| {
            let program = Program::Search { name: "x".into(), path: path.into() };
            let expect: Vec<_> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(candidates(&program), expect);
        };
        check("/bin:/usr/bin", &["/bin/x", "/usr/bin/x"]);
        check(":/bin:", &["./x", "/bin/x", "./x"]);
        check("", &["./x"]);
    }
}

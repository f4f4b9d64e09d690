//! From a specification and what the host looks like to the steps of a plan.
//!
//! Two lists: what the init does before the command exists, and the walls the
//! command raises around itself. Between them, at the start of each run, come the
//! steps that depend on the command: directory, limits, program.

use super::{
    host::Host,
    mounts,
    seccomp::{self, Heard, Spec},
};
use crate::{
    error::SandboxError,
    spec::{Confinement, Files, Network, Process, Program, SandboxSpec, Trace, UnixSockets},
};
use ringfence_launcher::{Plan, Slot, Step};
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
}

const RULESET: Slot = Slot(255);

/// User and PID namespace can only be entered at birth; the others are the first step.
pub(crate) const BORN_IN: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;
const ENTERED: u64 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP) as u64;

/// The frame of every run in this sandbox.
pub(crate) fn frame(spec: &SandboxSpec, host: &Host) -> Frame {
    if spec.confinement == Confinement::Host {
        return Frame { namespaces: 0, setup: vec![Step::Subreaper], walls: Vec::new() };
    }
    let deny = spec.network == Network::Deny;
    let net = if deny { libc::CLONE_NEWNET as u64 } else { 0 };
    let mut setup = vec![Step::Unshare { flags: ENTERED | net }];
    if deny {
        setup.push(Step::InterfaceUp { name: "lo" });
    }
    setup.extend(match &spec.files {
        Files::Inherit => mounts::proc_only(host),
        Files::View(_) => mounts::view(host),
    });
    let any_socket = spec.unix_sockets == UnixSockets::Inherit;
    setup.push(Step::Watch { own_network: deny, any_socket });
    let ruleset = ruleset(spec, host);
    let walled = !ruleset.is_empty();
    setup.extend(ruleset);
    let mut walls = vec![Step::NoNewPrivs];
    if walled {
        walls.push(Step::RulesetEnforce { ruleset: RULESET });
    }
    walls.extend([Step::DropPrivileges, Step::CloseOthers]);
    walls.push(Step::Seccomp { program: seccomp::filter(heard(spec)), listen: true });
    Frame { namespaces: BORN_IN, setup, walls }
}

/// What the init is handed.
fn heard(spec: &SandboxSpec) -> Spec {
    let restricted = spec.unix_sockets != UnixSockets::Inherit;
    let connections = restricted || spec.network == Network::Deny;
    let reads = spec.trace == Trace::Reads;
    let heard = Heard { connections, datagrams: restricted, changes: true, reads };
    Spec { heard: Some(heard), ..seccomp::PLAIN }
}

// Rights of landlock(7) that change files, by ABI.
const WRITE_FILE: u64 = 1 << 1;
const REMOVE_AND_MAKE: u64 = 0x1ff << 4;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
/// Abstract sockets of, and signals to, processes outside: ABI 6.
const ALL_SCOPES: u64 = 3;
/// The first interface that lets files move between directories at all.
pub(crate) const LEAST_ABI: u32 = 2;

/// The second wall: the same writable trees again, held by inode instead of by mount.
fn ruleset(spec: &SandboxSpec, host: &Host) -> Vec<Step> {
    let abi = host.landlock_abi;
    if abi < LEAST_ABI {
        return Vec::new();
    }
    let scopes = if abi >= 6 { ALL_SCOPES } else { 0 };
    let size = match abi {
        ..4 => 8,
        4..6 => 16,
        _ => 24,
    };
    let truncate = if abi >= 3 { TRUNCATE } else { 0 };
    let change_file = WRITE_FILE | truncate;
    let change_tree = change_file | REMOVE_AND_MAKE | REFER;
    let files = if matches!(spec.files, Files::View(_)) { change_tree } else { 0 };
    if files == 0 && scopes == 0 {
        return Vec::new();
    }
    let mut steps = vec![Step::RulesetCreate { into: RULESET, files, network: 0, scopes, size }];
    if files == 0 {
        return steps;
    }
    let mut allow = |path: &Path, access| {
        steps.push(Step::RulesetAllow { ruleset: RULESET, access, path: path.to_owned() });
    };
    for dir in host.private.iter().filter(|dir| dir.as_path() != Path::new("/run")) {
        allow(dir, change_tree);
    }
    allow(Path::new("/dev/shm"), change_tree);
    allow(Path::new("/dev"), change_file);
    allow(Path::new("/proc"), change_file);
    for place in &host.writable {
        allow(&place.path, if place.directory { change_tree } else { change_file });
    }
    steps
}

/// The whole plan of one run.
pub(crate) fn plan(frame: &Frame, process: &Process) -> Result<Plan, SandboxError> {
    let mut steps = frame.setup.clone();
    steps.extend([Step::NewSession, Step::ResetSignals, Step::Stdio]);
    steps.push(Step::Chdir { path: process.cwd.clone() });
    for limit in &process.rlimits {
        let (resource, soft, hard) = (limit.resource, limit.soft, limit.hard);
        steps.push(Step::Rlimit { resource, soft, hard });
    }
    if frame.walls.is_empty() {
        steps.push(Step::CloseOthers);
    }
    steps.extend(frame.walls.iter().cloned());
    steps.push(execution(process)?);
    let linger_ms = u32::try_from(process.linger.as_millis()).unwrap_or(u32::MAX);
    Ok(Plan { namespaces: frame.namespaces, linger_ms, steps })
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
        }
    }

    #[test]
    fn walls_are_raised_in_order() {
        let host = Host { landlock_abi: 6, ..Host::default() };
        let frame = frame(&spec(Confinement::Sandbox), &host);
        let plan = plan(&frame, &process(Program::Path("/bin/x".into()))).expect("no NUL bytes");
        insta::assert_snapshot!(plan.to_string());
        plan.encode().expect("the order is sound");
    }

    #[test]
    fn without_a_sandbox_no_wall_is_left() {
        let frame = frame(&spec(Confinement::Host), &Host::default());
        let plan = plan(&frame, &process(Program::Path("/bin/x".into()))).expect("no NUL bytes");
        assert_eq!(plan.namespaces, 0);
        insta::assert_snapshot!(plan.to_string());
        plan.encode().expect("the order is sound");
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

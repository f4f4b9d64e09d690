//! Tries each mechanism for real and says how to get what is missing.
//!
//! A try is a plan whose program does not exist: when the launcher says just
//! that, every step before it has worked. Versions and settings are only looked
//! at to find the remedy for what failed (see `remedy`).

use super::{
    landlock,
    plan::{self, BORN_IN},
    remedy, rung,
    rung::Rung,
    seccomp,
};
use crate::{
    check::{Check, VERDICT},
    enforcement::Enforcement,
    sandbox::Sandbox,
    spec::{Confinement, FileView, Files, Network, SandboxSpec, Trace, UnixSockets},
};
use ringfence_launcher::{
    Carrier, MountAttributes, NO_DEV, NO_EXEC, NO_SUID, Plan, READ_ONLY, Report, Slot, Step,
    landlock_abi, spawn, spawn_by,
};
use std::{env, fs, os::fd::AsFd, path::PathBuf, sync::Arc};

pub(crate) use super::remedy::user_namespaces as remedy;

const TREE: Slot = Slot(0);
const LAYER: Slot = Slot(1);

/// A row that is still to be tried.
struct Trial {
    name: &'static str,
    required: bool,
    namespaces: u64,
    steps: Vec<Step>,
    remedy: fn() -> String,
}

/// Tries each mechanism of the sandbox, and last, under the name [`VERDICT`], the default profile
/// as a whole. Takes a few milliseconds.
#[must_use]
pub fn doctor() -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for trial in trials() {
        let refused = checks.first().filter(|first| !first.works && trial.namespaces != 0);
        let check = match refused {
            Some(first) => Check {
                name: trial.name,
                works: false,
                required: trial.required,
                detail: format!("needs {}", first.name),
                remedy: first.remedy.clone(),
            },
            None => attempted(trial),
        };
        checks.push(check);
    }
    checks.push(program_in_memory());
    checks.push(verdict(&checks));
    checks
}

fn trials() -> Vec<Trial> {
    let row = |name, required, namespaces, steps, remedy| Trial {
        name,
        required,
        namespaces,
        steps,
        remedy,
    };
    vec![
        row("user_namespaces", true, BORN_IN, Vec::new(), remedy::user_namespaces),
        row("mount_namespace", true, BORN_IN, view_steps(), remedy::mounts),
        row("own_proc", true, BORN_IN, new_filesystem("proc", "/proc"), remedy::proc),
        row("own_terminals", true, BORN_IN, terminal_steps(), remedy::mounts),
        row("network_namespace", true, BORN_IN, network_steps(), remedy::network),
        row("ipc_uts_cgroup_namespaces", true, BORN_IN, ipc_steps(), remedy::mounts),
        row("seccomp", true, 0, filter_steps(false), remedy::seccomp),
        row("seccomp_listener", true, 0, filter_steps(true), remedy::listener),
        row("landlock", true, 0, landlock_steps(landlock::LEAST_ABI), remedy::landlock),
        row("landlock_scopes", false, 0, landlock_steps(landlock::SCOPES_ABI), remedy::scopes),
        row("overlay_mounts", false, BORN_IN, overlay_steps(), remedy::overlay),
    ]
}

fn unshare(flags: libc::c_int) -> Step {
    Step::Unshare { flags: flags as u64 }
}

fn view_steps() -> Vec<Step> {
    let set = READ_ONLY | NO_SUID | NO_DEV;
    let attributes = MountAttributes { set, recursive: true, private: true };
    let path = PathBuf::from("/");
    vec![unshare(libc::CLONE_NEWNS), Step::MountAttr { path, attributes }]
}

fn new_filesystem(kind: &'static str, at: &str) -> Vec<Step> {
    let attributes = NO_SUID | NO_EXEC;
    vec![
        unshare(libc::CLONE_NEWNS),
        Step::NewFs { into: TREE, kind, options: Vec::new(), attributes },
        Step::Attach { tree: TREE, path: at.into(), identity: None, cover: false },
    ]
}

fn terminal_steps() -> Vec<Step> {
    let mut steps = new_filesystem("tmpfs", "/dev");
    steps.extend(new_filesystem("devpts", "/dev").into_iter().skip(1));
    steps
}

/// A layer as of a workspace, in memory: nothing is made on the host.
fn overlay_steps() -> Vec<Step> {
    let mut steps = new_filesystem("tmpfs", "/dev");
    let [lower, upper, work] = ["/dev/lower", "/dev/upper", "/dev/work"].map(PathBuf::from);
    for path in [&lower, &upper, &work] {
        steps.push(Step::Mkdir { path: path.clone(), mode: 0o755 });
    }
    let attributes = NO_SUID | NO_DEV;
    let path = lower.clone();
    steps.push(Step::Overlay { into: LAYER, lower, identity: None, upper, work, attributes });
    steps.push(Step::Attach { tree: LAYER, path, identity: None, cover: false });
    steps
}

fn network_steps() -> Vec<Step> {
    vec![unshare(libc::CLONE_NEWNET), Step::InterfaceUp { name: "lo" }]
}

fn ipc_steps() -> Vec<Step> {
    vec![unshare(libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP)]
}

fn filter_steps(listen: bool) -> Vec<Step> {
    let heard = listen.then_some(seccomp::Heard {
        connections: true,
        datagrams: true,
        changes: true,
        redirections: true,
        reads: false,
    });
    let filter = seccomp::Spec { heard, ..seccomp::PLAIN };
    let watch = Step::Watch { own_network: false, any_socket: false, gateway: false };
    let walls = [Step::NoNewPrivs, Step::CloseOthers];
    let load = Step::Seccomp { program: seccomp::filter(filter), listen };
    listen.then_some(watch).into_iter().chain(walls).chain([load]).collect()
}

/// A domain of the rights that came with an interface; older kernels refuse to make it.
fn landlock_steps(abi: u32) -> Vec<Step> {
    let mut steps = landlock::trial(abi);
    steps.extend([Step::NoNewPrivs, landlock::ENFORCE]);
    steps
}

fn attempted(Trial { name, required, namespaces, steps, remedy }: Trial) -> Check {
    match attempt(None, Arc::new(plan::probe(namespaces, &steps, &[]))) {
        Ok(()) => {
            let abi = name.starts_with("landlock").then(landlock_abi);
            let detail = abi.map_or("works".to_owned(), |abi| format!("works (interface {abi})"));
            Check { name, works: true, required, detail, remedy: None }
        }
        Err(detail) => Check { name, works: false, required, detail, remedy: Some(remedy()) },
    }
}

/// Carries a plan of [`plan::probe`] out.
pub(crate) fn attempt(carrier: Option<Carrier>, plan: Arc<Plan>) -> Result<(), String> {
    let nothing = fs::File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    let stdio = [nothing.as_fd(), nothing.as_fd(), nothing.as_fd()];
    let tree = match carrier {
        Some(carrier) => spawn_by(carrier, &plan, stdio),
        None => spawn(&plan, stdio),
    };
    let tree = tree.map_err(|error| with_causes(&error))?;
    match tree.wait_report() {
        Ok(Some(Report::Failed(failure))) if failure.not_found() => Ok(()),
        Ok(Some(Report::Failed(failure))) => {
            Err(match (plan.steps.get(failure.index), failure.errno()) {
                (Some(Step::Seccomp { listen: true, .. }), libc::EBUSY) => {
                    "the init of another sandbox around this one listens already".to_owned()
                }
                _ => failure.to_string(),
            })
        }
        Ok(report) => Err(format!("the launcher ended without a word ({report:?})")),
        Err(error) => Err(error.to_string()),
    }
}

/// An error and its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn program_in_memory() -> Check {
    let (name, required) = ("program_in_memory", false);
    match attempt(Some(Carrier::Program), Arc::new(plan::probe(0, &[], &[]))) {
        Ok(()) => Check { name, works: true, required, detail: "works".to_owned(), remedy: None },
        Err(why) => Check {
            name,
            works: false,
            required,
            detail: format!("{why}; a forked child does the work, which costs memory copies"),
            remedy: Some("sysctl vm.memfd_noexec=1 (or 0)".to_owned()),
        },
    }
}

/// The whole of a sandbox as the default profile has it, raised for real.
fn verdict(checks: &[Check]) -> Check {
    let spec = default_profile();
    let found = rung::find(&spec, Rung::Namespaces).and_then(|ground| Sandbox::on(&spec, ground));
    let (works, detail) = match &found {
        Ok(sandbox) => judge(sandbox.backend().as_str(), sandbox.enforcement()),
        Err(error) => (false, format!("refused: {}", with_causes(error))),
    };
    let remedy = checks.iter().find(|check| check.required && !check.works);
    let remedy = remedy.and_then(|check| check.remedy.clone()).filter(|_| !works);
    Check { name: VERDICT, works, required: true, detail, remedy }
}

fn judge(backend: &str, enforcement: &Enforcement) -> (bool, String) {
    let gaps = enforcement.iter().filter(|(_, level)| !level.is_full());
    let gaps: Vec<_> = gaps.map(|(property, level)| format!("{property} is {level}")).collect();
    match gaps.is_empty() {
        true => (true, format!("fully enforced, by {backend}")),
        false => (false, format!("runs, by {backend}, but {}", gaps.join("; "))),
    }
}

fn default_profile() -> SandboxSpec {
    let here = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let writable = Some(here.clone()).filter(|here| here.parent().is_some());
    SandboxSpec {
        confinement: Confinement::Sandbox,
        strict: false,
        files: Files::View(FileView {
            writable: writable.into_iter().collect(),
            ..FileView::default()
        }),
        network: Network::Deny,
        unix_sockets: UnixSockets::Private,
        trace: Trace::Changes,
        workspace: here,
    }
}

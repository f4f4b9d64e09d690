//! Tries each mechanism for real and says how to get what is missing.
//!
//! A try is a plan whose program does not exist: when the launcher says just
//! that, every step before it has worked. Versions and settings are only looked
//! at to find the remedy for what failed.

use super::{
    plan::{self, BORN_IN},
    seccomp,
};
use crate::check::Check;
use ringfence_launcher::{
    Carrier, MountAttributes, NO_DEV, NO_EXEC, NO_SUID, Plan, READ_ONLY, Report, Slot, Step,
    landlock_abi, spawn, spawn_by,
};
use std::{fs, os::fd::AsFd, path::PathBuf, sync::Arc};

const TREE: Slot = Slot(0);

/// Tries each mechanism of the sandbox. Takes a few milliseconds.
#[must_use]
pub fn doctor() -> Vec<Check> {
    let user = check("user_namespaces", BORN_IN, Vec::new(), user_namespace_remedy);
    let works = user.works;
    let mut checks = vec![user];
    let needs_user = |name, steps, remedy: fn() -> String| {
        if works {
            return check(name, BORN_IN, steps, remedy);
        }
        let detail = "needs user namespaces".to_owned();
        Check { name, works: false, detail, remedy: Some(user_namespace_remedy()) }
    };
    checks.push(needs_user("mount_namespace", view_steps(), container_remedy));
    checks.push(needs_user("own_proc", proc_steps(), proc_remedy));
    checks.push(needs_user("own_terminals", terminal_steps(), container_remedy));
    checks.push(needs_user("network_namespace", network_steps(), network_remedy));
    checks.push(needs_user("ipc_uts_cgroup_namespaces", ipc_steps(), container_remedy));
    checks.push(check("seccomp", 0, seccomp_steps(), seccomp_remedy));
    checks.push(landlock());
    checks.push(program_in_memory());
    checks
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

fn proc_steps() -> Vec<Step> {
    new_filesystem("proc", "/proc")
}

fn terminal_steps() -> Vec<Step> {
    let mut steps = new_filesystem("tmpfs", "/dev");
    steps.extend(new_filesystem("devpts", "/dev").into_iter().skip(1));
    steps
}

fn network_steps() -> Vec<Step> {
    vec![unshare(libc::CLONE_NEWNET), Step::InterfaceUp { name: "lo" }]
}

fn ipc_steps() -> Vec<Step> {
    vec![unshare(libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP)]
}

fn seccomp_steps() -> Vec<Step> {
    vec![
        Step::NoNewPrivs,
        Step::CloseOthers,
        Step::Seccomp { program: seccomp::filter(), listen: false },
    ]
}

fn probe_plan(namespaces: u64, mut steps: Vec<Step>) -> Arc<Plan> {
    let candidates = vec![c"/nonexistent/ringfence-probe".to_owned()];
    steps.push(Step::Exec { candidates, args: vec![c"probe".to_owned()], env: Vec::new() });
    Arc::new(Plan { namespaces, linger_ms: 0, steps })
}

fn check(name: &'static str, namespaces: u64, steps: Vec<Step>, remedy: fn() -> String) -> Check {
    match attempt(None, namespaces, steps) {
        Ok(()) => Check { name, works: true, detail: "works".to_owned(), remedy: None },
        Err(detail) => Check { name, works: false, detail, remedy: Some(remedy()) },
    }
}

fn attempt(carrier: Option<Carrier>, namespaces: u64, steps: Vec<Step>) -> Result<(), String> {
    let plan = probe_plan(namespaces, steps);
    let nothing = fs::File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    let stdio = [nothing.as_fd(), nothing.as_fd(), nothing.as_fd()];
    let tree = match carrier {
        Some(carrier) => spawn_by(carrier, &plan, stdio),
        None => spawn(&plan, stdio),
    };
    let tree = tree.map_err(|error| with_causes(&error))?;
    match tree.wait_report() {
        Ok(Some(Report::Failed(failure))) if failure.not_found() => Ok(()),
        Ok(Some(Report::Failed(failure))) => Err(failure.to_string()),
        Ok(report) => Err(format!("the launcher ended without a word ({report:?})")),
        Err(error) => Err(error.to_string()),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn landlock() -> Check {
    let name = "landlock";
    match landlock_abi() {
        0 => Check {
            name,
            works: false,
            detail: "not in this kernel, or switched off".to_owned(),
            remedy: Some(
                "boot a kernel 5.13 or later with `landlock` in its `lsm=` list".to_owned(),
            ),
        },
        abi if abi < plan::LEAST_ABI => Check {
            name,
            works: false,
            detail: format!("interface {abi} cannot move files between directories"),
            remedy: Some("boot a kernel 5.19 or later".to_owned()),
        },
        abi => Check { name, works: true, detail: format!("interface {abi}"), remedy: None },
    }
}

fn program_in_memory() -> Check {
    let name = "program_in_memory";
    match attempt(Some(Carrier::Program), 0, Vec::new()) {
        Ok(()) => Check { name, works: true, detail: "works".to_owned(), remedy: None },
        Err(why) => Check {
            name,
            works: false,
            detail: format!("{why}; a forked child does the work, which costs memory copies"),
            remedy: Some("sysctl vm.memfd_noexec=1 (or 0)".to_owned()),
        },
    }
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn user_namespace_remedy() -> String {
    let is = |path, value: &str| setting(path).as_deref() == Some(value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return "sysctl user.max_user_namespaces=10000".to_owned();
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "sysctl kernel.unprivileged_userns_clone=1".to_owned();
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile \
                for this program with the rule `userns,`"
            .to_owned();
    }
    "in a container, allow the system calls clone, unshare and mount (Docker: \
     --security-opt seccomp=unconfined --security-opt apparmor=unconfined); a chroot never \
     allows them"
        .to_owned()
}

fn container_remedy() -> String {
    "in a container, allow mounts (Docker: --security-opt seccomp=unconfined --security-opt \
     apparmor=unconfined)"
        .to_owned()
}

fn proc_remedy() -> String {
    "in a container, leave /proc unmasked (Docker: --security-opt systempaths=unconfined)"
        .to_owned()
}

fn network_remedy() -> String {
    "sysctl user.max_net_namespaces=10000; on Ubuntu see the remedy for user namespaces".to_owned()
}

fn seccomp_remedy() -> String {
    "a kernel with CONFIG_SECCOMP_FILTER".to_owned()
}

//! How to get a mechanism that does not work here, as exactly as this machine lets it be told.
//!
//! Settings are looked at only here, after a try has failed, and only to choose the words.

use std::{fs, path::Path};

const DOCKER: &str = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
                      --security-opt systempaths=unconfined";

fn is(setting: &str, value: &str) -> bool {
    fs::read_to_string(setting).is_ok_and(|text| text.trim() == value)
}

pub(crate) fn user_namespaces() -> String {
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return "sysctl user.max_user_namespaces=10000".to_owned();
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "sysctl kernel.unprivileged_userns_clone=1".to_owned();
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "allow them to this program: `ringfence doctor --apparmor` prints a profile; save \
                it as /etc/apparmor.d/ringfence and load it with `apparmor_parser -r \
                /etc/apparmor.d/ringfence` (or allow them to every program: sysctl \
                kernel.apparmor_restrict_unprivileged_userns=0)"
            .to_owned();
    }
    if in_chroot() {
        return "a chroot never allows them: use a container, or pivot_root".to_owned();
    }
    if is_filtered() {
        return format!(
            "this process is under a system call filter that refuses them: in a container run it \
             with other options (Docker: {DOCKER}); inside another sandbox run it outside"
        );
    }
    format!("in a container, allow the system calls clone, unshare and mount (Docker: {DOCKER})")
}

/// No mount is seen at `/`: the root of this process is a directory in one.
fn in_chroot() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).map(str::to_owned);
    !mounts.is_empty() && !mounts.lines().any(|line| point(line).as_deref() == Some("/"))
}

fn is_filtered() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

pub(crate) fn mounts() -> String {
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return user_namespaces();
    }
    format!("in a container, allow mounts (Docker: {DOCKER})")
}

pub(crate) fn proc() -> String {
    "in a container, leave /proc uncovered (Docker: --security-opt systempaths=unconfined)"
        .to_owned()
}

pub(crate) fn network() -> String {
    if is("/proc/sys/user/max_net_namespaces", "0") {
        return "sysctl user.max_net_namespaces=10000".to_owned();
    }
    user_namespaces()
}

pub(crate) fn seccomp() -> String {
    "a kernel with CONFIG_SECCOMP_FILTER".to_owned()
}

pub(crate) fn listener() -> String {
    "a filter has one listener in all: inside another sandbox run it outside; else a kernel from \
     5.9 on"
        .to_owned()
}

pub(crate) fn landlock() -> String {
    const LIST: &str = "/sys/kernel/security/lsm";
    let list = fs::read_to_string(LIST).unwrap_or_default();
    if Path::new(LIST).exists() && !list.split(',').any(|name| name.trim() == "landlock") {
        let list = list.trim();
        return format!("boot with `lsm=landlock,{list}` (it needs a kernel from 5.19 on)");
    }
    "boot a kernel from 5.19 on, with `landlock` in its `lsm=` list".to_owned()
}

pub(crate) fn scopes() -> String {
    "boot a kernel from 6.12 on, with `landlock` in its `lsm=` list".to_owned()
}

pub(crate) fn overlay() -> String {
    "a kernel from 5.11 on with overlayfs (`modprobe overlay`); in a container, allow mounts"
        .to_owned()
}

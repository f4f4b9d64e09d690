//! Getting the shells that the tests want, where that is possible: as root, on Debian and its kin.

use std::path::Path;
use std::process::{Command, Stdio};

use ringfence_tests::shell::KINDS;

/// Debian's packages of a shell, best first: not every release has the first.
const PACKAGES: &[(&str, &[&str])] = &[
    ("bash", &["bash"]),
    ("dash", &["dash"]),
    ("ash", &["busybox-static", "busybox"]),
    ("zsh", &["zsh"]),
    ("ksh", &["ksh93u+m", "ksh"]),
    ("mksh", &["mksh"]),
    ("yash", &["yash"]),
    ("fish", &["fish"]),
];

/// Installs the shells that are missing, if this is a machine on which that can be done. What fails is found out by
/// the tests, which name what they had to skip.
pub(crate) fn install_missing() {
    let missing: Vec<&str> = KINDS
        .iter()
        .filter(|kind| kind.find(Path::new("/")).is_none())
        .map(|kind| kind.name)
        .collect();
    if missing.is_empty() || !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return;
    }
    println!("installing shells: {}", missing.join(", "));
    let wanted = PACKAGES.iter().filter(|(shell, _)| missing.contains(shell));
    let mut updated = false;
    for (_, packages) in wanted {
        if packages.iter().any(|package| install(package)) {
            continue;
        }
        if !updated {
            updated = apt(&["update"]);
            packages.iter().any(|package| install(package));
        }
    }
}

fn install(package: &str) -> bool {
    apt(&["install", "-y", "--no-install-recommends", package])
}

fn apt(args: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    command.arg("-q").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// True when the superuser runs this.
pub(crate) fn is_root() -> bool {
    ringfence_tests::account::Account::current().is_root()
}

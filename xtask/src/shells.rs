//! Getting the shells and tools that the tests want, where that is possible: as root, on Debian and its kin.
//!
//! Only small packages, and none that starts a service: whole languages and databases are used where they are there.

use std::path::Path;
use std::process::{Command, Stdio};

use ringfence_tests::shell::{KINDS, program};

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

/// Debian's packages of tools that the cases run.
const TOOLS: &[(&str, &[&str])] = &[
    ("autoconf", &["autoconf"]),
    ("bc", &["bc"]),
    ("cmake", &["cmake"]),
    ("curl", &["curl"]),
    ("dc", &["dc"]),
    ("expect", &["expect"]),
    ("jq", &["jq"]),
    ("less", &["less"]),
    ("lsof", &["lsof"]),
    ("ltrace", &["ltrace"]),
    ("m4", &["m4"]),
    ("nc", &["netcat-openbsd"]),
    ("patch", &["patch"]),
    ("php", &["php-cli"]),
    ("rsync", &["rsync"]),
    ("ruby", &["ruby"]),
    ("screen", &["screen"]),
    ("shellcheck", &["shellcheck"]),
    ("socat", &["socat"]),
    ("sqlite3", &["sqlite3"]),
    ("top", &["procps"]),
    ("unzip", &["unzip"]),
    ("vi", &["vim-tiny"]),
    ("wget", &["wget"]),
    ("zip", &["zip"]),
];

/// Installs the shells and tools that are missing, if this is a machine on which that can be done. What fails is found
/// out by the tests, which name what they had to skip.
pub(crate) fn install_missing() {
    let shells = PACKAGES.iter().filter(|(shell, _)| {
        KINDS.iter().any(|kind| kind.name == *shell && kind.find(Path::new("/")).is_none())
    });
    let tools = TOOLS.iter().filter(|(tool, _)| program(tool).is_none());
    let missing: Vec<_> = shells.chain(tools).collect();
    if missing.is_empty() || !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    println!("installing {}", names.join(", "));
    let mut updated = false;
    for (_, packages) in missing {
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

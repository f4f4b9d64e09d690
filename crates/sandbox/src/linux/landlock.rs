//! Rules of Landlock: the second wall under namespaces, the only wall for files without them,
//! and a fence around the processes of a command that has no sandbox.
//!
//! Pure functions from what was looked at to steps. Rights are those of the interface that the
//! running kernel has; what it cannot handle is said in `enforcement`, never left out in silence.
//!
//! The one trap: Landlock knows opening, making, moving and removing. It does not know changing
//! a mode, an owner, a time or an attribute, nor looking at one: only mounts keep those.

use super::{
    host::{Host, Located},
    reach::{Access, Grant},
    rung::Rung,
};
use crate::spec::{Files, SandboxSpec};
use ringfence_launcher::{Identity, Slot, Step};
use std::path::Path;

const RULESET: Slot = Slot(255);

/// The first interface that lets files move between directories at all.
pub(crate) const LEAST_ABI: u32 = 2;
/// The first interface that knows emptying a file.
pub(crate) const TRUNCATE_ABI: u32 = 3;
/// The first interface that knows ports of TCP.
pub(crate) const PORTS_ABI: u32 = 4;
/// The first interface that knows scopes: signals, abstract sockets.
pub(crate) const SCOPES_ABI: u32 = 6;

// `LANDLOCK_ACCESS_FS_*`, and the interface each came with.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_AND_MAKE: u64 = 0x1ff << 4;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
/// `LANDLOCK_ACCESS_NET_BIND_TCP` and `_CONNECT_TCP`: ABI 4.
const TCP: u64 = CONNECT_TCP | 1;
const CONNECT_TCP: u64 = 2;
const ABSTRACT_SOCKETS: u64 = 1;
const SIGNALS: u64 = 2;

/// Every right on files that an interface knows.
fn all_rights(abi: u32) -> u64 {
    let since = |first: u32, right: u64| if abi >= first { right } else { 0 };
    EXECUTE
        | WRITE_FILE
        | READ_FILE
        | READ_DIR
        | REMOVE_AND_MAKE
        | since(2, REFER)
        | since(TRUNCATE_ABI, TRUNCATE)
        | since(5, IOCTL_DEV)
}

/// A ruleset in the making.
struct Ruleset {
    abi: u32,
    files: u64,
    steps: Vec<Step>,
}

impl Ruleset {
    fn new(abi: u32, files: u64, network: u64, scopes: u64) -> Self {
        let size = match abi {
            ..4 => 8,
            4..SCOPES_ABI => 16,
            _ => 24,
        };
        let create = Step::RulesetCreate { into: RULESET, files, network, scopes, size };
        Self { abi, files, steps: vec![create] }
    }

    fn allow(&mut self, path: &Path, access: u64) {
        let (path, access) = (path.to_owned(), access & self.files);
        self.steps.push(allow(path.as_path(), access, None, false));
    }

    fn allow_grant(&mut self, Grant { place, access }: &Grant) {
        let write =
            all_rights(self.abi) & if place.path.starts_with("/dev") { !0 } else { !IOCTL_DEV };
        let rights = match access {
            Access::List => READ_DIR,
            Access::Read => EXECUTE | READ_FILE | READ_DIR,
            Access::Device => READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV,
            Access::Write => write,
        };
        let rights = rights & self.files & if place.directory { !0 } else { OF_FILES };
        // A writable tree that is gone is a failure; any other may go while the host lives on.
        let lenient = *access != Access::Write;
        self.steps.push(allow(&place.path, rights, Some(place.identity()), lenient));
    }
}

fn allow(path: &Path, access: u64, identity: Option<Identity>, lenient: bool) -> Step {
    Step::RulesetAllow { ruleset: RULESET, access, path: path.to_owned(), identity, lenient }
}

/// The last step of any of these rulesets, in the command's own process.
pub(crate) const ENFORCE: Step = Step::RulesetEnforce { ruleset: RULESET };

/// The ruleset of a sandbox, if the kernel has any use for one.
pub(crate) fn ruleset(spec: &SandboxSpec, host: &Host) -> Vec<Step> {
    match host.ground.rung {
        Rung::Landlock => only_wall(spec, host),
        Rung::Namespaces | Rung::OuterProc => second_wall(spec, host),
    }
}

/// The same writable trees again, held by inode instead of by mount.
fn second_wall(spec: &SandboxSpec, host: &Host) -> Vec<Step> {
    let abi = host.landlock_abi;
    let scopes = if abi >= SCOPES_ABI { ABSTRACT_SOCKETS | SIGNALS } else { 0 };
    let view = matches!(spec.files, Files::View(_));
    if abi < LEAST_ABI || !view && scopes == 0 {
        return Vec::new();
    }
    let change_file = (WRITE_FILE | TRUNCATE) & all_rights(abi);
    let change_tree = change_file | REMOVE_AND_MAKE | REFER;
    let mut ruleset = Ruleset::new(abi, if view { change_tree } else { 0 }, 0, scopes);
    if !view {
        return ruleset.steps;
    }
    for dir in host.private.iter().filter(|dir| dir.as_path() != Path::new("/run")) {
        ruleset.allow(dir, change_tree);
    }
    ruleset.allow(Path::new("/dev/shm"), change_tree);
    ruleset.allow(Path::new("/dev"), change_file);
    ruleset.allow(Path::new("/proc"), change_file);
    let layer = host.overlay.iter().map(|layer| &layer.workspace);
    for place in host.writable.iter().chain(layer) {
        ruleset.allow(&place.path, if place.directory { change_tree } else { change_file });
    }
    ruleset.steps
}

/// Every right is handled, and nothing is granted but what was found to be.
fn only_wall(spec: &SandboxSpec, host: &Host) -> Vec<Step> {
    let abi = host.landlock_abi;
    let scopes = if abi >= SCOPES_ABI { ABSTRACT_SOCKETS | SIGNALS } else { 0 };
    let network = if abi >= PORTS_ABI && spec.network.is_own() { TCP } else { 0 };
    match &spec.files {
        Files::View(_) => {
            let mut ruleset = Ruleset::new(abi, all_rights(abi), network, scopes);
            host.grants.iter().for_each(|grant| ruleset.allow_grant(grant));
            ruleset.steps
        }
        Files::Inherit if scopes | network != 0 => Ruleset::new(abi, 0, network, scopes).steps,
        // Any domain keeps strangers from being traced, but it must handle something.
        Files::Inherit => {
            let mut ruleset = Ruleset::new(abi, EXECUTE | REFER, 0, 0);
            ruleset.allow(Path::new("/"), EXECUTE | REFER);
            ruleset.steps
        }
    }
}

/// For a command without a sandbox: no signal leaves its tree, and as it is in a domain of its
/// own, nobody outside can be traced. Files stay as they are: even mounting goes on.
pub(crate) fn fence(host: &Host) -> Vec<Step> {
    if host.landlock_abi < SCOPES_ABI {
        return Vec::new();
    }
    Ruleset::new(host.landlock_abi, 0, 0, SIGNALS).steps
}

/// A domain with everything an interface knows, for a try.
pub(crate) fn trial(abi: u32) -> Vec<Step> {
    let scopes = if abi >= SCOPES_ABI { ABSTRACT_SOCKETS | SIGNALS } else { 0 };
    let mut ruleset = Ruleset::new(abi, all_rights(abi), 0, scopes);
    ruleset.allow(Path::new("/"), all_rights(abi));
    ruleset.steps
}

/// Rights on the directory for temporary files that stands in for a private `/tmp`.
pub(crate) fn temp_rights(abi: u32) -> u64 {
    all_rights(abi) & !IOCTL_DEV
}

/// Grants connections to the one port where a gateway listens.
pub(crate) fn allow_proxy(port: u16) -> Step {
    Step::RulesetAllowPort { ruleset: RULESET, access: CONNECT_TCP, port }
}

/// Grants that directory.
pub(crate) fn allow_temp(rights: u64, place: &Located) -> Step {
    allow(&place.path, rights, Some(place.identity()), false)
}

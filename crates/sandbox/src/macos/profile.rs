//! From rules to the text of a Seatbelt profile: a pure function.
//!
//! The profile begins with `(deny default)`, so what no rule speaks of is refused: other Mach
//! services (the keychain's and the one that starts applications among them), IOKit, preferences,
//! Apple events, kernel extensions. Of several rules that fit, the last one holds; that is what
//! gives the order: what is seen, then places from the outermost to the innermost, then what
//! nothing may loosen (wildcards, protected paths, pins).
//!
//! Only forms are used that profiles in wide use have (Chromium, Bazel, Nix, agent runners), since
//! one word that a system does not know makes it refuse the whole profile.
//!
//! The trap: the kernel compares the real path of a file. `/tmp`, `/var` and `/etc` are links into
//! `/private`, and a file of the data volume has a second name below `/System/Volumes/Data`.
//!
//! # References
//! sandbox-exec(1), sandbox(7); `/System/Library/Sandbox/Profiles` on any Mac.

use super::{
    rules::{NetworkRule, Pattern, Rules, View},
    services,
    text::{Below, Unwritable, plain, quoted, regex},
};
use crate::spec::{ReadScope, UnixSockets};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A path that cannot be written in a profile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPath {
    pub(crate) path: PathBuf,
    pub(crate) why: Unwritable,
}

/// The text for these rules.
///
/// # Errors
/// The first path that cannot be written.
pub(crate) fn profile(rules: &Rules) -> Result<String, BadPath> {
    let mut profile = Profile { text: String::from("(version 1)\n(deny default)\n") };
    profile.processes();
    match &rules.view {
        None => profile.rule("allow", "file*", &[]),
        Some(view) => profile.view(view, rules)?,
    }
    profile.network(rules.network);
    profile.sockets(rules)?;
    Ok(profile.text)
}

/// Directories that every command gets one of its own instead of, as `/tmp` on Linux.
const SHARED_TEMP: &[&str] = &["/private/tmp", "/private/var/tmp"];
/// The same for one user: what `TMPDIR` names by default.
const USER_TEMP: &str = "^/private/var/folders/[^/]+/[^/]+/T(/.*)?$";
/// What is seen with [`ReadScope::Minimal`]: programs, libraries, and what they are configured by.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/opt",
    "/nix",
    "/System",
    "/Library",
    "/Applications/Xcode.app",
    "/private/etc",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
    "/private/var/db/xcode_select_link",
    "/private/var/select",
];
/// Devices that can be read; all others are not seen, the terminals of others above all.
const READ_DEVICES: &[&str] = &[
    "/dev",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/dev/ptmx",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/autofs_nowait",
    "/dev/dtracehelper",
];
const WRITE_DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/stdout", "/dev/stderr"];
/// fcntl(2) commands that change a file through a descriptor opened for reading:
/// `F_MAKECOMPRESSED` and `F_TRANSFEREXTENTS`.
const CHANGING_FCNTL: &str = "(fcntl-command 80 110)";

struct Profile {
    text: String,
}

impl Profile {
    /// One rule; without filters it holds for everything.
    fn rule(&mut self, effect: &str, operations: &str, filters: &[String]) {
        self.text.push_str(&format!("({effect} {operations}"));
        match filters {
            [] => {}
            [filter] => self.text.push_str(&format!(" {filter}")),
            filters => {
                filters.iter().for_each(|filter| self.text.push_str(&format!("\n  {filter}")));
            }
        }
        self.text.push_str(")\n");
    }

    /// Its own processes, what a C library asks the kernel for, and the services of the system.
    fn processes(&mut self) {
        self.rule("allow", "process-exec", &[]);
        self.rule("allow", "process-fork", &[]);
        let own = ["(target same-sandbox)".to_owned()];
        self.rule("allow", "signal", &own);
        self.rule("allow", "process-info*", &own);
        let named = services::SYSCTL_NAMES.iter().map(|name| filter("sysctl-name", name));
        let prefixed = services::SYSCTL_PREFIXES.iter();
        let prefixed = prefixed.map(|prefix| filter("sysctl-name-prefix", prefix));
        self.rule("allow", "sysctl-read", &named.chain(prefixed).collect::<Vec<_>>());
        // Java asks by a call that counts as writing.
        self.rule("allow", "sysctl-write", &[filter("sysctl-name", "kern.grade_cputype")]);
        self.services(services::MACH);
        self.rule("allow", "ipc-posix-sem", &[]);
        let notifications = filter("ipc-posix-name", "apple.shm.notification_center");
        self.rule("allow", "ipc-posix-shm-read-data", &[notifications]);
        self.rule("allow", "pseudo-tty", &[]);
    }

    fn services(&mut self, services: &[&str]) {
        let names: Vec<_> = services.iter().map(|name| filter("global-name", name)).collect();
        self.rule("allow", "mach-lookup", &names);
    }

    fn view(&mut self, view: &View, rules: &Rules) -> Result<(), BadPath> {
        self.seen(view.scope);
        self.devices(rules)?;
        let places = places(view, rules.temp.as_deref());
        for (path, access) in &places {
            self.place(path, *access)?;
        }
        self.ancestors(&places)?;
        let roots = roots(view, rules.temp.as_deref());
        self.hidden_patterns(view)?;
        self.protected(view, &roots)?;
        self.pins(view, &roots)?;
        self.rule("deny", "system-fcntl", &[CHANGING_FCNTL.to_owned()]);
        Ok(())
    }

    fn seen(&mut self, scope: ReadScope) {
        self.rule("allow", "file-map-executable", &[]);
        match scope {
            ReadScope::Host => self.rule("allow", "file-read*", &[]),
            ReadScope::Minimal => {
                let root = std::iter::once(filter("literal", "/"));
                let trees = SYSTEM.iter().map(|path| filter("subpath", path));
                self.rule("allow", "file-read*", &root.chain(trees).collect::<Vec<_>>());
                // The links themselves, and the way to what is below them.
                let links = ["/tmp", "/var", "/etc", "/private", "/private/var"];
                let links = links.map(|path| filter("literal", path));
                self.rule("allow", "file-read-metadata", &links);
            }
        }
        let shared = SHARED_TEMP.iter().map(|path| filter("subpath", path));
        let user = std::iter::once(filter("regex", USER_TEMP));
        self.rule("deny", "file-read* file-write*", &shared.chain(user).collect::<Vec<_>>());
    }

    fn devices(&mut self, rules: &Rules) -> Result<(), BadPath> {
        let literals =
            |paths: &[&str]| paths.iter().map(|path| filter("literal", path)).collect::<Vec<_>>();
        self.rule("deny", "file-read* file-write*", &[filter("subpath", "/dev")]);
        let mut read = literals(READ_DEVICES);
        read.push(filter("subpath", "/dev/fd"));
        self.rule("allow", "file-read*", &read);
        let mut write = literals(WRITE_DEVICES);
        write.push(filter("subpath", "/dev/fd"));
        self.rule("allow", "file-write-data", &write);
        self.rule("allow", "file-ioctl", &literals(&["/dev/null", "/dev/zero", "/dev/urandom"]));
        self.rule("allow", "file-read* file-write* file-ioctl", &literals(&["/dev/ptmx"]));
        // Pseudo-terminals that it opened itself, and nobody else's.
        let own =
            "(require-all (regex \"^/dev/ttys[0-9]+$\") (extension \"com.apple.sandbox.pty\"))";
        self.rule("allow", "file-read* file-write* file-ioctl", &[own.to_owned()]);
        if !rules.terminals.is_empty() {
            let given = rules.terminals.iter().map(|path| path_filter("literal", path));
            self.rule("allow", "file-ioctl", &given.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(())
    }

    /// Every directory on the way to a place can be passed, though not listed.
    fn ancestors(&mut self, places: &[(&Path, Access)]) -> Result<(), BadPath> {
        let shown = places.iter().filter(|(_, access)| *access != Access::Hide);
        let above: BTreeSet<_> = shown.flat_map(|(path, _)| path.ancestors().skip(1)).collect();
        let filters = above.into_iter().map(|path| path_filter("literal", path));
        let filters = filters.collect::<Result<Vec<_>, _>>()?;
        if !filters.is_empty() {
            self.rule("allow", "file-read-metadata", &filters);
        }
        Ok(())
    }

    fn place(&mut self, path: &Path, access: Access) -> Result<(), BadPath> {
        match access {
            Access::Write => {
                self.rule("allow", "file-read* file-write*", &under("subpath", path)?);
            }
            Access::Read => {
                self.rule("allow", "file-read*", &under("subpath", path)?);
                self.rule("deny", "file-write*", &under("subpath", path)?);
            }
            Access::Hide => {
                self.rule("deny", HIDE, &hiding(path)?);
            }
        }
        Ok(())
    }

    fn hidden_patterns(&mut self, view: &View) -> Result<(), BadPath> {
        for pattern in &view.hidden_patterns {
            self.rule("deny", HIDE, &matching(pattern)?);
        }
        Ok(())
    }

    /// What exists is held under the name the kernel knows it by; what does not, under its name
    /// in letters of either case, since most volumes do not tell one from the other.
    fn protected(&mut self, view: &View, roots: &[&Path]) -> Result<(), BadPath> {
        for path in &view.protected {
            self.rule("deny", "file-write*", &under("subpath", path)?);
        }
        for path in &view.absent {
            let root = roots.iter().find(|root| path.starts_with(root));
            let Some(root) = root.or(path.parent().as_ref()).copied() else { continue };
            let rest = path.strip_prefix(root).unwrap_or(path);
            let filters = named(root, Below::Name(writable_text(rest)?))?;
            self.rule("deny", "file-write*", &filters);
        }
        for pattern in &view.protected_patterns {
            self.rule("deny", "file-write*", &matching(pattern)?);
        }
        Ok(())
    }

    /// Whatever rules speak of by its path must keep that path: a directory above it cannot be
    /// moved or removed, nor can the writable trees themselves.
    fn pins(&mut self, view: &View, roots: &[&Path]) -> Result<(), BadPath> {
        let mut pinned: BTreeSet<&Path> = roots.iter().copied().collect();
        let patterns = view.hidden_patterns.iter().chain(&view.protected_patterns);
        let directories = patterns.flat_map(|pattern| pattern.below.ancestors());
        let paths = view.hidden.iter().chain(&view.protected).chain(&view.absent);
        let parents = paths.chain(&view.readable).flat_map(|path| path.ancestors().skip(1));
        let inside = |path: &&Path| roots.iter().any(|root| path.starts_with(root));
        pinned.extend(directories.chain(parents).filter(inside));
        let filters = pinned.into_iter().map(|path| under("literal", path));
        let filters: Vec<_> = filters.collect::<Result<Vec<_>, _>>()?.concat();
        if !filters.is_empty() {
            self.rule("deny", "file-write-unlink", &filters);
        }
        Ok(())
    }

    fn network(&mut self, network: NetworkRule) {
        match network {
            NetworkRule::Deny => {}
            NetworkRule::Gateway(port) => {
                let gateway = format!("(remote ip \"localhost:{port}\")");
                self.rule("allow", "network-outbound", &[gateway]);
            }
            NetworkRule::Inherit => {
                self.rule("allow", "system-socket", &[]);
                let remote = ["(remote ip)".to_owned(), filter("literal", RESOLVER)];
                self.rule("allow", "network-outbound", &remote);
                let local = ["(local ip)".to_owned()];
                self.rule("allow", "network-inbound", &local);
                self.rule("allow", "network-bind", &local);
                self.services(services::MACH_NETWORK);
                let routes = filter("sysctl-name-prefix", "net.routetable.");
                self.rule("allow", "sysctl-read", &[routes]);
            }
        }
    }

    fn sockets(&mut self, rules: &Rules) -> Result<(), BadPath> {
        self.rule("allow", "system-socket", &["(socket-domain AF_UNIX)".to_owned()]);
        let own = match &rules.view {
            Some(view) => roots(view, rules.temp.as_deref()),
            None => rules.temp.as_deref().into_iter().collect(),
        };
        let mut connect = Vec::new();
        for path in &own {
            let [local, remote] = own_sockets(path)?;
            self.rule("allow", "network-bind network-inbound", &[local]);
            connect.push(remote);
        }
        match &rules.sockets {
            UnixSockets::Private => {}
            UnixSockets::Listed(paths) => {
                for path in paths {
                    connect.extend(remote_sockets(path)?);
                }
            }
            UnixSockets::Inherit => connect = vec!["(remote unix-socket)".to_owned()],
        }
        if !connect.is_empty() {
            self.rule("allow", "network-outbound", &connect);
        }
        self.hidden_sockets(rules)
    }

    /// A socket in what is hidden cannot be connected to, whatever lies around it.
    fn hidden_sockets(&mut self, rules: &Rules) -> Result<(), BadPath> {
        let Some(view) = &rules.view else { return Ok(()) };
        let roots = roots(view, rules.temp.as_deref());
        let all = matches!(rules.sockets, UnixSockets::Inherit);
        let mut filters = Vec::new();
        for path in &view.hidden {
            if all || roots.iter().any(|root| path.starts_with(root)) {
                filters.extend(remote_sockets(path)?);
            }
        }
        if !filters.is_empty() {
            self.rule("deny", "network-outbound", &filters);
        }
        Ok(())
    }
}

/// Where the name resolver listens.
const RESOLVER: &str = "/private/var/run/mDNSResponder";
/// Everything a hidden file could be used for.
const HIDE: &str = "file-read* file-write* process-exec";

/// What can be done with a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Write,
    Read,
    Hide,
}

/// All trees from the outermost to the innermost; of two words on one path the stricter is last.
fn places<'v>(view: &'v View, temp: Option<&'v Path>) -> Vec<(&'v Path, Access)> {
    let writable = view.writable.iter().map(PathBuf::as_path).chain(temp);
    let mut places: Vec<_> = writable.map(|path| (path, Access::Write)).collect();
    places.extend(view.readable.iter().map(|path| (path.as_path(), Access::Read)));
    places.extend(view.hidden.iter().map(|path| (path.as_path(), Access::Hide)));
    places.sort_by_key(|(path, access)| (path.components().count(), *path, *access));
    places.dedup();
    places
}

/// Trees that can be written, the outermost first.
fn roots<'v>(view: &'v View, temp: Option<&'v Path>) -> Vec<&'v Path> {
    let mut roots: Vec<_> = view.writable.iter().map(PathBuf::as_path).chain(temp).collect();
    roots.sort_by_key(|path| (path.components().count(), *path));
    roots.dedup();
    roots
}

fn filter(kind: &str, text: &str) -> String {
    format!("({kind} {})", quoted(text))
}

fn writable_text(path: &Path) -> Result<&str, BadPath> {
    plain(path).map_err(|why| BadPath { path: path.to_owned(), why })
}

fn path_filter(kind: &str, path: &Path) -> Result<String, BadPath> {
    Ok(filter(kind, writable_text(path)?))
}

/// A path as the kernel knows it, and as it may have been given.
fn under(kind: &str, path: &Path) -> Result<Vec<String>, BadPath> {
    let names = aliases(writable_text(path)?);
    Ok(names.iter().map(|name| filter(kind, name)).collect())
}

/// A tree under every name it may have.
fn hiding(path: &Path) -> Result<Vec<String>, BadPath> {
    let names = all_names(writable_text(path)?);
    Ok(names.iter().map(|name| filter("subpath", name)).collect())
}

/// Whatever a pattern stands for, under every name it may have.
fn matching(pattern: &Pattern) -> Result<Vec<String>, BadPath> {
    named(&pattern.below, Below::Pattern(writable_text(Path::new(&pattern.rest))?))
}

fn named(directory: &Path, below: Below<'_>) -> Result<Vec<String>, BadPath> {
    let names = aliases(writable_text(directory)?);
    Ok(names.iter().map(|name| filter("regex", &regex(name, below))).collect())
}

/// The two names of what lies below a link into `/private`.
fn aliases(path: &str) -> Vec<String> {
    let below = |path: &str, top: &str| {
        path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut names = vec![path.to_owned()];
    for link in ["/tmp", "/var", "/etc"] {
        if below(path, link) {
            names.insert(0, format!("/private{path}"));
        } else if let Some(short) = path.strip_prefix("/private")
            && below(short, link)
        {
            names.push(short.to_owned());
        }
    }
    names
}

fn all_names(path: &str) -> Vec<String> {
    const DATA: &str = "/System/Volumes/Data";
    let mut names = aliases(path);
    if let Some(short) = path.strip_prefix(DATA).filter(|rest| rest.starts_with('/')) {
        names.push(short.to_owned());
    } else {
        names.push(format!("{DATA}{}", names[0]));
    }
    names
}

/// Sockets in a tree of the command's own: where it may listen, and what it may connect to.
fn own_sockets(path: &Path) -> Result<[String; 2], BadPath> {
    let tree = path_filter("subpath", path)?;
    Ok([format!("(local unix-socket {tree})"), format!("(remote unix-socket {tree})")])
}

fn remote_sockets(path: &Path) -> Result<Vec<String>, BadPath> {
    let names = under("subpath", path)?;
    Ok(names.into_iter().map(|name| format!("(remote unix-socket {name})")).collect())
}

#[cfg(test)]
mod tests;

//! What the host looks like, as far as a plan depends on it.
//!
//! All looking is done here, before the plan is made, so that making it is a pure
//! function. Each path that will be mounted or covered is resolved to the end and
//! remembered with its inode: the launcher resolves it again without following
//! any link and refuses to go on if another file lies there by then. So a path
//! that is swapped meanwhile stops the run instead of opening a hole.
//!
//! No tree is walked: the work does not grow with what lies in the home directory.

use crate::{
    error::SandboxError,
    globs::{self, Pattern},
    linux::{
        directory,
        layer::{self, Layer},
        present::present,
        protect::{self, Found, Question},
        reach::Grant,
        rung::Ground,
        scope, stores,
    },
    spec::{
        Confinement, FileView, Files, NameService, Network, ReadScope, SandboxSpec, UnixSockets,
    },
    unheld::Unheld,
};
use ringfence_launcher::Identity;
use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsStr,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A path without links, and what lies there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    pub(crate) inode: (u64, u64),
    pub(crate) directory: bool,
}

impl Located {
    pub(crate) fn look(path: &Path) -> io::Result<Self> {
        Self::plain(&fs::canonicalize(path)?)
    }

    /// The same for a path that is resolved but for its last component.
    pub(crate) fn below(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        if meta.is_symlink() { Self::look(path) } else { Ok(Self::of(path, &meta)) }
    }

    /// The same for a path that is resolved to the end.
    fn plain(path: &Path) -> io::Result<Self> {
        Ok(Self::of(path, &fs::symlink_metadata(path)?))
    }

    /// The same for what lies at the path, be it a link.
    pub(crate) fn itself(path: &Path) -> io::Result<Self> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Self::plain(&fs::canonicalize(parent)?.join(name))
    }

    /// What `meta` says of the path.
    pub(crate) fn of(path: &Path, meta: &fs::Metadata) -> Self {
        Self { path: path.to_owned(), inode: (meta.dev(), meta.ino()), directory: meta.is_dir() }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity { device: self.inode.0, inode: self.inode.1 }
    }
}

/// A file with content of its own, inside a private directory or over a host's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) path: PathBuf,
    pub(crate) content: String,
}

/// What a plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// Space of all private directories together, in bytes.
    pub(crate) private_size: Option<u64>,
    /// The caller is the super-user.
    pub(crate) root: bool,
    /// The caller has `CAP_SYS_ADMIN`; asked for without a sandbox only.
    pub(crate) admin: bool,
    pub(crate) landlock_abi: u32,
    /// Directories that are replaced by private ones; links and missing ones left out.
    pub(crate) private: Vec<PathBuf>,
    pub(crate) writable: Vec<Located>,
    pub(crate) readable: Vec<Located>,
    pub(crate) hidden: Vec<Located>,
    /// What lies outside the scope: directories that look empty, files that cannot be opened.
    pub(crate) beyond: Vec<Located>,
    /// Files, directories and links in writable trees that stay as they are.
    pub(crate) protected: Vec<Located>,
    /// Directories in writable trees with something below that is hidden, protected or listed:
    /// they must stay where they are, or the next run would find it under another name.
    pub(crate) pinned: Vec<Located>,
    /// The workspace, where changes to it go elsewhere.
    pub(crate) overlay: Option<Layer>,
    /// Sockets of the host that may be connected to.
    pub(crate) sockets: Vec<Located>,
    /// Device nodes of the minimal `/dev`.
    pub(crate) devices: Vec<&'static str>,
    /// Parts of `/proc` that must be made read-only for the super-user.
    pub(crate) proc_guard: Vec<&'static str>,
    /// `/etc/resolv.conf`, where it leads into a directory that is hidden.
    pub(crate) resolver: Option<Written>,
    /// Files that say something else to the command: `/etc/hosts` with `localhost` where the host's has
    /// none, and what a gateway wants read. A link is covered itself, wherever it leads.
    pub(crate) said: Vec<(Located, String)>,
    /// What the sandbox stands on.
    pub(crate) ground: Ground,
    /// What is granted where nothing can be mounted.
    pub(crate) grants: Vec<Grant>,
    /// Those of `hidden` that the built-in list names.
    pub(crate) built_in: Vec<PathBuf>,
    /// Protected paths that no mount can hold.
    pub(crate) unheld: Vec<Unheld>,
    /// Patterns of hidden and protected paths: what comes to match later is not covered.
    pub(crate) open_globs: Vec<String>,
    /// Oddities that were left out.
    pub(crate) warnings: Vec<String>,
}

/// Directories of the host that every command gets its own of.
const PRIVATE: &[&str] = &["/tmp", "/var/tmp", "/run"];
/// Where sockets lie that a private `/tmp` would hide.
const SOCKETS_IN_TMP: &[&str] = &["/tmp/.X11-unix", "/tmp/.ICE-unix"];
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

impl Host {
    /// Looks at everything the specification touches.
    pub(crate) fn look(spec: &SandboxSpec, landlock_abi: u32) -> Result<Self, SandboxError> {
        let root = nix::unistd::geteuid().is_root();
        let mut host = Self { root, landlock_abi, ..Self::default() };
        if spec.confinement == Confinement::Host {
            host.admin = is_admin();
        }
        if root {
            host.proc_guard.clone_from(&PROC_GUARD);
        }
        if let UnixSockets::Listed(paths) = &spec.unix_sockets {
            host.sockets = sockets(paths)?;
        }
        if let Files::View(view) = &spec.files {
            host.look_at_view(view, spec)?;
            if spec.network == Network::Deny {
                host.said.extend(hosts_without_localhost());
            }
        }
        if let (Network::Gateway(names), Confinement::Sandbox) = (&spec.network, spec.confinement) {
            host.say(names);
        }
        Ok(host)
    }

    /// Has programs ask the gateway for names, and nobody else.
    fn say(&mut self, names: &NameService) {
        for (file, content) in [(RESOLV_CONF, &names.resolv_conf), (HOSTS, &names.hosts)] {
            match Located::itself(Path::new(file)) {
                Ok(place) => self.said.push((place, content.clone())),
                Err(error) => self.warnings.push(format!(
                    "there is no {file} ({error}), so programs may not find the gateway's names"
                )),
            }
        }
        if let Some(resolver) = &mut self.resolver {
            resolver.content.clone_from(&names.resolv_conf);
        }
    }

    /// Something hidden lies at `path` or above it, and nothing that is shown lies between.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        let nearest = |places: &[Located]| deepest(places.iter().map(|place| &*place.path), path);
        let shown = nearest(&self.readable).max(nearest(&self.writable));
        nearest(&self.hidden).is_some_and(|hidden| Some(hidden) > shown)
    }

    /// A writable tree or a private directory lies at `path` or above it, and nothing that is
    /// read-only between.
    pub(crate) fn lets_write(&self, path: &Path) -> bool {
        let mut areas = Areas::of(self);
        let own = self.private.iter().map(PathBuf::as_path).chain([Path::new("/dev")]);
        for dir in own.filter(|dir| *dir != Path::new("/run")).map(Path::as_os_str) {
            areas.closed.remove(dir);
            areas.open.insert(dir);
        }
        areas.is_open(path)
    }

    fn look_at_view(&mut self, view: &FileView, spec: &SandboxSpec) -> Result<(), SandboxError> {
        self.private_size = view.private_size;
        let any_socket = spec.unix_sockets == UnixSockets::Inherit;
        let private = PRIVATE.iter().filter(|path| !any_socket || **path != "/run");
        self.private = private.filter_map(|path| own_directory(Path::new(path))).collect();
        self.devices.clone_from(&HOST_DEVICES);
        self.writable = all(&view.writable, "writable path")?;
        self.readable = all(&view.readable, "readable path")?;
        self.show_sockets(any_socket);
        // Both asked for: the stricter holds.
        let readable = &self.readable;
        self.writable.retain(|place| !readable.contains(place));
        self.refuse_kernel_files()?;
        let workspace = located(&spec.workspace, "workspace")?;
        let mut budget = globs::MOST_ENTRIES;
        let protected = self.protected_paths(view, &workspace, &mut budget)?;
        if let Some(overlay) = &view.overlay {
            self.lay_over(layer::look(&workspace, overlay)?);
        }
        let links = self.hide(view, &workspace, &mut budget);
        if view.scope == ReadScope::Minimal {
            let listed = self.writable.iter().chain(&self.readable).chain([&workspace]);
            self.beyond = scope::beyond(listed);
            self.readable.extend(scope::still_needed(&self.beyond));
        }
        self.show(workspace.clone());
        self.resolver = resolver(&self.private);
        let found = protect::find(Question {
            writable: self.trees(),
            readable: self.readable.clone(),
            workspace: workspace.path,
            homes: view.homes.clone(),
            paths: protected,
            links,
            root: self.root,
        });
        self.protect(&found);
        self.pin(&found.parents);
        Ok(())
    }

    /// All trees that look writable to the command.
    fn trees(&self) -> Vec<Located> {
        let layer = self.overlay.iter().map(|layer| &layer.workspace);
        self.writable.iter().chain(layer).cloned().collect()
    }

    fn show_sockets(&mut self, any: bool) {
        self.readable.extend(self.sockets.iter().cloned());
        if any {
            let there = SOCKETS_IN_TMP.iter().filter_map(|path| own_directory(Path::new(path)));
            self.readable.extend(there.filter_map(|path| Located::look(&path).ok()));
        }
        self.readable.sort();
        self.readable.dedup();
    }

    /// The workspace is what the layer makes of it, and so is everything in it.
    fn lay_over(&mut self, layer: Layer) {
        let top = &layer.workspace.path;
        self.writable.retain(|place| !place.path.starts_with(top));
        // Whoever could write there would change the workspace behind the layer's back.
        let written =
            |place: &&Located| self.writable.iter().any(|tree| place.path.starts_with(&tree.path));
        let kept = [&layer.upper, &layer.work].into_iter().filter(written).cloned();
        self.hidden = kept.collect();
        self.overlay = Some(layer);
    }

    /// What the specification protects, with patterns expanded. A tree that is protected as a
    /// whole is none that can be written.
    fn protected_paths(
        &mut self,
        view: &FileView,
        workspace: &Located,
        budget: &mut usize,
    ) -> Result<Vec<PathBuf>, SandboxError> {
        let mut paths = Vec::new();
        for path in &view.protected {
            if !path.is_absolute() {
                let path = path.clone();
                return Err(SandboxError::NotAbsolute { role: "protected path", path });
            }
            paths.extend(self.expand(path, workspace, budget));
            // Absent paths are protected, too; what a pattern may stand for later is not.
            if !globs::is_pattern(path) || fs::symlink_metadata(path).is_ok() {
                paths.push(path.clone());
            }
        }
        let whole: HashSet<_> =
            paths.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        self.writable.retain(|tree| !whole.contains(&tree.path));
        Ok(paths)
    }

    /// What a pattern stands for now; nothing for a path that is none.
    fn expand(&mut self, path: &Path, workspace: &Located, budget: &mut usize) -> Vec<PathBuf> {
        if !globs::is_pattern(path) {
            return Vec::new();
        }
        let shown = path.display();
        let Some(pattern) = Pattern::new(path) else {
            self.warnings.push(format!("`{shown}` has too many parts and stands for nothing"));
            return Vec::new();
        };
        self.open_globs.push(shown.to_string());
        let listed = self.writable.iter().chain(&self.readable).chain([workspace]);
        let listed: Vec<_> = listed.map(|place| place.path.as_path()).collect();
        let matches = pattern.expand(budget, |path| visible(&self.private, &listed, path));
        if matches.cut {
            let most = globs::MOST_ENTRIES;
            self.warnings.push(format!(
                "`{shown}` was looked for among {most} files and directories; there are more"
            ));
        }
        matches.paths
    }

    /// The workspace stays visible, and as it is, wherever something would cover it.
    fn show(&mut self, workspace: Located) {
        if self.overlay.is_some() {
            return;
        }
        let around = |path: &Path| workspace.path.starts_with(path);
        let writable = self.writable.iter().map(|place| &place.path);
        let nearest =
            writable.filter(|path| around(path)).max_by_key(|path| path.components().count());
        let hidden = self.hidden.iter().chain(&self.beyond).map(|place| &place.path);
        let covered = self.private.iter().chain(hidden).any(|cover| {
            around(cover)
                && nearest.is_none_or(|writable| cover.starts_with(writable) && cover != writable)
        });
        if covered {
            let list = if nearest.is_some() { &mut self.writable } else { &mut self.readable };
            list.push(workspace);
            list.sort();
            list.dedup();
        }
    }

    /// The command has a `/proc` of its own; the host's cannot be given to it.
    fn refuse_kernel_files(&self) -> Result<(), SandboxError> {
        let listed = self.writable.iter().chain(&self.readable);
        match listed.into_iter().find(|place| place.path.starts_with("/proc")) {
            None => Ok(()),
            Some(place) => Err(SandboxError::Path {
                role: "path",
                path: place.path.clone(),
                source: io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the sandbox has a /proc of its own",
                ),
            }),
        }
    }

    /// Credential stores and what is listed. Gives the paths that led elsewhere by a link.
    fn hide(&mut self, view: &FileView, workspace: &Located, budget: &mut usize) -> Vec<PathBuf> {
        let mut stores = present(Path::new("/"), stores::IN_SYSTEM, self.root);
        if !self.private.iter().any(|dir| dir == Path::new("/run")) {
            stores.extend(present(Path::new("/"), stores::IN_RUN, self.root));
        }
        if self.root {
            stores.extend(present(Path::new("/"), stores::IN_KERNEL, true));
        }
        for home in &view.homes {
            stores.extend(present(home, stores::IN_HOME, self.root));
        }
        let (mut hidden, mut links) = (std::mem::take(&mut self.hidden), Vec::new());
        for (path, place) in stores {
            let Some(place) = self.note_odd(place, "a credential store") else { continue };
            // Named on purpose: the built-in list gives way.
            let named = |list: &[Located]| list.iter().any(|named| named.path == place.path);
            if !named(&self.readable) && !named(&self.writable) {
                self.built_in.push(place.path.clone());
                links.extend((path != place.path).then_some(path));
                hidden.push(place);
            }
        }
        let mut listed = view.hidden.clone();
        for path in &view.hidden {
            listed.extend(self.expand(path, workspace, budget));
        }
        for path in listed {
            let place = Located::look(&path);
            let place = self.note_odd(place, &format!("`{}`", path.display()));
            if let Some(place) = place {
                links.extend((path != place.path).then_some(path));
                hidden.push(place);
            }
        }
        hidden.sort();
        hidden.dedup();
        self.hidden = hidden;
        links
    }

    /// Of what was found to be protected, that which something else does not hold already.
    fn protect(&mut self, found: &Found) {
        let mut areas = Areas::of(self);
        let mut protected = Vec::with_capacity(found.places.len());
        // Sorted, so that what lies in something protected comes behind it.
        for place in &found.places {
            let covered = areas.closed.contains(place.path.as_os_str());
            if !covered && place.path.parent().is_some_and(|above| areas.is_open(above)) {
                areas.closed.insert(place.path.as_os_str());
                protected.push(place.clone());
            }
        }
        let open: Vec<_> = found.directories.iter().map(|path| areas.is_open(path)).collect();
        let absent = found.absent.iter().filter(|(directory, _)| open[*directory]);
        let unheld = absent.map(|(_, absent)| absent.clone()).collect();
        self.unheld = unheld;
        self.protected = protected;
        self.warnings.extend(found.warnings.iter().cloned());
    }

    /// Every directory between the outermost writable tree and what must not be moved in it.
    fn pin(&mut self, parents: &[PathBuf]) {
        let areas = Areas::of(self);
        let trees = self.trees();
        let listed = trees.iter().chain(&self.readable).chain(&self.hidden);
        let above = listed.filter_map(|place| place.path.parent());
        let mut between = BTreeSet::new();
        for path in above.chain(parents.iter().map(PathBuf::as_path)) {
            let around = trees
                .iter()
                .map(|tree| tree.path.as_path())
                .filter(|tree| path == *tree || lies_in(path, tree));
            let Some(root) = around.min_by_key(|tree| tree.as_os_str().len()) else { continue };
            for directory in path.ancestors().take_while(|directory| *directory != root) {
                if !between.insert(directory.as_os_str()) {
                    break;
                }
            }
        }
        let mut barred: Vec<&Path> = Vec::new();
        let mut pinned = Vec::new();
        // Sorted, so that a directory comes before those in it.
        for path in between.into_iter().map(Path::new) {
            if barred.iter().any(|above| lies_in(path, above)) {
                continue;
            }
            let Ok(meta) = fs::symlink_metadata(path) else { continue };
            if self.root && directory::locked(meta.uid(), meta.gid(), meta.mode()) {
                barred.push(path);
            }
            if meta.is_dir() && areas.is_open(path) && !areas.is_top(path) {
                let path = path.to_owned();
                pinned.push(Located { path, inode: (meta.dev(), meta.ino()), directory: true });
            }
        }
        self.pinned = pinned;
    }

    /// What is not there needs no hiding; what cannot be resolved is said.
    fn note_odd(&mut self, place: io::Result<Located>, name: &str) -> Option<Located> {
        match place {
            Ok(place) if place.path == Path::new("/") => {
                self.warnings.push(format!("{name} is the root and is not hidden"));
                None
            }
            Ok(place) => Some(place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => {
                self.warnings.push(format!("{name} is not hidden: {error}"));
                None
            }
        }
    }
}

/// How deep the deepest of these paths lies that is `path` or above it.
fn deepest<'p>(places: impl Iterator<Item = &'p Path>, path: &Path) -> Option<usize> {
    places.filter(|place| path.starts_with(place)).map(|place| place.components().count()).max()
}

/// Which parts of the tree the command may change: what is innermost decides.
struct Areas<'h> {
    open: HashSet<&'h OsStr>,
    closed: HashSet<&'h OsStr>,
}

impl<'h> Areas<'h> {
    fn of(host: &'h Host) -> Self {
        let layer = host.overlay.iter().map(|layer| &layer.workspace);
        let open = host.writable.iter().chain(layer);
        let closed = [&host.readable, &host.hidden, &host.beyond, &host.protected];
        let closed = closed.into_iter().flatten().map(|place| place.path.as_os_str());
        let closed = closed.chain(host.private.iter().map(|path| path.as_os_str()));
        Self { open: open.map(|place| place.path.as_os_str()).collect(), closed: closed.collect() }
    }

    fn is_open(&self, path: &Path) -> bool {
        for path in path.ancestors().map(Path::as_os_str) {
            if self.open.contains(path) {
                return true;
            }
            if self.closed.contains(path) {
                return false;
            }
        }
        false
    }

    fn is_top(&self, path: &Path) -> bool {
        self.open.contains(path.as_os_str())
    }
}

/// Strictly below. Both are absolute and resolved, so bytes say it all; comparing
/// by components would be most of the time a plan takes.
pub(crate) fn lies_in(path: &Path, directory: &Path) -> bool {
    let (path, directory) = (path.as_os_str().as_bytes(), directory.as_os_str().as_bytes());
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    path.strip_prefix(directory).is_some_and(|rest| rest.len() > 1 && rest[0] == b'/')
}

/// What the command will see of the host: in private directories only what is listed.
fn visible(private: &[PathBuf], listed: &[&Path], path: &Path) -> bool {
    let kernel = ["/proc", "/sys", "/dev"].iter().any(|kernel| path == Path::new(kernel));
    let inside = private.iter().any(|dir| path == dir || lies_in(path, dir));
    let on_the_way = |listed: &&Path| listed.starts_with(path) || path.starts_with(listed);
    !kernel && (!inside || listed.iter().any(on_the_way))
}

fn sockets(paths: &[PathBuf]) -> Result<Vec<Located>, SandboxError> {
    let places = all(paths, "unix socket")?;
    for place in &places {
        let meta = fs::symlink_metadata(&place.path);
        if !meta.is_ok_and(|meta| meta.file_type().is_socket()) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a socket");
            return Err(SandboxError::Path {
                role: "unix socket",
                path: place.path.clone(),
                source,
            });
        }
    }
    Ok(places)
}

fn all(paths: &[PathBuf], role: &'static str) -> Result<Vec<Located>, SandboxError> {
    let mut places = paths.iter().map(|path| located(path, role)).collect::<Result<Vec<_>, _>>()?;
    places.sort();
    places.dedup();
    Ok(places)
}

fn located(path: &Path, role: &'static str) -> Result<Located, SandboxError> {
    if !path.is_absolute() {
        return Err(SandboxError::NotAbsolute { role, path: path.to_owned() });
    }
    Located::look(path).map_err(|source| SandboxError::Path { role, path: path.to_owned(), source })
}

/// A directory that is not a link; where it lies when it is one.
fn own_directory(path: &Path) -> Option<PathBuf> {
    let meta = fs::symlink_metadata(path).ok()?;
    meta.is_dir().then(|| path.to_owned())
}

/// What never changes while the machine runs is asked for once.
static PROC_GUARD: LazyLock<Vec<&str>> =
    LazyLock::new(|| existing(Path::new("/proc"), stores::IN_PROC));
static HOST_DEVICES: LazyLock<Vec<&str>> = LazyLock::new(|| existing(Path::new("/dev"), DEVICES));

/// Whether this process has `CAP_SYS_ADMIN`, as `/proc` tells it.
fn is_admin() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & CAP_SYS_ADMIN != 0)
}

fn existing(dir: &Path, names: &'static [&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|name| dir.join(name).exists()).collect()
}

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// The resolver's file, when it is a link into a directory that will be empty.
fn resolver(private: &[PathBuf]) -> Option<Written> {
    let path = fs::canonicalize(RESOLV_CONF).ok()?;
    let inside = private.iter().any(|dir| path.starts_with(dir));
    let content = inside.then(|| fs::read_to_string(&path))?.ok()?;
    Some(Written { path, content })
}

/// The hosts file with `localhost` added, if it is not there.
fn hosts_without_localhost() -> Option<(Located, String)> {
    let content = fs::read_to_string(HOSTS).ok()?;
    let names_localhost = content.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).any(|name| name == "localhost")
    });
    if names_localhost {
        return None;
    }
    let place = Located::itself(Path::new(HOSTS)).ok()?;
    Some((place, format!("127.0.0.1 localhost\n::1 localhost\n{content}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_below_by_whole_names() {
        let check = |path: &str, dir: &str, expect| {
            assert_eq!(lies_in(Path::new(path), Path::new(dir)), expect, "{path} in {dir}");
        };
        check("/a/b", "/a", true);
        check("/a/b/c", "/a", true);
        check("/ab", "/a", false);
        check("/a", "/a", false);
        check("/a", "/", true);
        check("/", "/", false);
        check("/a", "/a/b", false);
    }
}

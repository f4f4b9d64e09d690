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
    linux::{present::present, reach::Grant, rung::Ground, stores},
    spec::{Confinement, FileView, Files, Network, SandboxSpec},
    unheld::Unheld,
};
use ringfence_launcher::Identity;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
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
        let path = fs::canonicalize(path)?;
        let meta = fs::symlink_metadata(&path)?;
        Ok(Self { inode: (meta.dev(), meta.ino()), directory: meta.is_dir(), path })
    }

    /// The same for a path that is resolved but for its last component.
    pub(crate) fn below(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        if meta.is_symlink() {
            return Self::look(path);
        }
        let path = path.to_owned();
        Ok(Self { inode: (meta.dev(), meta.ino()), directory: meta.is_dir(), path })
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
    /// Directories in writable trees with something hidden below: they must stay where
    /// they are, or the next run would find it under another name.
    pub(crate) pinned: Vec<Located>,
    /// Device nodes of the minimal `/dev`.
    pub(crate) devices: Vec<&'static str>,
    /// Parts of `/proc` that must be made read-only for the super-user.
    pub(crate) proc_guard: Vec<&'static str>,
    /// `/etc/resolv.conf`, where it leads into a directory that is hidden.
    pub(crate) resolver: Option<Written>,
    /// `/etc/hosts` with `localhost`, where the host's has none.
    pub(crate) hosts: Option<(Located, String)>,
    /// What the sandbox stands on.
    pub(crate) ground: Ground,
    /// What is granted where nothing can be mounted.
    pub(crate) grants: Vec<Grant>,
    /// Those of `hidden` that the built-in list names.
    pub(crate) built_in: Vec<PathBuf>,
    /// Protected paths that are there.
    pub(crate) protected: Vec<Located>,
    /// Hidden paths with wildcards: what comes to match later is not hidden.
    pub(crate) open_globs: Vec<String>,
    /// Protected paths that no mount can hold.
    pub(crate) unheld: Vec<Unheld>,
    /// Oddities that were left out.
    pub(crate) warnings: Vec<String>,
}

/// Directories of the host that every command gets its own of.
const PRIVATE: &[&str] = &["/tmp", "/var/tmp", "/run"];
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
        if let Files::View(view) = &spec.files {
            host.look_at_view(view, &spec.workspace)?;
            if spec.network == Network::Deny {
                host.hosts = hosts_without_localhost();
            }
        }
        Ok(host)
    }

    fn look_at_view(&mut self, view: &FileView, workspace: &Path) -> Result<(), SandboxError> {
        self.private = PRIVATE.iter().filter_map(|path| own_directory(Path::new(path))).collect();
        self.devices.clone_from(&HOST_DEVICES);
        self.writable = all(&view.writable, "writable path")?;
        self.readable = all(&view.readable, "readable path")?;
        // Both asked for: the stricter holds.
        let readable = &self.readable;
        self.writable.retain(|place| !readable.contains(place));
        self.refuse_kernel_files()?;
        self.hide(view);
        self.show(located(workspace, "workspace")?);
        self.resolver = resolver(&self.private);
        Ok(())
    }

    /// The workspace stays visible, and as it is, wherever something would cover it.
    fn show(&mut self, workspace: Located) {
        let around = |path: &Path| workspace.path.starts_with(path);
        let writable = self.writable.iter().map(|place| &place.path);
        let nearest =
            writable.filter(|path| around(path)).max_by_key(|path| path.components().count());
        let hidden = self.hidden.iter().map(|place| &place.path);
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

    fn hide(&mut self, view: &FileView) {
        let mut stores = present(Path::new("/"), stores::IN_SYSTEM, self.root);
        if self.root {
            stores.extend(present(Path::new("/"), stores::IN_KERNEL, true));
        }
        for home in &view.homes {
            stores.extend(present(home, stores::IN_HOME, self.root));
        }
        let mut hidden = Vec::new();
        for place in stores {
            let Some(place) = self.note_odd(place, "a credential store") else { continue };
            // Named on purpose: the built-in list gives way.
            let named = |list: &[Located]| list.iter().any(|named| named.path == place.path);
            if !named(&self.readable) && !named(&self.writable) {
                self.built_in.push(place.path.clone());
                hidden.push(place);
            }
        }
        for path in &view.hidden {
            let place = Located::look(path);
            hidden.extend(self.note_odd(place, &format!("`{}`", path.display())));
        }
        hidden.sort();
        hidden.dedup();
        self.hidden = hidden;
        self.pin();
    }

    /// Every directory between a writable tree and what is hidden in it.
    fn pin(&mut self) {
        for hidden in &self.hidden {
            let roots = self.writable.iter().filter(|root| hidden.path.starts_with(&root.path));
            let Some(root) =
                roots.map(|root| &root.path).min_by_key(|path| path.components().count())
            else {
                continue;
            };
            let between = hidden.path.ancestors().skip(1).take_while(|path| path != root);
            self.pinned.extend(between.filter_map(|path| Located::look(path).ok()));
        }
        self.pinned.sort();
        self.pinned.dedup();
        let elsewhere = self.writable.iter().chain(&self.readable).chain(&self.hidden);
        let elsewhere: Vec<_> = elsewhere.map(|place| place.path.clone()).collect();
        self.pinned.retain(|place| !elsewhere.contains(&place.path));
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

/// The resolver's file, when it is a link into a directory that will be empty.
fn resolver(private: &[PathBuf]) -> Option<Written> {
    const FILE: &str = "/etc/resolv.conf";
    let path = fs::canonicalize(FILE).ok()?;
    let inside = private.iter().any(|dir| path.starts_with(dir));
    let content = inside.then(|| fs::read_to_string(&path))?.ok()?;
    Some(Written { path, content })
}

/// The hosts file with `localhost` added, if it is not there.
fn hosts_without_localhost() -> Option<(Located, String)> {
    const FILE: &str = "/etc/hosts";
    let content = fs::read_to_string(FILE).ok()?;
    let names_localhost = content.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).any(|name| name == "localhost")
    });
    if names_localhost {
        return None;
    }
    let place = Located::look(Path::new(FILE)).ok()?;
    Some((place, format!("127.0.0.1 localhost\n::1 localhost\n{content}")))
}

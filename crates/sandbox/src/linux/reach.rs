//! What a command without namespaces is let see: found by listing the directories above
//! everything that is hidden.
//!
//! Landlock grants trees and takes nothing away again, so a tree with something hidden in it
//! cannot be granted. What is granted instead are the siblings, along the way from the root to
//! each hidden path; of the directories on that way only the list of names. Nothing else is
//! walked: the cost is that of listing `/`, `/etc`, the home directory and a few more.
//!
//! The one trap: the siblings are those of this moment. A file that comes later to a directory
//! with something hidden in it is not seen by a command that runs already.

use super::{
    doctor,
    host::{Host, Located, lies_in},
};
use crate::{
    error::SandboxError,
    spec::{FileView, ReadScope},
    unheld::{Before, Unheld},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What may be done with one path, and with everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Its names can be listed.
    List,
    /// Files are read and executed, directories listed.
    Read,
    /// A device is used.
    Device,
    /// Everything.
    Write,
}

/// One path that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) place: Located,
    pub(crate) access: Access,
}

/// Where programs, libraries and their settings lie: what is left of the host's tree in the
/// narrow scope. The names of the file system hierarchy standard, and of Nix and Guix.
const SYSTEM: &[&str] = &[
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc", "/opt", "/nix", "/gnu",
    "/proc", "/sys",
];

/// Everything that is granted, outermost first.
pub(crate) fn reach(host: &Host, view: &FileView, workspace: &Path) -> Vec<Grant> {
    let mut walk = Walk::new(host);
    let roots = match view.scope {
        ReadScope::Host => &["/"][..],
        ReadScope::Minimal => SYSTEM,
    };
    let roots = roots.iter().copied().map(Path::new).chain([workspace]);
    for place in roots.filter_map(|path| Located::below(path).ok()) {
        walk.enter(&place);
    }
    if let Some(resolver) = host.resolver.as_ref().and_then(|file| Located::below(&file.path).ok())
    {
        walk.grant(&resolver, Access::Read);
    }
    for place in &host.readable {
        walk.enter(place);
    }
    for name in &host.devices {
        if let Ok(place) = Located::below(&Path::new("/dev").join(name)) {
            walk.grant(&place, Access::Device);
        }
    }
    for place in &host.writable {
        walk.grant(place, Access::Write);
    }
    walk.granted.into_values().collect()
}

struct Walk<'h> {
    /// What is not granted, with everything below it.
    cuts: Vec<&'h Path>,
    granted: BTreeMap<PathBuf, Grant>,
}

impl<'h> Walk<'h> {
    fn new(host: &'h Host) -> Self {
        let hidden = host.hidden.iter().map(|place| place.path.as_path());
        let private = host.private.iter().map(PathBuf::as_path);
        let cuts = hidden.chain(private).chain([Path::new("/dev")]).collect();
        Self { cuts, granted: BTreeMap::new() }
    }

    /// Grants reading of `place`, but for what is cut out of it.
    fn enter(&mut self, place: &Located) {
        if self.granted.get(&place.path).is_some_and(|known| known.access >= Access::Read) {
            return;
        }
        if !self.cuts.iter().any(|cut| lies_in(cut, &place.path)) {
            self.grant(place, Access::Read);
            return;
        }
        self.grant(place, Access::List);
        for child in self.children(&place.path) {
            if !self.cuts.contains(&child.path.as_path()) {
                self.enter(&child);
            }
        }
    }

    fn grant(&mut self, place: &Located, access: Access) {
        let known = self.granted.entry(place.path.clone());
        let grant = known.or_insert_with(|| Grant { place: place.clone(), access });
        grant.access = grant.access.max(access);
    }

    /// What lies in a directory, links left out: following one needs no grant. Where the names
    /// cannot be listed, those that are known because something below is cut.
    fn children(&self, directory: &Path) -> Vec<Located> {
        let mut found: Vec<_> = match fs::read_dir(directory) {
            Ok(entries) => entries.filter_map(|entry| look(&entry.ok()?.path())).collect(),
            Err(_) => self.known_below(directory).filter_map(|path| look(&path)).collect(),
        };
        found.sort();
        found.dedup();
        found
    }

    fn known_below(&self, directory: &Path) -> impl Iterator<Item = PathBuf> {
        self.cuts.iter().filter_map(move |cut| {
            let first = cut.strip_prefix(directory).ok()?.components().next()?;
            Some(directory.join(first))
        })
    }
}

fn look(path: &Path) -> Option<Located> {
    let meta = fs::symlink_metadata(path).ok()?;
    let (inode, directory) = ((meta.dev(), meta.ino()), meta.is_dir());
    (!meta.is_symlink()).then(|| Located { path: path.to_owned(), inode, directory })
}

/// What Landlock alone cannot give, as an error that names it.
pub(crate) fn check(host: &Host, view: &FileView) -> Result<(), SandboxError> {
    const WHY: &str = "without mounts a writable tree is writable as a whole";
    let cannot = |what: String, why: &str| {
        Err(SandboxError::CannotHold { what, why: why.to_owned(), remedy: doctor::remedy() })
    };
    if view.overlay.is_some() {
        return cannot("the layer over the workspace".into(), "it has to be mounted");
    }
    if host.writable.iter().any(|place| place.path == Path::new("/")) {
        return cannot("`/proc` and `/sys` inside the writable path `/`".into(), WHY);
    }
    for writable in &host.writable {
        let inside = |path: &Path| lies_in(path, &writable.path) || path == writable.path;
        let named = host.hidden.iter().filter(|place| !host.built_in.contains(&place.path));
        if let Some(hidden) = named.map(|place| &place.path).find(|path| inside(path)) {
            let tree = writable.path.display();
            return cannot(format!("the hidden path `{}` in `{tree}`", hidden.display()), WHY);
        }
        let mut readable = view.readable.iter().filter_map(|path| fs::canonicalize(path).ok());
        if let Some(readable) = readable.find(|path| inside(path)) {
            let tree = writable.path.display();
            let what = format!("the readable path `{}` in `{tree}`", readable.display());
            return cannot(what, "without mounts it would be writable like the tree around it");
        }
    }
    Ok(())
}

/// Protected paths that are there, which no mount holds: their changes are to be undone.
pub(crate) fn unheld(host: &Host) -> Vec<Unheld> {
    let below = |path: &Path| {
        let roots = host.writable.iter().filter(|root| lies_in(path, &root.path));
        let root = roots.min_by_key(|root| root.path.as_os_str().len())?;
        let path = path.strip_prefix(&root.path).ok()?.to_owned();
        Some(Unheld { root: root.path.clone(), path, before: Before::Something })
    };
    host.protected.iter().filter_map(|place| below(&place.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(path: &Path) -> Located {
        Located::below(path).expect("it is there")
    }

    fn granted(base: &Path, grants: &[Grant]) -> Vec<(String, Access)> {
        let inside = grants.iter().filter(|grant| grant.place.path.starts_with(base));
        let name = |path: &Path| path.strip_prefix(base).expect("inside").display().to_string();
        inside.map(|grant| (name(&grant.place.path), grant.access)).collect()
    }

    #[test]
    fn siblings_of_what_is_hidden_are_granted_and_nothing_above_it() {
        let dir = tempfile::tempdir_in("/var/tmp").expect("it can be made");
        let base = dir.path().canonicalize().expect("it is there");
        for name in ["home/.ssh/keys", "home/code/deep", "home/ws/sub"] {
            fs::create_dir_all(base.join(name)).expect("it can be made");
        }
        fs::write(base.join("home/.netrc"), "").expect("it can be written");
        fs::write(base.join("home/.profile"), "").expect("it can be written");
        std::os::unix::fs::symlink(".ssh", base.join("home/link")).expect("it can be made");
        let host = Host {
            hidden: vec![located(&base.join("home/.netrc")), located(&base.join("home/.ssh"))],
            writable: vec![located(&base.join("home/ws"))],
            readable: vec![located(&base.join("home/.ssh/keys"))],
            ..Host::default()
        };
        let grants = reach(&host, &FileView::default(), Path::new("/"));
        let expect = [
            ("", Access::List),
            ("home", Access::List),
            ("home/.profile", Access::Read),
            ("home/.ssh/keys", Access::Read),
            ("home/code", Access::Read),
            ("home/ws", Access::Write),
        ];
        assert_eq!(granted(&base, &grants), expect.map(|(path, access)| (path.to_owned(), access)));
        // In the narrow scope nothing but what is listed and the workspace.
        let view = FileView { scope: ReadScope::Minimal, ..FileView::default() };
        let grants = reach(&host, &view, &base.join("home/code"));
        let expect = [
            ("home/.ssh/keys", Access::Read),
            ("home/code", Access::Read),
            ("home/ws", Access::Write),
        ];
        assert_eq!(granted(&base, &grants), expect.map(|(path, access)| (path.to_owned(), access)));
    }
}

//! The mounts of a file view, as steps: a pure function of what the host looks like.
//!
//! It is done in place. The mount namespace has its own copy of every mount, so
//! one call makes all of them read-only, submounts included, and what the command
//! may write is put back over it. Nothing is walked, nothing is unmounted, and
//! there is no second tree in which something could be forgotten. The order is
//! what makes it safe:
//!
//! 1. copies are taken of what stays writable, and of the devices, while they are;
//! 2. everything is made read-only, without set-user-ID programs, without devices,
//!    and cut off from mounts the host makes later;
//! 3. one small file system in memory is laid over `/dev` and furnished: the
//!    private directories, the masks, and every mount point that private
//!    directories need. No mount point is ever made on the host;
//! 4. copies are taken of its parts, and everything goes to its place, outermost
//!    first.

use super::{
    host::{Host, Located},
    rung::Rung,
};
use ringfence_launcher::{
    Identity, MountAttributes, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, Slot, Step,
};
use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Where the file system in memory is furnished before its parts go to their places.
const BASE: &str = "/dev";
/// The part that becomes `/dev`.
const DEV: &str = "dev";
const MASK: &str = "mask";
const MASK_DIRECTORY: &str = "mask/directory";
const MASK_FILE: &str = "mask/file";
/// Share of the machine's memory that all private directories together may take.
const PRIVATE_SIZE: &str = "25%";
/// What every mount of a sandbox has.
const PLAIN: u64 = NO_SUID | NO_DEV;
/// Trees that can wait for their places at once; the launcher has a few more slots.
pub(crate) const MOST_PLACES: usize = 240;

/// What lies over a path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Over {
    /// A part of the file system in memory, with these attributes.
    Part(PathBuf, u64),
    /// A tree that waits in a slot.
    Tree(Slot),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    over: Over,
    /// What must lie at the path.
    identity: Option<Identity>,
    /// Nothing else is wanted than that what lies there cannot be seen.
    cover: bool,
    directory: bool,
}

struct Builder<'h> {
    host: &'h Host,
    steps: Vec<Step>,
    slots: u8,
    places: Vec<Place>,
    masks: usize,
}

/// Everything from the host's tree to the command's.
pub(crate) fn view(host: &Host) -> Vec<Step> {
    let mut builder = Builder::new(host);
    builder.keep_listed();
    builder.keep_devices();
    builder.close();
    builder.furnish();
    builder.arrange();
    builder.put_in_place();
    builder.proc();
    builder.steps
}

/// Only a `/proc` of its own: for a PID namespace over the host's files.
pub(crate) fn proc_only(host: &Host) -> Vec<Step> {
    let mut builder = Builder::new(host);
    let attributes = MountAttributes { set: 0, recursive: true, private: true };
    builder.steps.push(Step::MountAttr { path: "/".into(), attributes });
    builder.proc();
    builder.steps
}

impl<'h> Builder<'h> {
    fn new(host: &'h Host) -> Self {
        Self { host, steps: Vec::new(), slots: 0, places: Vec::new(), masks: 0 }
    }

    fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    fn keep(&mut self, path: &Path, recursive: bool, identity: Option<Identity>) -> Slot {
        let into = self.slot();
        self.steps.push(Step::CloneTree { into, path: path.to_owned(), recursive, identity });
        into
    }

    fn attach(&mut self, tree: Slot, path: &Path) {
        let path = path.to_owned();
        self.steps.push(Step::Attach { tree, path, identity: None, cover: false });
    }

    fn place(&mut self, path: impl Into<PathBuf>, over: Over, directory: bool) {
        let path = path.into();
        self.places.push(Place { path, over, identity: None, cover: false, directory });
    }

    /// Copies of what is listed, each only where what lies around it differs.
    fn keep_listed(&mut self) {
        let host = self.host;
        for place in host.writable.iter().filter(|place| place.path != Path::new("/")) {
            self.keep_place(place, 0);
        }
        // A mount point cannot be renamed.
        for place in &host.pinned {
            self.keep_place(place, 0);
        }
        for place in host.readable.iter().filter(|place| needs_readable(host, place)) {
            self.keep_place(place, READ_ONLY);
        }
    }

    fn keep_place(&mut self, place: &Located, attributes: u64) {
        let tree = self.keep(&place.path, true, Some(place.identity()));
        // A device that is named on purpose is to be used.
        let devices = if place.path.starts_with("/dev") { 0 } else { NO_DEV };
        let set = NO_SUID | devices | attributes;
        let attributes = MountAttributes { set, recursive: true, private: true };
        self.steps.push(Step::TreeAttr { tree, attributes });
        let (path, directory) = (place.path.clone(), place.directory);
        let identity = Some(place.identity());
        self.places.push(Place { path, over: Over::Tree(tree), identity, cover: false, directory });
    }

    fn keep_devices(&mut self) {
        for name in self.host.devices.clone() {
            let path = Path::new("/dev").join(name);
            let tree = self.keep(&path, false, None);
            self.place(path, Over::Tree(tree), false);
        }
    }

    /// Everything that is there becomes read-only.
    fn close(&mut self) {
        let writable_root = self.host.writable.iter().any(|place| place.path == Path::new("/"));
        let set = PLAIN | if writable_root { 0 } else { READ_ONLY };
        let attributes = MountAttributes { set, recursive: true, private: true };
        self.steps.push(Step::MountAttr { path: "/".into(), attributes });
    }

    /// A file system in memory, and what `/dev` has beside devices.
    fn furnish(&mut self) {
        let into = self.slot();
        let options = vec![("size", PRIVATE_SIZE.to_owned()), ("mode", "0755".to_owned())];
        self.steps.push(Step::NewFs { into, kind: "tmpfs", options, attributes: PLAIN });
        self.attach(into, Path::new(BASE));
        self.directory(DEV, 0o755);
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            let path = Path::new(BASE).join(DEV).join(name);
            self.steps.push(Step::Symlink { target: target.into(), path });
        }
        self.directory(MASK, 0o755);
        self.directory(MASK_DIRECTORY, 0);
        self.file(MASK_FILE, "", 0);
        let pts = self.slot();
        let options = vec![("mode", "0620".to_owned()), ("ptmxmode", "0666".to_owned())];
        let attributes = NO_SUID | NO_EXEC;
        self.steps.push(Step::NewFs { into: pts, kind: "devpts", options, attributes });
        self.place("/dev/pts", Over::Tree(pts), true);
        self.place("/dev", Over::Part(DEV.into(), READ_ONLY | NO_SUID | NO_EXEC), true);
    }

    fn directory(&mut self, part: impl AsRef<Path>, mode: u32) {
        self.steps.push(Step::Mkdir { path: Path::new(BASE).join(part), mode });
    }

    fn file(&mut self, part: impl AsRef<Path>, content: &str, mode: u32) {
        let path = Path::new(BASE).join(part);
        self.steps.push(Step::MakeFile { path, content: content.to_owned(), mode });
    }

    /// Decides what lies over what, and makes the mount points that parts need.
    fn arrange(&mut self) {
        let host = self.host;
        for path in &host.private {
            self.private(path, if path == Path::new("/run") { READ_ONLY | NO_EXEC } else { 0 });
        }
        self.private(Path::new("/dev/shm"), 0);
        for hidden in &host.hidden {
            self.hide(hidden);
        }
        self.write_files();
        // Outermost first; over the same path the cover last.
        self.places.sort_by_key(|place| (depth(&place.path), place.cover));
        for index in 0..self.places.len() {
            self.make_mount_point(index);
        }
    }

    fn private(&mut self, path: &Path, attributes: u64) {
        if self.places.iter().any(|place| place.path == path) {
            return;
        }
        let part = PathBuf::from(path.to_string_lossy().trim_start_matches('/').replace('/', "-"));
        self.directory(&part, if attributes & READ_ONLY == 0 { 0o1777 } else { 0o755 });
        self.place(path, Over::Part(part, PLAIN | attributes), true);
    }

    fn hide(&mut self, hidden: &Located) {
        let around = self.nearest(&hidden.path);
        if around.is_some_and(|place| matches!(place.over, Over::Part(..)) && !place.cover) {
            // A private directory lies over it already.
            return;
        }
        let shown = |place: &Place| lies_in(&place.path, &hidden.path);
        let part = if hidden.directory && self.places.iter().any(shown) {
            // Something below is to be seen: a directory of its own, to be passed through.
            self.masks += 1;
            let part = Path::new(MASK).join(self.masks.to_string());
            self.directory(&part, 0o711);
            part
        } else {
            PathBuf::from(if hidden.directory { MASK_DIRECTORY } else { MASK_FILE })
        };
        let over = Over::Part(part, READ_ONLY | PLAIN | NO_EXEC);
        let (path, directory) = (hidden.path.clone(), hidden.directory);
        let identity = Some(hidden.identity());
        self.places.push(Place { path, over, identity, cover: true, directory });
    }

    /// The innermost place around `path`.
    fn nearest(&self, path: &Path) -> Option<&Place> {
        let around = self.places.iter().filter(|place| lies_in(path, &place.path));
        around.max_by_key(|place| place.path.as_os_str().len())
    }

    fn write_files(&mut self) {
        let host = self.host;
        if let Some(resolver) = &host.resolver
            && let Some(part) = self.part_of(&resolver.path)
        {
            self.make_parents(&part);
            self.file(part, &resolver.content, 0o644);
        }
        if let Some((place, content)) = &host.hosts {
            let part = Path::new(MASK).join("hosts");
            self.file(&part, content, 0o644);
            self.place(&place.path, Over::Part(part, READ_ONLY | PLAIN | NO_EXEC), false);
        }
    }

    /// Where `path` lies in the file system in memory, if it does.
    fn part_of(&self, path: &Path) -> Option<PathBuf> {
        let around = self.nearest(path)?;
        let Over::Part(part, _) = &around.over else { return None };
        Some(part.join(path.strip_prefix(&around.path).ok()?))
    }

    /// The directories between a part and something in it.
    fn make_parents(&mut self, inside: &Path) {
        let mut parents: Vec<_> = inside.ancestors().skip(1).collect();
        parents.retain(|parent| parent.components().count() > 1);
        for parent in parents.into_iter().rev() {
            self.directory(parent, 0o755);
        }
    }

    /// The mount point of one place, where it lies in the file system in memory.
    fn make_mount_point(&mut self, index: usize) {
        let place = &self.places[index];
        let (path, directory) = (place.path.clone(), place.directory);
        let Some(point) = self.part_of(&path) else { return };
        self.places[index].identity = None;
        self.make_parents(&point);
        if directory {
            self.directory(point, 0o755);
        } else {
            self.file(point, "", 0o644);
        }
    }

    /// Copies of all parts first, as the base disappears under `/dev`; then the places.
    fn put_in_place(&mut self) {
        let places = std::mem::take(&mut self.places);
        let mut ready = Vec::with_capacity(places.len());
        for place in places {
            let tree = match &place.over {
                Over::Tree(tree) => *tree,
                Over::Part(part, attributes) => self.part(part, *attributes),
            };
            ready.push((tree, place));
        }
        for (tree, Place { path, identity, cover, .. }) in ready {
            self.steps.push(Step::Attach { tree, path, identity, cover });
        }
    }

    fn part(&mut self, part: &Path, set: u64) -> Slot {
        let tree = self.keep(&Path::new(BASE).join(part), false, None);
        if set != PLAIN {
            let attributes = MountAttributes { set, ..MountAttributes::default() };
            self.steps.push(Step::TreeAttr { tree, attributes });
        }
        tree
    }

    /// A `/proc` of the command's own PID namespace, or the outer one, which nobody may change.
    fn proc(&mut self) {
        if self.host.ground.rung == Rung::OuterProc {
            let attributes =
                MountAttributes { set: READ_ONLY | PLAIN, recursive: true, private: false };
            self.steps.push(Step::MountAttr { path: "/proc".into(), attributes });
            return;
        }
        let into = self.slot();
        let attributes = PLAIN | NO_EXEC;
        self.steps.push(Step::NewFs { into, kind: "proc", options: Vec::new(), attributes });
        self.attach(into, Path::new("/proc"));
        for name in &self.host.proc_guard {
            let path = Path::new("/proc").join(name);
            let tree = self.part_of_proc(&path);
            self.attach(tree, &path);
        }
    }

    fn part_of_proc(&mut self, path: &Path) -> Slot {
        let tree = self.keep(path, false, None);
        let attributes = MountAttributes { set: READ_ONLY, ..MountAttributes::default() };
        self.steps.push(Step::TreeAttr { tree, attributes });
        tree
    }
}

/// Strictly below. Both are absolute and resolved, so bytes say it all; comparing
/// by components would be most of the time a plan takes.
fn lies_in(path: &Path, directory: &Path) -> bool {
    let (path, directory) = (path.as_os_str().as_bytes(), directory.as_os_str().as_bytes());
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    path.strip_prefix(directory).is_some_and(|rest| rest.len() > 1 && rest[0] == b'/')
}

fn depth(path: &Path) -> usize {
    path.as_os_str().as_bytes().iter().filter(|byte| **byte == b'/').count()
}

/// A readable tree is there already, unless something lies over it, or it lies in
/// a tree that can be written.
fn needs_readable(host: &Host, place: &Located) -> bool {
    let inside = |path: &Path| lies_in(&place.path, path);
    host.private.iter().any(|dir| place.path.starts_with(dir))
        || place.path.starts_with("/dev")
        || host.hidden.iter().any(|hidden| inside(&hidden.path))
        || host.writable.iter().any(|writable| inside(&writable.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn at(path: &str, inode: u64, directory: bool) -> Located {
        Located { path: path.into(), inode: (1, inode), directory }
    }

    /// A host with something of everything.
    fn host() -> Host {
        Host {
            root: true,
            landlock_abi: 6,
            private: ["/run", "/tmp", "/var/tmp"].map(PathBuf::from).to_vec(),
            writable: vec![
                at("/home/u", 1, true),
                at("/tmp/ws", 2, true),
                at("/srv/file", 3, false),
            ],
            readable: vec![
                at("/home/u/secret/shown", 4, true),
                at("/run/service/socket", 5, false),
                at("/usr", 6, true),
            ],
            hidden: vec![
                at("/etc/shadow", 7, false),
                at("/home/u/.config/gcloud", 14, true),
                at("/home/u/.ssh", 8, true),
                at("/home/u/secret", 9, true),
                at("/tmp/elsewhere", 10, true),
                at("/tmp/ws/.env", 11, false),
            ],
            pinned: vec![at("/home/u/.config", 13, true)],
            devices: vec!["null", "tty"],
            proc_guard: vec!["sys"],
            resolver: Some(crate::linux::host::Written {
                path: "/run/resolve/stub.conf".into(),
                content: "nameserver 127.0.0.53\n".into(),
            }),
            hosts: Some((at("/etc/hosts", 12, false), "127.0.0.1 localhost\n".into())),
            ..Host::default()
        }
    }

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

    #[test]
    fn the_view_reads_as_a_list() {
        let lines: Vec<_> = view(&host()).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn nothing_is_made_outside_the_file_system_in_memory() {
        let steps = view(&host());
        let attached = |path: &str, nth: usize| {
            let is = |step: &Step| matches!(step, Step::Attach { path: at, .. } if at == Path::new(path));
            steps.iter().enumerate().filter(|(_, step)| is(step)).nth(nth).map(|(index, _)| index)
        };
        let (base, dev) =
            (attached("/dev", 0).expect("there"), attached("/dev", 1).expect("there"));
        for (index, step) in steps.iter().enumerate() {
            if let Step::Mkdir { path, .. }
            | Step::MakeFile { path, .. }
            | Step::Symlink { path, .. } = step
            {
                assert!(path.starts_with(BASE) && (base..dev).contains(&index), "{step}");
            }
        }
    }

    #[test]
    fn every_tree_goes_to_one_place_and_outer_places_come_first() {
        let mut waiting = BTreeSet::new();
        let (mut depth, mut closed) = (0, false);
        for step in view(&host()) {
            match &step {
                Step::CloneTree { into, .. } | Step::NewFs { into, .. } => {
                    assert!(waiting.insert(into.0), "slot of {step} is taken");
                }
                Step::MountAttr { .. } => closed = true,
                Step::Attach { tree, path, .. } => {
                    assert!(closed, "{step} before the host's tree is read-only");
                    assert!(waiting.remove(&tree.0), "{step} has no tree");
                    if path != Path::new("/proc")
                        && !path.starts_with("/proc/")
                        && path != Path::new("/dev")
                    {
                        let here = path.components().count();
                        assert!(here >= depth, "{step} comes after something deeper");
                        depth = here;
                    }
                }
                _ => {}
            }
        }
        assert!(waiting.is_empty(), "trees without a place: {waiting:?}");
    }

    #[test]
    fn what_is_covered_is_identified() {
        for step in view(&host()) {
            if let Step::Attach { path, identity, cover: true, .. } = &step {
                let inside = [
                    "/home/u/.config/gcloud",
                    "/home/u/.ssh",
                    "/home/u/secret",
                    "/etc/shadow",
                    "/tmp/ws/.env",
                ];
                assert_eq!(
                    identity.is_some(),
                    inside.iter().any(|p| path == Path::new(p)),
                    "{step}"
                );
            }
        }
    }
}

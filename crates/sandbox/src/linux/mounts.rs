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
//! 4. everything goes to its place, outermost first, `/dev` last, as it hides the
//!    base that the parts are copied from.
//!
//! What is protected inside a writable tree is a read-only copy of itself, taken when
//! the tree is in place and laid over it. A mount point can be neither renamed nor
//! removed nor replaced, and what is behind it cannot be linked to from elsewhere.
//! The trap: that holds against the command and every other sandbox. A program
//! outside that replaces such a file meanwhile takes the mount away with it.

use super::{
    host::{Host, Located, lies_in},
    rung::Rung,
};
use crate::error::SandboxError;
use ringfence_launcher::{
    Identity, MountAttributes, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, Slot, Step,
};
use std::{
    collections::{HashMap, HashSet},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Where the file system in memory is furnished before its parts go to their places.
const BASE: &str = "/dev";
/// The part that becomes `/dev`.
const DEV: &str = "dev";
const MASK: &str = "mask";
/// What cannot be opened, and what is empty.
const MASK_DIRECTORY: &str = "mask/directory";
const MASK_EMPTY: &str = "mask/empty";
const MASK_FILE: &str = "mask/file";
/// Share of the machine's memory that all private directories together may take.
const PRIVATE_SIZE: &str = "25%";
/// What every mount of a sandbox has.
const PLAIN: u64 = NO_SUID | NO_DEV;
/// What every mask has.
const MASKED: u64 = READ_ONLY | PLAIN | NO_EXEC;
/// Trees that can wait for their places at once; the launcher has a few more slots.
const MOST_WAITING: usize = 200;
/// Places that a view can have. Each takes some microseconds of every run, and the kernel allows
/// 100,000 mounts in a namespace unless it is told otherwise (`fs.mount-max`).
const MOST_PLACES: usize = 8_000;

/// What lies over a path of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Over {
    /// A part of the file system in memory, with these attributes.
    Part(PathBuf, u64),
    /// A part of the file system in memory that is a mask, and read-only as a whole.
    Mask(PathBuf),
    /// A tree that waits in a slot.
    Tree(Slot),
    /// A copy of what lies there, with these attributes beside those it has.
    Itself(u64),
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
    /// A slot for what goes to its place at once.
    hand: Slot,
    places: Vec<Place>,
    /// The last place at each path.
    by_path: HashMap<PathBuf, usize>,
    /// Directories with a place below them that is to be seen.
    passed: HashSet<PathBuf>,
    masks: usize,
}

/// Refuses a view with more places than a plan can hold.
pub(crate) fn check(host: &Host) -> Result<(), SandboxError> {
    // What goes below `/dev` waits, too.
    let masks = host.hidden.iter().filter(|place| in_dev(&place.path)).count();
    let listed = host.writable.len() + host.readable.len() + masks;
    if listed > MOST_WAITING {
        return Err(SandboxError::TooManyPaths { count: listed, most: MOST_WAITING });
    }
    let held = host.hidden.len() + host.beyond.len() + host.protected.len() + host.pinned.len();
    if held > MOST_PLACES {
        return Err(SandboxError::TooManyPaths { count: held, most: MOST_PLACES });
    }
    Ok(())
}

/// Everything from the host's tree to the command's.
pub(crate) fn view(host: &Host) -> Vec<Step> {
    let mut builder = Builder::new(host);
    builder.keep_listed();
    builder.keep_devices();
    builder.close();
    builder.furnish();
    builder.arrange();
    builder.close_masks();
    builder.put_in_place();
    builder.proc();
    builder.steps
}

/// Only a `/proc` of its own, and the few files that say something else: for a PID namespace over
/// the host's files.
pub(crate) fn proc_only(host: &Host) -> Vec<Step> {
    let mut builder = Builder::new(host);
    let attributes = MountAttributes { set: 0, recursive: true, private: true };
    builder.steps.push(Step::MountAttr { path: "/".into(), attributes });
    builder.say_over_the_host();
    builder.proc();
    builder.steps
}

impl<'h> Builder<'h> {
    fn new(host: &'h Host) -> Self {
        Self {
            host,
            steps: Vec::new(),
            slots: 1,
            hand: Slot(0),
            places: Vec::new(),
            by_path: HashMap::new(),
            passed: HashSet::new(),
            masks: 0,
        }
    }

    fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    fn copy(&mut self, into: Slot, path: &Path, recursive: bool, identity: Option<Identity>) {
        self.steps.push(Step::CloneTree { into, path: path.to_owned(), recursive, identity });
    }

    fn keep(&mut self, path: &Path, recursive: bool, identity: Option<Identity>) -> Slot {
        let into = self.slot();
        self.copy(into, path, recursive, identity);
        into
    }

    fn attach(&mut self, tree: Slot, path: &Path) {
        let path = path.to_owned();
        self.steps.push(Step::Attach { tree, path, identity: None, cover: false });
    }

    fn place(&mut self, path: impl Into<PathBuf>, over: Over, directory: bool) {
        let path = path.into();
        self.put(Place { path, over, identity: None, cover: false, directory });
    }

    /// A place over something of the host's.
    fn place_over(&mut self, place: &Located, over: Over) {
        let Located { path, directory, .. } = place.clone();
        let cover = matches!(over, Over::Mask(_));
        self.put(Place { path, over, identity: self.identity(place), cover, directory });
    }

    fn put(&mut self, place: Place) {
        if !place.cover {
            for above in place.path.ancestors().skip(1) {
                if self.passed.contains(above) {
                    break;
                }
                self.passed.insert(above.to_owned());
            }
        }
        self.by_path.insert(place.path.clone(), self.places.len());
        self.places.push(place);
    }

    /// What must lie at a place; what a layer shows has numbers of its own.
    fn identity(&self, place: &Located) -> Option<Identity> {
        let layer = self.host.overlay.as_ref();
        let shown = layer.is_some_and(|layer| lies_in(&place.path, &layer.workspace.path));
        (!shown).then(|| place.identity())
    }

    /// Copies of what is listed, each only where what lies around it differs.
    fn keep_listed(&mut self) {
        let host = self.host;
        for place in host.writable.iter().filter(|place| place.path != Path::new("/")) {
            self.keep_place(place, 0);
        }
        if let Some(layer) = &host.overlay {
            let into = self.slot();
            self.steps.push(Step::Overlay {
                into,
                lower: layer.workspace.path.clone(),
                identity: Some(layer.workspace.identity()),
                upper: layer.upper.path.clone(),
                work: layer.work.path.clone(),
                attributes: PLAIN,
            });
            self.place_over(&layer.workspace, Over::Tree(into));
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
        self.place_over(place, Over::Tree(tree));
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
        let size = self.host.private_size.map(|bytes| bytes.to_string());
        let size = size.unwrap_or_else(|| PRIVATE_SIZE.to_owned());
        let options = vec![("size", size), ("mode", "0755".to_owned())];
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
        self.directory(MASK_EMPTY, 0o755);
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
        for beyond in &host.beyond {
            self.mask(beyond, MASK_EMPTY, 0o755);
        }
        for hidden in &host.hidden {
            self.mask(hidden, MASK_DIRECTORY, 0o711);
        }
        // A mount point cannot be renamed.
        for pinned in &host.pinned {
            self.place_over(pinned, Over::Itself(0));
        }
        for protected in &host.protected {
            self.place_over(protected, Over::Itself(READ_ONLY));
        }
        self.write_files();
        // Outermost first; over the same path the cover last.
        self.places
            .sort_by_cached_key(|place| (in_dev(&place.path), depth(&place.path), place.cover));
        self.by_path.clear();
        for (index, place) in self.places.iter().enumerate() {
            self.by_path.insert(place.path.clone(), index);
        }
        for index in 0..self.places.len() {
            self.make_mount_point(index);
        }
    }

    fn private(&mut self, path: &Path, attributes: u64) {
        if self.by_path.contains_key(path) {
            return;
        }
        let part = PathBuf::from(path.to_string_lossy().trim_start_matches('/').replace('/', "-"));
        self.directory(&part, if attributes & READ_ONLY == 0 { 0o1777 } else { 0o755 });
        self.place(path, Over::Part(part, PLAIN | attributes), true);
    }

    /// Lays a mask over a path; over a directory with something below that is to be seen, one
    /// of its own with this mode, to be passed through.
    fn mask(&mut self, place: &Located, mask: &str, mode: u32) {
        let around = self.nearest(&place.path);
        if around.is_some_and(|place| matches!(place.over, Over::Part(..) | Over::Mask(_))) {
            // A private directory or another mask lies over it already.
            return;
        }
        let part = if !place.directory {
            PathBuf::from(MASK_FILE)
        } else if self.passed.contains(&place.path) {
            self.masks += 1;
            let part = Path::new(MASK).join(self.masks.to_string());
            self.directory(&part, mode);
            part
        } else {
            PathBuf::from(mask)
        };
        self.place_over(place, Over::Mask(part));
    }

    /// The innermost place around `path`.
    fn nearest(&self, path: &Path) -> Option<&Place> {
        let index = path.ancestors().skip(1).find_map(|above| self.by_path.get(above))?;
        self.places.get(*index)
    }

    fn write_files(&mut self) {
        let host = self.host;
        if let Some(resolver) = &host.resolver
            && let Some(part) = self.part_of(&resolver.path)
        {
            self.make_parents(&part);
            self.file(part, &resolver.content, 0o644);
        }
        for (place, content) in &host.said {
            let name = place.path.file_name().expect("because these files have names");
            let part = Path::new(MASK).join(name);
            self.file(&part, content, 0o644);
            let Located { path, directory, .. } = place.clone();
            let identity = self.identity(place);
            self.put(Place { path, over: Over::Mask(part), identity, cover: false, directory });
        }
    }

    /// Without a view there is no file system in memory. One is laid over `/proc` for as long as it
    /// takes to copy the files from it, and what belongs there covers it for good.
    fn say_over_the_host(&mut self) {
        const PROC: &str = "/proc";
        let host = self.host;
        if host.said.is_empty() {
            return;
        }
        let outer = host.ground.rung == Rung::OuterProc;
        let kept = outer.then(|| self.keep(Path::new(PROC), true, None));
        let into = self.slot();
        let options = vec![("size", "1M".to_owned()), ("mode", "0755".to_owned())];
        self.steps.push(Step::NewFs {
            into,
            kind: "tmpfs",
            options,
            attributes: MASKED & !READ_ONLY,
        });
        self.attach(into, Path::new(PROC));
        for (place, content) in &host.said {
            let name = place.path.file_name().expect("because these files have names");
            let path = Path::new(PROC).join(name);
            self.steps.push(Step::MakeFile {
                path: path.clone(),
                content: content.clone(),
                mode: 0o644,
            });
            self.copy(self.hand, &path, false, None);
            let attributes = MountAttributes { set: MASKED, ..MountAttributes::default() };
            self.steps.push(Step::TreeAttr { tree: self.hand, attributes });
            let (path, identity) = (place.path.clone(), Some(place.identity()));
            self.steps.push(Step::Attach { tree: self.hand, path, identity, cover: false });
        }
        if let Some(kept) = kept {
            self.attach(kept, Path::new(PROC));
        }
    }

    /// Where `path` lies in the file system in memory, if it does.
    fn part_of(&self, path: &Path) -> Option<PathBuf> {
        let around = self.nearest(path)?;
        let (Over::Part(part, _) | Over::Mask(part)) = &around.over else { return None };
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

    /// All masks are done and become read-only together.
    fn close_masks(&mut self) {
        let path = Path::new(BASE).join(MASK);
        self.copy(self.hand, &path, false, None);
        let attributes = MountAttributes { set: MASKED, ..MountAttributes::default() };
        self.steps.push(Step::TreeAttr { tree: self.hand, attributes });
        self.attach(self.hand, &path);
    }

    /// Each tree to its place. `/dev` hides the base, so what its own places need of that is
    /// copied before.
    fn put_in_place(&mut self) {
        let places = std::mem::take(&mut self.places);
        let (elsewhere, in_dev): (Vec<_>, Vec<_>) =
            places.into_iter().partition(|place| !in_dev(&place.path));
        for place in elsewhere {
            let tree = self.tree(&place, self.hand);
            self.settle(tree, place);
        }
        let mut ready = Vec::with_capacity(in_dev.len());
        for place in in_dev {
            let ahead = matches!(place.over, Over::Part(..) | Over::Mask(_)).then(|| {
                let slot = self.slot();
                self.tree(&place, slot)
            });
            ready.push((ahead, place));
        }
        for (ahead, place) in ready {
            let tree = ahead.unwrap_or_else(|| self.tree(&place, self.hand));
            self.settle(tree, place);
        }
    }

    /// The tree for a place, in a slot of its own or in this one.
    fn tree(&mut self, place: &Place, slot: Slot) -> Slot {
        let (set, plain) = match &place.over {
            Over::Tree(tree) => return *tree,
            Over::Part(part, attributes) => {
                self.copy(slot, &Path::new(BASE).join(part), false, None);
                (*attributes, PLAIN)
            }
            Over::Mask(part) => {
                self.copy(slot, &Path::new(BASE).join(part), false, None);
                (MASKED, MASKED)
            }
            Over::Itself(attributes) => {
                self.copy(slot, &place.path, true, place.identity);
                (*attributes, 0)
            }
        };
        if set != plain {
            let recursive = matches!(place.over, Over::Itself(_));
            let attributes = MountAttributes { set, recursive, private: false };
            self.steps.push(Step::TreeAttr { tree: slot, attributes });
        }
        slot
    }

    fn settle(&mut self, tree: Slot, place: Place) {
        let Place { path, identity, cover, .. } = place;
        self.steps.push(Step::Attach { tree, path, identity, cover });
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
            self.copy(self.hand, &path, false, None);
            let attributes = MountAttributes { set: READ_ONLY, ..MountAttributes::default() };
            self.steps.push(Step::TreeAttr { tree: self.hand, attributes });
            self.attach(self.hand, &path);
        }
    }
}

fn in_dev(path: &Path) -> bool {
    path == Path::new("/dev") || lies_in(path, Path::new("/dev"))
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
        || host.hidden.iter().chain(&host.beyond).any(|hidden| inside(&hidden.path))
        || host.overlay.as_ref().is_some_and(|layer| inside(&layer.workspace.path))
        || host.writable.iter().any(|writable| inside(&writable.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::layer::Layer;
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
            pinned: vec![at("/home/u/.config", 13, true), at("/tmp/ws/.git", 15, true)],
            protected: vec![at("/home/u/.bashrc", 16, false), at("/tmp/ws/.git/hooks", 17, true)],
            devices: vec!["null", "tty"],
            proc_guard: vec!["sys"],
            resolver: Some(crate::linux::host::Written {
                path: "/run/resolve/stub.conf".into(),
                content: "nameserver 127.0.0.53\n".into(),
            }),
            said: vec![(at("/etc/hosts", 12, false), "127.0.0.1 localhost\n".into())],
            ..Host::default()
        }
    }

    /// A narrow view with a layer over the workspace.
    fn narrow() -> Host {
        let workspace = at("/home/u/ws", 1, true);
        Host {
            private: ["/run", "/tmp"].map(PathBuf::from).to_vec(),
            beyond: vec![at("/home", 2, true), at("/srv", 3, true), at("/swap", 4, false)],
            hidden: vec![at("/home/u/.ssh", 5, true), at("/home/u/ws/.env", 6, false)],
            protected: vec![at("/home/u/ws/.git/config", 7, false)],
            pinned: vec![at("/home/u/ws/.git", 8, true)],
            overlay: Some(Layer {
                workspace,
                upper: at("/state/upper", 9, true),
                work: at("/state/work", 10, true),
            }),
            ..Host::default()
        }
    }

    #[test]
    fn the_view_reads_as_a_list() {
        let lines: Vec<_> = view(&host()).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_narrow_view_with_a_layer_reads_as_a_list() {
        let lines: Vec<_> = view(&narrow()).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn many_places_take_one_slot() {
        let hidden = (0..5_000).map(|i| at(&format!("/home/u/{i}/.env"), i, false)).collect();
        let pinned = (0..2_000).map(|i| at(&format!("/home/u/{i}"), i, true)).collect();
        let host = Host { writable: vec![at("/home/u", 1, true)], hidden, pinned, ..host() };
        check(&host).expect("so many can be");
        let used = view(&host).into_iter().filter_map(|step| match step {
            Step::CloneTree { into, .. } | Step::NewFs { into, .. } => Some(into.0),
            _ => None,
        });
        assert!(used.max() < Some(20));
        let hidden = vec![at("/home/u/x", 1, false); MOST_PLACES + 1];
        check(&Host { hidden, ..Host::default() }).expect_err("too many");
        let readable = vec![at("/home/u/x", 1, false); MOST_WAITING + 1];
        check(&Host { readable, ..Host::default() }).expect_err("too many");
        let hidden = vec![at("/dev/shm/x/y", 1, false); MOST_WAITING + 1];
        check(&Host { hidden, ..Host::default() }).expect_err("too many");
    }

    #[test]
    fn nothing_is_made_outside_the_file_system_in_memory() {
        for host in [host(), narrow()] {
            let steps = view(&host);
            let at_base = |step: &Step| matches!(step, Step::Attach { path, .. } if path == Path::new("/dev"));
            let at_base: Vec<_> =
                (0..steps.len()).filter(|index| at_base(&steps[*index])).collect();
            let [base, dev] = at_base[..] else { panic!("{at_base:?}") };
            for (index, step) in steps.iter().enumerate() {
                if let Step::Mkdir { path, .. }
                | Step::MakeFile { path, .. }
                | Step::Symlink { path, .. } = step
                {
                    assert!(path.starts_with(BASE) && (base..dev).contains(&index), "{step}");
                }
            }
        }
    }

    #[test]
    fn every_tree_goes_to_one_place_and_outer_places_come_first() {
        for host in [host(), narrow()] {
            goes_in_order(&view(&host));
        }
    }

    fn goes_in_order(steps: &[Step]) {
        let (mut waiting, mut taken) = (BTreeSet::new(), BTreeSet::new());
        let mut closed = false;
        for step in steps {
            match step {
                Step::CloneTree { into, .. }
                | Step::NewFs { into, .. }
                | Step::Overlay { into, .. } => {
                    assert!(waiting.insert(into.0), "slot of {step} is taken");
                }
                Step::MountAttr { .. } => closed = true,
                Step::Attach { tree, path, .. } => {
                    assert!(closed, "{step} before the host's tree is read-only");
                    assert!(waiting.remove(&tree.0), "{step} has no tree");
                    let below = taken.iter().find(|taken: &&&Path| lies_in(taken, path));
                    let base = path == Path::new(BASE);
                    assert!(base || below.is_none(), "{step} comes after {below:?}");
                    taken.insert(path.as_path());
                }
                _ => {}
            }
        }
        assert!(waiting.is_empty(), "trees without a place: {waiting:?}");
    }

    #[test]
    fn what_is_protected_is_copied_in_place_and_laid_over_itself() {
        for (host, path, known) in [
            (host(), "/tmp/ws/.git/hooks", true),
            (host(), "/home/u/.bashrc", true),
            (narrow(), "/home/u/ws/.git/config", false),
        ] {
            let steps = view(&host);
            let around = |step: &Step| matches!(step, Step::Attach { path: at, .. } if Path::new(path).starts_with(at));
            let outer = steps
                .iter()
                .rposition(|step| around(step) && !step.to_string().contains(&format!("`{path}`")));
            let own = &steps[outer.expect("a tree is around it")..];
            let at = own.iter().position(
                |step| matches!(step, Step::CloneTree { path: at, .. } if at == Path::new(path)),
            );
            let [clone, attributes, attach, ..] = &own[at.expect("it is copied")..] else {
                panic!("three steps")
            };
            let Step::CloneTree { identity, recursive: true, .. } = clone else {
                panic!("{clone}")
            };
            assert_eq!(identity.is_some(), known, "{clone}");
            assert!(
                matches!(attributes, Step::TreeAttr { attributes, .. } if attributes.set == READ_ONLY && attributes.recursive),
                "{attributes}"
            );
            assert!(
                matches!(attach, Step::Attach { path: at, .. } if at == Path::new(path)),
                "{attach}"
            );
        }
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

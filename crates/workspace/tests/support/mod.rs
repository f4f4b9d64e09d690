//! A workspace, a layer over it, and a shell that writes to both.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use ringfence_workspace::{Layer, Layers, NewLayer, State};

/// Mounts the overlay in a namespace of its own, does what the test says, and keeps a copy of what was seen.
const SCRIPT: &str = r#"
umask 022
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,userxattr" "$MERGED" || exit 99
cd "$MERGED" || exit 98
eval "$COMMANDS"
cd / && cp -a "$MERGED/." "$SHOWN/"
"#;

pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A workspace made by a shell script, and a layer with what another one did in it; `None` where no overlay can be
    /// mounted.
    pub(crate) fn overlaid(before: &str, commands: &str) -> Option<Place> {
        Place::overlaid_in(&std::env::temp_dir(), before, commands)
    }

    /// The same in memory, where syncing costs nothing, if an overlay can lie there.
    pub(crate) fn overlaid_in_memory(before: &str, commands: &str) -> Option<Place> {
        const MEMORY: &str = "/dev/shm";
        static WORKS: LazyLock<bool> =
            LazyLock::new(|| Place::try_overlaid(Path::new(MEMORY), "true", "true").is_ok());
        let base = if *WORKS { MEMORY.into() } else { std::env::temp_dir() };
        Place::overlaid_in(&base, before, commands)
    }

    fn overlaid_in(base: &Path, before: &str, commands: &str) -> Option<Place> {
        // Seen as an ordinary user: files that nobody touched count as changed on the host, so applies
        // are refused. The cause is not known yet.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
            skipped(
                "needs root: an ordinary user sees conflicts where none are, the cause is not known",
            );
            return None;
        }
        Place::try_overlaid(base, before, commands).inspect_err(|why| skipped(why)).ok()
    }

    fn try_overlaid(base: &Path, before: &str, commands: &str) -> Result<Place, String> {
        let dir = tempfile::tempdir_in(base).map_err(|error| error.to_string())?;
        let place = Place { dir };
        for name in ["workspace", "merged", "shown", "outside"] {
            fs::create_dir(place.path(name)).expect("a directory");
        }
        shell(&place.workspace(), before);
        // Change times have the grain of the clock tick; the host was quiet before the run.
        wait_for_tick(&place.path("tick"));
        let new = NewLayer {
            run: "RUN".into(),
            workspace: place.workspace(),
            command: Some(commands.into()),
            protected: [".git/hooks", ".git/config", "**/.envrc"].map(PathBuf::from).to_vec(),
        };
        let layer = Layer::create(&place.state(), new).expect("a layer");
        let output = place.overlay(&layer, commands);
        match output.status.code() {
            Some(99) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            _ => {
                wait_for_tick(&place.path("tick"));
                Ok(place)
            }
        }
    }

    fn overlay(&self, layer: &Layer, commands: &str) -> Output {
        let mut command = Command::new("unshare");
        let namespaces: &[&str] = if is_root() { &["-m"] } else { &["-r", "-m"] };
        command
            .args(namespaces)
            .args(["--propagation", "private", "/bin/sh", "-c", SCRIPT])
            .env("LOWER", self.workspace())
            .env("UPPER", layer.upper())
            .env("WORK", layer.work())
            .env("MERGED", self.path("merged"))
            .env("SHOWN", self.shown())
            .env("OUTSIDE", self.outside())
            .env("COMMANDS", commands);
        command.output().expect("unshare(1) is there")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("a directory").join(name)
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.path("workspace")
    }

    /// What was seen through the overlay at the end.
    pub(crate) fn shown(&self) -> PathBuf {
        self.path("shown")
    }

    /// What nothing may reach.
    pub(crate) fn outside(&self) -> PathBuf {
        self.path("outside")
    }

    pub(crate) fn state(&self) -> State {
        State::at(self.path("state"))
    }

    pub(crate) fn layer(&self) -> Layer {
        Layers::of(&self.state()).open("RUN").expect("a layer")
    }

    /// No layer is left, not even in parts, and no temporary name.
    pub(crate) fn check_gone(&self) {
        let left = fs::read_dir(self.state().path().join("layers")).expect("a directory").count();
        assert_eq!(left, 0);
        let is_temporary = |path: &&PathBuf| path.to_string_lossy().contains(".ringfence-");
        assert_eq!(tree(&self.workspace()).keys().find(is_temporary), None);
    }
}

impl Drop for Place {
    /// Directories that keep their owner out would keep the removal out, too.
    fn drop(&mut self) {
        let opened = Command::new("chmod").args(["-R", "u+rwx"]).arg(self.dir.path()).output();
        drop(opened);
    }
}

pub(crate) fn shell(directory: &Path, commands: &str) {
    let mut command = Command::new("/bin/sh");
    let outside = directory.parent().expect("a parent").join("outside");
    command
        .args(["-c", &format!("umask 022\n{commands}")])
        .current_dir(directory)
        .env("OUTSIDE", outside);
    drop(command.output().expect("a shell"));
}

/// Makes files until their time differs from that of the first.
fn wait_for_tick(path: &Path) {
    let stamp = || {
        fs::write(path, "").expect("a file");
        let meta = fs::metadata(path).expect("a file");
        (meta.ctime(), meta.ctime_nsec())
    };
    let first = stamp();
    while stamp() == first {}
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("a process").uid() == 0
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn skipped(why: &str) {
    let must = std::env::var_os("RINGFENCE_MUST_WORK").is_some_and(|value| value == "1");
    assert!(!must, "no overlay can be mounted: {why}");
    eprintln!("skipped: no overlay can be mounted: {why}");
}

/// All that a reader can tell of a tree: kind and permission bits, and bytes, target or names.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    collect(root, Path::new(""), &mut found);
    found
}

fn collect(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    use std::os::unix::ffi::OsStringExt;
    let full = root.join(path);
    let meta = fs::symlink_metadata(&full).expect("a file");
    let (is_dir, is_file) = (meta.is_dir(), meta.is_file());
    let mode = if meta.is_symlink() { 0o120_777 } else { meta.mode() };
    let locked = (is_dir || is_file) && mode & 0o700 != 0o700 && !is_root();
    if locked {
        fs::set_permissions(&full, fs::Permissions::from_mode(0o700)).expect("a mode");
    }
    let contents = match () {
        () if is_file => fs::read(&full).expect("a file"),
        () if meta.is_symlink() => {
            fs::read_link(&full).expect("a link").into_os_string().into_vec()
        }
        () => Vec::new(),
    };
    found.insert(path.to_owned(), (mode, contents));
    if is_dir {
        for entry in fs::read_dir(&full).expect("a directory") {
            collect(root, &path.join(entry.expect("an entry").file_name()), found);
        }
    }
    if locked {
        fs::set_permissions(&full, fs::Permissions::from_mode(mode & 0o7777)).expect("a mode");
    }
}

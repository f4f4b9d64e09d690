//! An apply that is killed at any point leaves each path as it was or as it shall be, and a second one finishes it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{shell, tree};
use ringfence_workspace::{Error, Layer, Layers, NewLayer, State};

const HOST: &str = "\
i=0; while [ $i -lt 40 ]; do echo old $i > m$i; echo old > g$i; mkdir -p t$i/s; echo old > t$i/s/f; i=$((i+1)); done";

/// As overlayfs would have it: files that are new and changed, names that are gone, directories that became files.
const LAYER: &str = "\
i=0; while [ $i -lt 40 ]; do
  dd if=/dev/zero bs=64k count=2 2>/dev/null | tr '\\0' x > m$i; mknod g$i c 0 0; echo new > t$i
  mkdir -p n$i/a; echo new > n$i/a/f; ln n$i/a/f n$i/l; chmod 750 n$i; i=$((i+1)); done";

type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().expect("a temporary directory") };
        for name in ["workspace", "outside"] {
            fs::create_dir(place.path(name)).expect("a directory");
        }
        let workspace = place.path("workspace");
        shell(&workspace, HOST);
        let new = NewLayer { run: "RUN".into(), workspace, command: None, protected: vec![] };
        let layer = Layer::create(&place.state(), new).expect("a layer");
        shell(&layer.upper(), LAYER);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("a directory").join(name)
    }

    fn state(&self) -> State {
        State::at(self.path("state"))
    }

    /// Another process that applies the layer: this test program, called again.
    fn applying(&self) -> Child {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash::a_process_that_applies"])
            .env("CRASH_TEST_PLACE", self.path(""))
            .stdout(Stdio::null())
            .spawn()
            .expect("this program")
    }

    fn entries(&self) -> usize {
        let names = fs::read_dir(self.path("workspace")).expect("a directory");
        names
            .filter(|name| {
                name.as_ref().is_ok_and(|name| name.file_name().as_encoded_bytes()[0] == b'n')
            })
            .count()
    }
}

#[test]
fn a_process_that_applies() {
    let Some(place) = std::env::var_os("CRASH_TEST_PLACE") else { return };
    let state = State::at(Path::new(&place).join("state"));
    let report =
        Layers::of(&state).open("RUN").expect("a layer").apply(&[], false).expect("an apply");
    assert_eq!((report.refused, report.failed), (vec![], vec![]));
}

fn finished() -> Tree {
    let place = Place::new();
    Layers::of(&place.state()).open("RUN").expect("a layer").apply(&[], false).expect("an apply");
    tree(&place.path("workspace"))
}

/// Kills the process as soon as it got so far, or a little later; how much later differs from run to run.
fn check(far: usize, before: &Tree, after: &Tree) -> bool {
    let place = Place::new();
    let mut child = place.applying();
    while place.entries() < far && child.try_wait().expect("a child").is_none() {}
    child.kill().expect("a child of this process");
    let was_killed = child.wait().expect("a child").signal() == Some(9);
    let now = tree(&place.path("workspace"));
    for (path, entry) in &now {
        let is_whole = before.get(path) == Some(entry) || after.get(path) == Some(entry);
        let is_own = path.to_string_lossy().contains(".ringfence-apply-");
        let is_incomplete = after
            .get(path)
            .is_some_and(|after| entry.0 & 0o170_000 == 0o040_000 && after.1 == entry.1);
        assert!(is_whole || is_own || is_incomplete, "{far}: {}", path.display());
    }
    match Layers::of(&place.state()).open("RUN") {
        Ok(layer) => {
            let report = layer.apply(&[], false).expect("an apply");
            assert_eq!((report.refused, report.failed, report.left), (vec![], vec![], 0), "{far}");
        }
        // It had come as far as removing the layer.
        Err(error) => assert!(matches!(error, Error::NoSuchRun { .. }), "{far}: {error}"),
    }
    assert_eq!(&tree(&place.path("workspace")), after, "{far}");
    was_killed
}

#[test]
fn killed_on_the_way() {
    let untouched = Place::new();
    let before = tree(&untouched.path("workspace"));
    let after = finished();
    let killed = [0, 0, 1, 1, 2, 5, 10, 20, 35, 40]
        .iter()
        .filter(|far| check(**far, &before, &after))
        .count();
    assert!(killed > 0, "no process was killed on its way");
}

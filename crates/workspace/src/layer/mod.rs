//! Layers: the changes of a run, kept aside until someone looks at them.
//!
//! A sandbox mounts an overlay over the workspace with [`Layer::upper`] on top, so the command
//! writes and the workspace stays as it is. Afterwards the layer can be read ([`Layer::diff`]),
//! carried out ([`Layer::apply`]) or thrown away ([`Layer::discard`]). This crate mounts nothing.
//!
//! The trap: everything in a layer was made by the command. Names, links and modes are its own
//! choice, so nothing in it is followed, and the workspace is reached by descriptors only.

mod apply;
mod change;
mod conflict;
mod host;
mod list;
mod pending;
mod protected;
mod read;
mod record;
mod walk;

pub use apply::{Refusal, Report};
pub use change::{Change, ChangeKind, Diff, Entry};
pub(crate) use list::sweep;
pub use list::{Layers, Listed};
pub use read::{Contents, Side};

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::state::{GONE, NEW, Part, State, check_run, lock_shared, try_lock};
use crate::tree::{Dir, Meta, remove_entry, rename_new};
use protected::Protected;
use record::Record;

const UPPER: &str = "upper";
const WORK: &str = "work";
const FINISHED: &str = "finished";

/// What a new layer is about.
#[derive(Clone, Debug)]
pub struct NewLayer {
    /// The run it belongs to: letters, digits, `-`, `_`, `.`.
    pub run: String,
    /// The directory whose changes it takes. Absolute and resolved.
    pub workspace: PathBuf,
    /// The command, for people. It is stored, so it must hold no secret.
    pub command: Option<String>,
    /// Paths below the workspace that are applied only when the caller insists; a leading `**/`
    /// stands for any directory.
    pub protected: Vec<PathBuf>,
}

/// The layer of one run, locked by this process.
#[derive(Debug)]
pub struct Layer {
    state: State,
    run: String,
    path: PathBuf,
    dir: Dir,
    record: Record,
}

impl Layer {
    /// An empty layer for a run that is about to begin.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be used, the workspace cannot be opened, or the run has a layer already.
    pub fn create(state: &State, new: NewLayer) -> Result<Layer> {
        check_run(&new.run)?;
        let (layers, path) = (state.make(Part::Layers)?, state.path_of(Part::Layers));
        lock_shared(&layers, &path)?;
        let half_made = OsString::from(format!("{NEW}{}", new.run));
        let made = make(&layers, &path, &half_made, &new).and_then(|(dir, record)| {
            rename_new(&layers, &half_made, &layers, new.run.as_ref())
                .map_err(Error::io("make", &path.join(&new.run)))?;
            Ok((dir, record))
        });
        let (dir, record) = made.inspect_err(|_| {
            let _ = remove_entry(&layers, &half_made);
        })?;
        let path = path.join(&new.run);
        Ok(Layer { state: state.clone(), run: new.run, path, dir, record })
    }

    /// The name of the run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Where changes go: the `upperdir` of the overlay.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.path.join(UPPER)
    }

    /// Scratch on the same file system: the `workdir` of the overlay.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// The directory whose changes it has.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.record.workspace
    }

    /// When the run began.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        self.record.created()
    }

    /// The command, for people.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.record.command.as_deref()
    }

    /// The changes, against the workspace as it is now.
    ///
    /// # Errors
    ///
    /// When the layer or the workspace cannot be read, or the layer has marks that this crate does not know.
    pub fn diff(&self) -> Result<Diff> {
        self.compare(&HashSet::new())
    }

    fn compare(&self, applied: &HashSet<PathBuf>) -> Result<Diff> {
        let (upper, host) = (self.open_upper()?, self.open_workspace()?);
        let touched = pending::touched(&self.dir);
        walk::compare(&self.record, (&upper, &self.upper()), &host, applied, &touched)
    }

    /// The run is over, and no process of it is left. Gives the number of changes; a layer without
    /// any is removed.
    ///
    /// # Errors
    ///
    /// When the layer cannot be read. It stays then.
    pub fn finish(self) -> Result<usize> {
        remove_entry(&self.dir, OsStr::new(WORK)).map_err(Error::io("remove", &self.work()))?;
        let changes = self.diff()?.changes.len();
        if changes == 0 {
            self.discard()?;
        } else {
            drop(self.dir.create_file(FINISHED.as_ref()));
        }
        Ok(changes)
    }

    /// Throws all changes away.
    ///
    /// # Errors
    ///
    /// When the layer cannot be removed. What is left of it is removed by the next [`sweep()`](crate::sweep()).
    pub fn discard(self) -> Result<()> {
        pending::recover(&self.dir, &self.run, self.open_workspace().ok().as_ref());
        let layers = self.state.make(Part::Layers)?;
        remove_layer(&layers, self.run.as_ref()).map_err(Error::io("remove", &self.path))
    }

    fn open_upper(&self) -> Result<Dir> {
        let path = self.upper();
        let meta = self.dir.meta(UPPER).map_err(Error::io("look at", &path))?;
        let meta = meta.ok_or(Errno::NOENT).map_err(Error::io("look at", &path))?;
        self.dir.unlocked_child(UPPER.as_ref(), &meta).map_err(Error::io("open", &path))
    }

    fn open_workspace(&self) -> Result<Dir> {
        Dir::open(&self.record.workspace).map_err(Error::io("open", &self.record.workspace))
    }

    /// A layer that is there, when its run is over.
    fn open(state: &State, layers: &Dir, run: &str) -> Result<Layer> {
        let path = state.path_of(Part::Layers).join(run);
        let dir = match layers.child(run) {
            Err(Errno::NOENT) => return Err(Error::NoSuchRun { run: run.to_owned() }),
            opened => opened.map_err(Error::io("open", &path))?,
        };
        if !try_lock(&dir).map_err(Error::io("lock", &path))? {
            return Err(Error::InUse { run: run.to_owned() });
        }
        let record = Record::read(&dir, &path)?;
        let layer = Layer { state: state.clone(), run: run.to_owned(), path, dir, record };
        pending::recover(&layer.dir, run, layer.open_workspace().ok().as_ref());
        Ok(layer)
    }
}

fn make(layers: &Dir, path: &Path, name: &OsStr, new: &NewLayer) -> Result<(Dir, Record)> {
    let workspace = Dir::open(&new.workspace).map_err(Error::io("open", &new.workspace))?;
    let mode = Meta::of(&workspace).map_err(Error::io("look at", &new.workspace))?.mode;
    let path = path.join(name);
    let built = || {
        let dir = layers.make_dir(name)?;
        flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        dir.make_dir(WORK.as_ref())?;
        // The command sees the layer's own mode as that of the workspace.
        let upper = dir.make_dir(UPPER.as_ref())?;
        upper.set_mode(mode)?;
        Ok((dir, Meta::of(&upper)?.changed))
    };
    let (dir, created) = built().map_err(|error: Errno| Error::io("make", &path)(error))?;
    let record = Record {
        workspace: new.workspace.clone(),
        command: new.command.clone(),
        protected: Protected::new(new.protected.clone()),
        created,
    };
    record.write(&dir, &path)?;
    Ok((dir, record))
}

/// Removes a layer so that it is there whole or not at all.
fn remove_layer(layers: &Dir, run: &OsStr) -> rustix::io::Result<()> {
    let mut going = OsString::from(GONE);
    going.push(run);
    remove_entry(layers, &going)?;
    match rename_new(layers, run, layers, &going) {
        Err(Errno::NOENT) => Ok(()),
        renamed => renamed.and_then(|()| remove_entry(layers, &going)),
    }
}

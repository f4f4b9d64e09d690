//! All layers of a state directory.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use super::record::Record;
use super::{FINISHED, Layer, remove_layer};
use crate::error::{Error, Result};
use crate::state::{Part, State, is_partial, try_lock};
use crate::tree::{Dir, remove_entry};

/// The layers of a state directory.
#[derive(Clone, Debug)]
pub struct Layers {
    state: State,
}

/// A layer in a list.
#[derive(Debug)]
pub struct Listed {
    /// The run.
    pub run: String,
    /// The directory whose changes it has.
    pub workspace: PathBuf,
    /// When the run began.
    pub created: SystemTime,
    /// The command, for people.
    pub command: Option<String>,
    /// The number of changes; [`Error::InUse`] while the run goes on.
    pub changes: Result<usize>,
}

impl Layers {
    /// Those of this state directory.
    #[must_use]
    pub fn of(state: &State) -> Layers {
        Layers { state: state.clone() }
    }

    /// All layers, by name, which for runs is by age. One whose record cannot be read is left out, with a
    /// warning.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be read.
    pub fn list(&self) -> Result<(Vec<Listed>, Vec<String>)> {
        let (mut listed, mut warnings) = (Vec::new(), Vec::new());
        let Some(layers) = self.state.find(Part::Layers)? else { return Ok((listed, warnings)) };
        for run in self.runs(&layers)? {
            match self.listed(&layers, &run) {
                Ok(layer) => listed.push(layer),
                // Discarded by another process meanwhile.
                Err(Error::NoSuchRun { .. }) => {}
                Err(error) => warnings.push(format!("run {run}: {error}")),
            }
        }
        Ok((listed, warnings))
    }

    fn listed(&self, layers: &Dir, run: &str) -> Result<Listed> {
        let path = self.state.path_of(Part::Layers).join(run);
        let gone = |error| match error {
            rustix::io::Errno::NOENT => Error::NoSuchRun { run: run.to_owned() },
            error => Error::io("open", &path)(error),
        };
        let record = Record::read(&layers.child(run).map_err(gone)?, &path)?;
        let changes =
            Layer::open(&self.state, layers, run).and_then(|layer| Ok(layer.diff()?.changes.len()));
        let created = record.created();
        Ok(Listed {
            run: run.to_owned(),
            workspace: record.workspace,
            created,
            command: record.command,
            changes,
        })
    }

    /// The layer of a run, whose name may be cut as long as it is the only one that begins so.
    ///
    /// # Errors
    ///
    /// When there is none or several, or the run goes on.
    pub fn open(&self, run: &str) -> Result<Layer> {
        let none = || Error::NoSuchRun { run: run.to_owned() };
        let layers = self.state.find(Part::Layers)?.ok_or_else(none)?;
        Layer::open(&self.state, &layers, &self.complete(&layers, run)?)
    }

    /// Removes a layer without reading what it is about.
    ///
    /// # Errors
    ///
    /// As for [`open`](Layers::open), and when it cannot be removed.
    pub fn discard(&self, run: &str) -> Result<()> {
        match self.open(run) {
            Ok(layer) => layer.discard(),
            Err(Error::BadRecord { .. } | Error::Io { .. }) => {
                let layers = self.state.make(Part::Layers)?;
                let run = self.complete(&layers, run)?;
                let path = self.state.path_of(Part::Layers).join(&run);
                remove_layer(&layers, OsStr::new(&run)).map_err(Error::io("remove", &path))
            }
            Err(error) => Err(error),
        }
    }

    fn complete(&self, layers: &Dir, given: &str) -> Result<String> {
        let mut candidates = self.runs(layers)?;
        if let Some(exact) = candidates.iter().find(|run| *run == given) {
            return Ok(exact.clone());
        }
        candidates.retain(|run| {
            !given.is_empty() && run.starts_with(&given.to_ascii_uppercase())
                || !given.is_empty() && run.starts_with(given)
        });
        match candidates.len() {
            0 => Err(Error::NoSuchRun { run: given.to_owned() }),
            1 => Ok(candidates.remove(0)),
            _ => Err(Error::Ambiguous { run: given.to_owned(), candidates }),
        }
    }

    fn runs(&self, layers: &Dir) -> Result<Vec<String>> {
        let path = self.state.path_of(Part::Layers);
        let names = layers.names().map_err(Error::io("list", &path))?;
        let whole = names.into_iter().filter(|name| !is_partial(name));
        Ok(whole.filter_map(|name| name.into_string().ok()).collect())
    }
}

/// Removes layers of dead runs that hold nothing, and what a crash left half made or half removed.
/// Gives warnings.
pub(crate) fn sweep(state: &State) -> Result<Vec<String>> {
    let Some(layers) = state.find(Part::Layers)? else { return Ok(Vec::new()) };
    let path = state.path_of(Part::Layers);
    let names = layers.names().map_err(Error::io("list", &path))?;
    let (partial, whole): (Vec<OsString>, Vec<OsString>) =
        names.into_iter().partition(|name| is_partial(name));
    if !partial.is_empty() && try_lock(&layers).map_err(Error::io("lock", &path))? {
        for name in &partial {
            remove_entry(&layers, name).map_err(Error::io("remove", &path.join(name)))?;
        }
        flock(&layers, FlockOperation::Unlock).map_err(Error::io("unlock", &path))?;
    }
    let unfinished = whole.iter().filter(|name| is_unfinished(&layers, name));
    Ok(unfinished.filter_map(|name| finish(state, &layers, name.to_str()?).err()).collect())
}

fn is_unfinished(layers: &Dir, name: &OsStr) -> bool {
    let Ok(layer) = layers.child(name) else { return false };
    matches!(layer.meta(FINISHED), Ok(None))
}

/// Does what the run's own process could not.
fn finish(state: &State, layers: &Dir, run: &str) -> std::result::Result<(), String> {
    match Layer::open(state, layers, run).and_then(Layer::finish) {
        Ok(_) | Err(Error::InUse { .. } | Error::NoSuchRun { .. }) => Ok(()),
        Err(error) => Err(format!("run {run}: {error}")),
    }
}

//! What a run leaves on the host, set right when its tree is empty.
//!
//! Three things belong to a run and outlive its processes: protected paths that no mount could
//! hold, the layer that took its changes, and a directory in place of a private `/tmp`. They are
//! prepared before the start and looked at after the end, whatever the end was.
//!
//! The trap is a run that is dropped: nobody waits for its tree any more, and what it planted must
//! go all the same. So a thread of its own waits then.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_config::{FsMode, Mode};
use ringfence_sandbox::{Before, Files, Overlay, Sandbox, Tree, Unheld, protected_names};
use ringfence_workspace::{
    Error, Finding, Findings, Guard, Layer, NewLayer, Scratch, State, Watched, sweep,
};

use crate::prepared::Prepared;
use crate::run_id::RunId;

/// What is to be looked at when the tree is empty.
#[derive(Debug, Default)]
pub(crate) struct Aftermath {
    guard: Option<Guard>,
    layer: Option<Layer>,
    scratch: Option<Scratch>,
    tree: Option<Arc<Tree>>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) violations: Vec<Finding>,
    pub(crate) warnings: Vec<String>,
    /// Changes that the layer keeps.
    pub(crate) changes: Option<usize>,
}

impl Aftermath {
    /// The layer of a run whose profile wants one.
    pub(crate) fn layer(prepared: &Prepared, run: RunId, command: &str) -> Result<Self, Error> {
        let profile = &prepared.profile;
        if profile.mode == Mode::Host || profile.fs_mode != FsMode::WorkspaceOverlay {
            return Ok(Self::default());
        }
        let workspace = std::fs::canonicalize(&profile.workspace);
        let new = NewLayer {
            run: run.to_string(),
            workspace: workspace.unwrap_or_else(|_| profile.workspace.clone()),
            command: Some(command.to_owned()),
            protected: protected_names(),
        };
        let layer = by_any(&prepared.states, |state| Layer::create(state, new.clone()))?;
        let mut aftermath = Self::default();
        aftermath.layer = Some(layer);
        Ok(aftermath)
    }

    /// Where the sandbox is to put the changes.
    pub(crate) fn overlay(&self) -> Option<Overlay> {
        let layer = self.layer.as_ref()?;
        Some(Overlay { upper: layer.upper(), work: layer.work() })
    }

    /// A directory for a sandbox that cannot give a private `/tmp`; made once.
    pub(crate) fn scratch(
        &mut self,
        prepared: &Prepared,
        run: RunId,
    ) -> Result<Option<PathBuf>, Error> {
        if self.scratch.is_none() {
            let run = run.to_string();
            let made = by_any(&prepared.states, |state| Scratch::create(state, &run))?;
            self.scratch = Some(made);
        }
        Ok(self.scratch.as_ref().map(|scratch| scratch.path().to_owned()))
    }

    /// Notes what the sandbox cannot hold itself.
    pub(crate) fn watch(
        &mut self,
        prepared: &Prepared,
        run: RunId,
        sandbox: &Sandbox,
    ) -> Result<(), Error> {
        // That of a stronger sandbox that could not be had: nothing has run in it.
        if let Some(guard) = self.guard.take() {
            drop(guard.finish());
        }
        let watched: Vec<_> = sandbox.unheld().iter().map(watched).collect();
        if !watched.is_empty() {
            let run = run.to_string();
            let begin = |state: &State| Guard::begin(state, &run, watched.clone());
            self.guard = Some(by_any(&prepared.states, begin)?);
        }
        Ok(())
    }

    /// The tree that must be empty first.
    pub(crate) fn of(&mut self, tree: Arc<Tree>) {
        self.tree = Some(tree);
    }

    /// Looks, when the tree is empty.
    pub(crate) fn finish(mut self) -> Found {
        self.tree = None;
        self.look()
    }

    /// The run did not come about, and there is nothing to keep.
    pub(crate) fn forget(self) {
        drop(self.finish());
    }

    fn look(&mut self) -> Found {
        self.scratch = None;
        let mut found = Found::default();
        if let Some(guard) = self.guard.take() {
            let Findings { found: violations, warnings } = guard.finish();
            found = Found { violations, warnings, changes: None };
        }
        match self.layer.take().map(Layer::finish) {
            Some(Ok(changes)) => found.changes = Some(changes),
            Some(Err(error)) => found.warnings.push(format!("the changes are kept: {error}")),
            None => {}
        }
        found
    }
}

impl Drop for Aftermath {
    fn drop(&mut self) {
        let Some(tree) = self.tree.take() else { return };
        // The rest has no tree, so its own end comes without another thread.
        let mut rest = std::mem::take(self);
        std::thread::spawn(move || {
            // An init that is gone cannot be told, and need not be.
            drop(tree.kill());
            while let Ok(Some(_)) = tree.wait_report() {}
            drop(rest.look());
        });
    }
}

fn watched(unheld: &Unheld) -> Watched {
    use ringfence_workspace::Before as Kept;
    let before = match unheld.before {
        Before::NoRepository => Kept::NoRepository,
        Before::Something => Kept::Something,
        _ => Kept::Nothing,
    };
    Watched { root: unheld.root.clone(), path: unheld.path.clone(), before }
}

/// By the first state directory that can be used; a user may have a home that is none.
fn by_any<T>(states: &[State], make: impl Fn(&State) -> Result<T, Error>) -> Result<T, Error> {
    let (last, others) = states.split_last().expect("because there is always one in /tmp");
    others.iter().find_map(|state| make(state).ok()).map_or_else(|| make(last), Ok)
}

/// Makes the state directory while the command cannot have made it, if the sandbox will let anything be written.
pub(crate) fn settle(prepared: &Prepared) {
    let writes = matches!(&prepared.spec.files, Files::View(view) if !view.writable.is_empty());
    if writes && prepared.states.first().is_some_and(|state| !state.path().exists()) {
        // Where there can be none, who needs one says so.
        drop(by_any(&prepared.states, State::settle));
    }
}

/// What processes that were killed could not look at themselves; asked once for each state
/// directory, before this process's first run.
pub(crate) fn left_behind(states: &[State]) -> Vec<String> {
    static SWEPT: Mutex<Vec<State>> = Mutex::new(Vec::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut words = Vec::new();
    for state in states {
        if swept.contains(state) {
            continue;
        }
        swept.push(state.clone());
        match sweep(state) {
            Ok(findings) => {
                let found = findings.found.iter().map(ToString::to_string);
                words.extend(found.chain(findings.warnings));
            }
            Err(error) => words.push(format!("what earlier runs left was not looked at: {error}")),
        }
    }
    words.into_iter().map(|word| format!("an earlier run was killed: {word}")).collect()
}

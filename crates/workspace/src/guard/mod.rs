//! Protected paths that no mount holds: looked at when the run is over, and set right.
//!
//! A mount can hold only what exists. What does not exist before a run, and must not exist after
//! it, is looked for when the tree is empty: what the command made there goes to the quarantine.
//! Names are looked at, not files: a parent that was moved aside takes nothing along that matters.
//!
//! The trap is the time between. The command's tree is empty and the supervisor is killed before
//! it looked: the journal says so, and [`sweep()`] of the next process looks instead. So does it for
//! a [`Guard`] that is dropped without [`Guard::finish`].

mod finding;
mod git_config;
mod inspect;
mod journal;
mod keep;
mod quarantine;
mod repository;
mod watchlist;

pub use finding::{Finding, Findings, What};
pub use watchlist::{Before, Watched};

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::state::{Part, State, check_run};
use journal::{Journal, Keep, Orphan};
use watchlist::{Seen, Watchlist};

/// Journals of this process that are kept for later runs. A runner of many workspaces at once
/// makes new ones beyond that; each costs three system calls more.
const KEPT: usize = 64;

static JOURNALS: Mutex<Vec<Arc<Journal>>> = Mutex::new(Vec::new());

/// A run in flight whose watched paths will be looked at.
#[derive(Debug)]
#[must_use = "nothing is looked at before `finish`"]
pub struct Guard {
    journal: Arc<Journal>,
    run: String,
    warnings: Vec<String>,
}

impl Guard {
    /// Notes what is watched during the run. With an empty list there is nothing to do.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be used, a root cannot be opened, or a path does not lie below its
    /// root. The run should not begin then: nobody would look.
    pub fn begin(state: &State, run: &str, watched: Vec<Watched>) -> Result<Guard> {
        check_run(run)?;
        if let Some(journal) = known(state, &watched)
            && journal.list.survey()? == journal.seen
        {
            journal.enter(run)?;
            return Ok(Guard { journal, run: run.to_owned(), warnings: Vec::new() });
        }
        let given = watched.clone();
        let (list, seen, watched) = resolved(watched)?;
        let has_copies = watched.iter().any(|watched| watched.before == Before::Something);
        let keep = |copies: &crate::tree::Dir| keep::keep(&watched, copies);
        let keep = has_copies.then_some(&keep as Keep<'_>);
        let (journal, warnings) =
            Journal::create(state, run, (&given, &watched), (list, seen), keep)?;
        let journal = Arc::new(journal);
        if !has_copies {
            remember(&journal);
        }
        Ok(Guard { journal, run: run.to_owned(), warnings })
    }

    /// Looks at every watched path, when no process of the run is left, and sets right what is wrong.
    #[must_use]
    pub fn finish(self) -> Findings {
        let Guard { journal, run, warnings } = self;
        let mut findings = Findings { found: Vec::new(), warnings };
        let Journal { state, list, seen, copies, .. } = &*journal;
        findings.extend(inspect::inspect(state, &run, list, seen, copies.as_ref()));
        if let Err(error) = journal.leave(&run) {
            findings.warnings.push(format!("the next run will look once more: {error}"));
        }
        findings
    }
}

/// The list with the places that links of the user's lead to, which are watched, too.
fn resolved(mut watched: Vec<Watched>) -> Result<(Arc<Watchlist>, Vec<Seen>, Vec<Watched>)> {
    let list = Watchlist::new(&watched)?;
    let seen = list.survey()?;
    if !seen.iter().any(|seen| matches!(seen, Seen::Link(..))) {
        return Ok((Arc::new(list), seen, watched));
    }
    let further = list.resolved(&watched, &seen);
    watched.extend(further);
    let list = Watchlist::new(&watched)?;
    let seen = list.survey()?;
    Ok((Arc::new(list), seen, watched))
}

/// A journal of this process for the same list.
fn known(state: &State, watched: &[Watched]) -> Option<Arc<Journal>> {
    let pid = std::process::id();
    let mut journals = JOURNALS.lock().unwrap_or_else(PoisonError::into_inner);
    journals.retain(|journal| journal.pid == pid);
    journals
        .iter()
        .find(|journal| journal.state == *state && is_same(&journal.given, watched))
        .cloned()
}

/// Byte by byte: comparing paths by their components takes ten times as long.
fn is_same(one: &[Watched], other: &[Watched]) -> bool {
    let same =
        |one: &Path, other: &Path| one.as_os_str().as_bytes() == other.as_os_str().as_bytes();
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.before == other.before
                && same(&one.path, &other.path)
                && same(&one.root, &other.root)
        })
}

fn remember(journal: &Arc<Journal>) {
    let mut journals = JOURNALS.lock().unwrap_or_else(PoisonError::into_inner);
    journals.retain(|old| old.state != journal.state || !is_same(&old.given, &journal.given));
    if journals.len() >= KEPT {
        journals.remove(0);
    }
    journals.push(Arc::clone(journal));
}

/// Removes the idle journals of this process, as at its end. Those in flight stay.
pub fn release() {
    JOURNALS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Does what killed processes could not: looks at what their runs watched. Cheap when there is
/// nothing to do; a process calls it once, before its first run.
///
/// # Errors
///
/// When the state directory cannot be read.
pub(crate) fn sweep(state: &State) -> Result<Findings> {
    let mut findings = Findings::default();
    let Some(dir) = state.find(Part::Guards)? else { return Ok(findings) };
    let path = state.path_of(Part::Guards);
    for orphan in journal::orphans(&dir).map_err(Error::io("look into", &path))? {
        if orphan.is_open {
            findings.extend(finish(state, &orphan));
        }
        orphan.remove(&dir);
    }
    Ok(findings)
}

fn finish(state: &State, orphan: &Orphan) -> Findings {
    let Ok(list) = Watchlist::new(&orphan.watched) else { return Findings::default() };
    let mut seen = orphan.seen.clone();
    seen.resize(list.places(), Seen::Missing);
    inspect::inspect(state, &orphan.run, &list, &seen, orphan.copies.as_ref())
}

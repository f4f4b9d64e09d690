//! A run on its way, in the hands of its caller.

use std::io;
use std::sync::{Arc, Weak};

use ringfence_output_capture::{Broadcast, LiveRedaction, RedactionWarning, Secret, Since, Viewer};
use ringfence_sandbox::{TerminalSize, Tree};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error::RunError;
use crate::event::Event;
use crate::outcome::Outcome;
use crate::queue::Queue;
use crate::run_id::RunId;
use crate::terminal::Terminal;

/// A run on its way. Dropping it kills the whole tree.
#[derive(Debug)]
#[must_use = "a run that is dropped is killed"]
pub struct Running {
    pub(crate) handle: RunHandle,
    pub(crate) queue: Arc<Queue>,
    pub(crate) task: JoinHandle<Result<Arc<Outcome>, RunError>>,
}

/// A second grip on a run: for signals and for ending it while somebody else waits.
///
/// It does not keep the run alive.
#[derive(Debug, Clone)]
pub struct RunHandle {
    pub(crate) id: RunId,
    pub(crate) tree: Weak<Tree>,
    pub(crate) cancel: Arc<Notify>,
    pub(crate) redaction: LiveRedaction,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) viewers: Option<Broadcast>,
}

impl Running {
    /// The run's name.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.handle.id
    }

    /// A second grip on the run.
    #[must_use]
    pub fn handle(&self) -> RunHandle {
        self.handle.clone()
    }

    /// The next event; `None` after the last, which is `run_finished`. Dropping the future loses
    /// no event.
    ///
    /// A reader who is slow loses output events, and never holds up the run.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.queue.next().await
    }

    /// Sends a signal to every process of the tree; see [`RunHandle::signal`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.handle.signal(signal)
    }

    /// Masks one more secret from now on; see [`RunHandle::redact`].
    pub fn redact(&self, secret: &Secret) -> Option<RedactionWarning> {
        self.handle.redact(secret)
    }

    /// Gives the command's terminal another size; see [`RunHandle::resize`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        self.handle.resize(size)
    }

    /// Watches the output; see [`RunHandle::viewer`].
    #[must_use]
    pub fn viewer(&self, since: Since) -> Option<Viewer> {
        self.handle.viewer(since)
    }

    /// Kills the whole tree now; the outcome is `cancelled`.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// The outcome, when no process of the tree is left. Dropping the future kills the tree.
    ///
    /// # Errors
    ///
    /// [`RunError::SetUp`] when the sandbox could not be set up, [`RunError::InitKilled`] and
    /// [`RunError::Control`] when the run was lost.
    pub async fn wait(mut self) -> Result<Outcome, RunError> {
        let outcome = (&mut self.task).await.map_err(RunError::Abandoned)??;
        self.queue.clear();
        Ok(Arc::unwrap_or_clone(outcome))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(tree) = self.handle.tree.upgrade() {
            // The task is told too, but it may be long until its runtime gets to it.
            drop(tree.kill());
        }
        self.task.abort();
    }
}

impl RunHandle {
    /// The run's name.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Sends a signal to every process of the tree, stopped ones included.
    ///
    /// # Errors
    ///
    /// When the run is over.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        match self.tree.upgrade() {
            Some(tree) => tree.signal(signal),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the run is over")),
        }
    }

    /// Masks one more secret in everything the command prints from now on, and in what is said of
    /// the run. The warning says that it will not be masked, and why.
    ///
    /// # Caveats
    ///
    /// What has been passed on by now stays as it was. All secrets are compiled anew, which takes
    /// some milliseconds for some hundred of them.
    pub fn redact(&self, secret: &Secret) -> Option<RedactionWarning> {
        self.redaction.add(secret)
    }

    /// Gives the command's terminal another size. Without effect when the run is over.
    ///
    /// # Errors
    ///
    /// When the command has no terminal.
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        match &self.terminal {
            Some(terminal) => terminal.resize(size),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the command has no terminal")),
        }
    }

    /// Watches the output, from any point that is still kept; `None` when the request asked for no
    /// [`view_buffer`](crate::RunRequest::view_buffer). A viewer who is slow loses its place, and
    /// never holds up the run.
    #[must_use]
    pub fn viewer(&self, since: Since) -> Option<Viewer> {
        Some(self.viewers.as_ref()?.viewer(since))
    }

    /// Kills the whole tree now; the outcome is `cancelled`. Without effect when the run is over.
    pub fn cancel(&self) {
        self.cancel.notify_one();
    }
}

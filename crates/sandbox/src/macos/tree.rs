//! A running tree, followed by a thread: reports in, orders out.
//!
//! The same handle as on Linux, where the init does this work. A thread waits for the command,
//! gives who is left of its process group a short time, kills the rest, and says what was used.
//! Reports lie in a queue; for each, a byte goes through a socket, so that a runtime can wait.
//!
//! The traps: numbers of processes are used again, so the command is reaped under the same lock
//! that signals are sent under; and a group whose last process has ended is signalled no more.

use super::{
    group::Group,
    guard::Guard,
    sys::{self, Limit},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use ringfence_launcher::{ExitStatus, Report, StepFailure, TreeUsage};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    process::Command,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The tree could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A socket, pipe or thread for the start could not be had.
    #[error("cannot make {what}")]
    Make {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process could not be made.
    #[error("cannot start `{program}`")]
    Start {
        /// The program that was to be executed.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A running tree. Dropping it kills every process of it that can be found.
#[derive(Debug)]
pub struct Tree {
    pid: u32,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Readable when a report waits; kept here so that the writing end never breaks.
    bell: UnixStream,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    reports: VecDeque<Report>,
    /// As long as it may be signalled.
    group: Option<Group>,
    killed: bool,
    let_go: bool,
}

/// Trees whose handles are gone and whose threads are not.
static LET_GO: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until every tree that was let go is gone.
pub fn flush_reaper() {
    let mut count = lock(&LET_GO.0);
    while *count > 0 {
        count = LET_GO.1.wait(count).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Starts a command as a tree of its own. `failed` says which errors of the start are the
/// program's, by their numbers.
pub(crate) fn start(
    mut command: Command,
    limits: Vec<Limit>,
    linger: Duration,
    failed: impl Fn(i32) -> Option<StepFailure>,
) -> Result<Tree, SpawnError> {
    let make = |what| move |source| SpawnError::Make { what, source };
    let (bell, ringer) = bell().map_err(make("the control socket"))?;
    let mut guard = Guard::post().map_err(make("the guard of the tree"))?;
    sys::detach(&mut command, limits);
    let pid = match command.spawn() {
        Ok(child) => child.id(),
        Err(source) => {
            return match source.raw_os_error().and_then(failed) {
                Some(failure) => not_executed(failure),
                None => Err(SpawnError::Start {
                    program: command.get_program().to_string_lossy().into_owned(),
                    source,
                }),
            };
        }
    };
    let group = Group::led_by(pid);
    let state = State { group: Some(group), ..State::default() };
    let shared = Arc::new(Shared { bell, state: Mutex::new(state), changed: Condvar::new() });
    let follower = Follower { pid, group, linger, shared: Arc::clone(&shared), ringer };
    follower.tell(
        &mut lock(&shared.state),
        Report::Started { pid, listening: false, most_processes: false },
    );
    // One that cannot be told ends nobody; the command has started all the same.
    let posted = guard.watch(pid);
    let thread = thread::Builder::new().name("ringfence-tree".to_owned());
    let followed = thread.stack_size(128 * 1024).spawn(move || follower.follow(guard));
    if let Err(source) = posted.and(followed.map(drop)) {
        group.kill();
        sys::reap(pid);
        return Err(SpawnError::Make { what: "the thread of the tree", source });
    }
    Ok(Tree { pid, shared })
}

/// A tree that never was: it has a report and no process.
pub(crate) fn not_executed(failure: StepFailure) -> Result<Tree, SpawnError> {
    let make = |source| SpawnError::Make { what: "the control socket", source };
    let (bell, mut ringer) = bell().map_err(make)?;
    ringer.write_all(&[0]).map_err(make)?;
    let state = State { reports: VecDeque::from([Report::Failed(failure)]), ..State::default() };
    let shared = Shared { bell, state: Mutex::new(state), changed: Condvar::new() };
    Ok(Tree { pid: 0, shared: Arc::new(shared) })
}

fn bell() -> io::Result<(UnixStream, UnixStream)> {
    let (bell, ringer) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    Ok((bell, ringer))
}

/// Sockets of a network of the tree's own, which there is none of on macOS: nobody ever has one.
#[derive(Debug)]
pub enum SocketService {}

#[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "the executor calls it there"))]
impl SocketService {
    /// Sockets by domain, type and protocol.
    ///
    /// # Errors
    /// On systems that have a network namespace, when nobody answers.
    pub fn open(&self, wanted: &[[u32; 3]]) -> io::Result<Vec<io::Result<std::os::fd::OwnedFd>>> {
        let _ = wanted;
        match *self {}
    }

    /// Lets the tree go on.
    ///
    /// # Errors
    /// On systems that have a network namespace, when the tree is gone.
    pub fn proceed(&self) -> io::Result<()> {
        match *self {}
    }
}

impl Tree {
    /// None: the tree has no network of its own.
    #[must_use]
    #[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "the executor calls it there"))]
    pub fn take_sockets(&self) -> Option<SocketService> {
        None
    }

    /// Process number of the command, which leads the group; 0 when nothing was executed.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The control socket: readable when a report waits or the tree is gone.
    /// It is only to be waited for; reports are read by [`Tree::next_report`].
    #[must_use]
    pub fn control(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// The next report, without waiting; `None` when there will be none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits.
    pub fn next_report(&self) -> io::Result<Option<Report>> {
        loop {
            match (&self.shared.bell).read(&mut [0]) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(lock(&self.shared.state).reports.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next report; waits for it. `None` when there will be none.
    ///
    /// # Errors
    /// What poll(2) and read(2) say.
    pub fn wait_report(&self) -> io::Result<Option<Report>> {
        loop {
            match self.next_report() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                report => return report,
            }
            match poll(&mut [PollFd::new(self.control(), PollFlags::POLLIN)], PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a signal to every process of the group, and SIGCONT after it, so that a stopped one
    /// sees it too.
    ///
    /// # Errors
    /// When the tree is gone, or there is no such signal.
    ///
    /// # Caveats
    /// A process that has begun a group of its own does not get it.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::try_from(signal)?;
        let state = lock(&self.shared.state);
        let group = state.group.ok_or_else(gone)?;
        group.signal(signal)?;
        group.signal(Signal::SIGCONT)
    }

    /// Kills every process of the tree that can be found; [`Report::Finished`] follows.
    ///
    /// # Errors
    /// When the tree is gone.
    pub fn kill(&self) -> io::Result<()> {
        let mut state = lock(&self.shared.state);
        let group = state.group.ok_or_else(gone)?;
        state.killed = true;
        group.kill();
        self.shared.changed.notify_all();
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::ESRCH)
}

impl Drop for Tree {
    fn drop(&mut self) {
        // One that is gone needs no end.
        if self.kill().is_err() {
            return;
        }
        let mut state = lock(&self.shared.state);
        if state.group.is_some() {
            state.let_go = true;
            *lock(&LET_GO.0) += 1;
        }
    }
}

/// Stays with the tree, as the init does on Linux.
struct Follower {
    pid: u32,
    group: Group,
    linger: Duration,
    shared: Arc<Shared>,
    ringer: UnixStream,
}

/// How often is looked whether a group is empty: nobody tells.
const LOOK: Duration = Duration::from_millis(5);
/// How long the killed are waited for. They die at once, unless the kernel holds one.
const PATIENCE: Duration = Duration::from_secs(1);

impl Follower {
    fn follow(self, guard: Guard) {
        sys::wait_until_ended(self.pid);
        let mut usage = self.reap();
        usage.killed = self.clear();
        drop(guard);
        let mut state = lock(&self.shared.state);
        state.group = None;
        self.tell(&mut state, Report::Finished { usage });
        if state.let_go {
            *lock(&LET_GO.0) -= 1;
            LET_GO.1.notify_all();
        }
    }

    fn reap(&self) -> TreeUsage {
        let mut state = lock(&self.shared.state);
        // Reaped by somebody else, its status is lost.
        let unknown = (ExitStatus::Exited(255), TreeUsage::default());
        let (status, usage) = sys::reap(self.pid).unwrap_or(unknown);
        self.tell(&mut state, Report::CommandExited { status });
        usage
    }

    /// Waits until the group is empty, and sees to it; how many outlived the command and had to be
    /// killed.
    fn clear(&self) -> u32 {
        let patient = Instant::now() + self.linger;
        let mut state = lock(&self.shared.state);
        while self.group.is_alive() {
            if state.killed {
                self.empty();
                return 0;
            }
            if Instant::now() >= patient {
                return self.empty();
            }
            let waited = self.shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        0
    }

    /// Kills until nobody is left.
    fn empty(&self) -> u32 {
        let patient = Instant::now() + PATIENCE;
        let killed = self.group.kill();
        while self.group.runs() && Instant::now() < patient {
            thread::sleep(LOOK);
            // Gone meanwhile, or it will be.
            drop(self.group.signal(Signal::SIGKILL));
        }
        killed
    }

    fn tell(&self, state: &mut State, report: Report) {
        state.reports.push_back(report);
        // The reading end is there as long as this is, and takes more bytes than there are reports.
        drop((&self.ringer).write(&[0]));
    }
}

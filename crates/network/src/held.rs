//! Connections that are made outside before they stand inside.
//!
//! The kernel holds the first packet of a connection until the gateway has connected to what was meant, or could not. So a
//! program sees a server that refuses as one that refuses, and takes nothing for open that is not.
//!
//! What was connected then waits for the program's own connection to be taken up. Two connections to one destination are
//! alike until a byte has passed, so the destination is all that they are told apart by.

use crate::gateway::Shared;
use crate::ledger::Target;
use crate::linux::{Packet, Verdict, Waiting};
use crate::outside::{Connection, Failure};
use ringfence_policy::Destination;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection to outside waits to be taken up, at least. The kernel does that at once, unless who asked is gone.
const KEPT: Duration = Duration::from_secs(10);

/// The connections of one namespace that are on their way.
#[derive(Default)]
pub(crate) struct Held {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Both ends of connections that an answer is being found for: the kernel sends a first packet again and again.
    asked: HashSet<(SocketAddr, SocketAddr)>,
    ready: HashMap<SocketAddr, VecDeque<Ready>>,
    /// Somebody forgets the old ones.
    watched: bool,
}

struct Ready {
    since: Instant,
    made: Made,
    target: Target,
}

/// What became of a connection to outside.
pub(crate) enum Made {
    /// It stands.
    Whole(Connection),
    /// It stood, and was reset at once.
    Broken,
}

/// Most connections that an answer is being found for.
const MOST_ASKED: usize = 1024;

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the answer for a packet, or drops it while that is being done for an earlier one.
    pub(crate) fn ask(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        waiting: &Waiting,
        destination: Destination,
        answer: impl FnOnce(Verdict) + Send + 'static,
    ) {
        let Packet { source, destination: address, .. } = waiting.packet;
        let ends = (source, address);
        let mut state = self.state();
        if state.asked.len() >= MOST_ASKED {
            drop(state);
            return answer(Verdict::Refuse);
        }
        if !state.asked.insert(ends) {
            drop(state);
            return answer(Verdict::Drop);
        }
        drop(state);
        let (held, shared) = (Arc::clone(self), Arc::clone(shared));
        tokio::spawn(async move {
            let opened = shared.open(&destination).await;
            held.state().asked.remove(&ends);
            let made = match opened {
                Ok(connection) => Made::Whole(connection),
                Err(Failure::Connect(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    Made::Broken
                }
                Err(failure) => return answer(verdict(&failure)),
            };
            held.keep(address, made, Target::from(&destination), &shared);
            answer(Verdict::Accept);
        });
    }

    fn keep(
        self: &Arc<Self>,
        address: SocketAddr,
        made: Made,
        target: Target,
        shared: &Arc<Shared>,
    ) {
        let mut state = self.state();
        let since = Instant::now();
        state.ready.entry(address).or_default().push_back(Ready { since, made, target });
        if !std::mem::replace(&mut state.watched, true) {
            tokio::spawn(Arc::clone(self).forget_old(Arc::clone(shared)));
        }
    }

    /// The connection that was made for this destination.
    pub(crate) fn take(&self, address: SocketAddr) -> Option<Made> {
        let mut state = self.state();
        let ready = state.ready.get_mut(&address)?;
        let first = ready.pop_front();
        if ready.is_empty() {
            state.ready.remove(&address);
        }
        first.map(|ready| ready.made)
    }

    /// Lets go of what nobody takes up, for as long as there is something.
    async fn forget_old(self: Arc<Self>, shared: Arc<Shared>) {
        loop {
            tokio::time::sleep(KEPT).await;
            let mut old = Vec::new();
            let mut state = self.state();
            for ready in state.ready.values_mut() {
                while ready.front().is_some_and(|first| first.since.elapsed() >= KEPT) {
                    old.extend(ready.pop_front());
                }
            }
            state.ready.retain(|_, ready| !ready.is_empty());
            let done = state.ready.is_empty();
            state.watched = !done;
            drop(state);
            for Ready { made, target, .. } in old {
                if let Made::Whole(_) = made {
                    shared.untaken(target);
                }
            }
            if done {
                return;
            }
        }
    }
}

/// What the program inside is told of a failure.
fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::Refused(_) => Verdict::Refuse,
        Failure::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Verdict::Refuse
        }
        Failure::Resolve(_) | Failure::Connect(_) | Failure::Tunnel { .. } => Verdict::Unreachable,
    }
}

//! A run's output for those who watch it.
//!
//! The last part of the output is kept in a ring; viewers read from it, each at its own pace and from where it likes,
//! and the command is never held up by one: who is too slow loses its place and is told how much it missed. Viewers
//! wait on a thread ([`Viewer::next`]) or in a task ([`Viewer::poll_next`]). The trap: what a viewer is given is
//! sanitized but may hold control sequences, like all output.

use crate::pieces::{Channel, Pieces};
use crate::sink::Sink;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The shared ring; clones are the same.
#[derive(Clone, Debug)]
pub struct Broadcast(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    pieces: Pieces,
    /// Sinks that may still write.
    writers: usize,
    over: bool,
    wakers: Vec<Waker>,
}

/// Where a viewer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the oldest byte that is still there.
    Oldest,
    /// With what comes from now on.
    Now,
    /// At a place, counted in bytes of all streams together; if it is gone, the loss is told first.
    Place(u64),
}

/// What a viewer sees next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Output of one stream, of which the first byte is at `place`.
    Output {
        /// Where it begins.
        place: u64,
        /// The stream.
        channel: Channel,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// So many bytes went by unseen.
    Lost(u64),
    /// Nothing came in the time given.
    Nothing,
    /// The streams are over and all has been seen.
    End,
}

impl Broadcast {
    /// Keeps about the last `cap` bytes for viewers.
    pub fn new(cap: usize) -> Self {
        let state = State { pieces: Pieces::new(cap), writers: 0, over: false, wakers: Vec::new() };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// The sink of one stream. When all sinks are finished or dropped, the broadcast is over for good: make them all
    /// before the first is used.
    pub fn sink(&self, channel: Channel) -> impl Sink + use<> {
        self.lock().writers += 1;
        BroadcastSink { broadcast: Some(self.clone()), channel }
    }

    /// A new viewer.
    pub fn viewer(&self, since: Since) -> Viewer {
        let state = self.lock();
        let place = match since {
            Since::Oldest => state.pieces.start(),
            Since::Now => state.pieces.end(),
            Since::Place(place) => place.min(state.pieces.end()),
        };
        drop(state);
        Viewer { broadcast: self.clone(), place }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes who waits for that.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.0.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }
}

struct BroadcastSink {
    /// `None` when it is finished.
    broadcast: Option<Broadcast>,
    channel: Channel,
}

impl Sink for BroadcastSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(broadcast) = &self.broadcast {
            broadcast.change(|state| {
                // What falls out is told to the viewers that have not seen it.
                state.pieces.push(self.channel, bytes);
            });
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(broadcast) = self.broadcast.take() {
            broadcast.change(|state| {
                state.writers -= 1;
                state.over |= state.writers == 0;
            });
        }
        Ok(())
    }

    fn name(&self) -> String {
        "viewers".to_owned()
    }
}

impl Drop for BroadcastSink {
    fn drop(&mut self) {
        drop(self.finish());
    }
}

/// One who watches.
#[derive(Debug)]
pub struct Viewer {
    broadcast: Broadcast,
    place: u64,
}

impl Viewer {
    /// The place of the next byte this viewer will see.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// What comes next; waits for it at most `patience`.
    pub fn next(&mut self, patience: Duration) -> Seen {
        let deadline = Instant::now().checked_add(patience);
        let broadcast = self.broadcast.clone();
        let mut state = broadcast.lock();
        loop {
            if let Some(seen) = self.look(&state) {
                return seen;
            }
            let rest = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(rest) if rest.is_zero() => return Seen::Nothing,
                Some(rest) => rest,
                // As good as for ever: it is asked for again.
                None => Duration::from_secs(3600),
            };
            let waited = broadcast.0.changed.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// As [`Viewer::next`], for a task: never [`Seen::Nothing`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Seen> {
        let broadcast = self.broadcast.clone();
        let mut state = broadcast.lock();
        if let Some(seen) = self.look(&state) {
            return Poll::Ready(seen);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn look(&mut self, state: &State) -> Option<Seen> {
        let start = state.pieces.start();
        if self.place < start {
            let lost = start - self.place;
            self.place = start;
            return Some(Seen::Lost(lost));
        }
        if let Some((channel, bytes)) = state.pieces.at(self.place) {
            let place = self.place;
            self.place += bytes.len() as u64;
            return Some(Seen::Output { place, channel, bytes: bytes.to_vec() });
        }
        state.over.then_some(Seen::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Channel::{Stderr, Stdout};
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn output(place: u64, channel: Channel, text: &str) -> Seen {
        Seen::Output { place, channel, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn each_viewer_at_its_own_pace() {
        let broadcast = Broadcast::new(1000);
        let (mut out, mut err) = (broadcast.sink(Stdout), broadcast.sink(Stderr));
        let mut first = broadcast.viewer(Since::Oldest);
        assert_eq!(first.next(Duration::ZERO), Seen::Nothing);
        out.write(b"abc").expect("memory takes it");
        let mut second = broadcast.viewer(Since::Now);
        err.write(b"def").expect("memory takes it");
        assert_eq!(first.next(PATIENCE), output(0, Stdout, "abc"));
        assert_eq!(second.next(PATIENCE), output(3, Stderr, "def"));
        out.finish().expect("memory takes it");
        assert_eq!(second.next(Duration::ZERO), Seen::Nothing);
        drop(err);
        assert_eq!((second.next(PATIENCE), second.place()), (Seen::End, 6));
        assert_eq!(first.next(PATIENCE), output(3, Stderr, "def"));
        assert_eq!(first.next(PATIENCE), Seen::End);
        let mut later = broadcast.viewer(Since::Place(4));
        assert_eq!(later.next(PATIENCE), output(4, Stderr, "ef"));
    }

    #[test]
    fn a_slow_viewer_is_told_what_it_missed() {
        let broadcast = Broadcast::new(200);
        let mut sink = broadcast.sink(Stdout);
        let mut slow = broadcast.viewer(Since::Oldest);
        sink.write(&[b'x'; 100_000]).expect("memory takes it");
        let Seen::Lost(lost) = slow.next(PATIENCE) else { panic!("something was lost") };
        let rest = 100_000 - usize::try_from(lost).expect("small");
        assert!(rest > 100 && rest <= 200, "{rest}");
        assert_eq!(slow.next(PATIENCE), output(lost, Stdout, &"x".repeat(rest)));
    }

    #[test]
    fn who_waits_is_woken() {
        let broadcast = Broadcast::new(1000);
        let mut sink = broadcast.sink(Stdout);
        let mut viewer = broadcast.viewer(Since::Now);
        let watching = thread::spawn(move || (viewer.next(PATIENCE), viewer.next(PATIENCE)));
        sink.write(b"now").expect("memory takes it");
        sink.finish().expect("memory takes it");
        assert_eq!(watching.join().expect("no panic"), (output(0, Stdout, "now"), Seen::End));
    }
}

//! Events on their way to a reader who may be slow, or not there at all.
//!
//! The queue is bounded in bytes and in number. What does not fit is output first: it is dropped
//! and counted, and the reader is told how much before the end. The pumps never wait here, so no
//! reader can hold up a run. The end of the run always fits.
//!
//! The trap: the pumps may see output before the init's word comes that the command was started.
//! So nothing is handed out until the queue is opened, with the events that come first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::event::{Event, EventKind};

/// Bytes of output that may wait: two reads of a pump.
const MAX_OUTPUT_BYTES: usize = 2 << 20;
/// Events that may wait.
const MAX_EVENTS: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    output_bytes: usize,
    lost_bytes: u64,
    open: bool,
    closed: bool,
}

impl Queue {
    /// Adds an event, or counts it as lost.
    pub(crate) fn push(&self, event: Event) {
        let mut state = self.lock();
        let size = event.output_size();
        let full = state.events.len() >= MAX_EVENTS
            || size > 0 && state.output_bytes + size > MAX_OUTPUT_BYTES;
        if full || state.closed {
            state.lost_bytes += size as u64;
            return;
        }
        state.output_bytes += size;
        state.events.push_back(event);
        drop(state);
        self.arrived.notify_one();
    }

    /// Puts the first events before all others and begins to hand events out.
    pub(crate) fn open(&self, first: impl DoubleEndedIterator<Item = Event>) {
        let mut state = self.lock();
        first.rev().for_each(|event| state.events.push_front(event));
        state.open = true;
        drop(state);
        self.arrived.notify_one();
    }

    /// Adds the last event, whatever the bounds say. Nothing can be added after it.
    pub(crate) fn close(&self, last: Event) {
        let mut state = self.lock();
        state.open = true;
        state.closed = true;
        state.events.push_back(last);
        drop(state);
        self.arrived.notify_one();
    }

    /// Whether an output event of this size would be taken; spares making one.
    pub(crate) fn has_room_for(&self, size: usize) -> bool {
        let state = self.lock();
        state.events.len() < MAX_EVENTS && state.output_bytes + size <= MAX_OUTPUT_BYTES
    }

    /// Counts output that nobody made an event of.
    pub(crate) fn lose(&self, size: usize) {
        self.lock().lost_bytes += size as u64;
    }

    /// Bytes of output that are in no event.
    pub(crate) fn lost_bytes(&self) -> u64 {
        self.lock().lost_bytes
    }

    /// The next event, in order; `None` after the last. Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            if let Some(event) = self.pop() {
                return Some(event);
            }
            if self.lock().closed {
                return None;
            }
            self.arrived.notified().await;
        }
    }

    /// Forgets what nobody has read.
    pub(crate) fn clear(&self) {
        while self.pop().is_some() {}
    }

    fn pop(&self) -> Option<Event> {
        let mut state = self.lock();
        if !state.open {
            return None;
        }
        let event = state.events.pop_front()?;
        state.output_bytes -= event.output_size();
        Some(event)
    }

    /// A panic elsewhere leaves the state whole: no step here can stop half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    fn output_size(&self) -> usize {
        match &self.kind {
            EventKind::Output(output) => output.bytes.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Output, Stream};

    fn output(size: usize) -> Event {
        let output = Output { stream: Stream::Stdout, bytes: vec![b'x'; size] };
        Event { ts_ms: 0, kind: EventKind::Output(output) }
    }

    fn warning(message: &str) -> Event {
        Event { ts_ms: 0, kind: EventKind::Warning { message: message.into() } }
    }

    fn drain(queue: &Queue) -> usize {
        std::iter::from_fn(|| queue.pop()).count()
    }

    fn opened() -> Queue {
        let queue = Queue::default();
        queue.open(std::iter::empty());
        queue
    }

    #[test]
    fn the_first_events_come_first() {
        let queue = Queue::default();
        queue.push(output(7));
        assert_eq!(drain(&queue), 0, "not open yet");
        queue.open([warning("one"), warning("two")].into_iter());
        let sizes: Vec<_> =
            std::iter::from_fn(|| queue.pop()).map(|event| event.output_size()).collect();
        assert_eq!(sizes, [0, 0, 7]);
    }

    #[test]
    fn output_over_the_bound_is_lost_and_counted() {
        let queue = opened();
        queue.push(output(MAX_OUTPUT_BYTES));
        assert!(!queue.has_room_for(1));
        queue.push(output(1));
        queue.push(warning("still told"));
        assert_eq!(queue.lost_bytes(), 1);
        assert_eq!(drain(&queue), 2);
        assert!(queue.has_room_for(MAX_OUTPUT_BYTES));
    }

    #[test]
    fn the_number_is_bounded_and_the_end_arrives() {
        let queue = opened();
        for _ in 0..2 * MAX_EVENTS {
            queue.push(warning("again"));
        }
        queue.close(warning("the end"));
        queue.push(warning("after it"));
        assert_eq!(drain(&queue), MAX_EVENTS + 1);
    }

    #[tokio::test]
    async fn a_reader_gets_everything_and_then_the_end() {
        let queue = Queue::default();
        let reader = async {
            let mut seen = 0;
            while queue.next().await.is_some() {
                seen += 1;
            }
            seen
        };
        let writer = async {
            queue.open(std::iter::empty());
            queue.push(warning("one"));
            tokio::task::yield_now().await;
            queue.close(warning("two"));
        };
        let (seen, ()) = tokio::join!(reader, writer);
        assert_eq!(seen, 2);
    }
}

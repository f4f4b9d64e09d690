//! The writing side of a run's events: a queue and the clock that stamps them.

use std::sync::Arc;

use crate::event::{Clock, EventKind};
use crate::queue::Queue;

#[derive(Debug, Clone)]
pub(crate) struct Feed {
    queue: Arc<Queue>,
    clock: Clock,
}

impl Feed {
    pub(crate) fn new(queue: Arc<Queue>, clock: Clock) -> Self {
        Self { queue, clock }
    }

    pub(crate) fn push(&self, kind: EventKind) {
        self.queue.push(self.clock.stamp(kind));
    }

    pub(crate) fn warn(&self, message: String) {
        self.push(EventKind::Warning { message });
    }

    /// The first events, stamped with the start of the run: output may have come since.
    pub(crate) fn open(&self, kinds: impl DoubleEndedIterator<Item = EventKind>) {
        self.queue.open(kinds.map(|kind| self.clock.stamp_start(kind)));
    }

    /// The last event.
    pub(crate) fn close(&self, kind: EventKind) {
        self.queue.close(self.clock.stamp(kind));
    }

    pub(crate) fn has_room_for(&self, size: usize) -> bool {
        self.queue.has_room_for(size)
    }

    pub(crate) fn lose(&self, size: usize) {
        self.queue.lose(size);
    }

    pub(crate) fn lost_bytes(&self) -> u64 {
        self.queue.lost_bytes()
    }
}

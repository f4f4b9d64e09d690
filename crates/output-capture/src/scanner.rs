//! Finds all needles of a set in a stream, skipping what cannot hold one.
//!
//! The automaton is exact but looks at every byte; the prefilter is fast but only guesses. Where nothing has begun the
//! filter leads, near a guess the automaton does, and at the end of each buffer the automaton's state is exact again.
//! The trap: "nothing has begun" is a state less deep than a gram, not the root: with a hundred needles nearly every
//! letter begins one.

use crate::automaton::{Automaton, Needle, ROOT, State};
use crate::prefilter::Prefilter;

/// A set of needles, ready to be looked for.
#[derive(Debug)]
pub(crate) struct Scanner {
    automaton: Automaton,
    filter: Option<Prefilter>,
}

/// How far a scan of a stream has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    state: u32,
    /// Bytes of the buffer that are done.
    at: usize,
}

/// A needle ends here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) end: usize,
    /// Length of the longest needle that ends here.
    pub(crate) longest: usize,
}

impl Found {
    /// Where it begins. What began before the buffer began in a mask, which it makes longer.
    pub(crate) fn start(self) -> usize {
        self.end.saturating_sub(self.longest)
    }
}

impl Scanner {
    /// Looks for `needles`; `None` when there are none.
    pub(crate) fn new(needles: &[Needle<'_>], fold: bool) -> Option<Self> {
        let filter = Prefilter::new(needles, fold);
        let shallow = filter.as_ref().map_or(1, |filter| filter.gram_len() - 1);
        (!needles.is_empty())
            .then(|| Self { automaton: Automaton::new(needles, fold, shallow), filter })
    }

    /// Scans the part of `buffer` that is new since the last call.
    pub(crate) fn scan(&self, cursor: &mut Cursor, buffer: &[u8], mut found: impl FnMut(Found)) {
        let mut found = |end: usize, state: &State| {
            found(Found { end, longest: state.longest as usize });
        };
        if let Some(filter) = &self.filter {
            self.skim(filter, cursor, buffer, &mut found);
        }
        self.run(cursor, buffer, buffer.len(), false, &mut found);
    }

    /// Scans as far as the filter sees.
    fn skim(
        &self,
        filter: &Prefilter,
        cursor: &mut Cursor,
        buffer: &[u8],
        found: &mut impl FnMut(usize, &State),
    ) {
        let tail = buffer.len().saturating_sub(filter.blind());
        // What has begun may be longer than what is there of the past; the automaton alone knows of it.
        self.run(cursor, buffer, cursor.at, true, found);
        while cursor.at < tail {
            let begun = self.automaton.state(cursor.state).depth as usize;
            // One byte earlier than anything may have begun: some needles are known by the byte before them. It still
            // is after the last hit, since a gram is two bytes longer than what may have begun.
            let from = cursor.at - begun;
            match filter.find(buffer, from.saturating_sub(1)) {
                None => return self.jump(cursor, tail.max(from)),
                Some(hit) => {
                    self.jump(cursor, hit.saturating_sub(filter.back()).max(from));
                    self.run(cursor, buffer, hit + filter.gram_len(), true, found);
                }
            }
        }
    }

    /// How many of the last bytes must wait.
    pub(crate) fn hold(&self, cursor: &Cursor) -> usize {
        self.automaton.state(cursor.state).hold as usize
    }

    /// Goes on at `to` with nothing begun, unless the cursor is there already.
    fn jump(&self, cursor: &mut Cursor, to: usize) {
        if to > cursor.at {
            *cursor = Cursor { state: ROOT, at: to };
        }
    }

    fn run(
        &self,
        cursor: &mut Cursor,
        buffer: &[u8],
        until: usize,
        to_shallow: bool,
        found: &mut impl FnMut(usize, &State),
    ) {
        (cursor.state, cursor.at) =
            self.automaton.run(cursor.state, buffer, cursor.at, until, to_shallow, found);
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self { state: ROOT, at: 0 }
    }
}

impl Cursor {
    /// Nothing has begun, and what is before `at` is not looked at.
    pub(crate) fn starting_at(at: usize) -> Self {
        Self { state: ROOT, at }
    }

    /// The first `by` bytes of the buffer are gone.
    pub(crate) fn shift(&mut self, by: usize) {
        self.at -= by;
    }
}

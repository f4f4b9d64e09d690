//! Regular expressions of the user's own, over a stream.
//!
//! A match is judged when all it can depend on is there: the window after its first byte, or the state in which
//! nothing can match any more. In the bulk of the text an ordinary search finds candidates; near the end of what is
//! there every byte is tried with an anchored automaton, which tells whether a match may be on its way. The trap: the
//! search sees more text than a window, so what it finds is measured again by the automaton.

use super::Text;
use crate::hits::Hits;
use crate::options::CustomPattern;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, Input, meta};
use std::fmt;
use std::sync::Arc;

const WINDOW: usize = CustomPattern::WINDOW;
/// Bytes that are searched in one go.
const SEARCH: usize = 4 * WINDOW;
/// Starts that are tried one by one: for so few a search does not pay.
const FEW: usize = 64;
/// Largest compiled expression, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// A compiled pattern: once for the search in bulk, once to be stepped through.
#[derive(Clone)]
pub(crate) struct CustomRegex {
    bulk: meta::Regex,
    step: Arc<DFA>,
}

impl fmt::Debug for CustomRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomRegex")
    }
}

/// How far one stream has been searched.
pub(super) struct CustomState {
    cache: Cache,
    /// The first place at which a match may still begin.
    next: usize,
}

impl fmt::Debug for CustomState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomState({})", self.next)
    }
}

impl CustomState {
    /// The first place that is still needed; what is before it only matters to look back on.
    pub(super) fn needs(&self) -> usize {
        self.next
    }

    pub(super) fn shift(&mut self, by: usize) {
        self.next -= by;
    }
}

/// What an anchored try came to.
enum Try {
    No,
    Match(usize),
    /// The text ends before it is known.
    Open,
}

impl CustomRegex {
    /// Compiles `pattern`; the error is one line.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        let one_line = |text: String| text.lines().last().unwrap_or_default().trim().to_owned();
        let hir =
            syntax::parse_with(pattern, &syntax).map_err(|error| one_line(error.to_string()))?;
        if hir.properties().minimum_len().is_none_or(|len| len == 0) {
            return Err("it matches the empty text".to_owned());
        }
        let too_large = "it is too large".to_owned();
        let bulk = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(MAX_SIZE));
        let bulk = meta::Regex::builder()
            .configure(bulk)
            .build_from_hir(&hir)
            .map_err(|_| too_large.clone())?;
        let nfa = thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_SIZE));
        let nfa = thompson::Compiler::new()
            .configure(nfa)
            .build_from_hir(&hir)
            .map_err(|_| too_large.clone())?;
        let step = DFA::config().skip_cache_capacity_check(true);
        let step = DFA::builder().configure(step).build_from_nfa(nfa).map_err(|_| too_large)?;
        Ok(Self { bulk, step: Arc::new(step) })
    }

    pub(super) fn start(&self) -> CustomState {
        CustomState { cache: self.step.create_cache(), next: 0 }
    }

    /// Masks what matches; gives the first place at which a match may still begin.
    pub(super) fn advance(
        &self,
        state: &mut CustomState,
        text: &Text<'_>,
        hits: &mut Hits,
    ) -> usize {
        self.search(state, text, hits);
        while state.next < text.len() {
            match self.try_at(&mut state.cache, state.next, text) {
                Try::No => state.next += 1,
                Try::Open => break,
                Try::Match(end) => {
                    hits.add(state.next, end);
                    state.next = end;
                }
            }
        }
        state.next
    }

    /// Searches all starts whose windows are there, a few windows at a time: what looks like a long match and is none
    /// then costs no more than those.
    fn search(&self, state: &mut CustomState, text: &Text<'_>, hits: &mut Hits) {
        loop {
            let span = state.next..text.len().min(state.next + SEARCH);
            let last = if span.end == text.len() && text.end {
                span.end
            } else {
                span.end.saturating_sub(WINDOW)
            };
            if span.start + FEW >= last {
                return;
            }
            let found = self.bulk.search(&Input::new(text.bytes).span(span));
            state.next = match found.filter(|found| found.start() < last) {
                None => last,
                Some(found) => match self.try_at(&mut state.cache, found.start(), text) {
                    Try::Match(end) => {
                        hits.add(found.start(), end);
                        end
                    }
                    Try::No | Try::Open => found.start() + 1,
                },
            };
        }
    }

    /// Tries to match at `at`, in the window that begins there.
    fn try_at(&self, cache: &mut Cache, at: usize, text: &Text<'_>) -> Try {
        self.walk(cache, at, text).unwrap_or(Try::No)
    }

    /// `None` when the automaton gives up, which it is not configured to do.
    fn walk(&self, cache: &mut Cache, at: usize, text: &Text<'_>) -> Option<Try> {
        let window = text.bytes.len().min(at + WINDOW);
        let begin = start::Config::new().anchored(Anchored::Yes).look_behind(text.before(at));
        let mut state: LazyStateID = self.step.start_state(cache, &begin).ok()?;
        let mut end = None;
        for (place, &byte) in (at..window).zip(&text.bytes[at..window]) {
            state = self.step.next_state(cache, state, byte).ok()?;
            // The automaton is one byte late: a match it reports ended before this one.
            if state.is_match() {
                end = Some(place);
            } else if state.is_dead() {
                return Some(end.map_or(Try::No, Try::Match));
            } else if state.is_quit() {
                return None;
            }
        }
        if window == text.len() && !text.end {
            return Some(Try::Open);
        }
        state = match text.get(window) {
            Some(byte) => self.step.next_state(cache, state, byte).ok()?,
            None => self.step.next_eoi_state(cache, state).ok()?,
        };
        if state.is_match() {
            end = Some(window);
        }
        Some(end.map_or(Try::No, Try::Match))
    }
}

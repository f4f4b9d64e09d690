//! Aho-Corasick over the needles, exact about where a needle may have begun.
//!
//! Beside the usual moves each state knows the longest needle that ends in it and how many of the last bytes may
//! still become one (`hold`). Small sets of needles become a table with a row a state; large ones keep the trie and
//! its failure links, which is a tenth of the memory. The trap: `hold` is not the depth; a state whose needle is
//! complete and has no continuation holds nothing on its own account.

use zeroize::Zeroize;

/// Largest table, in cells: 4 MiB, which still is in a second-level cache where it matters.
const MAX_TABLE: usize = 1 << 20;
/// A state with more edges than this has a row, even where there is no table.
const MANY_EDGES: usize = 3;
/// Stands for a state without a row.
const NO_ROW: u32 = u32::MAX;
/// Flag of a state in which a needle ends.
const ENDS: u8 = 1;
/// Flag of a state that is not deep.
const SHALLOW: u8 = 2;
/// The state in which nothing has begun.
pub(crate) const ROOT: u32 = 0;

/// One needle: its bytes, and what has to be around it.
#[derive(Debug)]
pub(crate) struct Needle<'a> {
    pub(crate) bytes: &'a [u8],
    /// Only of interest with bytes of these sets before it, one a byte, in the order of the text. A hint for the filter.
    pub(crate) before: &'a [&'a [u8]],
    /// Only of interest with bytes of these sets after it, one a byte. A hint for the filter.
    pub(crate) after: &'a [&'a [u8]],
}

impl<'a> Needle<'a> {
    /// A needle that may stand anywhere.
    pub(crate) fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, before: &[], after: &[] }
    }
}

/// What is known in a state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    /// Length of the longest needle that ends here; 0 for none.
    pub(crate) longest: u32,
    /// How many of the last bytes may be the beginning of a needle that is not complete.
    pub(crate) hold: u32,
    /// How many of the last bytes are the beginning of any needle.
    pub(crate) depth: u32,
}

/// The automaton; it holds the needles, and is zeroed when dropped.
#[derive(Debug)]
pub(crate) struct Automaton {
    states: Vec<State>,
    /// The flags of each state: apart from the moves, so that finding the next state does not wait for them.
    flags: Vec<u8>,
    moves: Moves,
    /// What a state has to be shifted by to get its number: in a table a state is the place of its row.
    shift: u32,
    /// Byte to class; bytes that are in no needle share class 0. Folding of case is in here.
    classes: [u8; 256],
}

#[derive(Debug)]
enum Moves {
    /// A row a state.
    Table(Vec<u32>),
    /// The edges of state `n` are `edges[first[n]..first[n + 1]]`; the few states with many edges, and the root, have a
    /// row instead, which is at `row[n]` in `rows`.
    Links { rows: Vec<u32>, row: Vec<u32>, first: Vec<u32>, edges: Vec<(u8, u32)>, fail: Vec<u32> },
}

impl Automaton {
    /// Over all `needles`, none of which is empty; `fold` makes `A` equal `a`. States less deep than `shallow` are
    /// where [`Automaton::run`] may stop.
    pub(crate) fn new(needles: &[Needle<'_>], fold: bool, shallow: usize) -> Self {
        let (classes, width) = classes(needles, fold);
        let mut trie = Trie::new(needles, &classes);
        let order = trie.breadth_first();
        trie.link(&order);
        let small = trie.states.len() * width.next_power_of_two() <= MAX_TABLE;
        let (moves, shift) = if small { trie.table(&order, width) } else { (trie.links(width), 0) };
        Self {
            flags: trie.flags(shallow),
            states: std::mem::take(&mut trie.states),
            moves,
            shift,
            classes,
        }
    }

    /// Moves over `text` from its place `at`: at least to `until`, and then, if `to_shallow`, on to a state that is
    /// not deep, or to the end. `found` is called with each place after which a needle ends. Gives state and place.
    pub(crate) fn run(
        &self,
        state: u32,
        text: &[u8],
        at: usize,
        until: usize,
        to_shallow: bool,
        found: &mut impl FnMut(usize, &State),
    ) -> (u32, usize) {
        match &self.moves {
            Moves::Table(next) => {
                let step = |state: u32, class: u8| next[state as usize + usize::from(class)];
                self.run_with(step, state, text, at, until, to_shallow, found)
            }
            Moves::Links { rows, row, first, edges, fail } => {
                let step = |mut state: u32, class: u8| loop {
                    let number = state as usize;
                    if row[number] != NO_ROW {
                        return rows[row[number] as usize + usize::from(class)];
                    }
                    let own = &edges[first[number] as usize..first[number + 1] as usize];
                    if let Some(edge) = own.iter().find(|edge| edge.0 == class) {
                        return edge.1;
                    }
                    state = fail[number];
                };
                self.run_with(step, state, text, at, until, to_shallow, found)
            }
        }
    }

    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "the body of the hottest loop, made once for each kind of moves"
    )]
    fn run_with(
        &self,
        step: impl Fn(u32, u8) -> u32,
        mut state: u32,
        text: &[u8],
        at: usize,
        until: usize,
        to_shallow: bool,
        found: &mut impl FnMut(usize, &State),
    ) -> (u32, usize) {
        let until = until.clamp(at, text.len());
        let mut flags = self.flags[(state >> self.shift) as usize];
        for (place, &byte) in (at..until).zip(&text[at..until]) {
            state = step(state, self.classes[usize::from(byte)]);
            flags = self.flags[(state >> self.shift) as usize];
            if flags & ENDS != 0 {
                found(place + 1, self.state(state));
            }
        }
        if !to_shallow || flags & SHALLOW != 0 {
            return (state, until);
        }
        for (place, &byte) in (until..text.len()).zip(&text[until..]) {
            state = step(state, self.classes[usize::from(byte)]);
            flags = self.flags[(state >> self.shift) as usize];
            if flags != 0 {
                if flags & ENDS != 0 {
                    found(place + 1, self.state(state));
                }
                if flags & SHALLOW != 0 {
                    return (state, place + 1);
                }
            }
        }
        (state, text.len())
    }

    #[inline]
    pub(crate) fn state(&self, state: u32) -> &State {
        &self.states[(state >> self.shift) as usize]
    }
}

impl Drop for Automaton {
    fn drop(&mut self) {
        self.classes.zeroize();
        match &mut self.moves {
            Moves::Table(next) => next.zeroize(),
            Moves::Links { rows, row, first, edges, fail } => {
                rows.zeroize();
                row.zeroize();
                first.zeroize();
                edges.iter_mut().for_each(|edge| edge.zeroize());
                fail.zeroize();
            }
        }
    }
}

fn classes(needles: &[Needle<'_>], fold: bool) -> ([u8; 256], usize) {
    let folded = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let mut used = [false; 256];
    needles
        .iter()
        .flat_map(|needle| needle.bytes)
        .for_each(|&b| used[usize::from(folded(b))] = true);
    let mut classes = [0u8; 256];
    let mut width = 1;
    for b in 0..=255u8 {
        if used[usize::from(b)] {
            // With all 256 in use the last class would not fit; then there is no unused byte and 0 is free.
            classes[usize::from(b)] = if width == 256 { 0 } else { width as u8 };
            width += 1;
        }
    }
    for b in b'A'..=b'Z' {
        if fold {
            classes[usize::from(b)] = classes[usize::from(b.to_ascii_lowercase())];
        }
    }
    (classes, width.min(256))
}

/// The needles as a tree, before it becomes moves.
struct Trie {
    states: Vec<State>,
    children: Vec<Vec<(u8, u32)>>,
    fail: Vec<u32>,
    /// Whether a needle continues from this state.
    live: Vec<bool>,
}

impl Trie {
    fn new(needles: &[Needle<'_>], classes: &[u8; 256]) -> Self {
        let mut trie = Self {
            states: vec![State::default()],
            children: vec![Vec::new()],
            fail: Vec::new(),
            live: vec![false],
        };
        for needle in needles {
            let mut at = 0;
            for &byte in needle.bytes {
                trie.live[at as usize] = true;
                at = trie.child_or_new(at, classes[usize::from(byte)]);
            }
            let end = &mut trie.states[at as usize];
            end.longest = end.depth;
        }
        trie
    }

    fn child(&self, state: u32, class: u8) -> Option<u32> {
        self.children[state as usize].iter().find(|edge| edge.0 == class).map(|edge| edge.1)
    }

    fn child_or_new(&mut self, state: u32, class: u8) -> u32 {
        if let Some(child) = self.child(state, class) {
            return child;
        }
        let child =
            u32::try_from(self.states.len()).expect("because needles are far smaller than 4 GiB");
        let depth = self.states[state as usize].depth + 1;
        self.states.push(State { depth, ..State::default() });
        self.children.push(Vec::new());
        self.live.push(false);
        self.children[state as usize].push((class, child));
        child
    }

    fn breadth_first(&self) -> Vec<u32> {
        let mut order = vec![0];
        let mut next = 0;
        while let Some(&state) = order.get(next) {
            order.extend(self.children[state as usize].iter().map(|edge| edge.1));
            next += 1;
        }
        order
    }

    /// Failure links, and what a state has from the states on its chain.
    fn link(&mut self, order: &[u32]) {
        self.fail = vec![0; self.states.len()];
        for &state in order {
            for (class, child) in self.children[state as usize].clone() {
                let fail =
                    if state == 0 { 0 } else { self.follow(self.fail[state as usize], class) };
                self.fail[child as usize] = fail;
                let from = self.states[fail as usize];
                let own = &mut self.states[child as usize];
                own.longest = own.longest.max(from.longest);
                own.hold = if self.live[child as usize] { own.depth } else { from.hold };
            }
        }
    }

    fn follow(&self, mut state: u32, class: u8) -> u32 {
        loop {
            match self.child(state, class) {
                Some(child) => return child,
                None if state == 0 => return 0,
                None => state = self.fail[state as usize],
            }
        }
    }

    fn flags(&self, shallow: usize) -> Vec<u8> {
        let of = |state: &State| {
            let ends = if state.longest > 0 { ENDS } else { 0 };
            ends | if (state.depth as usize) < shallow { SHALLOW } else { 0 }
        };
        self.states.iter().map(of).collect()
    }

    /// The moves, and how far a state's number is shifted in them.
    fn table(&self, order: &[u32], width: usize) -> (Moves, u32) {
        let shift = width.next_power_of_two().trailing_zeros();
        let mut next = vec![ROOT; self.states.len() << shift];
        for &state in order {
            let row = (state as usize) << shift;
            if state != 0 {
                let fail = (self.fail[state as usize] as usize) << shift;
                next.copy_within(fail..fail + width, row);
            }
            for &(class, child) in &self.children[state as usize] {
                next[row + usize::from(class)] = child << shift;
            }
        }
        (Moves::Table(next), shift)
    }

    fn links(&self, width: usize) -> Moves {
        let (mut rows, mut row) = (Vec::new(), Vec::with_capacity(self.states.len()));
        let mut first = Vec::with_capacity(self.states.len() + 1);
        let mut edges = Vec::with_capacity(self.states.len());
        for (state, children) in (0..).zip(&self.children) {
            first.push(edges.len() as u32);
            edges.extend_from_slice(children);
            if state == ROOT || children.len() > MANY_EDGES {
                row.push(rows.len() as u32);
                rows.extend((0..width).map(|class| self.follow(state, class as u8)));
            } else {
                row.push(NO_ROW);
            }
        }
        first.push(edges.len() as u32);
        Moves::Links { rows, row, first, edges, fail: self.fail.clone() }
    }
}

impl Drop for Trie {
    fn drop(&mut self) {
        self.children.iter_mut().flatten().for_each(|edge| edge.zeroize());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(needles: &[&[u8]], fold: bool, text: &[u8]) -> Vec<(u32, u32, u32)> {
        let needles: Vec<_> = needles.iter().map(|&bytes| Needle::plain(bytes)).collect();
        let automaton = Automaton::new(&needles, fold, 1);
        let step = |state: &mut u32, at: usize| {
            *state = automaton.run(*state, text, at, at + 1, false, &mut |_, _| {}).0;
            let known = automaton.state(*state);
            Some((known.longest, known.hold, known.depth))
        };
        (0..text.len()).scan(ROOT, step).collect()
    }

    #[test]
    fn hold_is_what_may_go_on() {
        let expect = [(0, 1, 1), (0, 2, 2), (0, 3, 3), (4, 2, 4), (0, 0, 0)];
        assert_eq!(run(&[b"abab"], false, b"abab."), expect);
        let expect = [(0, 1, 1), (0, 2, 2), (2, 0, 2), (0, 0, 0)];
        assert_eq!(
            run(&[b"aab", b"ab"], false, b"aab.").iter().map(|s| s.1).collect::<Vec<_>>(),
            [1, 2, 0, 0]
        );
        assert_eq!(run(&[b"aaz", b"az"], false, b"aaz.")[3], expect[3]);
    }

    #[test]
    fn longest_needle_at_each_end() {
        let longest: Vec<_> =
            run(&[b"bc12", b"abc12def", b"c1"], false, b"abc12def").iter().map(|s| s.0).collect();
        assert_eq!(longest, [0, 0, 0, 2, 4, 0, 0, 8]);
    }

    #[test]
    fn folds_letters_only() {
        assert_eq!(run(&[b"a[Z"], true, b"A[z")[2].0, 3);
        assert_eq!(run(&[b"a[Z"], true, b"A{z")[2].0, 0);
        assert_eq!(run(&[b"a[Z"], false, b"A[z")[2].0, 0);
    }

    #[test]
    fn all_byte_values() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(run(&[&all], false, &all)[255].0, 256);
    }

    #[test]
    fn table_and_links_are_the_same_machine() {
        let needles: Vec<Vec<u8>> = (0..400u32)
            .map(|n| {
                (0..12u32)
                    .map(|k| b'a' + (n.wrapping_mul(2_654_435_761).rotate_left(k * 5) % 7) as u8)
                    .collect()
            })
            .collect();
        let needles: Vec<_> = needles.iter().map(|bytes| Needle::plain(bytes)).collect();
        let (classes, width) = classes(&needles, false);
        let mut trie = Trie::new(&needles, &classes);
        let order = trie.breadth_first();
        trie.link(&order);
        let (states, flags) = (trie.states.clone(), trie.flags(3));
        let (moves, shift) = trie.table(&order, width);
        let table =
            Automaton { states: states.clone(), flags: flags.clone(), moves, shift, classes };
        let links = Automaton { states, flags, moves: trie.links(width), shift: 0, classes };
        let text: Vec<_> = (0..20_000u32)
            .map(|n| b'a' + (n.wrapping_mul(2_654_435_761) >> 13) as u8 % 8)
            .collect();
        let run = |automaton: &Automaton, at: usize, to_shallow: bool| {
            let mut ends = Vec::new();
            let end = automaton.run(ROOT, &text, at, at + 100, to_shallow, &mut |at, state| {
                ends.push((at, state.longest))
            });
            ((end.0 >> automaton.shift, end.1), ends)
        };
        for at in (0..text.len()).step_by(50) {
            assert_eq!(run(&table, at, true), run(&links, at, true));
            assert_eq!(run(&table, at, false), run(&links, at, false));
        }
    }
}

//! Runs of bytes that are being masked, over the ends of buffers.
//!
//! Once it is known that a secret has begun, its bytes are masked as they come and nothing is held. One run of a kind
//! is followed at a time, since two of a kind that meet end at the same place. The trap: whether a byte ends a run
//! depends on it and the byte before it only, so that it does not matter where a run was entered.

use super::{Text, pem};
use crate::hits::Hits;
use memchr::{memchr, memchr2};

/// Most bytes of a run that has no end of its own in sight, such as a private key that is cut off.
const MAX_PEM: usize = 64 * 1024;
/// How far the end of a quotation is looked for byte by byte.
const NEAR: usize = 24;

/// What belongs to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_`.
    Word,
    /// Letters, digits, `_`, `-`.
    Dashed,
    /// Letters, digits, `_`, `-`, `.`, `/`, `+`, `=`: paths of web hooks, OAuth tokens.
    Wide,
    /// An unquoted value: up to white space, a quote, `&`, `,`, `;`, `<`, `>`.
    Value,
    /// A credential in a header: up to white space, a quote, `,` or `;`.
    Credential,
    /// Up to this quote without a backslash before it, or the end of the line.
    Quoted(u8),
    /// Up to a backslash with this quote after it, or the end of the line.
    Escaped(u8),
    /// Up to the end of the line.
    Line,
    /// Up to `<` or white space: the rest of a long text of an XML element.
    Element,
    /// Up to the first line that is indented less than this, its line end not included.
    Block(u8),
    /// Up to the end marker of a private key.
    Pem,
}

impl Run {
    /// Whether `byte` belongs to the run, as far as a byte alone tells.
    #[inline]
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Run::Quoted(quote) => byte != quote && byte != b'\n',
            Run::Escaped(_) | Run::Line => byte != b'\n' && byte != b'\r',
            Run::Pem | Run::Block(_) => true,
            _ => self.set().is_some_and(|set| set[byte as usize]),
        }
    }

    /// The bytes that belong to it, when it is a matter of bytes.
    pub(super) fn set(self) -> Option<&'static [bool; 256]> {
        match self {
            Run::Alnum => Some(&ALNUM),
            Run::Word => Some(&WORD),
            Run::Dashed => Some(&DASHED),
            Run::Wide => Some(&WIDE),
            Run::Value => Some(&VALUE),
            Run::Credential => Some(&CREDENTIAL),
            Run::Element => Some(&ELEMENT),
            _ => None,
        }
    }

    /// Where the run ends at or after `from`, and whether it does for certain; it is not looked at beyond `limit`.
    pub(super) fn end(self, from: usize, limit: usize, text: &Text<'_>) -> (usize, bool) {
        let bytes = &text.bytes[..text.len().min(limit)];
        let over = text.end || bytes.len() == limit;
        let whole = |at: Option<usize>| at.map_or((bytes.len(), over), |at| (at, true));
        let rest = || (from..).zip(&bytes[from.min(bytes.len())..]);
        if let Some(set) = self.set() {
            let rest = &bytes[from.min(bytes.len())..];
            return whole(rest.iter().position(|&b| !set[usize::from(b)]).map(|at| from + at));
        }
        match self {
            Run::Pem => whole(pem::end(bytes, from)),
            Run::Block(indent) => match block_end(bytes, from, usize::from(indent)) {
                Some((end, certain)) => (end, certain || over),
                None => whole(None),
            },
            Run::Quoted(quote) => {
                let mut at = from;
                loop {
                    let rest = &bytes[at.min(bytes.len())..];
                    match nearest(b'\n', quote, rest).map(|found| at + found) {
                        Some(end) if bytes[end] == b'\n' || bytes[end - 1] != b'\\' => {
                            return (end, true);
                        }
                        Some(escaped) => at = escaped + 1,
                        None => return whole(None),
                    }
                }
            }
            Run::Escaped(quote) => {
                let closes = |&(at, b): &(usize, &u8)| {
                    *b == b'\n'
                        || *b == b'\r'
                        || (*b == b'\\' && bytes.get(at + 1).is_none_or(|&b| b == quote))
                };
                match rest().find(closes) {
                    // A backslash at the very end: the next byte decides.
                    Some((at, b'\\')) if at + 1 == bytes.len() => (at, over),
                    at => whole(at.map(|(at, _)| at)),
                }
            }
            _ => whole(rest().find(|(_, b)| !self.has(**b)).map(|(at, _)| at)),
        }
    }
}

/// The line end at which a block ends, or that is the last and may be it; `None` when its last line goes on.
fn block_end(bytes: &[u8], from: usize, indent: usize) -> Option<(usize, bool)> {
    let mut at = from;
    loop {
        let end = at + memchr(b'\n', bytes.get(at..)?)?;
        let next = &bytes[end + 1..];
        let blanks = next.iter().take(indent).take_while(|b| **b == b' ').count();
        at = match next.get(blanks) {
            _ if blanks == indent => end + 1 + blanks,
            // An empty line: the one after it decides.
            Some(b'\n') => end + 1 + blanks,
            Some(b'\r') => end + 2 + blanks,
            Some(_) => return Some((end, true)),
            None => return Some((end, false)),
        };
    }
}

/// The first of two bytes: mostly a few bytes away, where a loop has found it before a search has begun.
fn nearest(one: u8, other: u8, bytes: &[u8]) -> Option<usize> {
    let (near, far) = bytes.split_at(bytes.len().min(NEAR));
    let found = near.iter().position(|&b| b == one || b == other);
    found.or_else(|| memchr2(one, other, far).map(|at| NEAR + at))
}

static ALNUM: [bool; 256] = letters_and(b"");
static WORD: [bool; 256] = letters_and(b"_");
static DASHED: [bool; 256] = letters_and(b"_-");
static WIDE: [bool; 256] = letters_and(b"_-./+=");
static VALUE: [bool; 256] = all_but(b"\0 \t\n\r\x0b\x0c\"'`&,;<>");
static ELEMENT: [bool; 256] = all_but(b"\0 \t\n\r\x0b\x0c<");
static CREDENTIAL: [bool; 256] = all_but(b"\0 \t\n\r\x0b\x0c\"'`,;");

/// Letters, digits and what is in `more`.
const fn letters_and(more: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        set[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    with(set, more, true)
}

pub(super) const NOT_ALNUM: &[u8] = &outside::<194>(&letters_and(b""));
pub(super) const NOT_DASHED: &[u8] = &outside::<192>(&letters_and(b"_-"));

/// The bytes that are not in `set`, of which there are `N`.
pub(super) const fn outside<const N: usize>(set: &[bool; 256]) -> [u8; N] {
    let mut bytes = [0; N];
    let (mut count, mut byte) = (0, 0);
    while byte < 256 {
        if !set[byte] {
            bytes[count] = byte as u8;
            count += 1;
        }
        byte += 1;
    }
    assert!(count == N);
    bytes
}

/// What is in `bytes` and nothing else.
pub(super) const fn only(bytes: &[u8]) -> [bool; 256] {
    with([false; 256], bytes, true)
}

/// From `first` to `last`, both included, except what is in `out`.
pub(super) const fn only_from(first: u8, last: u8, out: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut byte = first as usize;
    while byte <= last as usize {
        set[byte] = true;
        byte += 1;
    }
    with(set, out, false)
}

/// Everything except what is in `out`.
const fn all_but(out: &[u8]) -> [bool; 256] {
    with([true; 256], out, false)
}

const fn with(mut set: [bool; 256], bytes: &[u8], value: bool) -> [bool; 256] {
    let mut at = 0;
    while at < bytes.len() {
        set[bytes[at] as usize] = value;
        at += 1;
    }
    set
}

/// The runs of a stream, at most one of a kind.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Track>);

#[derive(Debug)]
struct Track {
    run: Run,
    /// Where the mask begins; the run itself begins at `from`.
    start: usize,
    from: usize,
    end: usize,
    open: bool,
    limit: usize,
}

impl Track {
    /// Masks what is new of the run, which is open.
    fn advance(&mut self, text: &Text<'_>, hits: &mut Hits) {
        let (end, certain) = self.run.end(self.end, self.limit, text);
        if end > self.end {
            // The byte before is masked already: with it the range is part of the same mask.
            hits.add(self.end.saturating_sub(1).max(self.start), end);
        }
        (self.end, self.open) = (end, !certain);
    }
}

impl Runs {
    /// Masks from `start` through `from` to the end of the run.
    pub(super) fn begin(
        &mut self,
        start: usize,
        from: usize,
        run: Run,
        text: &Text<'_>,
        hits: &mut Hits,
    ) {
        let limit = if run == Run::Pem { start + MAX_PEM } else { usize::MAX };
        let inside = |track: &&mut Track| {
            track.run == run
                && track.from <= from
                && (from < track.end || (from == track.end && track.open))
        };
        if let Some(track) = self.0.iter_mut().find(inside) {
            let at_limit = !track.open && track.end >= track.limit;
            track.limit = track.limit.max(limit);
            hits.add(start, track.end.max(from));
            if at_limit {
                // It goes on, as it would have had the new limit been known before, unless its end marker is there.
                track.end -= 1;
                track.advance(text, hits);
            }
            return;
        }
        let (end, certain) = run.end(from, limit, text);
        hits.add(start, end);
        let new = Track { run, start, from, end, open: !certain, limit };
        match self.0.iter_mut().find(|track| track.run == run) {
            // An earlier run, judged late, that ended before the one that is still open.
            Some(track) if track.open && end < track.from => {}
            Some(track) => *track = new,
            None => self.0.push(new),
        }
    }

    /// Whether `from..to` is inside a run of this kind, as far as it has come.
    pub(super) fn cover(&self, run: Run, from: usize, to: usize) -> bool {
        let covers = |track: &Track| track.run == run && track.from <= from && to <= track.end;
        self.0.iter().any(covers)
    }

    /// Masks what is new of the runs that are open.
    pub(super) fn advance(&mut self, text: &Text<'_>, hits: &mut Hits) {
        let open = self.0.iter_mut().filter(|track| track.open);
        open.for_each(|track| track.advance(text, hits));
    }

    /// The first byte that an open run is not sure of.
    pub(super) fn settled(&self) -> usize {
        self.0.iter().filter(|track| track.open).map(|track| track.end).min().unwrap_or(usize::MAX)
    }

    /// The first `by` bytes of the buffer are gone.
    pub(super) fn shift(&mut self, by: usize) {
        self.0.retain(|track| track.open || track.end > by);
        for track in &mut self.0 {
            track.start = track.start.saturating_sub(by);
            track.from = track.from.saturating_sub(by);
            track.end -= by;
            track.limit =
                track.limit.saturating_sub(if track.limit == usize::MAX { 0 } else { by });
        }
    }
}

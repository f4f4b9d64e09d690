//! What is recognised without being listed: the value beside a telling name, tokens of a known shape.
//!
//! A few short anchors (`token`, `ghp_`, `://`, …) are looked for in the whole stream; at each one a small function
//! looks at the text around it and says no, not yet, or from where to mask and which run of bytes. A run is masked as
//! it comes and never held. No anchor depends on another: what several of them find is joined.
//!
//! Deliberately not here: entropy and dictionaries, which mask commit hashes and miss passwords. The trap: a function
//! may look only at the text, never at where the buffer happens to end, or the result depends on the reads.

mod anchors;
mod below;
mod custom;
mod header;
mod jwt;
mod kind;
mod kv;
mod pem;
mod runs;
mod token;
mod url;
mod words;

pub(crate) use custom::CustomRegex;
pub use kind::{Detector, UnknownDetector};

use crate::hits::Hits;
use crate::options::RedactionOptions;
use anchors::{Anchor, AnchorCursor, Anchors, Found};
use custom::CustomState;
use runs::{Run, Runs};

/// The text around an anchor.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    /// Whether nothing comes after `bytes`.
    end: bool,
}

/// What an anchor turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    No,
    /// More text is needed; what is to be masked, if anything, begins at this place or after it.
    Wait(usize),
    /// To be masked: from `start`, through `from`, and then as long as the run goes on.
    Mask {
        start: usize,
        from: usize,
        run: Run,
    },
    /// To be masked from `start` to `end`.
    Exactly {
        start: usize,
        end: usize,
    },
}

impl<'a> Text<'a> {
    fn get(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The place after at most `limit` bytes from `at` on that satisfy `member`, and whether it is certain: the
    /// first byte that does not, the limit, or the end of all.
    #[inline]
    fn skip(&self, at: usize, limit: usize, member: impl Fn(u8) -> bool) -> (usize, bool) {
        let stop = at.saturating_add(limit);
        let within = self.bytes.get(at..stop.min(self.bytes.len())).unwrap_or_default();
        match within.iter().position(|&byte| !member(byte)) {
            Some(count) => (at + count, true),
            None => (at + within.len(), at + within.len() == stop || self.end),
        }
    }

    /// The byte before `at`, if there is one.
    fn before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|at| self.get(at))
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }
}

/// What to do at an anchor.
#[derive(Clone, Copy, Debug)]
enum Judge {
    Kv,
    Header,
    Pem,
    Jwt,
    Url,
    Token(&'static token::Format),
}

/// All detectors of a redaction, compiled.
pub(crate) struct Detection {
    anchors: Option<Anchors<Judge>>,
    custom: Vec<CustomRegex>,
}

/// One stream's detectors.
#[derive(Debug)]
pub(crate) struct DetectState {
    cursor: AnchorCursor,
    found: Vec<Found<Judge>>,
    waiting: Vec<Waiting>,
    runs: Runs,
    custom: Vec<CustomState>,
}

/// An anchor that could not be judged yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    judge: Judge,
    /// Where the anchor ends.
    at: usize,
    hold: usize,
}

impl Detection {
    pub(crate) fn new(options: &RedactionOptions) -> Self {
        let mut anchors: Vec<Anchor<Judge>> = Vec::new();
        for &detector in &options.detectors {
            anchors.extend(anchors_of(detector));
        }
        let names = options.names.iter().flat_map(|name| kv::spellings(name));
        anchors.extend(names.map(|name| key(name, Judge::Kv)));
        // Detectors share keys; each counts once.
        anchors.sort_by(|a, b| (&a.bytes, a.judge.rank()).cmp(&(&b.bytes, b.judge.rank())));
        anchors.dedup_by(|a, b| a.bytes == b.bytes && a.judge.rank() == b.judge.rank());
        Self {
            anchors: Anchors::new(anchors),
            custom: options.patterns.iter().map(|pattern| pattern.regex.clone()).collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.anchors.is_none() && self.custom.is_empty()
    }

    pub(crate) fn start(&self) -> DetectState {
        DetectState {
            cursor: AnchorCursor::default(),
            found: Vec::new(),
            waiting: Vec::new(),
            runs: Runs::default(),
            custom: self.custom.iter().map(CustomRegex::start).collect(),
        }
    }

    /// Looks at what is new in `buffer`; gives the place before which nothing more will be masked.
    pub(crate) fn advance(
        &self,
        state: &mut DetectState,
        buffer: &[u8],
        end: bool,
        hits: &mut Hits,
    ) -> usize {
        let text = &Text { bytes: buffer, end };
        let mut settled = buffer.len();
        for (regex, custom) in self.custom.iter().zip(&mut state.custom) {
            settled = settled.min(regex.advance(custom, text, hits));
        }
        let Some(anchors) = &self.anchors else {
            state.cursor.skip_to(buffer.len());
            return settled;
        };
        state.runs.advance(text, hits);
        for waiting in std::mem::take(&mut state.waiting) {
            state.judge(waiting.judge, waiting.at, text, hits);
        }
        let mut found = std::mem::take(&mut state.found);
        anchors.scan(&mut state.cursor, buffer, &mut found);
        found.sort_by_key(|one| one.end);
        found.dedup_by(|a, b| a.end == b.end && a.judge.rank() == b.judge.rank());
        for one in found.drain(..) {
            state.judge(one.judge, one.end, text, hits);
        }
        state.found = found;
        let held = state.waiting.iter().map(|waiting| waiting.hold).min().unwrap_or(settled);
        settled.min(held).min(state.runs.settled()).min(buffer.len() - anchors.hold(buffer))
    }
}

impl DetectState {
    fn judge(&mut self, judge: Judge, at: usize, text: &Text<'_>, hits: &mut Hits) {
        // A key deep inside a value that is being masked adds nothing: its own value would end where that one does.
        if matches!(judge, Judge::Kv) && self.runs.cover(Run::Value, at, at + kv::MAX_OPENING) {
            return;
        }
        match judge.at(at, text) {
            Verdict::No => {}
            Verdict::Wait(hold) => self.waiting.push(Waiting { judge, at, hold }),
            Verdict::Exactly { start, end } => hits.add(start, end),
            Verdict::Mask { start, from, run } => self.runs.begin(start, from, run, text, hits),
        }
    }

    /// The first place of the buffer that is still needed, beside the context before it.
    pub(crate) fn needs(&self) -> usize {
        let waiting = self.waiting.iter().map(|waiting| waiting.at);
        let custom = self.custom.iter().map(CustomState::needs);
        waiting.chain(custom).min().unwrap_or(usize::MAX).min(self.cursor.needs())
    }

    /// The first `by` bytes of the buffer are gone.
    pub(crate) fn shift(&mut self, by: usize) {
        self.cursor.shift(by);
        self.runs.shift(by);
        self.custom.iter_mut().for_each(|custom| custom.shift(by));
        for waiting in &mut self.waiting {
            waiting.at -= by;
            waiting.hold -= by;
        }
    }
}

impl Judge {
    #[inline]
    fn at(self, at: usize, text: &Text<'_>) -> Verdict {
        match self {
            Judge::Kv => kv::judge(at, text),
            Judge::Header => header::judge(at, text),
            Judge::Pem => pem::judge(at, text),
            Judge::Jwt => jwt::judge(at, text),
            Judge::Url => url::judge(at, text),
            Judge::Token(format) => token::judge(format, at, text),
        }
    }

    /// Tells those apart that are not the same.
    fn rank(self) -> (u8, &'static str) {
        match self {
            Judge::Kv => (0, ""),
            Judge::Header => (1, ""),
            Judge::Pem => (2, ""),
            Judge::Jwt => (3, ""),
            Judge::Url => (4, ""),
            Judge::Token(format) => (5, format.prefix),
        }
    }
}

const ALNUM: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// What the formats of tokens consist of.
const TOKEN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+=";
const ANY: &[u8] = &runs::outside::<256>(&[false; 256]);
/// Shorter ones are looked for with the byte before them: the longer the shortest, the faster the search.
const SHORT_KEY: usize = 5;

/// The anchor of a name beside which a value may stand.
fn key(name: impl Into<Vec<u8>>, judge: Judge) -> Anchor<Judge> {
    let bytes = name.into();
    let before: &[&[u8]] = if bytes.len() < SHORT_KEY { &[ANY] } else { &[] };
    let after = &[kv::AFTER_KEY];
    Anchor { bytes, fold: true, judge, holds: false, before, after, then: None }
}

/// An anchor that is part of the secret, so held back, and in its own case.
fn part(
    bytes: &str,
    judge: Judge,
    after: &'static [&'static [u8]],
    then: Option<(&'static [bool; 256], usize)>,
) -> Anchor<Judge> {
    let before: &[&[u8]] = match judge {
        Judge::Token(_) => &[runs::NOT_ALNUM],
        Judge::Jwt => &[runs::NOT_DASHED],
        _ => &[],
    };
    Anchor { fold: false, holds: true, before, after, then, ..key(bytes, judge) }
}

fn anchors_of(detector: Detector) -> Vec<Anchor<Judge>> {
    let keys =
        |names: &[&str]| Vec::from_iter(names.iter().map(|name| key(name.as_bytes(), Judge::Kv)));
    match detector {
        Detector::Kv => keys(kv::KEYS),
        Detector::AuthHeader => {
            let bare = Anchor { after: &[], ..key(header::BARE, Judge::Header) };
            vec![key(header::NAME, Judge::Header), bare]
        }
        Detector::Pem => vec![part(pem::ANCHOR, Judge::Pem, &[], Some(pem::LABEL))],
        Detector::Jwt => vec![part(jwt::ANCHOR, Judge::Jwt, &jwt::AFTER, None)],
        Detector::UrlUserinfo => {
            let after: &[&[u8]] = &[url::AFTER];
            vec![Anchor { before: &url::BEFORE, after, ..key(url::ANCHOR, Judge::Url) }]
        }
        _ => {
            let of = |format: &'static token::Format| {
                let after: &[&[u8]] =
                    if format.prefix.len() == 3 { &[ALNUM, ALNUM] } else { &[TOKEN] };
                part(
                    format.prefix,
                    Judge::Token(format),
                    after,
                    format.run.set().zip(Some(format.min)),
                )
            };
            let mut anchors: Vec<_> = token::formats(detector).iter().map(of).collect();
            if detector == Detector::Aws {
                anchors.extend(keys(kv::AWS_KEYS));
            }
            anchors
        }
    }
}

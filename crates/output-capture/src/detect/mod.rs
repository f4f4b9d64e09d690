//! What is recognised without being listed: the value beside a telling name, tokens of a known shape.
//!
//! A few short anchors (`token`, `ghp_`, `://`, …) are looked for in the whole stream; at each one a small function
//! looks at the text around it and says no, not yet, or from where to mask and which run of bytes. A run is masked as
//! it comes and never held. No anchor depends on another: what several of them find is joined.
//!
//! Deliberately not here: entropy and dictionaries, which mask commit hashes and miss passwords. The trap: a function
//! may look only at the text, never at where the buffer happens to end, or the result depends on the reads.

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

use crate::automaton::Needle;
use crate::hits::Hits;
use crate::options::RedactionOptions;
use crate::scanner::{Cursor, Found, Scanner};
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
    fn skip(&self, at: usize, limit: usize, member: impl Fn(u8) -> bool) -> (usize, bool) {
        let window = &self.bytes[at.min(self.len())..self.len().min(at.saturating_add(limit))];
        let count = window.iter().position(|&b| !member(b));
        match count {
            Some(count) => (at + count, true),
            None => (at + window.len(), window.len() == limit || self.end),
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

/// All detectors of a redaction, compiled.
pub(crate) struct Detection {
    anchors: Option<Scanner>,
    custom: Vec<CustomRegex>,
}

/// One stream's detectors.
#[derive(Debug)]
pub(crate) struct DetectState {
    /// `None` when there are no anchors.
    cursor: Option<Cursor>,
    found: Vec<Found>,
    waiting: Vec<Waiting>,
    runs: Runs,
    custom: Vec<CustomState>,
}

/// An anchor that could not be judged yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    detector: Detector,
    /// Where the anchor ends.
    at: usize,
    hold: usize,
}

impl Detection {
    pub(crate) fn new(options: &RedactionOptions) -> Self {
        let mut anchors: Vec<(Vec<u8>, Detector)> = Vec::new();
        for &detector in &options.detectors {
            anchors.extend(
                anchors_of(detector)
                    .into_iter()
                    .map(|anchor| (anchor.as_bytes().to_vec(), detector)),
            );
        }
        anchors.extend(
            options
                .names
                .iter()
                .flat_map(|name| kv::spellings(name))
                .map(|name| (name, Detector::Kv)),
        );
        let needles: Vec<_> =
            anchors.iter().map(|(bytes, detector)| needle(bytes, *detector)).collect();
        Self {
            anchors: Scanner::new(&needles, true),
            custom: options.patterns.iter().map(|pattern| pattern.regex.clone()).collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.anchors.is_none() && self.custom.is_empty()
    }

    pub(crate) fn start(&self) -> DetectState {
        DetectState {
            cursor: self.anchors.as_ref().map(|_| Cursor::default()),
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
        let text = Text { bytes: buffer, end };
        let mut settled = buffer.len();
        for (regex, custom) in self.custom.iter().zip(&mut state.custom) {
            settled = settled.min(regex.advance(custom, text, hits));
        }
        let (Some(anchors), Some(mut cursor)) = (&self.anchors, state.cursor) else {
            return settled;
        };
        state.runs.advance(text, hits);
        for waiting in std::mem::take(&mut state.waiting) {
            state.judge(waiting.detector, waiting.at, text, hits);
        }
        let mut found = std::mem::take(&mut state.found);
        anchors.scan(&mut cursor, buffer, |one| found.push(one));
        state.cursor = Some(cursor);
        for one in found.drain(..) {
            let mut bits = one.payload;
            while bits != 0 {
                state.judge(Detector::ALL[bits.trailing_zeros() as usize], one.end, text, hits);
                bits &= bits - 1;
            }
        }
        state.found = found;
        let held = state.waiting.iter().map(|waiting| waiting.hold).min().unwrap_or(settled);
        settled.min(held).min(state.runs.settled()).min(buffer.len() - anchors.hold(&cursor))
    }
}

impl DetectState {
    fn judge(&mut self, detector: Detector, at: usize, text: Text<'_>, hits: &mut Hits) {
        match judge(detector, at, text) {
            Verdict::No => {}
            Verdict::Wait(hold) => self.waiting.push(Waiting { detector, at, hold }),
            Verdict::Exactly { start, end } => hits.add(start, end),
            Verdict::Mask { start, from, run } => self.runs.begin(start, from, run, text, hits),
        }
    }

    /// The first place of the buffer that is still needed, beside the context before it.
    pub(crate) fn needs(&self) -> usize {
        let waiting = self.waiting.iter().map(|waiting| waiting.at);
        waiting.chain(self.custom.iter().map(CustomState::needs)).min().unwrap_or(usize::MAX)
    }

    /// The first `by` bytes of the buffer are gone.
    pub(crate) fn shift(&mut self, by: usize) {
        self.cursor.iter_mut().for_each(|cursor| cursor.shift(by));
        self.runs.shift(by);
        self.custom.iter_mut().for_each(|custom| custom.shift(by));
        for waiting in &mut self.waiting {
            waiting.at -= by;
            waiting.hold -= by;
        }
    }
}

fn bit(detector: Detector) -> u32 {
    1 << detector as u32
}

/// An anchor with what is known of its surroundings.
fn needle(bytes: &[u8], detector: Detector) -> Needle<'_> {
    let is_key = match detector {
        Detector::Kv | Detector::AuthHeader => !bytes.ends_with(b" "),
        Detector::Aws => bytes.len() > token::AWS_ID_PREFIX,
        _ => false,
    };
    let (before, after): (&[u8], &[&[u8]]) = match detector {
        _ if is_key => (b"", &[kv::AFTER_KEY]),
        Detector::UrlUserinfo => (ALNUM, &[url::AFTER]),
        Detector::AuthHeader | Detector::Pem => (b"", &[]),
        Detector::Jwt => (b"", &jwt::AFTER),
        _ if bytes.len() == 3 => (b"", &[ALNUM, ALNUM]),
        _ => (b"", &[TOKEN]),
    };
    let holds = !is_key && !matches!(detector, Detector::AuthHeader | Detector::UrlUserinfo);
    Needle { bytes, payload: bit(detector), holds, before, after }
}

const ALNUM: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// What the formats of tokens consist of.
const TOKEN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+=";

fn anchors_of(detector: Detector) -> Vec<&'static str> {
    match detector {
        Detector::Kv => kv::KEYS.to_vec(),
        Detector::AuthHeader => header::ANCHORS.to_vec(),
        Detector::Pem => vec![pem::ANCHOR],
        Detector::Jwt => vec![jwt::ANCHOR],
        Detector::UrlUserinfo => vec![url::ANCHOR],
        Detector::Aws => token::prefixes(detector).chain(kv::AWS_KEYS.iter().copied()).collect(),
        _ => token::prefixes(detector).collect(),
    }
}

fn judge(detector: Detector, at: usize, text: Text<'_>) -> Verdict {
    match detector {
        Detector::Kv => kv::judge(at, text),
        Detector::AuthHeader => header::judge(at, text),
        Detector::Pem => pem::judge(at, text),
        Detector::Jwt => jwt::judge(at, text),
        Detector::UrlUserinfo => url::judge(at, text),
        Detector::Aws if kv::ends_with_aws_key(at, text) => kv::judge(at, text),
        _ => token::judge(detector, at, text),
    }
}

//! Reads a transcript, of its own format or an asciicast of version 2 or 3, line by line.
//!
//! The last line may be torn, when the writer died or the disk was full: it ends the reading and is no error. A line
//! that is wrong before others is one. The trap: a transcript is a file that anybody may have written, so the length of
//! a line is bounded and times may run backwards. Another: in version 3 a time counts from the event before, in all
//! others from the beginning.

use crate::pieces::Channel;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::time::Duration;

/// Longest line, in bytes.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// The beginning of a transcript.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// When it began, in milliseconds since 1970.
    pub started_ms: Option<u64>,
    /// What it is of.
    pub title: Option<String>,
    /// Columns and rows, when it is of a terminal.
    pub size: Option<(u16, u16)>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Since the beginning.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Output came.
    Output {
        /// The stream; a terminal has only one.
        channel: Channel,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The terminal got another size.
    Resize {
        /// Width in characters.
        columns: u16,
        /// Height in lines.
        rows: u16,
    },
    /// Something else, in words.
    Mark(String),
}

/// Why a transcript cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read at all.
    #[error("the transcript cannot be read")]
    Io(#[source] io::Error),
    /// It does not begin as one.
    #[error("this is no transcript")]
    NotATranscript,
    /// A line is not what it should be.
    #[error("line {number} of the transcript is wrong")]
    Line {
        /// Its number, from 1.
        number: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A line is longer than any that is written.
    #[error("line {number} of the transcript is too long")]
    TooLong {
        /// Its number, from 1.
        number: u64,
    },
}

#[derive(Deserialize)]
struct Beginning {
    transcript: Option<u32>,
    version: Option<u32>,
    started_ms: Option<u64>,
    timestamp: Option<u64>,
    title: Option<String>,
    width: Option<u16>,
    height: Option<u16>,
    term: Option<Term>,
}

/// The terminal, as version 3 has it.
#[derive(Deserialize)]
struct Term {
    cols: u16,
    rows: u16,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    JsonLines,
    Asciicast2,
    Asciicast3,
}

/// Reads a transcript; iterates over its entries.
pub struct Reader<R> {
    reader: R,
    header: Header,
    kind: Kind,
    /// The time of the last event.
    now: Duration,
    line: Vec<u8>,
    number: u64,
    torn: bool,
    over: bool,
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({:?}, line {})", self.header, self.number)
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn new(reader: R) -> Result<Self, ReadError> {
        let mut new = Self {
            reader,
            header: Header::default(),
            kind: Kind::JsonLines,
            now: Duration::ZERO,
            line: Vec::new(),
            number: 0,
            torn: false,
            over: false,
        };
        if new.next_line()? == Line::None {
            return Err(ReadError::NotATranscript);
        }
        let found: Beginning =
            serde_json::from_slice(&new.line).map_err(|_| ReadError::NotATranscript)?;
        new.kind = match (found.transcript, found.version) {
            (Some(1), _) => Kind::JsonLines,
            (None, Some(2)) => Kind::Asciicast2,
            (None, Some(3)) => Kind::Asciicast3,
            _ => return Err(ReadError::NotATranscript),
        };
        new.header = Header {
            started_ms: found.started_ms.or(found.timestamp.map(|s| s.saturating_mul(1000))),
            title: found.title,
            size: found.term.map(|term| (term.cols, term.rows)).or(found.width.zip(found.height)),
        };
        Ok(new)
    }

    /// What the transcript says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the last line was torn, once the entries are over.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Reads a line, without its end.
    fn next_line(&mut self) -> Result<Line, ReadError> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.reader).take(MAX_LINE);
        let read = limited.read_until(b'\n', &mut self.line).map_err(ReadError::Io)?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if read as u64 == MAX_LINE {
            return Err(ReadError::TooLong { number: self.number });
        } else {
            return Ok(if read > 0 { Line::Last } else { Line::None });
        }
        Ok(Line::Whole)
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        loop {
            let line = self.next_line()?;
            if line == Line::None {
                return Ok(None);
            }
            let text = self.line.trim_ascii();
            if text.is_empty() || self.kind == Kind::Asciicast3 && text.starts_with(b"#") {
                continue;
            }
            match self.entry() {
                Ok(Some(entry)) => return Ok(Some(entry)),
                // An event of a kind this version does not know.
                Ok(None) => {}
                // Without an end and not whole: the writer died.
                Err(_) if line == Line::Last => {
                    self.torn = true;
                    return Ok(None);
                }
                Err(source) => return Err(ReadError::Line { number: self.number, source }),
            }
        }
    }

    /// What the line tells, if it is of a known kind; the time goes on either way.
    fn entry(&mut self) -> Result<Option<Entry>, serde_json::Error> {
        let (at, event) = match self.kind {
            Kind::JsonLines => json_line(&self.line)?,
            Kind::Asciicast2 | Kind::Asciicast3 => asciicast(&self.line)?,
        };
        let at = Duration::try_from_secs_f64(at).map_err(wrong)?;
        self.now = if self.kind == Kind::Asciicast3 { self.now.saturating_add(at) } else { at };
        Ok(event.map(|event| Entry { at: self.now, event }))
    }
}

/// What was read of the file.
#[derive(PartialEq)]
enum Line {
    None,
    Whole,
    /// Without its end.
    Last,
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.next_entry().transpose();
        // After an error the place in the file is unknown.
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}

#[derive(Deserialize)]
struct Record {
    t: f64,
    stream: Option<String>,
    text: Option<String>,
    base64: Option<String>,
    resize: Option<(u16, u16)>,
    mark: Option<String>,
}

/// The time as written, and the event when it is of a known kind.
type Told = (f64, Option<Event>);

fn json_line(line: &[u8]) -> Result<Told, serde_json::Error> {
    let record: Record = serde_json::from_slice(line)?;
    let event = if let Some((columns, rows)) = record.resize {
        Event::Resize { columns, rows }
    } else if let Some(text) = record.mark {
        Event::Mark(text)
    } else {
        let bytes = match (record.text, record.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(wrong)?,
            (None, None) => return Ok((record.t, None)),
        };
        let channel = match record.stream.as_deref() {
            Some("stderr") => Channel::Stderr,
            _ => Channel::Stdout,
        };
        Event::Output { channel, bytes }
    };
    Ok((record.t, Some(event)))
}

fn asciicast(line: &[u8]) -> Result<Told, serde_json::Error> {
    let (at, kind, data): (f64, String, String) = serde_json::from_slice(line)?;
    let event = match kind.as_str() {
        "o" => Event::Output { channel: Channel::Stdout, bytes: data.into_bytes() },
        "m" => Event::Mark(data),
        "r" => {
            let (columns, rows) = data.split_once('x').ok_or_else(|| wrong("no size"))?;
            let number = |text: &str| text.parse().map_err(wrong);
            Event::Resize { columns: number(columns)?, rows: number(rows)? }
        }
        _ => return Ok((at, None)),
    };
    Ok((at, Some(event)))
}

fn wrong(why: impl fmt::Display) -> serde_json::Error {
    serde::de::Error::custom(why)
}

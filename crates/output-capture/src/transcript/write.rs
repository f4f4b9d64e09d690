//! Writes a transcript as the output comes.
//!
//! It never holds output back but for the bytes of a character that is not complete. The trap: after a failed write the
//! last line may be torn, so nothing is written after it, whichever stream the failure was on.

use crate::keep::clean_end;
use crate::pieces::Channel;
use crate::sink::Sink;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Longest output in one line, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// The format of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object a line, two streams, exact bytes.
    JsonLines,
    /// A recording of a terminal of this size, for other players too.
    Asciicast {
        /// Width in characters.
        columns: u16,
        /// Height in lines.
        rows: u16,
    },
}

/// A transcript that is being written; clones write to the same.
#[derive(Clone)]
pub struct Transcript(Arc<Mutex<State>>);

struct State {
    writer: Box<dyn Write + Send>,
    format: Format,
    start: Instant,
    /// Bytes that may still be written.
    room: u64,
    broken: bool,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transcript")
    }
}

impl Transcript {
    /// Begins a transcript on `writer`, which should not buffer, of at most `max_bytes`. `title` is written as it is, so
    /// it must hold no secret.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn begin(
        writer: impl Write + Send + 'static,
        format: Format,
        title: Option<&str>,
        max_bytes: Option<u64>,
    ) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut header = match format {
            Format::JsonLines => json!({
                "transcript": 1,
                "started_ms": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            }),
            Format::Asciicast { columns, rows } => json!({
                "version": 2, "width": columns, "height": rows, "timestamp": now.as_secs(),
            }),
        };
        if let Some(title) = title {
            header["title"] = title.into();
        }
        let room = max_bytes.unwrap_or(u64::MAX);
        let (writer, start) = (Box::new(writer), Instant::now());
        let mut state = State { writer, format, start, room, broken: false };
        state.line(header.to_string())?;
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// The sink of one stream.
    pub fn sink(&self, channel: Channel) -> impl Sink + use<> {
        TranscriptSink { transcript: self.clone(), channel, held: Vec::new() }
    }

    /// Notes that the terminal has another size.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let mut state = self.lock();
        let line = match state.format {
            Format::JsonLines => format!("{{\"t\":{},\"resize\":[{columns},{rows}]}}", state.now()),
            Format::Asciicast { .. } => format!("[{},\"r\",\"{columns}x{rows}\"]", state.now()),
        };
        state.line(line)
    }

    /// Notes that something happened, such as the end of the command. `text` is written as it is, so it must hold no
    /// secret.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark(&self, text: &str) -> io::Result<()> {
        let mut state = self.lock();
        let text = json!(text);
        let line = match state.format {
            Format::JsonLines => format!("{{\"t\":{},\"mark\":{text}}}", state.now()),
            Format::Asciicast { .. } => format!("[{},\"m\",{text}]", state.now()),
        };
        state.line(line)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Seconds since the start, as they are written.
    fn now(&self) -> String {
        format!("{:.6}", self.start.elapsed().as_secs_f64())
    }

    fn output(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let (now, stream) = (self.now(), channel.as_str());
        let line = match (self.format, std::str::from_utf8(bytes)) {
            (Format::JsonLines, Ok(text)) => {
                format!("{{\"t\":{now},\"stream\":\"{stream}\",\"text\":{}}}", json!(text))
            }
            (Format::JsonLines, Err(_)) => {
                let text = STANDARD.encode(bytes);
                format!("{{\"t\":{now},\"stream\":\"{stream}\",\"base64\":\"{text}\"}}")
            }
            (Format::Asciicast { .. }, _) => {
                format!("[{now},\"o\",{}]", json!(String::from_utf8_lossy(bytes)))
            }
        };
        self.line(line)
    }

    /// Writes a whole line or, after a failure or when it does not fit, nothing.
    fn line(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        if self.broken || line.len() as u64 > self.room {
            self.broken = true;
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the transcript is full"));
        }
        self.room -= line.len() as u64;
        let result = self.writer.write_all(line.as_bytes()).and_then(|()| self.writer.flush());
        self.broken = result.is_err();
        result
    }
}

struct TranscriptSink {
    transcript: Transcript,
    channel: Channel,
    /// The beginning of a character whose end has not come: three bytes at most.
    held: Vec<u8>,
}

impl Sink for TranscriptSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        self.held = all.split_off(clean_end(&all, b""));
        let mut rest = all.as_slice();
        let mut state = self.transcript.lock();
        while !rest.is_empty() {
            let now = &rest[..rest.len().min(MAX_OUTPUT)];
            let now = if now.len() == rest.len() { now } else { &now[..clean_end(now, b"")] };
            state.output(self.channel, now)?;
            rest = &rest[now.len()..];
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        self.transcript.lock().output(self.channel, &held)
    }

    fn name(&self) -> String {
        "transcript".to_owned()
    }
}

//! Output as text for a reader that is no terminal.
//!
//! Control sequences go, and of a line that was drawn over and over (a progress bar) the last state is kept. For
//! results and log files; a terminal or a transcript wants the stream as it is. The trap: taking bytes out can put the
//! parts of a secret together, so what comes out is masked once more, by a stream of its own, for which a mask stands
//! for itself.

use crate::ansi::AnsiStripper;
use crate::redactor::Redactor;
use crate::sink::Sink;
use memchr::memchr3;
use std::io;
use zeroize::Zeroizing;

/// Longest part of a line that is kept back until it is known whether it is drawn over, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// Bytes that are made plain in one go: each needs room three times.
const PIECE: usize = 32 * 1024;

/// What is done to a stream to make it plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainText {
    /// Whether terminal control sequences are taken out.
    pub strip_ansi: bool,
    /// Whether of what is between two carriage returns of one line only the last is kept, and backspaces delete.
    pub collapse_lines: bool,
}

impl PlainText {
    /// Both.
    pub const FULL: Self = Self { strip_ansi: true, collapse_lines: true };
}

/// Makes plain text of a stream and hands it to another sink, line by line where lines are collapsed.
pub struct PlainSink<S> {
    ansi: Option<AnsiStripper>,
    lines: Option<Lines>,
    redactor: Redactor,
    sink: S,
    out: Vec<u8>,
}

impl<S: Sink> PlainSink<S> {
    /// `redactor` is a new stream of the redaction that the pump's stream is of.
    pub fn new(sink: S, plain: PlainText, redactor: Redactor) -> Self {
        Self {
            ansi: plain.strip_ansi.then(AnsiStripper::default),
            lines: plain.collapse_lines.then(Lines::default),
            redactor: redactor.of_redacted(),
            sink,
            out: Vec::new(),
        }
    }

    fn take(&mut self, bytes: &[u8], end: bool) -> io::Result<()> {
        let mut text = Zeroizing::new(Vec::new());
        let text = match &mut self.ansi {
            Some(ansi) => {
                ansi.push(bytes, &mut text);
                &text
            }
            None => bytes,
        };
        let mut whole = Zeroizing::new(Vec::new());
        let whole = match &mut self.lines {
            Some(lines) => {
                lines.push(text, &mut whole);
                if end {
                    lines.finish(&mut whole);
                }
                &whole
            }
            None => text,
        };
        self.redactor.push(whole, &mut self.out);
        if end {
            self.redactor.finish(&mut self.out);
        }
        let out = std::mem::take(&mut self.out);
        if out.is_empty() { Ok(()) } else { self.sink.write(&out) }
    }
}

impl<S> std::fmt::Debug for PlainSink<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainSink")
    }
}

impl<S: Sink> Sink for PlainSink<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(PIECE).try_for_each(|piece| self.take(piece, false))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.take(b"", true)?;
        self.sink.finish()
    }

    fn name(&self) -> String {
        self.sink.name()
    }
}

/// Lines as they look when they are complete.
#[derive(Debug, Default)]
struct Lines {
    line: Zeroizing<Vec<u8>>,
    /// Whether the last byte was a carriage return: the next one says whether the line is drawn over or ends.
    returned: bool,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(&first) = bytes.first() {
            if self.returned && !matches!(first, b'\r' | b'\n') {
                self.line.clear();
                self.returned = false;
            }
            let text = memchr3(b'\n', b'\r', 0x08, bytes).unwrap_or(bytes.len());
            self.line.extend_from_slice(&bytes[..text]);
            if self.line.len() > MAX_LINE {
                out.append(&mut self.line);
            }
            match bytes.get(text) {
                Some(b'\n') => {
                    self.line.push(b'\n');
                    out.append(&mut self.line);
                    self.returned = false;
                }
                Some(b'\r') => self.returned = true,
                Some(_) => self.delete(),
                None => {}
            }
            bytes = bytes.get(text + 1..).unwrap_or_default();
        }
    }

    /// Takes back the last character.
    fn delete(&mut self) {
        while self.line.pop().is_some_and(|byte| (0x80..0xc0).contains(&byte)) {}
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallbackSink, Redaction, RedactionOptions, Secret};
    use std::sync::{Arc, Mutex};

    fn plain(plain: PlainText, text: &[u8], size: usize) -> String {
        let (redaction, _) =
            Redaction::compile([Secret::new("hunter2-prod")], &RedactionOptions::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let inner = CallbackSink::new(move |bytes: &[u8]| {
            into.lock().expect("no panic").extend_from_slice(bytes)
        });
        let mut sink = PlainSink::new(inner, plain, redaction.stream());
        text.chunks(size).for_each(|piece| sink.write(piece).expect("memory takes it"));
        sink.finish().expect("memory takes it");
        let seen = seen.lock().expect("no panic");
        String::from_utf8_lossy(&seen).into_owned()
    }

    fn check(text: &str, expect: &str) {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(plain(PlainText::FULL, text.as_bytes(), size), expect, "{text:?} by {size}");
        }
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        check("get\n 1%\r 50%\r100%\ndone\r\n", "get\n100%\ndone\n");
        check("a\r\r\nb\r", "a\nb");
        check("\r\x1b[K 10%\r\x1b[K 20%", " 20%");
        check("-\x08\\\x08|\x08/ done\n", "/ done\n");
        check("b\x08bo\x08o_\x08é\n\x08x", "boé\nx");
    }

    #[test]
    fn parts_of_a_secret_that_come_together_are_masked() {
        check("key=hun\x1b[1mter2\x1b[0m-prod;", "key=[REDACTED];");
        check("hun\x08ntXX\x08\x08er2-prod", "[REDACTED]");
    }

    #[test]
    fn a_mask_is_not_masked_again() {
        let secrets = ["REDACTED", "hunter2-prod"].map(Secret::new);
        let (live, _) = crate::LiveRedaction::compile(&secrets[1..], &RedactionOptions::default());
        let kept = crate::KeepSink::new(1000, b"");
        let mut sink = PlainSink::new(kept.clone(), PlainText::FULL, live.stream());
        sink.write(b"[REDACTED] REDACTED\n").expect("memory takes it");
        live.add(&secrets[0]);
        sink.write(b"[REDACTED] RED\x1b[1mACTED [REDACTED][REDACTED]\n").expect("memory takes it");
        sink.finish().expect("memory takes it");
        let expect = "[REDACTED] REDACTED\n[REDACTED] [REDACTED] [REDACTED][REDACTED]\n";
        assert_eq!(kept.take().text, crate::Kept::Text(expect.to_owned()));
    }

    #[test]
    fn either_alone() {
        let text = b"\x1b[1ma\rb\n";
        let only = |strip_ansi, collapse_lines| PlainText { strip_ansi, collapse_lines };
        assert_eq!(plain(only(true, false), text, 3), "a\rb\n");
        assert_eq!(plain(only(false, true), text, 3), "b\n");
        assert_eq!(plain(only(false, false), text, 3), "\x1b[1ma\rb\n");
    }

    #[test]
    fn a_line_without_end_is_not_kept_back_for_ever() {
        let text = vec![b'x'; 1_000_000];
        let mut lines = Lines::default();
        let mut out = Vec::new();
        text.chunks(1000).for_each(|piece| {
            lines.push(piece, &mut out);
            assert!(lines.line.len() <= MAX_LINE);
        });
        lines.finish(&mut out);
        assert_eq!(out.len(), text.len());
    }
}

//! Lines for readers that want whole ones, and the time before each.
//!
//! Two adapters around a sink: one hands on whole lines only, one writes a time before each line. Without them a sink
//! gets what came, when it came. The trap: a prompt is no line, so behind [`LineSink`] it waits until the next byte or
//! the end; nothing that shows output to a person belongs there.

use crate::sink::Sink;
use memchr::{memchr, memrchr};
use std::fmt;
use std::io;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Longest line that is waited for, in bytes; a longer one is handed on in parts.
const MAX_LINE: usize = 64 * 1024;

/// Hands whole lines to another sink, as many at a time as there are.
#[derive(Debug)]
pub struct LineSink<S> {
    sink: S,
    line: Vec<u8>,
}

impl<S: Sink> LineSink<S> {
    /// Hands whole lines to `sink`, and at the end what has no line end.
    pub fn new(sink: S) -> Self {
        Self { sink, line: Vec::new() }
    }
}

impl<S: Sink> Sink for LineSink<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let whole = memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        self.line.extend_from_slice(&bytes[..whole]);
        if whole > 0 || self.line.len() + bytes.len() > MAX_LINE {
            let lines = std::mem::take(&mut self.line);
            if !lines.is_empty() {
                self.sink.write(&lines)?;
            }
        }
        self.line.extend_from_slice(&bytes[whole..]);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.line);
        if !rest.is_empty() {
            self.sink.write(&rest)?;
        }
        self.sink.finish()
    }

    fn name(&self) -> String {
        self.sink.name()
    }
}

/// What a time before a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Date and time in UTC: `2026-01-31T23:59:59.123Z`.
    Utc,
    /// Seconds since the given moment: `[   12.345]`.
    Since(Instant),
}

impl fmt::Display for Stamp {
    /// The present time, with a space after it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stamp::Since(start) => write!(f, "[{:>9.3}] ", start.elapsed().as_secs_f64()),
            Stamp::Utc => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                write_utc(f, now.as_secs(), now.subsec_millis())
            }
        }
    }
}

fn write_utc(f: &mut impl fmt::Write, seconds: u64, millis: u32) -> fmt::Result {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z ")
}

/// Year, month and day of a day since 1970-01-01.
///
/// # References
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

/// Writes a time before each line, the time at which its first byte came.
#[derive(Debug)]
pub struct StampSink<S> {
    sink: S,
    stamp: Stamp,
    in_line: bool,
}

impl<S: Sink> StampSink<S> {
    /// Hands stamped lines to `sink`.
    pub fn new(sink: S, stamp: Stamp) -> Self {
        Self { sink, stamp, in_line: false }
    }
}

impl<S: Sink> Sink for StampSink<S> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let stamp = self.stamp.to_string();
        let mut out = Vec::with_capacity(bytes.len() + stamp.len());
        while !bytes.is_empty() {
            if !self.in_line {
                out.extend_from_slice(stamp.as_bytes());
            }
            let end = memchr(b'\n', bytes);
            let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            out.extend_from_slice(line);
            self.in_line = end.is_none();
            bytes = rest;
        }
        self.sink.write(&out)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish()
    }

    fn name(&self) -> String {
        self.sink.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers each write.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Sink for &mut Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        }
    }

    fn check(pieces: &[&str], expect: &[&str]) {
        let mut writes = Writes::default();
        let mut sink = LineSink::new(&mut writes);
        pieces.iter().for_each(|piece| sink.write(piece.as_bytes()).expect("memory takes it"));
        sink.finish().expect("memory takes it");
        assert_eq!(writes.0, expect);
    }

    #[test]
    fn whole_lines() {
        check(&["a", "b\nc", "d\ne\nf"], &["ab\n", "cd\ne\n", "f"]);
        check(&["", "\n", ""], &["\n"]);
        let long = "x".repeat(MAX_LINE);
        check(&[&long, "y", "z\n"], &[&long, "yz\n"]);
    }

    #[test]
    fn a_time_before_each_line() {
        let mut writes = Writes::default();
        let mut sink = StampSink::new(&mut writes, Stamp::Since(Instant::now()));
        for piece in ["a\nb", "c\n", "d"] {
            sink.write(piece.as_bytes()).expect("memory takes it");
        }
        let all = writes.0.concat();
        let lines: Vec<_> = all.lines().map(|line| line.split_at(12)).collect();
        assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), ["a", "bc", "d"]);
        assert!(lines.iter().all(|(time, _)| time.starts_with('[') && time.ends_with("] ")));
    }

    #[test]
    fn dates() {
        let check = |seconds: u64, expect: &str| {
            let mut text = String::new();
            write_utc(&mut text, seconds, 7).expect("a text takes it");
            assert_eq!(text, format!("{expect}.007Z "));
        };
        check(0, "1970-01-01T00:00:00");
        check(951_782_399, "2000-02-28T23:59:59");
        check(951_782_400, "2000-02-29T00:00:00");
        check(4_107_542_400, "2100-03-01T00:00:00");
        check(1_798_761_599, "2026-12-31T23:59:59");
    }
}

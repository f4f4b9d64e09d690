//! A run's output with its times, in a file, and the way back.
//!
//! Two formats. JSON Lines for a run with two streams: a header and then one object a line,
//!
//! ```text
//! {"transcript":1,"started_ms":1769904000000,"title":"cargo test"}
//! {"t":0.000312,"stream":"stdout","text":"running 3 tests\n"}
//! {"t":0.104850,"stream":"stderr","base64":"/w=="}
//! {"t":0.200000,"mark":"timed out"}
//! ```
//!
//! where `t` is in seconds since the start, and what is not UTF-8 is base64. For a terminal [asciicast v2], which
//! players and web pages know: it has one stream and text only, so bytes that are no text become U+FFFD. The reader
//! takes both, and version 3, which newer recorders write.
//!
//! A line is written at once and as it happens. When the writer dies, at most the last line is torn, and the reader
//! stops before it. The trap: what is played back to a terminal is obeyed by the terminal, as it was the first time.
//!
//! [asciicast v2]: https://docs.asciinema.org/manual/asciicast/v2/

mod play;
mod read;
mod write;

pub use play::{PlayError, Playback, play};
pub use read::{Entry, Event, Header, ReadError, Reader};
pub use write::{Format, Transcript};

#[cfg(test)]
mod tests;

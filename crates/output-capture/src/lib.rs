//! A command's output: captured, redacted, bounded, delivered.
//!
//! Bytes come in from a pipe and go out to sinks; on the way every secret is replaced by a mask and what is kept
//! of the stream is bounded. There are two halves, and each is of use without the other:
//!
//! * [`Redaction`] and [`Redactor`]: bytes in, bytes out, exact at every chunking. A redactor holds back only what
//!   may be the beginning of a secret, so a prompt leaves at once, and it needs the memory of the longest secret.
//!   [`LiveRedaction`] takes further secrets while its streams are on.
//! * [`pump()`]: reads a pipe or a terminal until its end (or until a [`StopToken`] says so), never stops reading
//!   because a sink failed or a cap was reached, and says in a [`StreamReport`] what came, what was kept and what was
//!   lost.
//!
//! Everything else is a [`Sink`] that a pump is given, and sinks go around each other: files with a cap
//! ([`FileSink`]) or that change when they are full ([`RotatingSink`]), both streams in one order ([`Combined`]),
//! a part of the text in memory ([`KeepSink`]), viewers that
//! may be slow ([`Broadcast`]), whole lines ([`LineSink`]), times ([`StampSink`]), text without control
//! sequences and progress bars ([`PlainSink`]), and recordings that can be played back ([`transcript`]).
//!
//! The crate knows nothing of processes, configuration or terminals: who reads what, and for how long, is the
//! caller's business.
//!
//! The one trap: redaction is a net, not a wall. A value that the command has encrypted, compressed, spelled
//! backwards or written letter by letter passes. The forms that are caught are listed at [`Encoding`].
//!
//! ```
//! use ringfence_output_capture::{Redaction, RedactionOptions, Secret};
//!
//! let (redaction, warnings) = Redaction::compile([Secret::new("hunter2-prod")], &RedactionOptions::default());
//! assert!(warnings.is_empty());
//! let mut redactor = redaction.stream();
//! let mut out = Vec::new();
//! redactor.push(b"key=hunt", &mut out);
//! assert_eq!(out, b"key=");
//! redactor.push(b"er2-prod;", &mut out);
//! redactor.finish(&mut out);
//! assert_eq!(out, b"key=[REDACTED];");
//! ```

#![forbid(unsafe_code)]

mod activity;
mod ansi;
mod automaton;
mod broadcast;
mod combined;
mod detect;
mod forms;
mod hits;
mod holders;
mod keep;
mod keeper;
mod lines;
mod live;
mod options;
mod pieces;
mod pipe;
mod plain;
mod prefilter;
mod pump;
mod redactor;
mod report;
mod rotate;
mod scanner;
mod secret;
mod sink;
mod stop;
mod stream;
pub mod transcript;

pub use activity::Activity;
pub use broadcast::{Broadcast, Seen, Since, Viewer};
pub use combined::{Combined, CombinedReport};
pub use detect::{Detector, UnknownDetector};
pub use keeper::{KeepSink, KeptPart};
pub use lines::{LineSink, Stamp, StampSink};
pub use live::LiveRedaction;
pub use options::{
    CustomPattern, Encoding, Multiline, PatternError, RedactionOptions, RedactionWarning,
    UnknownEncoding, is_key_name,
};
pub use pieces::{Channel, Piece};
pub use pipe::enlarge;
pub use plain::{PlainSink, PlainText};
pub use pump::{Observer, PumpOptions, pump};
pub use redactor::{Redaction, Redactor};
pub use report::{Kept, SinkFailure, StreamReport};
pub use rotate::RotatingSink;
pub use secret::Secret;
pub use sink::{CallbackSink, CappedSink, FdSink, FileSink, Sink, WriterSink};
pub use stop::StopToken;

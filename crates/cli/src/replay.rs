//! `ringfence replay`: shows a transcript as it was.
//!
//! The streams go to this process's own. A transcript that ends in the middle of a line was left by a writer that died; what
//! is before that is played, and the rest is told of.

use crate::args::ReplayArgs;
use crate::exit::Status;
use crate::failure::Failure;
use crate::message::{self, Level};
use ringfence::output_capture::Channel;
use ringfence::output_capture::transcript::{Entry, Event, PlayError, Playback, Reader, play};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

/// Plays the transcript.
pub(crate) fn replay(args: &ReplayArgs) -> Result<Status, Failure> {
    let file = File::open(&args.file).map_err(|source| Failure::Open {
        flag: "replay",
        path: args.file.clone(),
        source,
    })?;
    let wrong = |source| Failure::Transcript { path: args.file.clone(), source };
    let mut transcript = Reader::new(BufReader::new(file)).map_err(wrong)?;
    let playback = Playback { speed: args.speed, max_idle: args.idle_limit };
    play(&mut transcript, &playback, std::thread::sleep, show)
        .map_err(|error| failure(error, &args.file))?;
    if transcript.is_torn() {
        message::warning(Level::Normal, "the transcript ends in the middle of a line");
    }
    Ok(Status::SUCCESS)
}

fn show(entry: &Entry) -> io::Result<()> {
    match &entry.event {
        Event::Output { channel: Channel::Stdout, bytes } => write(io::stdout().lock(), bytes),
        Event::Output { channel: Channel::Stderr, bytes } => write(io::stderr().lock(), bytes),
        // Sizes are those of another terminal, and marks are for readers of the file.
        _ => Ok(()),
    }
}

fn write(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

fn failure(error: PlayError, path: &Path) -> Failure {
    match error {
        PlayError::Show(source) => Failure::Print(source),
        PlayError::Read(source) => Failure::Transcript { path: path.to_owned(), source },
        _ => Failure::Print(io::ErrorKind::Other.into()),
    }
}

//! The events file: one JSON object a line, as they happen.

use crate::failure::Failure;
use crate::message::{self, Level};
use ringfence::Event;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes events, or nothing when no file was asked for.
pub(crate) struct EventLog {
    target: Option<(File, PathBuf)>,
    failure: Option<Failure>,
}

impl EventLog {
    /// Writes nothing.
    pub(crate) fn none() -> EventLog {
        EventLog { target: None, failure: None }
    }

    /// Creates or empties the file.
    pub(crate) fn create(path: Option<&Path>) -> Result<EventLog, Failure> {
        let open = |path: &Path| match File::create(path) {
            Ok(file) => Ok((file, path.to_owned())),
            Err(source) => Err(Failure::Open { flag: "--events", path: path.to_owned(), source }),
        };
        Ok(EventLog { target: path.map(open).transpose()?, ..EventLog::none() })
    }

    /// Writes one event. After a failure nothing more is written, so only the last line can be torn.
    pub(crate) fn write(&mut self, event: &Event) {
        let Some((file, path)) = &mut self.target else { return };
        if let Err(source) = write_line(file, event) {
            self.failure = Some(Failure::Write { path: path.clone(), source });
            self.target = None;
        }
    }

    /// Says what went wrong while writing, if anything. The run went on, so its exit status stands.
    pub(crate) fn tell_failure(self, level: Level) {
        if let Some(failure) = self.failure {
            let why = message::with_causes(&failure);
            message::warning(level, &format!("{why}; the events from there on are lost"));
        }
    }
}

fn write_line(file: &mut File, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}

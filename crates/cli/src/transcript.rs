//! The recording of a run that `--transcript` asks for.
//!
//! It is written as the output comes, redacted, and is not made plain: it is what a terminal would have been shown. At the end
//! stands how the command ended.

use crate::failure::Failure;
use ringfence::executor::Prepared;
use ringfence::output_capture::Channel;
use ringfence::output_capture::transcript::{Format, Transcript};
use ringfence::{Outcome, RunBuilder, TerminalSize};
use std::fs::File;
use std::path::Path;

/// Largest transcript when the config gives files no size: an hour of a busy terminal.
const MAX_SIZE: u64 = 64 << 20;

/// A recording, or none.
pub(crate) struct Recording(Option<Transcript>);

impl Recording {
    /// Begins a recording at `path`; one of a terminal is for other players too.
    pub(crate) fn begin(
        path: Option<&Path>,
        terminal: Option<TerminalSize>,
        prepared: &Prepared,
        title: &[u8],
    ) -> Result<Recording, Failure> {
        let Some(path) = path else { return Ok(Recording(None)) };
        let format = terminal.map_or(Format::JsonLines, |size| Format::Asciicast {
            columns: size.columns,
            rows: size.rows,
        });
        let flag = "--transcript";
        let open = |source| Failure::Open { flag, path: path.to_owned(), source };
        let file = File::create(path).map_err(open)?;
        let most = prepared.output().max_file.unwrap_or(MAX_SIZE);
        let title = prepared.redact(title);
        let failed = |source| Failure::Write { path: path.to_owned(), source };
        let begun = Transcript::begin(file, format, Some(&title), Some(most)).map_err(failed)?;
        Ok(Recording(Some(begun)))
    }

    /// Records the streams of a run.
    pub(crate) fn of(&self, run: RunBuilder) -> RunBuilder {
        match &self.0 {
            Some(transcript) => run
                .stdout(transcript.sink(Channel::Stdout))
                .stderr(transcript.sink(Channel::Stderr)),
            None => run,
        }
    }

    /// Records that the terminal has another size. A recording that fails is told of as a sink is.
    pub(crate) fn resize(&self, size: TerminalSize) {
        if let Some(transcript) = &self.0 {
            drop(transcript.resize(size.columns, size.rows));
        }
    }

    /// Records how the command ended.
    pub(crate) fn end(&self, outcome: &Outcome) {
        let Some(transcript) = &self.0 else { return };
        let how = match (outcome.exit_code, outcome.signal) {
            (Some(code), _) => format!("exited {code}"),
            (None, Some(signal)) => format!("ended by signal {signal}"),
            (None, None) => "did not run".to_owned(),
        };
        drop(transcript.mark(&how));
    }
}

//! Where the command's streams go: files, or this process's own.

use crate::failure::Failure;
use ringfence::config::Timestamps;
use ringfence::executor::Prepared;
use ringfence::output_capture::{
    FdSink, FileSink, PlainSink, PlainText, RotatingSink, Stamp, StampSink,
};
use ringfence::{RunBuilder, Sink};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// The destinations the arguments name.
pub(crate) struct Destinations<'a> {
    pub(crate) stdout: Option<&'a Path>,
    pub(crate) stderr: Option<&'a Path>,
    /// Whether what goes to no file goes to this process's own streams.
    pub(crate) own: bool,
}

impl Destinations<'_> {
    /// Adds the sinks to a run. `closed` is notified when a reader of this process's own streams has gone away.
    pub(crate) fn apply(
        &self,
        mut run: RunBuilder,
        prepared: &Prepared,
        closed: &Arc<Notify>,
    ) -> Result<RunBuilder, Failure> {
        match self.stdout {
            Some(path) => run = run.stdout(file("--stdout", path, prepared)?),
            None if self.own => run = run.stdout(own("stdout", io::stdout(), closed)?),
            None => {}
        }
        match self.stderr {
            Some(path) => run = run.stderr(file("--stderr", path, prepared)?),
            None if self.own => run = run.stderr(own("stderr", io::stderr(), closed)?),
            None => {}
        }
        Ok(run)
    }
}

/// A file as the config wants it: what is taken out, then the time, then the bounds.
fn file(flag: &'static str, path: &Path, prepared: &Prepared) -> Result<Box<dyn Sink>, Failure> {
    let file = bounded(path, prepared).map_err(|source| {
        let path = path.to_owned();
        Failure::Open { flag, path, source }
    })?;
    let stamp = match prepared.output().timestamps {
        Timestamps::None => None,
        Timestamps::Utc => Some(Stamp::Utc),
        Timestamps::Elapsed => Some(Stamp::Since(Instant::now())),
    };
    let file = match stamp {
        Some(stamp) => Box::new(StampSink::new(file, stamp)),
        None => file,
    };
    Ok(match prepared.plain_text() {
        PlainText { strip_ansi: false, collapse_lines: false } => file,
        plain => Box::new(PlainSink::new(file, plain, prepared.redactor())),
    })
}

fn bounded(path: &Path, prepared: &Prepared) -> io::Result<Box<dyn Sink>> {
    let (output, mask) = (prepared.output(), prepared.mask());
    let size = output.max_file.unwrap_or(prepared.profile().max_output);
    Ok(match output.rotate_files {
        0 => Box::new(FileSink::create(path, Some(size), mask)?),
        old => Box::new(RotatingSink::create(path, size, old, mask)?),
    })
}

/// A copy of the descriptor, past the buffer of the standard library.
fn own(name: &'static str, stream: impl AsFd, closed: &Arc<Notify>) -> Result<OwnStream, Failure> {
    let descriptor = stream.as_fd().try_clone_to_owned().map_err(Failure::Print)?;
    Ok(OwnStream { sink: FdSink::new(name, File::from(descriptor)), closed: Arc::clone(closed) })
}

/// This process's own stream; tells when its reader has gone away.
struct OwnStream {
    sink: FdSink<File>,
    closed: Arc<Notify>,
}

impl Sink for OwnStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.sink.write(bytes);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.closed.notify_one();
        }
        result
    }

    fn name(&self) -> String {
        self.sink.name()
    }

    fn undelivered(&self) -> Option<u64> {
        self.sink.undelivered()
    }
}

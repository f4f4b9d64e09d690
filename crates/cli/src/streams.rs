//! Where the command's streams go: files, or this process's own.

use crate::failure::Failure;
use ringfence::output_capture::{FdSink, FileSink};
use ringfence::{RunBuilder, Sink};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;

/// How much a file keeps, and what stands for a secret where it is cut.
pub(crate) struct FileLimits<'a> {
    pub(crate) max_output: u64,
    pub(crate) mask: &'a [u8],
}

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
        limits: &FileLimits<'_>,
        closed: &Arc<Notify>,
    ) -> Result<RunBuilder, Failure> {
        match self.stdout {
            Some(path) => run = run.stdout(file("--stdout", path, limits)?),
            None if self.own => run = run.stdout(own("stdout", io::stdout(), closed)?),
            None => {}
        }
        match self.stderr {
            Some(path) => run = run.stderr(file("--stderr", path, limits)?),
            None if self.own => run = run.stderr(own("stderr", io::stderr(), closed)?),
            None => {}
        }
        Ok(run)
    }
}

fn file(flag: &'static str, path: &Path, limits: &FileLimits<'_>) -> Result<FileSink, Failure> {
    let open = |source| Failure::Open { flag, path: path.to_owned(), source };
    FileSink::create(path, Some(limits.max_output), limits.mask).map_err(open)
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
}

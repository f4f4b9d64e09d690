//! Where the command's streams go: files, or this process's own.

use crate::failure::Failure;
use ringfence::config::Timestamps;
use ringfence::executor::Prepared;
use ringfence::output_capture::{
    FdSink, FileSink, PlainSink, PlainText, RotatingSink, Stamp, StampSink, StopToken,
};
use ringfence::{RunBuilder, Sink};
use rustix::fs::{FileType, OFlags, fstat};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
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
    /// Adds the sinks to a run.
    pub(crate) fn apply(
        &self,
        mut run: RunBuilder,
        prepared: &Prepared,
        readers: &Readers,
    ) -> Result<RunBuilder, Failure> {
        match self.stdout {
            Some(path) => run = run.stdout(file("--stdout", path, prepared)?),
            None if self.own => run = run.stdout(own("stdout", io::stdout(), readers)?),
            None => {}
        }
        match self.stderr {
            Some(path) => run = run.stderr(file("--stderr", path, prepared)?),
            None if self.own => run = run.stderr(own("stderr", io::stderr(), readers)?),
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

/// What this process's own streams tell the run, and are told.
pub(crate) struct Readers {
    /// Notified when a reader has gone away.
    pub(crate) gone: Arc<Notify>,
    /// Used when a reader that does not read is waited for no longer.
    pub(crate) given_up: StopToken,
}

/// A copy of the descriptor, past the buffer of the standard library.
fn own(name: &'static str, stream: impl AsFd, readers: &Readers) -> Result<OwnStream, Failure> {
    let file = match unblocked(&stream) {
        Some(file) => file,
        None => File::from(stream.as_fd().try_clone_to_owned().map_err(Failure::Print)?),
    };
    let sink = FdSink::new(name, file).until(readers.given_up.clone());
    Ok(OwnStream { sink, closed: Arc::clone(&readers.gone) })
}

/// The same pipe opened anew, so that a full one can be given up; the descriptor itself stays as it is, since other
/// programs have it too. `None` for all that is no pipe, and where it cannot be opened.
fn unblocked(stream: &impl AsFd) -> Option<File> {
    let kind = FileType::from_raw_mode(fstat(stream).ok()?.st_mode);
    let path = format!("/proc/self/fd/{}", stream.as_fd().as_raw_fd());
    let open = || OpenOptions::new().write(true).custom_flags(NONBLOCK).open(path);
    (kind == FileType::Fifo).then(open)?.ok()
}

#[expect(clippy::cast_possible_wrap, reason = "flags are small")]
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

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

//! The command's standard input, opened on the caller's side.
//!
//! The trap: a descriptor of a directory is a door out of the sandbox (`openat(0, "..")`), so a
//! directory is refused, inherited or named.

use std::fs::File;
use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::net::unix::pipe::Sender;
use tokio::task::JoinHandle;

use crate::error::{RunError, StdinSource};
use crate::request::Stdin;

/// An opened standard input, and what still has to be written to it.
pub(crate) struct Opened {
    pub(crate) fd: OwnedFd,
    pub(crate) rest: Option<Rest>,
}

/// Bytes that did not fit into the pipe at once.
pub(crate) struct Rest {
    pipe: PipeWriter,
    bytes: Vec<u8>,
    written: usize,
}

pub(crate) fn open(stdin: Stdin) -> Result<Opened, RunError> {
    let whole = |fd| Opened { fd, rest: None };
    match stdin {
        Stdin::Null => {
            let null = File::open("/dev/null");
            null.map(|file| whole(file.into())).map_err(cannot_open(StdinSource::Null))
        }
        Stdin::Inherit => {
            let fd = io::stdin().as_fd().try_clone_to_owned();
            let fd = fd.map_err(cannot_open(StdinSource::Inherited))?;
            no_directory(fd, StdinSource::Inherited).map(whole)
        }
        Stdin::File(path) => {
            let file = open_file(&path).map_err(cannot_open(StdinSource::File(path.clone())))?;
            no_directory(file.into(), StdinSource::File(path)).map(whole)
        }
        Stdin::Bytes(bytes) => feed(bytes).map_err(cannot_open(StdinSource::Bytes)),
    }
}

/// Opened without waiting for a writer, were it a FIFO; the command then reads it as any other.
fn open_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    set_nonblocking(&file, false)?;
    Ok(file)
}

fn no_directory(fd: OwnedFd, from: StdinSource) -> Result<OwnedFd, RunError> {
    let file = File::from(fd);
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(RunError::StdinDirectory { from }),
        Ok(_) => Ok(file.into()),
        Err(source) => Err(RunError::Stdin { from, source }),
    }
}

/// A pipe that holds as much of `bytes` as fits; mostly that is all, and nobody has to wait.
fn feed(bytes: Vec<u8>) -> io::Result<Opened> {
    let (reader, mut pipe) = io::pipe()?;
    set_nonblocking(&pipe, true)?;
    let mut written = 0;
    while written < bytes.len() {
        match pipe.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let rest = (written < bytes.len()).then(|| Rest { pipe, bytes, written });
    Ok(Opened { fd: reader.into(), rest })
}

/// The task that feeds a command's standard input. Ends with this handle.
#[derive(Debug)]
pub(crate) struct Feeding(JoinHandle<io::Result<()>>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Rest {
    /// Writes what is left in a task of its own. That the command reads no more is its own affair
    /// and no error of the run.
    pub(crate) fn feed(self) -> Feeding {
        Feeding(tokio::spawn(self.write()))
    }

    /// Writes what is left as the command reads it. Ends early when the command reads no more.
    async fn write(self) -> io::Result<()> {
        let pipe = Sender::from_owned_fd(self.pipe.into())?;
        let mut written = self.written;
        while written < self.bytes.len() {
            pipe.writable().await?;
            match pipe.try_write(&self.bytes[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn set_nonblocking(fd: &impl AsFd, nonblocking: bool) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    let flags = if nonblocking { flags | OFlag::O_NONBLOCK } else { flags & !OFlag::O_NONBLOCK };
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags))?;
    Ok(())
}

fn cannot_open(from: StdinSource) -> impl FnOnce(io::Error) -> RunError {
    |source| RunError::Stdin { from, source }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn read_all(opened: Opened) -> Vec<u8> {
        let mut bytes = Vec::new();
        File::from(opened.fd).read_to_end(&mut bytes).expect("because the other end is closed");
        bytes
    }

    fn opened(stdin: Stdin) -> Opened {
        open(stdin).expect("because this input exists")
    }

    #[test]
    fn null_and_files_and_few_bytes_need_no_writer() {
        assert_eq!(read_all(opened(Stdin::Null)), b"");
        assert_eq!(read_all(opened(Stdin::Bytes(b"abc".to_vec()))), b"abc");
        assert_eq!(read_all(opened(Stdin::Bytes(Vec::new()))), b"");
        let mut file = tempfile::NamedTempFile::new().expect("because /tmp is writable");
        file.write_all(b"from a file").expect("because the disk has room");
        assert_eq!(read_all(opened(Stdin::File(file.path().into()))), b"from a file");
    }

    #[test]
    fn a_fifo_without_a_writer_does_not_hold_up_the_start() {
        let dir = tempfile::tempdir().expect("because /tmp is writable");
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("because it is new");
        assert_eq!(read_all(opened(Stdin::File(path))), b"");
    }

    #[tokio::test]
    async fn many_bytes_are_written_as_they_are_read() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let mut opened = opened(Stdin::Bytes(bytes.clone()));
        let rest = opened.rest.take().expect("because no pipe holds this much");
        let reader = tokio::task::spawn_blocking(move || read_all(opened));
        rest.write().await.expect("because the reader reads to the end");
        assert!(reader.await.expect("because the reader does not panic") == bytes);
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let check = |stdin: Stdin, expect: &str| {
            let error = open(stdin).err().expect("because this input is none");
            assert_eq!(error.to_string(), expect);
        };
        check(Stdin::File("/nope".into()), "failed to open standard input `/nope`");
        check(Stdin::File("/".into()), "standard input `/` is a directory");
    }
}

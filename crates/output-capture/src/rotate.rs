//! A file that is never larger than so much: full ones are put aside, the oldest is deleted.
//!
//! `name` is the present file, `name.1` the one before, and so on. Files change at a line end where there is one, and
//! never inside a character or a mask. The directory is opened once and new files are made only where nothing is, so a
//! command that can write there cannot have another file written by a link. The trap: a reader that follows the present
//! file has to open it anew when it changes, as with any rotated log.

use crate::keep::clean_end;
use crate::sink::Sink;
use memchr::memrchr;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Writes to a file and to its successors.
#[derive(Debug)]
pub struct RotatingSink {
    directory: OwnedFd,
    name: OsString,
    /// What it calls itself in a report.
    path: String,
    mask: Vec<u8>,
    max_size: u64,
    old_files: u32,
    file: File,
    size: u64,
}

impl RotatingSink {
    /// Begins with a new file at `path`, of at most `max_size` bytes, and keeps `old_files` of those before. A file that
    /// is at `path` already is the first to be put aside.
    ///
    /// # Errors
    /// When the directory cannot be opened or the file cannot be made.
    pub fn create(
        path: impl AsRef<Path>,
        max_size: u64,
        old_files: u32,
        mask: &[u8],
    ) -> io::Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
        let directory = nix::fcntl::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())?;
        put_aside(&directory, &name, old_files)?;
        let file = new_file(&directory, &name)?;
        let (path, mask) = (path.display().to_string(), mask.to_vec());
        let max_size = max_size.max(1);
        Ok(Self { directory, name, path, mask, max_size, old_files, file, size: 0 })
    }

    /// How many of `bytes` go into the present file.
    fn fitting(&self, bytes: &[u8]) -> usize {
        let room = usize::try_from(self.max_size - self.size).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return bytes.len();
        }
        match memrchr(b'\n', &bytes[..room]) {
            Some(line_end) => line_end + 1,
            // The rest of the line begins the next file, unless it is longer than one.
            None if self.size > 0 && bytes.len() <= self.whole_file() => 0,
            None => match clean_end(&bytes[..room], &self.mask) {
                0 if self.size == 0 => room,
                end => end,
            },
        }
    }

    fn whole_file(&self) -> usize {
        usize::try_from(self.max_size).unwrap_or(usize::MAX)
    }
}

impl Sink for RotatingSink {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let (now, later) = bytes.split_at(self.fitting(bytes));
            self.file.write_all(now)?;
            self.size += now.len() as u64;
            if later.is_empty() {
                return Ok(());
            }
            put_aside(&self.directory, &self.name, self.old_files)?;
            self.file = new_file(&self.directory, &self.name)?;
            (self.size, bytes) = (0, later);
        }
    }

    fn name(&self) -> String {
        self.path.clone()
    }
}

/// Makes place for a new file.
fn put_aside(directory: &OwnedFd, name: &OsStr, old_files: u32) -> io::Result<()> {
    let old = |number: u32| match number {
        0 => name.to_owned(),
        _ => [name, OsStr::new(&format!(".{number}"))].concat_os(),
    };
    let missing_is_fine = |result: nix::Result<()>| match result {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(io::Error::from(errno)),
    };
    let oldest = old(old_files);
    missing_is_fine(unlinkat(directory, oldest.as_os_str(), UnlinkatFlags::NoRemoveDir))?;
    for number in (0..old_files).rev() {
        let (from, to) = (old(number), old(number + 1));
        missing_is_fine(renameat(directory, from.as_os_str(), directory, to.as_os_str()))?;
    }
    Ok(())
}

fn new_file(directory: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    Ok(openat(directory, name, flags, Mode::from_bits_truncate(0o666))?.into())
}

trait ConcatOs {
    fn concat_os(self) -> OsString;
}

impl ConcatOs for [&OsStr; 2] {
    fn concat_os(self) -> OsString {
        let mut all = self[0].to_owned();
        all.push(self[1]);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(max: u64, old: u32, pieces: &[&str], expect: &[&str]) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut sink = RotatingSink::create(&path, max, old, b"[MASK]").expect("a file");
        pieces.iter().for_each(|piece| sink.write(piece.as_bytes()).expect("written"));
        sink.finish().expect("finished");
        let name = |number| match number {
            0 => path.clone(),
            _ => path.with_file_name(format!("log.{number}")),
        };
        let files = (0..).map_while(|number| std::fs::read_to_string(name(number)).ok());
        assert_eq!(files.collect::<Vec<_>>(), expect, "{pieces:?}");
    }

    #[test]
    fn files_change_at_line_ends() {
        check(10, 2, &["a\nb\n", "c\n"], &["a\nb\nc\n"]);
        check(10, 2, &["12345\n", "67890\n"], &["67890\n", "12345\n"]);
        check(6, 1, &["1\n2\n3\n4\n5\n6\n7\n"], &["7\n", "4\n5\n6\n"]);
        check(6, 0, &["1\n2\n3\n4\n5\n6\n7\n"], &["7\n"]);
    }

    #[test]
    fn long_lines_are_cut_at_whole_characters_and_masks() {
        check(7, 5, &["abcdefäghij"], &["äghij", "abcdef"]);
        check(8, 5, &["abcde[MASK]fg"], &["[MASK]fg", "abcde"]);
        check(3, 9, &["[MASK]"], &["SK]", "[MA"]);
    }

    #[test]
    fn a_link_is_put_aside_and_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (target, path) = (directory.path().join("target"), directory.path().join("log"));
        std::fs::write(&target, "kept").expect("written");
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        let mut sink = RotatingSink::create(&path, 4, 1, b"*").expect("a file");
        sink.write(b"1234").expect("written");
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink(&target, &path).expect("linked");
        sink.write(b"5678").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "5678");
        assert_eq!(std::fs::read_to_string(&target).expect("a file"), "kept");
    }
}

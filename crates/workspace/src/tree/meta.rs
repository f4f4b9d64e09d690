//! What stat(2) says, in the same types on every Unix.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Stat, fstat};
use rustix::io;

/// What kind of thing lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, never followed.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A device.
    Device,
}

impl FileKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
        }
    }
}

/// Seconds and nanoseconds since 1970.
pub(crate) type Moment = (i64, u32);

/// The parts of `struct stat` that are used here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) kind: FileKind,
    /// Permission bits, set-user-ID and the like included: `07777`.
    pub(crate) mode: u32,
    /// Bytes.
    pub(crate) size: u64,
    /// Blocks of 512 bytes that are in use; 0 for a file that is one hole.
    pub(crate) blocks: u64,
    pub(crate) identity: Identity,
    pub(crate) links: u64,
    pub(crate) owner: u32,
    /// Device number of a device, 0 for overlayfs' mark of a deleted name.
    pub(crate) device: u64,
    pub(crate) modified: Moment,
    pub(crate) changed: Moment,
}

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity(pub(crate) u64, pub(crate) u64);

impl Meta {
    /// Of an open file.
    pub(crate) fn of(fd: impl AsFd) -> io::Result<Meta> {
        fstat(fd).map(|stat| Meta::from(&stat))
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the types of these fields differ from one Unix to the other"
)]
impl From<&Stat> for Meta {
    fn from(stat: &Stat) -> Meta {
        Meta {
            kind: kind(FileType::from_raw_mode(stat.st_mode)),
            mode: stat.st_mode as u32 & 0o7777,
            size: stat.st_size as u64,
            blocks: stat.st_blocks as u64,
            identity: Identity(stat.st_dev as u64, stat.st_ino as u64),
            links: stat.st_nlink as u64,
            owner: stat.st_uid,
            device: stat.st_rdev as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }
}

fn kind(found: FileType) -> FileKind {
    match found {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        _ => FileKind::Device,
    }
}

//! An open directory, and what can be done with the names in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, mkdirat, openat, statat, unlinkat};
use rustix::io::{self, Errno};
use rustix::path::Arg;
use rustix::process::geteuid;

use super::{Meta, platform};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// The mode to set again when it is closed.
    relock: Option<u32>,
}

impl Dir {
    /// The directory at an absolute path without symbolic links, or below another directory.
    pub(crate) fn open(path: &Path) -> io::Result<Dir> {
        Dir::from(platform::open_directory(CWD, path))
    }

    /// The directory at an absolute path of the user's own, links in it followed.
    pub(crate) fn open_trusted(path: &Path) -> io::Result<Dir> {
        let flags = platform::DIRECTORY.difference(OFlags::NOFOLLOW);
        Dir::from(openat(CWD, path, flags, Mode::empty()))
    }

    /// The directory at a relative path that stays below this one; the empty path is this one.
    pub(crate) fn descend(&self, path: &Path) -> io::Result<Dir> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Dir::from(platform::open_directory(self.as_fd(), path))
    }

    /// The directory of that name, which is no symbolic link.
    pub(crate) fn child(&self, name: impl Arg) -> io::Result<Dir> {
        Dir::from(openat(self, name, platform::DIRECTORY, Mode::empty()))
    }

    /// The directory of that name, opened up for its owner until it is closed.
    pub(crate) fn unlocked_child(&self, name: &OsStr, meta: &Meta) -> io::Result<Dir> {
        if !is_locked(meta, 0o700) {
            return self.child(name);
        }
        self.chmod(name, meta.mode | 0o700)?;
        let opened = self.child(name);
        let mut child = opened.inspect_err(|_| {
            let _ = self.chmod(name, meta.mode);
        })?;
        child.relock = Some(meta.mode);
        Ok(child)
    }

    /// The same without the lock that would be set again.
    pub(crate) fn stay_unlocked(&mut self) {
        self.relock = None;
    }

    fn from(opened: io::Result<OwnedFd>) -> io::Result<Dir> {
        opened.map(|fd| Dir { fd, relock: None })
    }

    /// What lies at `name`; `None` when nothing does.
    pub(crate) fn meta(&self, name: impl Arg) -> io::Result<Option<Meta>> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::from(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All names, sorted.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(self)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A regular file for reading; with its `meta` given, one that keeps its owner out, too.
    pub(crate) fn open_file(&self, name: &OsStr, meta: Option<&Meta>) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || openat(self, name, flags, Mode::empty()).map(File::from);
        match (open(), meta) {
            (Err(Errno::ACCESS), Some(meta)) if is_locked(meta, 0o400) => {
                self.chmod(name, meta.mode | 0o400)?;
                let opened = open();
                self.chmod(name, meta.mode)?;
                opened
            }
            (opened, _) => opened,
        }
    }

    /// A new file for writing, its owner's only.
    pub(crate) fn create_file(&self, name: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self, name, flags, Mode::from_raw_mode(0o600)).map(File::from)
    }

    /// A new directory, its owner's only.
    pub(crate) fn make_dir(&self, name: &OsStr) -> io::Result<Dir> {
        mkdirat(self, name, Mode::from_raw_mode(0o700))?;
        self.child(name)
    }

    /// The directory of that name, made when there is none.
    pub(crate) fn child_or_new(&self, name: &OsStr) -> io::Result<Dir> {
        match mkdirat(self, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => self.child(name),
            Err(error) => Err(error),
        }
    }

    /// Sets the permission bits of what lies at `name`, which must be no symbolic link.
    pub(crate) fn chmod(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        platform::chmod(self, name, mode)
    }

    /// Sets the permission bits of this directory.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        fchmod(self, Mode::from_raw_mode(mode as _))
    }

    /// The text of a symbolic link.
    pub(crate) fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        let text = rustix::fs::readlinkat(self, name, Vec::new())?;
        Ok(OsStr::from_bytes(text.as_bytes()).to_owned())
    }

    /// Removes anything but a directory.
    pub(crate) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(self, name, AtFlags::empty())
    }

    /// Removes an empty directory.
    pub(crate) fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        unlinkat(self, name, AtFlags::REMOVEDIR)
    }

    /// Does something that changes this directory, which its owner may have to be let into.
    pub(crate) fn writing<T>(&self, change: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match change() {
            Err(Errno::ACCESS) => {
                let meta = Meta::of(self)?;
                if !is_locked(&meta, 0o700) {
                    return Err(Errno::ACCESS);
                }
                self.set_mode(meta.mode | 0o700)?;
                let changed = change();
                self.set_mode(meta.mode)?;
                changed
            }
            done => done,
        }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(mode) = self.relock {
            // The directory may be gone by now, which is as good.
            let _ = self.set_mode(mode);
        }
    }
}

/// Whether an owner who is not root lacks one of `bits`, and could give them to itself.
fn is_locked(meta: &Meta, bits: u32) -> bool {
    meta.mode & bits != bits && meta.owner == geteuid().as_raw() && !geteuid().is_root()
}

/// Whether an error says that there is nothing at the path any more.
pub(crate) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

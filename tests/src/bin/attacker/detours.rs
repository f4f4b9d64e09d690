//! Ways to a file that must not be changed, or not be read, which move something on the way aside.

use std::fs;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::sys::{call, open, text};
use crate::{Attempt, Probe, arg, denied};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("aside", aside),
    ("aside-link", aside_link),
    ("rename-read", rename_read),
    ("exchange-read", exchange_read),
    ("link-read", link_read),
    ("handle-read", handle_read),
    ("replace", replace),
    ("replace-parent", replace_parent),
    ("mmap-write", mmap_write),
    ("unlink-anyhow", unlink_anyhow),
];

/// Moves a directory away and makes another in its place, with a file in it.
fn aside(args: &[String]) -> Attempt {
    let (directory, name) = (Path::new(arg(args, 0)), arg(args, 1));
    fs::rename(directory, directory.with_extension("aside"))?;
    fs::create_dir(directory)?;
    fs::write(directory.join(name), "planted\n")?;
    Ok("planted".to_owned())
}

/// Moves a directory away and makes a link to another in its place.
fn aside_link(args: &[String]) -> Attempt {
    let directory = Path::new(arg(args, 0));
    fs::rename(directory, directory.with_extension("aside"))?;
    symlink(arg(args, 1), directory)?;
    Ok("linked".to_owned())
}

/// Renames something and reads a path that exists only then.
fn rename_read(args: &[String]) -> Attempt {
    fs::rename(arg(args, 0), arg(args, 1))?;
    content(arg(args, 2))
}

/// Exchanges two things and reads a path that leads elsewhere then.
fn exchange_read(args: &[String]) -> Attempt {
    let (from, to) = (text(arg(args, 0)), text(arg(args, 1)));
    let here = libc::AT_FDCWD as usize;
    let flags = libc::RENAME_EXCHANGE as usize;
    call(libc::SYS_renameat2, &[here, from.as_ptr() as usize, here, to.as_ptr() as usize, flags])?;
    content(arg(args, 2))
}

fn link_read(args: &[String]) -> Attempt {
    fs::hard_link(arg(args, 0), arg(args, 1))?;
    content(arg(args, 1))
}

fn content(path: &str) -> Attempt {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        denied("it is empty")
    } else {
        Ok(format!("read \"{}\"", bytes.escape_ascii()))
    }
}

/// Reads a file by its handle, which asks no directory for permission.
fn handle_read(args: &[String]) -> Attempt {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        content: [u8; 128],
    }
    let path = text(arg(args, 0));
    let (mut handle, mut mount) = (Handle { bytes: 128, kind: 0, content: [0; 128] }, 0_i32);
    let out = (std::ptr::from_mut(&mut handle) as usize, std::ptr::from_mut(&mut mount) as usize);
    let here = libc::AT_FDCWD as usize;
    call(libc::SYS_name_to_handle_at, &[here, path.as_ptr() as usize, out.0, out.1, 0])?;
    let beside = fs::File::open(arg(args, 1))?;
    let args = [beside.as_raw_fd() as usize, out.0, libc::O_RDONLY as usize];
    let fd: OwnedFd = open(libc::SYS_open_by_handle_at, &args)?;
    let mut bytes = [0; 64];
    let read = fs::File::from(fd).read(&mut bytes)?;
    if read == 0 { denied("it is empty") } else { Ok("read by handle".to_owned()) }
}

/// As an editor saves: a new file beside the old, renamed over it.
fn replace(args: &[String]) -> Attempt {
    let (target, beside) = (arg(args, 0), arg(args, 1));
    fs::write(beside, "planted\n")?;
    fs::rename(beside, target)?;
    Ok("replaced".to_owned())
}

/// A whole directory renamed over another, emptied before where that is possible.
fn replace_parent(args: &[String]) -> Attempt {
    let (target, beside) = (Path::new(arg(args, 0)), Path::new(arg(args, 1)));
    fs::create_dir(beside)?;
    fs::write(beside.join(arg(args, 2)), "planted\n")?;
    fs::remove_dir_all(target)?;
    fs::rename(beside, target)?;
    Ok("replaced".to_owned())
}

/// Writes by way of a shared mapping.
fn mmap_write(args: &[String]) -> Attempt {
    let file = fs::OpenOptions::new().read(true).write(true).open(arg(args, 0))?;
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let shared = libc::MAP_SHARED as usize;
    let at = call(libc::SYS_mmap, &[0, 4096, access, shared, file.as_raw_fd() as usize, 0])?;
    let null = fs::File::open("/dev/zero")?;
    call(libc::SYS_read, &[null.as_raw_fd() as usize, at, 1])?;
    Ok("written".to_owned())
}

/// Takes a whole directory away, whatever of it can be taken.
fn unlink_anyhow(args: &[String]) -> Attempt {
    fs::remove_dir_all(arg(args, 0))?;
    Ok("gone".to_owned())
}

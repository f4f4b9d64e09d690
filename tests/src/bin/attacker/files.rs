//! Reading and changing files that are not ours to read or change.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::sys::{address, call, open_by_handle, text};
use crate::{Attempt, Probe, arg, denied, not_here};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("write", |args| write(arg(args, 0))),
    ("open-write", |args| open_write(Path::new(arg(args, 0)))),
    ("open-any-write", |args| open_any_write(Path::new(arg(args, 0)))),
    ("rewrite", |args| rewrite(arg(args, 0))),
    ("create", create),
    ("mkdir", |args| done(fs::create_dir(arg(args, 0)))),
    ("unlink", |args| done(fs::remove_file(arg(args, 0)))),
    ("rmdir", |args| done(fs::remove_dir(arg(args, 0)))),
    ("rename", |args| done(fs::rename(arg(args, 0), arg(args, 1)))),
    ("exchange", exchange),
    ("link", |args| done(fs::hard_link(arg(args, 0), arg(args, 1)))),
    ("link-write", link_write),
    ("symlink", |args| done(symlink(arg(args, 0), arg(args, 1)))),
    ("symlink-write", symlink_write),
    ("symlink-read", symlink_read),
    ("chmod", |args| done(fs::set_permissions(arg(args, 0), Permissions::from_mode(0o777)))),
    ("fchmod", fchmod),
    ("fchmodat2", fchmodat2),
    ("chown", chown),
    ("truncate", truncate),
    ("utimes", utimes),
    ("futimes", futimes),
    ("setxattr", setxattr),
    ("chattr", chattr),
    ("bind-socket", |args| done(UnixListener::bind(arg(args, 0)).map(drop))),
    ("mkfifo", |args| mknod(arg(args, 0), libc::S_IFIFO, 0)),
    ("mknod-null", mknod_null),
    ("mknod-disk", mknod_disk),
    ("tmpfile", tmpfile),
    ("reopen", reopen),
    ("fd-hunt", fd_hunt),
    ("root-hunt", root_hunt),
    ("cwd-hunt", cwd_hunt),
    ("handle", handle),
    ("read", |args| read(Path::new(arg(args, 0)))),
    ("list", list),
    ("descriptors", descriptors),
];

fn done(result: std::io::Result<()>) -> Attempt {
    Ok(result.map(|()| "done".to_owned())?)
}

fn write(path: &str) -> Attempt {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(b"ringfence-test was here\n")?;
    Ok(format!("wrote to {path}"))
}

fn open_write(path: &Path) -> Attempt {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    Ok(format!("opened {} for writing", path.display()))
}

/// Opens every file below a directory for writing; processes' own directories are left out. In `/proc` a mode says
/// little, so there the file must take a write, which has no bytes and changes nothing.
fn open_any_write(directory: &Path) -> Attempt {
    let mut next = vec![directory.to_path_buf()];
    let mut seen = 0;
    while let Some(path) = next.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        let of_process =
            directory == Path::new("/proc") && path.components().nth(2).is_some_and(is_process);
        if meta.is_dir() && !of_process {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            next.extend(entries.map(|entry| entry.path()));
        } else if meta.is_file() {
            seen += 1;
            let taken =
                if path.starts_with("/proc") { write_nothing(&path) } else { open_write(&path) };
            if let Ok(taken) = taken {
                return Ok(taken);
            }
        }
    }
    denied(&format!("{seen} files, none of them can be written"))
}

fn write_nothing(path: &Path) -> Attempt {
    let file = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    call(libc::SYS_write, &[file.as_raw_fd() as usize, address(""), 0])?;
    Ok(format!("{} takes a write", path.display()))
}

fn is_process(component: std::path::Component<'_>) -> bool {
    let name = component.as_os_str();
    name == "self"
        || name == "thread-self"
        || name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())
}

/// Writes back what a file says, so that nothing changes.
fn rewrite(path: &str) -> Attempt {
    let content = fs::read(path)?;
    OpenOptions::new().write(true).open(path)?.write_all(&content)?;
    Ok(format!("wrote to {path}"))
}

fn create(args: &[String]) -> Attempt {
    OpenOptions::new().write(true).create_new(true).open(arg(args, 0))?;
    Ok(format!("created {}", arg(args, 0)))
}

fn exchange(args: &[String]) -> Attempt {
    let (from, to) = (text(arg(args, 0)), text(arg(args, 1)));
    let here = libc::AT_FDCWD as usize;
    let flags = libc::RENAME_EXCHANGE as usize;
    call(libc::SYS_renameat2, &[here, from.as_ptr() as usize, here, to.as_ptr() as usize, flags])?;
    Ok("exchanged".to_owned())
}

fn link_write(args: &[String]) -> Attempt {
    fs::hard_link(arg(args, 0), arg(args, 1))?;
    write(arg(args, 1))
}

fn symlink_write(args: &[String]) -> Attempt {
    symlink(arg(args, 0), arg(args, 1))?;
    write(arg(args, 1))
}

fn symlink_read(args: &[String]) -> Attempt {
    symlink(arg(args, 0), arg(args, 1))?;
    read(Path::new(arg(args, 1)))
}

fn fchmod(args: &[String]) -> Attempt {
    done(File::open(arg(args, 0))?.set_permissions(Permissions::from_mode(0o777)))
}

fn fchmodat2(args: &[String]) -> Attempt {
    const SYS_FCHMODAT2: libc::c_long = 452;
    let path = text(arg(args, 0));
    call(SYS_FCHMODAT2, &[libc::AT_FDCWD as usize, path.as_ptr() as usize, 0o777, 0])?;
    Ok("changed".to_owned())
}

fn chown(args: &[String]) -> Attempt {
    let meta = fs::metadata(arg(args, 0))?;
    done(std::os::unix::fs::chown(arg(args, 0), Some(meta.uid()), Some(meta.gid())))
}

fn truncate(args: &[String]) -> Attempt {
    let path = text(arg(args, 0));
    call(libc::SYS_truncate, &[path.as_ptr() as usize, 0])?;
    Ok("truncated".to_owned())
}

fn utimes(args: &[String]) -> Attempt {
    let path = text(arg(args, 0));
    call(libc::SYS_utimensat, &[libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, 0])?;
    Ok("changed".to_owned())
}

fn futimes(args: &[String]) -> Attempt {
    let file = File::open(arg(args, 0))?;
    call(libc::SYS_utimensat, &[file.as_raw_fd() as usize, 0, 0, 0])?;
    Ok("changed".to_owned())
}

fn setxattr(args: &[String]) -> Attempt {
    let (path, name) = (text(arg(args, 0)), c"user.ringfence-test");
    let result = call(
        libc::SYS_setxattr,
        &[path.as_ptr() as usize, name.as_ptr() as usize, address("x"), 1, 0],
    );
    match result.map_err(|error| (error.raw_os_error(), error)) {
        Err((Some(libc::EOPNOTSUPP), _)) => not_here("the file system has no extended attributes"),
        Err((_, error)) => Err(error.into()),
        Ok(_) => Ok("set".to_owned()),
    }
}

/// Sets an inode flag through a descriptor that was opened for reading.
fn chattr(args: &[String]) -> Attempt {
    const FS_IOC_GETFLAGS: usize = 0x8008_6601;
    const FS_IOC_SETFLAGS: usize = 0x4008_6602;
    const FS_NODUMP_FL: i32 = 0x40;
    let file = File::open(arg(args, 0))?;
    let mut flags = [0_i32; 2];
    let fd = file.as_raw_fd() as usize;
    match call(libc::SYS_ioctl, &[fd, FS_IOC_GETFLAGS, flags.as_mut_ptr() as usize]) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
            return not_here("no inode flags here");
        }
        result => result?,
    };
    flags[0] ^= FS_NODUMP_FL;
    call(libc::SYS_ioctl, &[fd, FS_IOC_SETFLAGS, flags.as_ptr() as usize])?;
    Ok("changed".to_owned())
}

fn mknod(path: &str, kind: libc::mode_t, device: u64) -> Attempt {
    let path = text(path);
    let device = usize::try_from(device).expect("because usize has 64 bits here");
    let mode = (kind | 0o666) as usize;
    call(libc::SYS_mknodat, &[libc::AT_FDCWD as usize, path.as_ptr() as usize, mode, device])?;
    Ok("made".to_owned())
}

fn mknod_null(args: &[String]) -> Attempt {
    mknod(arg(args, 0), libc::S_IFCHR, libc::makedev(1, 3))?;
    write(arg(args, 0))
}

/// A node for the disk of the root file system, and a look at its first bytes.
fn mknod_disk(args: &[String]) -> Attempt {
    let device = fs::metadata("/")?.dev();
    if libc::major(device) == 0 {
        return not_here("the root file system is on no device");
    }
    mknod(arg(args, 0), libc::S_IFBLK, device)?;
    // Having made it is enough: a control group may forbid to open it all the same.
    Ok(read(Path::new(arg(args, 0))).unwrap_or_else(|_| "made it, but it does not open".to_owned()))
}

fn tmpfile(args: &[String]) -> Attempt {
    let flags = libc::O_TMPFILE | libc::O_WRONLY;
    let file = OpenOptions::new().write(true).custom_flags(flags).mode(0o600).open(arg(args, 0))?;
    let from = text(&format!("/proc/self/fd/{}", file.as_raw_fd()));
    let to = text(&format!("{}/from-tmpfile", arg(args, 0)));
    let here = libc::AT_FDCWD as usize;
    let flags = libc::AT_SYMLINK_FOLLOW as usize;
    call(libc::SYS_linkat, &[here, from.as_ptr() as usize, here, to.as_ptr() as usize, flags])?;
    Ok("linked".to_owned())
}

/// Turns a descriptor for reading into one for writing, by way of `/proc/self/fd`.
fn reopen(args: &[String]) -> Attempt {
    let file = File::open(arg(args, 0))?;
    write(&format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Looks through all descriptors of all processes for one that leads to the file.
fn fd_hunt(args: &[String]) -> Attempt {
    let mut seen = 0;
    for fd in process_entries("fd")
        .iter()
        .flat_map(|directory| fs::read_dir(directory).into_iter().flatten())
        .flatten()
    {
        seen += 1;
        if fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(arg(args, 0))) {
            return write(&fd.path().to_string_lossy());
        }
    }
    denied(&format!("{seen} descriptors, none of them leads there"))
}

/// Tries the root directory of every process as a way to the file.
fn root_hunt(args: &[String]) -> Attempt {
    hunt("root", arg(args, 0))
}

/// Tries the working directory of every process as a way to the file.
fn cwd_hunt(args: &[String]) -> Attempt {
    hunt("cwd", &format!("/../../../../../../../../../..{}", arg(args, 0)))
}

fn hunt(door: &str, path: &str) -> Attempt {
    let doors = process_entries(door);
    let ways = doors.iter().map(|door| format!("{}{path}", door.display()));
    for way in ways {
        if let Ok(wrote) = write(&way) {
            return Ok(wrote);
        }
    }
    denied(&format!("{} doors, none of them leads there", doors.len()))
}

fn process_entries(name: &str) -> Vec<std::path::PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes =
        processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    processes.map(|entry| entry.path().join(name)).collect()
}

/// Opens a file by its handle, which asks no directory for permission.
fn handle(args: &[String]) -> Attempt {
    let fd = open_by_handle(arg(args, 0), arg(args, 1), libc::O_RDWR | libc::O_APPEND)?;
    File::from(fd).write_all(b"by handle\n")?;
    Ok("wrote by handle".to_owned())
}

fn read(path: &Path) -> Attempt {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut bytes = [0_u8; 64];
    let read = file.read(&mut bytes)?;
    if read == 0 {
        denied("it is empty")
    } else {
        Ok(format!("read \"{}\"", bytes[..read].escape_ascii()))
    }
}

fn list(args: &[String]) -> Attempt {
    match fs::read_dir(arg(args, 0))?.flatten().next() {
        Some(entry) => Ok(format!("found {}", entry.path().display())),
        None => denied("it is empty"),
    }
}

/// Descriptors that were open when this program started, beside the three that belong to it.
fn descriptors(_: &[String]) -> Attempt {
    let own = |path: &Path| {
        fs::read_link(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    let entries: Vec<_> =
        fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.path()).collect();
    let standard = |path: &Path| {
        path.file_name().is_some_and(|name| ["0", "1", "2"].map(OsStr::new).contains(&name))
    };
    let found: Vec<String> = entries
        .iter()
        .filter(|path| !standard(path) && !own(path))
        .map(|path| {
            format!("{} → {}", path.display(), fs::read_link(path).unwrap_or_default().display())
        })
        .collect();
    if found.is_empty() { denied("none but 0, 1, 2") } else { Ok(found.join(", ")) }
}

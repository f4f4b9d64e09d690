//! Namespaces and mounts: making them, entering them, changing them.
//!
//! Outside, the calls that change mounts run in a user and mount namespace made for the occasion.

use std::fs::File;
use std::os::fd::AsRawFd;

use crate::sys::{call, open, text};
use crate::{Attempt, Probe, arg, denied, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("unshare", |args| done(call(libc::SYS_unshare, &[number(args, 0)]))),
    ("clone", clone),
    ("clone3", clone3),
    ("setns", setns),
    ("setns-pidfd", setns_pidfd),
    ("mount-tmpfs", |args| mount("tmpfs", arg(args, 0), "tmpfs", 0)),
    ("mount-proc", |args| mount("proc", arg(args, 0), "proc", 0)),
    ("mount-bind", |args| mount(arg(args, 0), arg(args, 1), "", libc::MS_BIND)),
    ("remount-writable", |args| mount("", arg(args, 0), "", libc::MS_REMOUNT | libc::MS_BIND)),
    ("mount-share", |args| mount("", arg(args, 0), "", libc::MS_SHARED | libc::MS_REC)),
    ("mount-move", |args| mount(arg(args, 0), arg(args, 1), "", libc::MS_MOVE)),
    ("umount", umount),
    ("umount-everything", umount_everything),
    ("pivot", pivot),
    ("chroot", chroot),
    ("chroot-escape", chroot_escape),
    ("open-tree", open_tree),
    ("move-mount", move_mount),
    ("mount-setattr", mount_setattr),
    ("fsopen", fsopen),
    ("fspick", fspick),
];

fn done(result: std::io::Result<usize>) -> Attempt {
    result?;
    Ok("done".to_owned())
}

fn clone(args: &[String]) -> Attempt {
    let flags = number(args, 0) | libc::SIGCHLD as usize;
    // Without a stack of its own the child goes on like a forked one.
    match call(libc::SYS_clone, &[flags, 0, 0, 0, 0])? {
        0 => std::process::exit(0),
        pid => reap(pid),
    }
}

fn clone3(args: &[String]) -> Attempt {
    let mut request = [0_u64; 11];
    request[0] = number(args, 0) as u64;
    request[4] = libc::SIGCHLD as u64;
    match call(libc::SYS_clone3, &[request.as_ptr() as usize, size_of_val(&request)])? {
        0 => std::process::exit(0),
        pid => reap(pid),
    }
}

fn reap(pid: usize) -> Attempt {
    crate::sys::wait(i32::try_from(pid).expect("because process ids are small"))?;
    Ok("made a process".to_owned())
}

fn setns(args: &[String]) -> Attempt {
    let namespace = File::open(arg(args, 0))?;
    done(call(libc::SYS_setns, &[namespace.as_raw_fd() as usize, 0]))
}

fn setns_pidfd(args: &[String]) -> Attempt {
    let pidfd = open(libc::SYS_pidfd_open, &[number(args, 0), 0])?;
    done(call(libc::SYS_setns, &[pidfd.as_raw_fd() as usize, number(args, 1)]))
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) -> Attempt {
    let (source, target, kind) = (text(source), text(target), text(kind));
    let flags = usize::try_from(flags).expect("because flags fit");
    done(call(
        libc::SYS_mount,
        &[source.as_ptr() as usize, target.as_ptr() as usize, kind.as_ptr() as usize, flags, 0],
    ))
}

fn umount(args: &[String]) -> Attempt {
    let target = text(arg(args, 0));
    done(call(libc::SYS_umount2, &[target.as_ptr() as usize, libc::MNT_DETACH as usize]))
}

/// Takes away whatever the sandbox has put over something, from the last mount to the first.
fn umount_everything(_: &[String]) -> Attempt {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let targets: Vec<String> =
        mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(String::from).collect();
    let gone = targets.iter().find(|target| umount(std::slice::from_ref(*target)).is_ok());
    gone.map_or_else(
        || denied(&format!("none of {}", targets.len())),
        |target| Ok(format!("unmounted {target}")),
    )
}

/// Makes a directory a mount point and pivots into it.
fn pivot(args: &[String]) -> Attempt {
    let directory = arg(args, 0);
    // Where mounting is refused, pivoting is still tried on the root itself.
    let mounted = mount("tmpfs", directory, "tmpfs", 0).is_ok();
    let target = text(if mounted { directory } else { "/" });
    std::env::set_current_dir(if mounted { directory } else { "/" })?;
    done(call(libc::SYS_pivot_root, &[target.as_ptr() as usize, c".".as_ptr() as usize]))
}

fn chroot(args: &[String]) -> Attempt {
    let directory = text(arg(args, 0));
    done(call(libc::SYS_chroot, &[directory.as_ptr() as usize]))
}

/// The classic: a working directory above the root, and up from there.
fn chroot_escape(args: &[String]) -> Attempt {
    chroot(args)?;
    for _ in 0..32 {
        std::env::set_current_dir("..")?;
    }
    chroot(&[".".to_owned()])
}

fn open_tree(args: &[String]) -> Attempt {
    const OPEN_TREE_CLONE: usize = 1;
    const AT_RECURSIVE: usize = 0x8000;
    let path = text(arg(args, 0));
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE;
    let _tree =
        open(libc::SYS_open_tree, &[libc::AT_FDCWD as usize, path.as_ptr() as usize, flags])?;
    Ok("cloned a tree".to_owned())
}

fn move_mount(args: &[String]) -> Attempt {
    const OPEN_TREE_CLONE: usize = 1;
    const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
    let (from, to) = (text(arg(args, 0)), text(arg(args, 1)));
    let here = libc::AT_FDCWD as usize;
    // Where no tree may be cloned, a mount that is there is tried.
    match open(libc::SYS_open_tree, &[here, from.as_ptr() as usize, OPEN_TREE_CLONE]) {
        Ok(tree) => {
            let empty = c"".as_ptr() as usize;
            let args = [
                tree.as_raw_fd() as usize,
                empty,
                here,
                to.as_ptr() as usize,
                MOVE_MOUNT_F_EMPTY_PATH,
            ];
            done(call(libc::SYS_move_mount, &args))
        }
        Err(_) => done(call(
            libc::SYS_move_mount,
            &[here, from.as_ptr() as usize, here, to.as_ptr() as usize, 0],
        )),
    }
}

/// Takes a mount's read-only flag away.
fn mount_setattr(args: &[String]) -> Attempt {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let path = text(arg(args, 0));
    let attributes = [0, MOUNT_ATTR_RDONLY, 0, 0];
    let args =
        [libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, attributes.as_ptr() as usize, 32];
    done(call(libc::SYS_mount_setattr, &args))
}

fn fsopen(_: &[String]) -> Attempt {
    let _context = open(libc::SYS_fsopen, &[c"tmpfs".as_ptr() as usize, 0])?;
    Ok("opened a file system context".to_owned())
}

fn fspick(args: &[String]) -> Attempt {
    let path = text(arg(args, 0));
    let _context = open(libc::SYS_fspick, &[libc::AT_FDCWD as usize, path.as_ptr() as usize, 0])?;
    Ok("picked a file system".to_owned())
}

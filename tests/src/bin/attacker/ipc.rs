//! Shared memory, semaphores and queues of the host.

use std::fs;

use crate::sys::{call, open, text};
use crate::{Attempt, Probe, arg, denied, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("shm", shm),
    ("shm-by-id", shm_by_id),
    ("sem", |args| done(call(libc::SYS_semget, &[number(args, 0), 0, 0]))),
    ("msg", |args| done(call(libc::SYS_msgget, &[number(args, 0), 0]))),
    ("list-sysv", list_sysv),
    ("queue", queue),
];

fn done(result: std::io::Result<usize>) -> Attempt {
    result?;
    Ok("it is there".to_owned())
}

fn shm(args: &[String]) -> Attempt {
    let id = call(libc::SYS_shmget, &[number(args, 0), 0, 0])?;
    attach(id)
}

fn shm_by_id(args: &[String]) -> Attempt {
    attach(number(args, 0))
}

/// Attaches a segment for reading and writing; the bystander watches its content.
fn attach(id: usize) -> Attempt {
    call(libc::SYS_shmat, &[id, 0, libc::SHM_RDONLY as usize])?;
    Ok("attached".to_owned())
}

fn list_sysv(_: &[String]) -> Attempt {
    let kinds = ["shm", "sem", "msg"]
        .map(|kind| fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default());
    let count: usize = kinds.iter().map(|text| text.lines().skip(1).count()).sum();
    if count == 0 { denied("none") } else { Ok(format!("{count} objects")) }
}

fn queue(args: &[String]) -> Attempt {
    let name = text(arg(args, 0));
    let _queue = open(libc::SYS_mq_open, &[name.as_ptr() as usize, libc::O_RDONLY as usize, 0, 0])?;
    Ok("opened".to_owned())
}

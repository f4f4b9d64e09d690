//! Reading and writing the memory of other processes.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use crate::sys::call;
use crate::{Attempt, Probe, arg, denied, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("attach", |args| attach(args, libc::PTRACE_ATTACH)),
    ("seize", |args| attach(args, libc::PTRACE_SEIZE)),
    ("vm-read", vm_read),
    ("vm-write", vm_write),
    ("mem-read", mem_read),
    ("mem-open", mem_open),
];

fn attach(args: &[String], request: libc::c_uint) -> Attempt {
    call(libc::SYS_ptrace, &[request as usize, number(args, 0), 0, 0])?;
    // Let go at once, so that the target goes on; it is stopped only when the request was to attach.
    call(libc::SYS_wait4, &[number(args, 0), 0, libc::WNOHANG as usize, 0]).ok();
    call(libc::SYS_ptrace, &[libc::PTRACE_DETACH as usize, number(args, 0), 0, 0]).ok();
    call(libc::SYS_kill, &[number(args, 0), libc::SIGCONT as usize]).ok();
    Ok("attached".to_owned())
}

fn transfer(
    args: &[String],
    number_of_call: libc::c_long,
    buffer: &mut [u8],
) -> std::io::Result<usize> {
    let local = [buffer.as_mut_ptr() as usize, buffer.len()];
    let remote = [number(args, 1), buffer.len()];
    call(
        number_of_call,
        &[number(args, 0), local.as_ptr() as usize, 1, remote.as_ptr() as usize, 1, 0],
    )
}

fn vm_read(args: &[String]) -> Attempt {
    let mut buffer = [0; 16];
    transfer(args, libc::SYS_process_vm_readv, &mut buffer)?;
    check(&buffer)
}

/// Writes back what the bystander has there anyway.
fn vm_write(args: &[String]) -> Attempt {
    let mut secret = *b"bystander-secret";
    transfer(args, libc::SYS_process_vm_writev, &mut secret)?;
    Ok("wrote".to_owned())
}

fn mem_read(args: &[String]) -> Attempt {
    let mut buffer = [0; 16];
    let mem = OpenOptions::new().read(true).open(format!("/proc/{}/mem", arg(args, 0)))?;
    mem.read_exact_at(&mut buffer, number(args, 1) as u64)?;
    check(&buffer)
}

fn mem_open(args: &[String]) -> Attempt {
    OpenOptions::new().read(true).open(format!("/proc/{}/mem", arg(args, 0)))?;
    Ok("opened".to_owned())
}

fn check(buffer: &[u8]) -> Attempt {
    let text = String::from_utf8_lossy(buffer);
    if text == "bystander-secret" {
        Ok(format!("read \"{text}\""))
    } else {
        denied(&format!("read \"{text}\""))
    }
}

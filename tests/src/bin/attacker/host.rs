//! Without namespaces: what can be done to processes that can be seen.
//!
//! Words stand for processes that nobody else can name: `parent` is the one that started this program, `supervisor`
//! the one above that.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::sys::call;
use crate::{Attempt, Probe, Refusal, denied, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("exec", exec),
    ("kill-everybody", kill_everybody),
    ("sigio", sigio),
    ("sigio-thread", |args| owned(args, Owner::Thread)),
    ("sigio-ioctl", |args| owned(args, Owner::Ioctl)),
    ("tkill", |args| done(call(libc::SYS_tkill, &[number(args, 0), number(args, 1)]))),
    ("stop-own", |_| stop_own()),
    ("kill-group-of", kill_group_of),
];

/// A signal that does nothing to who does not ask for it.
const HARMLESS: usize = libc::SIGURG as usize;

fn done(result: std::io::Result<usize>) -> Attempt {
    result?;
    Ok("done".to_owned())
}

/// Runs a program; its status is the answer.
fn exec(args: &[String]) -> Attempt {
    let Some((program, rest)) = args.split_first() else { return denied("nothing to run") };
    let output = Command::new(program).args(rest).output()?;
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    if output.status.success() { Ok(text) } else { denied(&format!("{}: {text}", output.status)) }
}

/// The number of a process that is named by what it is to this one.
pub(crate) fn relative(word: &str) -> Option<usize> {
    let parent = || fs::read_to_string("/proc/self/stat").ok().and_then(|text| parent_in(&text));
    match word {
        "parent" => parent(),
        "supervisor" => {
            let text = fs::read_to_string(format!("/proc/{}/stat", parent()?)).ok()?;
            parent_in(&text)
        }
        _ => None,
    }
}

fn parent_in(stat: &str) -> Option<usize> {
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// True when the signal waits at a process that blocks it.
fn pending(pid: usize, signal: usize) -> Result<bool, Refusal> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let set = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
    };
    Ok((set("ShdPnd") | set("SigPnd")) & (1 << (signal - 1)) != 0)
}

fn arrived(pid: usize, signal: usize) -> Attempt {
    if pending(pid, signal)? {
        Ok(format!("signal {signal} has arrived at {pid}"))
    } else {
        denied("no signal has arrived")
    }
}

/// A signal to all processes that may be reached; it is harmless, and the bystander tells whether it came.
fn kill_everybody(args: &[String]) -> Attempt {
    call(libc::SYS_kill, &[-1_isize as usize, HARMLESS]).ok();
    arrived(number(args, 0), HARMLESS)
}

/// A signal to the process group of somebody.
fn kill_group_of(args: &[String]) -> Attempt {
    let group = call(libc::SYS_getpgid, &[number(args, 0)])?;
    call(libc::SYS_kill, &[group.wrapping_neg(), HARMLESS])?;
    arrived(number(args, 0), HARMLESS)
}

enum Owner {
    Process,
    Thread,
    Ioctl,
}

fn sigio(args: &[String]) -> Attempt {
    owned(args, Owner::Process)
}

/// The kernel sends the signal when something can be read: to whom the descriptor has been given.
fn owned(args: &[String], owner: Owner) -> Attempt {
    const FIOSETOWN: usize = 0x8901;
    const F_SETSIG: usize = 10;
    const F_SETOWN_EX: usize = 15;
    const F_OWNER_TID: i32 = 0;
    let pid = number(args, 0);
    let (ours, mut theirs) = UnixStream::pair()?;
    let fd = ours.as_raw_fd() as usize;
    let as_i32 = i32::try_from(pid).expect("because process ids are small");
    match owner {
        Owner::Process => call(libc::SYS_fcntl, &[fd, libc::F_SETOWN as usize, pid])?,
        Owner::Thread => {
            let to = [F_OWNER_TID, as_i32];
            call(libc::SYS_fcntl, &[fd, F_SETOWN_EX, to.as_ptr() as usize])?
        }
        Owner::Ioctl => {
            call(libc::SYS_ioctl, &[fd, FIOSETOWN, std::ptr::from_ref(&as_i32) as usize])?
        }
    };
    call(libc::SYS_fcntl, &[fd, F_SETSIG, HARMLESS])?;
    let flags = (libc::O_ASYNC | libc::O_RDWR) as usize;
    call(libc::SYS_fcntl, &[fd, libc::F_SETFL as usize, flags])?;
    theirs.write_all(b"x")?;
    arrived(pid, HARMLESS)
}

/// Stops a child of one's own, lets it go on, and ends it.
fn stop_own() -> Attempt {
    let mut child = Command::new("sleep").arg("1000").spawn()?;
    let pid = child.id() as usize;
    for signal in [libc::SIGSTOP, libc::SIGCONT, libc::SIGTERM] {
        call(libc::SYS_kill, &[pid, signal as usize])?;
    }
    let status = child.wait()?;
    Ok(format!("the child ended: {status}"))
}

//! The calls that no safe interface offers: what a child does before it executes its program, and
//! how it is waited for.
//!
//! All are calls that every Unix has, so they are tried on every system.

#![expect(unsafe_code, reason = "calls that no safe interface offers")]

use ringfence_launcher::{ExitStatus, TreeUsage};
use std::{io, os::unix::process::CommandExt, process::Command, time::Duration};

/// One limit for the child: the resource by the system's number, soft, hard.
pub(crate) type Limit = (u32, u64, u64);

/// What a limit that is refused is told as: an error that execve(2) never gives.
pub(crate) const LIMIT_REFUSED: i32 = libc::EDOM;

/// Has the child begin a session of its own, which also takes the terminal from it, keep no
/// descriptor but 0, 1 and 2, and live within these limits.
pub(crate) fn detach(command: &mut Command, limits: Vec<Limit>) {
    let highest = highest_descriptor();
    let prepare = move || {
        begin_session()?;
        keep_standard_streams(highest);
        limits.iter().try_for_each(|limit| set_limit(*limit))
    };
    // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor
    // takes a lock, and what it reads was made before.
    unsafe { command.pre_exec(prepare) };
}

fn begin_session() -> io::Result<()> {
    // SAFETY: takes no arguments.
    if unsafe { libc::setsid() } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A little above what is open now: other threads of the caller may open more meanwhile.
fn highest_descriptor() -> i32 {
    const MORE: i32 = 256;
    let open = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.max().unwrap_or(MORE).saturating_add(MORE)
}

/// Marked and not closed: the standard library tells a failed execution by a descriptor of its own.
fn keep_standard_streams(highest: i32) {
    for number in 3..=highest {
        // SAFETY: numbers only. One that is not open is an error that says just that.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

fn set_limit((resource, soft, hard): Limit) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure is read by the call.
    let done = unsafe { libc::setrlimit(resource as _, &raw const limit) };
    if done < 0 { Err(io::Error::from_raw_os_error(LIMIT_REFUSED)) } else { Ok(()) }
}

/// Waits until a child has ended, and leaves it to be reaped: until then its number, which is that
/// of its process group too, belongs to nobody else.
pub(crate) fn wait_until_ended(pid: u32) {
    loop {
        // SAFETY: all zero is a valid structure, and the call fills it.
        let waited = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if waited == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Reaps a child that has ended: how, and what it and those it has reaped used. `None` when
/// somebody else was quicker.
pub(crate) fn reap(pid: u32) -> Option<(ExitStatus, TreeUsage)> {
    let mut word = 0;
    // SAFETY: all zero is a valid structure.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = pid.cast_signed();
    // SAFETY: both places live through the call, which fills them.
    while unsafe { libc::wait4(pid, &raw mut word, 0, &raw mut used) } < 0 {
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
    let usage = TreeUsage {
        user_cpu: duration(used.ru_utime),
        system_cpu: duration(used.ru_stime),
        max_rss_bytes: number(used.ru_maxrss).saturating_mul(RSS_UNIT),
        processes: None,
        voluntary_switches: number(used.ru_nvcsw),
        involuntary_switches: number(used.ru_nivcsw),
        // In blocks of 512 bytes, whatever the file system has.
        read_bytes: number(used.ru_inblock).saturating_mul(512),
        written_bytes: number(used.ru_oublock).saturating_mul(512),
        killed: 0,
    };
    Some((ExitStatus::from_wait(word.cast_unsigned()), usage))
}

/// What `ru_maxrss` counts in: bytes on macOS, KiB elsewhere.
const RSS_UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

fn number(value: libc::c_long) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

//! Other processes: seeing, signalling and hampering them; and rights of one's own that no command should have.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::sys::{address, call, in_child, open, text};
use crate::{Attempt, Probe, arg, denied, not_here, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("see", see),
    ("see-named", see_named),
    ("kill", kill),
    ("kill-all", kill_all),
    ("kill-init", kill_init),
    ("tgkill", |args| sent(libc::SYS_tgkill, &[number(args, 0), number(args, 0), number(args, 1)])),
    ("sigqueue", sigqueue),
    ("pidfd-signal", pidfd_signal),
    ("pidfd-getfd", pidfd_getfd),
    ("set-owner", set_owner),
    ("renice", |args| {
        sent(libc::SYS_setpriority, &[libc::PRIO_PROCESS as usize, number(args, 0), 19])
    }),
    ("set-affinity", set_affinity),
    ("set-scheduler", set_scheduler),
    ("set-limit", set_limit),
    ("compare", compare),
    ("environment", environment),
    ("environment-of-caller", |_| {
        find_in(&std::env::vars().map(|(_, value)| value).collect::<Vec<_>>().join(" "))
    }),
    ("maps", |args| text_of(args, "maps", "r")),
    ("command-line", |args| text_of(args, "cmdline", "bystander")),
    ("follow", follow),
    ("open-fd", |args| file_of(args, &format!("fd/{}", arg(args, 1)))),
    ("follow-fds", follow_fds),
    ("capabilities", capabilities),
    ("new-privileges", |_| status_is("NoNewPrivs", "0")),
    ("no-seccomp", |_| status_is("Seccomp", "0")),
    ("run-setuid", run_setuid),
    ("become", become_user),
    ("drop-groups", |_| sent(libc::SYS_setgroups, &[0, 0])),
    ("nice", |_| sent(libc::SYS_setpriority, &[libc::PRIO_PROCESS as usize, 0, -5_isize as usize])),
    ("realtime", |_| realtime()),
    ("raise-limit", raise_limit),
    ("traceable", |_| traceable()),
];

fn sent(number: libc::c_long, args: &[usize]) -> Attempt {
    call(number, args)?;
    Ok("done".to_owned())
}

fn see(args: &[String]) -> Attempt {
    let directory = format!("/proc/{}", arg(args, 0));
    fs::metadata(&directory)?;
    Ok(format!("{directory} is there"))
}

/// A process whose command line holds a word; this program's own does not count.
fn see_named(args: &[String]) -> Attempt {
    let own = std::process::id().to_string();
    let mut seen = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == own || name.parse::<u32>().is_err() {
            continue;
        }
        seen += 1;
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if words.contains(arg(args, 0)) {
            return Ok(format!("{name}: {words}"));
        }
    }
    denied(&format!("{seen} other processes, none of that name"))
}

fn kill(args: &[String]) -> Attempt {
    sent(libc::SYS_kill, &[number(args, 0), number(args, 1)])
}

/// A signal to everybody. Never outside a sandbox.
fn kill_all(args: &[String]) -> Attempt {
    sent(libc::SYS_kill, &[-1_isize as usize, number(args, 0)])
}

/// Every signal to the sandbox's init, by every door; it worked when init is gone, and we with it.
fn kill_init(_: &[String]) -> Attempt {
    if std::process::id() == 1 {
        return not_here("this is init itself");
    }
    for signal in 1..65 {
        call(libc::SYS_kill, &[1, signal]).ok();
        call(libc::SYS_tgkill, &[1, 1, signal]).ok();
    }
    // A namespace without init makes no new processes, and those it has are killed.
    let status = in_child(|| if crate::sys::fork(|| 0).is_ok() { 0 } else { 1 })?;
    if status == 0 { denied("init lives") } else { Ok("init does not answer".to_owned()) }
}

fn sigqueue(args: &[String]) -> Attempt {
    let mut info = [0_i32; 32];
    info[0] = i32::try_from(number(args, 1)).expect("because signals are small");
    info[2] = libc::SI_QUEUE;
    sent(libc::SYS_rt_sigqueueinfo, &[number(args, 0), number(args, 1), info.as_ptr() as usize])
}

fn pidfd_signal(args: &[String]) -> Attempt {
    use std::os::fd::AsRawFd;
    let pidfd = open(libc::SYS_pidfd_open, &[number(args, 0), 0])?;
    sent(libc::SYS_pidfd_send_signal, &[pidfd.as_raw_fd() as usize, number(args, 1), 0, 0])
}

fn pidfd_getfd(args: &[String]) -> Attempt {
    use std::os::fd::AsRawFd;
    let pidfd = open(libc::SYS_pidfd_open, &[number(args, 0), 0])?;
    let _stolen = open(libc::SYS_pidfd_getfd, &[pidfd.as_raw_fd() as usize, number(args, 1), 0])?;
    Ok("took a descriptor".to_owned())
}

/// Lets the kernel send SIGIO to somebody else.
fn set_owner(args: &[String]) -> Attempt {
    use std::os::fd::AsRawFd;
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    sent(libc::SYS_fcntl, &[ours.as_raw_fd() as usize, libc::F_SETOWN as usize, number(args, 0)])
}

fn set_affinity(args: &[String]) -> Attempt {
    let mut mask = [0_u64; 128];
    let size = size_of_val(&mask);
    let length = call(libc::SYS_sched_getaffinity, &[0, size, mask.as_mut_ptr() as usize])?;
    sent(libc::SYS_sched_setaffinity, &[number(args, 0), length, mask.as_ptr() as usize])
}

fn set_scheduler(args: &[String]) -> Attempt {
    let priority = 0_i32;
    sent(
        libc::SYS_sched_setscheduler,
        &[number(args, 0), libc::SCHED_BATCH as usize, address(&priority)],
    )
}

/// Reads and writes back a limit of another process.
fn set_limit(args: &[String]) -> Attempt {
    let mut limit = [0_u64; 2];
    let which = libc::RLIMIT_NOFILE as usize;
    call(libc::SYS_prlimit64, &[number(args, 0), which, 0, limit.as_mut_ptr() as usize])?;
    sent(libc::SYS_prlimit64, &[number(args, 0), which, limit.as_ptr() as usize, 0])
}

fn compare(args: &[String]) -> Attempt {
    let own = std::process::id() as usize;
    sent(libc::SYS_kcmp, &[own, number(args, 0), 0, 0, 0])
}

fn find_in(text: &str) -> Attempt {
    let secret = ["bystander-secret", "in the caller's environment"]
        .into_iter()
        .find(|secret| text.contains(secret));
    secret.map_or_else(
        || denied("the secret is not there"),
        |secret| Ok(format!("found \"{secret}\"")),
    )
}

fn environment(args: &[String]) -> Attempt {
    let bytes = fs::read(format!("/proc/{}/environ", arg(args, 0)))?;
    if arg(args, 1) == "any" && !bytes.is_empty() {
        return Ok(format!("{} bytes of environment", bytes.len()));
    }
    find_in(&String::from_utf8_lossy(&bytes))
}

fn text_of(args: &[String], file: &str, holds: &str) -> Attempt {
    let text = fs::read_to_string(format!("/proc/{}/{file}", arg(args, 0)))?;
    if text.contains(holds) {
        Ok(format!("read {} bytes", text.len()))
    } else {
        denied("it is empty")
    }
}

fn file_of(args: &[String], file: &str) -> Attempt {
    fs::File::open(format!("/proc/{}/{file}", arg(args, 0)))?;
    Ok(format!("opened {file}"))
}

fn follow(args: &[String]) -> Attempt {
    let link = format!("/proc/{}/{}", arg(args, 0), arg(args, 1));
    let target = fs::read_link(&link)?;
    Ok(format!("{link} → {}", target.display()))
}

/// Numbers alone say nothing: what a descriptor leads to does.
fn follow_fds(args: &[String]) -> Attempt {
    let entries: Vec<_> = fs::read_dir(format!("/proc/{}/fd", arg(args, 0)))?.flatten().collect();
    match entries.iter().find_map(|entry| fs::read_link(entry.path()).ok()) {
        Some(target) => Ok(format!("one leads to {}", target.display())),
        None => denied(&format!("none of {}", entries.len())),
    }
}

fn status(field: &str) -> Result<String, crate::Refusal> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map_or_else(|| not_here(field), |value| Ok(value.trim().to_owned()))
}

fn capabilities(args: &[String]) -> Attempt {
    let set = status(arg(args, 0))?;
    if set.bytes().all(|byte| byte == b'0') {
        denied("none")
    } else {
        Ok(format!("{}: {set}", arg(args, 0)))
    }
}

fn status_is(field: &str, value: &str) -> Attempt {
    let found = status(field)?;
    if found == value {
        Ok(format!("{field} is {found}"))
    } else {
        denied(&format!("{field} is {found}"))
    }
}

/// Runs a program that belongs to root and has the set-user-ID bit.
fn run_setuid(args: &[String]) -> Attempt {
    if !Path::new(arg(args, 0)).exists() {
        return not_here("no set-user-ID program");
    }
    let output = Command::new(arg(args, 0)).args(["become", "0"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(text) } else { denied(&text) }
}

fn become_user(args: &[String]) -> Attempt {
    call(libc::SYS_setuid, &[number(args, 0)])?;
    Ok(format!("user id {}", call(libc::SYS_geteuid, &[])?))
}

fn realtime() -> Attempt {
    let priority = 1_i32;
    sent(libc::SYS_sched_setscheduler, &[0, libc::SCHED_FIFO as usize, address(&priority)])
}

/// Raises the hard limit of open files.
fn raise_limit(_: &[String]) -> Attempt {
    const CAP_SYS_RESOURCE: u32 = 24;
    let mut limit = [0_u64; 2];
    let which = libc::RLIMIT_NOFILE as usize;
    call(libc::SYS_prlimit64, &[0, which, 0, limit.as_mut_ptr() as usize])?;
    limit[1] += 1;
    let raised = call(libc::SYS_prlimit64, &[0, which, limit.as_ptr() as usize, 0]);
    let effective = u64::from_str_radix(&status("CapEff")?, 16).unwrap_or(0);
    match raised {
        Ok(_) => Ok(format!("the limit is {} now", limit[1])),
        Err(error) if effective != 0 && effective & (1 << CAP_SYS_RESOURCE) == 0 => {
            not_here(&error.to_string())
        }
        Err(error) => Err(error.into()),
    }
}

/// The command may be looked into by its own kind: that is how debuggers work.
fn traceable() -> Attempt {
    let path = text("/proc/self/mem");
    let _mem = open(
        libc::SYS_openat,
        &[libc::AT_FDCWD as usize, path.as_ptr() as usize, libc::O_RDWR as usize],
    )?;
    Ok("own memory opens".to_owned())
}

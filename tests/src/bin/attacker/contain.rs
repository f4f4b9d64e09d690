//! Runs a command outside any sandbox and ends whatever it leaves behind, so that the suite finds only what a sandbox
//! has let slip.
//!
//! The trap: it must be as good as not there. It passes the exit status on, a signal by ending itself the same way.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::sys::{call, wait};

/// The arguments are the command.
pub(crate) fn contain(args: &[String]) -> ! {
    call(libc::SYS_prctl, &[libc::PR_SET_CHILD_SUBREAPER as usize, 1]).ok();
    let Some((program, rest)) = args.split_first() else { std::process::exit(2) };
    let status = match Command::new(program).args(rest).status() {
        Ok(status) => status,
        Err(_) => std::process::exit(127),
    };
    end_the_rest();
    if let Some(signal) = status.signal() {
        let number = usize::try_from(signal).expect("because signals are positive");
        crate::emit::signal(number).ok();
    }
    std::process::exit(status.code().unwrap_or(1));
}

/// Children of children become ours when their parents die, so this ends when there are no more.
fn end_the_rest() {
    loop {
        let own = std::process::id();
        let list =
            std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
        for pid in list.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            call(libc::SYS_kill, &[pid, libc::SIGKILL as usize]).ok();
        }
        if wait(-1).is_err() {
            return;
        }
    }
}

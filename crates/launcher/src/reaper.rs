//! Reaps inits whose trees have ended, in one background thread of the process.
//!
//! A result is told before the kernel has taken the namespaces down; the zombie
//! that is left then must not stay. Each is waited for by its own descriptor, so
//! no child of the embedding program is ever touched.
//!
//! When the program exits, it waits for those that are dying at that moment, so that
//! no zombie is left to a first process that may reap nobody, as in many containers.

use std::{
    io::{PipeReader, PipeWriter, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

struct Reaper {
    /// The process with the thread; a fork of it has none.
    owner: u32,
    state: Mutex<State>,
    empty: Condvar,
    wake: Mutex<PipeWriter>,
}

#[derive(Default)]
struct State {
    arrived: Vec<OwnedFd>,
    /// Inits not reaped yet, those that arrived included.
    pending: usize,
}

static REAPER: OnceLock<Option<Reaper>> = OnceLock::new();

fn reaper() -> Option<&'static Reaper> {
    REAPER
        .get_or_init(|| {
            let (reader, writer) = std::io::pipe().ok()?;
            std::thread::Builder::new()
                .name("ringfence-reaper".to_owned())
                .stack_size(64 * 1024)
                .spawn(move || run(reader))
                .ok()?;
            at_exit();
            Some(Reaper {
                owner: std::process::id(),
                state: Mutex::default(),
                empty: Condvar::new(),
                wake: Mutex::new(writer),
            })
        })
        .as_ref()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaps the process of `pidfd` as soon as it is dead.
pub(crate) fn take(pidfd: OwnedFd) {
    let Some(reaper) = reaper() else {
        reap(&pidfd, 0);
        return;
    };
    let first = {
        let mut state = lock(&reaper.state);
        state.arrived.push(pidfd);
        state.pending += 1;
        state.arrived.len() == 1
    };
    if first {
        // A full pipe wakes as well.
        drop(lock(&reaper.wake).write(&[0]));
    }
}

/// Waits until every init that was let go has been reaped.
pub fn flush_reaper() {
    let Some(Some(reaper)) = REAPER.get() else { return };
    let mut state = lock(&reaper.state);
    while state.pending > 0 {
        state = reaper.empty.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// An init whose control socket has closed dies within milliseconds, unless the
/// kernel holds one of its tree; nobody's exit is to hang for that.
const PATIENCE_AT_EXIT: Duration = Duration::from_secs(1);

fn at_exit() {
    extern "C" fn flush() {
        let Some(Some(reaper)) = REAPER.get() else { return };
        if reaper.owner == std::process::id() {
            let pending = |state: &mut State| state.pending > 0;
            drop(reaper.empty.wait_timeout_while(lock(&reaper.state), PATIENCE_AT_EXIT, pending));
        }
    }
    // SAFETY: a function that takes no arguments, does not unwind and lives as long
    // as the program. When it cannot be registered, zombies may be left at exit.
    unsafe { libc::atexit(flush) };
}

fn run(mut woken: PipeReader) {
    let mut waiting: Vec<OwnedFd> = Vec::new();
    loop {
        let mut polled = vec![entry(woken.as_raw_fd())];
        polled.extend(waiting.iter().map(|pidfd| entry(pidfd.as_raw_fd())));
        // SAFETY: the entries are as many as said.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
        let Some(Some(reaper)) = REAPER.get() else { continue };
        if polled[0].revents != 0 {
            // What was read says nothing but that someone has arrived.
            drop(woken.read(&mut [0; 64]));
        }
        let before = waiting.len();
        waiting.retain(|pidfd| !reap(pidfd, libc::WNOHANG));
        let mut state = lock(&reaper.state);
        state.pending -= before - waiting.len();
        waiting.append(&mut state.arrived);
        if state.pending == 0 {
            reaper.empty.notify_all();
        }
    }
}

fn entry(fd: i32) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Whether nothing is left to be reaped.
fn reap(pidfd: &OwnedFd, flags: libc::c_int) -> bool {
    // SAFETY: all zero is a valid structure, filled by the call.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::__WALL | flags;
        let id = pidfd.as_raw_fd() as libc::id_t;
        let done = libc::waitid(libc::P_PIDFD, id, &raw mut info, options);
        // Somebody else has reaped it (ECHILD), or it was not reaped yet (pid 0).
        done != 0 || info.si_pid() != 0
    }
}

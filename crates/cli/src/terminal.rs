//! This process's own terminal, while a command has one of its own.
//!
//! What a person types goes on as it is, so the terminal is in raw mode: `^C` is a byte for the command's terminal, whose
//! driver makes the signal of it. The terminal is as it was before on every way out that a program has: the end, an error, a
//! panic, a signal that ends or stops this process.
//!
//! The trap: nothing can be done about SIGKILL; `reset` and `stty sane` exist for that.

use crate::failure::Failure;
use ringfence::TerminalSize;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io;
use std::sync::{Mutex, Once, PoisonError};

/// How the terminal was, while it is otherwise.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The size of a terminal that nobody sees. Source: the VT100, and every program since.
const UNSEEN: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// The size of the terminal this process is at.
pub(crate) fn size() -> TerminalSize {
    let sizes = [tcgetwinsize(io::stdin()), tcgetwinsize(io::stdout()), tcgetwinsize(io::stderr())];
    let seen = sizes.into_iter().flatten().find(|size| size.ws_col > 0 && size.ws_row > 0);
    seen.map_or(UNSEEN, |size| TerminalSize { columns: size.ws_col, rows: size.ws_row })
}

/// Raw mode of the terminal that standard input is, until this is dropped.
pub(crate) struct RawMode(());

impl RawMode {
    /// Sets it; `None` when standard input is no terminal.
    pub(crate) fn enter() -> Result<Option<RawMode>, Failure> {
        if !isatty(io::stdin()) {
            return Ok(None);
        }
        restore_in_panics();
        let mode = RawMode(());
        mode.set().map_err(|errno| Failure::Terminal(errno.into()))?;
        Ok(Some(mode))
    }

    fn set(&self) -> rustix::io::Result<()> {
        let mut settings = tcgetattr(io::stdin())?;
        let mut before = lock();
        before.get_or_insert_with(|| settings.clone());
        settings.make_raw();
        // Nothing that was typed is thrown away: this is done twice after a stop, here and when the signal arrives.
        tcsetattr(io::stdin(), OptionalActions::Drain, &settings)
    }

    /// Stops this process as a shell wants it to, and goes on where it was.
    pub(crate) fn stop(&self) {
        restore();
        stop_this_process();
        self.resume();
    }

    /// Sets raw mode again, after somebody else had the terminal.
    pub(crate) fn resume(&self) {
        // A terminal that is gone says so where it is read.
        let _set = self.set();
    }
}

/// Returns when somebody lets this process go on.
pub(crate) fn stop_this_process() {
    // A process may always signal itself.
    let _sent = kill_process(getpid(), Signal::STOP);
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = lock().take() {
        let _restored = tcsetattr(io::stdin(), OptionalActions::Drain, &before);
    }
}

/// The message of a panic is to be read on a terminal that is as it was.
fn restore_in_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            print(panic);
        }));
    });
}

fn lock() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, target_os = "linux"))]
#[path = "../tests/support/pty.rs"]
mod pty;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::termios::LocalModes;
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    /// Set for the one that is to panic.
    const PANIC: &str = "RINGFENCE_TEST_PANIC";

    fn edits_lines(terminal: impl AsFd) -> bool {
        let modes = tcgetattr(terminal).expect("it is a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// At a terminal: panics in raw mode. Does nothing in an ordinary run of the tests.
    #[test]
    fn a_panic_in_raw_mode() {
        if std::env::var_os(PANIC).is_none() {
            return;
        }
        let mode = RawMode::enter().ok().flatten().expect("standard input is a terminal");
        // Only the hook is left to set it back.
        std::mem::forget(mode);
        if edits_lines(io::stdin()) {
            std::process::exit(1);
        }
        panic!("on purpose");
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let (_master, slave) = pty::terminal();
        let status = Command::new(std::env::current_exe().expect("it has a path"))
            .args(["--exact", "terminal::tests::a_panic_in_raw_mode"])
            .env(PANIC, "1")
            .stdin(slave.try_clone().expect("a descriptor"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("it can be started");
        assert_eq!(status.code(), Some(101), "it panicked, in raw mode");
        assert!(edits_lines(&slave));
    }
}

//! Signals to this process, passed on to the run.
//!
//! A signal that was ignored when this process began stays ignored: `nohup ringfence …` must outlive its terminal, and a
//! background job of a script must not die of the interrupt of another.

use rustix::process::Signal as Stop;
use std::fs;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Numbers of the signals that are passed on, the same on every Unix. Source: POSIX, `kill`.
pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGQUIT: i32 = 3;
pub(crate) const SIGPIPE: i32 = 13;
pub(crate) const SIGTERM: i32 = 15;

/// The signals that are passed on to a run.
pub(crate) struct Signals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    terminal: Option<OfTerminal>,
}

/// What a terminal and the shell that owns it tell.
struct OfTerminal {
    quit: Option<Signal>,
    resized: Signal,
    stop: Option<Signal>,
    resumed: Signal,
}

/// Something that is told to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A signal for the run.
    PassOn(i32),
    /// The terminal has another size.
    Resized,
    /// This process shall stop.
    Stop,
    /// This process goes on after a stop.
    Resumed,
}

impl Signals {
    /// Begins to listen, also to what concerns a terminal when the command has one; needs a runtime.
    pub(crate) fn listen(terminal: bool) -> io::Result<Signals> {
        let ignored = ignored();
        let listen = |number: i32| match ignored & (1 << (number - 1)) {
            0 => signal(SignalKind::from_raw(number)).map(Some),
            _ => Ok(None),
        };
        let of_terminal = || {
            Ok::<_, io::Error>(OfTerminal {
                quit: listen(SIGQUIT)?,
                resized: signal(SignalKind::window_change())?,
                stop: listen(Stop::TSTP.as_raw())?,
                resumed: signal(SignalKind::from_raw(Stop::CONT.as_raw()))?,
            })
        };
        Ok(Signals {
            terminal: terminal.then(of_terminal).transpose()?,
            hangup: listen(SIGHUP)?,
            interrupt: listen(SIGINT)?,
            terminate: listen(SIGTERM)?,
        })
    }

    /// What is told next.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            () = one(&mut self.hangup) => Told::PassOn(SIGHUP),
            () = one(&mut self.interrupt) => Told::PassOn(SIGINT),
            () = one(&mut self.terminate) => Told::PassOn(SIGTERM),
            told = of_terminal(&mut self.terminal) => told,
        }
    }
}

async fn of_terminal(terminal: &mut Option<OfTerminal>) -> Told {
    let Some(terminal) = terminal else { return std::future::pending().await };
    tokio::select! {
        () = one(&mut terminal.quit) => Told::PassOn(SIGQUIT),
        () = one(&mut terminal.stop) => Told::Stop,
        _ = terminal.resized.recv() => Told::Resized,
        _ = terminal.resumed.recv() => Told::Resumed,
    }
}

async fn one(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// The set of ignored signals, as a mask; empty where the system does not tell. Source: proc(5), `SigIgn`.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

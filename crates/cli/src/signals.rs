//! Signals to this process, passed on to the run.
//!
//! A signal that was ignored when this process began stays ignored: `nohup ringfence …` must outlive its terminal, and a
//! background job of a script must not die of the interrupt of another.

use std::fs;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Numbers of the signals that are passed on, the same on every Unix. Source: POSIX, `kill`.
pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGPIPE: i32 = 13;
pub(crate) const SIGTERM: i32 = 15;

/// The signals that are passed on to a run.
pub(crate) struct Signals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    /// Begins to listen; needs a runtime.
    pub(crate) fn listen() -> io::Result<Signals> {
        let ignored = ignored();
        let listen = |number: i32| match ignored & (1 << (number - 1)) {
            0 => signal(SignalKind::from_raw(number)).map(Some),
            _ => Ok(None),
        };
        Ok(Signals {
            hangup: listen(SIGHUP)?,
            interrupt: listen(SIGINT)?,
            terminate: listen(SIGTERM)?,
        })
    }

    /// The number of the next signal.
    pub(crate) async fn next(&mut self) -> i32 {
        tokio::select! {
            () = one(&mut self.hangup) => SIGHUP,
            () = one(&mut self.interrupt) => SIGINT,
            () = one(&mut self.terminate) => SIGTERM,
        }
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

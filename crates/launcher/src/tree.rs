//! A running tree, seen by its supervisor: reports in, orders out.
//!
//! Letting go of the handle closes the control socket, which ends the tree. The
//! dead init is reaped in the background, so that nobody waits for the kernel to
//! take the namespaces down.

use crate::{
    init::wire,
    plan::Plan,
    reaper,
    report::{Denied, Report},
    service::{SocketService, receive_with_descriptor},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Longest datagram of the init: a refusal with a path.
const LONGEST: usize = 8192;

/// A running tree. Dropping it kills every process of it.
#[derive(Debug)]
pub struct Tree {
    pid: u32,
    pidfd: Option<OwnedFd>,
    control: OwnedFd,
    plan: Arc<Plan>,
    sockets: Mutex<Option<SocketService>>,
    /// Refusals by the number that the init gave them, which counts them from 1.
    told: Mutex<Vec<Denied>>,
}

impl Tree {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd, control: OwnedFd, plan: Arc<Plan>) -> Self {
        Self {
            pid: pid.unsigned_abs(),
            pidfd: Some(pidfd),
            control,
            plan,
            told: Mutex::default(),
            sockets: Mutex::default(),
        }
    }

    /// Process number of the init, as this process sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The control socket: readable when a report waits or the init is gone.
    /// It is only to be waited for; reports are read by [`Tree::next_report`].
    #[must_use]
    pub fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// The next report, without waiting; `None` when the init is gone.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits.
    pub fn next_report(&self) -> io::Result<Option<Report>> {
        self.receive(libc::MSG_DONTWAIT)
    }

    /// The next report; waits for it. `None` when the init is gone.
    ///
    /// # Errors
    /// What recv(2) says.
    pub fn wait_report(&self) -> io::Result<Option<Report>> {
        self.receive(0)
    }

    /// The next report, left where it is for [`Tree::next_report`]; waits at most `patience` for
    /// it. `None` when none has come by then, or the init is gone.
    ///
    /// # Errors
    /// What poll(2) and recv(2) say.
    pub fn peek_report(&self, patience: Duration) -> io::Result<Option<Report>> {
        let mut entry =
            libc::pollfd { fd: self.control.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = libc::c_int::try_from(patience.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one entry.
        match unsafe { libc::poll(&raw mut entry, 1, limit) } {
            0 => Ok(None),
            1.. => self.receive(libc::MSG_PEEK | libc::MSG_DONTWAIT),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error => Err(error),
            },
        }
    }

    fn receive(&self, flags: libc::c_int) -> io::Result<Option<Report>> {
        let mut bytes = [0_u8; LONGEST];
        loop {
            match receive_with_descriptor(&self.control, &mut bytes, flags) {
                Ok((0, _)) => return Ok(None),
                Ok((n, descriptor)) => {
                    let peeked = flags & libc::MSG_PEEK != 0;
                    // One that is left where it is brings another with it when it is fetched.
                    if let Some(channel) = descriptor.filter(|_| !peeked) {
                        *self.offered() = Some(SocketService::new(channel));
                    }
                    let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                    let describe = |index| self.describe(index);
                    let report = Report::decode(&bytes[..n], describe, &mut told);
                    if report.is_some() || peeked {
                        return Ok(report);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // The init ended with orders unread. This is told once, and before the
                // reports that it sent still wait to be read.
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sockets of the tree's network namespace, once [`Report::Sockets`] has come; only once.
    #[must_use]
    pub fn take_sockets(&self) -> Option<SocketService> {
        self.offered().take()
    }

    fn offered(&self) -> MutexGuard<'_, Option<SocketService>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, index: usize) -> (Option<crate::init::wire::Op>, String) {
        self.plan.steps.get(index).map_or_else(
            || (None, "enter the new namespaces".to_owned()),
            |step| (Some(step.op()), step.to_string()),
        )
    }

    /// Sends a signal to every process of the tree, and SIGCONT after it, so that
    /// a stopped one sees it too.
    ///
    /// # Errors
    /// When the init is gone.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.order([wire::ORDER_SIGNAL, u64::from(signal.unsigned_abs())])
    }

    /// Kills every process of the tree; [`Report::Finished`] follows.
    ///
    /// # Errors
    /// When the init is gone.
    pub fn kill(&self) -> io::Result<()> {
        self.order([wire::ORDER_KILL, 0])
    }

    fn order(&self, words: [u64; 2]) -> io::Result<()> {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: two words, sixteen bytes.
        let n = unsafe { libc::send(self.control.as_raw_fd(), words.as_ptr().cast(), 16, flags) };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // The socket closes right after this, and with it the tree.
        if let Some(pidfd) = self.pidfd.take() {
            reaper::take(pidfd);
        }
    }
}

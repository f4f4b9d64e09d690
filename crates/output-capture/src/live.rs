//! Secrets that become known while a run is on.
//!
//! A token that a step fetches, a password that a helper hands out: they are added to the handle, and every stream that
//! was started from it masks them from the next byte it reads on. Bytes that a stream was still holding at that moment
//! count as not yet read, so a secret whose beginning was held is masked whole. What has left has left: a secret that
//! was half out when it was added is not recognised. The trap: adding compiles all secrets anew, some milliseconds for
//! some hundred; add many in one call.

use crate::options::{RedactionOptions, RedactionWarning};
use crate::redactor::{Follow, Redaction, Redactor};
use crate::secret::Secret;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A redaction that secrets can be added to while its streams are on; clones are the same redaction.
#[derive(Clone)]
pub struct LiveRedaction(Arc<Shared>);

struct Shared {
    /// Counts the changes, so that a stream need not take the lock to see that there was none.
    version: AtomicU64,
    redaction: Mutex<Redaction>,
}

impl LiveRedaction {
    /// Compiles `secrets`; the warnings name those that will not be masked.
    pub fn compile<S>(secrets: S, options: &RedactionOptions) -> (Self, Vec<RedactionWarning>)
    where
        S: IntoIterator,
        S::Item: std::borrow::Borrow<Secret>,
    {
        let (redaction, warnings) = Redaction::compile(secrets, options);
        (Self::of(redaction), warnings)
    }

    /// Begins with what a redaction masks; costs nothing until a secret is added. The redaction itself stays as it is.
    pub fn of(redaction: Redaction) -> Self {
        Self(Arc::new(Shared { version: AtomicU64::new(0), redaction: Mutex::new(redaction) }))
    }

    /// Adds one secret; the warning says that it will not be masked, and why.
    pub fn add(&self, secret: &Secret) -> Option<RedactionWarning> {
        self.add_all([secret]).pop()
    }

    /// Adds several secrets at the price of one; the warnings name those that will not be masked.
    ///
    /// When it returns, no stream passes one of them on in what it reads from then on.
    pub fn add_all<S>(&self, secrets: S) -> Vec<RedactionWarning>
    where
        S: IntoIterator,
        S::Item: std::borrow::Borrow<Secret>,
    {
        let secrets: Vec<S::Item> = secrets.into_iter().collect();
        let secrets = secrets.iter().map(std::borrow::Borrow::borrow);
        let mut redaction = self.lock();
        let (more, warnings) = redaction.with(secrets);
        *redaction = more;
        self.0.version.fetch_add(1, Ordering::Release);
        warnings
    }

    /// A new stream, which hears of secrets that are added later.
    pub fn stream(&self) -> Redactor {
        let redaction = self.lock();
        let version = self.0.version.load(Ordering::Acquire);
        let follow = Follow { redaction: self.clone(), version };
        redaction.stream_of(Some(follow))
    }

    /// The redaction as it is now, which stays so.
    pub fn snapshot(&self) -> Redaction {
        self.lock().clone()
    }

    /// The redaction as it is now, when it is not the one of `version`, which becomes the present one.
    pub(crate) fn newer_than(&self, version: &mut u64) -> Option<Redaction> {
        if self.0.version.load(Ordering::Acquire) == *version {
            return None;
        }
        let redaction = self.lock();
        *version = self.0.version.load(Ordering::Acquire);
        Some(redaction.clone())
    }

    /// A panic while the lock is held leaves the old redaction, or the whole new one.
    fn lock(&self) -> MutexGuard<'_, Redaction> {
        self.0.redaction.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LiveRedaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveRedaction(***)")
    }
}

//! Plays a transcript: shows each entry at its time.
//!
//! It neither writes nor sleeps by itself; both are given, so a test needs no time. The trap: a pause of an hour in the
//! recording is an hour in the playing, unless pauses are limited.

use super::read::{Entry, ReadError, Reader};
use std::io::{self, BufRead};
use std::time::Duration;

/// How a transcript is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playback {
    /// 2 is twice as fast as it was; infinity shows everything at once. Default: 1.
    pub speed: f64,
    /// Longest pause, as it is waited. Default: as long as it was.
    pub max_idle: Option<Duration>,
}

impl Default for Playback {
    fn default() -> Self {
        Self { speed: 1.0, max_idle: None }
    }
}

/// Why a playing ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlayError {
    /// The transcript cannot be read on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry could not be shown.
    #[error("cannot show the transcript")]
    Show(#[source] io::Error),
}

/// Gives each entry to `show`, and before that the time since the one before to `wait`.
///
/// # Errors
/// When the transcript is damaged or `show` fails.
pub fn play<R: BufRead>(
    transcript: &mut Reader<R>,
    playback: &Playback,
    mut wait: impl FnMut(Duration),
    mut show: impl FnMut(&Entry) -> io::Result<()>,
) -> Result<(), PlayError> {
    let mut now = Duration::ZERO;
    for entry in transcript {
        let entry = entry?;
        let pause = pause(entry.at.saturating_sub(now), playback);
        if !pause.is_zero() {
            wait(pause);
        }
        now = now.max(entry.at);
        show(&entry).map_err(PlayError::Show)?;
    }
    Ok(())
}

/// A speed that is no positive number does not wait.
fn pause(gap: Duration, playback: &Playback) -> Duration {
    let pause = Duration::try_from_secs_f64(gap.as_secs_f64() / playback.speed);
    let pause = pause.unwrap_or(Duration::ZERO);
    playback.max_idle.map_or(pause, |most| pause.min(most))
}

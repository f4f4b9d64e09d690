//! How soon to look at a tree again.
//!
//! Pure but for [`cores`]. The nearer a tree is to a limit, the sooner the next look: an interval is the time in which
//! this machine could use up what is left. So a command far from its limits costs five looks a second, and
//! one that races towards them is stopped a few percent beyond.
//!
//! The trap: looking costs time, too, and a tree of a thousand processes takes longer to read than the
//! shortest interval. A share of the time at most goes into looks, whatever the limits say.

use std::sync::OnceLock;
use std::time::Duration;

/// The shortest time between two looks.
pub const SHORTEST: Duration = Duration::from_millis(10);
/// The longest time between two looks.
pub const LONGEST: Duration = Duration::from_millis(200);

/// How fast memory can be filled: 4 GiB a second, what one core of a server of 2024 does when each page is
/// touched for the first time. In bytes for each millisecond.
const MEMORY_FILL: u64 = (4 << 30) / 1000;
/// How fast processes can be started: ten thousand a second and core. For each millisecond.
const FORK_RATE: u64 = 10;
/// A look may take this part of the time.
const SHARE: u32 = 20;

/// Cores of this machine; asked once. One when the system does not say.
#[must_use]
pub fn cores() -> u32 {
    static CORES: OnceLock<u32> = OnceLock::new();
    *CORES.get_or_init(|| online().unwrap_or(1).max(1))
}

/// Not the standard library's question, which reads files of control groups.
#[cfg(target_os = "linux")]
fn online() -> Option<u32> {
    use nix::unistd::{SysconfVar, sysconf};
    let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten()?;
    u32::try_from(count).ok()
}

#[cfg(not(target_os = "linux"))]
fn online() -> Option<u32> {
    u32::try_from(std::thread::available_parallelism().ok()?.get()).ok()
}

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Bytes of memory.
    Memory(u64),
    /// Processes.
    Processes(u64),
    /// CPU time of the tree.
    Cpu(Duration),
    /// Bytes of storage.
    Disk(u64),
}

/// The time until the next look, when the last one took `cost` and the machine has `cores`.
#[must_use]
pub fn pace(left: impl IntoIterator<Item = Left>, cost: Duration, cores: u32) -> Duration {
    let cores = cores.max(1);
    let soonest = left.into_iter().map(|left| match left {
        Left::Memory(bytes) => Duration::from_millis(bytes / MEMORY_FILL),
        Left::Processes(count) => Duration::from_millis(count / FORK_RATE / u64::from(cores)),
        Left::Cpu(time) => time / cores,
        // Storage is written more slowly than memory, but the pages of files come first.
        Left::Disk(bytes) => Duration::from_millis(bytes / MEMORY_FILL),
    });
    let soonest = soonest.min().unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
    soonest.max(cost.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(left: &[Left], cost_ms: u64, expect_ms: u64) {
        let pace = pace(left.iter().copied(), Duration::from_millis(cost_ms), 2);
        assert_eq!(pace, Duration::from_millis(expect_ms), "{left:?}");
    }

    #[test]
    fn the_nearest_limit_sets_the_pace() {
        use Left::{Cpu, Memory, Processes};
        check(&[], 0, 200);
        check(&[Memory(64 << 30)], 0, 200);
        check(&[Memory(512 << 20)], 0, 125);
        check(&[Memory(0)], 0, 10);
        check(&[Processes(1000)], 0, 50);
        check(&[Memory(64 << 30), Processes(3)], 0, 10);
        check(&[Cpu(Duration::from_secs(60))], 0, 200);
        check(&[Cpu(Duration::from_millis(100))], 0, 50);
    }

    #[test]
    fn looks_take_a_twentieth_of_the_time_at_most() {
        check(&[Left::Memory(0)], 5, 100);
        check(&[Left::Memory(0)], 50, 1000);
    }
}

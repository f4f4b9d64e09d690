//! When to look at the living tree, and what the look means.
//!
//! For the sample that observers get each second, and for limits of a whole tree that the kernel
//! does not keep. Pure but for [`Watch::check`], which makes sure before the start that looking is
//! possible: a limit that nobody can keep is an error, not a surprise.

use std::time::{Duration, Instant};

use ringfence_resource_limits::{LimitHit, LimitedResource, Sample, SampleError, sample};

use crate::json::whole_millis;
use crate::spec::{SAMPLING, Watched};

/// How often observers get a sample.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// The kernel's own CPU limit comes first, with the signal a command can handle; it takes a second
/// from `SIGXCPU` to `SIGKILL`.
const CPU_TOLERANCE: Duration = Duration::from_secs(1);
/// Processes looked at, at most, when their number is not limited.
const MOST_PROCESSES: u64 = 4096;

/// The looks at one tree.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Watched,
    next_usage: Instant,
    next_look: Option<Instant>,
}

/// A look that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Observers get what is seen.
    pub(crate) tell: bool,
    /// Processes to look at, at most.
    pub(crate) at_most: u64,
}

impl Watch {
    pub(crate) fn new(started: Instant, limits: Watched) -> Self {
        let next_look = limits.any().then(|| started + SAMPLING);
        Self { limits, next_usage: started + USAGE_EVERY, next_look }
    }

    /// Makes sure that the limits can be watched on this system.
    pub(crate) fn check(limits: &Watched) -> Result<(), SampleError> {
        if limits.any() { sample(std::process::id(), 1).map(drop) } else { Ok(()) }
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Instant {
        self.next_look.map_or(self.next_usage, |look| look.min(self.next_usage))
    }

    /// The look that is due at `now`, if one is. A look that comes late is not made up for.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Look> {
        let tell = now >= self.next_usage;
        let look = self.next_look.is_some_and(|next| now >= next);
        if tell {
            self.next_usage = now + USAGE_EVERY;
        }
        if look {
            self.next_look = Some(now + SAMPLING);
        }
        let at_most = self.limits.processes.map_or(MOST_PROCESSES, |limit| limit.saturating_add(1));
        (tell || look).then_some(Look { tell, at_most })
    }

    /// The limit that a sample is over, if there is one.
    pub(crate) fn exceeded(&self, sample: &Sample) -> Option<LimitHit> {
        let processes = self.limits.processes.filter(|&limit| sample.threads > limit);
        let cpu = self
            .limits
            .cpu_time
            .filter(|&limit| sample.cpu() >= limit.saturating_add(CPU_TOLERANCE));
        let hit = |resource, limit, observed| LimitHit {
            resource,
            limit,
            observed: Some(observed),
            ended_command: true,
        };
        processes.map(|limit| hit(LimitedResource::Processes, limit, sample.threads)).or_else(
            || {
                cpu.map(|limit| {
                    hit(LimitedResource::Cpu, whole_millis(limit), whole_millis(sample.cpu()))
                })
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Watched = Watched { cpu_time: None, processes: None };

    fn check_due(limits: Watched, looks: &[(u64, Option<bool>)]) {
        let start = Instant::now();
        let mut watch = Watch::new(start, limits);
        for &(ms, expect) in looks {
            let due = watch.due(start + Duration::from_millis(ms));
            assert_eq!(due.map(|look| look.tell), expect, "at {ms} ms");
        }
    }

    #[test]
    fn observers_get_a_sample_each_second() {
        let looks =
            [(999, None), (1000, Some(true)), (1999, None), (2300, Some(true)), (3200, None)];
        check_due(NONE, &looks);
    }

    #[test]
    fn limits_are_looked_at_more_often() {
        let limits = Watched { processes: Some(4), ..NONE };
        let looks =
            [(49, None), (50, Some(false)), (99, None), (100, Some(false)), (1000, Some(true))];
        check_due(limits, &looks);
    }

    #[test]
    fn what_is_over_a_limit_is_named() {
        let check = |limits: Watched,
                     threads: u64,
                     cpu_ms: u64,
                     expect: Option<(&str, u64, u64)>| {
            let user_cpu = Duration::from_millis(cpu_ms);
            let sample = Sample { threads, user_cpu, ..Sample::default() };
            let watch = Watch::new(Instant::now(), limits);
            let got = watch.exceeded(&sample).map(|hit| {
                (hit.resource.as_str(), hit.limit, hit.observed.expect("because it was measured"))
            });
            assert_eq!(got, expect);
        };
        check(NONE, 1_000_000, 1_000_000, None);
        let processes = Watched { processes: Some(4), ..NONE };
        check(processes, 4, 0, None);
        check(processes, 5, 0, Some(("processes", 4, 5)));
        let cpu = Watched { cpu_time: Some(Duration::from_secs(2)), ..NONE };
        check(cpu, 9, 2999, None);
        check(cpu, 9, 3000, Some(("cpu", 2000, 3000)));
    }
}

//! When to look at the living tree, and what the look means.
//!
//! For the sample that observers get each second, and for limits of a whole tree that the kernel
//! does not keep. Pure but for [`Watch::check`], which makes sure before the start that looking is
//! possible: a limit that nobody can keep is an error, not a surprise.

use std::time::{Duration, Instant};

use ringfence_resource_limits::{
    LimitHit, LimitedResource, Sample, SampleError, proportional_memory, sample,
};

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

    /// Looks at the tree below `root`. Reads many files, so it is for a thread that may block.
    pub(crate) fn look(look: Look, root: u32, limits: &Watched) -> Result<Seen, SampleError> {
        let sample = sample(root, look.at_most)?;
        // The plain sum counts shared pages again and again; only when that is over the limit is
        // the true sum worth its price.
        let over = limits.memory.is_some_and(|limit| sample.memory_bytes > limit);
        let memory = match over {
            true => proportional_memory(root, look.at_most)?,
            false => sample.memory_bytes,
        };
        Ok(Seen { sample, memory })
    }

    /// The limit that what was seen is over, if there is one.
    pub(crate) fn exceeded(&self, seen: &Seen) -> Option<LimitHit> {
        let Seen { sample, memory } = seen;
        let over = |resource, limit: Option<u64>, observed: u64, tolerance: u64| {
            let limit = limit.filter(|limit| observed > limit.saturating_add(tolerance))?;
            Some(LimitHit { resource, limit, observed: Some(observed), ended_command: true })
        };
        let Watched { memory: most, cpu_time, processes } = self.limits;
        let (allowed, used) = (cpu_time.map(whole_millis), whole_millis(sample.cpu()));
        over(LimitedResource::Memory, most, *memory, 0)
            .or_else(|| over(LimitedResource::Processes, processes, sample.threads, 0))
            .or_else(|| over(LimitedResource::Cpu, allowed, used, whole_millis(CPU_TOLERANCE) - 1))
    }

    /// The limits that are looked at.
    pub(crate) fn limits(&self) -> Watched {
        self.limits
    }
}

/// What a look saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) sample: Sample,
    /// Memory of the tree, shared pages counted once as far as that was worth finding out.
    pub(crate) memory: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Watched = Watched { memory: None, cpu_time: None, processes: None };

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
            let seen = Seen { sample, memory: 0 };
            let watch = Watch::new(Instant::now(), limits);
            let got = watch.exceeded(&seen).map(|hit| {
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
        let watch = Watch::new(Instant::now(), Watched { memory: Some(100), ..NONE });
        let seen = |memory| Seen { memory, ..Seen::default() };
        assert!(watch.exceeded(&seen(100)).is_none());
        let hit = watch.exceeded(&seen(101)).expect("because it is over the limit");
        assert_eq!((hit.resource, hit.observed), (LimitedResource::Memory, Some(101)));
    }
}

//! When to look at the living tree, and what the look means.
//!
//! For the sample that observers get each second, and for limits of a whole tree that the kernel
//! does not keep. The nearer a limit, the sooner the next look. Pure but for [`Watch::check`], which makes sure before the
//! start that looking is possible (a limit that nobody can keep is an error, not a surprise), and for [`Eyes`].

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ringfence_resource_limits::{
    DiskWatch, Evidence, LONGEST, Left, LimitHit, LimitedResource, ProgramName, Sample,
    SampleError, Sampler, Scope, cores, pace, proportional_memory, sample,
};

use crate::json::whole_millis;
use crate::spec::{Processes, Watched};

/// How often observers get a sample.
const USAGE_EVERY: Duration = Duration::from_secs(1);
/// The kernel's own CPU limit comes first, with the signal a command can handle; it takes a second
/// from `SIGXCPU` to `SIGKILL`.
const CPU_TOLERANCE: Duration = Duration::from_secs(1);
/// Processes looked at, at most, when their number is not limited.
const MOST_PROCESSES: u64 = 4096;
/// The least time between two looks that are for a name alone.
const FOR_A_NAME: Duration = Duration::from_millis(25);
/// How long a tree may stay at its most processes while it goes on starting new ones.
const SATURATED: Duration = Duration::from_secs(2);

/// The looks at one tree.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Watched,
    next_usage: Instant,
    next_look: Option<Instant>,
    eyes: Option<Eyes>,
    crowd: Option<Crowd>,
    /// The program that had half of the group's memory or more when somebody last looked.
    hog: Option<ProgramName>,
}

/// What looks, and what it remembers.
#[derive(Debug)]
pub(crate) struct Eyes {
    sampler: Sampler,
    disk: Option<DiskWatch>,
    limits: Watched,
}

/// A look that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Observers get what is seen.
    pub(crate) tell: bool,
    /// How far to look.
    scope: Scope,
}

/// A tree at its most processes.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    since: Instant,
    births: u64,
}

impl Watch {
    /// Looks at the tree below `root`, which writes to `places`.
    pub(crate) fn new(started: Instant, limits: Watched, root: u32, places: &[PathBuf]) -> Self {
        let first = pace(untouched(&limits), Duration::ZERO, cores());
        let next_look = limits.any().then(|| started + first);
        let disk = limits.disk.map(|limit| DiskWatch::new(places, limit));
        let eyes = Some(Eyes { sampler: Sampler::new(root), disk, limits });
        Self { limits, next_usage: started + USAGE_EVERY, next_look, eyes, crowd: None, hog: None }
    }

    /// Makes sure that the limits can be watched on this system; asked once.
    pub(crate) fn check(limits: &Watched) -> Result<(), SampleError> {
        static CAN: OnceLock<()> = OnceLock::new();
        if limits.any() && CAN.get().is_none() {
            sample(std::process::id(), 1)?;
            CAN.get_or_init(|| ());
        }
        Ok(())
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Instant {
        self.next_look.map_or(self.next_usage, |look| look.min(self.next_usage))
    }

    /// The look that is due at `now`, if one is, with what is to look. A look that comes late is not made up for.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(Look, Eyes)> {
        let tell = now >= self.next_usage;
        let look = self.next_look.is_some_and(|next| now >= next);
        if tell {
            self.next_usage = now + USAGE_EVERY;
        }
        let at_most = match self.limits.processes {
            // One more than what may be is enough to know; what the kernel keeps is never more.
            Some(Processes::Looked(limit)) => limit.saturating_add(1),
            _ => MOST_PROCESSES,
        };
        let scope = Scope { at_most, descriptors: self.limits.open_files.is_some() };
        let eyes = self.eyes.take_if(|_| tell || look)?;
        Some((Look { tell, scope }, eyes))
    }

    /// Takes what a look saw, and gives the limit that is over, if there is one.
    pub(crate) fn take(&mut self, eyes: Eyes, seen: &Seen, now: Instant) -> Option<LimitHit> {
        self.eyes = Some(eyes);
        self.next_look = self.limits.any().then(|| now + self.pace(seen));
        self.note_crowd(seen, now);
        self.note_hog(&seen.sample);
        self.exceeded(seen, now)
    }

    /// The tree could not be looked at; it has ended, most likely.
    pub(crate) fn give_up(&mut self, now: Instant) {
        self.next_look = self.limits.any().then(|| now + USAGE_EVERY);
    }

    /// The program that used up the memory of a control group, where that is known: it had half of it or more a moment before, so nobody
    /// had more.
    pub(crate) fn hog(&self) -> Option<String> {
        self.hog.map(|name| name.to_string())
    }

    fn note_hog(&mut self, sample: &Sample) {
        let most = self.limits.memory_of_group;
        let half = most.is_some_and(|limit| sample.largest_bytes >= limit.div_ceil(2));
        self.hog = sample.largest.filter(|_| half);
    }

    /// What only makes a name known is not worth a look in every hundredth of a second.
    fn pace(&self, seen: &Seen) -> Duration {
        let named = self.limits.memory_of_group.map(|limit| limit.saturating_sub(seen.memory));
        let named =
            named.map(|left| pace([Left::Memory(left)], seen.cost, cores()).max(FOR_A_NAME));
        self.pace_of_limits(seen).min(named.unwrap_or(LONGEST))
    }

    fn pace_of_limits(&self, seen: &Seen) -> Duration {
        let Watched { memory, cpu_time, disk, .. } = self.limits;
        let processes = self.limits.processes.map(Processes::limit);
        let cpu = cpu_time.map(|limit| (limit + CPU_TOLERANCE).saturating_sub(seen.sample.cpu()));
        let left = [
            memory.map(|limit| Left::Memory(limit.saturating_sub(seen.memory))),
            processes.map(|limit| Left::Processes(limit.saturating_sub(seen.sample.threads))),
            cpu.map(Left::Cpu),
            disk.map(|limit| Left::Disk(limit.saturating_sub(seen.shrunk))),
        ];
        pace(left.into_iter().flatten(), seen.cost, cores())
    }

    /// Nine tenths of what may be count as all: those who are refused end, and others take their places.
    fn note_crowd(&mut self, seen: &Seen, now: Instant) {
        let (Some(Processes::Refused(limit)) | Some(Processes::Counted(limit))) =
            self.limits.processes
        else {
            return;
        };
        if seen.sample.threads < limit - limit / 10 {
            self.crowd = None;
            return;
        }
        // Who filled it up came before it was full.
        match &mut self.crowd {
            Some(crowd) => crowd.births = crowd.births.saturating_add(seen.sample.births),
            None => self.crowd = Some(Crowd { since: now, births: 0 }),
        }
    }

    /// A tree that stays at its limit and goes on starting processes is a runaway; one that
    /// just needs so many is not.
    fn overcrowded(&self, limit: u64, now: Instant) -> bool {
        self.crowd.is_some_and(|crowd| now - crowd.since >= SATURATED && crowd.births > limit)
    }

    fn exceeded(&self, seen: &Seen, now: Instant) -> Option<LimitHit> {
        let Seen { sample, memory, .. } = seen;
        let over = |resource, limit: Option<u64>, observed: u64, tolerance: u64, program| {
            let limit = limit.filter(|limit| observed > limit.saturating_add(tolerance))?;
            Some(sampled(resource, limit, observed, program))
        };
        let Watched { memory: most, cpu_time, processes, .. } = self.limits;
        let (allowed, used) = (cpu_time.map(whole_millis), whole_millis(sample.cpu()));
        let tolerance = whole_millis(CPU_TOLERANCE) - 1;
        let crowd = || match processes? {
            Processes::Looked(limit) => {
                let (observed, program) = (sample.threads, sample.commonest);
                over(LimitedResource::Processes, Some(limit), observed, 0, program)
            }
            Processes::Refused(limit) | Processes::Counted(limit) => {
                self.overcrowded(limit, now).then(|| {
                    sampled(LimitedResource::Processes, limit, sample.threads, sample.commonest)
                })
            }
        };
        over(LimitedResource::Memory, most, *memory, 0, sample.largest)
            .or_else(crowd)
            .or_else(|| over(LimitedResource::Cpu, allowed, used, tolerance, sample.busiest))
            .or_else(|| {
                let (limit, taken) = (self.limits.disk?, seen.taken?);
                Some(sampled(LimitedResource::Disk, limit, taken, None))
            })
    }

    /// Limits that the kernel keeps and that were used up when the look came: more was refused, or
    /// would have been.
    pub(crate) fn used_up(&self, seen: &Seen) -> Vec<LimitHit> {
        let files = self.limits.open_files.zip(seen.sample.descriptors);
        let files =
            files.filter(|(limit, (open, _))| open >= limit).map(|(limit, (open, name))| {
                sampled(LimitedResource::OpenFiles, limit, open, Some(name))
            });
        let processes = match self.limits.processes {
            Some(Processes::Refused(limit)) if seen.sample.threads >= limit => {
                let (observed, name) = (seen.sample.threads, seen.sample.commonest);
                Some(sampled(LimitedResource::Processes, limit, observed, name))
            }
            _ => None,
        };
        let hits = files.into_iter().chain(processes);
        hits.map(|hit| LimitHit { ended_command: false, ..hit }).collect()
    }
}

impl Eyes {
    /// Looks at the tree. Reads many files, so it is for a thread that may block.
    pub(crate) fn look(mut self, look: Look) -> (Self, Result<Seen, SampleError>) {
        let seen = self.see(look);
        (self, seen)
    }

    fn see(&mut self, look: Look) -> Result<Seen, SampleError> {
        let begun = Instant::now();
        let sample = self.sampler.look(&look.scope)?;
        // The plain sum counts shared pages again and again; only when that is over the limit is
        // the true sum worth its price.
        let over = self.limits.memory.is_some_and(|limit| sample.memory_bytes > limit);
        let root = self.sampler.root();
        let memory = match over {
            true => proportional_memory(root, look.scope.at_most)?,
            false => sample.memory_bytes,
        };
        let disk = self.disk.as_mut();
        let (shrunk, taken) = disk.map_or((0, None), |disk| (disk.shrunk(), disk.exceeded(root)));
        Ok(Seen { sample, memory, shrunk, taken, cost: begun.elapsed() })
    }
}

impl Processes {
    fn limit(self) -> u64 {
        match self {
            Self::Looked(limit) | Self::Refused(limit) | Self::Counted(limit) => limit,
        }
    }
}

/// All of each limit.
fn untouched(limits: &Watched) -> impl Iterator<Item = Left> {
    let processes = limits.processes.map(|limit| Left::Processes(limit.limit()));
    [
        limits.memory.or(limits.memory_of_group).map(Left::Memory),
        processes,
        limits.cpu_time.map(Left::Cpu),
        limits.disk.map(Left::Disk),
    ]
    .into_iter()
    .flatten()
}

fn sampled(
    resource: LimitedResource,
    limit: u64,
    observed: u64,
    program: Option<ProgramName>,
) -> LimitHit {
    LimitHit {
        resource,
        limit,
        observed: Some(observed),
        ended_command: true,
        evidence: Evidence::Sampled,
        program: program.map(|name| name.to_string()),
    }
}

/// What a look saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) sample: Sample,
    /// Memory of the tree, shared pages counted once as far as that was worth finding out.
    pub(crate) memory: u64,
    /// How much less free space there is than at the start.
    shrunk: u64,
    /// Storage that the tree takes, when that is over the limit.
    taken: Option<u64>,
    /// How long the look took.
    cost: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Watched = Watched {
        memory: None,
        memory_of_group: None,
        cpu_time: None,
        processes: None,
        open_files: None,
        disk: None,
    };

    fn watch(started: Instant, limits: Watched) -> Watch {
        Watch::new(started, limits, 1, &[])
    }

    fn check_due(limits: Watched, looks: &[(u64, Option<bool>)]) {
        let start = Instant::now();
        let mut watch = watch(start, limits);
        for &(ms, expect) in looks {
            let now = start + Duration::from_millis(ms);
            let due = watch.due(now);
            assert_eq!(due.as_ref().map(|(look, _)| look.tell), expect, "at {ms} ms");
            if let Some((_, eyes)) = due {
                watch.take(eyes, &Seen::default(), now);
            }
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
        let limits = Watched { processes: Some(Processes::Looked(4)), ..NONE };
        let looks =
            [(9, None), (10, Some(false)), (19, None), (20, Some(false)), (1000, Some(true))];
        check_due(limits, &looks);
        let far = Watched { memory: Some(1 << 40), ..NONE };
        check_due(far, &[(199, None), (200, Some(false)), (399, None), (400, Some(false))]);
    }

    #[test]
    fn what_is_over_a_limit_is_named() {
        let check = |limits: Watched,
                     threads: u64,
                     cpu_ms: u64,
                     expect: Option<(&str, u64, u64)>| {
            let user_cpu = Duration::from_millis(cpu_ms);
            let sample = Sample { threads, user_cpu, ..Sample::default() };
            let seen = Seen { sample, ..Seen::default() };
            let watch = watch(Instant::now(), limits);
            let got = watch.exceeded(&seen, Instant::now()).map(|hit| {
                (hit.resource.as_str(), hit.limit, hit.observed.expect("because it was measured"))
            });
            assert_eq!(got, expect);
        };
        check(NONE, 1_000_000, 1_000_000, None);
        let processes = Watched { processes: Some(Processes::Looked(4)), ..NONE };
        check(processes, 4, 0, None);
        check(processes, 5, 0, Some(("processes", 4, 5)));
        check(Watched { processes: Some(Processes::Refused(4)), ..NONE }, 9, 0, None);
        let cpu = Watched { cpu_time: Some(Duration::from_secs(2)), ..NONE };
        check(cpu, 9, 2999, None);
        check(cpu, 9, 3000, Some(("cpu", 2000, 3000)));
        let watch = watch(Instant::now(), Watched { memory: Some(100), ..NONE });
        let seen = |memory| Seen { memory, ..Seen::default() };
        assert!(watch.exceeded(&seen(100), Instant::now()).is_none());
        let hit = watch.exceeded(&seen(101), Instant::now()).expect("because it is over the limit");
        assert_eq!((hit.resource, hit.observed), (LimitedResource::Memory, Some(101)));
    }

    /// (ms, processes, born since) of looks, and whether the last one ends the tree.
    fn check_crowd(looks: &[(u64, u64, u64)], expect: bool) {
        let start = Instant::now();
        let limits = Watched { processes: Some(Processes::Refused(100)), ..NONE };
        let mut watch = watch(start, limits);
        let mut over = false;
        for &(ms, threads, births) in looks {
            let sample = Sample { threads, births, ..Sample::default() };
            let seen = Seen { sample, ..Seen::default() };
            let eyes = watch.eyes.take().expect("because the last look gave them back");
            over = watch.take(eyes, &seen, start + Duration::from_millis(ms)).is_some();
        }
        assert_eq!(over, expect, "{looks:?}");
    }

    #[test]
    fn a_runaway_at_its_limit_is_ended_and_a_large_tree_is_not() {
        check_crowd(&[(10, 100, 100), (1000, 100, 0), (9000, 100, 0)], false);
        // It had filled up, with some that ended meanwhile, before anybody looked.
        check_crowd(&[(10, 100, 115), (1000, 100, 0), (9000, 100, 0)], false);
        check_crowd(&[(10, 100, 100), (1000, 95, 60), (2010, 100, 60)], true);
        check_crowd(&[(10, 100, 100), (1000, 95, 60), (1500, 100, 60)], false);
        check_crowd(&[(10, 100, 100), (1000, 50, 60), (2010, 100, 60)], false);
    }

    #[test]
    fn who_has_half_of_the_memory_of_a_group_is_named() {
        let start = Instant::now();
        let mut watch = watch(start, Watched { memory_of_group: Some(1001), ..NONE });
        let mut check = |largest_bytes, expect: bool| {
            let largest = Some(ProgramName::default());
            let sample = Sample { largest, largest_bytes, ..Sample::default() };
            let seen = Seen { sample, memory: 1 << 40, ..Seen::default() };
            let eyes = watch.eyes.take().expect("because the last look gave them back");
            assert!(watch.take(eyes, &seen, start).is_none(), "the kernel keeps it");
            assert_eq!(watch.hog().is_some(), expect, "{largest_bytes}");
            assert_eq!(watch.next(), start + FOR_A_NAME);
        };
        check(500, false);
        check(501, true);
        check(500, false);
    }

    #[test]
    fn limits_that_are_used_up_are_told() {
        let limits =
            Watched { processes: Some(Processes::Refused(9)), open_files: Some(16), ..NONE };
        let watch = watch(Instant::now(), limits);
        let check = |threads, open: Option<u64>, expect: &[&str]| {
            let descriptors = open.map(|open| (open, ProgramName::default()));
            let sample = Sample { threads, descriptors, ..Sample::default() };
            let hits = watch.used_up(&Seen { sample, ..Seen::default() });
            let got: Vec<_> = hits.iter().map(|hit| hit.resource.as_str()).collect();
            assert_eq!(got, expect);
        };
        check(8, Some(15), &[]);
        check(9, Some(15), &["processes"]);
        check(8, Some(16), &["open_files"]);
        check(8, None, &[]);
    }
}

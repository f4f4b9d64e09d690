//! What the control group of a run has counted, in the words of a run.
//!
//! Pure but for the reading. The kernel's counters leave nobody out: not the children of parents that did not wait
//! for them, and not those who lived between two looks. The init is counted, too, and taken off where that can be.

use ringfence_resource_limits::cgroup::{Leaf, LeafEvents, LeafUsage};
use ringfence_resource_limits::{Evidence, LimitHit, LimitedResource, Limits, Sample, Usage};

use crate::spec::OF_THE_INIT;

/// The limit of this group was reached, and somebody was killed for it.
pub(crate) fn is_out_of_memory(events: LeafEvents) -> bool {
    events.out_of_memory > 0 && events.oom_kills > 0
}

/// The limits of the group that were hit; `killed`: the command was ended by `SIGKILL`; `hog`: who had most of the memory.
pub(crate) fn hits(
    (usage, events): (&LeafUsage, &LeafEvents),
    limits: &Limits,
    killed: bool,
    hog: Option<String>,
) -> Vec<LimitHit> {
    let hit = |resource, limit: Option<u64>, observed, ended_command, program| {
        let evidence = Evidence::Cgroup;
        Some(LimitHit { resource, limit: limit?, observed, ended_command, evidence, program })
    };
    let memory = is_out_of_memory(*events)
        .then(|| hit(LimitedResource::Memory, limits.memory, usage.peak_memory_bytes, killed, hog));
    // The one that was refused would have been one more than there may be.
    let processes = (events.forks_refused > 0)
        .then(|| hit(LimitedResource::Processes, limits.processes, limits.processes, false, None));
    memory.flatten().into_iter().chain(processes.flatten()).collect()
}

/// A usage in which the group's counters take the place of what was known.
pub(crate) fn usage(group: &LeafUsage, known: Usage) -> Usage {
    let mut usage = known;
    (usage.user_cpu, usage.system_cpu) = (group.user_cpu, group.system_cpu);
    usage.peak_memory_bytes = group.peak_memory_bytes.unwrap_or(known.peak_memory_bytes);
    let peak = group.peak_processes.map(|peak| peak.saturating_sub(OF_THE_INIT));
    usage.peak_processes = peak.or(known.peak_processes);
    usage.read_bytes = group.read_bytes.unwrap_or(known.read_bytes);
    usage.pressure = group.pressure.or(known.pressure);
    usage.written_bytes = group.written_bytes.unwrap_or(known.written_bytes);
    usage
}

/// A sample with what the group counts at this moment.
pub(crate) fn sample(leaf: &Leaf, sample: Sample) -> Sample {
    let usage = leaf.usage();
    Sample {
        threads: usage.processes.saturating_sub(OF_THE_INIT),
        memory_bytes: usage.memory_bytes,
        user_cpu: usage.user_cpu,
        system_cpu: usage.system_cpu,
        ..sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(events: [u64; 3], killed: bool, expect: &[(&str, bool)]) {
        let limits = Limits { memory: Some(9), processes: Some(7), ..Limits::default() };
        let mut counted = LeafEvents::default();
        [counted.out_of_memory, counted.oom_kills, counted.forks_refused] = events;
        let hog = Some("hog".to_owned());
        let hits = hits((&LeafUsage::default(), &counted), &limits, killed, hog);
        assert!(
            hits.iter().all(|hit| hit.program.is_some() == (hit.resource.as_str() == "memory"))
        );
        let got: Vec<_> =
            hits.iter().map(|hit| (hit.resource.as_str(), hit.ended_command)).collect();
        assert_eq!(got, expect, "{events:?}");
    }

    #[test]
    fn counters_become_limits_that_were_hit() {
        check([0, 0, 0], false, &[]);
        check([3, 2, 0], true, &[("memory", true)]);
        check([3, 2, 5], false, &[("memory", false), ("processes", false)]);
        // The limit was reached and something could be taken away; the machine ran out of memory.
        check([3, 0, 0], true, &[]);
        check([0, 2, 0], true, &[]);
    }

    #[test]
    fn what_the_group_does_not_count_stays_as_it_was() {
        let mut known = Usage::default();
        (known.read_bytes, known.peak_processes) = (5, Some(3));
        known.peak_memory_bytes = 11;
        let mut group = LeafUsage::default();
        let same = usage(&group, known);
        assert_eq!(
            (same.read_bytes, same.peak_processes, same.peak_memory_bytes),
            (5, Some(3), 11)
        );
        (group.read_bytes, group.peak_processes) = (Some(6), Some(10));
        let counted = usage(&group, known);
        assert_eq!((counted.read_bytes, counted.peak_processes), (6, Some(8)));
    }
}

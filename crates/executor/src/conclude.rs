//! From what was seen of a run to what is said of it.
//!
//! Pure: the wait status, who wanted the end, what the tree used, and the limits, become the kind
//! of the outcome and the limit it names.

use std::time::Duration;

use ringfence_resource_limits::{
    Ending, Evidence, LimitHit, LimitedResource, Limits, Usage, attribute,
};
use ringfence_sandbox::ExitStatus;

use crate::deadlines::Cause;
use crate::json::whole_millis;
use crate::outcome::OutcomeKind;

/// What was seen of a run.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// How the command ended; `None` when the init was gone before it said so.
    pub(crate) status: Option<ExitStatus>,
    /// Why ringfence ended it, if it did.
    pub(crate) cause: Option<Cause>,
    /// The limit of the whole tree that was found exceeded, if one was.
    pub(crate) exceeded: Option<&'a LimitHit>,
    /// Limits that are known to have been hit, beside.
    pub(crate) hits: &'a [LimitHit],
    /// The program the command was at its end, where that is known.
    pub(crate) program: Option<&'a str>,
    pub(crate) limits: &'a Limits,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) usage: &'a Usage,
}

/// What is said of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) kind: OutcomeKind,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) limit: Option<LimitHit>,
}

pub(crate) fn conclude(seen: &Seen<'_>) -> Conclusion {
    let (exit_code, signal) = match seen.status {
        Some(ExitStatus::Exited(code)) => (Some(code), None),
        Some(ExitStatus::Signaled(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let by_itself = if signal.is_some() { OutcomeKind::Signaled } else { OutcomeKind::Exited };
    let (kind, limit) = match seen.cause {
        Some(Cause::Time) => (OutcomeKind::TimedOut, over_time(seen)),
        Some(Cause::Idle) => (OutcomeKind::TimedOut, over_idle(seen)),
        Some(Cause::Exceeded) => (OutcomeKind::LimitExceeded, seen.exceeded.cloned()),
        Some(Cause::Cancelled) => (OutcomeKind::Cancelled, None),
        None => match by_the_kernel(seen, exit_code, signal) {
            Some(hit) if hit.ended_command => (OutcomeKind::LimitExceeded, Some(hit)),
            hit => (by_itself, hit),
        },
    };
    Conclusion { kind, exit_code, signal, limit }
}

/// What the kernel counted comes before what a status says, and that before what merely was hit.
fn by_the_kernel(seen: &Seen<'_>, exit_code: Option<i32>, signal: Option<i32>) -> Option<LimitHit> {
    let counted = seen.hits.iter().find(|hit| hit.ended_command && signal.is_some());
    let program = seen.program.map(ToOwned::to_owned);
    let ending = Ending { exit_code, signal, cpu_time: seen.usage.cpu(), program };
    let told = || attribute(seen.limits, &ending).map(|hit| with_its_program(hit, seen.hits));
    counted.cloned().or_else(told).or_else(|| seen.hits.first().cloned())
}

/// The CPU limit, when the whole tree has used all of it up: somebody in it was ended, or was about to be.
pub(crate) fn used_up(limits: &Limits, usage: &Usage) -> Option<LimitHit> {
    let limit = limits.cpu_time.filter(|limit| usage.cpu() >= *limit)?;
    Some(LimitHit {
        resource: LimitedResource::Cpu,
        limit: whole_millis(limit),
        observed: Some(whole_millis(usage.cpu())),
        ended_command: false,
        evidence: Evidence::Counted,
        program: None,
    })
}

/// A shell's status does not say which program; the death of an orphan that was seen does.
fn with_its_program(hit: LimitHit, hits: &[LimitHit]) -> LimitHit {
    let seen = hits.iter().find(|other| other.resource == hit.resource && !hit.ended_command);
    seen.cloned().unwrap_or(hit)
}

/// Every limit that was hit, each resource once, the one that counts first.
pub(crate) fn all_hits(limit: Option<&LimitHit>, hits: &[LimitHit]) -> Vec<LimitHit> {
    let mut all: Vec<LimitHit> = Vec::new();
    for hit in limit.into_iter().chain(hits) {
        if !all.iter().any(|known| known.resource == hit.resource) {
            all.push(hit.clone());
        }
    }
    all
}

fn over_time(seen: &Seen<'_>) -> Option<LimitHit> {
    Some(LimitHit {
        resource: LimitedResource::Time,
        limit: whole_millis(seen.timeout?),
        observed: Some(whole_millis(seen.duration)),
        ended_command: true,
        evidence: Evidence::Clock,
        program: None,
    })
}

fn over_idle(seen: &Seen<'_>) -> Option<LimitHit> {
    Some(LimitHit {
        resource: LimitedResource::Idle,
        limit: whole_millis(seen.idle_timeout?),
        observed: None,
        ended_command: true,
        evidence: Evidence::Clock,
        program: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ExitStatus::{Exited, Signaled};

    const CPU_LIMIT: Limits = Limits {
        memory: None,
        cpu_time: Some(Duration::from_secs(2)),
        processes: None,
        open_files: None,
        file_size: Some(1024),
        address_space: None,
        disk: None,
    };

    fn check(
        status: Option<ExitStatus>,
        cause: Option<Cause>,
        cpu_ms: u64,
        kind: OutcomeKind,
        numbers: (Option<i32>, Option<i32>),
        limit: Option<(LimitedResource, u64)>,
    ) {
        let mut usage = Usage::default();
        usage.user_cpu = Duration::from_millis(cpu_ms);
        let exceeded = LimitHit {
            resource: LimitedResource::Processes,
            limit: 64,
            observed: Some(65),
            ended_command: true,
            evidence: Evidence::Sampled,
            program: None,
        };
        let conclusion = conclude(&Seen {
            status,
            cause,
            exceeded: Some(&exceeded),
            hits: &[],
            program: None,
            limits: &CPU_LIMIT,
            timeout: Some(Duration::from_secs(3)),
            idle_timeout: Some(Duration::from_millis(700)),
            duration: Duration::from_millis(3100),
            usage: &usage,
        });
        let got = conclusion.limit.map(|hit| (hit.resource, hit.limit));
        assert_eq!(conclusion.kind, kind, "{status:?} {cause:?}");
        assert_eq!((conclusion.exit_code, conclusion.signal), numbers);
        assert_eq!(got, limit);
    }

    #[test]
    fn the_status_speaks_when_nobody_interfered() {
        let (exited, signaled) = (OutcomeKind::Exited, OutcomeKind::Signaled);
        check(Some(Exited(0)), None, 0, exited, (Some(0), None), None);
        check(Some(Exited(42)), None, 9000, exited, (Some(42), None), None);
        check(Some(Signaled(11)), None, 0, signaled, (None, Some(11)), None);
        check(Some(Signaled(9)), None, 0, signaled, (None, Some(9)), None);
    }

    #[test]
    fn a_kernel_limit_is_named() {
        use LimitedResource::{Cpu, FileSize};
        let exceeded = OutcomeKind::LimitExceeded;
        check(Some(Signaled(24)), None, 2000, exceeded, (None, Some(24)), Some((Cpu, 2000)));
        check(Some(Signaled(25)), None, 0, exceeded, (None, Some(25)), Some((FileSize, 1024)));
        let exited = OutcomeKind::Exited;
        check(Some(Exited(153)), None, 0, exited, (Some(153), None), Some((FileSize, 1024)));
    }

    #[test]
    fn who_ended_the_run_comes_before_how_it_ended() {
        use LimitedResource::{Idle, Processes, Time};
        let timed_out = OutcomeKind::TimedOut;
        let time = Some((Time, 3000));
        check(Some(Signaled(15)), Some(Cause::Time), 0, timed_out, (None, Some(15)), time);
        check(Some(Exited(0)), Some(Cause::Time), 0, timed_out, (Some(0), None), time);
        check(None, Some(Cause::Time), 0, timed_out, (None, None), time);
        let idle = Some((Idle, 700));
        check(Some(Signaled(9)), Some(Cause::Idle), 9000, timed_out, (None, Some(9)), idle);
        let cancelled = OutcomeKind::Cancelled;
        check(Some(Signaled(9)), Some(Cause::Cancelled), 9000, cancelled, (None, Some(9)), None);
        let exceeded = OutcomeKind::LimitExceeded;
        let processes = Some((Processes, 64));
        check(Some(Signaled(9)), Some(Cause::Exceeded), 0, exceeded, (None, Some(9)), processes);
    }

    fn hit(resource: LimitedResource, ended_command: bool) -> LimitHit {
        let (evidence, program) = (Evidence::Cgroup, None);
        LimitHit { resource, limit: 1, observed: None, ended_command, evidence, program }
    }

    #[test]
    fn what_the_kernel_counted_is_told_whoever_it_hit() {
        use LimitedResource::{Memory, Processes};
        let check = |status, hits: &[LimitHit], kind, limit| {
            let conclusion = conclude(&Seen {
                status: Some(status),
                cause: None,
                exceeded: None,
                hits,
                program: None,
                limits: &CPU_LIMIT,
                timeout: None,
                idle_timeout: None,
                duration: Duration::ZERO,
                usage: &Usage::default(),
            });
            let resource = conclusion.limit.map(|hit| hit.resource);
            assert_eq!((conclusion.kind, resource), (kind, limit), "{status:?} {hits:?}");
        };
        let (exited, exceeded) = (OutcomeKind::Exited, OutcomeKind::LimitExceeded);
        let killed = [hit(Memory, true)];
        check(Signaled(9), &killed, exceeded, Some(Memory));
        check(Exited(0), &[hit(Memory, false)], exited, Some(Memory));
        check(Exited(1), &[hit(Processes, false)], exited, Some(Processes));
        check(Exited(0), &[], exited, None);
    }

    #[test]
    fn cpu_time_that_is_used_up_is_told() {
        let check = |cpu_ms, expect: Option<u64>| {
            let mut usage = Usage::default();
            usage.user_cpu = Duration::from_millis(cpu_ms);
            assert_eq!(used_up(&CPU_LIMIT, &usage).and_then(|hit| hit.observed), expect);
            assert_eq!(used_up(&Limits::default(), &usage), None);
        };
        check(1999, None);
        check(2000, Some(2000));
    }

    #[test]
    fn each_resource_is_listed_once() {
        use LimitedResource::{Memory, Processes};
        let (memory, processes) = (hit(Memory, true), hit(Processes, false));
        let hits = [processes.clone(), hit(Memory, false)];
        assert_eq!(all_hits(Some(&memory), &hits), [memory, processes.clone()]);
        assert_eq!(all_hits(None, &hits[..1]), [processes]);
    }
}

//! When a run must be told to end, and when it is made to.
//!
//! A state machine over instants that are handed in: it keeps no clock, so every path is tested
//! without waiting. The driver asks [`Deadlines::next`] how long to sleep and [`Deadlines::due`]
//! what to do when it wakes.
//!
//! The trap: a command that ends on `SIGTERM` may leave others of its tree in the middle of their
//! own clean-up. They get the rest of the grace time; only a command that ended by itself has its
//! left-over processes cut off after the short [`LINGER`].

use std::time::{Duration, Instant};

/// How long processes that outlive their command may go on: long enough for the far end of a
/// pipeline or a process substitution to write its last lines, short enough that a daemon in the
/// background does not hold up the result.
pub(crate) const LINGER: Duration = Duration::from_millis(200);

/// The longest grace there is; more would overflow a clock.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why a run was told to end before its command did so by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The wall clock allowance is used up.
    Time,
    /// There was no output for too long.
    Idle,
    /// The caller wanted it.
    Cancelled,
    /// The tree went over a limit that is kept by looking.
    Exceeded,
}

/// What the driver must do to the tree now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask it to end: `SIGTERM`.
    Terminate,
    /// End it: `SIGKILL`.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Terminating { kill_at: Instant },
    Lingering { kill_at: Instant },
    Killed,
}

/// The deadlines of one run.
#[derive(Debug)]
pub(crate) struct Deadlines {
    wall: Option<Instant>,
    idle: Option<Duration>,
    grace: Duration,
    phase: Phase,
    cause: Option<Cause>,
    ended_by_itself: bool,
}

impl Deadlines {
    /// A `wall` or `idle` that lies beyond what a clock can say is none.
    pub(crate) fn new(
        started: Instant,
        wall: Option<Duration>,
        idle: Option<Duration>,
        grace: Duration,
    ) -> Self {
        let wall = wall.and_then(|wall| started.checked_add(wall));
        let grace = grace.min(LONGEST_GRACE);
        Self { wall, idle, grace, phase: Phase::Running, cause: None, ended_by_itself: false }
    }

    /// Why the run was told to end, if it was.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// When to ask again; `None` when time changes nothing.
    pub(crate) fn next(&self, last_output: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Running => earlier(self.wall, self.idle_end(last_output)),
            Phase::Terminating { kill_at } | Phase::Lingering { kill_at } => Some(kill_at),
            Phase::Killed => None,
        }
    }

    /// What is due at `now`, if anything.
    pub(crate) fn due(&mut self, now: Instant, last_output: Instant) -> Option<Action> {
        match self.phase {
            Phase::Running if self.wall.is_some_and(|end| now >= end) => {
                Some(self.end(Cause::Time, now))
            }
            Phase::Running if self.idle_end(last_output).is_some_and(|end| now >= end) => {
                Some(self.end(Cause::Idle, now))
            }
            Phase::Terminating { kill_at } | Phase::Lingering { kill_at } if now >= kill_at => {
                self.phase = Phase::Killed;
                Some(Action::Kill)
            }
            _ => None,
        }
    }

    /// The caller or a limit wants the end at once; `None` when it is on its way already.
    pub(crate) fn kill(&mut self, cause: Cause) -> Option<Action> {
        if !self.ended_by_itself {
            self.cause.get_or_insert(cause);
        }
        let before = std::mem::replace(&mut self.phase, Phase::Killed);
        (before != Phase::Killed).then_some(Action::Kill)
    }

    /// The command itself has ended; others of its tree may live on for a little.
    pub(crate) fn command_ended(&mut self, now: Instant) {
        if self.phase == Phase::Running {
            self.ended_by_itself = true;
            self.phase = Phase::Lingering { kill_at: now + LINGER };
        }
    }

    fn end(&mut self, cause: Cause, now: Instant) -> Action {
        self.cause = Some(cause);
        if self.grace.is_zero() {
            self.phase = Phase::Killed;
            return Action::Kill;
        }
        self.phase = Phase::Terminating { kill_at: now + self.grace };
        Action::Terminate
    }

    fn idle_end(&self, last_output: Instant) -> Option<Instant> {
        last_output.checked_add(self.idle?)
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thing that happens, at a time in ms, and what must come of it.
    enum Step {
        Wake(u64, Option<Action>),
        Output(u64),
        CommandEnds(u64),
        Cancel(Option<Action>),
        Next(Option<u64>),
    }
    use Step::{Cancel, CommandEnds, Next, Output, Wake};

    const TERM: Option<Action> = Some(Action::Terminate);
    const KILL: Option<Action> = Some(Action::Kill);

    fn check(
        wall: Option<u64>,
        idle: Option<u64>,
        grace: u64,
        steps: &[Step],
        cause: Option<Cause>,
    ) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new(
            start,
            wall.map(Duration::from_millis),
            idle.map(Duration::from_millis),
            Duration::from_millis(grace),
        );
        let mut last_output = start;
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Wake(ms, expect) => {
                    assert_eq!(deadlines.due(at(ms), last_output), expect, "step {number}");
                }
                Output(ms) => last_output = at(ms),
                CommandEnds(ms) => deadlines.command_ended(at(ms)),
                Cancel(expect) => {
                    assert_eq!(deadlines.kill(Cause::Cancelled), expect, "step {number}");
                }
                Next(expect) => {
                    assert_eq!(deadlines.next(last_output), expect.map(at), "step {number}");
                }
            }
        }
        assert_eq!(deadlines.cause(), cause);
    }

    #[test]
    fn without_deadlines_nothing_is_ever_due() {
        check(None, None, 50, &[Next(None), Wake(1_000_000, None)], None);
    }

    #[test]
    fn wall_clock_then_grace_then_the_end() {
        let steps = [
            Next(Some(100)),
            Wake(99, None),
            Wake(100, TERM),
            Next(Some(150)),
            Wake(149, None),
            Wake(150, KILL),
            Next(None),
            Wake(999, None),
        ];
        check(Some(100), None, 50, &steps, Some(Cause::Time));
    }

    #[test]
    fn no_grace_is_the_end_at_once() {
        check(Some(100), None, 0, &[Wake(100, KILL), Next(None)], Some(Cause::Time));
    }

    #[test]
    fn output_puts_the_idle_deadline_off_but_not_the_wall_clock() {
        let steps = [
            Next(Some(30)),
            Output(20),
            Next(Some(50)),
            Wake(30, None),
            Output(90),
            Next(Some(100)),
            Wake(100, TERM),
        ];
        check(Some(100), Some(30), 50, &steps, Some(Cause::Time));
        check(Some(100), Some(30), 50, &[Output(20), Wake(50, TERM)], Some(Cause::Idle));
    }

    #[test]
    fn a_command_that_ended_leaves_its_others_a_moment() {
        let steps = [CommandEnds(10), Next(Some(210)), Wake(100, None), Wake(210, KILL)];
        check(Some(100), Some(30), 50, &steps, None);
    }

    #[test]
    fn after_the_request_to_end_the_others_keep_the_whole_grace() {
        let steps = [
            Wake(100, TERM),
            CommandEnds(101),
            Next(Some(5100)),
            Wake(4000, None),
            Wake(5100, KILL),
        ];
        check(Some(100), None, 5000, &steps, Some(Cause::Time));
    }

    #[test]
    fn cancelling_is_the_end_at_once_and_only_once() {
        check(Some(100), None, 50, &[Cancel(KILL), Cancel(None)], Some(Cause::Cancelled));
        check(Some(100), None, 50, &[Wake(100, TERM), Cancel(KILL)], Some(Cause::Time));
        check(None, None, 50, &[CommandEnds(10), Cancel(KILL)], None);
        check(None, None, 50, &[CommandEnds(10), Wake(210, KILL), Cancel(None)], None);
    }

    #[test]
    fn a_time_beyond_the_clock_is_no_deadline() {
        let start = Instant::now();
        let endless = Some(Duration::MAX);
        let mut deadlines = Deadlines::new(start, endless, endless, Duration::MAX);
        assert_eq!(deadlines.next(start), None);
        let now = Some(Duration::ZERO);
        deadlines = Deadlines::new(start, now, None, Duration::MAX);
        assert_eq!(deadlines.due(start, start), Some(Action::Terminate));
    }
}

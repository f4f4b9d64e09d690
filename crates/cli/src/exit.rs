//! The exit statuses of `ringfence run`, and how an outcome becomes one.
//!
//! They are those of `env`, `timeout` and `docker run`, so that a script can put `ringfence run` in front of a command and keep
//! its own error handling.

use ringfence::{Outcome, OutcomeKind};
use std::process::ExitCode;

/// An exit status of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(u8);

impl Status {
    /// The command succeeded, or the question was answered.
    pub(crate) const SUCCESS: Status = Status(0);
    /// Changes were refused, and nothing was applied. Source: diff(1), grep(1): the answer is no.
    pub(crate) const REFUSED_CHANGES: Status = Status(1);
    /// The run took too long, or printed nothing for too long. Source: timeout(1).
    pub(crate) const TIMED_OUT: Status = Status(124);
    /// ringfence itself refused or failed: arguments, config, policy, no sandbox, a limit it could not set. Source: env(1).
    pub(crate) const REFUSED: Status = Status(125);

    /// A signal ended the command. Source: every shell.
    pub(crate) fn of_signal(signal: i32) -> Status {
        Status(u8::try_from(128 + signal).unwrap_or(u8::MAX))
    }

    /// The status of a run. `interrupted` is the signal to this process that ended it, where one did.
    ///
    /// 126 (found but not executable) and 127 (not found) are the command's exit code already.
    pub(crate) fn of_outcome(outcome: &Outcome, interrupted: Option<i32>) -> Status {
        match outcome.outcome {
            OutcomeKind::TimedOut => Status::TIMED_OUT,
            OutcomeKind::Cancelled => interrupted.map_or(Status::REFUSED, Status::of_signal),
            _ => match (outcome.exit_code, outcome.signal) {
                (Some(code), _) => Status(code.to_le_bytes()[0]),
                (None, Some(signal)) => Status::of_signal(signal),
                (None, None) => Status::REFUSED,
            },
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfence::executor::Reason;
    use ringfence::policy::ReasonCode;

    fn check(
        kind: OutcomeKind,
        code: Option<i32>,
        signal: Option<i32>,
        interrupted: Option<i32>,
        expect: u8,
    ) {
        let reason = Reason { code: ReasonCode::SpawnFailed, message: String::new(), hint: None };
        let outcome =
            Outcome { exit_code: code, signal, ..Outcome::without_run(kind, "default", reason) };
        assert_eq!(Status::of_outcome(&outcome, interrupted), Status(expect), "{outcome:?}");
    }

    #[test]
    fn statuses() {
        check(OutcomeKind::Exited, Some(0), None, None, 0);
        check(OutcomeKind::Exited, Some(42), None, None, 42);
        check(OutcomeKind::Exited, Some(0), None, Some(15), 0);
        check(OutcomeKind::Signaled, None, Some(9), None, 137);
        check(OutcomeKind::TimedOut, None, Some(15), None, 124);
        check(OutcomeKind::TimedOut, Some(0), None, None, 124);
        check(OutcomeKind::LimitExceeded, None, Some(24), None, 152);
        check(OutcomeKind::LimitExceeded, Some(1), None, None, 1);
        check(OutcomeKind::Failed, Some(127), None, None, 127);
        check(OutcomeKind::Failed, None, None, None, 125);
        check(OutcomeKind::Refused, None, None, None, 125);
        check(OutcomeKind::Cancelled, None, Some(9), Some(2), 130);
    }
}

//! How a run ended: the result object.
//!
//! It serializes to exactly what `--json` prints and the last event carries. Everything in it has
//! been redacted before it came here.

use std::time::Duration;

use ringfence_policy::ReasonCode;
use ringfence_resource_limits::{LimitHit, Usage};
use ringfence_sandbox::{Backend, Enforcement};
use serde::Serialize;

use crate::denials::Denial;
use crate::json;
use crate::run_id::RunId;

/// In which way a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutcomeKind {
    /// The command exited by itself.
    Exited,
    /// A signal that ringfence did not send ended it.
    Signaled,
    /// It took too long, or was silent for too long.
    TimedOut,
    /// It ran out of another resource.
    LimitExceeded,
    /// It was not allowed to start.
    Refused,
    /// It could not be started, or the run was lost.
    Failed,
    /// The caller ended it.
    Cancelled,
}

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The run's name.
    #[serde(serialize_with = "json::text")]
    pub run: RunId,
    /// In which way it ended.
    pub outcome: OutcomeKind,
    /// The command's exit status, when it exited; 126 and 127 also when it could not be executed.
    pub exit_code: Option<i32>,
    /// The signal, when one ended the command.
    pub signal: Option<i32>,
    /// From the start to the end of the command, wall clock.
    #[serde(rename = "duration_ms", serialize_with = "json::millis")]
    pub duration: Duration,
    /// What enforced the profile; `None` when nothing was started.
    #[serde(serialize_with = "json::maybe_backend")]
    pub backend: Option<Backend>,
    /// The profile's name.
    pub profile: String,
    /// What the caller should know.
    pub warnings: Vec<String>,
    /// The limit that ended the run or stood in its way.
    #[serde(serialize_with = "json::maybe_limit")]
    pub limit: Option<LimitHit>,
    /// Every limit that is known to have been hit, `limit` first: those that only made calls fail, too.
    #[serde(serialize_with = "json::limits")]
    pub limits_hit: Vec<LimitHit>,
    /// Why there was no run, for `refused` and `failed`; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// How far each property that the profile asks for held.
    #[serde(serialize_with = "json::enforcement")]
    pub enforcement: Enforcement,
    /// What the sandbox refused, as far as it was seen.
    pub denials: Vec<Denial>,
    /// What was reached through the gateway of an allowlist, destination by destination; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Vec<Reached>>,
    /// Changes to the workspace that a layer keeps, for `diff`, `apply` and `discard`; absent when
    /// the workspace itself was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<usize>,
    /// What the tree used.
    #[serde(serialize_with = "json::usage")]
    pub usage: Usage,
    /// The command's standard output.
    pub stdout: Captured,
    /// The command's standard error. Of a command with a terminal everything is in `stdout`.
    pub stderr: Captured,
    /// Both streams in one, when that was asked for; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combined: Option<Interleaved>,
}

impl Outcome {
    /// The command ran and exited with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.outcome == OutcomeKind::Exited && self.exit_code == Some(0)
    }

    /// The result of a run that did not come about.
    #[must_use]
    pub fn without_run(kind: OutcomeKind, profile: &str, reason: Reason) -> Self {
        Self {
            run: RunId::generate(),
            outcome: kind,
            exit_code: None,
            signal: None,
            duration: Duration::ZERO,
            backend: None,
            profile: profile.to_owned(),
            warnings: Vec::new(),
            limit: None,
            limits_hit: Vec::new(),
            reason: Some(reason),
            enforcement: Enforcement::default(),
            denials: Vec::new(),
            network: None,
            changes: None,
            usage: Usage::default(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            combined: None,
        }
    }
}

/// Why there was no run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The name programs branch on.
    #[serde(rename = "reason_code", serialize_with = "json::reason_code")]
    pub code: ReasonCode,
    /// The sentence for a person.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One destination, as the gateway counted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reached {
    /// `HOST:PORT`, a name without a port where only that was asked for, or `others` for what went over the table.
    pub target: String,
    /// Connections that stood.
    pub connections: u64,
    /// Connections that were allowed and could not be made.
    pub failed: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Bytes to outside.
    pub bytes_up: u64,
    /// Bytes to the command.
    pub bytes_down: u64,
}

/// One stream of the command, redacted and bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Captured {
    /// Bytes the command wrote.
    pub bytes: u64,
    /// Bytes in [`Captured::kept`], after redaction, not counting the mark of a cut.
    pub kept_bytes: u64,
    /// Secrets that were masked.
    pub redactions: u64,
    /// Bytes that went over the cap and were dropped from the middle.
    pub dropped_bytes: u64,
    /// Line ends among them; absent when nothing was dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_lines: u64,
    /// What was kept.
    #[serde(flatten)]
    pub kept: Kept,
}

/// What was kept of both streams, in the order in which it was read.
///
/// Two pipes have no common order: what a command writes to both within a few microseconds may
/// change places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Interleaved {
    /// Bytes in [`Interleaved::kept`], after redaction, not counting the mark of a cut.
    pub kept_bytes: u64,
    /// Bytes that went over the cap and were dropped from the middle.
    pub dropped_bytes: u64,
    /// Line ends among them; absent when nothing was dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_lines: u64,
    /// What was kept.
    #[serde(flatten)]
    pub kept: Kept,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What was kept of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// UTF-8, as it was.
    Text(String),
    /// Anything else, in base64.
    Base64(String),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

#[cfg(test)]
mod tests {
    use ringfence_resource_limits::{Evidence, LimitedResource, Pressure, Stall};
    use ringfence_sandbox::Level;

    use super::*;

    fn check(outcome: &Outcome, expect: &str) {
        let text = serde_json::to_string(outcome).expect("because it is plain data");
        let expect = expect.replace("RUN", &outcome.run.to_string());
        assert_eq!(text, expect);
    }

    #[test]
    fn the_result_object_is_that_of_the_interface() {
        let mut enforcement = Enforcement::default();
        enforcement.set("files", Level::Full);
        enforcement.set("network", Level::Full);
        enforcement.set("memory", Level::Partial("sampled every 10 to 200 ms".into()));
        let mut usage = Usage::default();
        usage.user_cpu = Duration::from_millis(12);
        usage.system_cpu = Duration::from_millis(5);
        usage.peak_memory_bytes = 9_437_184;
        usage.processes = Some(3);
        usage.peak_processes = Some(2);
        let some = Duration::from_micros(1500);
        let memory = Stall { some, full: Duration::from_micros(20) };
        usage.pressure = Some(Pressure { memory, ..Pressure::default() });
        (usage.read_bytes, usage.written_bytes) = (4096, 8192);
        (usage.voluntary_switches, usage.involuntary_switches) = (7, 1);
        let outcome = Outcome {
            run: RunId::generate(),
            outcome: OutcomeKind::Exited,
            exit_code: Some(0),
            signal: None,
            duration: Duration::from_micros(41_900),
            backend: Some(Backend::LinuxNamespaces),
            profile: "build".into(),
            warnings: vec![],
            limit: None,
            limits_hit: vec![],
            reason: None,
            enforcement,
            denials: vec![crate::denials::from_stderr(
                ringfence_sandbox::DeniedKind::FileWrite,
                "/etc/hosts".into(),
                None,
            )],
            network: None,
            changes: None,
            usage,
            stdout: Captured {
                bytes: 120,
                kept_bytes: 120,
                redactions: 1,
                dropped_bytes: 0,
                dropped_lines: 0,
                kept: Kept::Text("…".into()),
            },
            stderr: Captured::default(),
            combined: None,
        };
        check(
            &outcome,
            concat!(
                r#"{"run":"RUN","outcome":"exited","exit_code":0,"signal":null,"duration_ms":41,"#,
                r#""backend":"linux_namespaces","profile":"build","warnings":[],"#,
                r#""limit":null,"limits_hit":[],"#,
                r#""enforcement":{"files":"full","network":"full","memory":"partial: sampled every 10 to 200 ms"},"#,
                r#""denials":[{"kind":"file_write","target":"/etc/hosts","reason_code":"file_write_denied","count":1,"allow":"--rw /etc/hosts","source":"stderr"}],"#,
                r#""usage":{"user_cpu_ms":12,"system_cpu_ms":5,"peak_memory_bytes":9437184,"processes":3,"peak_processes":2,"read_bytes":4096,"written_bytes":8192,"voluntary_switches":7,"involuntary_switches":1,"#,
                r#""pressure":{"memory":{"some_us":1500,"full_us":20},"io":{"some_us":0,"full_us":0},"cpu":{"some_us":0,"full_us":0}}},"#,
                r#""stdout":{"bytes":120,"kept_bytes":120,"redactions":1,"dropped_bytes":0,"text":"…"},"#,
                r#""stderr":{"bytes":0,"kept_bytes":0,"redactions":0,"dropped_bytes":0,"text":""}}"#,
            ),
        );
    }

    #[test]
    fn a_run_that_did_not_come_about_has_a_reason_and_else_the_same_shape() {
        let reason = Reason {
            code: ReasonCode::PolicyDenied,
            message: "denied: no".into(),
            hint: Some("ask".into()),
        };
        let mut outcome = Outcome::without_run(OutcomeKind::Refused, "default", reason);
        outcome.limit = Some(LimitHit {
            resource: LimitedResource::Memory,
            limit: 5,
            observed: None,
            ended_command: true,
            evidence: Evidence::Cgroup,
            program: None,
        });
        outcome.stdout.kept = Kept::Base64("/wA=".into());
        check(
            &outcome,
            concat!(
                r#"{"run":"RUN","outcome":"refused","exit_code":null,"signal":null,"duration_ms":0,"#,
                r#""backend":null,"profile":"default","warnings":[],"#,
                r#""limit":{"resource":"memory","reason_code":"memory_limit_exceeded","limit":5,"observed":null,"evidence":"cgroup","program":null},"limits_hit":[],"#,
                r#""reason":{"reason_code":"policy_denied","message":"denied: no","hint":"ask"},"#,
                r#""enforcement":{},"denials":[],"#,
                r#""usage":{"user_cpu_ms":0,"system_cpu_ms":0,"peak_memory_bytes":0,"processes":null,"peak_processes":null,"read_bytes":0,"written_bytes":0,"voluntary_switches":0,"involuntary_switches":0},"#,
                r#""stdout":{"bytes":0,"kept_bytes":0,"redactions":0,"dropped_bytes":0,"base64":"/wA="},"#,
                r#""stderr":{"bytes":0,"kept_bytes":0,"redactions":0,"dropped_bytes":0,"text":""}}"#,
            ),
        );
    }
}

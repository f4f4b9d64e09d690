//! What an observer of a run is told while it goes on.
//!
//! Each event serializes to one line of the events file. The names and fields are an interface;
//! the test below holds them. Events carry redacted text only: output passes the redactor before
//! it comes here, and the command line passes it too.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_resource_limits::{LimitHit, Sample};
use ringfence_sandbox::Backend;
use serde::{Serialize, Serializer};

use crate::denials::Denial;
use crate::json;
use crate::outcome::Outcome;
use crate::run_id::RunId;

/// One event of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// When, in milliseconds since 1970. Never goes back within a run: the wall clock is read
    /// once, at its start.
    pub ts_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The command was executed.
    RunStarted(RunStarted),
    /// The command printed something.
    Output(Output),
    /// The sandbox refused something. Told once for each thing; how often is in the result.
    SandboxDenied(Denial),
    /// The sandbox refused a connection.
    SandboxNetworkBlocked(Denial),
    /// A connection through the gateway of an allowlist has ended.
    NetworkConnection(Connection),
    /// A limit ended the run or stands in its way.
    #[serde(serialize_with = "json::limit")]
    SandboxResourceExceeded(LimitHit),
    /// What the tree uses at this moment, about once a second.
    #[serde(serialize_with = "json::sample")]
    Usage(Sample),
    /// Something the caller should know and that does not end the run.
    Warning {
        /// What.
        message: String,
    },
    /// The last event: the result.
    #[serde(serialize_with = "json::shared")]
    RunFinished(Arc<Outcome>),
}

/// A connection through the gateway of an allowlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Connection {
    /// What the command asked for: `HOST:PORT`.
    pub target: String,
    /// Bytes to outside.
    pub bytes_up: u64,
    /// Bytes to the command.
    pub bytes_down: u64,
    /// It broke off: one end did not say that it was done.
    pub reset: bool,
    /// Why it did not come about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is known of a run when its command has been executed.
#[derive(Debug, Clone, Serialize)]
pub struct RunStarted {
    /// The run's name.
    #[serde(serialize_with = "json::text")]
    pub run: RunId,
    /// The profile's name.
    pub profile: String,
    /// What enforces the profile.
    #[serde(serialize_with = "json::backend")]
    pub backend: Backend,
    /// The command, redacted. Bytes that are not UTF-8 are replaced.
    pub command: String,
    /// The workspace.
    #[serde(serialize_with = "json::path")]
    pub workspace: PathBuf,
}

/// Which stream of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// The name in events and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Something the command printed, redacted.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// On which stream.
    pub stream: Stream,
    /// What, as `"text"`, or as `"base64"` when it is not UTF-8.
    #[serde(flatten, serialize_with = "text_or_base64")]
    pub bytes: Vec<u8>,
}

fn text_or_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Shown<'a> {
        Text(&'a str),
        Base64(String),
    }
    match str::from_utf8(bytes) {
        Ok(text) => Shown::Text(text),
        Err(_) => Shown::Base64(STANDARD.encode(bytes)),
    }
    .serialize(serializer)
}

/// Time stamps of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    started_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_ms: json::whole_millis(since_epoch) }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The event, as of the start.
    pub(crate) fn stamp_start(&self, kind: EventKind) -> Event {
        Event { ts_ms: self.started_ms, kind }
    }

    /// The event, as of now.
    pub(crate) fn stamp(&self, kind: EventKind) -> Event {
        Event { ts_ms: self.started_ms + json::whole_millis(self.elapsed()), kind }
    }
}

#[cfg(test)]
mod tests {
    use ringfence_resource_limits::LimitedResource;

    use super::*;
    use crate::outcome::{OutcomeKind, Reason};

    fn check(kind: EventKind, expect: &str) {
        let event = Event { ts_ms: 1700, kind };
        let line = serde_json::to_string(&event).expect("because events are plain data");
        assert_eq!(line, expect);
    }

    #[test]
    fn each_event_is_a_line_of_the_interface() {
        let run = RunId::generate();
        check(
            EventKind::RunStarted(RunStarted {
                run,
                profile: "build".into(),
                backend: Backend::LinuxNamespaces,
                command: "cargo test".into(),
                workspace: "/work".into(),
            }),
            &format!(
                r#"{{"ts_ms":1700,"event":"run_started","run":"{run}","profile":"build","backend":"linux_namespaces","command":"cargo test","workspace":"/work"}}"#
            ),
        );
        let output = |bytes: &[u8]| {
            EventKind::Output(Output { stream: Stream::Stderr, bytes: bytes.to_vec() })
        };
        check(
            output("é\n".as_bytes()),
            r#"{"ts_ms":1700,"event":"output","stream":"stderr","text":"é\n"}"#,
        );
        check(
            output(b"a\0\xff"),
            r#"{"ts_ms":1700,"event":"output","stream":"stderr","base64":"YQD/"}"#,
        );
        check(
            EventKind::SandboxResourceExceeded(LimitHit {
                resource: LimitedResource::Cpu,
                limit: 2000,
                observed: Some(2004),
                ended_command: true,
            }),
            r#"{"ts_ms":1700,"event":"sandbox_resource_exceeded","resource":"cpu","reason_code":"cpu_limit_exceeded","limit":2000,"observed":2004}"#,
        );
        check(
            EventKind::SandboxDenied(crate::denials::from_stderr(
                ringfence_sandbox::DeniedKind::FileRead,
                "/etc/shadow".into(),
                None,
            )),
            r#"{"ts_ms":1700,"event":"sandbox_denied","kind":"file_read","target":"/etc/shadow","reason_code":"file_read_denied","count":1,"allow":"--ro /etc/shadow","source":"stderr"}"#,
        );
        check(
            EventKind::Warning { message: "mind".into() },
            r#"{"ts_ms":1700,"event":"warning","message":"mind"}"#,
        );
        check(
            EventKind::Usage(Sample {
                processes: 3,
                threads: 4,
                memory_bytes: 4096,
                user_cpu: Duration::from_millis(12),
                system_cpu: Duration::from_millis(5),
            }),
            r#"{"ts_ms":1700,"event":"usage","user_cpu_ms":12,"system_cpu_ms":5,"memory_bytes":4096,"processes":3}"#,
        );
    }

    #[test]
    fn the_last_event_is_the_result_object_with_two_fields_more() {
        let reason = Reason {
            code: ringfence_policy::ReasonCode::SpawnFailed,
            message: "no".into(),
            hint: None,
        };
        let outcome = Outcome::without_run(OutcomeKind::Failed, "default", reason);
        let object = serde_json::to_string(&outcome).expect("because it is plain data");
        let expect = format!(r#"{{"ts_ms":1700,"event":"run_finished",{}"#, &object[1..]);
        check(EventKind::RunFinished(Arc::new(outcome)), &expect);
    }
}

//! How the words of other crates look in results and events.
//!
//! Those crates know nothing of JSON, and the shapes here are an interface, so each is spelled out
//! once, here, instead of being derived from a type that may change.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringfence_policy::ReasonCode;
use ringfence_resource_limits::{LimitHit, Pressure, Sample, Stall, Usage};
use ringfence_sandbox::{Backend, Enforcement};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(crate) fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_millis(*time))
}

pub(crate) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

pub(crate) fn backend<S: Serializer>(backend: &Backend, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(backend.as_str())
}

pub(crate) fn maybe_backend<S: Serializer>(
    backend: &Option<Backend>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    backend.map(Backend::as_str).serialize(serializer)
}

pub(crate) fn reason_code<S: Serializer>(
    code: &ReasonCode,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

pub(crate) fn shared<T: Serialize, S: Serializer>(
    value: &Arc<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    T::serialize(value, serializer)
}

pub(crate) fn limit<S: Serializer>(hit: &LimitHit, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        resource: &'static str,
        reason_code: &'static str,
        limit: u64,
        observed: Option<u64>,
        evidence: &'static str,
        program: Option<&'a str>,
    }
    Shown {
        resource: hit.resource.as_str(),
        reason_code: hit.reason_code(),
        limit: hit.limit,
        observed: hit.observed,
        evidence: hit.evidence.as_str(),
        program: hit.program.as_deref(),
    }
    .serialize(serializer)
}

pub(crate) fn maybe_limit<S: Serializer>(
    hit: &Option<LimitHit>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match hit {
        Some(hit) => limit(hit, serializer),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn limits<S: Serializer>(hits: &[LimitHit], serializer: S) -> Result<S::Ok, S::Error> {
    struct Shown<'a>(&'a LimitHit);
    impl Serialize for Shown<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            limit(self.0, serializer)
        }
    }
    serializer.collect_seq(hits.iter().map(Shown))
}

pub(crate) fn usage<S: Serializer>(usage: &Usage, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        user_cpu_ms: u64,
        system_cpu_ms: u64,
        peak_memory_bytes: u64,
        processes: Option<u64>,
        peak_processes: Option<u64>,
        read_bytes: u64,
        written_bytes: u64,
        voluntary_switches: u64,
        involuntary_switches: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pressure: Option<Waits>,
    }
    #[derive(Serialize)]
    struct Waits {
        memory: Wait,
        io: Wait,
        cpu: Wait,
    }
    #[derive(Serialize)]
    struct Wait {
        some_us: u64,
        full_us: u64,
    }
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let wait = |stall: Stall| Wait { some_us: micros(stall.some), full_us: micros(stall.full) };
    let pressure = usage.pressure.map(|Pressure { memory, io, cpu }| Waits {
        memory: wait(memory),
        io: wait(io),
        cpu: wait(cpu),
    });
    Shown {
        pressure,
        user_cpu_ms: whole_millis(usage.user_cpu),
        system_cpu_ms: whole_millis(usage.system_cpu),
        peak_memory_bytes: usage.peak_memory_bytes,
        processes: usage.processes,
        peak_processes: usage.peak_processes,
        read_bytes: usage.read_bytes,
        written_bytes: usage.written_bytes,
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
    }
    .serialize(serializer)
}

pub(crate) fn sample<S: Serializer>(sample: &Sample, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown {
        user_cpu_ms: u64,
        system_cpu_ms: u64,
        memory_bytes: u64,
        processes: u64,
        threads: u64,
    }
    Shown {
        user_cpu_ms: whole_millis(sample.user_cpu),
        system_cpu_ms: whole_millis(sample.system_cpu),
        memory_bytes: sample.memory_bytes,
        processes: sample.processes,
        threads: sample.threads,
    }
    .serialize(serializer)
}

pub(crate) fn enforcement<S: Serializer>(
    enforcement: &Enforcement,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (property, level) in enforcement.iter() {
        map.serialize_entry(property, &level.to_string())?;
    }
    map.end()
}

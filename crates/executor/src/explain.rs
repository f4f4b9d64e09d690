//! What a run would see, write, reach and use up, in plain words, without running anything.

use std::time::Duration;

use ringfence_config::Profile;
use ringfence_policy::Verdict;
use ringfence_sandbox::{Backend, Enforcement, Sandbox};

use crate::aftermath::Aftermath;
use crate::error::RunError;
use crate::groups;
use crate::outlet;
use crate::request::RunRequest;
use crate::run_id::RunId;
use crate::spawn;

/// A run in words. Everything in it is redacted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// What the policy says of the command.
    pub verdict: String,
    /// Whether the policy lets it run.
    pub allowed: bool,
    /// What would carry the profile out.
    pub backend: Backend,
    /// How far each property would hold.
    pub enforcement: Enforcement,
    /// What the command would see, write and reach: one sentence each.
    pub sandbox: Vec<String>,
    /// What it may use up: one sentence each.
    pub limits: Vec<String>,
    /// The names of the variables it would get.
    pub variables: Vec<String>,
    /// The steps of the plan, one a line.
    pub plan: String,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Explains what [`spawn()`](crate::spawn()) would do with a request.
///
/// # Errors
///
/// As `spawn`, but that a command the policy denies is explained too.
pub fn explain(request: &RunRequest) -> Result<Explanation, RunError> {
    let prepared = &request.prepared;
    let verdict = prepared.decide(&request.command)?;
    let (mut process, missing) = spawn::process(request)?;
    let aftermath =
        Aftermath::layer(prepared, RunId::generate(), &prepared.shown(&request.command))?;
    let sandbox = Sandbox::prepare_by_trying(&spawn::sandbox_spec(request, &aftermath));
    aftermath.forget();
    let sandbox = sandbox.map_err(|source| prepared.no_sandbox(source))?;
    let kept = prepared.limits(sandbox.backend(), groups::is_there(prepared)?);
    process.rlimits = spawn::rlimits(&kept)?;
    // Which port it is, is known when the gateway listens.
    process.proxy = sandbox.wants_proxy().then_some(SOME_PORT);
    let redact = |text: &str| prepared.redact(text.as_bytes());
    let plan = sandbox.plan_text(&process).map_err(|source| prepared.no_sandbox(source))?;
    let reached = prepared.outlet.iter().flat_map(outlet::Plan::lines);
    let warnings = prepared.warnings().iter().chain(sandbox.warnings()).chain(&missing);
    Ok(Explanation {
        allowed: verdict.is_allowed(),
        verdict: match verdict {
            Verdict::Allowed(cause) => redact(&Verdict::Allowed(cause).to_string()),
            Verdict::Denied(cause) => prepared.refusal(&request.command, cause).verdict,
        },
        backend: sandbox.backend(),
        enforcement: spawn::enforcement(&sandbox, &kept),
        sandbox: sandbox
            .describe(&process)
            .into_iter()
            .chain(reached)
            .map(|line| redact(&line))
            .collect(),
        limits: limits(prepared.profile()),
        variables: process.env.iter().map(|(name, _)| name.display().to_string()).collect(),
        plan: redact(&plan),
        warnings: warnings.map(|line| redact(line)).collect(),
    })
}

/// Stands in a plan for the port of a proxy that does not listen yet.
const SOME_PORT: u16 = 1;

fn limits(profile: &Profile) -> Vec<String> {
    const MIB: u64 = 1 << 20;
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let size = |bytes: u64| match bytes.is_multiple_of(MIB) {
        true => format!("{} MiB", bytes / MIB),
        false => format!("{bytes} bytes"),
    };
    let grace = seconds(profile.grace);
    let ended = format!("then SIGTERM to the whole tree, and {grace} later SIGKILL");
    [
        profile.timeout.map(|time| format!("wall clock: {}, {ended}", seconds(time))),
        profile.idle_timeout.map(|time| format!("without output: {}, {ended}", seconds(time))),
        profile.max_memory.map(|bytes| format!("memory: {}", size(bytes))),
        profile.max_cpu.map(|time| format!("CPU time: {}", seconds(time))),
        profile.max_cpu_cores.map(|cores| format!("cores' worth of CPU time: {cores}")),
        profile.max_io_read.map(|bytes| format!("read from a disk in a second: {}", size(bytes))),
        profile.max_io_write.map(|bytes| format!("written to a disk in a second: {}", size(bytes))),
        profile.max_processes.map(|count| format!("processes: {count}")),
        profile.max_open_files.map(|count| format!("open files of a process: {count}")),
        profile.max_file_size.map(|bytes| format!("size of a file: {}", size(bytes))),
        profile.max_disk.map(|bytes| format!("space on what can be written: {}", size(bytes))),
        profile
            .max_address_space
            .map(|bytes| format!("address space of a process: {}", size(bytes))),
        Some(format!("output kept of each stream: {}", size(profile.max_output))),
        Some("core dumps: none".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

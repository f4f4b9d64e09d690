//! One profile from its layers: flags, then the profiles of its chain, then what is built in.
//!
//! A field has the value of the nearest layer that gives it. Two rules go beyond that, and both exist so that no wall falls
//! silently. `mode = "host"` starts afresh: what farther layers say about the sandbox no longer holds, and what the same or a
//! nearer layer asks of a sandbox is an error. And where `fs_mode` is `inherit`, hidden or protected paths are an error, because
//! nobody would keep them.

use super::fail;
use crate::error::{ConfigError, ConfigProblem};
use crate::located::{At, Source};
use crate::overrides::Overrides;
use crate::paths::PathBase;
use crate::profile::{Exposed, Profile, UnixSockets};
use crate::units::{ByteSize, CpuCores};
use crate::words::{FsMode, Isolation, Mode, NetworkMode, ReadScope};
use crate::written::{ProfileWritten, UnixSocketsWritten};
use ringfence_policy::AllowEntry;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Kept bytes of each stream when nothing else is said: more than a person reads, and both streams of a run together with
/// everything it needs beside them stay below 8 MiB of memory.
const MAX_OUTPUT: u64 = 2 << 20;

/// Time from SIGTERM to SIGKILL when nothing else is said; half of what init systems and container engines allow.
const GRACE: Duration = Duration::from_secs(5);

/// Processes and threads when nothing else is said: a large build on a large machine, or a browser, has some hundreds; a
/// runaway is stopped long before the machine's own limit (32,768 on small ones).
const MAX_PROCESSES: u64 = 4096;

const MIB: u64 = 1 << 20;

/// The layers of one profile, the nearest first.
pub(super) struct Layers<'a> {
    chain: Vec<(&'a str, &'a ProfileWritten)>,
    /// How many of them speak about the sandbox; fewer than all when one says `mode = "host"`.
    about_sandbox: usize,
    source: Option<&'a Source>,
}

/// A field of a profile that holds a number.
struct NumberField {
    name: &'static str,
    get: fn(&ProfileWritten) -> &Option<At<u64>>,
    /// What one stands for, in bytes, seconds or pieces.
    unit: u64,
    least: u64,
}

const fn number(
    name: &'static str,
    get: fn(&ProfileWritten) -> &Option<At<u64>>,
    unit: u64,
    least: u64,
) -> NumberField {
    NumberField { name, get, unit, least }
}

const MEMORY: NumberField = number("max_memory_mb", |p| &p.max_memory_mb, MIB, 0);
const CPU: NumberField = number("max_cpu_seconds", |p| &p.max_cpu_seconds, 1, 1);
const PROCESSES: NumberField = number("max_processes", |p| &p.max_processes, 1, 0);
const OPEN_FILES: NumberField = number("max_open_files", |p| &p.max_open_files, 1, 1);
const FILE_SIZE: NumberField = number("max_file_size_mb", |p| &p.max_file_size_mb, MIB, 1);
const IO_READ: NumberField =
    number("max_io_read_mb_per_second", |p| &p.max_io_read_mb_per_second, MIB, 1);
const IO_WRITE: NumberField =
    number("max_io_write_mb_per_second", |p| &p.max_io_write_mb_per_second, MIB, 1);
const DISK: NumberField = number("max_disk_mb", |p| &p.max_disk_mb, MIB, 1);
const ADDRESS_SPACE: NumberField =
    number("max_address_space_mb", |p| &p.max_address_space_mb, MIB, 1);
const OUTPUT: NumberField = number("max_output_mb", |p| &p.max_output_mb, MIB, 0);
const TIMEOUT: NumberField = number("timeout_seconds", |p| &p.timeout_seconds, 1, 1);
const IDLE: NumberField = number("idle_timeout_seconds", |p| &p.idle_timeout_seconds, 1, 1);
const GRACE_FIELD: NumberField = number("grace_seconds", |p| &p.grace_seconds, 1, 0);

const NUMBERS: [&NumberField; 13] = [
    &MEMORY,
    &CPU,
    &PROCESSES,
    &OPEN_FILES,
    &FILE_SIZE,
    &IO_READ,
    &IO_WRITE,
    &DISK,
    &ADDRESS_SPACE,
    &OUTPUT,
    &TIMEOUT,
    &IDLE,
    &GRACE_FIELD,
];

type PathList = Option<At<Vec<At<String>>>>;

/// A field of a profile that holds paths.
struct PathField {
    name: &'static str,
    flag: &'static str,
    get: fn(&ProfileWritten) -> &PathList,
    added: fn(&Overrides) -> &[PathBuf],
    default: &'static [&'static str],
}

const WRITABLE: PathField = PathField {
    name: "writable_paths",
    flag: "--rw",
    get: |p| &p.writable_paths,
    added: |o| &o.rw,
    default: &["."],
};
const READABLE: PathField = PathField {
    name: "readable_paths",
    flag: "--ro",
    get: |p| &p.readable_paths,
    added: |o| &o.ro,
    default: &[],
};
const HIDDEN: PathField = PathField {
    name: "hidden_paths",
    flag: "--hide",
    get: |p| &p.hidden_paths,
    added: |o| &o.hide,
    default: &[],
};
const PROTECTED: PathField = PathField {
    name: "protected_paths",
    flag: "",
    get: |p| &p.protected_paths,
    added: |_| &[],
    default: &[],
};

impl<'a> Layers<'a> {
    pub(super) fn new(
        chain: Vec<(&'a str, &'a ProfileWritten)>,
        source: Option<&'a Source>,
    ) -> Layers<'a> {
        Layers { about_sandbox: chain.len(), chain, source }
    }

    /// The checks that need neither flags nor an environment.
    pub(super) fn check_values(&self) -> Result<(), ConfigError> {
        NUMBERS.iter().try_for_each(|field| self.number(field).map(drop))?;
        self.cpu_cores()?;
        self.allowlist()?;
        self.exposed().map(drop)
    }

    pub(super) fn resolve(
        mut self,
        name: &str,
        flags: &Overrides,
        base: &PathBase<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Profile, ConfigError> {
        check_flags(flags)?;
        let mode = self.pick(|p| &p.mode).map_or(Mode::Sandbox, |(_, at)| at.value);
        if mode == Mode::Host {
            self.start_afresh();
        }
        let sandboxed = mode == Mode::Sandbox;
        let fs_mode = self.fs_mode(flags, sandboxed)?;
        let network_mode = self.network_mode(flags, sandboxed)?;
        let network_allowlist = self.network_allowlist(flags, network_mode, warnings)?;
        self.check_kept(flags, fs_mode, sandboxed)?;
        let profile = Profile {
            name: name.to_owned(),
            mode,
            isolation: self.value(|p| &p.isolation, Isolation::BestEffort),
            fs_mode,
            workspace: base.workspace.to_owned(),
            writable_paths: self.writable(flags, fs_mode, base, warnings)?,
            readable_paths: self.paths(&READABLE, flags, base)?,
            hidden_paths: self.paths(&HIDDEN, flags, base)?,
            protected_paths: self.paths(&PROTECTED, flags, base)?,
            read_scope: self.value(|p| &p.read_scope, ReadScope::Host),
            network_mode,
            network_allowlist,
            expose: self.expose(network_mode, warnings)?,
            unix_sockets: self.unix_sockets(base, sandboxed)?,
            max_memory: limit(
                flags.memory.map(ByteSize::bytes).or(self.number(&MEMORY)?),
                base.environment.memory().map(|bytes| bytes / 4 * 3 / MIB * MIB),
            ),
            max_cpu: flags
                .cpu_time
                .map(whole_seconds)
                .or(self.number(&CPU)?.map(Duration::from_secs)),
            max_processes: limit(
                flags.pids.or(self.number(&PROCESSES)?),
                base.environment.memory().map(|_| MAX_PROCESSES),
            ),
            max_open_files: flags.open_files.or(self.number(&OPEN_FILES)?),
            max_file_size: flags.file_size.map(ByteSize::bytes).or(self.number(&FILE_SIZE)?),
            max_cpu_cores: flags.cpus.or(self.cpu_cores()?),
            max_io_read: self.number(&IO_READ)?,
            max_io_write: self.number(&IO_WRITE)?,
            asks_for_limits: self.asks_for_limits(flags)?,
            max_disk: flags.disk.map(ByteSize::bytes).or(self.number(&DISK)?),
            max_address_space: flags
                .address_space
                .map(ByteSize::bytes)
                .or(self.number(&ADDRESS_SPACE)?),
            max_output: flags
                .max_output
                .map(ByteSize::bytes)
                .or(self.number(&OUTPUT)?)
                .unwrap_or(MAX_OUTPUT),
            timeout: flags.timeout.or(self.number(&TIMEOUT)?.map(Duration::from_secs)),
            idle_timeout: flags.idle_timeout.or(self.number(&IDLE)?.map(Duration::from_secs)),
            grace: flags
                .grace
                .or(self.number(&GRACE_FIELD)?.map(Duration::from_secs))
                .unwrap_or(GRACE),
        };
        warn_of_wide_paths(&profile, base, warnings);
        Ok(profile)
    }

    /// The nearest layer that gives a field of the sandbox.
    fn pick<T>(
        &self,
        get: impl Fn(&'a ProfileWritten) -> &'a Option<At<T>>,
    ) -> Option<(&'a str, &'a At<T>)> {
        nearest_layer(&self.chain[..self.about_sandbox], get)
    }

    fn value<T: Copy + 'a>(
        &self,
        get: impl Fn(&'a ProfileWritten) -> &'a Option<At<T>>,
        default: T,
    ) -> T {
        self.pick(get).map_or(default, |(_, at)| at.value)
    }

    fn fail<T>(&self, layer: &str, at: &At<T>, field: &str, problem: ConfigProblem) -> ConfigError {
        fail(self.source, at, format!("profiles.{layer}.{field}"), problem)
    }

    /// Lets only the layers down to the one that says `mode = "host"` speak about the sandbox.
    fn start_afresh(&mut self) {
        let host = self.chain.iter().position(|(_, profile)| profile.mode.is_some());
        self.about_sandbox = host.map_or(self.about_sandbox, |at| at + 1);
    }

    fn fs_mode(&self, flags: &Overrides, sandboxed: bool) -> Result<FsMode, ConfigError> {
        let default = if sandboxed { FsMode::WorkspaceRwScoped } else { FsMode::Inherit };
        let fs_mode = flags.fs.unwrap_or(self.value(|p| &p.fs_mode, default));
        if sandboxed || fs_mode == FsMode::Inherit {
            return Ok(fs_mode);
        }
        Err(match (flags.fs, self.pick(|p| &p.fs_mode)) {
            (None, Some((layer, at))) => self.fail(layer, at, "fs_mode", host_conflict()),
            _ => ConfigError::flag("--fs", host_conflict()),
        })
    }

    fn network_mode(&self, flags: &Overrides, sandboxed: bool) -> Result<NetworkMode, ConfigError> {
        if let (Some(mode), false) = (flags.net, flags.allow.is_empty())
            && mode != NetworkMode::Allowlist
        {
            return Err(ConfigError::flag(
                "--allow",
                conflict(format!("--net {mode}"), "leave one of the two out"),
            ));
        }
        let default = if sandboxed { NetworkMode::Deny } else { NetworkMode::Inherit };
        let by_flag = if flags.allow.is_empty() { flags.net } else { Some(NetworkMode::Allowlist) };
        let mode = by_flag.unwrap_or(self.value(|p| &p.network_mode, default));
        if sandboxed || mode == NetworkMode::Inherit {
            return Ok(mode);
        }
        Err(match (by_flag, self.pick(|p| &p.network_mode)) {
            (None, Some((layer, at))) => self.fail(layer, at, "network_mode", host_conflict()),
            _ if flags.allow.is_empty() => ConfigError::flag("--net", host_conflict()),
            _ => ConfigError::flag("--allow", host_conflict()),
        })
    }

    fn network_allowlist(
        &self,
        flags: &Overrides,
        mode: NetworkMode,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<AllowEntry>, ConfigError> {
        let mut entries = self.allowlist()?;
        if mode != NetworkMode::Allowlist {
            if !entries.is_empty() {
                warnings.push(format!(
                    "network_allowlist has no effect with network_mode = \"{mode}\""
                ));
            }
            return Ok(Vec::new());
        }
        entries.extend(flags.allow.iter().cloned());
        if entries.is_empty() {
            warnings.push("network_mode is \"allowlist\" and network_allowlist is empty: nothing can be reached".into());
        }
        Ok(entries)
    }

    fn allowlist(&self) -> Result<Vec<AllowEntry>, ConfigError> {
        let Some((layer, list)) = self.pick(|p| &p.network_allowlist) else {
            return Ok(Vec::new());
        };
        let parse = |entry: &At<String>| {
            let fail =
                |error| self.fail(layer, entry, "network_allowlist", ConfigProblem::Entry(error));
            AllowEntry::parse(&entry.value).map_err(fail)
        };
        list.value.iter().map(parse).collect()
    }

    fn expose(
        &self,
        mode: NetworkMode,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Exposed>, ConfigError> {
        let exposed = self.exposed()?;
        if mode == NetworkMode::Allowlist || exposed.is_empty() {
            return Ok(exposed);
        }
        warnings.push(format!("expose has no effect with network_mode = \"{mode}\""));
        Ok(Vec::new())
    }

    fn exposed(&self) -> Result<Vec<Exposed>, ConfigError> {
        let Some((layer, list)) = self.pick(|p| &p.expose) else { return Ok(Vec::new()) };
        let parse = |entry: &At<String>| {
            let problem = || ConfigProblem::Port { text: entry.value.clone() };
            let fail = || self.fail(layer, entry, "expose", problem());
            Exposed::parse(&entry.value).ok_or_else(fail)
        };
        list.value.iter().map(parse).collect()
    }

    /// Refuses what a sandbox would have to keep where there is none, or none for files.
    fn check_kept(
        &self,
        flags: &Overrides,
        fs_mode: FsMode,
        sandboxed: bool,
    ) -> Result<(), ConfigError> {
        let reason = || {
            if sandboxed {
                conflict("fs_mode = \"inherit\"", "use another fs_mode, or make it empty")
            } else {
                host_conflict()
            }
        };
        if !sandboxed
            && let Some((layer, at)) =
                self.pick(|p| &p.isolation).filter(|(_, at)| at.value == Isolation::Strict)
        {
            return Err(self.fail(layer, at, "isolation", reason()));
        }
        if fs_mode != FsMode::Inherit {
            return Ok(());
        }
        for field in [&HIDDEN, &PROTECTED] {
            if !(field.added)(flags).is_empty() {
                return Err(ConfigError::flag(field.flag, reason()));
            }
            if let Some((layer, at)) = self.pick(field.get).filter(|(_, at)| !at.value.is_empty()) {
                return Err(self.fail(layer, at, field.name, reason()));
            }
        }
        match self.pick(|p| &p.read_scope) {
            Some((layer, at)) if at.value == ReadScope::Minimal => {
                Err(self.fail(layer, at, "read_scope", reason()))
            }
            _ => Ok(()),
        }
    }

    fn writable(
        &self,
        flags: &Overrides,
        fs_mode: FsMode,
        base: &PathBase<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        if matches!(fs_mode, FsMode::WorkspaceRwScoped | FsMode::WorkspaceOverlay) {
            return self.paths(&WRITABLE, flags, base);
        }
        let mode = format!("fs_mode = \"{fs_mode}\"");
        if !flags.rw.is_empty() && fs_mode == FsMode::WorkspaceReadonly {
            return Err(ConfigError::flag(
                "--rw",
                conflict(mode, "add `--fs workspace_rw_scoped`"),
            ));
        }
        if self.pick(WRITABLE.get).is_some_and(|(_, at)| !at.value.is_empty()) {
            warnings.push(format!("writable_paths has no effect with {mode}"));
        }
        Ok(Vec::new())
    }

    fn paths(
        &self,
        field: &PathField,
        flags: &Overrides,
        base: &PathBase<'_>,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let mut paths = match self.pick(field.get) {
            Some((layer, list)) => self.expand_all(layer, field.name, &list.value, base)?,
            None => field
                .default
                .iter()
                .map(|path| base.workspace.join(path))
                .map(|path| crate::paths::normalize(&path))
                .collect(),
        };
        for path in (field.added)(flags) {
            paths.push(base.flag(path).map_err(|problem| ConfigError::flag(field.flag, problem))?);
        }
        Ok(paths)
    }

    fn expand_all(
        &self,
        layer: &str,
        field: &str,
        list: &[At<String>],
        base: &PathBase<'_>,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let expand = |path: &At<String>| {
            base.expand(&path.value).map_err(|problem| self.fail(layer, path, field, problem))
        };
        list.iter().map(expand).collect()
    }

    fn unix_sockets(
        &self,
        base: &PathBase<'_>,
        sandboxed: bool,
    ) -> Result<UnixSockets, ConfigError> {
        let Some((layer, at)) = self.pick(|p| &p.unix_sockets) else {
            return Ok(if sandboxed { UnixSockets::Private } else { UnixSockets::Inherit });
        };
        match &at.value {
            UnixSocketsWritten::Inherit => Ok(UnixSockets::Inherit),
            _ if !sandboxed => Err(self.fail(layer, at, "unix_sockets", host_conflict())),
            UnixSocketsWritten::Private => Ok(UnixSockets::Private),
            UnixSocketsWritten::Listed(paths) => {
                self.expand_all(layer, "unix_sockets", paths, base).map(UnixSockets::Listed)
            }
        }
    }

    /// Zero asks for none.
    fn asks_for_limits(&self, flags: &Overrides) -> Result<bool, ConfigError> {
        let memory = flags.memory.map(ByteSize::bytes).or(self.number(&MEMORY)?);
        let processes = flags.pids.or(self.number(&PROCESSES)?);
        let asked = [memory, processes].into_iter().flatten().any(|limit| limit > 0);
        let bandwidth = self.number(&IO_READ)?.or(self.number(&IO_WRITE)?);
        Ok(asked || bandwidth.is_some() || flags.cpus.or(self.cpu_cores()?).is_some())
    }

    fn cpu_cores(&self) -> Result<Option<CpuCores>, ConfigError> {
        let Some((layer, at)) = nearest_layer(&self.chain, |p| &p.max_cpu_cores) else {
            return Ok(None);
        };
        let problem = || ConfigProblem::Cores { value: at.value.to_string() };
        let cores = CpuCores::new(at.value);
        cores.map(Some).ok_or_else(|| self.fail(layer, at, "max_cpu_cores", problem()))
    }

    /// A number in its unit. `None`: no layer gives it.
    fn number(&self, field: &NumberField) -> Result<Option<u64>, ConfigError> {
        let Some((layer, at)) = nearest_layer(&self.chain, field.get) else { return Ok(None) };
        let scaled = at.value.checked_mul(field.unit).filter(|_| at.value >= field.least);
        let out_of_range = || ConfigProblem::OutOfRange {
            value: at.value,
            allowed: format!("a number from {} to {}", field.least, u64::MAX / field.unit),
        };
        scaled.map(Some).ok_or_else(|| self.fail(layer, at, field.name, out_of_range()))
    }
}

/// A limit that has a default on a machine that is known, and 0 for none.
fn limit(said: Option<u64>, default: Option<u64>) -> Option<u64> {
    said.or(default).filter(|limit| *limit > 0)
}

fn nearest_layer<'a, T: 'a>(
    layers: &[(&'a str, &'a ProfileWritten)],
    get: impl Fn(&'a ProfileWritten) -> &'a Option<At<T>>,
) -> Option<(&'a str, &'a At<T>)> {
    layers.iter().find_map(|(name, profile)| get(profile).as_ref().map(|at| (*name, at)))
}

fn conflict(other: impl Into<String>, advice: &str) -> ConfigProblem {
    ConfigProblem::Conflict { other: other.into(), advice: advice.into() }
}

fn host_conflict() -> ConfigProblem {
    conflict(
        "mode = \"host\"",
        "use `mode = \"sandbox\"`, or leave it out: the host has no sandbox that could keep it",
    )
}

/// A flag that says zero where zero would mean that nothing can run.
fn check_flags(flags: &Overrides) -> Result<(), ConfigError> {
    let zero = [
        ("--cpu-time", flags.cpu_time.is_some_and(|time| time.is_zero())),
        ("--disk", flags.disk.is_some_and(|size| size.bytes() == 0)),
        ("--address-space", flags.address_space.is_some_and(|size| size.bytes() == 0)),
        ("--open-files", flags.open_files == Some(0)),
        ("--timeout", flags.timeout.is_some_and(|time| time.is_zero())),
        ("--idle-timeout", flags.idle_timeout.is_some_and(|time| time.is_zero())),
    ];
    match zero.iter().find(|(_, is_zero)| *is_zero) {
        Some((flag, _)) => Err(ConfigError::flag(
            flag,
            ConfigProblem::OutOfRange { value: 0, allowed: "more than zero".into() },
        )),
        None => Ok(()),
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

/// A writable root or home makes the rest of the profile nearly void; it is allowed, but said.
fn warn_of_wide_paths(profile: &Profile, base: &PathBase<'_>, warnings: &mut Vec<String>) {
    let homes = base.environment.homes();
    let is_wide =
        |path: &Path| path == Path::new("/") || homes.iter().any(|home| home.starts_with(path));
    for path in profile.writable_paths.iter().filter(|path| is_wide(path)) {
        warnings.push(format!("the command can write all of {}", path.display()));
    }
}

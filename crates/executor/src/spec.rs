//! From the words of the config to the words of the sandbox and of the limits.
//!
//! Pure functions: what they say about a profile depends on the profile alone, and on whether the
//! caller is root where the kernel makes a difference.

use std::path::PathBuf;
use std::time::Duration;

use ringfence_config::{CpuCores, FsMode, Isolation, Mode, NetworkMode, Profile};
use ringfence_resource_limits::cgroup::LeafLimits;
use ringfence_resource_limits::{CAN_SAMPLE, Context, Enforced, LimitedResource, Limits};
use ringfence_sandbox::{
    Confinement, FileView, Files, Level, Network, ReadScope, SandboxSpec, Trace, UnixSockets,
};

use crate::outlet;

/// What the sandbox must do for a profile. `homes` are the directories below which credential
/// stores are hidden; `memory` is what the machine has.
pub(crate) fn sandbox_spec(
    profile: &Profile,
    homes: Vec<PathBuf>,
    memory: Option<u64>,
) -> SandboxSpec {
    let host = profile.mode == Mode::Host;
    SandboxSpec {
        confinement: if host { Confinement::Host } else { Confinement::Sandbox },
        strict: profile.isolation == Isolation::Strict,
        files: if host { Files::Inherit } else { files(profile, homes, memory) },
        network: match profile.network_mode {
            _ if host => Network::Inherit,
            NetworkMode::Deny => Network::Deny,
            NetworkMode::Allowlist => outlet::network(),
            NetworkMode::Inherit => Network::Inherit,
        },
        unix_sockets: match &profile.unix_sockets {
            _ if host => UnixSockets::Inherit,
            ringfence_config::UnixSockets::Private => UnixSockets::Private,
            ringfence_config::UnixSockets::Inherit => UnixSockets::Inherit,
            ringfence_config::UnixSockets::Listed(paths) => UnixSockets::Listed(paths.clone()),
        },
        trace: Trace::Changes,
        workspace: profile.workspace.clone(),
    }
}

fn files(profile: &Profile, homes: Vec<PathBuf>, memory: Option<u64>) -> Files {
    let writable = match profile.fs_mode {
        FsMode::Inherit => return Files::Inherit,
        FsMode::WorkspaceRwScoped => profile.writable_paths.clone(),
        // The workspace itself is not given; what lies apart from it is.
        FsMode::WorkspaceOverlay => {
            let apart = |path: &&PathBuf| {
                !path.starts_with(&profile.workspace) && !profile.workspace.starts_with(path)
            };
            profile.writable_paths.iter().filter(apart).cloned().collect()
        }
        _ => Vec::new(),
    };
    Files::View(FileView {
        writable,
        readable: profile.readable_paths.clone(),
        hidden: profile.hidden_paths.clone(),
        homes,
        protected: profile.protected_paths.clone(),
        scope: match profile.read_scope {
            ringfence_config::ReadScope::Minimal => ReadScope::Minimal,
            ringfence_config::ReadScope::Host => ReadScope::Host,
        },
        overlay: None,
        private_size: private_size(profile, memory),
    })
}

/// What lies in private directories lies in memory, and is none of any process: so it has the limit of memory, or of
/// storage, whichever is less. `None` when the sandbox's own measure, a quarter of the machine, is less than both.
fn private_size(profile: &Profile, memory: Option<u64>) -> Option<u64> {
    let least = profile.max_disk.into_iter().chain(profile.max_memory).min()?;
    (memory.is_none_or(|memory| least < memory / 4)).then_some(least)
}

/// How often a tree is looked at. See [`ringfence_resource_limits::pace()`].
macro_rules! looks {
    () => {
        "sampled every 10 to 200 ms"
    };
}
pub(crate) use looks;

/// Processes and threads of a tree that are not the command's: the init, and the one that listens.
pub(crate) const OF_THE_INIT: u64 = 2;

/// The limits of a profile: those the kernel keeps, and those that are kept by looking.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Split {
    /// As asked for.
    pub(crate) asked: Limits,
    /// For `setrlimit(2)`.
    pub(crate) kernel: Limits,
    /// For the sampling of the tree.
    pub(crate) watched: Watched,
    /// Processes of a tree that the kernel does not count otherwise, for what can be done in a PID namespace.
    pub(crate) most_processes: Option<u64>,
    /// What can be promised of each, under the name it has in the result.
    pub(crate) enforcement: Vec<(&'static str, Level)>,
}

/// Limits of a whole tree that are kept by looking at it, and those that are looked at to be told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) memory: Option<u64>,
    /// Kept by a control group; who used it up is seen by looking.
    pub(crate) memory_of_group: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) processes: Option<Processes>,
    /// Kept by the kernel; whether it was reached is seen by looking.
    pub(crate) open_files: Option<u64>,
    pub(crate) disk: Option<u64>,
}

/// Who keeps the number of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// Whoever looks: a tree with more is ended.
    Looked(u64),
    /// The kernel refuses more; a tree that stays at its limit and goes on starting processes is ended.
    Refused(u64),
    /// The same, by a control group that counts what it refuses.
    Counted(u64),
}

impl Watched {
    pub(crate) fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// What the limits of a run can be built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grounds {
    /// The caller is the machine's root.
    pub(crate) real_root: bool,
    /// The tree has a user namespace of its own.
    pub(crate) own_user_namespace: bool,
    /// The tree has a control group of its own.
    pub(crate) group: Option<Group>,
    /// All that the command writes goes to disks whose bandwidth can be counted for it.
    pub(crate) all_disks: bool,
}

/// A control group that keeps limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// No process of the tree can leave it.
    Closed,
    /// The tree sees the hierarchy with the caller's rights.
    Open,
}

/// The limits of a profile, as asked for.
pub(crate) fn asked(profile: &Profile) -> Limits {
    Limits {
        memory: profile.max_memory,
        cpu_time: profile.max_cpu,
        processes: profile.max_processes,
        open_files: profile.max_open_files,
        file_size: profile.max_file_size,
        address_space: profile.max_address_space,
        disk: profile.max_disk,
    }
}

/// The limits that the control group of a run is to have; `None` when no limit needs one.
pub(crate) fn group_limits(profile: &Profile) -> Option<LeafLimits> {
    let limits = LeafLimits {
        memory: profile.max_memory,
        processes: profile.max_processes.map(|count| count.saturating_add(OF_THE_INIT)),
        cpu_cores: profile.max_cpu_cores.map(CpuCores::cores),
        read_per_second: profile.max_io_read,
        written_per_second: profile.max_io_write,
    };
    (limits != LeafLimits::default()).then_some(limits)
}

/// Sorts the limits of a profile by who can keep them.
///
/// The kernel counts processes by user, and root not at all. Where that is not the tree's own
/// count, the limit is left out of the kernel's and the tree is looked at instead: a limit that
/// counts the caller's browser would be worse than none.
pub(crate) fn split_limits(profile: &Profile, grounds: Grounds) -> Split {
    let asked = asked(profile);
    let mut kernel = asked;
    // Where a tree cannot be looked at, the kernel's limit of each process is what there is. What has
    // nothing else to keep it is refused before the run starts.
    let looked = |limit: Option<u64>| limit.filter(|_| CAN_SAMPLE);
    let mut watched = Watched {
        memory: asked.memory.filter(|_| grounds.group.is_none()),
        memory_of_group: looked(asked.memory).filter(|_| grounds.group.is_some()),
        cpu_time: asked.cpu_time.filter(|_| CAN_SAMPLE),
        processes: None,
        open_files: looked(asked.open_files),
        disk: looked(asked.disk),
    };
    let Grounds { real_root, own_user_namespace, group, all_disks } = grounds;
    let mut enforcement = Vec::new();
    for (resource, enforced) in asked.enforced(Context { real_root, own_user_namespace }) {
        let by_group = group.filter(|_| kept_by_groups(resource));
        let level = by_group.map_or_else(|| promise(resource, enforced), Group::level);
        enforcement.push((property(resource), level));
    }
    let by_user =
        enforcement.iter().any(|(name, level)| *name == "process_count" && level.is_full());
    let mut most_processes = None;
    if group.is_some() {
        kernel.processes = None;
        watched.processes = looked(asked.processes).map(Processes::Counted);
    } else if by_user {
        kernel.processes = asked.processes.map(|count| count.saturating_add(OF_THE_INIT));
        watched.processes = looked(asked.processes).map(Processes::Refused);
    } else {
        most_processes = kernel.processes.take();
        watched.processes = most_processes.map(Processes::Looked);
    }
    if profile.max_cpu_cores.is_some() {
        enforcement.extend(group.map(|group| ("cpu_cores", group.level())));
    }
    if limits_bandwidth(profile) {
        enforcement.extend(group.map(|group| ("io", bandwidth(group, all_disks))));
    }
    enforcement.extend(asked.address_space.map(|_| ("address_space", Level::Full)));
    Split { asked, kernel, watched, most_processes, enforcement }
}

impl Group {
    fn level(self) -> Level {
        match self {
            Self::Closed => Level::Full,
            Self::Open => Level::Partial("a process may move out of its control group".to_owned()),
        }
    }
}

/// Whether a profile limits what goes to and from disks, which only a group can.
pub(crate) fn limits_bandwidth(profile: &Profile) -> bool {
    profile.max_io_read.is_some() || profile.max_io_write.is_some()
}

fn bandwidth(group: Group, all_disks: bool) -> Level {
    match all_disks {
        true => group.level(),
        false => Level::Partial(
            "not where no disk is known, nor what a file system writes later for nobody".to_owned(),
        ),
    }
}

fn kept_by_groups(resource: LimitedResource) -> bool {
    matches!(resource, LimitedResource::Memory | LimitedResource::Processes)
}

/// The isolation of processes is called `processes` in a result, so their number is not.
fn property(resource: LimitedResource) -> &'static str {
    match resource {
        LimitedResource::Processes => "process_count",
        other => other.as_str(),
    }
}

fn promise(resource: LimitedResource, enforced: Enforced) -> Level {
    let partial = |why: &str| Level::Partial(why.to_owned());
    match (resource, enforced) {
        (_, Enforced::Full) => Level::Full,
        (LimitedResource::Memory | LimitedResource::Processes, _) => partial(looks!()),
        (LimitedResource::Cpu, _) if CAN_SAMPLE => {
            partial(concat!("each process by the kernel, the tree ", looks!()))
        }
        (LimitedResource::Disk, _) if CAN_SAMPLE => {
            partial(concat!("each file by the kernel, free space ", looks!()))
        }
        (_, Enforced::Partial(why)) => partial(why),
        (_, Enforced::None(why)) => Level::None(why.to_owned()),
        (_, other) => partial(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringfence_config::{Config, Environment, Overrides};

    use super::*;

    fn profile(lines: &str) -> Profile {
        let text = format!("[profiles.test]\n{lines}\n");
        let environment = Environment::new([("HOME", "/home/user")], "/work");
        Config::from_str(&text, Path::new("ringfence.toml"))
            .and_then(|config| {
                config.resolve(
                    Some("test"),
                    &Overrides::default(),
                    Path::new("/work"),
                    &environment,
                )
            })
            .expect("because the tests write sound profiles")
            .profile
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(Into::into).collect()
    }

    fn check_spec(lines: &str, expect: SandboxSpec) {
        let got = sandbox_spec(&profile(lines), paths(&["/home/user"]), Some(1 << 34));
        assert_eq!(got, expect, "{lines}");
    }

    #[test]
    fn a_profile_becomes_a_specification() {
        let view = FileView { homes: paths(&["/home/user"]), ..FileView::default() };
        let default = SandboxSpec {
            confinement: Confinement::Sandbox,
            strict: false,
            files: Files::View(FileView { writable: paths(&["/work"]), ..view.clone() }),
            network: Network::Deny,
            unix_sockets: UnixSockets::Private,
            trace: Trace::Changes,
            workspace: "/work".into(),
        };
        check_spec("", default.clone());
        check_spec("isolation = \"strict\"", SandboxSpec { strict: true, ..default.clone() });
        for lines in
            ["max_memory_mb = 64", "max_disk_mb = 64", "max_disk_mb = 64\nmax_memory_mb = 99"]
        {
            let writable = paths(&["/work"]);
            let view = FileView { private_size: Some(64 << 20), writable, ..view.clone() };
            check_spec(lines, SandboxSpec { files: Files::View(view), ..default.clone() });
        }
        check_spec("max_memory_mb = 8192", default.clone());
        check_spec(
            "fs_mode = \"inherit\"\nnetwork_mode = \"inherit\"",
            SandboxSpec { files: Files::Inherit, network: Network::Inherit, ..default.clone() },
        );
        check_spec(
            "fs_mode = \"workspace_readonly\"\nreadable_paths = [\"~/.netrc\"]\nhidden_paths = [\"secret\"]",
            SandboxSpec {
                files: Files::View(FileView {
                    readable: paths(&["/home/user/.netrc"]),
                    hidden: paths(&["/work/secret"]),
                    ..view.clone()
                }),
                ..default.clone()
            },
        );
        check_spec(
            "mode = \"host\"",
            SandboxSpec {
                confinement: Confinement::Host,
                files: Files::Inherit,
                network: Network::Inherit,
                unix_sockets: UnixSockets::Inherit,
                ..default
            },
        );
    }

    fn check_limits(
        lines: &str,
        real_root: bool,
        kernel: Limits,
        watched: Watched,
        expect: &[&str],
    ) {
        let profile = profile(lines);
        let own_user_namespace = profile.mode == Mode::Sandbox;
        let grounds = Grounds { real_root, own_user_namespace, group: None, all_disks: true };
        let split = split_limits(&profile, grounds);
        assert_eq!((split.kernel, split.watched), (kernel, watched), "{lines}");
        let got: Vec<_> =
            split.enforcement.iter().map(|(what, how)| format!("{what} {how}")).collect();
        assert_eq!(got, expect, "{lines}");
    }

    #[test]
    fn limits_are_kept_by_the_kernel_or_by_looking() {
        let none = Limits::default();
        let unwatched = Watched::default();
        check_limits("", false, none, unwatched, &[]);
        check_limits(
            "max_open_files = 9\nmax_file_size_mb = 2",
            true,
            Limits { open_files: Some(9), file_size: Some(2 << 20), ..none },
            Watched { open_files: Some(9), ..unwatched },
            &["open_files full", "file_size full"],
        );
        let cpu_time = Some(Duration::from_secs(3));
        check_limits(
            "max_cpu_seconds = 3",
            false,
            Limits { cpu_time, ..none },
            Watched { cpu_time, ..unwatched },
            &["cpu partial: each process by the kernel, the tree sampled every 10 to 200 ms"],
        );
        let by_kernel = Limits { processes: Some(9), ..none };
        let watched = |processes| Watched { processes: Some(processes), ..unwatched };
        let by_looking = watched(Processes::Looked(7));
        let sampled = &["process_count partial: sampled every 10 to 200 ms"];
        let kept = watched(Processes::Refused(7));
        check_limits("max_processes = 7", false, by_kernel, kept, &["process_count full"]);
        check_limits("max_processes = 7", true, none, by_looking, sampled);
        check_limits("max_processes = 7\nmode = \"host\"", false, none, by_looking, sampled);
    }

    #[test]
    fn a_control_group_keeps_what_it_can() {
        let check = |lines: &str, group: Group, watched: Watched, expect: &[&str]| {
            let profile = profile(lines);
            let (group, all_disks) = (Some(group), group == Group::Closed);
            let grounds = Grounds { real_root: true, own_user_namespace: true, group, all_disks };
            let split = split_limits(&profile, grounds);
            assert_eq!(split.kernel.processes, None);
            assert_eq!((split.watched, split.most_processes), (watched, None), "{lines}");
            let got = split.enforcement.iter().map(|(what, how)| format!("{what} {how}"));
            assert_eq!(got.collect::<Vec<_>>(), expect, "{lines}");
        };
        let lines = "max_memory_mb = 9\nmax_processes = 7\nmax_cpu_cores = 1.5";
        let unwatched = Watched::default();
        let memory = Watched { memory_of_group: Some(9 << 20), ..unwatched };
        let crowd = Watched { processes: Some(Processes::Counted(7)), ..memory };
        let full = ["memory full", "process_count full", "cpu_cores full"];
        check(lines, Group::Closed, crowd, &full);
        let out = "memory partial: a process may move out of its control group";
        check("max_memory_mb = 9", Group::Open, memory, &[out]);
        let io = "max_io_write_mb_per_second = 3";
        check(io, Group::Closed, unwatched, &["io full"]);
        let partly = "io partial: not where no disk is known, nor what a file system writes later for nobody";
        check(io, Group::Open, unwatched, &[partly]);
        let limits = group_limits(&profile(io)).expect("because there is one");
        assert_eq!((limits.read_per_second, limits.written_per_second), (None, Some(3 << 20)));
        let limits = group_limits(&profile(lines)).expect("because there are some");
        assert_eq!((limits.memory, limits.processes), (Some(9 << 20), Some(9)));
        assert_eq!(limits.cpu_cores, Some(1.5));
        assert_eq!(group_limits(&profile("max_open_files = 9")), None);
    }
}

//! From the words of the config to the words of the sandbox and of the limits.
//!
//! Pure functions: what they say about a profile depends on the profile alone, and on whether the
//! caller is root where the kernel makes a difference.

use std::path::PathBuf;
use std::time::Duration;

use ringfence_config::{FsMode, Isolation, Mode, NetworkMode, Profile};
use ringfence_resource_limits::{CAN_SAMPLE, Context, Enforced, LimitedResource, Limits};
use ringfence_sandbox::{
    Confinement, FileView, Files, Level, Network, ReadScope, SandboxSpec, Trace, UnixSockets,
};

use crate::outlet;

/// How often limits of a whole tree are looked at where the kernel does not keep them.
pub(crate) const SAMPLING: Duration = Duration::from_millis(50);

/// What the sandbox must do for a profile. `homes` are the directories below which credential
/// stores are hidden.
pub(crate) fn sandbox_spec(profile: &Profile, homes: Vec<PathBuf>) -> SandboxSpec {
    let host = profile.mode == Mode::Host;
    SandboxSpec {
        confinement: if host { Confinement::Host } else { Confinement::Sandbox },
        strict: profile.isolation == Isolation::Strict,
        files: if host { Files::Inherit } else { files(profile, homes) },
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

fn files(profile: &Profile, homes: Vec<PathBuf>) -> Files {
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
    })
}

/// The limits of a profile: those the kernel keeps, and those that are kept by looking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// As asked for.
    pub(crate) asked: Limits,
    /// For `setrlimit(2)`.
    pub(crate) kernel: Limits,
    /// For the sampling of the tree.
    pub(crate) watched: Watched,
    /// What can be promised of each, under the name it has in the result.
    pub(crate) enforcement: Vec<(&'static str, Level)>,
}

/// Limits of a whole tree that are kept by looking at it every [`SAMPLING`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) memory: Option<u64>,
    pub(crate) cpu_time: Option<Duration>,
    pub(crate) processes: Option<u64>,
}

impl Watched {
    pub(crate) fn any(&self) -> bool {
        self.memory.is_some() || self.cpu_time.is_some() || self.processes.is_some()
    }
}

/// Sorts the limits of a profile by who can keep them.
///
/// The kernel counts processes by user, and root not at all. Where that is not the tree's own
/// count, the limit is left out of the kernel's and the tree is looked at instead: a limit that
/// counts the caller's browser would be worse than none.
pub(crate) fn split_limits(profile: &Profile, real_root: bool, own_user_namespace: bool) -> Split {
    let asked = Limits {
        memory: profile.max_memory,
        cpu_time: profile.max_cpu,
        processes: profile.max_processes,
        open_files: profile.max_open_files,
        file_size: profile.max_file_size,
    };
    let mut kernel = asked;
    // Where a tree cannot be looked at, the kernel's limit of each process is what there is. What has
    // nothing else to keep it is refused before the run starts.
    let cpu_time = asked.cpu_time.filter(|_| CAN_SAMPLE);
    let mut watched = Watched { memory: asked.memory, cpu_time, processes: None };
    let mut enforcement = Vec::new();
    for (resource, enforced) in asked.enforced(Context { real_root, own_user_namespace }) {
        let by_kernel = enforced == Enforced::Full;
        if resource == LimitedResource::Processes && !by_kernel {
            watched.processes = kernel.processes.take();
        }
        enforcement.push((property(resource), promise(resource, enforced)));
    }
    Split { asked, kernel, watched, enforcement }
}

/// The isolation of processes is called `processes` in a result, so their number is not.
fn property(resource: LimitedResource) -> &'static str {
    match resource {
        LimitedResource::Processes => "process_count",
        other => other.as_str(),
    }
}

fn promise(resource: LimitedResource, enforced: Enforced) -> Level {
    match (resource, enforced) {
        (_, Enforced::Full) => Level::Full,
        (LimitedResource::Memory | LimitedResource::Processes, _) => {
            Level::Partial("sampled every 50 ms".to_owned())
        }
        (LimitedResource::Cpu, _) if CAN_SAMPLE => {
            Level::Partial("each process by the kernel, the tree sampled every 50 ms".to_owned())
        }
        (_, Enforced::Partial(why)) => Level::Partial(why.to_owned()),
        (_, Enforced::None(why)) => Level::None(why.to_owned()),
        (_, other) => Level::Partial(other.to_string()),
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
        assert_eq!(sandbox_spec(&profile(lines), paths(&["/home/user"])), expect, "{lines}");
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
        let split = split_limits(&profile, real_root, profile.mode == Mode::Sandbox);
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
            unwatched,
            &["open_files full", "file_size full"],
        );
        let cpu_time = Some(Duration::from_secs(3));
        check_limits(
            "max_cpu_seconds = 3",
            false,
            Limits { cpu_time, ..none },
            Watched { cpu_time, ..unwatched },
            &["cpu partial: each process by the kernel, the tree sampled every 50 ms"],
        );
        let processes = Some(7);
        let by_kernel = Limits { processes, ..none };
        let by_looking = Watched { processes, ..unwatched };
        let sampled = &["process_count partial: sampled every 50 ms"];
        check_limits("max_processes = 7", false, by_kernel, unwatched, &["process_count full"]);
        check_limits("max_processes = 7", true, none, by_looking, sampled);
        check_limits("max_processes = 7\nmode = \"host\"", false, none, by_looking, sampled);
    }
}

//! A resolved profile made ready for any number of runs.
//!
//! What is the same for every run of a profile is worked out once: the policy, the filtered
//! environment, the compiled redaction, the limits, the sandbox's specification. What depends on
//! the host as it is at that moment (which paths exist, which descriptors are open) is not, and
//! each run looks anew: a credential file that appears between two runs is hidden in the second.

use std::path::{Path, PathBuf};

use ringfence_config::{
    Ansi, CgroupScope, Environment, Output, Profile, Progress, Resolved, Runner,
};
use ringfence_output_capture::{PlainText, Redaction, Redactor, Secret};
use ringfence_policy::{Cause, CommandLine, Policy, Request, Verdict, decide};
use ringfence_resource_limits::cgroup::{Disks, ServiceManager};
use ringfence_sandbox::{Backend, Files, SandboxError, SandboxSpec};
use ringfence_workspace::State;

use crate::error::{Refusal, RunError};
use crate::groups::service_manager;
use crate::masking;
use crate::outlet::{self, OutletError};
use crate::process::{Shell, Variables};
use crate::request::Command;
use crate::spec::{self, Grounds, Group, Split};

/// A profile, a runner, an environment and secrets, made ready.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) profile: Profile,
    pub(crate) environment: Environment,
    pub(crate) base: Variables,
    pub(crate) spec: SandboxSpec,
    /// What a gateway is made from, where there is an allowlist.
    pub(crate) outlet: Option<outlet::Plan>,
    real_root: bool,
    pub(crate) redaction: Redaction,
    /// Where runs leave what outlives them, the best place first.
    pub(crate) states: Vec<State>,
    runner: Runner,
    policy: Policy,
    warnings: Vec<String>,
}

impl Prepared {
    /// Makes a profile ready: checks that this backend can carry it out, and compiles what is to
    /// be masked.
    ///
    /// # Errors
    ///
    /// [`RunError::Outlet`] when the host's own proxy cannot be used, [`RunError::Masking`] when a detector cannot be.
    pub fn new(
        resolved: Resolved,
        environment: Environment,
        secrets: impl IntoIterator<Item = Secret>,
    ) -> Result<Self, RunError> {
        let Resolved { runner, mut profile, mut warnings, source } = resolved;
        let outlet = outlet::Plan::of(&profile, &environment).map_err(OutletError::from)?;
        profile.protected_paths.extend(own_files(&profile, source, &environment));
        let (options, literals) = masking::options(&runner)?;
        let secrets = secrets.into_iter().chain(literals);
        let (redaction, unmasked) = Redaction::compile(secrets, &options);
        warnings.extend(unmasked.iter().map(ToString::to_string));
        let policy = runner.policy();
        let real_root = nix::unistd::getuid().is_root();
        let mut base = passed(&policy, &environment);
        if outlet.is_some() {
            outlet::without_proxies(&mut base);
        }
        Ok(Self {
            base,
            outlet,
            spec: spec::sandbox_spec(&profile, environment.homes(), environment.memory()),
            real_root,
            redaction,
            states: states(&environment),
            runner,
            policy,
            warnings,
            environment,
            profile,
        })
    }

    /// The limits as this backend keeps them, in a control group or without.
    pub(crate) fn limits(&self, backend: Backend, group: bool) -> Split {
        // Where the command sees the hierarchy as the caller does, it can leave its group.
        let open = backend == Backend::Host || matches!(self.spec.files, Files::Inherit);
        let kind = if open { Group::Open } else { Group::Closed };
        let grounds = Grounds {
            real_root: self.real_root,
            own_user_namespace: backend == Backend::LinuxNamespaces,
            group: group.then_some(kind),
            all_disks: !spec::limits_bandwidth(&self.profile) || self.disks().complete,
        };
        spec::split_limits(&self.profile, grounds)
    }

    /// The disks that the command reads from and writes to.
    pub(crate) fn disks(&self) -> Disks {
        let places = [&self.profile.workspace, Path::new("/")].map(Path::to_owned);
        Disks::behind(&[&self.profile.writable_paths[..], &places].concat())
    }

    /// The control group that the config names.
    pub(crate) fn cgroup_parent(&self) -> Option<&Path> {
        self.runner.cgroup_parent.as_deref()
    }

    /// Whom this run may ask for a control group: it must need one enough to be worth the time.
    pub(crate) fn service_manager(&self) -> Option<ServiceManager> {
        let asks = self.runner.cgroup_scope == CgroupScope::Auto && self.profile.asks_for_limits;
        service_manager(&self.environment).filter(|_| asks)
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What the caller should know of the profile and its secrets.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What stands in place of a secret; for sinks that must not cut one in two.
    #[must_use]
    pub fn mask(&self) -> &[u8] {
        self.runner.redaction.mask.as_bytes()
    }

    /// A text with its secrets masked; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn redact(&self, text: &[u8]) -> String {
        self.masked(text).0
    }

    /// Whether the policy lets a command run, and why.
    ///
    /// # Errors
    ///
    /// [`RunError::Command`] when it is no command at all.
    ///
    /// # Caveats
    ///
    /// The verdict quotes the command and is not redacted.
    pub fn decide(&self, command: &Command) -> Result<Verdict, RunError> {
        let shell = self.runner.shell.to_string_lossy();
        match command {
            Command::Shell(line) => {
                let line = CommandLine::parse(line)?;
                let shell_arg = &self.runner.shell_arg;
                Ok(decide(&Request::Shell { shell: &shell, shell_arg, line: &line }, &self.policy))
            }
            Command::Program(words) => {
                use std::os::unix::ffi::OsStrExt;
                let argv: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
                Ok(decide(&Request::Program { argv: &argv }, &self.policy))
            }
        }
    }

    /// Passes a command that the policy allows.
    pub(crate) fn admit(&self, command: &Command) -> Result<(), RunError> {
        match self.decide(command)? {
            Verdict::Allowed(_) => Ok(()),
            Verdict::Denied(cause) => Err(RunError::Refused(self.refusal(command, cause))),
        }
    }

    /// The error that says the host cannot carry this profile out.
    pub(crate) fn no_sandbox(&self, source: SandboxError) -> RunError {
        let profile = self.profile.name.clone();
        match source {
            SandboxError::Step(source) => RunError::SetUp { profile, source },
            source => RunError::Sandbox { profile, source },
        }
    }

    pub(crate) fn shell(&self) -> Shell<'_> {
        Shell { path: &self.runner.shell, argument: &self.runner.shell_arg }
    }

    /// The command as it may be shown.
    pub(crate) fn shown(&self, command: &Command) -> String {
        self.redact(&command.text())
    }

    /// The working directory of a run.
    pub(crate) fn cwd(&self, asked: Option<&PathBuf>) -> PathBuf {
        asked.map_or_else(|| self.profile.workspace.clone(), |cwd| self.profile.workspace.join(cwd))
    }

    /// A cause quotes a part of the command, cut where it is long: a secret that the cut went
    /// through would pass the redaction, so a command with a secret is not quoted at all.
    pub(crate) fn refusal(&self, command: &Command, mut cause: Cause) -> Refusal {
        let secrets = self.masked(&command.text()).1;
        if let Cause::Rule { command, .. } = &mut cause
            && secrets > 0
        {
            *command = String::from_utf8_lossy(self.mask()).into_owned();
        }
        let (code, hint) = (cause.reason(), cause.hint());
        let verdict = self.redact(Verdict::Denied(cause).to_string().as_bytes());
        Refusal { verdict, code, hint }
    }

    /// What of a stream is kept for the outcome and in files.
    #[must_use]
    pub fn plain_text(&self) -> PlainText {
        let output = &self.runner.output;
        PlainText {
            strip_ansi: output.ansi == Ansi::Strip,
            collapse_lines: output.progress == Progress::Collapse,
        }
    }

    /// What becomes of output beside masking.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.runner.output
    }

    /// A new redacted stream, for sinks that take something out of what they are given and so must
    /// mask it again.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.redaction.stream()
    }

    fn masked(&self, text: &[u8]) -> (String, u64) {
        masking::masked(self.redaction.stream(), text)
    }
}

/// What would loosen the next run if the command could write it: the config in use, every place
/// where one is looked for, what ringfence keeps of its runs, and this program.
fn own_files(
    profile: &Profile,
    source: Option<PathBuf>,
    environment: &Environment,
) -> Vec<PathBuf> {
    let upwards = profile.workspace.ancestors().map(|dir| dir.join(ringfence_config::FILE_NAME));
    let homes = [environment.config_home(), environment.state_home()];
    let homes = homes.into_iter().flatten().map(|home| home.join("ringfence"));
    source.into_iter().chain(upwards).chain(homes).chain(own_program()).collect()
}

/// The program that runs now; not one with another name, which could be changed by that. Cargo
/// gives two to what it builds, so ringfence can be built within ringfence.
fn own_program() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let program = std::env::current_exe().ok()?;
    (program.metadata().ok()?.nlink() == 1).then_some(program)
}

/// The user's own place, and for a home that cannot be written one in `/tmp`; both are used only
/// when they are this user's alone.
fn states(environment: &Environment) -> Vec<State> {
    let home = environment.state_home().map(|home| home.join("ringfence"));
    let user = nix::unistd::geteuid();
    let other = PathBuf::from(format!("/tmp/ringfence-{user}"));
    home.into_iter().chain([other]).map(State::at).collect()
}

fn passed(policy: &Policy, environment: &Environment) -> Variables {
    policy
        .effective_env()
        .filter(environment.variables())
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

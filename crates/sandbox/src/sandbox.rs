//! A sandbox: prepared once, started any number of times.

use crate::{
    enforcement::{Backend, Enforcement},
    error::SandboxError,
    linux::{
        describe, doctor,
        host::{Host, Located},
        landlock, levels, mounts,
        plan::{self, Frame},
        reach::{check, reach, unheld},
        rung::{self, Ground, Rung},
    },
    spec::{Bounds, Confinement, Files, Network, Process, SandboxSpec, Stdio, Trace},
    unheld::Unheld,
};
use ringfence_launcher::{Plan, Report, Tree, landlock_abi};
use std::{os::fd::AsFd, path::Path, sync::Arc, time::Duration};

/// A sandbox, ready to be started any number of times.
///
/// What the host looked like when it was prepared is part of it: if a path it
/// mounts or hides is another file by the time of a start, that start fails, and
/// the sandbox is to be prepared again.
#[derive(Debug)]
pub struct Sandbox {
    spec: SandboxSpec,
    host: Host,
    frame: Frame,
    enforcement: Enforcement,
}

impl Sandbox {
    /// Looks at the host and decides how the specification is enforced. Starts
    /// no process and walks no tree.
    ///
    /// What the kernel will refuse is not known before the first start of a process: until then
    /// the sandbox is the best one. See [`Sandbox::fall_back`].
    ///
    /// # Errors
    /// When a path cannot be used, or full enforcement was asked for and is not
    /// to be had.
    pub fn prepare(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        // Its first report comes before most walls are raised, and so proves nothing.
        if matches!(spec.network, Network::Gateway(_)) {
            return Self::prepare_by_trying(spec);
        }
        Self::on(spec, rung::known(spec))
    }

    /// Like [`Sandbox::prepare`], but what the kernel refuses is tried before: what is said of
    /// this sandbox is what a start would find. Takes a few milliseconds, once a process.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`], and when there is no sandbox to be had on this machine.
    pub fn prepare_by_trying(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        let ground = rung::known(spec);
        if spec.confinement == Confinement::Sandbox && !rung::is_proven(spec, &ground) {
            let found = rung::find(spec, ground.rung)?;
            rung::replace(spec, &ground, &found);
            return Self::on(spec, found);
        }
        Self::on(spec, ground)
    }

    /// Like [`Sandbox::prepare`], on a given rung of the ladder.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`], and when the rung cannot give what is asked for.
    pub fn prepare_on(spec: &SandboxSpec, rung: Rung) -> Result<Self, SandboxError> {
        let mut ground = Ground::new(rung, None);
        ground.deaf = ground.deaf.or(rung::known(spec).deaf);
        Self::on(spec, ground)
    }

    pub(crate) fn on(spec: &SandboxSpec, ground: Ground) -> Result<Self, SandboxError> {
        let host = look(spec, ground)?;
        let enforcement = levels::levels(spec, &host);
        if spec.strict
            && spec.confinement == Confinement::Sandbox
            && let Some((property, level)) = enforcement.first_gap()
        {
            let remedy = host.ground.why.is_some().then(doctor::remedy);
            return Err(SandboxError::NotFull { property, level: level.to_string(), remedy });
        }
        let frame = plan::frame(spec, &host);
        Ok(Self { spec: spec.clone(), host, frame, enforcement })
    }

    /// What carries the sandbox out.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match (self.spec.confinement, self.host.ground.rung) {
            (Confinement::Host, _) => Backend::Host,
            (Confinement::Sandbox, Rung::Landlock) => Backend::LinuxLandlock,
            (Confinement::Sandbox, Rung::Namespaces | Rung::OuterProc) => Backend::LinuxNamespaces,
        }
    }

    /// How far each property holds that the specification asks for.
    #[must_use]
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Oddities of the host that were left out, in words.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.host.warnings
    }

    /// Protected paths that this sandbox cannot hold while the command runs; the caller
    /// sets them right when it is over.
    #[must_use]
    pub fn unheld(&self) -> &[Unheld] {
        &self.host.unheld
    }

    /// The command can have no `/tmp` of its own here: give it a directory as [`Process::temp`].
    #[must_use]
    pub fn wants_temp(&self) -> bool {
        self.frame.temp.is_some()
    }

    /// The command has no network of its own to serve here: give it the port that a gateway listens on as
    /// a proxy, as [`Process::proxy`].
    #[must_use]
    pub fn wants_proxy(&self) -> bool {
        self.frame.proxy.is_some()
    }

    /// The next weaker sandbox that this machine gives, when `error`, of a start of this one,
    /// comes of the kernel refusing a wall; `None` when it does not. Refusals are tried again
    /// with a plan of their own, so that no path of the run's can pass for one. Where a command
    /// has run in this process, a later refusal is a failure and no reason for less.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`], for the weaker sandbox; [`SandboxError::Unavailable`] when no
    /// sandbox stands here at all.
    pub fn fall_back(&self, error: &SandboxError) -> Option<Result<Self, SandboxError>> {
        let better = &self.host.ground;
        if self.spec.confinement == Confinement::Host
            || !rung::may_be_refusal(error)
            || rung::is_proven(&self.spec, better)
        {
            return None;
        }
        let found = match rung::find(&self.spec, better.rung) {
            Ok(found) if found.rung == better.rung && found.deaf == better.deaf => return None,
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        rung::replace(&self.spec, better, &found);
        Some(Self::on(&self.spec, found))
    }

    /// Whether this sandbox keeps `path` from being opened, whatever its mode. By the text of the
    /// path, which is absolute and clean.
    #[must_use]
    pub fn hides(&self, path: &Path) -> bool {
        self.host.hides(path)
    }

    /// Whether this sandbox lets `path` be changed, as far as its mode does. By the text of the
    /// path, which is absolute and clean.
    #[must_use]
    pub fn lets_write(&self, path: &Path) -> bool {
        matches!(self.spec.files, Files::Inherit) || self.host.lets_write(path)
    }

    /// What a command will see, write, reach and use up, in plain words, a line each.
    #[must_use]
    pub fn describe(&self, process: &Process) -> Vec<String> {
        describe::describe(&self.spec, &self.host, process)
    }

    /// The steps, a line each.
    ///
    /// # Errors
    /// When a text of the process has a NUL byte, or its directory for temporary files cannot
    /// be used.
    pub fn plan_text(&self, process: &Process) -> Result<String, SandboxError> {
        Ok(self.plan(process)?.to_string())
    }

    /// Starts a command. What goes wrong from here on is told by the reports of
    /// the tree; but for the first start of a process, which waits until it is known whether the
    /// kernel refuses one of the walls.
    ///
    /// # Errors
    /// When the process cannot be made, a text of it has a NUL byte, or a wall is refused: then
    /// [`Sandbox::fall_back`] may know a weaker sandbox.
    pub fn start(&self, process: &Process, stdio: &Stdio) -> Result<Tree, SandboxError> {
        self.start_within(&Bounds::default(), process, stdio)
    }

    /// Like [`Sandbox::start`], with bounds around the whole tree.
    ///
    /// # Errors
    /// As [`Sandbox::start`]; also when the caller may not put a process into the group.
    pub fn start_within(
        &self,
        bounds: &Bounds<'_>,
        process: &Process,
        stdio: &Stdio,
    ) -> Result<Tree, SandboxError> {
        let mut plan = self.plan(process)?;
        plan.steps.splice(0..0, plan::most_processes(bounds, plan.namespaces));
        let plan = Arc::new(plan);
        let descriptors = [stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()];
        let started = ringfence_launcher::spawn_into(&plan, descriptors, bounds.group);
        let tree = started.map_err(rung::explain)?;
        if self.spec.confinement == Confinement::Sandbox
            && !rung::is_proven(&self.spec, &self.host.ground)
        {
            self.prove(&plan, &tree)?;
        }
        Ok(tree)
    }

    /// Takes the first report as proof, or as a refusal, and leaves it for the caller.
    fn prove(&self, plan: &Plan, tree: &Tree) -> Result<(), SandboxError> {
        /// A start takes a millisecond; one that hangs in a file system is not waited for.
        const PATIENCE: Duration = Duration::from_secs(2);
        match tree.peek_report(PATIENCE) {
            Ok(Some(Report::Failed(failure))) if !failure.is_exec() => {
                match rung::is_wall(plan.steps.get(failure.index), failure.errno()) {
                    true => Err(SandboxError::Step(failure)),
                    false => Ok(()),
                }
            }
            Ok(Some(_)) => {
                rung::prove(&self.spec, &self.host.ground);
                Ok(())
            }
            // Nothing known yet: the caller will hear of it.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn plan(&self, process: &Process) -> Result<Plan, SandboxError> {
        let temp = process.temp.as_ref().filter(|_| self.wants_temp());
        let temp = temp.map(|path| {
            let role = "directory for temporary files";
            Located::look(path).map_err(|source| SandboxError::Path {
                role,
                path: path.clone(),
                source,
            })
        });
        plan::plan(&self.frame, process, temp.transpose()?.as_ref())
    }

    /// A plan with all these walls, whose program does not exist.
    pub(crate) fn probe(&self) -> Arc<Plan> {
        Arc::new(plan::probe(self.frame.namespaces, &self.frame.setup, &self.frame.walls))
    }
}

/// Everything that the plan depends on.
fn look(spec: &SandboxSpec, ground: Ground) -> Result<Host, SandboxError> {
    let mut host = Host::look(spec, landlock_abi())?;
    host.ground = ground;
    if spec.confinement == Confinement::Host {
        return Ok(host);
    }
    if let Some(why) = host.ground.deaf.clone().filter(|_| spec.trace == Trace::Reads) {
        let what = "the trace of reads".to_owned();
        return Err(SandboxError::CannotHold { what, why, remedy: doctor::remedy() });
    }
    if host.ground.rung == Rung::Landlock {
        without_mounts(spec, &mut host)?;
    } else {
        mounts::check(&host)?;
    }
    Ok(host)
}

fn without_mounts(spec: &SandboxSpec, host: &mut Host) -> Result<(), SandboxError> {
    if host.landlock_abi < landlock::LEAST_ABI {
        let why = match host.landlock_abi {
            0 => "this kernel has no Landlock".to_owned(),
            abi => format!("interface {abi} of Landlock cannot move files between directories"),
        };
        return Err(SandboxError::Unavailable { why, remedy: doctor::remedy() });
    }
    // Landlock knows ports and no addresses: whoever listens on every port would be reached.
    if let (Network::Gateway(_), Some(why)) = (&spec.network, &host.ground.deaf) {
        let what = "the network allowlist".to_owned();
        let why = format!("there is no network namespace, and nobody looks at addresses: {why}");
        return Err(SandboxError::CannotHold { what, why, remedy: doctor::remedy() });
    }
    if let Files::View(view) = &spec.files {
        check(host, view)?;
        host.grants = reach(host, view, &spec.workspace);
        host.unheld.extend(unheld(host));
        host.unheld.sort();
        host.unheld.dedup();
    }
    Ok(())
}

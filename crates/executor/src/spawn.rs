//! From a request to a run on its way.
//!
//! The order matters: what can be refused without a process is refused first, and the tree is
//! started last, when everything that could fail on this side is at hand.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringfence_config::FsMode;
use ringfence_output_capture::{Activity, Broadcast, Combined, LiveRedaction, Sink};
use ringfence_resource_limits::cgroup::{CgroupError, Leaf};
use ringfence_resource_limits::hard_ceiling;
use ringfence_sandbox::{
    Backend, Bounds, Enforcement, Files, Process, Rlimit, Sandbox, SandboxError, SandboxSpec,
    Stdio, Tree,
};
use tokio::sync::Notify;

use crate::aftermath::{self, Aftermath};
use crate::complaints::Tail;
use crate::control::Control;
use crate::deadlines::{Deadlines, LINGER};
use crate::driver::{About, Driver, Facts};
use crate::error::RunError;
use crate::event::{Clock, Stream};
use crate::feed::Feed;
use crate::groups;
use crate::outlet::Outlet;
use crate::prepared::Prepared;
use crate::process::{arguments, program, variables};
use crate::pumps::{self, Ends};
use crate::queue::Queue;
use crate::request::{Capture, OutputEvents, RunRequest};
use crate::run_id::RunId;
use crate::running::{RunHandle, Running};
use crate::spec::Split;
use crate::stdin;
use crate::watch::Watch;

/// Starts a run.
///
/// # Errors
///
/// [`RunError`] when the command is refused, when the profile cannot be carried out here, and when
/// something on this side of the sandbox cannot be opened. A program that cannot be executed is
/// not an error: its run ends with the outcome `failed`.
///
/// # Panics
///
/// Outside of a tokio runtime, or in one without its IO and time drivers.
pub fn spawn(request: RunRequest) -> Result<Running, RunError> {
    let prepared = Arc::clone(&request.prepared);
    prepared.admit(&request.command)?;
    Watch::check(&prepared.limits(Backend::Host, false).watched)?;
    let (mut process, missing) = process(&request)?;
    let shown = prepared.shown(&request.command);
    let run = RunId::generate();
    let earlier = aftermath::left_behind(&prepared.states);
    aftermath::settle(&prepared);
    let mut aftermath = Aftermath::layer(&prepared, run, &shown)?;
    let sandbox = match sandbox(&request, &aftermath) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            aftermath.forget();
            return Err(error);
        }
    };
    let stdin = stdin::open(request.stdin)?;
    let (ends, [stdout, stderr]) = match request.terminal {
        Some(size) => Ends::terminal(size)?,
        None => Ends::pipes()?,
    };
    let stdio = Stdio { stdin: stdin.fd, stdout, stderr };

    let clock = Clock::start();
    let mut outlet = prepared.outlet.as_ref().map(Outlet::open).transpose()?;
    let around = Around { aftermath: &mut aftermath, outlet: outlet.as_mut() };
    let started = groups::leaf(&prepared, run).and_then(|leaf| {
        let prospect = Prospect { sandbox, leaf };
        start(&prepared, run, prospect, &mut process, &stdio, around)
    });
    let Started { sandbox, leaf, limits, tree } = match started {
        Ok(started) => started,
        Err(error) => {
            aftermath.forget();
            return Err(error);
        }
    };
    let Stdio { stdin: input, .. } = stdio;
    ends.type_from(input);
    let watch = Watch::new(clock.started(), limits.watched, tree.pid(), &places(&prepared));
    let tree = Arc::new(tree);
    aftermath.of(Arc::clone(&tree));
    let redaction = LiveRedaction::of(prepared.redaction.clone());
    let combined = combined(&request.prepared, request.capture);
    let viewers = (request.view_buffer > 0).then(|| Broadcast::new(request.view_buffer));
    let known = prepared.warnings().iter().chain(sandbox.warnings()).cloned();
    let about = About {
        run,
        prepared: Arc::clone(&prepared),
        command: shown,
        backend: sandbox.backend(),
        enforcement: enforcement(&sandbox, &limits),
        limits: limits.asked,
        warnings: known.chain(missing).chain(earlier).collect(),
        sandbox,
        cwd: process.cwd,
        redaction: redaction.clone(),
        combined: combined.clone(),
    };
    let control = Control::listen(Arc::clone(&tree)).map_err(RunError::Control)?;

    let queue = Arc::new(Queue::default());
    let feed = Feed::new(Arc::clone(&queue), clock);
    let activity = Activity::new();
    let plan = |stream: Stream, sinks: Vec<Box<dyn Sink>>| pumps::Plan {
        stream,
        redaction: redaction.clone(),
        sinks,
        text: prepared.plain_text(),
        combined: combined.clone(),
        viewers: viewers.clone(),
        capture: request.capture,
        max_output: prepared.profile.max_output,
        activity: activity.clone(),
        feed: feed.clone(),
        output_events: request.output_events == OutputEvents::Send,
    };
    let tail = Tail::default();
    let (mut stdout, mut stderr) = (request.stdout, request.stderr);
    // A terminal shows complaints with everything else.
    if ends.as_terminal().is_some() { &mut stdout } else { &mut stderr }.push(tail.sink());
    let [stdout, stderr] = [plan(Stream::Stdout, stdout), plan(Stream::Stderr, stderr)];

    let cancel = Arc::new(Notify::new());
    let (id, tree) = (about.run, Arc::downgrade(&tree));
    let (cancel_too, terminal) = (Arc::clone(&cancel), ends.as_terminal());
    let handle = RunHandle { id, tree, cancel: cancel_too, redaction, terminal, viewers };
    let driver = Driver {
        about,
        control,
        cancel,
        clock,
        deadlines: deadlines(&prepared, clock),
        watch,
        leaf,
        pumps: Some(ends.pump(stdout, stderr)),
        activity,
        feeding: stdin.rest.map(stdin::Rest::feed),
        feed,
        tail,
        aftermath: Some(aftermath),
        outlet,
        seen: Facts::default(),
    };
    Ok(Running { handle, queue, task: tokio::spawn(driver.run()) })
}

/// Where both streams are kept in order, when that is asked for and anything is kept.
fn combined(prepared: &Prepared, capture: Capture) -> Option<Combined> {
    let wanted = prepared.output().combined && capture == Capture::Keep;
    let cap = usize::try_from(prepared.profile.max_output).unwrap_or(usize::MAX);
    wanted.then(|| Combined::new(cap, prepared.mask()))
}

fn deadlines(prepared: &Prepared, clock: Clock) -> Deadlines {
    let profile = &prepared.profile;
    Deadlines::new(clock.started(), profile.timeout, profile.idle_timeout, profile.grace)
}

/// The sandbox of a profile, as the host can give it now.
pub(crate) fn sandbox(request: &RunRequest, aftermath: &Aftermath) -> Result<Sandbox, RunError> {
    let spec = sandbox_spec(request, aftermath);
    Sandbox::prepare(&spec).map_err(|source| request.prepared.no_sandbox(source))
}

/// What the sandbox of this run must do.
pub(crate) fn sandbox_spec(request: &RunRequest, aftermath: &Aftermath) -> SandboxSpec {
    let mut spec = SandboxSpec { trace: request.trace, ..request.prepared.spec.clone() };
    if let Files::View(view) = &mut spec.files {
        view.overlay = aftermath.overlay();
    }
    spec
}

/// What a run has around its sandbox.
struct Around<'a> {
    aftermath: &'a mut Aftermath,
    outlet: Option<&'a mut Outlet>,
}

/// What a command is about to be started in.
struct Prospect {
    sandbox: Sandbox,
    leaf: Option<Leaf>,
}

/// What a command was started in, and who keeps its limits there.
struct Started {
    sandbox: Sandbox,
    leaf: Option<Leaf>,
    limits: Split,
    tree: Tree,
}

/// Where a command can write, and takes space.
fn places(prepared: &Prepared) -> Vec<PathBuf> {
    let profile = &prepared.profile;
    let mut places = profile.writable_paths.clone();
    if matches!(profile.fs_mode, FsMode::Inherit | FsMode::WorkspaceOverlay) {
        // What a layer keeps lies with what ringfence keeps of its runs.
        places.push(profile.workspace.clone());
        places.extend(prepared.states.iter().map(|state| state.path().to_owned()));
    }
    places
}

/// Starts the command in the strongest sandbox that this machine gives.
fn start(
    prepared: &Prepared,
    run: RunId,
    mut prospect: Prospect,
    process: &mut Process,
    stdio: &Stdio,
    Around { aftermath, mut outlet }: Around<'_>,
) -> Result<Started, RunError> {
    loop {
        let Prospect { sandbox, leaf } = &prospect;
        if let Some(outlet) = outlet.as_mut().filter(|_| sandbox.wants_proxy()) {
            outlet.tell(process)?;
        }
        if sandbox.wants_temp() {
            process.temp = aftermath.scratch(prepared, run)?;
            tell_of_temp(process);
        }
        let limits = prepared.limits(sandbox.backend(), leaf.is_some());
        process.rlimits = rlimits(&limits)?;
        aftermath.watch(prepared, run, sandbox)?;
        let group = leaf.as_ref().map(Leaf::directory);
        let bounds = Bounds { group, most_processes: limits.most_processes };
        match sandbox.start_within(&bounds, process, stdio) {
            Ok(tree) => {
                let Prospect { sandbox, leaf } = prospect;
                return Ok(Started { sandbox, leaf, limits, tree });
            }
            Err(SandboxError::Group(source)) => {
                let path = leaf.as_ref().map_or(PathBuf::new(), |leaf| leaf.path().to_owned());
                let what = "put a process into";
                groups::give_up(prepared, CgroupError::File { what, path, source })?;
                prospect.leaf = None;
            }
            Err(error) => match sandbox.fall_back(&error) {
                Some(Ok(weaker)) => prospect.sandbox = weaker,
                Some(Err(source)) => return Err(prepared.no_sandbox(source)),
                None => return Err(prepared.no_sandbox(error)),
            },
        }
    }
}

/// Programs find the directory by `TMPDIR`; a caller who set it knows better.
fn tell_of_temp(process: &mut Process) {
    let name = OsStr::new("TMPDIR");
    if let Some(temp) = &process.temp
        && !process.env.iter().any(|(known, _)| known == name)
    {
        process.env.push((name.to_owned(), temp.clone().into_os_string()));
    }
}

/// What the sandbox enforces, and what the limits do.
pub(crate) fn enforcement(sandbox: &Sandbox, limits: &Split) -> Enforcement {
    let mut enforcement = sandbox.enforcement().clone();
    for (property, level) in &limits.enforcement {
        enforcement.set(property, level.clone());
    }
    enforcement
}

/// The process to start, and warnings about variables that were to be passed and are not there.
pub(crate) fn process(request: &RunRequest) -> Result<(Process, Vec<String>), RunError> {
    let prepared = &request.prepared;
    let cwd = prepared.cwd(request.cwd.as_ref());
    check_cwd(&cwd)?;
    let caller = |name: &OsStr| prepared.environment.get(name).map(ToOwned::to_owned);
    let (env, missing) = variables(&prepared.base, &request.env, caller);
    let args = arguments(&request.command, prepared.shell());
    let process = Process {
        program: program(&args, &env),
        args,
        env,
        cwd,
        rlimits: Vec::new(),
        linger: LINGER.max(prepared.profile.grace),
        temp: None,
        proxy: None,
        terminal: request.terminal,
    };
    let warn =
        |name: &OsStr| format!("variable `{}` was to be passed and is not set", name.display());
    Ok((process, missing.into_iter().map(warn).collect()))
}

/// Looked at here for the message's sake; the sandbox may still not show it.
fn check_cwd(path: &Path) -> Result<(), RunError> {
    let source = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => io::ErrorKind::NotADirectory.into(),
        Err(source) => source,
    };
    Err(RunError::Cwd { path: path.to_owned(), source })
}

/// The resource limits of each process.
pub(crate) fn rlimits(limits: &Split) -> Result<Vec<Rlimit>, RunError> {
    let rlimits = limits.kernel.rlimits(hard_ceiling)?;
    let raw = |limit: ringfence_resource_limits::Rlimit| Rlimit {
        resource: limit.resource.raw(),
        soft: limit.soft,
        hard: limit.hard,
    };
    Ok(rlimits.into_iter().map(raw).collect())
}

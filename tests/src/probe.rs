//! A probe: one thing that a native attacker tries, as written in `probes/*.toml`.
//!
//! Each probe runs twice. Inside the sandbox it must be refused; outside it must succeed, or nothing has been shown.
//! With `allowed = true` it is the other kind: something that must work inside as well. Around the attacker stands a
//! bystander, a process of the host with secrets in memory, sockets, shared memory and signals to lose; after the run
//! inside it must be unharmed, and the directory next to the workspace must be as it was, to the change time.
//!
//! The trap: a refusal is believed only because the bystander and the directory agree; an exit status is the
//! attacker's word.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

use serde::Deserialize;

use crate::account::Account;
use crate::case::texts;
use crate::process::{DEADLINE, Ended, Input, Invocation, run, start};
use crate::stage::{Stage, make_directory, write_file};
use crate::tally::Verdict;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Probes {
    #[serde(default)]
    scene: Props,
    probe: Vec<Probe>,
}

/// What the probes of a file need around them, beside what is always there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Props {
    /// Files below the directory that holds workspace and `outside`: name → content. A probe inside that is refused
    /// must leave them as they are.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Symbolic links there: name → target.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Hard links there: name → existing name.
    #[serde(default)]
    pub hard_links: BTreeMap<String, String>,
    /// A config file for every run inside (`--config`).
    pub config: Option<String>,
}

/// Who succeeds outside.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// Everybody.
    Works,
    /// Root; an ordinary user is refused there, too.
    Root,
    /// Root of a user and mount namespace made for the occasion, so that the machine is safe.
    Namespace,
    /// Nobody tries, because it would do harm; `why` says which.
    Never,
}

/// One probe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is tried, in a few words.
    pub name: String,
    /// Arguments of the attacker.
    pub run: Vec<String>,
    /// Arguments of the attacker outside, where its target is another. Default: the same.
    pub run_outside: Option<Vec<String>>,
    /// Who succeeds outside. Default: everybody.
    #[serde(default = "works")]
    pub outside: Outside,
    /// Why nobody tries it outside.
    pub why: Option<String>,
    /// True when the file in question is not on every machine.
    #[serde(default)]
    pub may_lack: bool,
    /// True for what must work inside.
    #[serde(default)]
    pub allowed: bool,
    /// Property of the result's `enforcement` that may say that this is not prevented. A success inside is a failure
    /// all the same when the result claims more.
    pub admitted: Option<String>,
    /// Options of `ringfence run`.
    #[serde(default)]
    pub options: Vec<String>,
    /// `root` or `user`: the only account for which the probe makes sense.
    pub only: Option<String>,
    /// Shell line that starts the program given to it as `"$@"`, for what must be inherited.
    pub wrapper: Option<String>,
    /// What stands around it: that of its file.
    #[serde(skip)]
    pub scene: Props,
    /// Property of the result's `enforcement` that it attacks. Default: that of its file.
    #[serde(default)]
    pub about: String,
    /// True for what works inside namespaces only.
    #[serde(default)]
    pub namespaces: bool,
}

fn works() -> Outside {
    Outside::Works
}

/// Reads all probes of a directory: (file's name without ending, probe).
///
/// # Errors
/// A message that names the file.
pub fn load(directory: &Path) -> Result<Vec<(String, Probe)>, String> {
    let mut probes = Vec::new();
    for (stem, text) in texts(directory)? {
        let file: Probes =
            toml::from_str(&text).map_err(|error| format!("{stem}.toml: {error}"))?;
        let Probes { scene, probe } = file;
        let about = about(&stem);
        let on_scene = |mut probe: Probe| {
            if probe.about.is_empty() {
                about.clone_into(&mut probe.about);
            }
            Probe { scene: scene.clone(), ..probe }
        };
        probes.extend(probe.into_iter().map(|probe| (stem.clone(), on_scene(probe))));
    }
    Ok(probes)
}

/// The property of the result's `enforcement` that the probes of a file attack.
fn about(file: &str) -> &'static str {
    let head = file.split('-').next().unwrap_or(file);
    match head {
        "hidden" => "hidden",
        "protected" => "protected",
        "processes" | "host" => "processes",
        "network" | "allowlist" => "network",
        "sockets" => "unix_sockets",
        "kernel" => "system_calls",
        _ => "files",
    }
}

/// What the attacker's exit status says.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Succeeded,
    Refused,
    NoSuchCall,
    NotHere,
    Nonsense,
}

fn said(ended: &Ended) -> Said {
    match ended.status {
        _ if ended.hung => Said::Nonsense,
        0 => Said::Succeeded,
        10 => Said::Refused,
        11 => Said::NoSuchCall,
        20 => Said::NotHere,
        _ => Said::Nonsense,
    }
}

/// Carries a probe out, outside and (unless `ringfence` is none) inside. The note says what could not be shown.
///
/// # Errors
/// When the surroundings cannot be set up.
pub fn carry_out(
    probe: &Probe,
    account: &Account,
    stage: &Stage,
    inside: bool,
) -> io::Result<(Verdict, Option<String>)> {
    let mut seen = Seen::default();
    if stage.admits && probe.namespaces {
        let note = "works inside namespaces only".to_owned();
        return Ok((Verdict::Passed, Some(note)));
    }
    outside(probe, account, stage, &mut seen)?;
    if inside {
        within(probe, account, stage, &mut seen)?;
    }
    let verdict = if seen.wrong.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed(seen.wrong.join("\n"))
    };
    Ok((verdict, seen.note))
}

/// What is not as it must be, and what could not be shown.
#[derive(Default)]
struct Seen {
    wrong: Vec<String>,
    note: Option<String>,
}

fn outside(probe: &Probe, account: &Account, stage: &Stage, seen: &mut Seen) -> io::Result<()> {
    if probe.outside == Outside::Never || probe.outside == Outside::Root && !account.is_root() {
        return Ok(());
    }
    let scene = Scene::build(&probe.scene, account, stage)?;
    let namespace: &[&str] = match probe.outside {
        Outside::Namespace => {
            &["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "--"]
        }
        _ => &[],
    };
    let args = probe.run_outside.as_ref().unwrap_or(&probe.run);
    let ended = scene.run(probe, namespace, args, true)?;
    scene.end()?;
    let text = format!("outside: {}", words(&ended));
    match said(&ended) {
        Said::Succeeded => {}
        Said::NotHere | Said::NoSuchCall => seen.note = Some(text),
        Said::Refused if probe.may_lack && text.contains("os error 2)") => seen.note = Some(text),
        Said::Refused | Said::Nonsense => seen.wrong.push(text),
    }
    Ok(())
}

fn within(probe: &Probe, account: &Account, stage: &Stage, seen: &mut Seen) -> io::Result<()> {
    let scene = Scene::build(&probe.scene, account, stage)?;
    let before = snapshot(&scene.outside)?;
    let props = scene.props(&probe.scene)?;
    let ended = scene.inside(probe, &[], &probe.run)?;
    let text = format!("inside: {}", words(&ended));
    if stage.admits && ended.status == 125 && text.contains("no sandbox") {
        seen.note = Some(format!("{text}; what cannot be held is not run"));
        return scene.end();
    }
    let mut beside = difference(&before, &snapshot(&scene.outside)?);
    match said(&ended) {
        Said::Succeeded if probe.allowed => {}
        Said::Succeeded => match scene.admission(probe)? {
            Some(admission) => {
                seen.note = Some(format!("{text}; the result says so: {admission}"));
                // What it admits has happened, perhaps to this very directory.
                beside.clear();
            }
            None => seen.wrong.push(text),
        },
        Said::Refused | Said::NoSuchCall if !probe.allowed => {}
        // What is not on this machine cannot be done inside either; the note about the run outside says so.
        Said::NotHere => {}
        Said::Refused | Said::NoSuchCall | Said::Nonsense => seen.wrong.push(text),
    }
    seen.wrong.extend(beside);
    if !probe.allowed {
        seen.wrong.extend(difference(&props, &scene.props(&probe.scene)?));
    }
    if let Err(error) = scene.end() {
        seen.wrong.push(format!("the bystander was harmed: {error}"));
    }
    Ok(())
}

fn words(ended: &Ended) -> String {
    let outcome = match said(ended) {
        Said::Succeeded => "succeeded".to_owned(),
        Said::Refused => "was refused".to_owned(),
        Said::NoSuchCall => "no such system call".to_owned(),
        Said::NotHere => "not on this machine".to_owned(),
        Said::Nonsense if ended.hung => "hung".to_owned(),
        Said::Nonsense => format!("ended with exit status {}", ended.status),
    };
    let text = [&ended.stdout[..], &ended.stderr[..]].concat();
    format!("{outcome}: {}", String::from_utf8_lossy(&text).trim())
}

/// A workspace, a directory beside it, and the bystander.
struct Scene<'a> {
    account: &'a Account,
    stage: &'a Stage,
    root: PathBuf,
    workspace: PathBuf,
    outside: PathBuf,
    bystander: Child,
    hold: Option<ChildStdin>,
    facts: BTreeMap<String, String>,
}

impl<'a> Scene<'a> {
    fn build(props: &Props, account: &'a Account, stage: &'a Stage) -> io::Result<Scene<'a>> {
        let root = stage.directory(account)?;
        let (workspace, outside) = (root.join("workspace"), root.join("outside"));
        for directory in [
            &workspace,
            &outside,
            &outside.join("dir"),
            &outside.join("empty"),
            &workspace.join("dir"),
        ] {
            make_directory(directory, account)?;
        }
        for file in [outside.join("file"), outside.join("dir/inner"), workspace.join("mine")] {
            write_file(&file, "as it was\n", account)?;
        }
        symlink("../outside/file", workspace.join("link"))?;
        symlink("../outside", workspace.join("dirlink"))?;
        furnish(&root, props, account)?;
        let (bystander, hold, facts) = bystander(account, stage, &root)?;
        Ok(Scene { account, stage, root, workspace, outside, bystander, hold, facts })
    }

    /// The files that the probe's file has put there, as they are now: content and kind, for times and links are
    /// nobody's secret.
    fn props(&self, props: &Props) -> io::Result<Snapshot> {
        let names = props.files.keys().chain(props.links.keys()).chain(props.hard_links.keys());
        let state = |name: &String| {
            let path = self.root.join(name);
            let state = match path.symlink_metadata() {
                Err(error) => error.to_string(),
                Ok(meta) if meta.is_symlink() => format!("→ {}", fs::read_link(&path)?.display()),
                Ok(meta) => format!(
                    "{:?} {:o} \"{}\"",
                    meta.file_type(),
                    meta.permissions().mode(),
                    fs::read(&path).unwrap_or_default().escape_ascii()
                ),
            };
            Ok((path, state))
        };
        names.map(state).collect()
    }

    fn fill(&self, text: &str) -> String {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut text = text
            .replace("@root@", &path(&self.root))
            .replace("@workspace@", &path(&self.workspace))
            .replace("@outside@", &path(&self.outside))
            .replace("@home@", &path(&self.stage.home(self.account)))
            .replace("@bin@", &path(&self.stage.bin))
            .replace("@stage@", &path(&self.stage.root));
        // Nothing is put into the home of a person: there the probe has nothing to read.
        if self.account.passwd_home.join(".ssh/ringfence-probe").exists() {
            text = text.replace("@login-home@", &path(&self.account.passwd_home));
        }
        for (name, value) in &self.facts {
            text = text.replace(&format!("@{name}@"), value);
        }
        text
    }

    fn inside(&self, probe: &Probe, options: &[&str], args: &[String]) -> io::Result<Ended> {
        let ringfence = self.stage.bin.join("ringfence");
        let mut before = vec![ringfence.to_str().unwrap_or_default(), "run"];
        let config = self.root.join("probe.toml");
        if let Some(text) = &probe.scene.config {
            write_file(&config, &self.fill(text), self.account)?;
            before.extend(["--config", config.to_str().unwrap_or_default()]);
        }
        before.extend(probe.options.iter().map(String::as_str).chain(options.iter().copied()));
        before.push("--");
        self.run(probe, &before, args, false)
    }

    /// What the result of such a run says about the property that this probe is about, unless it claims all.
    fn admission(&self, probe: &Probe) -> io::Result<Option<String>> {
        let Some(property) =
            self.stage.admits.then_some(probe.about.as_str()).or(probe.admitted.as_deref())
        else {
            return Ok(None);
        };
        let ended = self.inside(probe, &["--json"], &["devices".to_owned()])?;
        let result: serde_json::Value = serde_json::from_slice(&ended.stdout)?;
        let level = result["enforcement"][property].as_str().unwrap_or("full");
        Ok((level != "full").then(|| level.to_owned()))
    }

    fn run(
        &self,
        probe: &Probe,
        before: &[&str],
        args: &[String],
        bare: bool,
    ) -> io::Result<Ended> {
        let attacker = self.stage.bin.join("attacker");
        let before = before.iter().map(|word| self.fill(word));
        let args = args.iter().map(|word| self.fill(word));
        let mut all: Vec<OsString> = before.map(OsString::from).collect();
        all.push(attacker.into());
        all.extend(args.map(OsString::from));
        if let Some(wrapper) = &probe.wrapper {
            let shell =
                ["/bin/sh".into(), "-c".into(), OsString::from(self.fill(wrapper)), "sh".into()];
            all.splice(0..0, shell);
        }
        let program = all.remove(0);
        let mut env = self.stage.environment(self.account);
        env.push(("RINGFENCE_TEST_SECRET".into(), "in the caller's environment".into()));
        let cwd = self.workspace.clone();
        let invocation = Invocation {
            program,
            args: all,
            env,
            cwd,
            stdin: Input::Null,
            deadline: DEADLINE,
            bare,
        };
        run(&invocation, self.account, &self.stage.watch)
    }

    /// Ends the bystander by closing its standard input.
    ///
    /// # Errors
    /// When it did not end as it should.
    fn end(mut self) -> io::Result<()> {
        drop(self.hold.take());
        let status = self.bystander.wait()?;
        self.stage.watch.ended(self.bystander.id(), true);
        fs::remove_dir_all(&self.root)?;
        if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }
}

fn furnish(root: &Path, props: &Props, account: &Account) -> io::Result<()> {
    let place = |name: &String| {
        let path = root.join(name);
        make_directory(path.parent().unwrap_or(root), account).map(|()| path)
    };
    for (name, content) in &props.files {
        write_file(&place(name)?, content, account)?;
    }
    for (name, target) in &props.links {
        let link = place(name)?;
        symlink(target, &link).and_then(|()| account.own(&link))?;
    }
    for (name, existing) in &props.hard_links {
        fs::hard_link(root.join(existing), place(name)?)?;
    }
    Ok(())
}

type Bystander = (Child, Option<ChildStdin>, BTreeMap<String, String>);

fn bystander(account: &Account, stage: &Stage, root: &Path) -> io::Result<Bystander> {
    let mut command = account.command(stage.bin.join("attacker"));
    command
        .arg("bystander")
        .arg(root)
        .envs(stage.environment(account))
        .env("SECRET", "bystander-secret");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = start(command, &stage.watch, true)?;
    let stdout = child.stdout.take().expect("because it is piped");
    let mut facts = BTreeMap::new();
    for line in BufReader::new(stdout).lines() {
        match line?.split_once('=') {
            Some((name, value)) => facts.insert(name.to_owned(), value.to_owned()),
            None => break,
        };
    }
    let hold = child.stdin.take();
    Ok((child, hold, facts))
}

type Snapshot = BTreeMap<PathBuf, String>;

fn snapshot(directory: &Path) -> io::Result<Snapshot> {
    let mut found = Snapshot::new();
    let mut next = vec![directory.to_path_buf()];
    while let Some(path) = next.pop() {
        let meta = path.symlink_metadata()?;
        let content = if meta.is_file() { fs::read(&path)? } else { Vec::new() };
        if meta.is_dir() {
            next.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        }
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let state = (
            meta.permissions().mode(),
            meta.uid(),
            meta.gid(),
            meta.nlink(),
            times,
            content.escape_ascii().to_string(),
        );
        found.insert(path, format!("{state:?}"));
    }
    Ok(found)
}

fn difference(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let paths: std::collections::BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    changed.map(|path| format!("changed from inside: {}", path.display())).collect()
}

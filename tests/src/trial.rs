//! Carries a case out: inside the sandbox, outside it, and compares.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::case::Case;
use crate::check;
use crate::process::{DEADLINE, Ended, Input, Invocation, run};
use crate::shell::{self, Shell};
use crate::stage::{Stage, make_directory, write_file};
use crate::tally::Verdict;

/// Name of the caller's variable that no profile lets through.
const CALLERS_OWN: &str = "RINGFENCE_TEST_CALLERS_OWN";

/// Runs a case for one account and, when it has a script, one shell. `inside` is false to run the outer half alone.
///
/// # Errors
/// When the surroundings cannot be set up.
pub fn carry_out(
    case: &Case,
    shell: Option<&Shell>,
    account: &Account,
    stage: &Stage,
    inside: bool,
) -> io::Result<Verdict> {
    let trial = Trial { case, shell, account, stage };
    let mut wrong = Vec::new();
    let has_outside = case.bare && case.session.is_none();
    let outside = if has_outside { Some(trial.half(false)?) } else { None };
    if let Some((ended, place)) = &outside {
        wrong.extend(trial.judge(ended, place).into_iter().map(|what| format!("outside: {what}")));
    }
    if inside {
        let (ended, place) = trial.half(true)?;
        wrong.extend(trial.judge(&ended, &place));
        if let Some((outside, other)) = &outside {
            wrong.extend(check::equal(&ended, &relocated(outside, other, &place)));
        }
        std::fs::remove_dir_all(place.root)?;
    } else if outside.is_none() {
        return Ok(Verdict::Skipped("has no outer half".to_owned()));
    }
    if let Some((_, place)) = outside {
        std::fs::remove_dir_all(place.root)?;
    }
    Ok(if wrong.is_empty() { Verdict::Passed } else { Verdict::Failed(wrong.join("\n")) })
}

struct Trial<'a> {
    case: &'a Case,
    shell: Option<&'a Shell>,
    account: &'a Account,
    stage: &'a Stage,
}

/// Where one half of a case runs.
struct Place {
    root: PathBuf,
    workspace: PathBuf,
    outside: PathBuf,
}

/// The directories of the two halves have names of equal length; what was printed of the one is put for the other.
fn relocated(outside: &Ended, from: &Place, to: &Place) -> Ended {
    let (from, to) = (from.root.to_string_lossy(), to.root.to_string_lossy());
    let replace = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if text.contains(&*from) => text.replace(&*from, &to).into_bytes(),
        _ => bytes.to_vec(),
    };
    Ended {
        status: outside.status,
        stdout: replace(&outside.stdout),
        stderr: replace(&outside.stderr),
        hung: outside.hung,
    }
}

impl Trial<'_> {
    fn half(&self, inside: bool) -> io::Result<(Ended, Place)> {
        let place = self.place()?;
        let command = if inside { self.ringfence(&place) } else { self.contained(&place) };
        let (program, args) =
            command.split_first().expect("because every case has something to run");
        let mut env = self.stage.environment(self.account);
        if inside {
            env.push((CALLERS_OWN.into(), "the caller's own".into()));
            let config = self.stage.root.join("no-config");
            env.push(("XDG_CONFIG_HOME".into(), config.into()));
        }
        env.extend(
            self.case
                .env
                .iter()
                .map(|(name, value)| (name.into(), self.fill(value, &place).into())),
        );
        let invocation = Invocation {
            program: program.clone(),
            args: args.to_vec(),
            env,
            cwd: place.workspace.clone(),
            stdin: self.input(&place)?,
            deadline: self.case.within.map_or(DEADLINE, Duration::from_secs),
            bare: !inside,
        };
        Ok((run(&invocation, self.account, &self.stage.watch)?, place))
    }

    fn place(&self) -> io::Result<Place> {
        let root = self.stage.directory(self.account)?;
        let workspace = root.join(self.case.workspace.as_deref().unwrap_or("w"));
        let outside = root.join("outside");
        for directory in [&workspace, &outside] {
            make_directory(directory, self.account)?;
        }
        let place = Place { root, workspace, outside };
        for (name, content) in &self.case.files {
            write_file(&place.workspace.join(name), &self.fill(content, &place), self.account)?;
        }
        Ok(place)
    }

    fn input(&self, place: &Place) -> io::Result<Input> {
        Ok(match (&self.case.stdin, &self.case.stdin_file) {
            (Some(text), _) => Input::Pipe(text.clone().into_bytes()),
            (None, Some(text)) => {
                let path = place.root.join("stdin");
                write_file(&path, text, self.account)?;
                Input::File(path)
            }
            (None, None) => Input::Null,
        })
    }

    fn script(&self, place: &Place) -> Option<String> {
        let shell = self.shell?;
        self.case.script_for(shell.name).map(|script| self.fill(script, place))
    }

    fn bare(&self, place: &Place) -> Vec<OsString> {
        match (self.shell, self.script(place)) {
            (Some(shell), Some(script)) => {
                vec![shell.path.clone().into(), "-c".into(), script.into()]
            }
            _ => self
                .case
                .program
                .iter()
                .flatten()
                .map(|word| self.fill(word, place).into())
                .collect(),
        }
    }

    fn contained(&self, place: &Place) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            vec![self.stage.bin.join("attacker").into(), "contain".into()];
        words.extend(self.bare(place));
        words
    }

    fn ringfence(&self, place: &Place) -> Vec<OsString> {
        if let Some(session) = &self.case.session {
            let contain = [self.stage.bin.join("attacker").into(), "contain".into()];
            let mut words: Vec<OsString> =
                if self.case.orphans { contain.to_vec() } else { Vec::new() };
            words.extend(["/bin/sh".into(), "-c".into(), self.fill(session, place).into()]);
            return words;
        }
        let mut words: Vec<OsString> = vec![self.stage.bin.join("ringfence").into()];
        if let Some(args) = &self.case.args {
            words.extend(args.iter().map(|word| self.fill(word, place).into()));
            return words;
        }
        words.push("run".into());
        words.extend(self.config(place));
        words.extend(self.case.options.iter().map(|word| self.fill(word, place).into()));
        match self.script(place) {
            Some(script) => words.extend(["-c".into(), script.into()]),
            None => {
                words.push("--".into());
                words.extend(self.bare(place));
            }
        }
        words
    }

    fn config(&self, place: &Place) -> Vec<OsString> {
        let path = match (&self.case.config, self.shell) {
            (Some(text), _) => {
                let path = place.root.join("ringfence.toml");
                write_file(&path, &self.fill(text, place), self.account)
                    .expect("because the directory is new");
                path
            }
            (None, Some(shell)) => self.stage.config(shell.name),
            (None, None) => return Vec::new(),
        };
        vec!["--config".into(), path.into()]
    }

    fn judge(&self, ended: &Ended, place: &Place) -> Vec<String> {
        let mut wrong = check::against(self.case, ended, &|text| self.fill(text, place));
        if self.case.options.iter().any(|option| option == "--json") {
            let fill = |text: &str| self.fill(text, place);
            wrong.extend(check::result_object(self.case.json.as_ref(), &fill, &ended.stdout));
        }
        wrong.extend(check::leaves(self.case, &place.workspace));
        wrong
    }

    fn fill(&self, text: &str, place: &Place) -> String {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        text.replace("@workspace@", &path(&place.workspace))
            .replace("@outside@", &path(&place.outside))
            .replace("@root@", &path(&place.root))
            .replace("@home@", &path(&self.stage.home(self.account)))
            .replace("@bin@", &path(&self.stage.bin))
            .replace("@stage@", &path(&self.stage.root))
            .replace("@rust@", &path(shell::rust()))
            .replace("@shell@", &self.shell.map_or_else(String::new, |shell| path(&shell.path)))
    }
}

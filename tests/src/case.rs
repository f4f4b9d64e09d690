//! A case: what to run and what must come of it, as written in `cases/*.toml`.
//!
//! A case has one of four forms. `script` is run by every shell of this machine; `program` is run without a shell;
//! `args` is a whole command line of `ringfence`; `session` is a script of the caller's, run by `/bin/sh` outside the
//! sandbox, that itself runs `ringfence` once or more. In all texts `@workspace@`, `@home@`, `@bin@`, `@stage@`, `@shell@`,
//! `@rust@` (the toolchain's programs) and `@outside@` (a directory that is not writable inside) are replaced.
//!
//! Unless a case says `bare = false`, it is run outside the sandbox as well, and status and streams must be equal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    /// The shells of all cases in the file that name none.
    shells: Option<Vec<String>>,
    case: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows, in a few words; unique in its file.
    pub name: String,
    /// A script for every shell.
    pub script: Option<String>,
    /// Other words for the same script, by shell (fish is not a POSIX shell).
    #[serde(default)]
    pub variants: BTreeMap<String, String>,
    /// The shells that the case is for. Default: all.
    pub shells: Option<Vec<String>>,
    /// The shells that lack what the case is about.
    #[serde(default)]
    pub except: Vec<String>,
    /// A program and its arguments, run without a shell.
    pub program: Option<Vec<String>>,
    /// A command line of `ringfence` other than `run`.
    pub args: Option<Vec<String>>,
    /// A script of the caller's, outside the sandbox.
    pub session: Option<String>,
    /// True for a session that kills a supervisor: nobody but the suite could reap what that one had started.
    #[serde(default)]
    pub orphans: bool,
    /// Options of `ringfence run`.
    #[serde(default)]
    pub options: Vec<String>,
    /// A config file for this case (`--config`), instead of the one that only names the shell.
    pub config: Option<String>,
    /// Variables of the caller beside the usual ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Name of the working directory, below a directory of the case's own. Default: `w`.
    pub workspace: Option<String>,
    /// Files that exist in the working directory beforehand: name → content.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Standard input: this text through a pipe. Default: `/dev/null`.
    pub stdin: Option<String>,
    /// Standard input: this text from a file.
    pub stdin_file: Option<String>,
    /// Programs that the case needs; where one is missing, the case is skipped.
    #[serde(default)]
    pub needs: Vec<String>,
    /// `root` or `user`: the only account for which the case makes sense.
    pub only: Option<String>,
    /// False when inside and outside differ on purpose.
    #[serde(default = "yes")]
    pub bare: bool,
    /// Exit status.
    #[serde(default)]
    pub exit: i32,
    /// True when the exit status is a matter of chance.
    #[serde(default)]
    pub any_exit: bool,
    /// Standard output, exactly.
    pub stdout: Option<String>,
    /// Regular expressions that standard output matches.
    #[serde(default)]
    pub stdout_matches: Vec<String>,
    /// Regular expressions that standard output does not match.
    #[serde(default)]
    pub stdout_lacks: Vec<String>,
    /// Length of standard output in bytes.
    pub stdout_len: Option<usize>,
    /// Standard error, exactly.
    pub stderr: Option<String>,
    /// Regular expressions that standard error matches.
    #[serde(default)]
    pub stderr_matches: Vec<String>,
    /// Regular expressions that standard error does not match.
    #[serde(default)]
    pub stderr_lacks: Vec<String>,
    /// Length of standard error in bytes.
    pub stderr_len: Option<usize>,
    /// Part of the result object (with `--json`). A text that begins with `~` is a regular expression.
    pub json: Option<toml::Table>,
    /// Files that the case leaves in the working directory; anything else there is a failure.
    #[serde(default)]
    pub leaves: Vec<String>,
    /// Longest time, in seconds. Only for cases about things that would take much longer when they go wrong.
    pub within: Option<u64>,
}

fn yes() -> bool {
    true
}

impl Case {
    /// The script in the words of a shell, if the case is for that shell.
    pub fn script_for(&self, shell: &str) -> Option<&str> {
        let listed =
            self.shells.as_ref().is_none_or(|shells| shells.iter().any(|name| name == shell));
        let excepted = self.except.iter().any(|name| name == shell);
        let script = self.variants.get(shell).or(self.script.as_ref())?;
        (listed && !excepted).then_some(script.as_str())
    }

    fn forms(&self) -> usize {
        let forms = [&self.program, &self.args].map(Option::is_some);
        let texts = [&self.script, &self.session].map(Option::is_some);
        forms.into_iter().chain(texts).filter(|form| *form).count()
    }
}

/// Reads all files of cases in a directory: (file's name without ending, case).
///
/// # Errors
/// A message that names the file, when it cannot be read or is not understood.
pub fn load(directory: &Path) -> Result<Vec<(String, Case)>, String> {
    let mut cases = Vec::new();
    for (stem, text) in texts(directory)? {
        let file: Cases = toml::from_str(&text).map_err(|error| format!("{stem}.toml: {error}"))?;
        for mut case in file.case {
            case.shells = case.shells.or_else(|| file.shells.clone());
            if case.forms() != 1 {
                return Err(format!(
                    "{stem}.toml: `{}` needs one of script, program, args, session",
                    case.name
                ));
            }
            cases.push((stem.clone(), case));
        }
    }
    Ok(cases)
}

/// The TOML files of a directory in order: (name without ending, content).
///
/// # Errors
/// A message that names the directory or file.
pub fn texts(directory: &Path) -> Result<Vec<(String, String)>, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), text))
    };
    paths.iter().map(read).collect()
}

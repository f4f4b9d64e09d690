//! From the written form to the resolved one: defaults, layers, checks.
//!
//! Profiles have their own file; here are the `[runner]` part and the workspace.

mod layers;
mod profiles;

pub(crate) use profiles::Profiles;

use crate::environment::Environment;
use crate::error::{ConfigError, ConfigProblem, nearest};
use crate::located::{At, Source};
use crate::paths::normalize;
use crate::runner::{CustomDetector, Output, Redaction, Runner};
use crate::words::{
    Ansi, CgroupScope, EffectWord, Encoding, Executor, Multiline, PolicyWord, Progress, Timestamps,
};
use crate::written::{
    DetectorWritten, OutputWritten, RedactionWritten, RuleWritten, RunnerWritten,
};
use ringfence_policy::{Effect, PolicyMode, Rule};
use std::path::{Component, Path, PathBuf};

/// The built-in detectors: the first seven are on by default.
pub const DETECTORS: &[&str] = &[
    "kv",
    "auth_header",
    "aws",
    "github",
    "pem",
    "jwt",
    "url_userinfo",
    "gitlab",
    "slack",
    "google",
    "anthropic",
    "openai",
    "npm",
    "pypi",
    "huggingface",
    "stripe",
];

const DEFAULT_DETECTORS: usize = 7;

/// The shell of the built-in config: bash where it is, because people write bash; else what POSIX promises.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Makes an error at a place of the file.
pub(crate) fn fail<T>(
    source: Option<&Source>,
    at: &At<T>,
    field: impl Into<String>,
    problem: ConfigProblem,
) -> ConfigError {
    ConfigError::new(source.map(|source| source.location(at.start)), Some(field.into()), problem)
}

/// The `[runner]` part with its defaults.
pub(crate) fn runner(
    written: Option<&RunnerWritten>,
    source: Option<&Source>,
) -> Result<Runner, ConfigError> {
    let empty = RunnerWritten::default();
    let written = written.unwrap_or(&empty);
    let list = |field: &Option<At<Vec<String>>>, default: &[&str]| {
        field.as_ref().map_or_else(|| owned(default), |list| list.value.clone())
    };
    Ok(Runner {
        shell: shell(written, source)?,
        shell_arg: text(&written.shell_arg, "-c"),
        policy: match value(&written.policy, PolicyWord::Allowlist) {
            PolicyWord::Allowlist => PolicyMode::Allowlist,
            PolicyWord::Unsafe => PolicyMode::Unsafe,
        },
        executor: value(&written.executor, Executor::Shell),
        allowed_shells: list(&written.allowed_shells, &["/bin/bash", "/bin/zsh", "/bin/sh"]),
        allowed_shell_args: list(&written.allowed_shell_args, &["-lc", "-c"]),
        env_allowlist: patterns(
            &written.env_allowlist,
            &["PATH", "HOME", "USER", "LANG", "TERM"],
            source,
            "runner.env_allowlist",
        )?,
        redaction_patterns: patterns(
            &written.redaction_patterns,
            &["token", "password", "secret", "api_key", "authorization"],
            source,
            "runner.redaction_patterns",
        )?,
        cgroup_parent: cgroup_parent(written, source)?,
        cgroup_scope: value(&written.cgroup_scope, CgroupScope::Auto),
        redaction: redaction(written.redaction.as_ref(), source)?,
        output: output(written.output.as_ref(), source)?,
        detectors: each(written.detectors.as_deref(), |detector| {
            custom_detector(detector, source)
        })?,
        rules: each(written.rules.as_deref(), |written| rule(written, source))?,
    })
}

fn shell(written: &RunnerWritten, source: Option<&Source>) -> Result<PathBuf, ConfigError> {
    let Some(shell) = &written.shell else {
        let found = SHELLS.iter().find(|shell| Path::new(shell).exists());
        return Ok(PathBuf::from(found.unwrap_or(&SHELLS[1])));
    };
    if !Path::new(&shell.value).is_absolute() {
        let problem = ConfigProblem::NotAbsolute { path: shell.value.clone() };
        return Err(fail(source, shell, "runner.shell", problem));
    }
    Ok(PathBuf::from(&shell.value))
}

fn cgroup_parent(
    written: &RunnerWritten,
    source: Option<&Source>,
) -> Result<Option<PathBuf>, ConfigError> {
    let Some(path) = &written.cgroup_parent else { return Ok(None) };
    if !Path::new(&path.value).is_absolute() {
        let problem = ConfigProblem::NotAbsolute { path: path.value.clone() };
        return Err(fail(source, path, "runner.cgroup_parent", problem));
    }
    Ok(Some(PathBuf::from(&path.value)))
}

fn redaction(
    written: Option<&RedactionWritten>,
    source: Option<&Source>,
) -> Result<Redaction, ConfigError> {
    let empty = RedactionWritten::default();
    let written = written.unwrap_or(&empty);
    let detectors = written.detectors.as_ref();
    Ok(Redaction {
        mask: text(&written.mask, "[REDACTED]"),
        case_insensitive: written.case_insensitive.unwrap_or(false),
        min_length: written
            .min_length
            .as_ref()
            .map_or(4, |at| usize::try_from(at.value).unwrap_or(usize::MAX)),
        trim: written.trim.unwrap_or(true),
        multiline: value(&written.multiline, Multiline::Crlf),
        encodings: written.encodings.as_ref().map_or_else(
            || Encoding::ALL.to_vec(),
            |list| list.iter().map(|at| at.value).collect(),
        ),
        detectors: match detectors {
            None => owned(&DETECTORS[..DEFAULT_DETECTORS]),
            Some(names) => each(Some(names), |name| detector(name, source))?,
        },
    })
}

fn output(written: Option<&OutputWritten>, source: Option<&Source>) -> Result<Output, ConfigError> {
    const MIB: u64 = 1 << 20;
    let empty = OutputWritten::default();
    let written = written.unwrap_or(&empty);
    if let Some(size) = written.max_file_mb.as_ref().filter(|size| size.value == 0) {
        let allowed = format!("a number from 1 to {}", u64::MAX / MIB);
        let problem = ConfigProblem::OutOfRange { value: 0, allowed };
        return Err(fail(source, size, "runner.output.max_file_mb", problem));
    }
    Ok(Output {
        ansi: value(&written.ansi, Ansi::Keep),
        progress: value(&written.progress, Progress::Keep),
        combined: written.combined.unwrap_or(false),
        timestamps: value(&written.timestamps, Timestamps::None),
        max_file: written.max_file_mb.as_ref().map(|size| size.value.saturating_mul(MIB)),
        rotate_files: value(&written.rotate_files, 0),
    })
}

fn detector(name: &At<String>, source: Option<&Source>) -> Result<String, ConfigError> {
    if DETECTORS.contains(&name.value.as_str()) {
        return Ok(name.value.clone());
    }
    let problem = ConfigProblem::UnknownValue {
        value: name.value.clone(),
        nearest: nearest(&name.value, DETECTORS.iter().copied()),
        expected: owned(DETECTORS),
    };
    Err(fail(source, name, "runner.redaction.detectors", problem))
}

fn custom_detector(
    written: &DetectorWritten,
    source: Option<&Source>,
) -> Result<CustomDetector, ConfigError> {
    if written.name.value.is_empty() {
        return Err(fail(source, &written.name, "runner.detectors.name", ConfigProblem::Empty));
    }
    let regex = &written.regex.value;
    if let Some(problem) = regex_problem(regex) {
        return Err(fail(source, &written.regex, "runner.detectors.regex", problem));
    }
    Ok(CustomDetector { name: written.name.value.clone(), regex: regex.clone() })
}

/// What speaks against a regular expression over bytes, as those that redact are.
fn regex_problem(regex: &str) -> Option<ConfigProblem> {
    if regex.is_empty() {
        return Some(ConfigProblem::Empty);
    }
    let compiled = regex::bytes::RegexBuilder::new(regex).unicode(false).build();
    match compiled {
        Ok(compiled) if compiled.is_match(b"") => Some(ConfigProblem::RegexMatchesNothing),
        Ok(_) => None,
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Some(ConfigProblem::Regex { message: last.to_owned() })
        }
    }
}

fn rule(written: &At<RuleWritten>, source: Option<&Source>) -> Result<Rule, ConfigError> {
    let RuleWritten { effect, program, args, reason } = &written.value;
    if program.value.is_empty() {
        return Err(fail(source, program, "runner.rules.program", ConfigProblem::Empty));
    }
    let place = source.map(|source| source.location(written.start));
    Ok(Rule {
        effect: match effect {
            EffectWord::Allow => Effect::Allow,
            EffectWord::Deny => Effect::Deny,
        },
        program: program.value.clone(),
        args: args.clone().unwrap_or_default(),
        reason: reason.clone().unwrap_or_default(),
        origin: place.map(|place| format!("{}:{}", place.file.display(), place.line)),
    })
}

/// A list of texts, none of which may be empty.
fn patterns(
    written: &Option<Vec<At<String>>>,
    default: &[&str],
    source: Option<&Source>,
    field: &str,
) -> Result<Vec<String>, ConfigError> {
    let Some(list) = written else { return Ok(owned(default)) };
    each(Some(list), |item| match item.value.as_str() {
        "" => Err(fail(source, item, field, ConfigProblem::Empty)),
        text => Ok(text.to_owned()),
    })
}

/// The workspace, absolute and existing.
pub(crate) fn workspace(
    workspace: &Path,
    environment: &Environment,
) -> Result<PathBuf, ConfigError> {
    let path = environment.cwd().join(workspace);
    if !path.components().any(|component| component == Component::ParentDir) {
        return Ok(normalize(&path));
    }
    let problem = |source| {
        ConfigError::flag("--workspace", ConfigProblem::Workspace { path: path.clone(), source })
    };
    path.canonicalize().map_err(problem)
}

fn each<T, U>(
    items: Option<&[T]>,
    convert: impl FnMut(&T) -> Result<U, ConfigError>,
) -> Result<Vec<U>, ConfigError> {
    items.unwrap_or_default().iter().map(convert).collect()
}

fn value<T: Copy>(written: &Option<At<T>>, default: T) -> T {
    written.as_ref().map_or(default, |at| at.value)
}

fn text(written: &Option<At<String>>, default: &str) -> String {
    written.as_ref().map_or_else(|| default.to_owned(), |at| at.value.clone())
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

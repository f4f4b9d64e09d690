//! From arguments to the library's terms: a runner, and a run in the making.

use crate::args::{CommandArgs, PlaceArgs, RunArgs, SecretArgs, StdinArg};
use crate::failure::Failure;
use crate::message::Level;
use crate::secrets;
use crate::terminal;
use ringfence::config::{Config, Environment, Search};
use ringfence::output_capture::{Redaction, RedactionOptions};
use ringfence::{RunBuilder, Runner, Stdin};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The config that holds for a workspace, and the caller's environment.
pub(crate) fn runner(place: &PlaceArgs) -> Result<Runner, Failure> {
    let environment = Environment::current().map_err(ringfence::Error::Environment)?;
    let search = Search {
        explicit: place.config.clone(),
        workspace: &place.workspace,
        environment: &environment,
    };
    let config = Config::discover(&search).map_err(Failure::config)?;
    Ok(Runner::new(config, environment))
}

/// What to run; `None` when the arguments name nothing.
pub(crate) fn command(runner: &Runner, command: &CommandArgs) -> Option<RunBuilder> {
    match &command.line {
        Some(line) => Some(runner.shell(line.clone().into_vec())),
        None if command.program.is_empty() => None,
        None => Some(runner.program(command.program.iter().cloned())),
    }
}

/// The command as one text, for a title; not redacted.
pub(crate) fn words(command: &CommandArgs) -> Vec<u8> {
    match &command.line {
        Some(line) => line.as_bytes().to_vec(),
        None => command.program.join(OsStr::new(" ")).into_vec(),
    }
}

/// All options of a run but its output.
pub(crate) fn apply(
    mut run: RunBuilder,
    args: &RunArgs,
    runner: &Runner,
) -> Result<RunBuilder, Failure> {
    run =
        run.workspace(&args.place.workspace).overrides(args.profile.overrides()).stdin(stdin(args));
    if let Some(profile) = &args.profile.profile {
        run = run.profile(profile);
    }
    if let Some(cwd) = &args.cwd {
        run = run.cwd(cwd);
    }
    let variables = args.env.iter().map(|given| variable(given)).collect::<Result<Vec<_>, _>>()?;
    for secret in secrets::collect(&args.secrets, &variables, runner.environment(), args.level())? {
        run = run.secret(secret);
    }
    for (name, value) in variables {
        run = match value {
            Some(value) => run.env(name, value),
            None => run.pass_env(name),
        };
    }
    if args.streams.tty {
        run = run.terminal(terminal::size());
    }
    Ok(match args.trace {
        Some(trace) => run.trace(trace.into()),
        None => run,
    })
}

pub(crate) fn stdin(args: &RunArgs) -> Stdin {
    match &args.streams.stdin {
        Some(StdinArg::Null) => Stdin::Null,
        Some(StdinArg::Inherit) => Stdin::Inherit,
        Some(StdinArg::File(path)) => Stdin::File(path.clone()),
        None if args.streams.json => Stdin::Null,
        None => Stdin::Inherit,
    }
}

/// Masks the secrets that are known before a run is: those that `--redact` and `--redact-env` name.
pub(crate) fn masking(args: &RunArgs) -> impl Fn(String) -> String + use<> {
    let variables: Vec<_> = args.env.iter().flat_map(|given| variable(given)).collect();
    let files = SecretArgs { redact_file: Vec::new(), ..args.secrets.clone() };
    let known = Environment::current()
        .map_err(Failure::Runtime)
        .and_then(|environment| secrets::collect(&files, &variables, &environment, Level::Quiet));
    let known = known.unwrap_or_default();
    let redaction = Redaction::compile(known, &RedactionOptions::default()).0;
    move |text| String::from_utf8_lossy(&redaction.masked(text.as_bytes())).into_owned()
}

/// `KEY=VALUE` sets, `KEY` passes through.
fn variable(given: &OsStr) -> Result<(OsString, Option<OsString>), Failure> {
    let bytes = given.as_bytes();
    let end = bytes.iter().position(|&byte| byte == b'=').unwrap_or(bytes.len());
    if end == 0 {
        return Err(Failure::VariableName);
    }
    let value = bytes.get(end + 1..).map(|value| OsStr::from_bytes(value).to_owned());
    Ok((OsStr::from_bytes(&bytes[..end]).to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::variable;
    use std::ffi::OsStr;

    fn check(given: &str, expect: Option<(&str, Option<&str>)>) {
        let expect = expect.map(|(name, value)| (name.into(), value.map(Into::into)));
        assert_eq!(variable(OsStr::new(given)).ok(), expect, "{given}");
    }

    #[test]
    fn variables_are_set_or_passed() {
        check("CI=1", Some(("CI", Some("1"))));
        check("CI", Some(("CI", None)));
        check("CI=", Some(("CI", Some(""))));
        check("CI=a=b", Some(("CI", Some("a=b"))));
        check("=1", None);
        check("", None);
    }
}

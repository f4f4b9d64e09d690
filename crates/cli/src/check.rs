//! `ringfence check`: whether the config is good, and whether policy lets a command run.

use crate::args::CheckArgs;
use crate::exit::Status;
use crate::failure::Failure;
use crate::message::{self, Level};
use crate::request;
use ringfence::Runner;
use ringfence::config::Overrides;
use ringfence::policy::{Cause, CommandLine, Request, Verdict, decide};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

/// Checks the config, all of its profiles, and a command when one is given.
pub(crate) fn check(args: &CheckArgs) -> Result<Status, Failure> {
    let runner = request::runner(&args.place)?;
    let config = runner.config();
    let names = config.profile_names();
    for name in &names {
        let overrides = Overrides::default();
        let resolved =
            config.resolve(Some(name), &overrides, &args.place.workspace, runner.environment());
        for warning in resolved.map_err(Failure::config)?.warnings {
            message::warning(Level::Normal, &format!("profile {name}: {warning}"));
        }
    }
    let file = config
        .name()
        .map_or_else(|| "built-in config".to_owned(), |name| name.display().to_string());
    print(&format!("{file}: good; profiles: {}", names.join(", ")))?;
    match verdict(args, &runner) {
        None => Ok(Status::SUCCESS),
        Some(Verdict::Allowed(cause)) => {
            print(&Verdict::Allowed(cause).to_string())?;
            Ok(Status::SUCCESS)
        }
        Some(Verdict::Denied(cause)) => {
            let hint = cause.hint();
            Err(Failure::Denied { verdict: Verdict::Denied(cause).to_string(), hint })
        }
    }
}

fn verdict(args: &CheckArgs, runner: &Runner) -> Option<Verdict> {
    let config = runner.config().runner();
    let policy = config.policy();
    let shell = config.shell.to_string_lossy();
    let shell_arg = config.shell_arg.as_str();
    match &args.command.line {
        Some(line) => Some(match CommandLine::parse(line.as_bytes()) {
            Ok(line) => decide(&Request::Shell { shell: &shell, shell_arg, line: &line }, &policy),
            Err(error) => Verdict::Denied(Cause::Invalid(error)),
        }),
        None if args.command.program.is_empty() => None,
        None => {
            let argv: Vec<Vec<u8>> =
                args.command.program.iter().map(|word| word.as_bytes().to_vec()).collect();
            Some(decide(&Request::Program { argv: &argv }, &policy))
        }
    }
}

fn print(line: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).map_err(Failure::Print)
}

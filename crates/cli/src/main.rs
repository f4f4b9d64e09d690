//! The `ringfence` command-line tool: arguments in, one run or one answer, an exit status out.
//!
//! Everything that decides or enforces is in the library; this crate turns arguments into its terms, passes signals on, and is
//! the only one that prints, reads the arguments or exits. Each subcommand has a file of its own, and the exit statuses have one.
//!
//! The trap is the caller's standard output. It belongs to the command (or, with `--json`, to the result), so whatever ringfence
//! itself has to say goes to standard error, through `message`.
#![forbid(unsafe_code)]

mod apply;
mod args;
mod check;
mod diff;
mod discard;
mod doctor;
mod events;
mod exit;
mod explain;
mod failure;
mod files;
mod generate;
mod init;
mod message;
mod patch;
mod refusals;
mod replay;
mod request;
mod run;
mod secrets;
mod signals;
mod state;
mod streams;
mod terminal;
mod transcript;

use args::{Cli, Subcommand};
use clap::Parser;
use exit::Status;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    ringfence::executor::allow_scope();
    let status = dispatch(cli);
    ringfence::executor::leave_control_groups();
    status.into()
}

fn dispatch(cli: Cli) -> Status {
    let done = match cli.subcommand {
        Subcommand::Run(args) => return run::run(*args),
        Subcommand::Check(args) => check::check(&args),
        Subcommand::Doctor(args) => doctor::doctor(&args),
        Subcommand::Explain(args) => explain::explain(*args),
        Subcommand::Diff(args) => diff::diff(&args),
        Subcommand::Apply(args) => apply::apply(&args),
        Subcommand::Discard(args) => discard::discard(&args),
        Subcommand::Replay(args) => replay::replay(&args),
        Subcommand::Init(args) => init::init(&args),
        Subcommand::Schema => generate::schema(),
        Subcommand::Completions(args) => generate::completions(&args),
        Subcommand::Man(args) => generate::man(&args),
    };
    done.unwrap_or_else(|failure| failure.report())
}

/// Help and version are answers; anything else that the parser stops at is a mistake of the caller.
fn usage(error: &clap::Error) -> Status {
    match error.print() {
        Err(source) => Failure::Print(source).report(),
        Ok(()) if error.use_stderr() => Status::REFUSED,
        Ok(()) => Status::SUCCESS,
    }
}

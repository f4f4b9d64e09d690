//! The arguments: what a user may type, parsed into the library's types at once.
//!
//! The help texts are written for the person at the terminal; names and meanings are an interface and do not change.

mod parse;
mod profile;
mod run;

pub(crate) use profile::ProfileArgs;
pub(crate) use run::{RunArgs, SecretArgs, StdinArg, StreamArgs};

use clap::{Args, Parser, Subcommand as ClapSubcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXIT_STATUSES: &str = "\
Exit status of `run`: the command's own; 128 + N when signal N ended it; 124 when it timed out;
125 when ringfence itself refused or failed; 126 when the program is not executable; 127 when it is not found.";

/// Runs commands nobody fully trusts: sandboxed, limited, with redacted output, and nothing left behind.
///
/// Without a config a command sees the host's files read-only, without credential stores, can write the current directory, and
/// has no network.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, after_help = EXIT_STATUSES, disable_help_subcommand = true)]
#[command(max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

#[derive(Debug, ClapSubcommand)]
pub(crate) enum Subcommand {
    /// Run a command line (`-c`) or a program (after `--`) in the sandbox of a profile.
    #[command(after_help = EXIT_STATUSES)]
    #[command(
        override_usage = "ringfence run [OPTIONS] -c COMMAND_LINE\n       ringfence run [OPTIONS] -- PROGRAM [ARG]..."
    )]
    Run(Box<RunArgs>),
    /// Validate the config, and say whether policy lets a command run.
    Check(CheckArgs),
    /// Say what this machine can enforce, row by row, and how to get what is missing.
    ///
    /// Each mechanism is tried for real. The exit status is 0 when the default profile is fully enforced here, and 125 when something
    /// of it is weaker, though commands may run.
    Doctor(DoctorArgs),
    /// Say in plain words what a run would see, write, reach and use up; runs nothing.
    ///
    /// Takes the options of `run`, so any command line can be explained by changing one word of it. Add `-v` for the plan.
    #[command(
        override_usage = "ringfence explain [OPTIONS] [-c COMMAND_LINE | -- PROGRAM [ARG]...]"
    )]
    Explain(Box<RunArgs>),
    /// Show the changes of a `workspace_overlay` run, or list the runs that have any.
    Diff(DiffArgs),
    /// Carry out the changes of a `workspace_overlay` run, or parts of them.
    ///
    /// What changed in the workspace after the run began is refused, and so is what is protected, as git hooks are; then
    /// nothing is applied and the exit status is 1. Each path is as it was or as it shall be, whenever ringfence is killed; what is
    /// missing then is still in the layer.
    Apply(ApplyArgs),
    /// Play a transcript of `run --transcript`, or any other asciicast, at the speed at which it happened.
    ///
    /// What a terminal obeyed when it was recorded it obeys again: play transcripts of commands you trust, or look at them as text.
    Replay(ReplayArgs),
    /// Throw the changes of `workspace_overlay` runs away.
    Discard(DiscardArgs),
    /// Write a commented ringfence.toml that shows every field with its default.
    Init(InitArgs),
    /// Print the JSON Schema of the config.
    Schema,
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Print a man page, or write all of them to a directory.
    Man(ManArgs),
}

/// What to run; one of the two.
#[derive(Debug, Args)]
pub(crate) struct CommandArgs {
    /// The command line, for the shell of the config.
    #[arg(
        short = 'c',
        value_name = "COMMAND_LINE",
        allow_hyphen_values = true,
        conflicts_with = "program"
    )]
    #[arg(help_heading = "Command")]
    pub(crate) line: Option<OsString>,
    /// The program and its arguments, with no shell between.
    #[arg(last = true, value_name = "PROGRAM", num_args = 1.., help_heading = "Command")]
    pub(crate) program: Vec<OsString>,
}

/// Where the config and the workspace are.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Config file [default: ringfence.toml in the workspace or above it, then
    /// $XDG_CONFIG_HOME/ringfence/config.toml].
    #[arg(long, value_name = "FILE", help_heading = "Config")]
    pub(crate) config: Option<PathBuf>,
    /// Workspace root and working directory.
    #[arg(short, long, value_name = "DIR", default_value = ".", help_heading = "Config")]
    pub(crate) workspace: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print an array of objects with `name`, `works`, `required`, `detail` and `remedy`.
    #[arg(long, conflicts_with = "apparmor")]
    pub(crate) json: bool,
    /// Print an AppArmor profile that lets this program make user namespaces; try nothing.
    #[arg(long)]
    pub(crate) apparmor: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) command: CommandArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The run, or the beginning of its name [default: list all runs that have changes].
    pub(crate) run: Option<String>,
    /// Print the changes as a patch, as `git diff` does; binary files are only named.
    #[arg(long, requires = "run", conflicts_with = "json")]
    pub(crate) patch: bool,
    /// Print one JSON object, in which no name is escaped.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The run, or the beginning of its name.
    pub(crate) run: String,
    /// Only what is at and below these paths, as `ringfence diff` prints them [default: everything].
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Apply what is refused, too: what the workspace has is overwritten.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The transcript.
    pub(crate) file: PathBuf,
    /// How many times as fast; `inf` shows everything at once.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = parse::speed)]
    pub(crate) speed: f64,
    /// Longest pause, as it is waited: 500ms, 2s [default: as long as it was].
    #[arg(long, value_name = "DUR", value_parser = parse::duration)]
    pub(crate) idle_limit: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct DiscardArgs {
    /// The runs, or the beginnings of their names.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Directory to write it to.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) workspace: PathBuf,
    /// Overwrite a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The subcommand whose page is printed [default: that of ringfence itself].
    pub(crate) subcommand: Option<String>,
    /// Write the pages of ringfence and of all its subcommands to this directory instead.
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests;

//! `ringfence schema`, `completions` and `man`: texts made from the config's types and from the arguments.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::Status;
use crate::failure::Failure;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::io::{self, Write};

/// Prints the JSON Schema of the config.
pub(crate) fn schema() -> Result<Status, Failure> {
    print(format!("{:#}\n", ringfence::config::json_schema()).as_bytes())
}

/// Prints the completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Status, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ringfence", &mut text);
    print(&text)
}

/// Prints one man page, or writes all of them.
pub(crate) fn man(args: &ManArgs) -> Result<Status, Failure> {
    if let Some(dir) = &args.dir {
        let failed = |source| Failure::Write { path: dir.clone(), source };
        clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
        return Ok(Status::SUCCESS);
    }
    let mut root = Cli::command();
    root.build();
    let page = match &args.subcommand {
        None => root,
        Some(name) => {
            root.find_subcommand(name).cloned().ok_or_else(|| Failure::NoPage(name.clone()))?
        }
    };
    print(&render(page).map_err(Failure::Print)?)
}

fn render(page: Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(page).render(&mut text)?;
    Ok(text)
}

fn print(text: &[u8]) -> Result<Status, Failure> {
    io::stdout().lock().write_all(text).map_err(Failure::Print)?;
    Ok(Status::SUCCESS)
}

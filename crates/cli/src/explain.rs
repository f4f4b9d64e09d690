//! `ringfence explain`: what a run would see, write, reach and use up, in plain words.

use crate::args::RunArgs;
use crate::exit::Status;
use crate::failure::Failure;
use crate::message::{self, Level};
use crate::request;
use ringfence::Explanation;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Explains the run that the arguments describe; without a command, one of an ordinary command.
pub(crate) fn explain(args: RunArgs) -> Result<Status, Failure> {
    let runner = request::runner(&args.place)?;
    let command = request::command(&runner, &args.command);
    let is_given = command.is_some();
    let builder = command.unwrap_or_else(|| runner.shell(":"));
    let explanation = request::apply(builder, &args, &runner)?.explain()?;
    let text = render(&explanation, is_given, args.level());
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::Print)?;
    explanation.warnings.iter().for_each(|warning| message::warning(args.level(), warning));
    Ok(Status::SUCCESS)
}

fn render(explanation: &Explanation, is_given: bool, level: Level) -> String {
    let mut text = String::new();
    if is_given {
        section(&mut text, "Policy", std::iter::once(explanation.verdict.clone()));
    }
    section(&mut text, "Sandbox", explanation.sandbox.iter().cloned());
    section(&mut text, "Limits", explanation.limits.iter().cloned());
    let names = explanation.variables.join(" ");
    section(
        &mut text,
        "Variables",
        std::iter::once(if names.is_empty() { "none".into() } else { names }),
    );
    let enforced =
        explanation.enforcement.iter().map(|(property, level)| format!("{property}: {level}"));
    section(&mut text, &format!("Enforced by {}", explanation.backend.as_str()), enforced);
    if level == Level::Verbose {
        section(&mut text, "Plan", explanation.plan.lines().map(str::to_owned));
    }
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let gap = if text.is_empty() { "" } else { "\n" };
    writeln!(text, "{gap}{title}:").expect("because a String takes any text");
    for line in lines {
        writeln!(text, "  {line}").expect("because a String takes any text");
    }
}

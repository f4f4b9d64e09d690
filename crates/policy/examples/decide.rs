//! Decides on command lines given as arguments: `cargo run -p ringfence-policy --example decide -- 'git push --force'`.

use ringfence_policy::{
    Cause, CommandLine, Effect, Policy, PolicyMode, Request, Rule, Verdict, decide,
};
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let rule = Rule {
        effect: Effect::Deny,
        program: "git".into(),
        args: vec!["push".into(), "--force".into()],
        reason: "history is shared".into(),
        origin: None,
    };
    let policy = Policy { rules: vec![rule], ..Policy::unrestricted(PolicyMode::Unsafe) };
    let mut lines: Vec<String> = std::env::args().skip(1).collect();
    if lines.is_empty() {
        lines = ["git status", "cd x && git push --force", "sh -c 'sudo git push --force'"]
            .map(String::from)
            .to_vec();
    }
    for line in lines {
        let verdict = match CommandLine::parse(line.as_bytes()) {
            Ok(line) => {
                decide(&Request::Shell { shell: "/bin/sh", shell_arg: "-c", line: &line }, &policy)
            }
            Err(error) => Verdict::Denied(Cause::Invalid(error)),
        };
        writeln!(io::stdout(), "{line}\n    {verdict}")?;
    }
    Ok(())
}

//! The decision: a request against a policy gives a verdict with its cause.
//!
//! Order of questions: is the shell one of the allowed, is its argument, and does a rule speak about any command in the line.
//! Each simple command is judged alone by the first rule that matches it; one denied command denies the line.
//!
//! The trap is the doubtful line. An allow rule needs a command that is known; a deny rule is content with less: where the text
//! hides what will run, it denies when all of its words occur in the text, and where the text cannot be parsed, when its program does.

use crate::command::CommandError;
use crate::environment::EnvAllowlist;
use crate::reason::ReasonCode;
use crate::rules::{Effect, Rule};
use crate::shell::{self, Command, ShellError};
use crate::{CommandLine, check_argv};
use std::fmt;

/// Whether the lists of the policy are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyMode {
    /// Only listed shells, shell arguments and variables.
    Allowlist,
    /// Any shell, any shell argument, the caller's whole environment. Rules still hold.
    Unsafe,
}

/// What a config says about commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether the three lists below are asked.
    pub mode: PolicyMode,
    /// Shells that may be started, by their exact path.
    pub allowed_shells: Vec<String>,
    /// Arguments that may stand between the shell and the line.
    pub allowed_shell_args: Vec<String>,
    /// Variables that pass from the caller.
    pub env: EnvAllowlist,
    /// Command rules, in order; the first that matches a command decides, no match allows.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// A policy with empty lists and no rules. In [`PolicyMode::Allowlist`] it allows no shell and no variable; in
    /// [`PolicyMode::Unsafe`] it allows everything.
    #[must_use]
    pub fn unrestricted(mode: PolicyMode) -> Policy {
        let env = EnvAllowlist::new(Vec::<String>::new());
        Policy {
            mode,
            allowed_shells: Vec::new(),
            allowed_shell_args: Vec::new(),
            env,
            rules: Vec::new(),
        }
    }

    /// The allowlist of variables that holds in this mode.
    #[must_use]
    pub fn effective_env(&self) -> EnvAllowlist {
        match self.mode {
            PolicyMode::Allowlist => self.env.clone(),
            PolicyMode::Unsafe => EnvAllowlist::everything(),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// A line for a shell.
    Shell {
        /// The shell's path, as the config writes it.
        shell: &'a str,
        /// The argument in front of the line, as `-c`.
        shell_arg: &'a str,
        /// The line.
        line: &'a CommandLine,
    },
    /// A program and its arguments, with no shell between.
    Program {
        /// The program first.
        argv: &'a [Vec<u8>],
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The command may run.
    Allowed(Cause),
    /// The command may not run.
    Denied(Cause),
}

impl Verdict {
    /// Whether the command may run.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Verdict::Allowed(_))
    }

    /// Why, in either case.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        match self {
            Verdict::Allowed(cause) | Verdict::Denied(cause) => cause,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allowed(cause) => write!(f, "allowed: {cause}"),
            Verdict::Denied(cause) => write!(f, "denied: {cause}"),
        }
    }
}

/// Why a verdict is what it is; prints itself for a person.
///
/// # Caveats
/// It quotes the command. Where a command may hold secrets, redact the text before it goes anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// No rule speaks about the command.
    NoRule,
    /// A rule matches.
    Rule {
        /// The command that matches, shortened for printing.
        command: String,
        /// Which rule.
        rule: RuleRef,
    },
    /// The text hides what will run (a variable, `eval`, a pipe into a shell), and all words of a deny rule occur in it.
    Hidden {
        /// Which rule.
        rule: RuleRef,
    },
    /// The line cannot be taken apart, and the program of a deny rule occurs in it.
    Unparsed {
        /// What stopped the parser.
        error: ShellError,
        /// Which rule; none when the line was allowed for lack of one.
        rule: Option<RuleRef>,
    },
    /// The shell is not one of the allowed.
    Shell {
        /// The shell that was asked for.
        shell: String,
        /// Those that are allowed.
        allowed: Vec<String>,
    },
    /// The shell's argument is not one of the allowed.
    ShellArg {
        /// The argument that was asked for.
        shell_arg: String,
        /// Those that are allowed.
        allowed: Vec<String>,
    },
    /// It is no command at all.
    Invalid(CommandError),
}

impl Cause {
    /// The reason code of a refusal for this cause.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        match self {
            Cause::Invalid(_) => ReasonCode::InvalidCommand,
            _ => ReasonCode::PolicyDenied,
        }
    }

    /// [`Cause::reason`] as its stable name.
    #[must_use]
    pub fn reason_code(&self) -> &'static str {
        self.reason().as_str()
    }

    /// What a person can do about a refusal for this cause.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Cause::NoRule | Cause::Unparsed { rule: None, .. } => None,
            Cause::Rule { rule, .. } => {
                Some(format!("change {rule}, or put an `allow` rule before it"))
            }
            Cause::Hidden { .. } => Some(
                "write the command out, without variables, `eval` or a pipe into a shell".into(),
            ),
            Cause::Unparsed { .. } => Some("close the quotes and brackets of the command".into()),
            Cause::Shell { shell, .. } => {
                Some(format!("add \"{shell}\" to `runner.allowed_shells`"))
            }
            Cause::ShellArg { shell_arg, .. } => {
                Some(format!("add \"{shell_arg}\" to `runner.allowed_shell_args`"))
            }
            Cause::Invalid(error) => error.hint().map(Into::into),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoRule => f.write_str("no rule speaks about the command"),
            Cause::Rule { command, rule } => {
                write!(f, "`{command}` matches {}", rule.with_reason())
            }
            Cause::Hidden { rule } => {
                write!(
                    f,
                    "the command hides what it runs, and has all words of {}",
                    rule.with_reason()
                )
            }
            Cause::Unparsed { error, rule: Some(rule) } => write!(
                f,
                "the command cannot be taken apart ({error}), and names the program of {}",
                rule.with_reason()
            ),
            Cause::Unparsed { error, rule: None } => {
                write!(
                    f,
                    "no deny rule names a program in the command, which cannot be taken apart ({error})"
                )
            }
            Cause::Shell { shell, allowed } => {
                write!(f, "the shell `{shell}` is not one of the allowed ({})", allowed.join(", "))
            }
            Cause::ShellArg { shell_arg, allowed } => {
                write!(
                    f,
                    "the shell argument `{shell_arg}` is not one of the allowed ({})",
                    allowed.join(", ")
                )
            }
            Cause::Invalid(error) => write!(f, "{error}"),
        }
    }
}

/// Which rule decided; prints as `rule 1 (ringfence.toml:12)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    /// Its place in the list, counted from 1.
    pub number: usize,
    /// Where it is written.
    pub origin: Option<String>,
    /// Its reason; may be empty.
    pub reason: String,
}

impl RuleRef {
    fn new(index: usize, rule: &Rule) -> RuleRef {
        RuleRef { number: index + 1, origin: rule.origin.clone(), reason: rule.reason.clone() }
    }

    fn with_reason(&self) -> String {
        if self.reason.is_empty() { self.to_string() } else { format!("{self}: {}", self.reason) }
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.number)?;
        self.origin.as_ref().map_or(Ok(()), |origin| write!(f, " ({origin})"))
    }
}

/// Decides whether a command may run.
#[must_use]
pub fn decide(request: &Request<'_>, policy: &Policy) -> Verdict {
    match request {
        Request::Shell { shell, shell_arg, line } => match check_shell(shell, shell_arg, policy) {
            Some(cause) => Verdict::Denied(cause),
            None => judge(line.as_bytes(), &policy.rules, || shell::analyse_line(line.as_bytes())),
        },
        Request::Program { argv } => match check_argv(argv) {
            Err(error) => Verdict::Denied(Cause::Invalid(error)),
            Ok(()) => judge(&argv.join(&b' '), &policy.rules, || shell::analyse_argv(argv)),
        },
    }
}

fn check_shell(shell: &str, shell_arg: &str, policy: &Policy) -> Option<Cause> {
    if policy.mode == PolicyMode::Unsafe {
        return None;
    }
    let is_in = |list: &[String], item: &str| list.iter().any(|allowed| allowed == item);
    if !is_in(&policy.allowed_shells, shell) {
        return Some(Cause::Shell { shell: shell.into(), allowed: policy.allowed_shells.clone() });
    }
    if !is_in(&policy.allowed_shell_args, shell_arg) {
        let allowed = policy.allowed_shell_args.clone();
        return Some(Cause::ShellArg { shell_arg: shell_arg.into(), allowed });
    }
    None
}

fn judge(
    text: &[u8],
    rules: &[Rule],
    analyse: impl FnOnce() -> Result<shell::Analysis, ShellError>,
) -> Verdict {
    if rules.is_empty() {
        return Verdict::Allowed(Cause::NoRule);
    }
    let analysis = match analyse() {
        Ok(analysis) => analysis,
        Err(error) => return judge_unparsed(text, rules, error),
    };
    let texts = Texts::new(text);
    let mut allowed_by = Vec::new();
    for command in &analysis.commands {
        match judge_command(command, rules, &texts) {
            Some(Verdict::Denied(cause)) => return Verdict::Denied(cause),
            Some(Verdict::Allowed(cause)) => allowed_by.push(cause),
            None => {}
        }
    }
    if analysis.doubtful
        && let Some(rule) = first_deny(rules, |rule| texts.any(|text| rule.words_occur_in(text)))
    {
        return Verdict::Denied(Cause::Hidden { rule });
    }
    if analysis.doubtful || allowed_by.len() < analysis.commands.len() {
        return Verdict::Allowed(Cause::NoRule);
    }
    Verdict::Allowed(allowed_by.into_iter().next().unwrap_or(Cause::NoRule))
}

fn judge_unparsed(text: &[u8], rules: &[Rule], error: ShellError) -> Verdict {
    let texts = Texts::new(text);
    match first_deny(rules, |rule| texts.any(|text| rule.program_occurs_in(text))) {
        Some(rule) => Verdict::Denied(Cause::Unparsed { error, rule: Some(rule) }),
        None => Verdict::Allowed(Cause::Unparsed { error, rule: None }),
    }
}

/// What the first rule that speaks about a command says; none when the program is not known or no rule speaks about it.
fn judge_command(command: &Command, rules: &[Rule], texts: &Texts) -> Option<Verdict> {
    let program = command.program()?;
    let args = command.known_args();
    for (index, rule) in rules.iter().enumerate() {
        if rule.matches(program, &args) {
            let cause = Cause::Rule { command: shown(command), rule: RuleRef::new(index, rule) };
            return Some(match rule.effect {
                Effect::Allow => Verdict::Allowed(cause),
                Effect::Deny => Verdict::Denied(cause),
            });
        }
        let may_match = rule.effect == Effect::Deny
            && command.has_unknown_args()
            && rule.matches_program(program);
        if may_match && texts.any(|text| rule.args_occur_in(text)) {
            return Some(Verdict::Denied(Cause::Hidden { rule: RuleRef::new(index, rule) }));
        }
    }
    None
}

fn first_deny(rules: &[Rule], holds: impl Fn(&Rule) -> bool) -> Option<RuleRef> {
    let mut denies = rules.iter().enumerate().filter(|(_, rule)| rule.effect == Effect::Deny);
    denies.find(|(_, rule)| holds(rule)).map(|(index, rule)| RuleRef::new(index, rule))
}

/// A text as it is and without its quotes, so that `g""it` is found too.
struct Texts {
    plain: Vec<u8>,
    unquoted: Vec<u8>,
}

impl Texts {
    fn new(text: &[u8]) -> Texts {
        Texts { plain: text.to_vec(), unquoted: shell::without_quotes(text) }
    }

    fn any(&self, holds: impl Fn(&[u8]) -> bool) -> bool {
        holds(&self.plain) || holds(&self.unquoted)
    }
}

/// Longest command that a cause quotes, in characters; a message should fit a few lines of a terminal.
const MAX_SHOWN: usize = 160;

fn shown(command: &Command) -> String {
    let source =
        command.words.iter().map(|word| word.source.as_slice()).collect::<Vec<_>>().join(&b' ');
    let text = String::from_utf8_lossy(&source);
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(printable).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// A character as it may go to a terminal.
fn printable(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests;

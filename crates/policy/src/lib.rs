//! Pure decisions about a command: may it run, with which shell, with which variables, and which destinations may it reach.
//!
//! Everything here is a function from values to a [`Verdict`] (or a match), with the cause attached: the rule, its place in the
//! config, its reason. There is no IO, no clock and no environment, so a decision can be tested as data and repeated anywhere.
//!
//! This is deliberately *not* the wall. A shell is a programming language, and a rule on its text is a guard rail that stops
//! mistakes and says why; what a command can really do is the sandbox's business.
//!
//! The one trap: what cannot be parsed is never "allowed by a rule". A line the parser gives up on falls through to the
//! cautious reading, where a deny rule needs only its words to occur in the text.
//!
//! ```
//! use ringfence_policy::{CommandLine, Effect, Policy, PolicyMode, Request, Rule, decide};
//!
//! let mut policy = Policy::unrestricted(PolicyMode::Unsafe);
//! policy.rules.push(Rule {
//!     effect: Effect::Deny,
//!     program: "git".into(),
//!     args: vec!["push".into(), "--force".into()],
//!     reason: "history is shared".into(),
//!     origin: Some("ringfence.toml:12".into()),
//! });
//! let line = CommandLine::parse(b"cd repo && git push --force").expect("a plain line");
//! let verdict = decide(&Request::Shell { shell: "/bin/sh", shell_arg: "-c", line: &line }, &policy);
//! assert_eq!(
//!     verdict.to_string(),
//!     "denied: `git push --force` matches rule 1 (ringfence.toml:12): history is shared",
//! );
//! ```
#![forbid(unsafe_code)]

pub mod allowlist;
mod command;
mod decide;
mod environment;
mod glob;
mod reason;
mod rules;
mod shell;

pub use allowlist::{
    AllowEntry, AllowEntryError, AllowHost, Allowlist, Destination, DestinationError,
};
pub use command::{CommandError, CommandLine, MAX_COMMAND_BYTES, check_argv};
pub use decide::{Cause, Policy, PolicyMode, Request, RuleRef, Verdict, decide};
pub use environment::EnvAllowlist;
pub use reason::ReasonCode;
pub use rules::{Effect, Rule};
pub use shell::ShellError;

//! Command lines, and the help a person reads.

use super::*;
use clap::CommandFactory;
use ringfence::config::{FsMode, NetworkMode};
use std::time::Duration;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["ringfence"], words].concat())
}

fn run_args(words: &[&str]) -> RunArgs {
    match parse(&[&["run"], words].concat()).expect("good arguments").subcommand {
        Subcommand::Run(args) => *args,
        other => panic!("because it is a run: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_run_is_a_line_or_a_program() {
    let line = run_args(&["-c", "echo a"]).command;
    assert_eq!((line.line, line.program), (Some("echo a".into()), vec![]));
    let program = run_args(&["--", "ls", "-l", "--json"]).command;
    assert_eq!(
        (program.line, program.program),
        (None, ["ls", "-l", "--json"].map(OsString::from).to_vec())
    );
    assert_eq!(run_args(&["-c", "--version"]).command.line, Some("--version".into()));
    assert_eq!(run_args(&["-c", ""]).command.line, Some("".into()));
    assert!(parse(&["run", "-c", "a", "--", "b"]).is_err());
    assert!(parse(&["run", "ls"]).is_err());
    assert!(parse(&["run", "-c"]).is_err());
}

#[test]
fn flags_become_overrides() {
    let flags = [
        "--rw",
        "a",
        "--rw",
        "b",
        "--ro",
        "c",
        "--hide",
        "d",
        "--fs",
        "workspace_readonly",
        "--net",
        "deny",
        "--timeout",
        "1m30s",
        "--idle-timeout",
        "5s",
        "--grace",
        "0s",
        "--memory",
        "1GiB",
        "--cpu-time",
        "2s",
        "--pids",
        "7",
        "--open-files",
        "8",
        "--file-size",
        "1MiB",
        "--max-output",
        "0",
        "-c",
        "x",
    ];
    let flags = run_args(&flags).profile.overrides();
    assert_eq!(flags.rw, [PathBuf::from("a"), PathBuf::from("b")]);
    assert_eq!((flags.ro, flags.hide), (vec!["c".into()], vec!["d".into()]));
    assert_eq!((flags.fs, flags.net), (Some(FsMode::WorkspaceReadonly), Some(NetworkMode::Deny)));
    assert_eq!(flags.timeout, Some(Duration::from_secs(90)));
    assert_eq!(
        (flags.idle_timeout, flags.grace),
        (Some(Duration::from_secs(5)), Some(Duration::ZERO))
    );
    assert_eq!(
        (flags.memory.map(|size| size.bytes()), flags.cpu_time),
        (Some(1 << 30), Some(Duration::from_secs(2)))
    );
    assert_eq!((flags.pids, flags.open_files), (Some(7), Some(8)));
    assert_eq!(flags.file_size.map(|size| size.bytes()), Some(1 << 20));
    assert_eq!(flags.max_output.map(|size| size.bytes()), Some(0));
}

#[test]
fn no_flags_change_nothing() {
    let args = run_args(&["-c", "x"]);
    assert_eq!(args.profile.overrides(), ringfence::config::Overrides::default());
    assert_eq!(args.place.workspace, PathBuf::from("."));
    assert_eq!((args.place.config, args.streams.stdin), (None, None));
}

#[test]
fn standard_input_is_a_word_or_a_file() {
    let stdin = |word| run_args(&["--stdin", word, "-c", "x"]).streams.stdin;
    assert_eq!(stdin("null"), Some(StdinArg::Null));
    assert_eq!(stdin("inherit"), Some(StdinArg::Inherit));
    assert_eq!(stdin("./null"), Some(StdinArg::File("./null".into())));
}

#[test]
fn quiet_and_verbose_exclude_each_other() {
    assert!(parse(&["run", "-q", "-v", "-c", "x"]).is_err());
}

fn refused(words: &[&str], expect: &str) {
    let error = parse(words).expect_err("bad arguments");
    assert_eq!(error.to_string().lines().next(), Some(expect), "{words:?}");
}

#[test]
fn values_are_refused_where_they_are_typed() {
    refused(
        &["run", "--timeout", "90", "-c", "x"],
        "error: invalid value '90' for '--timeout <DUR>': `90` is not a duration; write numbers with units, as in `90s`, \
         `2m` or `1h30m`",
    );
    refused(
        &["run", "--memory", "2G", "-c", "x"],
        "error: invalid value '2G' for '--memory <SIZE>': `2G` is not a size; write a number with a unit, as in `512MiB`",
    );
    refused(&["run", "--fs", "ro", "-c", "x"], "error: invalid value 'ro' for '--fs <MODE>'");
    refused(
        &["run", "--allow", "https://a.com", "-c", "x"],
        "error: invalid value 'https://a.com' for '--allow <HOST[:PORT]>': allowlist entry `https://a.com`: it has a URL \
         scheme",
    );
    refused(
        &["run", "--pids", "many", "-c", "x"],
        "error: invalid value 'many' for '--pids <N>': invalid digit found in string",
    );
    refused(
        &["replay", "--speed", "0", "x"],
        "error: invalid value '0' for '--speed <N>': not a number above 0",
    );
    refused(&["report", "x"], "error: unrecognized subcommand 'report'");
}

/// The long help of a subcommand, as it looks on a terminal of 100 columns.
fn help(subcommand: &str) -> String {
    let mut root = Cli::command().term_width(100);
    root.build();
    let command =
        if subcommand.is_empty() { Some(&mut root) } else { root.find_subcommand_mut(subcommand) };
    command.expect("there is such a subcommand").render_long_help().to_string()
}

#[test]
fn help_texts() {
    for subcommand in [
        "",
        "run",
        "check",
        "doctor",
        "diff",
        "apply",
        "replay",
        "discard",
        "init",
        "schema",
        "completions",
        "man",
    ] {
        let name = if subcommand.is_empty() { "ringfence" } else { subcommand };
        insta::assert_snapshot!(format!("help_{name}"), help(subcommand));
    }
}

#[test]
fn explain_takes_every_option_of_run() {
    let options = |name: &str| {
        let root = Cli::command();
        let command = root.find_subcommand(name).expect("there is such a subcommand");
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(options("explain"), options("run"));
}

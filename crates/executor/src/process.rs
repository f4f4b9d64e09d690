//! From a command and its environment to the process the sandbox starts.
//!
//! Pure. The environment comes in already filtered; what is decided here is which program, which
//! arguments, where, and with which variables.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use ringfence_sandbox::Program;

use crate::request::{Command, EnvChange};

/// Where programs are looked for when the command's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables of a command, each name once, in the order they were first set.
pub(crate) type Variables = Vec<(OsString, OsString)>;

/// The shell of a profile and how it takes a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shell<'a> {
    pub(crate) path: &'a Path,
    pub(crate) argument: &'a str,
}

/// The arguments of a command, the program first.
pub(crate) fn arguments(command: &Command, shell: Shell<'_>) -> Vec<OsString> {
    match command {
        Command::Shell(line) => vec![
            shell.path.as_os_str().to_owned(),
            OsString::from(shell.argument),
            OsString::from_vec(line.clone()),
        ],
        Command::Program(words) => words.clone(),
    }
}

/// The program of these arguments: a path when it has a slash, else a name to look for.
pub(crate) fn program(arguments: &[OsString], variables: &Variables) -> Program {
    let name = arguments.first().cloned().unwrap_or_default();
    if name.as_bytes().contains(&b'/') {
        return Program::Path(PathBuf::from(name));
    }
    let path = value(variables, OsStr::new("PATH")).unwrap_or(OsStr::new(DEFAULT_PATH));
    Program::Search { name, path: path.to_owned() }
}

/// The variables of a command: `base`, then the changes in order. Names that were to be passed
/// from the caller and that the caller does not have come back too.
pub(crate) fn variables<'a>(
    base: &Variables,
    changes: &'a [EnvChange],
    caller: impl Fn(&OsStr) -> Option<OsString>,
) -> (Variables, Vec<&'a OsStr>) {
    let mut variables = base.clone();
    let mut missing = Vec::new();
    for change in changes {
        match change {
            EnvChange::Set(name, value) => set(&mut variables, name, value.clone()),
            EnvChange::Pass(name) => match caller(name) {
                Some(value) => set(&mut variables, name, value),
                None => missing.push(name.as_os_str()),
            },
        }
    }
    (variables, missing)
}

fn set(variables: &mut Variables, name: &OsStr, value: OsString) {
    match variables.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => variables.push((name.to_owned(), value)),
    }
}

/// Whether a variable is there.
pub(crate) fn is_set(variables: &Variables, name: &OsStr) -> bool {
    value(variables, name).is_some()
}

fn value<'a>(variables: &'a Variables, name: &OsStr) -> Option<&'a OsStr> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn a_line_goes_to_the_shell_as_one_argument() {
        let shell = Shell { path: Path::new("/bin/sh"), argument: "-c" };
        let line = Command::Shell(b"echo a; \xff".to_vec());
        let expect =
            [OsString::from("/bin/sh"), "-c".into(), OsString::from_vec(b"echo a; \xff".to_vec())];
        assert_eq!(arguments(&line, shell), expect);
        let words = vec!["ls".into(), "-l".into()];
        assert_eq!(arguments(&Command::Program(words.clone()), shell), words);
    }

    #[test]
    fn a_slash_makes_a_path_and_else_path_is_searched() {
        let check = |word: &str, variables: &[(&str, &str)], expect: Program| {
            assert_eq!(program(&[word.into()], &pairs(variables)), expect, "{word}");
        };
        check("/bin/ls", &[], Program::Path("/bin/ls".into()));
        check("./ls", &[("PATH", "/x")], Program::Path("./ls".into()));
        let search = |path: &str| Program::Search { name: "ls".into(), path: path.into() };
        check("ls", &[("HOME", "/h"), ("PATH", "/x:/y")], search("/x:/y"));
        check("ls", &[("PATH", "")], search(""));
        check("ls", &[], search(DEFAULT_PATH));
    }

    #[test]
    fn changes_apply_in_order_and_what_is_missing_is_told() {
        let set = |name: &str, value: &str| EnvChange::Set(name.into(), value.into());
        let pass = |name: &str| EnvChange::Pass(name.into());
        let check = |changes: &[EnvChange], expect: &[(&str, &str)], expect_missing: &[&str]| {
            let caller = |name: &OsStr| (name == "TOKEN").then(|| OsString::from("t"));
            let (got, missing) = variables(&pairs(&[("A", "1"), ("B", "2")]), changes, caller);
            assert_eq!(got, pairs(expect));
            assert_eq!(missing, expect_missing);
        };
        check(&[], &[("A", "1"), ("B", "2")], &[]);
        check(&[set("B", "x"), set("C", "3")], &[("A", "1"), ("B", "x"), ("C", "3")], &[]);
        check(&[pass("TOKEN")], &[("A", "1"), ("B", "2"), ("TOKEN", "t")], &[]);
        check(&[set("A", "x"), set("A", "y")], &[("A", "y"), ("B", "2")], &[]);
        check(&[pass("NOPE")], &[("A", "1"), ("B", "2")], &["NOPE"]);
    }
}

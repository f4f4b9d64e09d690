//! What a repository's own files point to: the configuration and the files of one line.
//!
//! Pure functions on bytes. Git runs what its configuration names, so whoever may change a file
//! that is named there runs code as whoever calls git next. The reading is tolerant: what git
//! would refuse is passed over to the end of its line, because a repository that git does not
//! read today may be mended tomorrow. Names are not looked up here, and conditions of `includeIf`
//! are not judged: what may be included counts as included.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// One variable of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// In lower case.
    pub(crate) section: String,
    /// As written; the case counts.
    pub(crate) subsection: Option<Vec<u8>>,
    /// In lower case.
    pub(crate) name: String,
    /// `None`: named without a value, which means true.
    pub(crate) value: Option<Vec<u8>>,
}

/// A path that a configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The directory of hooks, relative to the working tree.
    Hooks(PathBuf),
    /// A program, relative to the working tree.
    Program(PathBuf),
    /// A further configuration, relative to the one that names it.
    Include(PathBuf),
    /// The working tree, relative to the git directory.
    Worktree(PathBuf),
}

/// The paths of a configuration that matter to what git runs.
pub(crate) fn named(config: &[u8]) -> Vec<Named> {
    variables(config).into_iter().filter_map(name).collect()
}

fn name(variable: Variable) -> Option<Named> {
    let value = variable.value.filter(|value| !value.is_empty())?;
    let path = || PathBuf::from(OsStr::from_bytes(&value));
    match (variable.section.as_str(), &variable.subsection, variable.name.as_str()) {
        ("core", None, "hookspath") => Some(Named::Hooks(path())),
        ("core", None, "worktree") => Some(Named::Worktree(path())),
        ("include", None, "path") | ("includeif", Some(_), "path") => Some(Named::Include(path())),
        (section, _, name) if is_command(section, name) => program(&value).map(Named::Program),
        _ => None,
    }
}

/// The variables whose values git executes.
fn is_command(section: &str, name: &str) -> bool {
    matches!(
        (section, name),
        ("core", "fsmonitor" | "sshcommand" | "editor" | "pager" | "askpass" | "gitproxy")
            | ("sequence", "editor")
            | ("diff", "external" | "command" | "textconv")
            | ("filter", "clean" | "smudge" | "process")
            | ("merge", "driver")
            | ("gpg", "program" | "defaultkeycommand")
            | ("credential", "helper")
    )
}

/// The file a command begins with, if it is named by a path.
fn program(command: &[u8]) -> Option<PathBuf> {
    let command = command.strip_prefix(b"!").unwrap_or(command).trim_ascii_start();
    let word = match command.first()? {
        quote @ (b'"' | b'\'') => command[1..].split(|byte| byte == quote).next()?,
        _ => command.split(u8::is_ascii_whitespace).next()?,
    };
    word.contains(&b'/').then(|| PathBuf::from(OsStr::from_bytes(word)))
}

/// Where a path of a configuration leads: `~` is the home directory, and what is relative starts
/// at `base`. `None` where it stands for another user's home or git's own prefix.
pub(crate) fn place(path: &Path, base: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    if let Ok(rest) = path.strip_prefix("~") {
        return Some(home?.join(rest));
    }
    (!bytes.starts_with(b"~") && !bytes.starts_with(b"%(prefix)")).then(|| base.join(path))
}

/// The directory that a `.git` file names.
pub(crate) fn git_directory(file: &[u8]) -> Option<PathBuf> {
    line(file.strip_prefix(b"gitdir:")?)
}

/// The path that is the only line of a file.
pub(crate) fn line(file: &[u8]) -> Option<PathBuf> {
    let line = file.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).next()?.trim_ascii();
    (!line.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(line)))
}

/// All variables of a configuration, in order.
pub(crate) fn variables(config: &[u8]) -> Vec<Variable> {
    let config = config.strip_prefix(b"\xef\xbb\xbf").unwrap_or(config);
    let mut reader = Reader { rest: config, section: String::new(), subsection: None };
    let mut variables = Vec::new();
    while let Some(byte) = reader.peek() {
        match byte {
            b'#' | b';' => reader.skip_line(),
            b'[' => reader.header(),
            byte if byte.is_ascii_alphabetic() => variables.push(reader.variable()),
            _ => reader.rest = &reader.rest[1..],
        }
    }
    variables
}

struct Reader<'c> {
    rest: &'c [u8],
    section: String,
    subsection: Option<Vec<u8>>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        // A line may end as it does on Windows.
        if *first == b'\r' && rest.first() == Some(&b'\n') {
            self.rest = &rest[1..];
            return Some(b'\n');
        }
        Some(*first)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|byte| byte != b'\n') {}
    }

    fn word(&mut self, more: &[u8]) -> String {
        let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || more.contains(byte);
        let length = self.rest.iter().take_while(|byte| belongs(byte)).count();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte == b' ' || byte == b'\t') {
            self.rest = &self.rest[1..];
        }
    }

    /// `[section]`, `[section "subsection"]`, and `[section.subsection]` of old.
    fn header(&mut self) {
        self.rest = &self.rest[1..];
        let section = self.word(b"-.");
        let (section, old) = match section.split_once('.') {
            Some((section, old)) => (section.to_owned(), Some(old.as_bytes().to_vec())),
            None => (section, None),
        };
        self.section = section;
        self.subsection = old;
        self.skip_blanks();
        if self.peek() == Some(b'"') {
            self.subsection = Some(self.quoted());
        }
        self.skip_blanks();
        match self.peek() {
            Some(b']') => self.rest = &self.rest[1..],
            _ => self.skip_line(),
        }
    }

    /// A subsection in quotes, in which a backslash only stands before what it keeps.
    fn quoted(&mut self) -> Vec<u8> {
        self.rest = &self.rest[1..];
        let mut text = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| *byte != b'\n') {
            self.rest = &self.rest[1..];
            match byte {
                b'"' => break,
                b'\\' => text.extend(self.next()),
                byte => text.push(byte),
            }
        }
        text
    }

    fn variable(&mut self) -> Variable {
        let name = self.word(b"-");
        self.skip_blanks();
        let value = if self.peek() == Some(b'=') {
            self.rest = &self.rest[1..];
            Some(self.value())
        } else {
            self.skip_line();
            None
        };
        let (section, subsection) = (self.section.clone(), self.subsection.clone());
        Variable { section, subsection, name, value }
    }

    /// Up to the end of the line: quotes, escapes, comments, and lines that go on.
    fn value(&mut self) -> Vec<u8> {
        self.skip_blanks();
        let (mut text, mut quoted, mut kept) = (Vec::new(), false, 0);
        while let Some(byte) = self.next() {
            match byte {
                b'\n' => break,
                b'#' | b';' if !quoted => {
                    self.skip_line();
                    break;
                }
                b'"' => {
                    quoted = !quoted;
                    kept = text.len();
                    continue;
                }
                b'\\' => match self.next() {
                    Some(b'\n') | None => continue,
                    Some(b'n') => text.push(b'\n'),
                    Some(b't') => text.push(b'\t'),
                    Some(b'b') => text.push(8),
                    Some(other) => text.push(other),
                },
                byte if !quoted && byte.is_ascii_whitespace() && text.is_empty() => {}
                byte => text.push(byte),
            }
            if quoted || !byte.is_ascii_whitespace() {
                kept = text.len();
            }
        }
        text.truncate(kept);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(config: &str, expect: &[(&str, &str)]) {
        let shown = |variable: &Variable| {
            let subsection = variable.subsection.as_deref().map(String::from_utf8_lossy);
            let key = [
                Some(variable.section.clone().into()),
                subsection,
                Some(variable.name.clone().into()),
            ];
            let key: Vec<_> = key.into_iter().flatten().collect();
            let value = variable.value.as_deref().map_or("(true)".into(), String::from_utf8_lossy);
            (key.join("."), value.into_owned())
        };
        let found: Vec<_> = variables(config.as_bytes()).iter().map(shown).collect();
        let expect: Vec<_> =
            expect.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(found, expect, "{config:?}");
    }

    #[test]
    fn a_configuration_is_read_as_git_does() {
        check("[core]\n\tbare = false\n", &[("core.bare", "false")]);
        check("[Core]\nHooksPath=x", &[("core.hookspath", "x")]);
        check("[core] bare\n[a]b=c", &[("core.bare", "(true)"), ("a.b", "c")]);
        check("[remote \"Or\\\"igin\"]\nurl = a b  ; c\n", &[("remote.Or\"igin.url", "a b")]);
        check("[a.Sub]\nx = y", &[("a.sub.x", "y")]);
        check("[a]\nx = \"b ; c \" d # e\ny = \\\n z", &[("a.x", "b ; c  d"), ("a.y", "z")]);
        check("[a]\r\nx = 1\r\ny = 2\r\n", &[("a.x", "1"), ("a.y", "2")]);
        check("[a]\nx = \"a\\tb\\\\c\\n\"", &[("a.x", "a\tb\\c\n")]);
        check("\u{feff}[a]\nx=1", &[("a.x", "1")]);
        check("# [a]\n; x=1\n[a]\nx=1\n", &[("a.x", "1")]);
        check("[a\nx = 1\n[b]\ny = 2", &[("a.x", "1"), ("b.y", "2")]);
        check("[a] x = \"open\ny = 1", &[("a.x", "open"), ("a.y", "1")]);
    }

    #[test]
    fn what_git_runs_is_named() {
        let check = |config: &str, expect: Option<Named>| {
            assert_eq!(named(config.as_bytes()).into_iter().next(), expect, "{config}");
        };
        check("[core]\nhooksPath = .husky/_", Some(Named::Hooks(".husky/_".into())));
        check("[core]\nfsmonitor = true", None);
        check(
            "[core]\nfsmonitor = .git/hooks/watch 2",
            Some(Named::Program(".git/hooks/watch".into())),
        );
        check("[core]\nsshCommand = \"'./my ssh' -v\"", Some(Named::Program("./my ssh".into())));
        check("[filter \"x\"]\nclean = tools/clean %f", Some(Named::Program("tools/clean".into())));
        check("[credential]\nhelper = !./helper", Some(Named::Program("./helper".into())));
        check("[include]\npath = ../more", Some(Named::Include("../more".into())));
        check("[includeIf \"gitdir:~/x/\"]\npath = y", Some(Named::Include("y".into())));
        check("[core]\nworktree = ../../../sub", Some(Named::Worktree("../../../sub".into())));
        check("[core]\neditor = vim", None);
        check("[core]\nhooksPath =", None);
    }

    #[test]
    fn a_path_is_placed() {
        let check = |path: &str, expect: Option<&str>| {
            let found = place(Path::new(path), Path::new("/base"), Some(Path::new("/home/u")));
            assert_eq!(found, expect.map(PathBuf::from), "{path}");
        };
        check("x", Some("/base/x"));
        check("/x", Some("/x"));
        check("~/x", Some("/home/u/x"));
        check("~other/x", None);
        check("%(prefix)/x", None);
    }

    #[test]
    fn files_of_one_line_are_read() {
        assert_eq!(git_directory(b"gitdir: ../a b\n"), Some("../a b".into()));
        assert_eq!(git_directory(b"gitdir:/a\r\n"), Some("/a".into()));
        assert_eq!(git_directory(b"gitdir: \n"), None);
        assert_eq!(git_directory(b"something else"), None);
        assert_eq!(line(b"../..\n"), Some("../..".into()));
        assert_eq!(line(b""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(config in proptest::collection::vec(any::<u8>(), 0..300)) {
            named(&config);
            git_directory(&config);
        }

        #[test]
        fn no_text_is_too_odd(config in "[\\[\\]a-c\"\\\\=#; \\n\\r.\\-]{0,80}") {
            variables(config.as_bytes());
        }

        #[test]
        fn a_value_in_quotes_comes_back(value in "[ -~]{0,40}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let config = format!("[a \"b\"]\n\tc = \"{escaped}\"\n");
            let found = variables(config.as_bytes());
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].value.as_deref(), Some(value.as_bytes()));
        }
    }
}

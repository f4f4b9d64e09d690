//! Path patterns: what `*`, `?`, `[…]` and `**` stand for among the files that exist.
//!
//! A pattern is matched component by component while the tree is walked, so that only
//! directories are read in which something can still match. `*` and `?` match a leading dot,
//! because what is to be hidden often begins with one. Links are not followed once the first
//! wildcard is reached: a link could lead anywhere, and back.
//!
//! The trap: a pattern covers what exists when it is expanded and nothing that comes later.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// Directory entries that all patterns of one sandbox may look at together.
///
/// A walk reads about a million entries a second where they are cached.
pub(crate) const MOST_ENTRIES: usize = 200_000;

/// One component of a pattern behind its fixed beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`: any number of directories, none included.
    Directories,
    /// A name with wildcards.
    Wild(OsString),
    /// A name as it is.
    Name(OsString),
}

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The directory below which everything lies that can match.
    beginning: PathBuf,
    parts: Vec<Part>,
}

/// What a pattern stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    pub(crate) paths: Vec<PathBuf>,
    /// The walk was given up before its end.
    pub(crate) cut: bool,
}

/// Parts a pattern can have; a set of them is one word.
const MOST_PARTS: usize = 63;

/// The path has a character that may stand for others.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().any(|byte| b"*?[".contains(byte))
}

impl Pattern {
    /// `None` when the pattern has more parts than can be told apart.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        let mut beginning = PathBuf::new();
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) if name == "**" => {
                    if parts.last() != Some(&Part::Directories) {
                        parts.push(Part::Directories);
                    }
                }
                Component::Normal(name) if is_pattern(Path::new(name)) => {
                    parts.push(Part::Wild(name.to_owned()));
                }
                Component::Normal(name) if !parts.is_empty() => {
                    parts.push(Part::Name(name.to_owned()));
                }
                other => beginning.push(other),
            }
        }
        if parts.last() == Some(&Part::Directories) {
            parts.push(Part::Wild("*".into()));
        }
        (parts.len() <= MOST_PARTS).then_some(Self { beginning, parts })
    }

    /// What exists and matches, outermost only. `enter` says which directories may be read and
    /// which entries count; each entry that is looked at takes one off `budget`.
    pub(crate) fn expand(&self, budget: &mut usize, enter: impl Fn(&Path) -> bool) -> Matches {
        let mut matches = Matches::default();
        let Ok(beginning) = fs::canonicalize(&self.beginning) else { return matches };
        let mut open = vec![(beginning, self.closure(1))];
        while let Some((directory, states)) = open.pop() {
            for (path, is_directory) in self.candidates(&directory, states, *budget) {
                if *budget == 0 {
                    matches.cut = true;
                    return matches;
                }
                *budget -= 1;
                let name = path.file_name().unwrap_or_default();
                let next = self.step(states, name);
                if next == 0 || !enter(&path) {
                    continue;
                }
                if next & 1 << self.parts.len() != 0 {
                    matches.paths.push(path);
                } else if is_directory {
                    open.push((path, next));
                }
            }
        }
        matches
    }

    /// What in `directory` can match: names that are known are asked for, others need a reading.
    fn candidates(&self, directory: &Path, states: u64, most: usize) -> Vec<(PathBuf, bool)> {
        let mut names = Vec::new();
        for part in self.active(states) {
            match part {
                Part::Name(name) => names.push(name),
                _ => return entries(directory, most),
            }
        }
        let paths = names.into_iter().map(|name| directory.join(name));
        let there = |path: PathBuf| {
            let meta = fs::symlink_metadata(&path).ok()?;
            Some((path, meta.is_dir()))
        };
        paths.filter_map(there).collect()
    }

    fn active(&self, states: u64) -> impl Iterator<Item = &Part> {
        self.parts.iter().enumerate().filter(move |(at, _)| states & 1 << at != 0).map(|(_, p)| p)
    }

    /// The states behind a component called `name`.
    fn step(&self, states: u64, name: &OsStr) -> u64 {
        let mut next = 0;
        for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| states & 1 << at != 0) {
            next |= match part {
                Part::Directories => 1 << at,
                Part::Wild(pattern) if matches(pattern.as_bytes(), name.as_bytes()) => {
                    1 << (at + 1)
                }
                Part::Name(exact) if exact == name => 1 << (at + 1),
                _ => 0,
            };
        }
        self.closure(next)
    }

    /// `**` may stand for nothing, so the state behind it is reached with it.
    fn closure(&self, mut states: u64) -> u64 {
        for (at, part) in self.parts.iter().enumerate() {
            if *part == Part::Directories && states & 1 << at != 0 {
                states |= 1 << (at + 1);
            }
        }
        states
    }
}

/// Everything in a directory; nothing where it cannot be read, as the command cannot either.
fn entries(directory: &Path, most: usize) -> Vec<(PathBuf, bool)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    // One more than may be looked at, so that it is seen that there is more.
    let entries = entries.filter_map(Result::ok).take(most.saturating_add(1));
    entries.map(|entry| (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir()))).collect()
}

/// A name matches a pattern of one component.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how far what it stands for reaches.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if n == name.len() && p == pattern.len() {
            return true;
        }
        if let Some((behind, length)) = one(&pattern[p..], &name[n..]) {
            p += behind;
            n += length;
            continue;
        }
        match star {
            Some((at, reach)) if reach < name.len() => {
                star = Some((at, reach + 1));
                (p, n) = (at + 1, reach + 1);
            }
            _ => return false,
        }
    }
}

/// Bytes of the pattern and of the name that go together at their beginnings.
fn one(pattern: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let (character, length) = first(name)?;
    match pattern.first()? {
        b'?' => Some((1, length)),
        b'[' => match class(pattern, character) {
            Some((true, behind)) => Some((behind, length)),
            Some((false, _)) => None,
            None => (name[0] == b'[').then_some((1, 1)),
        },
        byte => (*byte == name[0]).then_some((1, 1)),
    }
}

/// Whether a class such as `[a-z]` or `[!0-9]` has the character, and its length; `None` when it
/// is not closed and `[` stands for itself.
fn class(pattern: &[u8], character: u32) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    let (mut at, mut found) = (start, false);
    loop {
        // A bracket that comes first belongs to the class.
        if *pattern.get(at)? == b']' && at > start {
            return Some((found != negated, at + 1));
        }
        let (low, length) = first(&pattern[at..])?;
        at += length;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|byte| *byte != b']') {
            let (end, length) = first(&pattern[at + 1..])?;
            high = end;
            at += 1 + length;
        }
        found |= (low..=high).contains(&character);
    }
}

/// The first character and its length; a byte that begins none stands for itself.
fn first(text: &[u8]) -> Option<(u32, usize)> {
    let byte = *text.first()?;
    let whole = |length: &usize| {
        let text = std::str::from_utf8(text.get(..*length)?).ok()?;
        text.chars().next().map(|character| (u32::from(character), *length))
    };
    let invalid = 0x11_0000 + u32::from(byte);
    Some((1..=4).find_map(|length| whole(&length)).unwrap_or((invalid, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_matches_as_in_a_shell() {
        let check = |pattern: &str, name: &str, expect| {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expect, "{pattern} {name}");
        };
        check("*", "", true);
        check("*", ".env", true);
        check(".env*", ".env", true);
        check(".env*", ".env.local", true);
        check(".env*", "x.env", false);
        check("*.pem", "key.pem", true);
        check("*.pem", ".pem", true);
        check("*.pem", "key.pem.old", false);
        check("a*b*c", "aXbYbZc", true);
        check("a*b*c", "aXbYbZ", false);
        check("?", "a", true);
        check("?", "é", true);
        check("?", "", false);
        check("??", "é", false);
        check("[abc]x", "bx", true);
        check("[a-c]x", "dx", false);
        check("[!a-c]x", "dx", true);
        check("[^a-c]x", "ax", false);
        check("[]]", "]", true);
        check("[a-]", "-", true);
        check("[é-ü]", "ö", true);
        check("[id", "[id", true);
        check("[id", "i", false);
        check("id_*", "id_rsa", true);
    }

    fn found(files: &[&str], pattern: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let root = fs::canonicalize(dir.path()).expect("it is there");
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            fs::write(path, "").expect("it can be written");
        }
        let mut budget = 1000;
        let pattern = Pattern::new(&root.join(pattern)).expect("it is short");
        let mut found = pattern.expand(&mut budget, |_| true);
        found.paths.sort();
        let relative =
            |path: &PathBuf| path.strip_prefix(&root).expect("it lies there").display().to_string();
        found.paths.iter().map(relative).collect()
    }

    #[test]
    fn a_pattern_stands_for_what_exists() {
        let files = &[".env", "a/.env", "a/b/.env", "a/b/.env.local", "a/key.pem", "c/d/e"];
        let check = |pattern: &str, expect: &[&str]| assert_eq!(found(files, pattern), expect);
        check("**/.env", &[".env", "a/.env", "a/b/.env"]);
        check("**/.env*", &[".env", "a/.env", "a/b/.env", "a/b/.env.local"]);
        check("*/.env", &["a/.env"]);
        check("a/**", &["a/.env", "a/b", "a/key.pem"]);
        check("**/b/*", &["a/b/.env", "a/b/.env.local"]);
        check("**/**/e", &["c/d/e"]);
        check("?/b", &["a/b"]);
        check("[b-z]", &["c"]);
        check("x/**/.env", &[]);
        check("*.pem", &[]);
    }

    #[test]
    fn a_walk_ends_with_its_budget_and_follows_no_link() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let inner = dir.path().join("a/b");
        fs::create_dir_all(&inner).expect("it can be made");
        std::os::unix::fs::symlink(dir.path(), inner.join("loop")).expect("it can be made");
        fs::write(inner.join("x"), "").expect("it can be written");
        let pattern = Pattern::new(&dir.path().join("**/x")).expect("it is short");
        let found = pattern.expand(&mut 100, |_| true);
        assert_eq!((found.paths.len(), found.cut), (1, false));
        assert!(pattern.expand(&mut 2, |_| true).cut);
        assert!(pattern.expand(&mut 100, |path| !path.ends_with("b")).paths.is_empty());
    }

    proptest! {
        #[test]
        fn no_pattern_is_too_odd(pattern in "[a-c*?\\[\\]!^\\-é]{0,12}", name in "[a-c\\[\\]\\-é]{0,12}") {
            matches(pattern.as_bytes(), name.as_bytes());
        }

        #[test]
        fn a_name_without_wildcards_matches_itself(name in "[a-z.é]{1,12}") {
            prop_assert!(matches(name.as_bytes(), name.as_bytes()));
            let with_star = format!("*{}*", &name);
            prop_assert!(matches(with_star.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn bytes_never_panic(pattern in proptest::collection::vec(any::<u8>(), 0..16), name in proptest::collection::vec(any::<u8>(), 0..16)) {
            matches(&pattern, &name);
        }
    }
}

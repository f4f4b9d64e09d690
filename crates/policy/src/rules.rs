//! Command rules: an effect, a program, words that must occur, a reason.
//!
//! A rule speaks about one simple command (a program and its words). Taking a shell line apart into those is the `shell` module's
//! work, and what follows from a match is `decide`'s.

use crate::glob;

/// What a rule does to the command it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The command may run, and no later rule is asked.
    Allow,
    /// The command may not run.
    Deny,
}

/// One rule of the config; the first that matches a command decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What a match means.
    pub effect: Effect,
    /// The program: a base name (`git` matches `/usr/bin/git` too) or a path (matches that path only); `*` and `?` are wild.
    pub program: String,
    /// Words that must all be there after the program, in this order; other words may stand between. Empty: any arguments.
    pub args: Vec<String>,
    /// Why, for the person who meets the rule. May be empty.
    pub reason: String,
    /// Where the rule is written, as `ringfence.toml:12`. Default: none, for a rule made in code.
    pub origin: Option<String>,
}

impl Rule {
    /// Whether the rule matches a program and its arguments, all known to the byte.
    #[must_use]
    pub fn matches<A: AsRef<[u8]>>(&self, program: &[u8], args: &[A]) -> bool {
        self.matches_program(program) && self.matches_args(args.iter().map(AsRef::as_ref))
    }

    pub(crate) fn matches_program(&self, program: &[u8]) -> bool {
        let wanted = self.program.as_bytes();
        glob::matches(wanted, program)
            || (!self.program.contains('/') && glob::matches(wanted, base_name(program)))
    }

    fn matches_args<'a>(&self, args: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut wanted = self.args.iter().map(String::as_bytes).peekable();
        for argument in args {
            if wanted.peek() == Some(&argument) {
                wanted.next();
            }
        }
        wanted.peek().is_none()
    }

    /// The cautious reading, for text nobody could take apart: every word of the rule occurs in it.
    pub(crate) fn words_occur_in(&self, text: &[u8]) -> bool {
        self.program_occurs_in(text) && self.args_occur_in(text)
    }

    /// The cautious reading of the arguments alone: all of them occur in the text.
    pub(crate) fn args_occur_in(&self, text: &[u8]) -> bool {
        self.args.iter().all(|word| occurs(word.as_bytes(), text))
    }

    /// The most cautious reading: the program's name occurs in the text.
    pub(crate) fn program_occurs_in(&self, text: &[u8]) -> bool {
        glob::is_pattern(&self.program) || occurs(self.program.as_bytes(), text)
    }
}

/// The part of a path after its last `/`.
pub(crate) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Whether `word` stands in `text` with no word character at either side.
fn occurs(word: &[u8], text: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if word.is_empty() {
        return true;
    }
    text.windows(word.len()).enumerate().any(|(at, window)| {
        window == word
            && !(at > 0 && is_word(&text[at - 1]))
            && !text.get(at + word.len()).is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(program: &str, args: &[&str]) -> Rule {
        let args = args.iter().map(|&word| word.to_owned()).collect();
        Rule {
            effect: Effect::Deny,
            program: program.into(),
            args,
            reason: String::new(),
            origin: None,
        }
    }

    fn check(program: &str, args: &[&str], command: &[&str], expect: bool) {
        let got = rule(program, args).matches(command[0].as_bytes(), &command[1..]);
        assert_eq!(got, expect, "{program} {args:?} on {command:?}");
    }

    #[test]
    fn program_is_a_base_name_or_a_path() {
        check("git", &[], &["git"], true);
        check("git", &[], &["/usr/bin/git"], true);
        check("git", &[], &["./git"], true);
        check("git", &[], &["gitk"], false);
        check("/usr/bin/git", &[], &["/usr/bin/git"], true);
        check("/usr/bin/git", &[], &["git"], false);
        check("*", &[], &["anything"], true);
        check("mkfs.*", &[], &["/sbin/mkfs.ext4"], true);
        check("*/git", &[], &["git"], false);
    }

    #[test]
    fn args_are_a_subsequence() {
        check("git", &["push", "--force"], &["git", "push", "origin", "--force"], true);
        check("git", &["push", "--force"], &["git", "-C", "x", "push", "--force", "main"], true);
        check("git", &["push", "--force"], &["git", "--force", "push"], false);
        check("git", &["push", "--force"], &["git", "push", "--force-with-lease"], false);
        check("git", &["a", "a"], &["git", "a"], false);
        check("git", &["a", "a"], &["git", "a", "a"], true);
    }

    #[test]
    fn occurrence_is_of_whole_words() {
        let git = rule("git", &[]);
        assert!(git.program_occurs_in(b"x=git;"));
        assert!(git.program_occurs_in(b"/usr/bin/git push"));
        assert!(!git.program_occurs_in(b"digit"));
        assert!(!git.program_occurs_in(b"git-lfs"));
        assert!(rule("*", &[]).program_occurs_in(b""));
    }
}

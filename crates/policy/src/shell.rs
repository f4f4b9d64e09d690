//! A shell line taken apart into the simple commands it would run, as far as its text says.
//!
//! The parser knows what the POSIX shells share (quotes, lists, pipelines, substitutions, compound commands, redirections,
//! heredocs) and is lenient about the rest, because it only has to find commands, not run them. `wrappers` then looks through
//! `sudo`, `env`, `sh -c '…'` and their like for the command inside.
//!
//! Not a shell: nothing is expanded. A word with an expansion is known to be unknown ([`Known`]), and a command whose program is
//! such a word makes the whole line doubtful. The trap is to take silence for safety: whoever uses [`Analysis`] must look at
//! `doubtful` and at the error too.

mod parser;
mod word;
mod wrappers;

/// How deep quoting, substitution and wrappers may nest. A person's command has three levels; the bound keeps the stack flat.
const MAX_DEPTH: usize = 48;

/// How many words and lists may be looked at. A line of the longest length has fewer; ambiguous nesting (`$((…`), which is read
/// twice, could have exponentially more.
const MAX_STEPS: usize = 400_000;

/// Why a line could not be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShellError {
    /// A quote that is not closed.
    #[error("a quote is not closed")]
    UnclosedQuote,
    /// A `$(`, `${`, backtick or `(` that is not closed.
    #[error("a bracket or substitution is not closed")]
    UnclosedBracket,
    /// A `)` or `}` that closes nothing.
    #[error("a bracket closes nothing")]
    StrayBracket,
    /// A redirection without a target.
    #[error("a redirection has no target")]
    NoTarget,
    /// A `case` without `in`, or with a pattern that does not end.
    #[error("a `case` is not in the form of one")]
    Case,
    /// Text that one shell reads as a string and another as a command, as `$'\'…` or `$[…]`.
    #[error("shells read it in different ways")]
    Ambiguous,
    /// Nested deeper than is looked at, or too long to look at.
    #[error("it is nested too deeply")]
    TooDeep,
}

/// How much the text of a word says about what it will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// To the byte.
    Fully,
    /// But for a glob or a brace expansion.
    Pattern,
    /// It has a variable or a substitution.
    Unknown,
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// With quotes removed; only all of the word when it is known fully.
    pub(crate) bytes: Vec<u8>,
    /// As it is written.
    pub(crate) source: Vec<u8>,
    pub(crate) known: Known,
    /// No quote, escape or expansion in it, so it can be a reserved word.
    plain: bool,
}

impl Word {
    /// A word that is already what the program will see.
    fn literal(bytes: &[u8]) -> Word {
        Word { bytes: bytes.to_vec(), source: bytes.to_vec(), known: Known::Fully, plain: false }
    }

    fn is_reserved(&self, word: &str) -> bool {
        self.plain && self.bytes == word.as_bytes()
    }
}

/// A program with its words, after assignments and redirections are taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) words: Vec<Word>,
    /// What heredocs and here strings give it on its input.
    input: Vec<Word>,
}

impl Command {
    /// The program's word, when the text says what it is.
    pub(crate) fn program(&self) -> Option<&[u8]> {
        self.words
            .first()
            .filter(|word| word.known == Known::Fully)
            .map(|word| word.bytes.as_slice())
    }

    /// The arguments that the text tells in full.
    pub(crate) fn known_args(&self) -> Vec<&[u8]> {
        self.words
            .iter()
            .skip(1)
            .filter(|word| word.known == Known::Fully)
            .map(|word| word.bytes.as_slice())
            .collect()
    }

    /// Whether an argument is the value of a variable or the output of a command.
    pub(crate) fn has_unknown_args(&self) -> bool {
        self.words.iter().skip(1).any(|word| word.known == Known::Unknown)
    }
}

/// The commands in a line, in the order of the text, wrappers and what they wrap both.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    pub(crate) commands: Vec<Command>,
    /// Something will run that the text does not name: `$cmd`, `eval "$x"`, `… | sh`.
    pub(crate) doubtful: bool,
}

/// Takes a shell line apart.
pub(crate) fn analyse_line(line: &[u8]) -> Result<Analysis, ShellError> {
    let mut analysis = Analysis::default();
    let mut steps = MAX_STEPS;
    wrappers::look_into_line(line, 0, &mut steps, &mut analysis)?;
    Ok(analysis)
}

/// Takes the words of a program apart that runs without a shell; it may still be a wrapper or a shell itself.
pub(crate) fn analyse_argv(argv: &[Vec<u8>]) -> Result<Analysis, ShellError> {
    let mut analysis = Analysis::default();
    let words = argv.iter().map(|argument| Word::literal(argument)).collect();
    let mut steps = MAX_STEPS;
    wrappers::look_into(Command { words, input: Vec::new() }, 0, &mut steps, &mut analysis)?;
    Ok(analysis)
}

/// The line without quotes and backslashes, for the cautious reading of words in a text nobody could take apart.
pub(crate) fn without_quotes(line: &[u8]) -> Vec<u8> {
    line.iter().copied().filter(|byte| !matches!(byte, b'\'' | b'"' | b'\\')).collect()
}

#[cfg(test)]
mod tests;

//! What may be a command at all: the checks that hold whatever the rules say.
//!
//! A [`CommandLine`] is the proof that a shell line passed them; [`check_argv`] does the same for a program that runs without a
//! shell. Neither says that a command is wise or allowed.

use std::fmt;

/// Longest command line, in bytes. Default and only value: 131,072, which is `MAX_ARG_STRLEN` of Linux (32 pages of 4 KiB), the
/// longest single argument `execve` takes; it is also the limit of orchestrator-runner 0.2.5.
pub const MAX_COMMAND_BYTES: usize = 131_072;

/// Why bytes are not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Nothing there, or white space only; for a program, no name.
    #[error("the command is empty")]
    Empty,
    /// A NUL byte, which no argument of a program can hold.
    #[error("the command has a NUL byte at offset {offset}")]
    Nul {
        /// Where, in bytes from the start of the line or argument.
        offset: usize,
    },
    /// A carriage return, which a terminal shows as something other than what a shell runs.
    #[error("the command has a carriage return at offset {offset}")]
    CarriageReturn {
        /// Where, in bytes from the start of the line.
        offset: usize,
    },
    /// Longer than [`MAX_COMMAND_BYTES`].
    #[error("the command is {len} bytes long, more than {max}")]
    TooLong {
        /// Its length in bytes; for a program, of the longest argument.
        len: usize,
        /// The most that is accepted, in bytes.
        max: usize,
    },
}

impl CommandError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            CommandError::Empty => Some("give a command with `-c COMMAND_LINE` or after `--`"),
            CommandError::Nul { .. } => None,
            CommandError::CarriageReturn { .. } => Some("save the command with Unix line ends"),
            CommandError::TooLong { .. } => Some("put the command into a script file and run that"),
        }
    }
}

/// A shell command line that passed the checks: not empty, no NUL, no carriage return, not too long.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandLine {
    bytes: Vec<u8>,
}

impl CommandLine {
    /// Checks a line.
    ///
    /// # Errors
    /// One for each thing a command line cannot be; see [`CommandError`].
    pub fn parse(line: &[u8]) -> Result<CommandLine, CommandError> {
        let max = MAX_COMMAND_BYTES;
        if line.len() > max {
            return Err(CommandError::TooLong { len: line.len(), max });
        }
        for (offset, &byte) in line.iter().enumerate() {
            match byte {
                0 => return Err(CommandError::Nul { offset }),
                b'\r' => return Err(CommandError::CarriageReturn { offset }),
                _ => {}
            }
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return Err(CommandError::Empty);
        }
        Ok(CommandLine { bytes: line.to_vec() })
    }

    /// The line, byte for byte as it was given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandLine({} bytes)", self.bytes.len())
    }
}

/// Checks the words of a program that runs without a shell.
///
/// # Errors
/// [`CommandError::Empty`] without a program name, [`CommandError::Nul`] and [`CommandError::TooLong`] for any argument. A
/// carriage return is fine here: nothing parses it.
pub fn check_argv<A: AsRef<[u8]>>(argv: &[A]) -> Result<(), CommandError> {
    if argv.first().is_none_or(|program| program.as_ref().is_empty()) {
        return Err(CommandError::Empty);
    }
    for argument in argv.iter().map(AsRef::as_ref) {
        if let Some(offset) = argument.iter().position(|&byte| byte == 0) {
            return Err(CommandError::Nul { offset });
        }
        if argument.len() > MAX_COMMAND_BYTES {
            return Err(CommandError::TooLong { len: argument.len(), max: MAX_COMMAND_BYTES });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expect: Option<CommandError>) {
        assert_eq!(CommandLine::parse(line).err(), expect);
    }

    #[test]
    fn lines() {
        check(b"echo hello", None);
        check(b" \n\techo\n", None);
        check(b"\xff\xfe", None);
        check(b"", Some(CommandError::Empty));
        check(b" \t\n ", Some(CommandError::Empty));
        check(b"a\0b", Some(CommandError::Nul { offset: 1 }));
        check(b"a\r\nb", Some(CommandError::CarriageReturn { offset: 1 }));
    }

    #[test]
    fn length_counts_bytes() {
        check(&vec![b'a'; MAX_COMMAND_BYTES], None);
        let len = MAX_COMMAND_BYTES + 1;
        check(&vec![b'a'; len], Some(CommandError::TooLong { len, max: 131_072 }));
    }

    #[test]
    fn argv() {
        let empty: &[&[u8]] = &[];
        assert_eq!(check_argv(empty), Err(CommandError::Empty));
        assert_eq!(check_argv(&[b"".as_slice(), b"x"]), Err(CommandError::Empty));
        assert_eq!(check_argv(&[b"ls".as_slice(), b"", b"\r"]), Ok(()));
        assert_eq!(check_argv(&[b"ls".as_slice(), b"a\0"]), Err(CommandError::Nul { offset: 1 }));
        let long = vec![b'a'; MAX_COMMAND_BYTES + 1];
        assert!(matches!(check_argv(&[b"ls".to_vec(), long]), Err(CommandError::TooLong { .. })));
    }

    #[test]
    fn debug_does_not_print_the_line() {
        let line = CommandLine::parse(b"echo s3cret").expect("a plain line");
        assert!(!format!("{line:?}").contains("s3cret"));
    }
}

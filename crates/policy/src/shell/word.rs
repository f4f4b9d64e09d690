//! One word: quotes removed, expansions found, the commands inside its substitutions handed to the list parser.

use super::parser::{Parser, Until, parse};
use super::{Known, ShellError, Word};

/// A word while it grows.
struct Growing {
    bytes: Vec<u8>,
    known: Known,
    plain: bool,
    /// An unquoted `{`, which may begin a brace expansion.
    brace: bool,
}

impl Growing {
    fn at_least(&mut self, known: Known) {
        self.known = self.known.max(known);
        self.plain = false;
    }
}

impl Parser<'_> {
    /// Reads a word; empty when none begins here.
    pub(super) fn word(&mut self) -> Result<Word, ShellError> {
        self.step()?;
        let from = self.at;
        let mut word =
            Growing { bytes: Vec::new(), known: Known::Fully, plain: true, brace: false };
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b')' | b'<' | b'>' => break,
                b'(' if !self.is_extended_glob(from) => break,
                b'(' => {
                    self.at += 1;
                    self.nested(|parser| parser.skip_extended_glob())?;
                    word.at_least(Known::Pattern);
                }
                _ => self.part(byte, &mut word)?,
            }
        }
        if word.bytes.contains(&b'[')
            && word.bytes.contains(&b']')
            && word.plain
            && !word.bytes.starts_with(b"[[")
        {
            word.known =
                word.known.max(if word.bytes == b"[]" { Known::Fully } else { Known::Pattern });
        }
        if word.plain && word.bytes.len() > 1 && word.bytes.starts_with(b"=") {
            // zsh runs `=git` as the path of git.
            word.at_least(Known::Pattern);
        }
        if word.brace
            && (word.bytes.contains(&b',') || word.bytes.windows(2).any(|pair| pair == b".."))
        {
            word.at_least(Known::Pattern);
        }
        if self.at == from && self.peek().is_some() {
            return Ok(Word {
                bytes: Vec::new(),
                source: Vec::new(),
                known: Known::Fully,
                plain: false,
            });
        }
        let source = self.text[from..self.at].to_vec();
        Ok(Word { bytes: word.bytes, source, known: word.known, plain: word.plain })
    }

    fn part(&mut self, byte: u8, word: &mut Growing) -> Result<(), ShellError> {
        match byte {
            b'\\' => {
                word.plain = false;
                if let Some(next) = self.peek_at(1).filter(|&next| next != b'\n') {
                    word.bytes.push(next);
                }
                self.at = self.text.len().min(self.at + 2);
            }
            b'\'' => self.single_quoted(word)?,
            b'"' => {
                self.at += 1;
                self.double_quoted(word)?;
            }
            b'$' => self.dollar(word, false)?,
            b'`' => {
                self.at += 1;
                self.backticks(false)?;
                word.at_least(Known::Unknown);
            }
            _ => {
                match byte {
                    b'*' | b'?' => word.at_least(Known::Pattern),
                    b'{' => word.brace = true,
                    _ => {}
                }
                word.bytes.push(byte);
                self.at += 1;
            }
        }
        Ok(())
    }

    /// `@(…)`, `+(…)` and so on inside a word; `!(…)` at its start is a negated subshell.
    fn is_extended_glob(&self, from: usize) -> bool {
        let before = &self.text[from..self.at];
        before.last().is_some_and(|byte| b"?*+@!".contains(byte)) && before != b"!"
    }

    fn skip_extended_glob(&mut self) -> Result<(), ShellError> {
        loop {
            match self.peek() {
                None => return Err(ShellError::UnclosedBracket),
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'(') => {
                    self.at += 1;
                    self.nested(|parser| parser.skip_extended_glob())?;
                }
                Some(b'|' | b' ' | b'\t' | b'\n' | b';' | b'&' | b'<' | b'>') => self.at += 1,
                Some(_) => {
                    self.word()?;
                }
            }
        }
    }

    fn single_quoted(&mut self, word: &mut Growing) -> Result<(), ShellError> {
        let inside = &self.text[self.at + 1..];
        let length =
            inside.iter().position(|&byte| byte == b'\'').ok_or(ShellError::UnclosedQuote)?;
        word.bytes.extend_from_slice(&inside[..length]);
        word.plain = false;
        self.at += length + 2;
        Ok(())
    }

    /// After the opening quote, to after the closing one.
    fn double_quoted(&mut self, word: &mut Growing) -> Result<(), ShellError> {
        word.plain = false;
        loop {
            match self.peek().ok_or(ShellError::UnclosedQuote)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                byte => self.quoted_part(byte, word)?,
            }
        }
    }

    /// A byte, escape or expansion where only `$`, a backtick and the backslash mean something.
    fn quoted_part(&mut self, byte: u8, word: &mut Growing) -> Result<(), ShellError> {
        match byte {
            b'\\' => match self.peek_at(1) {
                Some(b'\n') => self.at += 2,
                Some(next @ (b'$' | b'`' | b'"' | b'\\')) => {
                    word.bytes.push(next);
                    self.at += 2;
                }
                _ => {
                    word.bytes.push(b'\\');
                    self.at += 1;
                }
            },
            b'$' => self.dollar(word, true)?,
            b'`' => {
                self.at += 1;
                self.backticks(true)?;
                word.at_least(Known::Unknown);
            }
            _ => {
                word.bytes.push(byte);
                self.at += 1;
            }
        }
        Ok(())
    }

    /// The expansions of a heredoc's body; its commands are noted like any other.
    pub(super) fn expansions_in(&mut self, body: &[u8]) -> Result<Known, ShellError> {
        if self.depth >= super::MAX_DEPTH {
            return Err(ShellError::TooDeep);
        }
        let mut inner = Parser::new(body, self.depth + 1, self.steps, self.commands);
        let mut word =
            Growing { bytes: Vec::new(), known: Known::Fully, plain: false, brace: false };
        while let Some(byte) = inner.peek() {
            inner.quoted_part(byte, &mut word)?;
        }
        Ok(word.known)
    }

    fn dollar(&mut self, word: &mut Growing, quoted: bool) -> Result<(), ShellError> {
        self.step()?;
        match self.peek_at(1) {
            Some(b'(') => {
                self.at += 1;
                if !(self.starts_with(b"((")
                    && self.nested(|parser| parser.tried(Self::arithmetic))?)
                {
                    self.at += 1;
                    self.nested(|parser| parser.list(Until::Parenthesis))?;
                }
                word.at_least(Known::Unknown);
            }
            Some(b'{') => {
                self.at += 2;
                let is_list = matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'|'));
                if is_list {
                    self.at += 1;
                    self.nested(|parser| parser.list(Until::Brace))?;
                } else {
                    self.nested(|parser| parser.parameter(quoted))?;
                }
                word.at_least(Known::Unknown);
            }
            Some(b'\'') if !quoted => {
                self.at += 2;
                self.ansi_quoted(word)?;
            }
            Some(b'"') if !quoted => {
                self.at += 2;
                self.double_quoted(word)?;
            }
            Some(first) if first.is_ascii_alphabetic() || first == b'_' => {
                self.at += 1;
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    self.at += 1;
                }
                word.at_least(Known::Unknown);
            }
            Some(b'[') => return Err(ShellError::Ambiguous),
            Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!' | b'0'..=b'9') => {
                self.at += 2;
                word.at_least(Known::Unknown);
            }
            _ => {
                word.bytes.push(b'$');
                word.plain = false;
                self.at += 1;
            }
        }
        Ok(())
    }

    /// Inside `${`, to after its `}`.
    fn parameter(&mut self, quoted: bool) -> Result<(), ShellError> {
        let mut unused =
            Growing { bytes: Vec::new(), known: Known::Unknown, plain: false, brace: false };
        loop {
            match self.peek().ok_or(ShellError::UnclosedBracket)? {
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.at = self.text.len().min(self.at + 2),
                b'\'' if !quoted => self.single_quoted(&mut unused)?,
                b'"' => {
                    self.at += 1;
                    self.double_quoted(&mut unused)?;
                }
                byte @ (b'$' | b'`') => self.quoted_part(byte, &mut unused)?,
                _ => self.at += 1,
            }
        }
    }

    /// `((…))`, from its first bracket. An error when it is not closed by two brackets together: then it was a subshell.
    pub(super) fn arithmetic(&mut self) -> Result<(), ShellError> {
        let mut unused =
            Growing { bytes: Vec::new(), known: Known::Unknown, plain: false, brace: false };
        let mut open = 0_usize;
        self.at += 2;
        loop {
            match self.peek().ok_or(ShellError::UnclosedBracket)? {
                b'(' => {
                    open += 1;
                    self.at += 1;
                }
                b')' if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                b')' if self.peek_at(1) == Some(b')') => {
                    self.at += 2;
                    return Ok(());
                }
                b')' => return Err(ShellError::StrayBracket),
                b'\'' => self.single_quoted(&mut unused)?,
                b'"' => {
                    self.at += 1;
                    self.double_quoted(&mut unused)?;
                }
                byte @ (b'$' | b'`' | b'\\') => self.quoted_part(byte, &mut unused)?,
                _ => self.at += 1,
            }
        }
    }

    /// After the opening backtick, to after the closing one; what stands between is a text of its own.
    fn backticks(&mut self, quoted: bool) -> Result<(), ShellError> {
        let mut inside = Vec::new();
        loop {
            match self.peek().ok_or(ShellError::UnclosedBracket)? {
                b'`' => break,
                b'\\' => {
                    let next = self.peek_at(1).ok_or(ShellError::UnclosedBracket)?;
                    if !(matches!(next, b'$' | b'`' | b'\\') || (quoted && next == b'"')) {
                        inside.push(b'\\');
                    }
                    inside.push(next);
                    self.at += 2;
                }
                byte => {
                    inside.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        self.nested(|parser| parse(&inside, parser.depth, parser.steps, parser.commands))
    }

    /// Inside `$'…'`. Source for the escapes: bash(1), QUOTING.
    fn ansi_quoted(&mut self, word: &mut Growing) -> Result<(), ShellError> {
        word.plain = false;
        loop {
            let byte = self.peek().ok_or(ShellError::UnclosedQuote)?;
            self.at += 1;
            match byte {
                b'\'' => return Ok(()),
                b'\\' => self.ansi_escape(word)?,
                _ => word.bytes.push(byte),
            }
        }
    }

    fn ansi_escape(&mut self, word: &mut Growing) -> Result<(), ShellError> {
        let byte = self.peek().ok_or(ShellError::UnclosedQuote)?;
        self.at += 1;
        let plain = match byte {
            b'\'' => return Err(ShellError::Ambiguous),
            b'a' => 7,
            b'b' => 8,
            b'e' | b'E' => 27,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'x' => return self.push_code(word, 16, 2),
            b'u' => return self.push_code(word, 16, 4),
            b'U' => return self.push_code(word, 16, 8),
            b'0'..=b'7' => {
                self.at -= 1;
                return self.push_code(word, 8, 3);
            }
            b'c' => {
                word.at_least(Known::Unknown);
                self.at = self.text.len().min(self.at + 1);
                return Ok(());
            }
            other => other,
        };
        word.bytes.push(plain);
        Ok(())
    }

    fn push_code(&mut self, word: &mut Growing, radix: u32, most: usize) -> Result<(), ShellError> {
        let mut code = 0_u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else {
                break;
            };
            code = code.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        match (most, char::from_u32(code)) {
            (2 | 3, _) => word.bytes.push(code.to_le_bytes()[0]),
            (_, Some(character)) => word.bytes.extend_from_slice(character.to_string().as_bytes()),
            (_, None) => word.at_least(Known::Unknown),
        }
        Ok(())
    }
}

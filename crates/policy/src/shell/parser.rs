//! Lists, pipelines, compound commands and redirections: everything between the words.
//!
//! The parser keeps no tree. It walks the text once and notes each simple command as it ends; reserved words only tell it where
//! a command can begin. Substitutions inside words come back here through [`Parser::list`].

use super::{Command, Known, MAX_DEPTH, ShellError, Word};

/// How many bytes that are read twice count as one step; a word and the space after it have about as many.
const BYTES_PER_STEP: usize = 4;

/// What ends the list that is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    End,
    Parenthesis,
    Brace,
}

/// A heredoc whose body begins at the next line.
struct Heredoc {
    delimiter: Vec<u8>,
    strip_tabs: bool,
    expands: bool,
    /// The command it feeds, once that has ended; a compound command has none.
    owner: Option<usize>,
    owner_open: bool,
}

/// The state of one text that is being read.
pub(super) struct Parser<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    pub(super) depth: usize,
    pub(super) steps: &'t mut usize,
    pub(super) commands: &'t mut Vec<Command>,
    heredocs: Vec<Heredoc>,
}

/// The words and input of the command being read, and the `case` statements around it.
#[derive(Default)]
struct Current {
    words: Vec<Word>,
    input: Vec<Word>,
    open_cases: usize,
    /// Inside `for … in` or `[[ … ]]`: words that are no command.
    no_command: bool,
    /// Words where some shells begin a command and others do not: after `&>`, and after `&&` and `||` inside `[[ … ]]`.
    starts: Vec<usize>,
}

impl Current {
    /// Whether a reserved word may stand here; `time` takes a compound command too.
    fn at_command(&self) -> bool {
        !self.no_command
            && self
                .words
                .iter()
                .all(|word| ["time", "-p"].iter().any(|skip| word.is_reserved(skip)))
    }
}

/// Reads all commands of a text into `commands`.
pub(super) fn parse(
    text: &[u8],
    depth: usize,
    steps: &mut usize,
    commands: &mut Vec<Command>,
) -> Result<(), ShellError> {
    Parser::new(text, depth, steps, commands).list(Until::End)
}

impl<'t> Parser<'t> {
    pub(super) fn new(
        text: &'t [u8],
        depth: usize,
        steps: &'t mut usize,
        commands: &'t mut Vec<Command>,
    ) -> Parser<'t> {
        Parser { text, at: 0, depth, steps, commands, heredocs: Vec::new() }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn starts_with(&self, prefix: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    pub(super) fn step(&mut self) -> Result<(), ShellError> {
        self.charge(1)
    }

    fn charge(&mut self, steps: usize) -> Result<(), ShellError> {
        *self.steps = self.steps.checked_sub(steps).ok_or(ShellError::TooDeep)?;
        Ok(())
    }

    /// Goes one level down for the time of `read`.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ShellError>,
    ) -> Result<T, ShellError> {
        if self.depth >= MAX_DEPTH {
            return Err(ShellError::TooDeep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Reads commands until the list ends, the closing byte included.
    pub(super) fn list(&mut self, until: Until) -> Result<(), ShellError> {
        let mut current = Current::default();
        loop {
            self.step()?;
            self.skip_blanks();
            match self.peek() {
                None => {
                    self.finish(&mut current)?;
                    return if until == Until::End {
                        Ok(())
                    } else {
                        Err(ShellError::UnclosedBracket)
                    };
                }
                Some(b')') if until == Until::Parenthesis => {
                    self.finish(&mut current)?;
                    self.at += 1;
                    return Ok(());
                }
                Some(b')') => return Err(ShellError::StrayBracket),
                Some(b'#') => self.skip_comment(),
                Some(b'\n' | b';' | b'&' | b'|') => self.separator(&mut current)?,
                Some(b'<' | b'>') => self.redirection(&mut current)?,
                Some(b'(') => self.parenthesis(&mut current)?,
                Some(_) => {
                    if self.word_in_list(&mut current, until)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.at += 2,
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// White space, line ends and comments, where the grammar allows them all.
    fn skip_lines(&mut self) -> Result<(), ShellError> {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(b'\n') => self.line_end()?,
                Some(b'#') => self.skip_comment(),
                _ => return Ok(()),
            }
        }
    }

    fn line_end(&mut self) -> Result<(), ShellError> {
        self.at += 1;
        for heredoc in std::mem::take(&mut self.heredocs) {
            self.heredoc_body(heredoc)?;
        }
        Ok(())
    }

    /// Ends the command being read: assignments in front are dropped, and what is left is noted.
    fn finish(&mut self, current: &mut Current) -> Result<(), ShellError> {
        let input = std::mem::take(&mut current.input);
        let mut words = std::mem::take(&mut current.words);
        let is_command = !current.no_command;
        current.no_command = false;
        self.other_reading(&words, std::mem::take(&mut current.starts))?;
        let assignments = words.iter().take_while(|word| is_assignment(&word.bytes)).count();
        words.drain(..assignments);
        let owner = (is_command && !words.is_empty()).then_some(self.commands.len());
        for heredoc in self.heredocs.iter_mut().filter(|heredoc| heredoc.owner_open) {
            heredoc.owner = owner;
            heredoc.owner_open = false;
        }
        if owner.is_some() {
            self.commands.push(Command { words, input });
        }
        Ok(())
    }

    /// Notes the commands that only some shells see in these words.
    fn other_reading(&mut self, words: &[Word], starts: Vec<usize>) -> Result<(), ShellError> {
        for rest in starts.into_iter().filter_map(|start| words.get(start..)) {
            if rest.first().is_some_and(|word| word.known == Known::Fully) {
                self.charge(rest.len())?;
                self.commands.push(Command { words: rest.to_vec(), input: Vec::new() });
            }
        }
        Ok(())
    }

    fn separator(&mut self, current: &mut Current) -> Result<(), ShellError> {
        if self.starts_with(b"&>") {
            current.starts.push(current.words.len());
            self.at += 1;
            return self.redirection(current);
        }
        let in_test =
            current.no_command && current.words.first().is_some_and(|word| word.is_reserved("[["));
        if in_test && [b"&&".as_slice(), b"||", b"\n"].iter().any(|joint| self.starts_with(joint)) {
            current.starts.push(current.words.len());
            self.at += if self.peek() == Some(b'\n') { 1 } else { 2 };
            return Ok(());
        }
        self.finish(current)?;
        let ends_clause = [b";;".as_slice(), b";&", b";|"].iter().any(|end| self.starts_with(end));
        if ends_clause && current.open_cases > 0 {
            self.at += if self.starts_with(b";;&") { 3 } else { 2 };
            return self.case_patterns(current);
        }
        if self.peek() == Some(b'\n') {
            return self.line_end();
        }
        self.at += 1;
        Ok(())
    }

    /// One word, or a reserved word with what belongs to it. `true` when the list ended with it.
    fn word_in_list(&mut self, current: &mut Current, until: Until) -> Result<bool, ShellError> {
        let word = self.word()?;
        if current.no_command {
            let ends = word.is_reserved("]]") || word.is_reserved("do");
            current.words.push(word);
            if ends {
                self.finish(current)?;
            }
            return Ok(false);
        }
        if word.plain
            && matches!(self.peek(), Some(b'<' | b'>'))
            && word.bytes.iter().all(u8::is_ascii_digit)
        {
            return Ok(false);
        }
        if current.at_command() && word.plain {
            if until == Until::Brace && word.is_reserved("}") {
                self.finish(current)?;
                return Ok(true);
            }
            if self.reserved(&word, current)? {
                return Ok(false);
            }
        }
        if self.peek() == Some(b'(') && word.bytes.ends_with(b"=") && is_assignment(&word.bytes) {
            self.array()?;
        }
        current.words.push(word);
        Ok(false)
    }

    /// Handles a reserved word at the place of a command; `false` when it is none.
    fn reserved(&mut self, word: &Word, current: &mut Current) -> Result<bool, ShellError> {
        match word.bytes.as_slice() {
            b"if" | b"then" | b"elif" | b"else" | b"fi" | b"while" | b"until" | b"do" | b"done"
            | b"{" | b"}" | b"!" | b"coproc" | b"not" | b"and" | b"or" | b"begin" | b"end" => {
                self.finish(current)?;
            }
            b"esac" => {
                self.finish(current)?;
                current.open_cases = current.open_cases.saturating_sub(1);
            }
            b"for" | b"select" | b"foreach" => self.for_head(current)?,
            b"case" => self.case_head(current)?,
            b"function" => {
                self.skip_blanks();
                self.word()?;
                self.skip_blanks();
                if self.starts_with(b"()") {
                    self.at += 2;
                }
            }
            b"[[" => {
                current.no_command = true;
                current.words.push(word.clone());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn for_head(&mut self, current: &mut Current) -> Result<(), ShellError> {
        self.skip_blanks();
        if self.starts_with(b"((") {
            return self.arithmetic();
        }
        self.word()?;
        self.skip_lines()?;
        let before = self.at;
        if self.word()?.is_reserved("in") {
            current.no_command = true;
        } else {
            self.at = before;
        }
        Ok(())
    }

    fn case_head(&mut self, current: &mut Current) -> Result<(), ShellError> {
        self.skip_blanks();
        self.word()?;
        self.skip_lines()?;
        if !self.word()?.is_reserved("in") {
            return Err(ShellError::Case);
        }
        current.open_cases += 1;
        self.case_patterns(current)
    }

    /// From `in` or `;;` to the `)` of the next clause, or past `esac`.
    fn case_patterns(&mut self, current: &mut Current) -> Result<(), ShellError> {
        self.skip_lines()?;
        if self.peek() == Some(b'(') {
            self.at += 1;
            self.skip_blanks();
        } else {
            let before = self.at;
            if self.word()?.is_reserved("esac") {
                current.open_cases -= 1;
                return Ok(());
            }
            self.at = before;
        }
        loop {
            self.step()?;
            self.skip_blanks();
            match self.peek() {
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'|') => self.at += 1,
                None | Some(b'\n' | b';' | b'&' | b'<' | b'>' | b'(') => {
                    return Err(ShellError::Case);
                }
                Some(_) => {
                    self.word()?;
                }
            }
        }
    }

    fn parenthesis(&mut self, current: &mut Current) -> Result<(), ShellError> {
        if current.no_command {
            self.at += 1;
            return self.nested(|parser| parser.words_until_parenthesis());
        }
        if current.at_command() {
            self.finish(current)?;
            return self.subshell();
        }
        if self.starts_with(b"()") || self.starts_with(b"( )") {
            self.at += if self.starts_with(b"()") { 2 } else { 3 };
            // The name of a function. More words are one to zsh alone, and taken for a command.
            if current.words.len() == 1 {
                current.words.clear();
                return Ok(());
            }
            return self.finish(current);
        }
        let from = self.at;
        self.at += 1;
        self.nested(|parser| parser.list(Until::Parenthesis))?;
        current.words.push(self.unknown_word(from));
        Ok(())
    }

    /// `(…)`, and `((…))`, which is arithmetic to bash but two subshells to dash: the reading with commands in it goes first.
    fn subshell(&mut self) -> Result<(), ShellError> {
        let read = |parser: &mut Self| {
            parser.at += 1;
            parser.nested(|parser| parser.list(Until::Parenthesis))
        };
        if !self.starts_with(b"((") {
            return read(self);
        }
        if self.tried(read)? { Ok(()) } else { self.arithmetic() }
    }

    /// Reads in a way that may turn out wrong; then all is as before and the answer is `false`.
    pub(super) fn tried(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), ShellError>,
    ) -> Result<bool, ShellError> {
        let (at, commands, heredocs) = (self.at, self.commands.len(), self.heredocs.len());
        match read(self) {
            Err(ShellError::TooDeep) => Err(ShellError::TooDeep),
            // `((1 << 2))` has no heredoc, and to take it for one would hide the lines below.
            Ok(()) if self.heredocs.len() <= heredocs => Ok(true),
            _ => {
                self.charge((self.at - at) / BYTES_PER_STEP)?;
                self.at = at;
                self.commands.truncate(commands);
                self.heredocs.truncate(heredocs);
                Ok(false)
            }
        }
    }

    /// The words of an array or a list in brackets; they are no command.
    fn array(&mut self) -> Result<(), ShellError> {
        self.at += 1;
        self.nested(|parser| parser.words_until_parenthesis())
    }

    fn words_until_parenthesis(&mut self) -> Result<(), ShellError> {
        loop {
            self.step()?;
            self.skip_lines()?;
            match self.peek() {
                None => return Err(ShellError::UnclosedBracket),
                Some(b')') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'(') => {
                    self.at += 1;
                    self.nested(|parser| parser.words_until_parenthesis())?;
                }
                Some(b'<' | b'>' | b';' | b'&' | b'|') => self.at += 1,
                Some(_) => {
                    self.word()?;
                }
            }
        }
    }

    pub(super) fn unknown_word(&self, from: usize) -> Word {
        let source = self.text[from..self.at].to_vec();
        Word { bytes: Vec::new(), source, known: Known::Unknown, plain: false }
    }

    fn redirection(&mut self, current: &mut Current) -> Result<(), ShellError> {
        if self.starts_with(b"<(") || self.starts_with(b">(") {
            let word = self.process_substitution()?;
            current.words.push(word);
            return Ok(());
        }
        if current.no_command {
            self.at += 1;
            return Ok(());
        }
        if self.starts_with(b"<<<") {
            self.at += 3;
            let word = self.target()?;
            current.input.push(word);
            return Ok(());
        }
        if self.starts_with(b"<<") {
            return self.heredoc_start();
        }
        while matches!(self.peek(), Some(b'<' | b'>' | b'&' | b'|')) && !self.starts_with(b"<(") {
            self.at += 1;
        }
        self.target().map(drop)
    }

    pub(super) fn process_substitution(&mut self) -> Result<Word, ShellError> {
        let from = self.at;
        self.at += 2;
        self.nested(|parser| parser.list(Until::Parenthesis))?;
        Ok(self.unknown_word(from))
    }

    fn target(&mut self) -> Result<Word, ShellError> {
        self.skip_blanks();
        match self.peek() {
            Some(b'<' | b'>') if self.peek_at(1) == Some(b'(') => self.process_substitution(),
            None | Some(b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>') => {
                Err(ShellError::NoTarget)
            }
            Some(_) => self.word(),
        }
    }

    fn heredoc_start(&mut self) -> Result<(), ShellError> {
        self.at += 2;
        let strip_tabs = self.peek() == Some(b'-');
        self.at += usize::from(strip_tabs);
        let word = self.target()?;
        let expands = !word.source.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'\\'));
        let delimiter = if expands { word.source } else { word.bytes };
        self.heredocs.push(Heredoc {
            delimiter,
            strip_tabs,
            expands,
            owner: None,
            owner_open: true,
        });
        Ok(())
    }

    /// Reads the lines up to the delimiter; a missing one ends with the text, as shells have it.
    fn heredoc_body(&mut self, heredoc: Heredoc) -> Result<(), ShellError> {
        let mut body = Vec::new();
        while self.at < self.text.len() {
            self.step()?;
            let rest = &self.text[self.at..];
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let mut line = &rest[..length];
            self.at = self.text.len().min(self.at + length + 1);
            while heredoc.strip_tabs && line.first() == Some(&b'\t') {
                line = &line[1..];
            }
            if line == heredoc.delimiter {
                break;
            }
            body.extend_from_slice(line);
            body.push(b'\n');
        }
        let known = if heredoc.expands { self.expansions_in(&body)? } else { Known::Fully };
        if let Some(command) = heredoc.owner.and_then(|owner| self.commands.get_mut(owner)) {
            command.input.push(Word { source: body.clone(), bytes: body, known, plain: false });
        }
        Ok(())
    }
}

/// `NAME=…`, `NAME+=…` or `NAME[…]=…`.
pub(super) fn is_assignment(word: &[u8]) -> bool {
    let name =
        word.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'_').count();
    if name == 0 || word[0].is_ascii_digit() {
        return false;
    }
    match &word[name..] {
        [b'=', ..] | [b'+', b'=', ..] => true,
        [b'[', rest @ ..] => rest.windows(2).any(|pair| pair == b"]="),
        _ => false,
    }
}

//! Takes the control sequences of a terminal out of a stream.
//!
//! Colours, movements of the cursor, titles, links: what ECMA-48 calls control sequences and control strings, as xterm
//! reads them, with the bell and the shifts of character sets. Text, tabs, line ends, carriage returns and backspaces
//! stay. It is a machine of a few states that remembers nothing but a count, so a string without an end hides a bounded
//! part of the text and no more. The trap: what two sequences stood between is joined, so a secret with colours inside
//! becomes whole here and must be masked after this, too; see [`crate::PlainSink`].

/// Longest control sequence and longest control string, in bytes; what is longer is text again from there on.
const MAX_SEQUENCE: u32 = 256;
const MAX_STRING: u32 = 64 * 1024;

const BELL: u8 = 0x07;
const ESCAPE: u8 = 0x1b;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and bytes that announce more (`ESC ( B`).
    Intermediate,
    /// After `ESC [`.
    Sequence,
    /// In a string: after `ESC ]`, `ESC P`, `ESC X`, `ESC ^`, `ESC _`.
    String,
    /// After ESC in a string.
    StringEscape,
}

/// The machine; one a stream.
#[derive(Debug, Default)]
pub(crate) struct AnsiStripper {
    state: State,
    /// Bytes of the sequence so far.
    length: u32,
}

impl AnsiStripper {
    /// Appends to `out` what of `input` is text.
    pub(crate) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.state == State::Text {
                let control = |b: &u8| matches!(b, &ESCAPE | &BELL | 0x0e | 0x0f);
                let text = input.iter().position(control).unwrap_or(input.len());
                out.extend_from_slice(&input[..text]);
                input = &input[text..];
            }
            if let Some((&byte, rest)) = input.split_first() {
                self.step(byte, out);
                input = rest;
            }
        }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.length += 1;
        let next = match (self.state, byte) {
            (State::Text, ESCAPE) => State::Escape,
            (State::Text, _) => State::Text,
            // Cancel and substitute end whatever is on.
            (_, 0x18 | 0x1a) => State::Text,
            (State::String | State::StringEscape, _) => self.in_string(byte),
            (_, ESCAPE) => State::Escape,
            (State::Escape, b'[') => State::Sequence,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
            (State::Escape | State::Intermediate, 0x20..=0x2f) => State::Intermediate,
            (State::Escape | State::Intermediate, 0x30..=0x7e) => State::Text,
            (State::Sequence, 0x40..=0x7e) => State::Text,
            (State::Sequence, 0x20..=0x3f) => State::Sequence,
            // A terminal obeys these even inside a sequence.
            (state, b'\n' | b'\r' | b'\t' | 0x08) => {
                out.push(byte);
                state
            }
            (state, 0..=0x1f | 0x7f) => state,
            // No byte of a sequence: this was none.
            (_, 0x80..) => {
                out.push(byte);
                State::Text
            }
        };
        self.enter(next);
    }

    fn in_string(&self, byte: u8) -> State {
        match (self.state, byte) {
            (_, BELL) => State::Text,
            (State::StringEscape, b'\\') => State::Text,
            (_, ESCAPE) => State::StringEscape,
            // ESC and anything but a backslash ends the string and begins a sequence.
            (State::StringEscape, b'[') => State::Sequence,
            (State::StringEscape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
            (State::StringEscape, 0x20..=0x2f) => State::Intermediate,
            (State::StringEscape, _) => State::Text,
            _ => State::String,
        }
    }

    fn enter(&mut self, next: State) {
        let string = |state| matches!(state, State::String | State::StringEscape);
        let limit = if string(next) { MAX_STRING } else { MAX_SEQUENCE };
        self.state = if self.length > limit { State::Text } else { next };
        if self.state == State::Text || next == State::Escape {
            self.length = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strip(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut stripper, mut out) = (AnsiStripper::default(), Vec::new());
        pieces.iter().for_each(|piece| stripper.push(piece, &mut out));
        out
    }

    fn check(text: &str, expect: &str) {
        assert_eq!(String::from_utf8_lossy(&strip(&[text.as_bytes()])), expect, "{text:?}");
        let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
        assert_eq!(String::from_utf8_lossy(&strip(&bytes)), expect, "{text:?} byte by byte");
    }

    #[test]
    fn sequences_go_and_text_stays() {
        check("plain\ttext\r\n\x08é", "plain\ttext\r\n\x08é");
        check("\x1b[1;31merror\x1b[0m: \x1b[38;5;12mx\x1b[K", "error: x");
        check("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb");
        check("\x1b(Ba\x1b=b\x1b>c\x1b7d\x1bMe\x1b#8f", "abcdef");
        check("\x1bP1$r0m\x1b\\a\x1b_x\x07b\x1b^y\x1b\\c", "abc");
        check("a\x07b\x0e\x0fc", "abc");
        check("\x1b[1\n2mx", "\nx");
        check("\x1b[1é", "é");
        check("\x1b]open\x18closed \x1b[1\x1b[2mx \x1b]a\x1b[1mb", "closed x b");
        check("ends in \x1b[3", "ends in ");
    }

    #[test]
    fn a_string_without_an_end_hides_a_bounded_part() {
        let text = [b"\x1b]", &[b'x'; 100_000][..]].concat();
        assert_eq!(strip(&[&text]).len(), 100_000 - MAX_STRING as usize);
        let text = [b"\x1b[", &[b'1'; 1000][..]].concat();
        assert_eq!(strip(&[&text]).len(), 1000 - MAX_SEQUENCE as usize);
    }

    proptest! {
        #[test]
        fn reads_do_not_matter(text in "[a\u{1b}\u{7}\\[\\]\\\\mP1;\n\u{18}é]{0,40}", at in 0usize..40) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(strip(&[first, second]), strip(&[bytes]));
        }
    }
}

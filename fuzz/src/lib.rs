//! What the targets share: how bytes become an input, and what a secret looks like, said a second time.
//!
//! An input is read from its bytes one after another, not by a grammar, so that a word of a dictionary or a line of a
//! seed is in the text as it is. Deliberately not here: anything that is tested; a mistake made twice is found by
//! nobody.
#![forbid(unsafe_code)]

pub mod forms;

/// Reads an input; when it is over, there are zeros.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u8) -> usize {
        usize::from(self.byte() % limit)
    }

    /// One bit.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Sizes of pieces. Large ones reach over the redactor's blocks of 32 KiB.
    pub fn cuts(&mut self) -> Vec<usize> {
        let size = |byte: u8| match byte {
            0..200 => usize::from(byte),
            _ => usize::from(byte - 199) * 700,
        };
        (0..self.below(12)).map(|_| size(self.byte())).collect()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Most bytes of a text.
pub const MAX_TEXT: usize = 80_000;

/// As many copies of a byte as the square of the other: what an input of some bytes would never reach.
pub fn fill(text: &mut Vec<u8>, root: u8, byte: u8) {
    let room = MAX_TEXT.saturating_sub(text.len());
    let count = (usize::from(root) * usize::from(root)).min(room);
    text.resize(text.len() + count, byte);
}

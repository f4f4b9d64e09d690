//! Output on its way to events: in pieces that are whole characters, as long as there is room.
//!
//! The trap: a character whose end has not come waits here, so what is left goes out when this is
//! dropped.

use crate::event::{EventKind, Output, Stream};
use crate::feed::Feed;

/// Makes events of output, whole characters in each.
pub(crate) struct EventText {
    stream: Stream,
    feed: Feed,
    /// The beginning of a character whose end has not come yet: three bytes at most.
    held: Vec<u8>,
}

impl EventText {
    pub(crate) fn new(stream: Stream, feed: Feed) -> Self {
        Self { stream, feed, held: Vec::new() }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if !self.feed.has_room_for(self.held.len() + bytes.len()) {
            self.feed.lose(self.held.len() + bytes.len());
            self.held.clear();
            return;
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        self.held = text.split_off(whole_characters(&text));
        self.send(text);
    }

    fn send(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.feed.push(EventKind::Output(Output { stream: self.stream, bytes }));
        }
    }
}

impl Drop for EventText {
    fn drop(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.send(held);
    }
}

/// How much of `bytes` does not end inside a character. Bytes that are no UTF-8 anyway are whole.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    let lead = bytes[start..].iter().rposition(|&byte| byte & 0xC0 != 0x80);
    let Some(lead) = lead.map(|at| start + at) else { return bytes.len() };
    let length = match bytes[lead] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    if lead + length > bytes.len() { lead } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_do_not_cut_characters() {
        let check = |bytes: &[u8], expect: usize| {
            assert_eq!(whole_characters(bytes), expect, "{bytes:?}");
        };
        check(b"", 0);
        check(b"abc", 3);
        check("aé".as_bytes(), 3);
        check(&"aé".as_bytes()[..2], 1);
        check(&"a€".as_bytes()[..3], 1);
        check(&"a😀".as_bytes()[..4], 1);
        check("a😀".as_bytes(), 5);
        check(b"a\xff", 2);
        check(b"a\x80\x80\x80\x80", 5);
        check(b"\xc0", 1);
    }
}

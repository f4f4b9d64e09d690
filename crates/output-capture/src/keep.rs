//! The first and the last part of a stream, in bounded memory.
//!
//! For what a result keeps of an output and for files with a cap. It does not look into the text beyond what a clean
//! cut needs: whole characters and whole masks. The trap: only at the end is it known whether anything was dropped,
//! so the last bytes of the first part are given up late.

use crate::pieces::count_lines;

/// At most `cap` bytes of a stream: the first half and the last half, and a count of what was between.
#[derive(Debug)]
pub(crate) struct HeadTail {
    mask: Vec<u8>,
    head_cap: u64,
    tail_cap: usize,
    /// Bytes of the first half that went elsewhere (see [`HeadTail::skip`]).
    skipped: u64,
    head: Vec<u8>,
    tail: Ring,
    dropped: u64,
    dropped_lines: u64,
}

/// What was kept, cut cleanly.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
    pub(crate) dropped: u64,
    pub(crate) dropped_lines: u64,
}

impl HeadTail {
    pub(crate) fn new(cap: u64, mask: &[u8]) -> Self {
        Self::with_tail(cap, u64::MAX, mask)
    }

    /// With at most `most` bytes of the end, so that the beginning has more than half of the cap.
    pub(crate) fn with_tail(cap: u64, most: u64, mask: &[u8]) -> Self {
        let tail = most.min(cap / 2);
        Self {
            mask: mask.to_vec(),
            head_cap: cap - tail,
            tail_cap: usize::try_from(tail).unwrap_or(usize::MAX),
            skipped: 0,
            head: Vec::new(),
            tail: Ring::default(),
            dropped: 0,
            dropped_lines: 0,
        }
    }

    /// How many of the first bytes of the stream are kept whatever comes after them.
    pub(crate) fn certain_room(&self) -> u64 {
        self.head_cap.saturating_sub(self.mask.len() as u64 + 4)
    }

    /// Counts bytes of the first half without keeping them here.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.skipped += bytes;
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.head_cap - self.skipped - self.head.len() as u64;
        let split = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let (first, rest) = bytes.split_at(split);
        self.head.extend_from_slice(first);
        if !rest.is_empty() {
            let (dropped, lines) = self.tail.push(rest, self.tail_cap);
            self.dropped += dropped;
            self.dropped_lines += lines;
        }
    }

    /// The two parts; when something was dropped between them, each is cut at a whole character and a whole mask.
    pub(crate) fn cut(&mut self) -> Cut {
        let mut cut = Cut {
            head: std::mem::take(&mut self.head),
            tail: self.tail.take(),
            dropped: self.dropped,
            dropped_lines: self.dropped_lines,
        };
        if cut.dropped > 0 {
            let end = clean_end(&cut.head, &self.mask);
            let start = clean_start(&cut.tail, &self.mask);
            cut.dropped += (cut.head.len() - end + start) as u64;
            cut.dropped_lines += count_lines(&cut.head[end..]) + count_lines(&cut.tail[..start]);
            cut.head.truncate(end);
            cut.tail.drain(..start);
        }
        cut
    }

    /// As [`HeadTail::cut`], as one text with a note between the parts.
    pub(crate) fn assemble(&mut self) -> Vec<u8> {
        let cut = self.cut();
        join(cut.head, &cut.tail, (cut.dropped, cut.dropped_lines))
    }
}

/// Head, a note of how many bytes and lines are missing, tail.
pub(crate) fn join(head: Vec<u8>, tail: &[u8], dropped: (u64, u64)) -> Vec<u8> {
    let mut all = note_after(head, dropped, tail.len());
    all.extend_from_slice(tail);
    all
}

/// Head and note, with room for what comes after. The head is grown in place: a large one is moved by the kernel and
/// never there twice.
pub(crate) fn note_after(head: Vec<u8>, dropped: (u64, u64), room: usize) -> Vec<u8> {
    let mut all = head;
    let note = match dropped {
        (0, _) => String::new(),
        (bytes, 0) => format!("\n[… {bytes} byte{} dropped …]\n", plural(bytes)),
        (bytes, lines) => {
            let (of_bytes, of_lines) = (plural(bytes), plural(lines));
            format!("\n[… {bytes} byte{of_bytes} dropped, {lines} line{of_lines} …]\n")
        }
    };
    all.reserve_exact(note.len() + room);
    all.extend_from_slice(note.as_bytes());
    all
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The longest length of `head` that ends neither inside a character nor inside a mask.
pub(crate) fn clean_end(head: &[u8], mask: &[u8]) -> usize {
    let broken = (1..mask.len()).rev().find(|&n| head.ends_with(&mask[..n])).unwrap_or(0);
    let end = head.len() - broken;
    let window = &head[end.saturating_sub(3)..end];
    let incomplete = |n: &usize| *n <= window.len() && char_len(window[window.len() - n]) > *n;
    end - (1..=3).find(incomplete).unwrap_or(0)
}

/// The least offset in `tail` that is neither inside a character nor inside a mask.
pub(crate) fn clean_start(tail: &[u8], mask: &[u8]) -> usize {
    let broken =
        (1..mask.len()).rev().find(|&n| tail.starts_with(&mask[mask.len() - n..])).unwrap_or(0);
    let continuation = |b: &&u8| (0x80..0xc0).contains(*b);
    broken + tail[broken..].iter().take(3).take_while(continuation).count()
}

/// Length of the character that begins with `byte`; 0 for a byte that begins none.
fn char_len(byte: u8) -> usize {
    match byte {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        0x00..=0x7f => 1,
        _ => 0,
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
struct Ring {
    bytes: Vec<u8>,
    /// Where the oldest byte is, once the ring is full.
    start: usize,
}

impl Ring {
    /// Keeps the last `cap` bytes; gives how many bytes and line ends fell out.
    fn push(&mut self, new: &[u8], cap: usize) -> (u64, u64) {
        let over = (self.bytes.len() + new.len()).saturating_sub(cap);
        let old = over.min(self.bytes.len());
        let lines = self.evicted_lines(old) + count_lines(&new[..over - old]);
        let mut new = &new[over - old..];
        let room = (cap - self.bytes.len()).min(new.len());
        self.reserve(room, cap);
        self.bytes.extend_from_slice(&new[..room]);
        new = &new[room..];
        while !new.is_empty() {
            let piece = (self.bytes.len() - self.start).min(new.len());
            self.bytes[self.start..self.start + piece].copy_from_slice(&new[..piece]);
            self.start = (self.start + piece) % self.bytes.len();
            new = &new[piece..];
        }
        (over as u64, lines)
    }

    fn evicted_lines(&self, old: usize) -> u64 {
        let first = &self.bytes[self.start..];
        let wrapped = old.saturating_sub(first.len());
        count_lines(&first[..old.min(first.len())]) + count_lines(&self.bytes[..wrapped])
    }

    /// Grows by doubling, but never over `cap`: a ring of 8 MiB takes 8 MiB.
    fn reserve(&mut self, more: usize, cap: usize) {
        let need = self.bytes.len() + more;
        if need > self.bytes.capacity() {
            let target = need.max(self.bytes.capacity() * 2).min(cap);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.bytes.rotate_left(self.start);
        self.start = 0;
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(cap: u64, chunks: &[&[u8]], head: &str, tail: &str, dropped: u64) {
        let mut kept = HeadTail::new(cap, b"[MASK]");
        chunks.iter().for_each(|chunk| kept.push(chunk));
        let cut = kept.cut();
        let got = (
            String::from_utf8_lossy(&cut.head).into_owned(),
            String::from_utf8_lossy(&cut.tail).into_owned(),
        );
        assert_eq!((got.0.as_str(), got.1.as_str(), cut.dropped), (head, tail, dropped));
    }

    #[test]
    fn keeps_all_up_to_the_cap() {
        check(10, &[b"0123456789"], "01234", "56789", 0);
        check(10, &[b"012", b"", b"345678"], "01234", "5678", 0);
        check(0, &[], "", "", 0);
    }

    #[test]
    fn drops_the_middle() {
        check(10, &[b"0123456789a"], "01234", "6789a", 1);
        check(10, &[b"01234", b"56789abcdef", b"g"], "01234", "cdefg", 7);
        check(1, &[b"0123"], "0", "", 3);
        check(0, &[b"0123"], "", "", 4);
    }

    #[test]
    fn cuts_at_whole_characters() {
        check(10, &["012äöüäöü".as_bytes()], "012ä", "öü", 6);
        check(9, &["0123äöüx9".as_bytes()], "0123", "üx9", 4);
        check(8, &["012€€€".as_bytes()], "012", "€", 6);
    }

    #[test]
    fn cuts_at_whole_masks() {
        check(20, &[b"01234567[MASK]middle and the rest"], "01234567", "d the rest", 25 - 10);
        check(20, &[b"0123456789 middle 01[MASK]234567"], "0123456789", "234567", 16);
    }

    #[test]
    fn counts_dropped_lines() {
        let mut kept = HeadTail::new(4, b"");
        for _ in 0..10 {
            kept.push(b"a\n");
        }
        let cut = kept.cut();
        assert_eq!((cut.dropped, cut.dropped_lines), (16, 8));
    }

    proptest! {
        #[test]
        fn equals_the_plain_cut(chunks in prop::collection::vec(prop::collection::vec(b'a'..b'e', 0..9), 0..12), cap in 0u64..30) {
            let whole = chunks.concat();
            let mut kept = HeadTail::new(cap, b"");
            chunks.iter().for_each(|chunk| kept.push(chunk));
            let cut = kept.cut();
            let head = whole.len().min((cap - cap / 2) as usize);
            let tail = (whole.len() - head).min((cap / 2) as usize);
            prop_assert_eq!(&cut.head[..], &whole[..head]);
            prop_assert_eq!(&cut.tail[..], &whole[whole.len() - tail..]);
            prop_assert_eq!(cut.dropped, (whole.len() - head - tail) as u64);
        }
    }
}

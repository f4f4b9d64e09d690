//! Ranges to be masked, and the writing of the stream around them.
//!
//! Everything that finds secrets adds ranges here; they may overlap and come in any order. Ranges that share a byte
//! become one mask; ranges that only touch become two. Nothing here knows why a range is to be masked. The trap: a
//! mask may be written only when nothing that begins further left can still come, so callers say up to where the
//! stream is settled.

/// Ranges of the buffer that are still to be masked.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    ranges: Vec<(usize, usize)>,
    /// Up to where a mask has been written already; a range that begins before it belongs to that mask.
    masked_to: usize,
    pub(crate) count: u64,
}

impl Hits {
    /// Adds `start..end`; one that shares a byte with the last is made one with it.
    pub(crate) fn add(&mut self, start: usize, end: usize) {
        if let Some(last) = self.ranges.last_mut()
            && start < last.1
            && last.0 < end
        {
            *last = (last.0.min(start), last.1.max(end));
            return;
        }
        self.ranges.push((start, end));
    }

    /// Whether there is something to be masked that begins at or before `settled`.
    pub(crate) fn any_until(&self, settled: usize) -> bool {
        self.ranges.iter().any(|range| range.0 <= settled)
    }

    /// Writes `buffer[done..]` as far as it is settled: up to `settled`, or to the end of a mask that begins before
    /// it. Gives the new `done`.
    pub(crate) fn write(
        &mut self,
        buffer: &[u8],
        mut done: usize,
        settled: usize,
        mask: &[u8],
        out: &mut Vec<u8>,
    ) -> usize {
        self.ranges.sort_by_key(|range| range.0);
        let ready = self.ranges.partition_point(|range| range.0 <= settled);
        for (start, end) in self.ranges.drain(..ready) {
            if start >= self.masked_to {
                debug_assert!(start >= done, "a range begins in what was written");
                out.extend_from_slice(buffer.get(done..start).unwrap_or_default());
                out.extend_from_slice(mask);
                self.count += 1;
                self.masked_to = end;
            }
            self.masked_to = self.masked_to.max(end);
            done = done.max(self.masked_to);
        }
        if done < settled {
            out.extend_from_slice(&buffer[done..settled]);
            done = settled;
        }
        done
    }

    /// The first `by` bytes of the buffer are gone.
    pub(crate) fn shift(&mut self, by: usize) {
        self.masked_to = self.masked_to.saturating_sub(by);
        for range in &mut self.ranges {
            *range = (range.0.saturating_sub(by), range.1 - by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ranges: &[(usize, usize)], expect: &str) {
        let mut hits = Hits::default();
        ranges.iter().for_each(|range| hits.add(range.0, range.1));
        let mut out = Vec::new();
        let done = hits.write(b"0123456789", 0, 10, b"*", &mut out);
        assert_eq!((String::from_utf8_lossy(&out).as_ref(), done), (expect, 10));
    }

    #[test]
    fn overlapping_ranges_are_one_mask_and_touching_ones_two() {
        check(&[], "0123456789");
        check(&[(2, 4)], "01*456789");
        check(&[(2, 4), (3, 6)], "01*6789");
        check(&[(3, 6), (2, 4)], "01*6789");
        check(&[(2, 4), (4, 6)], "01**6789");
        check(&[(4, 6), (2, 4), (3, 5)], "01*6789");
        check(&[(2, 8), (3, 4), (5, 6)], "01*89");
        check(&[(8, 10), (0, 2)], "*234567*");
    }

    #[test]
    fn a_mask_is_written_once_and_grows_later() {
        let mut hits = Hits::default();
        let mut out = Vec::new();
        hits.add(2, 5);
        let done = hits.write(b"012345", 0, 4, b"*", &mut out);
        assert_eq!((out.as_slice(), done), (&b"01*"[..], 5));
        hits.add(4, 7);
        let done = hits.write(b"0123456789", done, 10, b"*", &mut out);
        assert_eq!((out.as_slice(), done, hits.count), (&b"01*789"[..], 10, 1));
    }
}

//! A value on the lines below its name: a block of YAML, the text of an XML element.
//!
//! Both are recognised by how they are set, since a name at the end of a line is mostly none: the name begins its
//! line, the value is indented, and an element is closed on a line of its own. The trap: what follows such a name may
//! be a prompt, so nothing is held before all of this is there.

use super::kv::{MIN_VALUE, is_blank, judge_quoted, key_column, key_start};
use super::runs::Run;
use super::words::{MAX_LOOK, is_placeholder};
use super::{Text, Verdict};

/// Deepest indentation, in bytes.
const MAX_INDENT: usize = 64;

/// A block (`password: |`): `at` is the end of the name, `start` the place of its `|` or `>`.
pub(super) fn judge_block(at: usize, start: usize, text: &Text<'_>) -> Verdict {
    let Some(column) = key_column(at, text) else { return Verdict::No };
    let (end, certain) = text.skip(start + 1, 2, |b| matches!(b, b'+' | b'-' | b'1'..=b'9'));
    if !certain {
        return Verdict::Wait(end);
    }
    match next_line(end, text) {
        Err(verdict) => verdict,
        Ok((_, indent)) if indent <= column => Verdict::No,
        Ok((value, indent)) => judge_quoted(value, Run::Block(indent as u8), text),
    }
}

/// An element whose text has a line of its own: `at` is the end of its opening tag.
pub(super) fn judge_element(name: usize, at: usize, text: &Text<'_>) -> Verdict {
    let tag = key_start(name, text) - 1;
    if !begins_line(tag, text) {
        return Verdict::No;
    }
    let start = match next_line(at, text) {
        Err(verdict) => return verdict,
        Ok((_, 0)) => return Verdict::No,
        Ok((start, _)) => start,
    };
    let (end, certain) = text.skip(start, MAX_LOOK, |b| Run::Element.has(b));
    if end - start == MAX_LOOK {
        return Verdict::Mask { start, from: end, run: Run::Element };
    }
    if !certain || (end == text.len() && !text.end) {
        return Verdict::Wait(start);
    }
    let close = match next_line(end, text) {
        Err(Verdict::Wait(_)) => return Verdict::Wait(start),
        Err(verdict) => return verdict,
        Ok((close, _)) => close,
    };
    match (text.get(close), text.get(close + 1)) {
        (Some(b'<'), None) if !text.end => Verdict::Wait(start),
        (Some(b'<'), Some(b'/'))
            if end - start >= MIN_VALUE && !is_placeholder(text.slice(start, end)) =>
        {
            Verdict::Exactly { start, end }
        }
        _ => Verdict::No,
    }
}

/// When nothing but blanks is left of the line of `at`: where the text of the next one begins, and how far it is
/// indented.
fn next_line(at: usize, text: &Text<'_>) -> Result<(usize, usize), Verdict> {
    let more = || if text.end { Verdict::No } else { Verdict::Wait(text.len()) };
    let (at, _) = text.skip(at, MAX_INDENT, is_blank);
    let (at, _) = text.skip(at, 1, |b| b == b'\r');
    match text.get(at) {
        Some(b'\n') => {}
        Some(_) => return Err(Verdict::No),
        None => return Err(more()),
    }
    let (start, certain) = text.skip(at + 1, MAX_INDENT, is_blank);
    match text.get(start) {
        None => Err(more()),
        Some(_) if !certain => Err(more()),
        Some(b'\n' | b'\r') => Err(Verdict::No),
        Some(_) => Ok((start, start - at - 1)),
    }
}

/// Whether only blanks are before `at` on its line.
fn begins_line(at: usize, text: &Text<'_>) -> bool {
    let before = text.slice(at.saturating_sub(MAX_INDENT), at);
    let line = at - before.iter().rev().take_while(|b| is_blank(**b)).count();
    line == 0 || text.before(line) == Some(b'\n')
}

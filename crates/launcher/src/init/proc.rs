//! Files of `/proc`: their names and what is in them, without allocation.
//!
//! What the content means is the business of who asks.

use super::sys;

/// A number in decimal: its digits, and where they begin.
pub(crate) fn decimal(mut number: u32) -> ([u8; 10], usize) {
    let mut digits = [b'0'; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return (digits, first);
        }
    }
}

/// `/proc/TID` and `name`, which begins with a slash and has at most 24 bytes.
pub(crate) fn of_process(tid: u32, name: &[u8]) -> [u8; 42] {
    numbered(b"/proc/", tid, name)
}

/// `/proc/self/fd/N` as a C string.
pub(crate) fn of_descriptor(fd: i32) -> [u8; 32] {
    numbered(b"/proc/self/fd/", fd.unsigned_abs(), b"")
}

/// `/proc/self/fdinfo/N` as a C string.
pub(crate) fn about_descriptor(fd: i32) -> [u8; 32] {
    numbered(b"/proc/self/fdinfo/", fd.unsigned_abs(), b"")
}

/// A name with a number in it, and NUL bytes behind it. A part that has no room is left out.
pub(crate) fn numbered<const N: usize>(before: &[u8], number: u32, behind: &[u8]) -> [u8; N] {
    let mut name = [0_u8; N];
    let mut at = 0;
    let (digits, first) = decimal(number);
    for part in [before, digits.get(first..).unwrap_or_default(), behind] {
        if let Some(room) = name.get_mut(at..at + part.len()) {
            room.copy_from_slice(part);
            at += part.len();
        }
    }
    name
}

/// The beginning of a file.
pub(crate) fn read<'b>(path: &[u8], into: &'b mut [u8]) -> Option<&'b [u8]> {
    let fd = sys::open(path, 0, 0).ok()?;
    let n = sys::read(fd, into);
    sys::close(fd);
    into.get(..n.ok()?)
}

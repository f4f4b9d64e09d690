//! Whether two entries are the same to a reader: kind, bytes, target, permission bits.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};

use super::{Dir, FileKind, Meta};

/// Bytes that are compared at a time.
const BLOCK: usize = 128 << 10;

/// Whether two files that are not directories hold the same. Modes and times do not count.
pub(crate) fn same_entry(
    one: (&Dir, &OsStr, &Meta),
    other: (&Dir, &OsStr, &Meta),
) -> io::Result<bool> {
    if one.2.kind != other.2.kind {
        return Ok(false);
    }
    match one.2.kind {
        FileKind::File if one.2.size != other.2.size => Ok(false),
        FileKind::File => {
            let one = one.0.open_file(one.1, Some(one.2))?;
            let other = other.0.open_file(other.1, None)?;
            same_bytes(one, other)
        }
        FileKind::Symlink => Ok(one.0.read_link(one.1)? == other.0.read_link(other.1)?),
        FileKind::Device => Ok(one.2.device == other.2.device),
        FileKind::Directory | FileKind::Fifo | FileKind::Socket => Ok(true),
    }
}

/// Whether two files hold the same bytes, read a block at a time.
pub(crate) fn same_bytes(mut one: File, mut other: File) -> io::Result<bool> {
    let (mut here, mut there) = (vec![0; BLOCK], vec![0; BLOCK]);
    loop {
        let (length, other_length) = (fill(&mut one, &mut here)?, fill(&mut other, &mut there)?);
        if here[..length] != there[..other_length] {
            return Ok(false);
        }
        if length < BLOCK {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

//! Types into the terminal of a command what comes from the caller's standard input.
//!
//! It may be a terminal, a pipe, a file or nothing. When it ends, the end is typed too, as a person
//! would: a program that reads its terminal waits otherwise for ever.
//!
//! The trap: a command that does not read must not keep this thread when the run is over, nor may
//! it wait for a person who types nothing.

use std::os::fd::{AsFd, OwnedFd};

use ringfence_output_capture::StopToken;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};
use rustix::termios::{SpecialCodeIndex, tcgetattr};

use crate::terminal::Terminal;

/// Types until `input` or the run is at its end.
pub(crate) fn type_all(input: OwnedFd, terminal: &Terminal, stop: &StopToken) {
    let Some(master) = terminal.master() else { return };
    // That nobody reads what is typed is the command's own affair.
    let _typed = copy(&input, &master, stop);
}

fn copy(input: &OwnedFd, master: &OwnedFd, stop: &StopToken) -> Result<(), Errno> {
    let mut buffer = [0; 4096];
    let mut in_line = false;
    while wait(input, PollFlags::IN, stop)? {
        let count = match read(input, &mut buffer) {
            Ok(0) | Err(Errno::IO) => return type_end(master, in_line, stop),
            Err(Errno::INTR | Errno::AGAIN) => continue,
            count => count?,
        };
        in_line = !matches!(buffer[count - 1], b'\n' | b'\r');
        write_all(master, &buffer[..count], stop)?;
    }
    Ok(())
}

/// In the middle of a line the character for the end only ends the line, so it is typed twice.
fn type_end(master: &OwnedFd, in_line: bool, stop: &StopToken) -> Result<(), Errno> {
    let end = tcgetattr(master)?.special_codes[SpecialCodeIndex::VEOF];
    write_all(master, &[end, end][..1 + usize::from(in_line)], stop)
}

fn write_all(master: &OwnedFd, mut bytes: &[u8], stop: &StopToken) -> Result<(), Errno> {
    while !bytes.is_empty() && wait(master, PollFlags::OUT, stop)? {
        match write(master, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether the descriptor is ready; false when the run is over.
fn wait(fd: &OwnedFd, events: PollFlags, stop: &StopToken) -> Result<bool, Errno> {
    loop {
        let stop = stop.as_fd();
        let mut fds = [PollFd::new(fd, events), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if !fds[1].revents().is_empty() => return Ok(false),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

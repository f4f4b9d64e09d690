//! Who still has a pipe open for writing.
//!
//! Asked once, when a stream was given up because its end did not come: the answer goes into the report, as process
//! numbers and nothing else, since even the name of a process is text that the command has chosen. The search is
//! bounded in time, so a machine with very many processes gives a shorter answer, not a later one. The trap: descriptors
//! of another user's processes cannot be seen, and one that is on its way over a socket belongs to nobody.

use nix::sys::stat::fstat;
use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Holders that are named at most.
const MAX_HOLDERS: usize = 8;
/// How long is searched at most.
const MAX_TIME: Duration = Duration::from_millis(100);

/// The numbers of the processes that can write to the pipe `reader` reads, in ascending order, as far as they can be
/// seen.
pub(crate) fn of_pipe(reader: &impl AsFd) -> Vec<u32> {
    let Ok(stat) = fstat(reader) else { return Vec::new() };
    let name = format!("pipe:[{}]", stat.st_ino);
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let deadline = Instant::now() + MAX_TIME;
    let mut found: Vec<u32> = processes
        .take_while(|_| Instant::now() < deadline)
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&process| writes_to(process, &name, deadline))
        .take(MAX_HOLDERS)
        .collect();
    found.sort_unstable();
    found
}

fn writes_to(process: u32, pipe: &str, deadline: Instant) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    descriptors
        .take_while(|_| Instant::now() < deadline)
        .filter_map(Result::ok)
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == pipe))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|descriptor| is_for_writing(process, &descriptor))
}

/// Whether the access mode of the descriptor, the last octal digit of its flags in proc_pid_fdinfo(5), is not "read".
fn is_for_writing(process: u32, descriptor: &str) -> bool {
    let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}"));
    let flags = |info: String| {
        let line = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(line.trim(), 8).ok()
    };
    info.ok().and_then(flags).is_some_and(|flags| flags & 0o3 != 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_writer_is_found_and_the_reader_is_not() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        assert_eq!(of_pipe(&reader), [std::process::id()]);
        drop(writer);
        assert_eq!(of_pipe(&reader), [0; 0]);
    }
}

//! Test data on the standard streams, made so that a byte that is lost, doubled or moved is seen.

use std::io::{self, Read, Write};

/// `bytes N`: all byte values, over and over. `both N`: lines on both streams by turns. `one-by-one TEXT`: each byte
/// with a write of its own. `count`: how many bytes come in. `daemon FILE`: see [`daemon`].
pub(crate) fn emit(args: &[String]) {
    let result = match crate::arg(args, 0) {
        "bytes" => bytes(crate::number(args, 1)),
        "both" => both(crate::number(args, 1)),
        "one-by-one" => one_by_one(crate::arg(args, 1)),
        "count" => count(),
        "daemon" => daemon(crate::arg(args, 1)),
        "signal" => signal(crate::number(args, 1)),
        "args" => show_args(&args[1..]),
        _ => std::process::exit(2),
    };
    if result.is_err() {
        std::process::exit(1);
    }
}

/// Not a multiple of any block size, so that blocks begin with every byte value.
fn bytes(length: usize) -> io::Result<()> {
    let block: Vec<u8> = (0..=255_u8).cycle().take(length).collect();
    block.chunks(9_973).try_for_each(|chunk| io::stdout().lock().write_all(chunk))?;
    io::stdout().flush()
}

fn both(length: usize) -> io::Result<()> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut written = 0;
    let mut line = 0;
    while written < length {
        let block: String = (line..line + 1000).map(|line| format!("{line:07}\n")).collect();
        out.write_all(block.as_bytes())?;
        err.write_all(block.as_bytes())?;
        written += block.len();
        line += 1000;
    }
    out.flush()
}

/// One `write` each, past the buffer of the standard library.
fn one_by_one(text: &str) -> io::Result<()> {
    for byte in text.bytes() {
        crate::sys::call(libc::SYS_write, &[1, crate::sys::address(&byte), 1])?;
    }
    Ok(())
}

fn count() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    writeln!(io::stdout(), "{}", bytes.len())
}

/// Becomes a daemon as the book says (fork, `setsid`, fork), ignores what asks it to end, keeps its streams open, and
/// goes on for ever. The first process ends when the last one stands, so nobody has to wait for it.
fn daemon(word: &str) -> io::Result<()> {
    let (mut ready, theirs) = std::os::unix::net::UnixStream::pair()?;
    crate::sys::fork(move || {
        crate::sys::call(libc::SYS_setsid, &[]).ok();
        crate::sys::fork(move || {
            crate::sys::block_signals();
            (&theirs).write_all(b"x").ok();
            drop(theirs);
            loop {
                crate::sys::call(libc::SYS_pause, &[]).ok();
            }
        })
        .map_or(1, |_| 0)
    })?;
    ready.read_exact(&mut [0])?;
    writeln!(io::stdout(), "{word}")
}

/// Sends a signal to itself, with the action that a process begins with.
pub(crate) fn signal(number: usize) -> io::Result<()> {
    let default = [0_u64; 4];
    crate::sys::call(libc::SYS_rt_sigaction, &[number, crate::sys::address(&default), 0, 8]).ok();
    crate::sys::call(libc::SYS_kill, &[std::process::id() as usize, number])?;
    Ok(())
}

fn show_args(args: &[String]) -> io::Result<()> {
    args.iter().try_for_each(|arg| writeln!(io::stdout(), "[{arg}]"))
}

//! A child's output through a pipe and the redactor into a file, against `cat` in the redactor's place.
//!
//! The two take turns, and the medians are compared, so other work on the machine hits both.

use crate::text::secrets;
use crate::{literal, usual};
use ringfence_output_capture::{
    FileSink, PumpOptions, Redaction, RedactionOptions, StopToken, enlarge, pump,
};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const TURNS: usize = 7;

/// The child: writes a file to standard output, in large pieces or line by line.
pub(crate) fn emit(how: &str, file: &str) -> Result<(), String> {
    let copy = || {
        let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let mut from = BufReader::with_capacity(64 * 1024, File::open(file)?);
        let mut line = Vec::new();
        loop {
            let count = if how == "pieces" {
                let piece = from.fill_buf()?;
                out.write_all(piece)?;
                piece.len()
            } else {
                line.clear();
                from.read_until(b'\n', &mut line)?;
                out.write_all(&line)?;
                line.len()
            };
            if count == 0 {
                return Ok(());
            }
            if how == "pieces" {
                from.consume(count);
            }
        }
    };
    copy().map_err(text_of)
}

fn text_of(error: io::Error) -> String {
    error.to_string()
}

pub(crate) fn measure_all(text: &[u8]) -> Result<(), String> {
    println!("child -> pipe -> file, MB/s by the clock (ratio to `| cat > file`)");
    let directory = tempfile::tempdir().map_err(text_of)?;
    let input = directory.path().join("input");
    let lines = directory.path().join("lines");
    std::fs::write(&input, text).map_err(text_of)?;
    std::fs::write(&lines, &text[..text.len() / 8]).map_err(text_of)?;
    let output = directory.path().join("output");
    // First, while nothing that is freed again is in the way.
    memory(&input, &output, &usual())?;
    for (how, file, size) in [("pieces", &input, text.len()), ("lines", &lines, text.len() / 8)] {
        for (what, count, options) in [
            ("5 secrets", 5, literal()),
            ("100 secrets", 100, literal()),
            ("5 secrets, derived forms, 7 detectors", 5, usual()),
        ] {
            let redaction = Redaction::compile(secrets(count), &options).0;
            let (mut own, mut cat) = (Vec::new(), Vec::new());
            for _ in 0..TURNS {
                own.push(timed(size, || through_pump(how, file, &output, &redaction))?);
                cat.push(timed(size, || through_cat(how, file, &output))?);
            }
            let (own, cat) = (median(own), median(cat));
            println!("{own:>8.0}  {:>4.2}  {how}, {what} (cat: {cat:.0})", own / cat);
        }
    }
    Ok(())
}

fn timed(size: usize, work: impl FnOnce() -> io::Result<()>) -> Result<f64, String> {
    let start = Instant::now();
    work().map_err(text_of)?;
    Ok(size as f64 / start.elapsed().as_secs_f64() / 1e6)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn child(how: &str, file: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--emit").arg(how).arg(file).stdin(Stdio::null());
    Ok(command)
}

fn through_pump(how: &str, file: &Path, output: &Path, redaction: &Redaction) -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    // As large as an ordinary user may make it.
    enlarge(&reader);
    let mut command = child(how, file)?;
    let mut child = command.stdout(writer).spawn()?;
    drop(command);
    let stop = StopToken::new()?;
    let sink = FileSink::create(output, None, b"[REDACTED]")?;
    let options = PumpOptions { keep: 1 << 20, activity: None };
    let report = pump(reader, &stop, redaction.stream(), options, vec![Box::new(sink)], ());
    child.wait()?;
    if report.sink_errors.is_empty() { Ok(()) } else { Err(io::Error::other("a sink failed")) }
}

fn through_cat(how: &str, file: &Path, output: &Path) -> io::Result<()> {
    let mut child = child(how, file)?.stdout(Stdio::piped()).spawn()?;
    let from = child.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut cat = Command::new("cat").stdin(from).stdout(File::create(output)?).spawn()?;
    child.wait()?;
    cat.wait()?;
    Ok(())
}

/// What a run adds to the memory of the process, at its highest.
fn memory(input: &Path, output: &Path, options: &RedactionOptions) -> Result<(), String> {
    let redaction = Redaction::compile(secrets(5), options).0;
    // Clears the high-water mark; see proc(5).
    std::fs::write("/proc/self/clear_refs", "5").map_err(text_of)?;
    let before = kib("VmRSS:")?;
    through_pump("pieces", input, output, &redaction).map_err(text_of)?;
    println!("{:>8} KiB over idle at the highest", kib("VmHWM:")?.saturating_sub(before));
    Ok(())
}

fn kib(field: &str) -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(text_of)?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("/proc/self/status has no {field}"))
}

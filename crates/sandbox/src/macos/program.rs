//! Which file a program's name stands for, and whether it can be executed.
//!
//! `sandbox-exec` executes the program by itself and tells a failure by an exit status that the
//! program might have too. So the file is looked for before anything is started, as execve(2)
//! would find it, and a failure is told as what it is. What only the execution itself brings to
//! light (a program for another processor, a file that is swapped meanwhile) ends with the status
//! and the message of `sandbox-exec`.

use crate::spec::{Process, Program};
use nix::unistd::{AccessFlags, access};
use ringfence_launcher::StepFailure;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The files to try, the working directory in front of relative ones.
pub(crate) fn candidates(process: &Process) -> Vec<PathBuf> {
    let relative = match &process.program {
        Program::Path(path) => vec![path.clone()],
        Program::Search { name, path } => path
            .as_bytes()
            .split(|byte| *byte == b':')
            .map(|dir| Path::new(OsStr::from_bytes(dir)).join(name))
            .collect(),
    };
    relative.into_iter().map(|path| process.cwd.join(path)).collect()
}

/// The file that will be executed.
pub(crate) fn find(process: &Process) -> Result<PathBuf, StepFailure> {
    let candidates = candidates(process);
    let mut worst = libc::ENOENT;
    for path in &candidates {
        match check(path) {
            Ok(()) => return Ok(path.clone()),
            Err(libc::ENOENT | libc::ENOTDIR) => {}
            Err(libc::EACCES) => worst = libc::EACCES,
            Err(errno) => return Err(failure(process, errno)),
        }
    }
    Err(failure(process, worst))
}

/// The execution in words, as on Linux.
pub(crate) fn words(process: &Process) -> String {
    let names: Vec<_> = candidates(process).iter().map(|path| path.display().to_string()).collect();
    format!("execute `{}`", names.join("` or `"))
}

/// An execution that failed.
pub(crate) fn failure(process: &Process, errno: i32) -> StepFailure {
    StepFailure::new(0, words(process), true, errno)
}

/// Whether a file can be executed, and if not, the error of execve(2).
fn check(path: &Path) -> Result<(), i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EACCES);
    if !fs::metadata(path).map_err(errno)?.is_file() {
        return Err(libc::EACCES);
    }
    access(path, AccessFlags::X_OK).map_err(|error| error as i32)?;
    match interpreter(path) {
        Some(interpreter) => fs::metadata(interpreter).map(drop).map_err(errno),
        None => Ok(()),
    }
}

/// The program that a script names in its first line.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    // Longer lines than this are cut by every system.
    File::open(path).ok()?.take(512).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| b" \t\r".contains(byte)).filter(|word| !word.is_empty());
    words.next().map(|word| PathBuf::from(OsStr::from_bytes(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    fn process(program: Program, cwd: &Path) -> Process {
        Process {
            program,
            args: Vec::new(),
            env: Vec::new(),
            cwd: cwd.into(),
            rlimits: Vec::new(),
            linger: Duration::ZERO,
            temp: None,
            proxy: None,
            terminal: None,
        }
    }

    fn file(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).expect("it can be written");
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn the_first_that_can_be_executed_is_found() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let top = dir.path();
        for name in ["a", "b"] {
            fs::create_dir(top.join(name)).expect("it can be made");
        }
        file(&top.join("a/plain"), "", 0o644);
        file(&top.join("b/plain"), "", 0o755);
        file(&top.join("a/lost"), "#! /nonexistent/sh -e\n", 0o755);
        file(&top.join("a/script"), "#!/bin/sh\n", 0o755);
        file(&top.join("a/refused"), "", 0o644);
        let check = |name: &str, path: &str, expect: Result<&str, i32>| {
            let program = Program::Search { name: name.into(), path: path.into() };
            let found = find(&process(program, top)).map_err(|failure| failure.errno());
            assert_eq!(found, expect.map(|path| top.join(path)), "{name} on {path}");
        };
        check("plain", "a:b", Ok("b/plain"));
        check("script", "none:a", Ok("a/script"));
        check("refused", "a:none", Err(libc::EACCES));
        check("lost", "a", Err(libc::ENOENT));
        check("none", "a:b", Err(libc::ENOENT));
        check("a", "", Err(libc::EACCES));
        check("x", "a/plain", Err(libc::ENOENT));
    }

    #[test]
    fn a_failure_is_told_as_everywhere() {
        let program = Program::Path("none".into());
        let failure = find(&process(program, Path::new("/w"))).expect_err("it is not there");
        assert!(failure.is_exec() && failure.not_found());
        assert_eq!(failure.what, "execute `/w/none`");
    }
}

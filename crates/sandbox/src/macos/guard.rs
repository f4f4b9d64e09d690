//! Ends a tree when its supervisor is gone, however that came about.
//!
//! On Linux the init sees its control socket close. Here nobody stays with the tree, so a shell
//! does: it waits for the end of a pipe that only the supervisor holds open. It is told the group
//! once that exists; a supervisor killed in the microseconds between leaves the tree alone.

use super::sys;
use std::{
    io::{self, PipeWriter, Write},
    process::{Child, Command, Stdio},
};

/// The first line is the group; that there is no second means that nobody is left to write one.
const SCRIPT: &str = "read -r group || exit 0; read -r none; kill -s KILL -- \"-$group\"";

/// A shell that waits for the end of this process. Dropping it sends it home.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    pipe: PipeWriter,
}

impl Guard {
    /// Starts the shell, in a session of its own so that no signal to the caller's reaches it.
    pub(crate) fn post() -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).env_clear().current_dir("/");
        shell.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null());
        sys::detach(&mut shell, Vec::new());
        Ok(Self { shell: shell.spawn()?, pipe })
    }

    /// Tells it whom to kill.
    pub(crate) fn watch(&mut self, group: u32) -> io::Result<()> {
        self.pipe.write_all(format!("{group}\n").as_bytes())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Before the pipe closes, or it would do its duty.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    fn sleeper() -> Child {
        let mut sleeper = Command::new("/bin/sleep");
        sleeper.arg("1000").process_group(0).spawn().expect("it can be started")
    }

    #[test]
    fn when_the_pipe_closes_the_group_is_killed() {
        let mut sleeper = sleeper();
        let mut guard = Guard::post().expect("a shell can be started");
        guard.watch(sleeper.id()).expect("it listens");
        let (_, other) = io::pipe().expect("a pipe can be made");
        drop(std::mem::replace(&mut guard.pipe, other));
        assert_eq!(sleeper.wait().expect("it is our child").signal(), Some(9));
        guard.shell.wait().expect("it ends by itself");
    }

    #[test]
    fn a_guard_that_is_sent_home_kills_nobody() {
        let mut sleeper = sleeper();
        let mut guard = Guard::post().expect("a shell can be started");
        guard.watch(sleeper.id()).expect("it listens");
        drop(guard);
        assert_eq!(sleeper.try_wait().expect("it is our child"), None);
        sleeper.kill().expect("it is our child");
        assert_eq!(sleeper.wait().expect("it is our child").signal(), Some(9));
    }
}

//! Who runs the command under test: root, and an ordinary user.
//!
//! A suite started by root also runs everything as an ordinary user, a system account that it creates when it is
//! missing (and keeps: the next run uses it again). A suite started by an ordinary user runs as that user only.
//!
//! The trap: changing the user is left to `setpriv`, which executes the program in place, so the process that the
//! suite started is the program itself and signals reach it.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the system account that stands for "an ordinary user" when the suite is run by root.
pub const ORDINARY: &str = "ringfence-test";

/// A user on whose behalf commands are run.
#[derive(Clone, Debug)]
pub struct Account {
    /// `root` or `user`: how results name it.
    pub label: &'static str,
    /// Login name.
    pub login: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory in the user database; it may not exist.
    pub passwd_home: PathBuf,
    switch: bool,
}

impl Account {
    /// The user who started the suite.
    pub fn current() -> Account {
        let uid = rustix::process::getuid().as_raw();
        let gid = rustix::process::getgid().as_raw();
        let label = if uid == 0 { "root" } else { "user" };
        let entry = passwd().into_iter().find(|entry| entry.uid == uid);
        let (login, home) =
            entry.map_or((uid.to_string(), PathBuf::from("/")), |e| (e.login, e.home));
        Account { label, login, uid, gid, passwd_home: home, switch: false }
    }

    /// The ordinary user that root tests with, created when missing.
    ///
    /// # Errors
    /// Why there is none, in words for the summary: not root, no `setpriv`, no `useradd`.
    pub fn ordinary() -> Result<Account, String> {
        if rustix::process::getuid().as_raw() != 0 {
            return Err("only root can change to another user".to_owned());
        }
        if !succeeds(Command::new("setpriv").arg("--version")) {
            return Err("setpriv (package util-linux) is missing".to_owned());
        }
        let find = || passwd().into_iter().find(|entry| entry.login == ORDINARY);
        if find().is_none() {
            let mut useradd = Command::new("useradd");
            useradd.args([
                "--system",
                "--user-group",
                "--create-home",
                "--shell",
                "/bin/sh",
                ORDINARY,
            ]);
            if !succeeds(&mut useradd) {
                return Err(format!("useradd could not create `{ORDINARY}`"));
            }
        }
        let entry = find().ok_or_else(|| format!("no user `{ORDINARY}` after useradd"))?;
        Ok(Account {
            label: "user",
            login: entry.login,
            uid: entry.uid,
            gid: entry.gid,
            passwd_home: entry.home,
            switch: true,
        })
    }

    /// True for the superuser.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// A command that runs `program` as this user, with an empty environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = if self.switch {
            let mut setpriv = Command::new("setpriv");
            setpriv.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
            setpriv.args(["--clear-groups", "--"]).arg(program);
            setpriv
        } else {
            Command::new(program)
        };
        command.env_clear();
        command
    }

    /// Gives `path` to this user.
    ///
    /// # Errors
    /// What `chown(2)` says; nothing is done when the suite runs as this user.
    pub fn own(&self, path: &Path) -> std::io::Result<()> {
        if self.switch {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
        } else {
            Ok(())
        }
    }

    /// Gives an open file to this user.
    ///
    /// # Errors
    /// What `fchown(2)` says; nothing is done when the suite runs as this user.
    pub fn own_open(&self, file: impl AsFd) -> std::io::Result<()> {
        if self.switch {
            std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))
        } else {
            Ok(())
        }
    }
}

struct Entry {
    login: String,
    uid: u32,
    home: PathBuf,
    gid: u32,
}

fn passwd() -> Vec<Entry> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split(':').collect();
    let [login, _, uid, gid, _, home, ..] = fields[..] else { return None };
    Some(Entry {
        login: login.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: PathBuf::from(home),
    })
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

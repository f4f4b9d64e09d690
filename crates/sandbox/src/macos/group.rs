//! The processes of a tree: a process group, and the descendants that have left it.
//!
//! A signal to a group reaches all of it at once. Who has left it (a daemon begins a session) is
//! found by asking ps(1) for everybody's parents, and only as long as the chain of parents holds:
//! when a process ends, its children become those of the first process of the system.

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use std::{collections::BTreeSet, io, process::Command};

/// The group of a process that leads one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(Pid);

/// Who belongs to a tree at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Members {
    group: BTreeSet<i32>,
    strays: BTreeSet<i32>,
}

impl Group {
    pub(crate) fn led_by(pid: u32) -> Self {
        Self(Pid::from_raw(pid.cast_signed()))
    }

    /// Sends a signal to all of the group.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        killpg(self.0, signal).map_err(Into::into)
    }

    /// Whether anybody of the group can still be signalled. On macOS the dead that nobody has
    /// reaped do not count.
    pub(crate) fn is_alive(self) -> bool {
        killpg(self.0, None).is_ok()
    }

    /// Whether anybody of the group runs. Asks ps(1), which takes some milliseconds, only where
    /// the dead may be what still can be signalled.
    pub(crate) fn runs(self) -> bool {
        self.is_alive() && !members(&table(), self.0.as_raw()).group.is_empty()
    }

    /// Kills all of the group and its descendants elsewhere; how many there were, at least. Takes
    /// as long as ps(1) does: some milliseconds.
    pub(crate) fn kill(self) -> u32 {
        let members = members(&table(), self.0.as_raw());
        // Who is gone already needs no signal.
        drop(self.signal(Signal::SIGKILL));
        for stray in &members.strays {
            let _ = kill(Pid::from_raw(*stray), Signal::SIGKILL);
        }
        let count = members.group.len() + members.strays.len();
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }
}

/// Everybody's number, parent, group and state; empty when ps(1) does not answer.
fn table() -> String {
    let mut ps = Command::new("/bin/ps");
    ps.args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat="]);
    ps.env_clear();
    let answer = ps.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}

fn members(table: &str, group: i32) -> Members {
    let rows: Vec<[i32; 3]> = table.lines().filter_map(row).collect();
    let mut members = Members::default();
    members.group.extend(rows.iter().filter(|row| row[2] == group).map(|row| row[0]));
    loop {
        let below = rows.iter().filter(|[pid, parent, _]| {
            let known = |pid| members.group.contains(pid) || members.strays.contains(pid);
            known(parent) && !known(pid)
        });
        let found: Vec<_> = below.map(|row| row[0]).collect();
        if found.is_empty() {
            return members;
        }
        members.strays.extend(found);
    }
}

/// Number, parent and group of one who is not dead.
fn row(line: &str) -> Option<[i32; 3]> {
    let mut words = line.split_ascii_whitespace();
    let mut number = || words.next()?.parse().ok();
    let row = [number()?, number()?, number()?];
    (!words.next()?.starts_with('Z')).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_outside_of_the_group() {
        let table = " 1 0 1 Ss\n 50 1 50 S+\n 51 50 50 R\n 52 51 52 S\n 53 52 52 T\n 54 50 50 Z+\n \
                     60 1 60 Z\n 61 1 61 S\nx y z\n62 1\n";
        let check = |group, expect: (&[i32], &[i32])| {
            let members = members(table, group);
            let sets = (expect.0.iter().copied().collect(), expect.1.iter().copied().collect());
            assert_eq!((members.group, members.strays), sets, "{group}");
        };
        check(50, (&[50, 51], &[52, 53]));
        check(52, (&[52, 53], &[]));
        check(60, (&[], &[]));
        check(99, (&[], &[]));
    }
}

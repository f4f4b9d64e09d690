//! Samples of real trees: what is seen is what was started.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use ringfence_resource_limits::{Sampler, Scope, sample};

/// A shell and its tree. Every process of it that matters prints a line when it is up, and then
/// reads standard input, which ends when this is dropped.
struct Tree {
    shell: Child,
}

impl Tree {
    fn start(script: &str, lines: usize) -> Self {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("because every Unix has /bin/sh");
        let stdout = shell.stdout.take().expect("because it was asked for");
        assert_eq!(BufReader::new(stdout).lines().take(lines).count(), lines, "{script}");
        Self { shell }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().expect("because the shell is our child");
    }
}

#[test]
fn descendants_are_counted_and_the_root_is_not() {
    let leaf = "exec sh -c 'echo up; read x' <&3";
    let script = format!("exec 3<&0; (({leaf}) & ({leaf}) & wait) & echo up; read x; wait");
    let tree = Tree::start(&script, 3);
    let sample = sample(tree.shell.id(), 100).expect("because the tree is alive");
    assert_eq!(sample.processes, 3, "one subshell and two leaves: {sample:?}");
    assert_eq!(sample.threads, 3);
    assert!(sample.memory_bytes > 0);
}

#[test]
fn the_walk_stops_at_its_bound() {
    let leaf = "sh -c 'echo up; read x' <&3 &";
    let tree = Tree::start(&format!("exec 3<&0; {leaf} {leaf} {leaf} read x; wait"), 3);
    let sample = sample(tree.shell.id(), 2).expect("because the tree is alive");
    assert_eq!(sample.processes, 2);
}

#[test]
fn cpu_time_of_reaped_children_is_kept() {
    let burn = "while read -r line < /proc/$$/stat; do set -- $line; [ ${14} -ge 3 ] && exit; done";
    let tree = Tree::start(&format!("sh -c '{burn}'; echo up; read x"), 1);
    let sample = sample(tree.shell.id(), 100).expect("because the tree is alive");
    assert_eq!(sample.processes, 0);
    assert!(sample.user_cpu.as_millis() >= 20, "{sample:?}");
}

#[test]
fn who_was_born_between_two_looks_is_counted() {
    let leaf = "sh -c 'echo up; read x' <&3 &";
    let tree = Tree::start(&format!("exec 3<&0; {leaf} {leaf} read x; wait"), 2);
    let mut sampler = Sampler::new(tree.shell.id());
    let scope = Scope { at_most: 100, descriptors: true };
    let first = sampler.look(&scope).expect("because the tree is alive");
    let second = sampler.look(&scope).expect("because the tree is alive");
    assert_eq!((first.births, second.births), (2, 0));
    assert_eq!(first.commonest.map(|name| name.to_string()).as_deref(), Some("sh"));
    // Before Linux 6.2 the kernel does not say; then nothing is claimed.
    assert!(first.descriptors.is_none_or(|(open, _)| open >= 4), "{first:?}");
}

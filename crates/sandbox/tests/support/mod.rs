//! What tests of a sandbox on the kernel at hand have in common.

mod ended;
mod spec;

use ended::ended;
use ringfence_sandbox::{ExitStatus, Process, Program, Sandbox, SandboxSpec, Stdio};
pub(crate) use spec::spec;
use std::{fs::File, path::Path, time::Duration};

pub(crate) fn process(cwd: &Path, script: &str) -> Process {
    Process {
        program: Program::Search { name: "sh".into(), path: "/nonexistent:/bin:/usr/bin".into() },
        args: vec!["sh".into(), "-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: cwd.to_owned(),
        rlimits: Vec::new(),
        linger: Duration::from_millis(20),
        temp: None,
        proxy: None,
        terminal: None,
    }
}

pub(crate) fn run_in(spec: &SandboxSpec, script: &str) -> (ExitStatus, String) {
    let sandbox = Sandbox::prepare(spec).expect("the sandbox can be prepared");
    let (reader, writer) = std::io::pipe().expect("a pipe can be had");
    let stdio = Stdio {
        stdin: File::open("/dev/null").expect("/dev/null is there").into(),
        stdout: writer.try_clone().expect("it can be copied").into(),
        stderr: writer.into(),
    };
    let tree = sandbox.start(&process(&spec.workspace, script), &stdio).expect("it starts");
    drop(stdio);
    ended(&tree, reader)
}

/// The script must succeed in the sandbox.
pub(crate) fn works(spec: &SandboxSpec, script: &str) {
    let (status, output) = run_in(spec, script);
    assert_eq!(status, ExitStatus::Exited(0), "{script}: {output}");
}

/// The script must fail in the sandbox, and succeed outside.
pub(crate) fn refused(spec: &SandboxSpec, script: &str) {
    let (status, output) = run_in(spec, script);
    assert_ne!(status, ExitStatus::Exited(0), "worked inside: {script}: {output}");
    let outside = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .current_dir(&spec.workspace)
        .output()
        .expect("a shell is there");
    assert!(outside.status.success(), "fails outside too: {script}: {outside:?}");
}

//! Runs a shell command that may write into the current directory and reach nothing:
//! `cargo run -p ringfence-sandbox --example confine -- 'id; touch /etc/x; ls ~/.ssh'`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use ringfence_sandbox::{
    Confinement, FileView, Files, Network, Process, Program, Report, Sandbox, SandboxSpec, Stdio,
    Trace, UnixSockets,
};
use std::{env, os::fd::AsFd, time::Duration};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = env::current_dir()?;
    let home = env::var_os("HOME").map(Into::into);
    let sandbox = Sandbox::prepare_by_trying(&SandboxSpec {
        confinement: Confinement::Sandbox,
        strict: false,
        files: Files::View(FileView {
            writable: vec![here.clone()],
            homes: home.into_iter().collect(),
            ..FileView::default()
        }),
        network: Network::Deny,
        unix_sockets: UnixSockets::Private,
        trace: Trace::Changes,
        workspace: here.clone(),
    })?;
    let line = env::args_os().nth(1).unwrap_or_else(|| "echo hello from a sandbox".into());
    let process = Process {
        program: Program::Path("/bin/sh".into()),
        args: vec!["sh".into(), "-c".into(), line],
        env: env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME").collect(),
        cwd: here,
        rlimits: Vec::new(),
        linger: Duration::from_millis(100),
        temp: None,
        proxy: None,
        terminal: None,
    };
    if env::var_os("SHOW_PLAN").is_some() {
        print!("{}", sandbox.plan_text(&process)?);
    }
    let stdio = Stdio {
        stdin: std::io::stdin().as_fd().try_clone_to_owned()?,
        stdout: std::io::stdout().as_fd().try_clone_to_owned()?,
        stderr: std::io::stderr().as_fd().try_clone_to_owned()?,
    };
    let tree = sandbox.start(&process, &stdio)?;
    drop(stdio);
    while let Some(report) = tree.wait_report()? {
        match report {
            Report::Failed(failure) => return Err(failure.into()),
            Report::CommandExited { status } => println!("{status:?}"),
            Report::Finished { usage } => println!("{usage:?}"),
            _ => {}
        }
    }
    Ok(())
}

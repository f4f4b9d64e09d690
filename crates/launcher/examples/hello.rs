//! Carries out a plan of four steps and prints what the init reports:
//! `cargo run -p ringfence-launcher --example hello`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

#[cfg(target_os = "linux")]
use ringfence_launcher::{Plan, Report, Step, spawn};
#[cfg(target_os = "linux")]
use std::{os::fd::AsFd, sync::Arc};

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the launcher is for Linux");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Arc::new(Plan {
        namespaces: 0,
        linger_ms: 100,
        steps: vec![
            Step::Subreaper,
            Step::NewSession,
            Step::Stdio,
            Step::CloseOthers,
            Step::Exec {
                candidates: vec![c"/bin/sh".into()],
                args: vec![c"sh".into(), c"-c".into(), c"echo hello from $0; exit 7".into()],
                env: vec![],
            },
        ],
    });
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let tree = spawn(&plan, [input.as_fd(), output.as_fd(), error.as_fd()])?;
    while let Some(report) = tree.wait_report()? {
        println!("{report:?}");
        if matches!(report, Report::Failed(_) | Report::Finished { .. }) {
            break;
        }
    }
    Ok(())
}

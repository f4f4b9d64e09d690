//! Turns limits into rlimits, looks at this process's own tree, and says what ended a command.
//!
//! `cargo run -p ringfence-resource-limits --example limits`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use ringfence_resource_limits::{Context, Ending, Limits, attribute, hard_ceiling, sample};

fn main() -> Result<(), Box<dyn Error>> {
    let limits = Limits {
        memory: None,
        cpu_time: Some(Duration::from_millis(1500)),
        processes: Some(64),
        open_files: Some(256),
        file_size: Some(1 << 20),
        ..Limits::default()
    };
    for rlimit in limits.rlimits(hard_ceiling)? {
        println!("{:?}: soft {}, hard {}", rlimit.resource, rlimit.soft, rlimit.hard);
    }
    for (resource, how) in limits.enforced(Context { real_root: false, own_user_namespace: true }) {
        println!("{resource}: {how}");
    }

    let mut child = Command::new("/bin/sleep").arg("60").spawn()?;
    println!("{:?}", sample(std::process::id(), 1000)?);
    child.kill()?;
    child.wait()?;

    let ended =
        Ending { signal: Some(24), cpu_time: Duration::from_millis(2004), ..Ending::default() };
    if let Some(hit) = attribute(&limits, &ended) {
        println!("ended by the {hit} ({})", hit.reason_code());
    }
    Ok(())
}

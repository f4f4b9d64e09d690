//! `cargo xtask vm`: the tests on another kernel, in a throw-away machine under QEMU.
//!
//! A machine sees this machine's own files: its root is the host's, shared read-only, with what it writes kept in
//! memory. So every program here is there too, and nothing stays. Kernels come from Debian by apt and are kept in
//! `~/.cache/ringfence-vm`. Without a command the suite's probes run, and a machine that lacks what the sandbox is
//! built on must say so clearly; with `-- COMMAND` just that, and its exit status is this program's.
//!
//! The programs under test are a release build, for a machine without a processor of its own makes everything slow.
//!
//! Deliberately not here: tests of speed, and whatever needs a network.
//!
//! The trap: the root is an overlay, and an overlay cannot lie on another. What tests write lies in `/srv/tests`,
//! which is a file system in memory of its own.

mod archive;
mod kernel;
mod machine;
mod matrix;
mod tools;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use kernel::Kernel;
use machine::{Job, ORDINARY, Variant, Workshop, quoted};
use tools::Qemu;

const USAGE: &str = "\
usage: cargo xtask vm [KERNEL]… [--all] [--debug]
       cargo xtask vm [KERNEL]… [VARIANT]… [--user] [--timeout SECONDS] -- COMMAND [ARG]…
KERNEL is a series or a version of Debian's: 6.1, 6.12, 6.1.0-47
VARIANT is one of --no-namespaces, --no-landlock, --ptrace-scope N, --cgroup delegated|undelegated|none|systemd";

/// Kernels of Debian's two last releases: the oldest and the newest that it has for this machine.
const KERNELS: &[&str] = &["6.1", "6.12"];

#[derive(Debug)]
struct Options {
    kernels: Vec<String>,
    all: bool,
    release: bool,
    root: bool,
    timeout: Duration,
    variant: Variant,
    command: Vec<String>,
}

/// Runs tests or a command in machines; gives the exit status.
///
/// # Errors
/// When the command line is not understood, or a command could not be run.
pub(crate) fn vm(args: &[String]) -> Result<u8, String> {
    let options = options(args)?;
    let workshop = workshop();
    if options.command.is_empty() {
        return matrix::run(&options, workshop);
    }
    let workshop = workshop?;
    let mut worst = 0;
    for wanted in &options.kernels {
        let kernel = Kernel::fetch(wanted, &workshop.cache)?;
        let words: Vec<String> = options.command.iter().map(|word| quoted(word)).collect();
        let job = Job {
            command: format!("exec {}\n", words.join(" ")),
            root: options.root,
            project: &crate::cargo::root(),
            deadline: options.timeout,
        };
        let done = workshop.run(&kernel, &options.variant, &job, Stdio::inherit())?;
        eprintln!(
            "vm: {}, up after {} s, {:.1} s in all",
            kernel.release,
            done.booted,
            done.took.as_secs_f64()
        );
        worst = worst.max(done.status);
    }
    Ok(worst)
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        kernels: Vec::new(),
        all: false,
        release: true,
        root: true,
        timeout: Duration::from_secs(600),
        variant: ORDINARY,
        command: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value\n{USAGE}"));
        let variant = &mut options.variant;
        match arg.as_str() {
            "--all" => options.all = true,
            "--debug" => options.release = false,
            "--user" => options.root = false,
            "--no-namespaces" => variant.no_namespaces = true,
            "--no-landlock" => variant.no_landlock = true,
            "--ptrace-scope" => variant.ptrace_scope = Some(number(arg, value()?)?),
            "--timeout" => options.timeout = Duration::from_secs(number(arg, value()?)?),
            "--cgroup" => {
                let known = ["delegated", "undelegated", "none", "systemd"];
                let value = value()?;
                let found = known.into_iter().find(|known| known == value);
                variant.cgroup = found.ok_or(format!("--cgroup {value}\n{USAGE}"))?;
            }
            "--" => options.command.extend(args.by_ref().cloned()),
            _ if arg.starts_with(|c: char| c.is_ascii_digit()) => {
                options.kernels.push(arg.clone());
            }
            _ => return Err(format!("unknown option {arg}\n{USAGE}")),
        }
    }
    if options.kernels.is_empty() {
        options.kernels = KERNELS.iter().map(|&kernel| kernel.to_owned()).collect();
    }
    Ok(options)
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(
    option: &str,
    text: &str,
) -> Result<T, String> {
    text.parse().map_err(|error| format!("{option} {text}: {error}"))
}

fn workshop() -> Result<Workshop, String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("machines are made for x86-64 only".to_owned());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .ok_or("neither XDG_CACHE_HOME nor HOME says where kernels are to be kept")?
        .join("ringfence-vm");
    std::fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    Ok(Workshop { qemu: Qemu::find(&cache)?, busybox: tools::busybox(&cache)?, cache })
}

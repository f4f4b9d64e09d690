//! A native attacker: each subcommand tries one thing with raw system calls and says how it went.
//!
//! Exit status 0: it worked. 10: it was refused. 11: refused as an unknown system call. 20: this machine has nothing
//! to try it on. The attacker does not know whether it is inside a sandbox; it tries in earnest, and it does not tidy
//! up after a success, because outside it works on a throw-away directory and a bystander made for it. What would
//! harm the machine is tried with arguments that the kernel refuses after its permission check.
//!
//! `bystander` is the other side: a process of the host with secrets, sockets and shared memory to lose.
//! `contain` starts a command and ends what it leaves behind, `without` one that lacks a system call. `emit` writes test data. The `works` module is what every program may expect to be able to do.
#![cfg_attr(not(target_os = "linux"), no_main)]
#![cfg(target_os = "linux")]

mod bystander;
mod contain;
mod detours;
mod emit;
mod files;
mod host;
mod ipc;
mod kernel;
mod namespaces;
mod network;
mod processes;
mod sockets;
mod sys;
mod terminal;
mod trace;
mod without;
mod works;

use std::io::{self, Write};

/// What an attempt that succeeded has to show.
type Attempt = Result<String, Refusal>;

/// Why an attempt came to nothing.
enum Refusal {
    Denied(String),
    NoSuchCall(String),
    NotHere(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Refusal::NoSuchCall(error.to_string()),
            _ => Refusal::Denied(error.to_string()),
        }
    }
}

/// One subcommand.
type Probe = (&'static str, fn(&[String]) -> Attempt);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) =
        args.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    match name {
        "bystander" => return bystander::stand(rest),
        "contain" => contain::contain(rest),
        "without" => without::without(rest),
        "emit" => return emit::emit(rest),
        _ => {}
    }
    let tables = [
        files::PROBES,
        processes::PROBES,
        trace::PROBES,
        network::PROBES,
        namespaces::PROBES,
        kernel::PROBES,
    ];
    let tables = tables.into_iter().chain([terminal::PROBES, ipc::PROBES, works::PROBES]);
    let tables = tables.chain([sockets::PROBES, host::PROBES, detours::PROBES]);
    let attempt = match tables.flatten().find(|(known, _)| *known == name) {
        None => std::process::exit(2),
        // A fact that the bystander could not find on this machine is still a placeholder.
        Some(_) if rest.iter().any(|arg| arg.starts_with('@')) => {
            Err(Refusal::NotHere(rest.join(" ")))
        }
        Some((_, probe)) => probe(rest),
    };
    let (status, text) = match attempt {
        Ok(text) => (0, text),
        Err(Refusal::Denied(text)) => (10, text),
        Err(Refusal::NoSuchCall(text)) => (11, text),
        Err(Refusal::NotHere(text)) => (20, text),
    };
    writeln!(io::stdout(), "{text}").ok();
    std::process::exit(status);
}

/// The argument at this place; the tables of probes give all that are needed.
fn arg(args: &[String], index: usize) -> &str {
    args.get(index).map_or("", String::as_str)
}

/// The argument at this place as a number, decimal or with `0x`, or the process that a word stands for.
fn number(args: &[String], index: usize) -> usize {
    let text = arg(args, index);
    if let Some(pid) = host::relative(text) {
        return pid;
    }
    let parsed =
        text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| usize::from_str_radix(hex, 16));
    parsed.expect("because the table gives a number here")
}

fn denied<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::Denied(what.to_owned()))
}

fn not_here<T>(what: &str) -> Result<T, Refusal> {
    Err(Refusal::NotHere(what.to_owned()))
}

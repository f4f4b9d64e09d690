//! Which machines the tests run on, and what must come of it on each.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::machine::{Done, Job, ORDINARY, Variant, Workshop, quoted};
use super::{Kernel, Options};
use crate::cargo::{cargo, programs, root};

/// How much slower everything may be there than here; the tests' own deadlines are stretched by it.
const SLOWNESS: u32 = 20;

/// Probes that the machines run: what depends on the kernel, and on nothing else.
const PROBES: &[&str] =
    &["files probe", "processes probe", "network probe", "allowlist probe", ALLOWLIST];

/// What an allowlist lets through and says. It needs a network namespace: elsewhere there is a proxy, which other programs do not
/// know of, and what it says of them is less.
const ALLOWLIST: &str = "allowlist: ";

/// What is left out where Landlock alone holds. Before its scopes (Linux 6.12) everybody of the same
/// user can be signalled, which the result admits; the attacker would end its own judge, or as root the
/// machine's first process. And files of `/proc` cannot be written, a process's own memory among them,
/// which debuggers do not need.
const WITHOUT_WALLS: &[&str] = &["kill everybody", "kill init", "open one's own memory"];

/// The short set runs the first of each so many probes: an emulated machine needs a second or two for one.
const EVERY: usize = 5;

/// For whom the short set runs them, by kernel: either account meets one kernel.
const SHORT: &[(&str, &str)] = &[("6.1", "user"), ("6.12", "root")];

/// One machine of the matrix.
struct Entry {
    kernels: &'static [&'static str],
    variant: Variant,
    /// What a run must say that holds it: a backend of the result object, or `refused`.
    holds: &'static str,
    /// Run the probes there, beside the first words; without namespaces not in the short set.
    probes: bool,
    /// Part of the short set.
    short: bool,
}

const BOTH: &[&str] = &["6.1", "6.12"];

const MATRIX: &[Entry] = &[
    Entry {
        kernels: BOTH,
        variant: ORDINARY,
        holds: "linux_namespaces",
        probes: true,
        short: true,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { no_namespaces: true, ..ORDINARY },
        holds: "linux_landlock",
        probes: true,
        short: true,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { no_landlock: true, ..ORDINARY },
        holds: "linux_namespaces",
        probes: true,
        short: false,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { no_namespaces: true, no_landlock: true, ..ORDINARY },
        holds: "refused",
        probes: false,
        short: false,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { ptrace_scope: Some(2), ..ORDINARY },
        holds: "linux_namespaces",
        probes: false,
        short: false,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { ptrace_scope: Some(3), ..ORDINARY },
        holds: "linux_namespaces",
        probes: false,
        short: false,
    },
    Entry {
        kernels: &["6.12"],
        variant: Variant { cgroup: "undelegated", ..ORDINARY },
        holds: "linux_namespaces",
        probes: false,
        short: true,
    },
    Entry {
        kernels: &["6.1"],
        variant: Variant { cgroup: "undelegated", ..ORDINARY },
        holds: "linux_namespaces",
        probes: false,
        short: false,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { cgroup: "none", ..ORDINARY },
        holds: "linux_namespaces",
        probes: false,
        short: false,
    },
    Entry {
        kernels: BOTH,
        variant: Variant { cgroup: "systemd", ..ORDINARY },
        holds: "linux_namespaces",
        probes: false,
        short: false,
    },
];

/// What was counted over all machines.
#[derive(Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs the short set, or all of the matrix; exit status 1 when something failed.
///
/// # Errors
/// When the programs under test do not build.
pub(super) fn run(options: &Options, workshop: Result<Workshop, String>) -> Result<u8, String> {
    let mut counts = Counts::default();
    match workshop {
        Err(why) => counts.skip("every machine", &why),
        Ok(workshop) => {
            build(options)?;
            let entries = MATRIX.iter().filter(|entry| entry.short || options.all);
            for entry in entries {
                for kernel in entry.kernels.iter().filter(|kernel| wanted(options, kernel)) {
                    one(kernel, entry, options, &workshop, &mut counts)?;
                }
            }
        }
    }
    let must_work = std::env::var_os("RINGFENCE_MUST_WORK").is_some_and(|value| value == "1");
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    Ok(u8::from(counts.failed > 0 || must_work && counts.skipped > 0))
}

/// A kernel named on the command line may be an exact version of a series.
fn wanted(options: &Options, series: &str) -> bool {
    options
        .kernels
        .iter()
        .any(|kernel| kernel == series || kernel.starts_with(&format!("{series}.")))
}

fn build(options: &Options) -> Result<(), String> {
    let mut build = cargo();
    build.args(["build", "--quiet", "-p", "ringfence-cli", "-p", "ringfence-tests"]);
    if options.release {
        build.arg("--release");
    }
    let built = build.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if built.success() { Ok(()) } else { Err("ringfence does not build".to_owned()) }
}

fn one(
    series: &str,
    entry: &Entry,
    options: &Options,
    workshop: &Workshop,
    counts: &mut Counts,
) -> Result<(), String> {
    let named = options.kernels.iter().find(|kernel| kernel.starts_with(series));
    let kernel = match Kernel::fetch(named.map_or(series, |kernel| kernel), &workshop.cache) {
        Ok(kernel) => kernel,
        Err(why) => {
            counts.skip(&format!("kernel {series}"), &why);
            return Ok(());
        }
    };
    let what = format!("{}, {}", kernel.release, entry.variant.describe());
    if let Some(program) = entry.variant.lacks() {
        counts.skip(&what, &format!("there is no {program} here"));
        return Ok(());
    }
    println!("== {what}");
    let job = Job {
        command: script(series, entry, options, &programs(options.release)?),
        root: true,
        project: &root(),
        deadline: Duration::from_secs(2400),
    };
    let before = counts.failed;
    let listened = listen(workshop, &kernel, &entry.variant, &job, counts)?;
    match listened {
        Ok(done) => {
            println!("up after {} s, {:.1} s in all", done.booted, done.took.as_secs_f64());
            if done.status != 0 && counts.failed == before {
                counts.fail(&what, &format!("exit status {}", done.status));
            }
        }
        Err(why) => counts.fail(&what, &why),
    }
    Ok(())
}

/// Runs the job and counts what it says while it runs.
fn listen(
    workshop: &Workshop,
    kernel: &Kernel,
    variant: &Variant,
    job: &Job<'_>,
    counts: &mut Counts,
) -> Result<Result<Done, String>, String> {
    let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    Ok(thread::scope(|scope| {
        let machine = scope.spawn(|| workshop.run(kernel, variant, job, Stdio::from(writer)));
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            println!("{line}");
            counts.hear(&line);
        }
        machine.join().expect("because a machine's thread does not panic")
    }))
}

/// The job: the first words, then the suite. The programs are copied, for opening a file of the host takes long.
fn script(series: &str, entry: &Entry, options: &Options, programs: &Path) -> String {
    let words = match entry.variant.cgroup {
        "systemd" => include_str!("systemd-words.sh"),
        _ => include_str!("first-words.sh"),
    };
    let first = format!("{}{words}", include_str!("words.sh"));
    let programs = quoted(&programs.to_string_lossy());
    // Root may use what is delegated to nobody.
    let (root, user) = match entry.variant.cgroup {
        "delegated" => ("cgroup", "cgroup"),
        "undelegated" => ("cgroup", "sampled"),
        _ => ("sampled", "sampled"),
    };
    let holds = entry.holds;
    let mut text =
        format!("programs={programs}\nholds={holds}\nby_root={root}\nby_user={user}\n{first}");
    let degraded = entry.variant.no_namespaces;
    if entry.probes && (options.all || !degraded) {
        let mut only: String =
            PROBES.iter().map(|name| format!(" --only {}", quoted(name))).collect();
        let short = SHORT.iter().find(|(kernel, _)| *kernel == series && !options.all);
        if let Some((_, account)) = short {
            only.push_str(&format!(" --as {account} --every {EVERY}"));
        }
        if degraded {
            only.push_str(" --admit");
            WITHOUT_WALLS
                .iter()
                .chain([&ALLOWLIST])
                .for_each(|name| only.push_str(&format!(" --except {}", quoted(name))));
        }
        text.push_str(&format!(
            "RINGFENCE_TEST_DIR=/srv/tests RINGFENCE_TEST_SLOWNESS={SLOWNESS} \
             \"$programs/suite\" --bin \"$bin\"{only} || status=1\n"
        ));
    }
    text.push_str("exit $status\n");
    text
}

impl Counts {
    fn hear(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("suite: ") else { return };
        let words: Vec<&str> = summary.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "skipped" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn fail(&mut self, what: &str, why: &str) {
        self.failed += 1;
        println!("failed: {what}: {why}");
    }

    fn skip(&mut self, what: &str, why: &str) {
        self.skipped += 1;
        println!("skipped: {what}: {why}");
    }
}

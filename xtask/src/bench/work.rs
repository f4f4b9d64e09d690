//! Everyday work inside and outside: what the walls and the telling of refusals cost once a command runs.
//!
//! The start of a run is part of each time, as it is for whoever waits; the work takes a hundred times as long.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A name, how its place is furnished, and the work, both for `/bin/sh` in an empty directory.
const WORKS: &[(&str, &str, &str)] = &[
    (
        "make, gcc",
        "i=0; while [ $i -lt 24 ]; do printf '#include <stdio.h>\\nint f%d(int x) { printf(\"%%d\", x); return x * %d; }\\n' $i $i > f$i.c; i=$((i+1)); done
         printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n%%.o: %%.c\\n\\tgcc -O1 -c $< -o $@\\n' > Makefile",
        "rm -f *.o; make -s -j2",
    ),
    (
        "git status",
        "git init -q . && i=0; while [ $i -lt 40 ]; do mkdir d$i; j=0; while [ $j -lt 50 ]; do echo $j > d$i/$j; j=$((j+1)); done; i=$((i+1)); done
         git add . && git -c user.name=T -c user.email=t@localhost commit -q -m one",
        "for i in 1 2 3 4 5; do touch d1/1; git status --short; done",
    ),
    (
        "grep -r",
        "i=0; while [ $i -lt 40 ]; do mkdir d$i; j=0; while [ $j -lt 100 ]; do head -c 4096 /dev/zero | tr '\\0' x > d$i/$j; j=$((j+1)); done; i=$((i+1)); done",
        "for i in 1 2 3 4 5; do grep -r needle . || true; done",
    ),
    (
        "tar -x, small files",
        "mkdir d; i=0; while [ $i -lt 2000 ]; do echo $i > d/$i; i=$((i+1)); done; tar -cf t.tar d",
        "rm -rf x; mkdir x; tar -xf t.tar -C x",
    ),
    (
        "cp -r, small files",
        "mkdir d; i=0; while [ $i -lt 2000 ]; do echo $i > d/$i; i=$((i+1)); done",
        "rm -rf x; cp -r d x",
    ),
];

/// The ways in which the work is done; the first is the baseline.
const WAYS: &[(&str, &[&str])] = &[
    ("outside", &[]),
    ("default", &["run", "-q"]),
    ("--trace=connections", &["run", "-q", "--trace=connections"]),
    ("--trace=all-changes", &["run", "-q", "--trace=all-changes"]),
    ("--trace", &["run", "-q", "--trace"]),
];

/// Prints the table.
///
/// # Errors
/// When a command that is measured fails.
pub(super) fn measure(runs: usize, base: &Path) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let ringfence = own.with_file_name("ringfence");
    println!("everyday work, by turns: median of {runs} (least), against the same outside");
    for (index, (name, before, work)) in WORKS.iter().enumerate() {
        let place = base.join(index.to_string());
        fs::create_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        shell(Path::new("/bin/sh"), &[], before, &place)?;
        let mut times = vec![Vec::with_capacity(runs); WAYS.len()];
        for _ in 0..runs {
            for (times, (_, options)) in times.iter_mut().zip(WAYS) {
                let program = if options.is_empty() { Path::new("/bin/sh") } else { &ringfence };
                times.push(shell(program, options, work, &place)?);
            }
        }
        print(name, &mut times);
    }
    Ok(())
}

/// One run of a shell, plain or by `ringfence` with these options.
fn shell(program: &Path, options: &[&str], script: &str, place: &Path) -> Result<Duration, String> {
    let mut command = std::process::Command::new(program);
    command.args(options).args(["-c", script]).current_dir(place);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{}: {error}", program.display()))?;
    let time = start.elapsed();
    if status.success() { Ok(time) } else { Err(format!("{script}: {status}")) }
}

fn print(name: &str, times: &mut [Vec<Duration>]) {
    times.iter_mut().for_each(|times| times.sort_unstable());
    let (median, least) =
        (|times: &[Duration]| times[times.len() / 2], |times: &[Duration]| times[0]);
    let (base, base_least) = (median(&times[0]), least(&times[0]));
    println!("  {name}: {:.1} ms outside", base.as_secs_f64() * 1e3);
    for ((way, _), times) in WAYS.iter().zip(times).skip(1) {
        let over = |time: Duration, base: Duration| {
            (time.as_secs_f64() / base.as_secs_f64() - 1.0) * 100.0
        };
        println!(
            "    {way:22} {:+6.1} % ({:+.1} %)",
            over(median(times), base),
            over(least(times), base_least)
        );
    }
}

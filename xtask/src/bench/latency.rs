//! From start to finish of one `/bin/true`, one after another.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{BWRAP, has_bwrap, run, runner, spawn};

/// The memory that the caller has touched in the second table.
const TOUCHED: usize = 1 << 30;

struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> Result<(), String> + 'a>,
}

/// Prints both tables.
///
/// # Errors
/// When a command that is measured fails.
pub(super) fn measure(runs: usize, workspace: &Path) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (sandbox, host) = (runner(false)?, runner(true)?);
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let ringfence = own.with_file_name("ringfence").to_string_lossy().into_owned();
    let (words, version) =
        ([ringfence.as_str(), "run", "--", "/bin/true"], [ringfence.as_str(), "--version"]);
    let mut contenders = library(&runtime, &sandbox, &host, workspace);
    contenders.push(contender("library, default profile, runner made anew", || {
        let fresh = runner(false)?;
        runtime.block_on(run(&fresh, workspace))
    }));
    contenders.push(contender("ringfence run -- /bin/true", || spawn(&words)));
    contenders.push(contender("ringfence --version", || spawn(&version)));
    if has_bwrap() {
        contenders.push(contender("bwrap, all namespaces", || spawn(BWRAP)));
    }
    println!("one /bin/true, start to finish: median of {runs}, by turns");
    let small = medians(&mut contenders, runs)?;
    print(&contenders, &small);

    let mut memory = vec![0_u8; TOUCHED];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    let mut contenders = library(&runtime, &sandbox, &host, workspace);
    println!("\nthe same with 1 GiB of the caller's memory touched");
    let large = medians(&mut contenders, runs)?;
    print(&contenders, &large);
    black_box(&memory);
    for (index, contender) in contenders.iter().enumerate() {
        let change = large[index].as_secs_f64() / small[index].as_secs_f64() - 1.0;
        println!("  {:44} {:+6.1} % against the same without", contender.name, change * 100.0);
    }
    Ok(())
}

fn contender<'a>(
    name: &'static str,
    run: impl FnMut() -> Result<(), String> + 'a,
) -> Contender<'a> {
    Contender { name, run: Box::new(run) }
}

fn library<'a>(
    runtime: &'a Runtime,
    sandbox: &'a ringfence::Runner,
    host: &'a ringfence::Runner,
    workspace: &'a Path,
) -> Vec<Contender<'a>> {
    vec![
        contender("plain posix_spawn", || spawn(&["/bin/true"])),
        contender("library, default profile", move || runtime.block_on(run(sandbox, workspace))),
        contender("library, host profile", move || runtime.block_on(run(host, workspace))),
    ]
}

/// The median of each contender; they take turns, and who begins changes with each round.
fn medians(contenders: &mut [Contender<'_>], runs: usize) -> Result<Vec<Duration>, String> {
    let count = contenders.len();
    let mut times = vec![Vec::with_capacity(runs); count];
    for contender in contenders.iter_mut() {
        (contender.run)()?;
    }
    for round in 0..runs {
        for turn in 0..count {
            let index = (round + turn) % count;
            let start = Instant::now();
            (contenders[index].run)()?;
            times[index].push(start.elapsed());
        }
    }
    Ok(times.into_iter().map(median).collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn print(contenders: &[Contender<'_>], medians: &[Duration]) {
    let plain = medians[0].as_secs_f64();
    for (contender, median) in contenders.iter().zip(medians) {
        let micros = median.as_secs_f64() * 1e6;
        let (ratio, added) = (median.as_secs_f64() / plain, micros - plain * 1e6);
        println!(
            "  {:44} {micros:7.0} µs   ratio {ratio:5.2}   added {added:+7.0} µs",
            contender.name
        );
    }
}

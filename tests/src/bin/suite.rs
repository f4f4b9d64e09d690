//! The runner of the suite: cases, probes and scenarios, for every shell and account, two at a time.
//!
//! `suite --bin DIRECTORY [--bare] [--only TEXT]… [--except TEXT]… [--every N] [--as root|user] [--data DIRECTORY] [--jobs N] [--list]`.
//! The first directory holds `ringfence` and `attacker`, the second `cases` and `probes`. With `--bare` only the outer
//! halves run: the bare shells, and the attacker outside; that needs no `ringfence` and shows that the tests themselves
//! are right. `--every` takes the first of each N. With `--admit` a probe that succeeds inside is told and not failed
//! where the result admits it, and `--without-namespaces` runs `ringfence` where none can be made, which is for ordinary
//! users. Exit status 1 when something failed, 2 when the suite could not run.
#![cfg_attr(not(target_os = "linux"), no_main)]
#![cfg(target_os = "linux")]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use ringfence_tests::account::{Account, ORDINARY};
use ringfence_tests::case::Case;
use ringfence_tests::leftovers::{Inventory, descendants};
use ringfence_tests::probe::Probe;
use ringfence_tests::scenario::{self, Scenario};
use ringfence_tests::shell::{self, KINDS, Shell};
use ringfence_tests::stage::Stage;
use ringfence_tests::tally::{Tally, Verdict};
use ringfence_tests::{case, probe, trial};

struct Options {
    bin: PathBuf,
    bare: bool,
    list: bool,
    only: Vec<String>,
    except: Vec<String>,
    account: Option<String>,
    data: PathBuf,
    every: usize,
    admit: bool,
    without_namespaces: bool,
    jobs: usize,
}

fn main() -> ExitCode {
    let finished = options().and_then(|options| suite(&options));
    match finished {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            writeln!(io::stderr(), "suite: {message}").ok();
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let jobs = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut options = Options {
        bin: PathBuf::new(),
        bare: false,
        list: false,
        only: Vec::new(),
        except: Vec::new(),
        account: None,
        data: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
        every: 1,
        admit: false,
        without_namespaces: false,
        jobs,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--bin" => options.bin = PathBuf::from(value()?),
            "--bare" => options.bare = true,
            "--list" => options.list = true,
            "--only" => options.only.push(value()?),
            "--except" => options.except.push(value()?),
            "--every" => {
                options.every = value()?.parse().map_err(|error| format!("--every: {error}"))?
            }
            "--admit" => options.admit = true,
            "--without-namespaces" => options.without_namespaces = true,
            "--data" => options.data = PathBuf::from(value()?),
            "--as" => options.account = Some(value()?),
            "--jobs" => {
                options.jobs = value()?.parse().map_err(|error| format!("--jobs: {error}"))?
            }
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    if options.without_namespaces && options.account.as_deref() != Some("user") {
        return Err("--without-namespaces needs --as user".to_owned());
    }
    Ok(options)
}

/// What is to be run.
enum Work {
    Case(Box<Case>, Option<Shell>, Account),
    Probe(Box<Probe>, Account),
    Scenario(&'static Scenario, Account),
    Skip(String),
}

struct Item {
    name: String,
    work: Work,
}

fn suite(options: &Options) -> Result<bool, String> {
    let mut accounts = accounts();
    let wanted = |label: &str| options.account.as_ref().is_none_or(|wanted| wanted == label);
    accounts.retain(|account| account.as_ref().map_or(true, |account| wanted(account.label)));
    let mut stage = Stage::open().map_err(|error| format!("cannot make the stage: {error}"))?;
    let shells = shells(&stage);
    let mut items = items(&options.data, &accounts, &shells)?;
    items.retain(|item| {
        let among = |texts: &[String]| texts.iter().any(|text| item.name.contains(text));
        (options.only.is_empty() || among(&options.only)) && !among(&options.except)
    });
    let items: Vec<Item> = items.into_iter().step_by(options.every.max(1)).collect();
    if options.list {
        return Ok(items.iter().all(|item| writeln!(io::stdout(), "{}", item.name).is_ok()));
    }
    let people: Vec<Account> =
        accounts.iter().filter_map(|account| account.as_ref().ok().cloned()).collect();
    let other = people.iter().find(|account| account.login == ORDINARY).map(|account| account.uid);
    let before = Inventory::take(other);
    let tally = Mutex::new(Tally::default());
    furnish(&mut stage, options, &people, &shells)
        .map_err(|error| format!("cannot furnish the stage: {error}"))?;
    run_all(items, options, &stage, &tally);
    left_processes(&stage, &tally);
    drop(stage);
    let left = Inventory::take(other).since(&before);
    let mut tally = tally.into_inner().expect("because no worker panicked");
    tally.add("nothing is left: mounts and files", unless_left(left));
    Ok(tally.finish())
}

fn unless_left(left: Vec<String>) -> Verdict {
    if left.is_empty() { Verdict::Passed } else { Verdict::Failed(left.join("\n")) }
}

fn left_processes(stage: &Stage, tally: &Mutex<Tally>) {
    stage.watch.look();
    let mut left = stage.watch.take_found();
    left.extend(
        descendants(std::process::id()).iter().map(|pid| format!("process {pid} is still there")),
    );
    tally
        .lock()
        .expect("because no worker panicked")
        .add("nothing is left: processes", unless_left(left));
}

/// Who runs the tests; an account that cannot be had is the reason for which its tests are skipped.
fn accounts() -> Vec<Result<Account, String>> {
    let current = Account::current();
    if current.is_root() { vec![Ok(current), Account::ordinary()] } else { vec![Ok(current)] }
}

/// All kinds of shells, and what was found of them.
type Shells = [(&'static str, Option<Shell>)];

fn shells(stage: &Stage) -> Vec<(&'static str, Option<Shell>)> {
    KINDS.iter().map(|kind| (kind.name, kind.find(&stage.bin))).collect()
}

fn furnish(
    stage: &mut Stage,
    options: &Options,
    accounts: &[Account],
    shells: &Shells,
) -> io::Result<()> {
    let names: &[&str] = if options.bare { &["attacker"] } else { &["attacker", "ringfence"] };
    let programs: Vec<PathBuf> = names.iter().map(|name| options.bin.join(name)).collect();
    let programs: Vec<&Path> = programs.iter().map(PathBuf::as_path).collect();
    let found: Vec<Shell> = shells.iter().filter_map(|(_, shell)| shell.clone()).collect();
    stage.furnish(accounts, &found, &programs)?;
    stage.admits = options.admit;
    if options.without_namespaces {
        stage.without_namespaces("ringfence")?;
    }
    if accounts.len() > 1 {
        stage.copy(&options.bin.join("attacker"), Path::new("setuid-attacker"), 0o4755)?;
    }
    Ok(())
}

fn items(
    data: &Path,
    accounts: &[Result<Account, String>],
    shells: &Shells,
) -> Result<Vec<Item>, String> {
    let (cases, probes) = (case::load(&data.join("cases"))?, probe::load(&data.join("probes"))?);
    let mut items = Vec::new();
    for account in accounts {
        let account = match account {
            Ok(account) => account,
            Err(why) => {
                items.push(Item {
                    name: "everything as an ordinary user".to_owned(),
                    work: Work::Skip(why.clone()),
                });
                continue;
            }
        };
        for (file, case) in &cases {
            items.extend(case_items(file, case, account, shells));
        }
        let suits = |only: &Option<String>| only.as_ref().is_none_or(|only| only == account.label);
        for (file, probe) in probes.iter().filter(|(_, probe)| suits(&probe.only)) {
            let name = format!("{file} probe: {} ({})", probe.name, account.label);
            items.push(Item { name, work: Work::Probe(Box::new(probe.clone()), account.clone()) });
        }
        for scenario in scenario::SCENARIOS {
            let name = format!("scenario: {} ({})", scenario.name, account.label);
            items.push(Item { name, work: Work::Scenario(scenario, account.clone()) });
        }
    }
    Ok(items)
}

fn case_items(file: &str, case: &Case, account: &Account, shells: &Shells) -> Vec<Item> {
    if case.only.as_ref().is_some_and(|only| only != account.label) {
        return Vec::new();
    }
    let missing = case.needs.iter().find(|program| shell::program(program).is_none());
    let boxed = || Box::new(case.clone());
    if case.script.is_none() {
        let work = match missing {
            Some(program) => Work::Skip(format!("{program} is not installed")),
            None => Work::Case(boxed(), None, account.clone()),
        };
        return vec![Item { name: format!("{file}: {} ({})", case.name, account.label), work }];
    }
    let for_shell = |(name, shell): &(&'static str, Option<Shell>)| {
        case.script_for(name)?;
        let work = match (shell, missing) {
            (_, Some(program)) => Work::Skip(format!("{program} is not installed")),
            (None, _) => Work::Skip(format!("the shell {name} is not installed")),
            (Some(shell), None) => Work::Case(boxed(), Some(shell.clone()), account.clone()),
        };
        Some(Item { name: format!("{file}: {} ({name}, {})", case.name, account.label), work })
    };
    shells.iter().filter_map(for_shell).collect()
}

/// Runs the items in threads. Scenarios count processes of their own, so they come last, one after another.
fn run_all(items: Vec<Item>, options: &Options, stage: &Stage, tally: &Mutex<Tally>) {
    let (scenarios, others): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| matches!(item.work, Work::Scenario(..)));
    let queue = Mutex::new(VecDeque::from(others));
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| work_off(&queue, options, stage, tally));
        }
    });
    if !options.bare {
        work_off(&Mutex::new(VecDeque::from(scenarios)), options, stage, tally);
    }
}

fn work_off(queue: &Mutex<VecDeque<Item>>, options: &Options, stage: &Stage, tally: &Mutex<Tally>) {
    let next = || queue.lock().expect("because no worker panicked").pop_front();
    while let Some(item) = next() {
        let verdict = run(&item, options, stage, tally);
        let mut tally = tally.lock().expect("because no worker panicked");
        match verdict {
            Ok(verdict)
                if options.bare
                    && matches!(&verdict, Verdict::Skipped(why) if why.contains("outer half")) => {}
            Ok(verdict) => tally.add(&item.name, verdict),
            Err(error) => {
                tally.add(&item.name, Verdict::Failed(format!("could not be set up: {error}")))
            }
        }
        let left = stage.watch.take_found();
        if !left.is_empty() {
            tally.add(
                &format!("nothing is left by (or about the time of): {}", item.name),
                unless_left(left),
            );
        }
    }
}

fn run(item: &Item, options: &Options, stage: &Stage, tally: &Mutex<Tally>) -> io::Result<Verdict> {
    match &item.work {
        Work::Skip(why) => Ok(Verdict::Skipped(why.clone())),
        Work::Scenario(scenario, account) => Ok(scenario.run(account, stage)),
        Work::Case(case, shell, account) => {
            trial::carry_out(case, shell.as_ref(), account, stage, !options.bare)
        }
        Work::Probe(probe, account) => {
            let (verdict, note) = probe::carry_out(probe, account, stage, !options.bare)?;
            if let Some(note) = note {
                tally.lock().expect("because no worker panicked").note(&item.name, &note);
            }
            Ok(verdict)
        }
    }
}

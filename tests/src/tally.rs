//! The results, counted and told.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// How one test ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// As it must be.
    Passed,
    /// Not as it must be, and what was seen.
    Failed(String),
    /// Not run, and what the machine lacks.
    Skipped(String),
}

/// The results so far.
#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: BTreeMap<String, Vec<String>>,
    notes: Vec<String>,
}

impl Tally {
    /// Counts a result and tells a failure at once.
    pub fn add(&mut self, name: &str, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Skipped(why) => self.skipped.entry(why).or_default().push(name.to_owned()),
            Verdict::Failed(what) => {
                say(&format!("FAILED {name}\n{}", indent(&what)));
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Keeps a remark about a test that says less than it could.
    pub fn note(&mut self, name: &str, what: &str) {
        self.notes.push(format!("{name}: {what}"));
    }

    /// Tells the failures and what was skipped again, and the counts; false when something failed.
    pub fn finish(&self) -> bool {
        for note in &self.notes {
            say(&format!("not shown: {note}"));
        }
        for name in &self.failed {
            say(&format!("failed: {name}"));
        }
        for (why, names) in &self.skipped {
            say(&format!("skipped: {why}: {}", shorten(names)));
        }
        let skipped: usize = self.skipped.values().map(Vec::len).sum();
        say(&format!(
            "suite: {} passed, {} failed, {skipped} skipped",
            self.passed,
            self.failed.len()
        ));
        self.failed.is_empty()
    }
}

fn shorten(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        [first, .., last] => format!("{} tests, from `{first}` to `{last}`", names.len()),
        [] => String::new(),
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn say(line: &str) {
    // When nobody reads the results any more, there is nobody to tell.
    writeln!(io::stdout(), "{line}").ok();
}

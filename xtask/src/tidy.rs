//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Which crate may use which, what licences the dependencies have, what every source file must and must not hold.
//! Each finding names the file or crate and the rule. Advice (a long file) is printed and fails nothing.

mod arrows;
mod licences;
mod sources;

use serde_json::Value;

use crate::cargo::{output, root};

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    wrong: Vec<String>,
    advice: Vec<String>,
}

impl Findings {
    fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }
}

/// Checks everything; false when something is wrong.
///
/// # Errors
/// When there is nothing to check: cargo or the file system says why.
pub(crate) fn tidy(args: &[String]) -> Result<bool, String> {
    if let Some(arg) = args.first() {
        return Err(format!("tidy takes no arguments: {arg}"));
    }
    let mut findings = Findings::default();
    arrows::check(&metadata(&["--no-deps"])?, &mut findings);
    licences::check(&metadata(&[])?, &mut findings)?;
    sources::check(&root(), &mut findings)?;
    for advice in &findings.advice {
        println!("advice: {advice}");
    }
    for wrong in &findings.wrong {
        println!("wrong: {wrong}");
    }
    println!("tidy: {} wrong, {} to think about", findings.wrong.len(), findings.advice.len());
    Ok(findings.wrong.is_empty())
}

fn metadata(args: &[&str]) -> Result<Value, String> {
    let text = output(&[&["metadata", "--format-version", "1"], args].concat())?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

/// The items of a JSON array; none where there is no array.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A JSON text; empty where there is none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

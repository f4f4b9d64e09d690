//! The licences of everything that is built, on every platform.
//!
//! What is allowed stands in `deny.toml`, where `cargo deny` finds it, too. A package may offer a choice (`OR`), of
//! which one must be allowed; of what it demands together (`AND`), all must be. An exception (`WITH`) only ever allows
//! more, so the licence before it decides.

use serde_json::Value;

use super::{Findings, items, text};
use crate::cargo::root;

/// Checks all packages.
///
/// # Errors
/// When `deny.toml` does not say what is allowed.
pub(super) fn check(metadata: &Value, findings: &mut Findings) -> Result<(), String> {
    let allowed = allowed()?;
    for package in items(&metadata["packages"]) {
        let licence = text(&package["license"]);
        if !fits(licence, &allowed) {
            let licence = if licence.is_empty() { "none" } else { licence };
            findings.wrong(format!(
                "{} {}: licence {licence}",
                text(&package["name"]),
                text(&package["version"])
            ));
        }
    }
    Ok(())
}

fn allowed() -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(root().join("deny.toml"))
        .map_err(|error| format!("deny.toml: {error}"))?;
    let table: toml::Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
    let list = table
        .get("licenses")
        .and_then(|section| section.get("allow"))
        .and_then(toml::Value::as_array);
    let list = list.ok_or("deny.toml: no licenses.allow")?;
    Ok(list.iter().filter_map(|licence| licence.as_str().map(str::to_owned)).collect())
}

/// True when the expression can be satisfied by allowed licences alone.
fn fits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let fits = any(&mut rest, allowed);
    fits && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut fits = all(rest, allowed);
    while take(rest, "OR") {
        fits |= all(rest, allowed);
    }
    fits
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut fits = one(rest, allowed);
    while take(rest, "AND") {
        fits &= one(rest, allowed);
    }
    fits
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    if take(rest, "(") {
        let fits = any(rest, allowed);
        return take(rest, ")") && fits;
    }
    let Some((licence, after)) = rest.split_first() else { return false };
    *rest = after;
    if take(rest, "WITH") {
        *rest = rest.get(1..).unwrap_or_default();
    }
    allowed.iter().any(|allowed| allowed == licence)
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    let found = rest.first() == Some(&word);
    if found {
        *rest = &rest[1..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::fits;

    fn check(expression: &str, expected: bool) {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
        assert_eq!(fits(expression, &allowed), expected, "{expression}");
    }

    #[test]
    fn expressions() {
        check("MIT", true);
        check("GPL-3.0", false);
        check("", false);
        check("MIT OR GPL-3.0", true);
        check("MIT AND GPL-3.0", false);
        check("MIT/Apache-2.0", true);
        check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
        check("(MIT OR Apache-2.0) AND GPL-3.0", false);
        check("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true);
        check("LGPL-2.1-or-later OR (MPL-2.0 AND MIT)", false);
        check("(MIT", false);
        check("MIT Apache-2.0", false);
    }
}

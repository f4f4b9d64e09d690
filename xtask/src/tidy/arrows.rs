//! Which crate of the workspace may use which other.
//!
//! The table is the architecture. A crate that is not in it, or an arrow that is not in it, is a finding; so is a
//! crate without the workspace's lints or without an example. Development dependencies follow the same arrows.

use serde_json::Value;

use super::{Findings, items, text};

/// Crate → the crates of the workspace that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("ringfence-cli", &["ringfence"]),
    (
        "ringfence",
        &[
            "ringfence-executor",
            "ringfence-config",
            "ringfence-sandbox",
            "ringfence-network",
            "ringfence-resource-limits",
            "ringfence-output-capture",
            "ringfence-policy",
            "ringfence-workspace",
        ],
    ),
    (
        "ringfence-executor",
        &[
            "ringfence-sandbox",
            "ringfence-network",
            "ringfence-resource-limits",
            "ringfence-output-capture",
            "ringfence-config",
            "ringfence-policy",
            "ringfence-workspace",
        ],
    ),
    ("ringfence-config", &["ringfence-policy"]),
    ("ringfence-sandbox", &["ringfence-launcher"]),
    ("ringfence-network", &["ringfence-policy"]),
    ("ringfence-resource-limits", &[]),
    ("ringfence-output-capture", &[]),
    ("ringfence-policy", &[]),
    ("ringfence-launcher", &[]),
    ("ringfence-workspace", &[]),
    ("ringfence-tests", &[]),
    ("xtask", &["ringfence", "ringfence-tests"]),
];

/// Checks all packages of the workspace.
pub(super) fn check(metadata: &Value, findings: &mut Findings) {
    let names: Vec<&str> =
        items(&metadata["packages"]).map(|package| text(&package["name"])).collect();
    for package in items(&metadata["packages"]) {
        let name = text(&package["name"]);
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            findings.wrong(format!("{name}: the architecture knows no such crate"));
            continue;
        };
        for dependency in items(&package["dependencies"]) {
            let to = text(&dependency["name"]);
            if names.contains(&to) && !allowed.contains(&to) {
                findings.wrong(format!("{name} → {to}: the architecture has no such arrow"));
            }
        }
        manifest(package, name, findings);
    }
}

fn manifest(package: &Value, name: &str, findings: &mut Findings) {
    let path = text(&package["manifest_path"]);
    let manifest: toml::Table =
        std::fs::read_to_string(path).unwrap_or_default().parse().unwrap_or_default();
    if manifest.get("lints").and_then(|lints| lints.get("workspace"))
        != Some(&toml::Value::Boolean(true))
    {
        findings.wrong(format!("{name}: takes no lints from the workspace"));
    }
    if text(&package["description"]).is_empty() {
        findings.wrong(format!("{name}: has no description"));
    }
    let has = |kind: &str| {
        items(&package["targets"]).any(|target| items(&target["kind"]).any(|found| found == kind))
    };
    let published = path.contains("/crates/");
    if published && has("lib") && !has("example") {
        findings.wrong(format!("{name}: has no example"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_arrow(from: &str, to: &str, expected: usize) {
        let package =
            |name: &str, dependencies: Value| json!({"name": name, "dependencies": dependencies});
        let packages =
            json!({"packages": [package(from, json!([{"name": to}])), package(to, json!([]))]});
        let mut findings = Findings::default();
        check(&packages, &mut findings);
        let arrows = findings.wrong.iter().filter(|wrong| wrong.contains('→')).count();
        assert_eq!(arrows, expected, "{from} → {to}: {:?}", findings.wrong);
    }

    #[test]
    fn arrows_go_down() {
        check_arrow("ringfence-executor", "ringfence-sandbox", 0);
        check_arrow("ringfence-config", "ringfence-policy", 0);
        check_arrow("ringfence-config", "ringfence-sandbox", 1);
        check_arrow("ringfence-policy", "ringfence-config", 1);
        check_arrow("ringfence-cli", "ringfence-executor", 1);
        check_arrow("ringfence-executor", "ringfence-launcher", 1);
    }
}

//! Ordinary text stays as it is: how many masks all detectors together put into what real tools print.
//!
//! The table is the measure of false positives. A number in it is an upper bound that somebody has looked at; a change
//! that raises one has to say why.

use ringfence_output_capture::{Detector, Redaction, RedactionOptions, Secret};
use std::path::{Path, PathBuf};

fn all_detectors() -> Redaction {
    let names = ["token", "password", "secret", "api_key", "authorization"];
    let options = RedactionOptions {
        detectors: Detector::ALL.to_vec(),
        names: names.map(str::to_owned).to_vec(),
        ..RedactionOptions::default()
    };
    Redaction::compile(std::iter::empty::<Secret>(), &options).0
}

/// The lines of `text` that are changed.
fn masked(redaction: &Redaction, text: &[u8]) -> Vec<String> {
    let (mut stream, mut out) = (redaction.stream(), Vec::new());
    stream.push(text, &mut out);
    stream.finish(&mut out);
    let out = String::from_utf8_lossy(&out);
    out.lines().filter(|line| line.contains("[REDACTED]")).map(str::to_owned).collect()
}

#[test]
fn logs_of_tools() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ordinary");
    let redaction = all_detectors();
    let mut seen = 0;
    for (file, most) in [
        ("cargo.log", 0),
        ("npm.log", 0),
        ("pip.log", 0),
        ("make.log", 0),
        ("gcc.log", 0),
        ("journal.log", 0),
        ("git.log", 0),
        ("data.json", 0),
        ("config.toml", 0),
        ("code.py", 0),
        ("code.js", 0),
        ("code.go", 0),
        ("prose.txt", 0),
    ] {
        let text = std::fs::read(directory.join(file)).expect(file);
        let masks = masked(&redaction, &text);
        assert!(masks.len() <= most, "{file}: {} masks, at most {most}: {masks:#?}", masks.len());
        seen += 1;
    }
    let files = std::fs::read_dir(directory).expect("a directory").count();
    assert_eq!(seen, files, "each file has its line in the table");
}

/// The sources of crates this one is built with, where cargo has put them; masks in a million bytes.
#[test]
fn source_code() {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registry = home.map(|home| home.join("registry/src"));
    let Some(indices) = registry.and_then(|registry| std::fs::read_dir(registry).ok()) else {
        return eprintln!("skipped: cargo keeps no sources here");
    };
    let crates: Vec<PathBuf> = indices
        .flatten()
        .filter_map(|index| std::fs::read_dir(index.path()).ok())
        .flat_map(|crates| crates.flatten().map(|one| one.path()))
        .collect();
    let redaction = all_detectors();
    for (name, most) in [
        ("serde_json-", 3.0),
        ("regex-automata-", 1.0),
        ("proptest-", 2.0),
        ("nix-", 1.0),
        ("memchr-", 1.0),
        ("base64-", 3.0),
        ("syn-", 4.0),
        ("toml_edit-", 3.0),
        ("tempfile-", 1.0),
    ] {
        let is_it = |path: &&PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let Some(path) = crates.iter().find(is_it) else { continue };
        let (mut bytes, mut masks) = (0, Vec::new());
        for file in sources(path) {
            let text = std::fs::read(file).expect("a source can be read");
            bytes += text.len();
            masks.extend(masked(&redaction, &text));
        }
        let rate = masks.len() as f64 * 1e6 / bytes.max(1_000_000) as f64;
        assert!(rate <= most, "{name}: {rate:.1} masks in a million bytes: {masks:#?}");
    }
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

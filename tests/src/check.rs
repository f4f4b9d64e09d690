//! Compares what a case did with what it must do.
//!
//! Every difference is told with both sides, cut to a readable length; bytes that are not text are shown escaped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::bytes::Regex;
use serde_json::Value;

use crate::case::Case;
use crate::process::Ended;

/// The keys of the result object, all of them and no others.
const RESULT_KEYS: &[&str] = &[
    "run",
    "outcome",
    "exit_code",
    "signal",
    "duration_ms",
    "backend",
    "profile",
    "warnings",
    "limit",
    "limits_hit",
    "enforcement",
    "denials",
    "usage",
    "stdout",
    "stderr",
];

/// Everything about `ended` that is not as the case says. `texts` replaces the case's placeholders.
pub fn against(case: &Case, ended: &Ended, fill: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut wrong = Vec::new();
    if ended.hung {
        wrong.push("hung: killed at the deadline".to_owned());
    }
    if ended.status != case.exit && !case.any_exit {
        wrong.push(format!("exit status {}, expected {}", ended.status, case.exit));
    }
    let out = (&case.stdout, &case.stdout_matches, &case.stdout_lacks, case.stdout_len);
    let err = (&case.stderr, &case.stderr_matches, &case.stderr_lacks, case.stderr_len);
    for (name, bytes, (exact, matches, lacks, len)) in
        [("stdout", &ended.stdout, out), ("stderr", &ended.stderr, err)]
    {
        if let Some(expected) =
            exact.as_ref().map(|text| fill(text)).filter(|text| text.as_bytes() != bytes)
        {
            wrong.push(format!("{name} {}\n  expected {}", show(bytes), show(expected.as_bytes())));
        }
        let pattern =
            |pattern: &String| Regex::new(&fill(pattern)).map_err(|error| error.to_string());
        for text in matches {
            match pattern(text) {
                Ok(regex) if !regex.is_match(bytes) => {
                    wrong.push(format!("{name} {}\n  does not match {text}", show(bytes)));
                }
                Ok(_) => {}
                Err(error) => wrong.push(error),
            }
        }
        for text in lacks {
            match pattern(text) {
                Ok(regex) if regex.is_match(bytes) => {
                    wrong.push(format!("{name} {}\n  matches {text}", show(bytes)))
                }
                Ok(_) => {}
                Err(error) => wrong.push(error),
            }
        }
        if len.is_some_and(|len| len != bytes.len()) {
            wrong.push(format!(
                "{name} has {} bytes, expected {}",
                bytes.len(),
                len.unwrap_or_default()
            ));
        }
    }
    wrong
}

/// How the run inside differs from the run outside.
pub fn equal(inside: &Ended, outside: &Ended) -> Vec<String> {
    let mut wrong = Vec::new();
    if inside.status != outside.status {
        wrong.push(format!("exit status inside {}, outside {}", inside.status, outside.status));
    }
    let streams =
        [("stdout", &inside.stdout, &outside.stdout), ("stderr", &inside.stderr, &outside.stderr)];
    for (name, inside, outside) in streams {
        if inside != outside {
            let at = inside.iter().zip(outside).take_while(|(a, b)| a == b).count();
            let lengths =
                format!("{} and {} bytes, equal up to byte {at}", inside.len(), outside.len());
            wrong.push(format!(
                "{name} differs ({lengths})\n  inside  {}\n  outside {}",
                show(inside),
                show(outside)
            ));
        }
    }
    wrong
}

/// Checks the result object: that it is one, complete, and holds what the case expects. `fill` replaces placeholders.
pub fn result_object(
    expected: Option<&toml::Table>,
    fill: &dyn Fn(&str) -> String,
    stdout: &[u8],
) -> Vec<String> {
    let object = match serde_json::from_slice::<Value>(stdout) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return vec![format!("stdout is not a JSON object: {}", show(stdout))],
        Err(error) => return vec![format!("stdout is not JSON ({error}): {}", show(stdout))],
    };
    // Why nothing ran is said beside the outcome, where there is something to say.
    let ran = !matches!(object.get("outcome").and_then(Value::as_str), Some("refused" | "failed"));
    // The destinations of an allowlist are there for those profiles; both streams in one only where
    // they were asked for.
    let asked = expected.is_some_and(|expected| expected.contains_key("combined"));
    let may_be = |key: &&str| match *key {
        "reason" => ran,
        "network" => false,
        "combined" => !asked,
        _ => true,
    };
    let keys: BTreeSet<&str> = object.keys().map(String::as_str).filter(may_be).collect();
    let wanted: BTreeSet<&str> = RESULT_KEYS.iter().copied().collect();
    let mut wrong = Vec::new();
    if keys != wanted {
        let missing: Vec<_> = wanted.difference(&keys).collect();
        let surplus: Vec<_> = keys.difference(&wanted).collect();
        wrong.push(format!("result object: missing {missing:?}, surplus {surplus:?}"));
    }
    if let Some(expected) = expected {
        subset(
            "",
            &toml_to_json(&toml::Value::Table(expected.clone()), fill),
            &Value::Object(object),
            &mut wrong,
        );
    }
    wrong
}

fn subset(path: &str, expected: &Value, found: &Value, wrong: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                subset(
                    &format!("{path}.{key}"),
                    value,
                    found.get(key).unwrap_or(&Value::Null),
                    wrong,
                );
            }
        }
        (Value::String(pattern), found) if pattern.starts_with('~') => {
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            if !Regex::new(&pattern[1..]).is_ok_and(|regex| regex.is_match(text.as_bytes())) {
                wrong.push(format!(
                    "{path} is {}\n  does not match {pattern}",
                    show(text.as_bytes())
                ));
            }
        }
        // Each expected element is somewhere among those found; none at all means none.
        (Value::Array(expected), Value::Array(found)) if !expected.is_empty() => {
            for (index, value) in expected.iter().enumerate() {
                let suits = |found| {
                    let mut wrong = Vec::new();
                    subset("", value, found, &mut wrong);
                    wrong.is_empty()
                };
                if !found.iter().any(suits) {
                    let found = show(Value::from(found.clone()).to_string().as_bytes());
                    wrong.push(format!("{path}[{index}]: nothing like {value} in {found}"));
                }
            }
        }
        // TOML has no null: an empty text with this name stands for it.
        (Value::String(text), Value::Null) if text == "null" => {}
        _ if expected == found => {}
        _ => wrong.push(format!(
            "{path} is {}\n  expected {expected}",
            show(found.to_string().as_bytes())
        )),
    }
}

fn toml_to_json(value: &toml::Value, fill: &dyn Fn(&str) -> String) -> Value {
    match value {
        toml::Value::String(text) => Value::String(fill(text)),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(truth) => Value::Bool(*truth),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(items) => {
            Value::Array(items.iter().map(|item| toml_to_json(item, fill)).collect())
        }
        toml::Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| (key.clone(), toml_to_json(value, fill)));
            Value::Object(pairs.collect())
        }
    }
}

/// Files in the working directory that the case does not speak of, and files it speaks of that are missing.
pub fn leaves(case: &Case, workspace: &Path) -> Vec<String> {
    let entries = fs::read_dir(workspace)
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    let found: BTreeSet<String> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let expected: BTreeSet<String> = case.leaves.iter().chain(case.files.keys()).cloned().collect();
    let surplus = found.difference(&expected).map(|name| format!("left in the workspace: {name}"));
    let missing =
        expected.difference(&found).map(|name| format!("missing in the workspace: {name}"));
    surplus.chain(missing).collect()
}

/// Bytes for a reader: quoted, escaped, at most a few hundred characters.
pub fn show(bytes: &[u8]) -> String {
    const LONGEST: usize = 600;
    let text =
        bytes[..bytes.len().min(LONGEST)].escape_ascii().to_string().replace("\\n", "\n  | ");
    if bytes.len() > LONGEST {
        format!("\"{text}\" … {} bytes", bytes.len())
    } else {
        format!("\"{text}\"")
    }
}

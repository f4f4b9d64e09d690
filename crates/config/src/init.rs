//! The commented `ringfence.toml` that `ringfence init` writes, made from the JSON Schema.
//!
//! Three kinds of line: prose begins with `# `, a default begins with `#` and no space (take the `#` away to have it), and tables
//! stand as they are. So the file resolves to the built-in config as it stands, and also with every default uncommented.

use crate::schema::json_schema;
use serde_json::Value;
use std::fmt::Write;

/// Widest line of prose, in characters.
const WIDTH: usize = 96;

const HEAD: &str = "\
ringfence.toml: how commands run here, and what they may see, write, reach and use up.

A line that begins with `#` and no space shows a default; take the `#` away to change it. `ringfence check` validates this file,
`ringfence explain -c COMMAND` says what it means for a command, and `ringfence schema` prints its JSON Schema.
";

/// The commented config file; it resolves to the built-in defaults.
#[must_use]
pub fn init_file() -> String {
    let schema = json_schema();
    let definition = |name: &str| &schema["$defs"][name];
    let mut out = String::new();
    prose(&mut out, HEAD);
    table(&mut out, "[runner]", definition("Runner"));
    table(&mut out, "[runner.redaction]", definition("Redaction"));
    table(&mut out, "[runner.output]", definition("Output"));
    example(&mut out, "[[runner.detectors]]", definition("Detector"));
    example(&mut out, "[[runner.rules]]", definition("Rule"));
    table(&mut out, "[profiles.default]", definition("Profile"));
    out
}

/// A table with all its scalar fields: prose, then the default or an example.
fn table(out: &mut String, header: &str, definition: &Value) {
    start(out, definition);
    push_line(out, header);
    for (name, field) in fields(definition) {
        let example = field["examples"].get(0);
        if field.get("default").is_none() && example.is_none() {
            continue;
        }
        out.push('\n');
        prose(out, description(field));
        if let Some(example) = example {
            push_line(out, &format!("# Example: {name} = {example}"));
        }
        if let Some(default) = field.get("default") {
            push_line(out, &format!("#{name} = {default}"));
        }
    }
}

/// A table that is shown as prose only, because it has no default.
fn example(out: &mut String, header: &str, definition: &Value) {
    start(out, definition);
    push_line(out, "#");
    push_line(out, &format!("#     {header}"));
    for (name, field) in fields(definition) {
        push_line(out, &format!("#     {name} = {}", field["examples"][0]));
    }
    push_line(out, "#");
    for (name, field) in fields(definition) {
        prose(out, &format!("`{name}`: {}", description(field)));
    }
}

fn start(out: &mut String, definition: &Value) {
    out.push('\n');
    prose(out, description(definition));
}

fn fields(definition: &Value) -> impl Iterator<Item = (&String, &Value)> {
    definition["properties"].as_object().into_iter().flatten()
}

fn description(value: &Value) -> &str {
    value["description"].as_str().unwrap_or_default()
}

/// Comment lines of at most [`WIDTH`]; an empty line of the text stays one.
fn prose(out: &mut String, text: &str) {
    for (index, paragraph) in text.trim_end().split("\n\n").enumerate() {
        if index > 0 {
            push_line(out, "#");
        }
        let mut line = String::from("#");
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                push_line(out, &line);
                line = String::from("#");
            }
            write!(line, " {word}").expect("because a String takes any text");
        }
        push_line(out, &line);
    }
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

//! From the text of a config to its written form, with errors a person can act on.
//!
//! The TOML reader says where and in which words; this adds which field, and the nearest name that exists. It works on the error
//! path only, so it may read the text a second time.

use crate::error::{ConfigError, ConfigProblem, nearest};
use crate::located::Source;
use crate::written::FileWritten;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the text.
pub(crate) fn read(source: &Source) -> Result<FileWritten, ConfigError> {
    toml::from_str(source.text()).map_err(|error| explain(source, &error))
}

fn explain(source: &Source, error: &toml::de::Error) -> ConfigError {
    let table = match DeTable::parse(source.text()) {
        Ok(table) => table,
        Err(error) => {
            let problem = ConfigProblem::Syntax { message: error.message().to_owned() };
            return ConfigError::new(Some(source.location_of(error.span())), None, problem);
        }
    };
    let field = error.span().and_then(|span| field_at(table.get_ref(), span));
    ConfigError::new(Some(source.location_of(error.span())), field, problem_of(error.message()))
}

/// The problem in a message of serde, whose forms are fixed by `serde::de::Error`.
fn problem_of(message: &str) -> ConfigProblem {
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let word = quoted.next().unwrap_or_default();
    let expected: Vec<String> = quoted.collect();
    let closest = nearest(&word, expected.iter().map(String::as_str));
    if message.starts_with("unknown field") {
        ConfigProblem::UnknownField { name: word, nearest: closest, expected }
    } else if message.starts_with("unknown variant") {
        ConfigProblem::UnknownValue { value: word, nearest: closest, expected }
    } else {
        ConfigProblem::WrongKind { message: in_plain_words(message) }
    }
}

/// Names of Rust types become words of a config's author.
fn in_plain_words(message: &str) -> String {
    let words = [
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("a sequence", "a list"),
    ];
    let message = message.lines().next().unwrap_or(message);
    words.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The dotted name of the key or value a span belongs to.
fn field_at(table: &DeTable<'_>, span: Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let inner = field_in(value, &span).map(|inner| {
            if inner.starts_with('[') {
                format!("{name}{inner}")
            } else {
                format!("{name}.{inner}")
            }
        });
        inner.or_else(|| {
            (touches(&key.span(), &span) || touches(&value.span(), &span)).then(|| name.to_string())
        })
    })
}

fn field_in(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => field_at(table, span.clone()),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let inner = field_in(item, span).map(|inner| format!("[{}].{inner}", index + 1));
            inner.or_else(|| touches(&item.span(), span).then(|| format!("[{}]", index + 1)))
        }),
        _ => None,
    }
}

fn touches(place: &Range<usize>, span: &Range<usize>) -> bool {
    place.start <= span.start && span.start < place.end.max(place.start + 1)
}

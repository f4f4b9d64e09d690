//! A value with the place where it is written, and places as a person counts them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A value of the config and the bytes it is written in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) start: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At<T>, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(At { start: spanned.span().start, value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A place in a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as it is called in messages.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The text of a config file and its name.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file, as it is called in messages.
    pub(crate) name: PathBuf,
    /// The file itself, where `name` is short for it.
    pub(crate) path: Option<PathBuf>,
    text: Arc<str>,
}

impl Source {
    pub(crate) fn new(name: &Path, text: &str) -> Source {
        Source { name: name.to_owned(), path: None, text: text.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.path.as_ref().unwrap_or(&self.name)
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte.
    pub(crate) fn location(&self, byte: usize) -> Location {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Location { file: self.name.clone(), line, column }
    }

    /// The place of the range a parser gives, which may be absent.
    pub(crate) fn location_of(&self, span: Option<Range<usize>>) -> Location {
        self.location(span.map_or(0, |span| span.start))
    }
}

#[cfg(test)]
mod tests {
    use super::Source;
    use std::path::Path;

    fn check(text: &str, byte: usize, expect: &str) {
        assert_eq!(Source::new(Path::new("f"), text).location(byte).to_string(), expect);
    }

    #[test]
    fn lines_and_columns_count_from_one() {
        check("ab\ncd", 0, "f:1:1");
        check("ab\ncd", 4, "f:2:2");
        check("ü = 1", 2, "f:1:2");
        check("", 0, "f:1:1");
        check("ab", 99, "f:1:3");
    }
}

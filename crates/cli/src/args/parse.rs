//! Parsers of single values, for clap.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ringfence::config::{ByteSize, UnitError, UnknownWord, parse_duration};
use std::str::FromStr;
use std::time::Duration;

/// One of a closed set of words, shown in help and completions.
pub(super) fn words<T>(all: &[T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = UnknownWord> + Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|&word| name(word))).try_map(|word| word.parse())
}

pub(super) fn duration(text: &str) -> Result<Duration, UnitError> {
    parse_duration(text)
}

pub(super) fn speed(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(speed) if speed > 0.0 => Ok(speed),
        _ => Err("not a number above 0"),
    }
}

pub(super) fn size(text: &str) -> Result<ByteSize, UnitError> {
    ByteSize::parse(text)
}

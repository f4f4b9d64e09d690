//! Whole streams: through the redactor, through the detectors, through pipes.

mod common;
mod detectors;
mod formats;
mod literals;
mod ordinary;
mod pieces;
mod pump;
mod whole;

/// So many cases, or more when `PROPTEST_CASES` says so.
pub(crate) fn at_least(cases: u32) -> proptest::test_runner::Config {
    let config = proptest::test_runner::Config::default();
    proptest::test_runner::Config { cases: config.cases.max(cases), ..config }
}

//! Whole streams: through the redactor, through the detectors, through pipes.

mod common;
mod detectors;
mod literals;
mod ordinary;
mod pump;

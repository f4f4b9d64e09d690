//! Real runs of `/bin/sh` and other programs, in both modes where the machine has a sandbox.

mod ending;
mod explanation;
mod input;
mod limits;
mod live;
mod output;
mod refusal;
mod status;
mod support;
mod viewers;

//! `ringfence discard`: throws changes away.

use crate::args::DiscardArgs;
use crate::exit::Status;
use crate::failure::Failure;
use crate::state;

/// Discards each run; the first failure is the answer, after the others had their turn.
pub(crate) fn discard(args: &DiscardArgs) -> Result<Status, Failure> {
    let layers = state::layers()?;
    let failures: Vec<_> = args.runs.iter().filter_map(|run| layers.discard(run).err()).collect();
    match failures.into_iter().next() {
        Some(failure) => Err(failure.into()),
        None => Ok(Status::SUCCESS),
    }
}

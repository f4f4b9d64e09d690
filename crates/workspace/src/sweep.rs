//! What dead processes left, set right by the next.

use crate::error::Result;
use crate::guard::{self, Findings};
use crate::layer;
use crate::scratch;
use crate::state::State;

/// Looks at what runs watched whose process was killed, and removes their empty layers. Cheap when there is nothing
/// to do; a process calls it once, before its first run.
///
/// # Errors
///
/// When the state directory cannot be read.
pub fn sweep(state: &State) -> Result<Findings> {
    let mut findings = guard::sweep(state)?;
    findings.warnings.extend(layer::sweep(state)?);
    scratch::sweep(state)?;
    Ok(findings)
}

//! Which Landlock the running kernel has.

use crate::init::sys::{self, new};

/// Version of the kernel's Landlock interface; 0 when it is missing or switched off.
///
/// # References
/// landlock_create_ruleset(2), `LANDLOCK_CREATE_RULESET_VERSION`.
#[must_use]
pub fn landlock_abi() -> u32 {
    const VERSION: usize = 1;
    // No address is passed.
    let answer = sys::numbers(new::LANDLOCK_CREATE_RULESET, [0, 0, VERSION, 0, 0]);
    answer.map_or(0, |abi| abi as u32)
}

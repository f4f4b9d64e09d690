//! Names for runs: a ULID, so that names sort by the time the run began.
//!
//! Not a secret and not a proof of anything: forty-eight bits of clock and eighty bits that differ
//! from run to run. The bits come from the standard library's hash seeds, which the kernel's
//! random numbers fill; no generator of its own is worth a dependency here.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The name of one run, 26 characters long.
///
/// # References
///
/// <https://github.com/ulid/spec>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u128);

impl RunId {
    /// A name for a run that begins now.
    #[must_use]
    pub fn generate() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let random = u128::from(noise()) << 64 | u128::from(noise());
        Self::from_parts(since_epoch.as_millis(), random)
    }

    fn from_parts(millis: u128, random: u128) -> Self {
        const RANDOM_BITS: u32 = 80;
        Self(millis << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }
}

/// Every `RandomState` of a process has keys of its own.
fn noise() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for position in (0..26).rev() {
            let digit = (self.0 >> (5 * position) & 31) as usize;
            write!(f, "{}", char::from(ALPHABET[digit]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn check(millis: u128, random: u128, expect: &str) {
        assert_eq!(RunId::from_parts(millis, random).to_string(), expect);
    }

    #[test]
    fn the_text_is_that_of_the_ulid_specification() {
        check(0, 0, "00000000000000000000000000");
        check(1_469_918_176_385, 0, "01ARYZ6S410000000000000000");
        check((1 << 48) - 1, u128::MAX, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        check(1, 33, "00000000010000000000000011");
    }

    #[test]
    fn names_differ_and_sort_by_time() {
        let names: HashSet<_> = (0..1000).map(|_| RunId::generate()).collect();
        assert_eq!(names.len(), 1000);
        let (early, late) = (RunId::from_parts(7, u128::MAX), RunId::from_parts(8, 0));
        assert!(early < late && early.to_string() < late.to_string());
    }
}

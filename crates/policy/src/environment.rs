//! Which variables of the caller a command may see: an allowlist of names, with globs.
//!
//! It decides on names only; values are never looked at. Setting a variable for a run by name is the caller's own act and does
//! not pass through here.
//!
//! The trap: a "name" that is empty or holds `=` or NUL is not a variable. It can turn up in a hostile environment block, and no
//! pattern, not even `*`, lets it through.

use crate::glob;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The names of variables that pass from the caller to the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvAllowlist {
    patterns: Vec<String>,
}

impl EnvAllowlist {
    /// An allowlist of these names; `*` stands for any run of characters and `?` for one, as in `LC_*`.
    pub fn new<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Self {
        EnvAllowlist { patterns: patterns.into_iter().map(Into::into).collect() }
    }

    /// The allowlist that passes every variable, for the `unsafe` mode.
    #[must_use]
    pub fn everything() -> Self {
        EnvAllowlist::new(["*"])
    }

    /// The patterns as they were given.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether a variable of this name passes.
    #[must_use]
    pub fn allows(&self, name: impl AsRef<OsStr>) -> bool {
        let name = name.as_ref().as_bytes();
        is_variable_name(name)
            && self.patterns.iter().any(|pattern| glob::matches(pattern.as_bytes(), name))
    }

    /// The variables that pass, in the order given.
    pub fn filter<N: AsRef<OsStr>, V>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Vec<(N, V)> {
        variables.into_iter().filter(|(name, _)| self.allows(name)).collect()
    }
}

fn is_variable_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|&byte| byte == b'=' || byte == 0)
}

#[cfg(test)]
mod tests {
    use super::EnvAllowlist;

    fn check(patterns: &[&str], name: &str, expect: bool) {
        assert_eq!(
            EnvAllowlist::new(patterns.iter().copied()).allows(name),
            expect,
            "{patterns:?} on {name:?}"
        );
    }

    #[test]
    fn names_and_globs() {
        check(&["PATH", "HOME"], "PATH", true);
        check(&["PATH", "HOME"], "PATHS", false);
        check(&["LC_*"], "LC_ALL", true);
        check(&["LC_*"], "XLC_ALL", false);
        check(&[], "PATH", false);
        check(&["*"], "ANY", true);
    }

    #[test]
    fn what_is_no_variable_name_never_passes() {
        for name in ["", "A=B", "=C", "A\0B"] {
            check(&["*", "", "A=B", "?=?"], name, false);
        }
    }

    #[test]
    fn filter_keeps_order_and_values() {
        let kept = EnvAllowlist::new(["B", "A*"]).filter([("B", 1), ("C", 2), ("AX", 3)]);
        assert_eq!(kept, [("B", 1), ("AX", 3)]);
    }

    #[test]
    fn everything_passes_all_real_names() {
        assert!(EnvAllowlist::everything().allows("LD_PRELOAD"));
    }
}

//! A value that must not be seen, which prints itself as `***`.
//!
//! For carrying a secret from where it was found to where it is compiled into a [`crate::Redaction`]. It does not
//! lock memory and does not compare in constant time. The trap: `expose()` gives the bytes away; what is made of
//! them is the caller's to clean up.

use std::fmt;
use zeroize::Zeroize;

/// A secret value with an optional name, overwritten with zeros when dropped.
///
/// `Debug` and `Display` print `***`; the value is reached by [`Secret::expose`] only.
#[derive(Clone, Default)]
pub struct Secret {
    name: Option<String>,
    value: Vec<u8>,
}

impl Secret {
    /// A secret without a name; warnings call it by its place in the list.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self { name: None, value: value.into() }
    }

    /// A secret that warnings call by `name` (the name of a variable, a file and its line; never the value).
    pub fn named(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: Some(name.into()), value: value.into() }
    }

    /// The name, if one was given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The value itself.
    pub fn expose(&self) -> &[u8] {
        &self.value
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_stars() {
        let secret = Secret::named("TOKEN", "hunter2-prod");
        assert_eq!(format!("{secret} {secret:?} {:?}", [&secret]), "*** *** [***]");
        assert_eq!((secret.name(), secret.expose()), (Some("TOKEN"), &b"hunter2-prod"[..]));
    }
}

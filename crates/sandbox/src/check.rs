//! What a look at one mechanism of this machine found.

/// One mechanism, tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it works here, for this user.
    pub works: bool,
    /// What was seen.
    pub detail: String,
    /// How to get it, when it does not work.
    pub remedy: Option<String>,
}

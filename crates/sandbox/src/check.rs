//! What a look at one mechanism of this machine found.

/// One mechanism, tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it works here, for this user.
    pub works: bool,
    /// The default profile is not fully enforced without it.
    pub required: bool,
    /// What was seen.
    pub detail: String,
    /// How to get it, when it does not work.
    pub remedy: Option<String>,
}

/// The name of the row that says whether the default profile is fully enforced.
pub const VERDICT: &str = "default_profile";

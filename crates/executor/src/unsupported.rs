//! What a profile may ask for and this backend does not do.
//!
//! Every such wish is an error that names its field, never a silent step down. In host mode the
//! fields that describe a sandbox are not asked for; limits are.

use ringfence_config::{Mode, NetworkMode, Profile};

/// A field whose value this backend cannot carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("profile `{profile}`: `{field} = {value}` is not supported by this backend")]
pub struct Unsupported {
    /// The profile's name.
    pub profile: String,
    /// The field.
    pub field: &'static str,
    /// Its value, as in the config file.
    pub value: String,
    /// What to write instead.
    pub instead: &'static str,
}

impl Unsupported {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        self.instead.to_owned()
    }
}

/// Passes a profile that this backend can carry out in full.
///
/// # Errors
///
/// The first field that it cannot.
pub(crate) fn check(profile: &Profile) -> Result<(), Unsupported> {
    let sandboxed = profile.mode == Mode::Sandbox;
    let unsupported = [sandboxed.then(|| network_mode(profile)).flatten()];
    match unsupported.into_iter().flatten().next() {
        Some((field, value, instead)) => {
            Err(Unsupported { profile: profile.name.clone(), field, value, instead })
        }
        None => Ok(()),
    }
}

type Finding = Option<(&'static str, String, &'static str)>;

fn network_mode(profile: &Profile) -> Finding {
    (profile.network_mode == NetworkMode::Allowlist).then(|| {
        let instead = "use \"deny\", or \"inherit\" to give the command the whole network";
        ("network_mode", "\"allowlist\"".to_owned(), instead)
    })
}

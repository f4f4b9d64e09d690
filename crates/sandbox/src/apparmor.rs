//! What lets ringfence make user namespaces where AppArmor keeps programs from it.
//!
//! A text for an administrator to load; nothing here loads it.

use std::path::Path;

/// An AppArmor profile that lets this program make user namespaces and confines it in nothing else.
///
/// # References
/// apparmor.d(5), "Restricted unprivileged user namespaces" of Ubuntu 24.04.
#[must_use]
pub fn apparmor_profile(program: &Path) -> String {
    format!(
        "# Lets ringfence make user namespaces; it is confined in nothing else.\n\
         # Save as /etc/apparmor.d/ringfence, then: apparmor_parser -r /etc/apparmor.d/ringfence\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         \n\
         profile ringfence \"{}\" flags=(unconfined) {{\n\
         \x20 userns,\n\
         \n\
         \x20 include if exists <local/ringfence>\n\
         }}\n",
        program.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apparmor_profile_is_whole() {
        insta::assert_snapshot!(apparmor_profile(Path::new("/usr/local/bin/ringfence")));
    }
}

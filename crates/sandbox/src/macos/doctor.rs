//! Tries each mechanism for real and says how to get what is missing.

use super::{
    profile::profile,
    rules::{NetworkRule, Rules, View},
    seatbelt,
};
use crate::{
    check::{Check, VERDICT},
    error::SandboxError,
    spec::UnixSockets,
};
use std::path::Path;

/// Tries each mechanism of the sandbox. Takes some tens of milliseconds.
#[must_use]
pub fn doctor() -> Vec<Check> {
    checks(Path::new(seatbelt::SANDBOX_EXEC))
}

pub(crate) fn checks(program: &Path) -> Vec<Check> {
    let everything = seatbelt::check(program, "(version 1)(allow default)");
    let view = Rules {
        view: Some(View::default()),
        network: NetworkRule::Deny,
        sockets: UnixSockets::Private,
        temp: None,
        terminals: Vec::new(),
    };
    let caller =
        Rules { network: NetworkRule::Inherit, sockets: UnixSockets::Inherit, ..view.clone() };
    let mut checks = vec![
        check("sandbox_exec", everything),
        check("profile", taken(program, &view)),
        check("profile_with_network", taken(program, &caller)),
    ];
    checks.push(verdict(&checks));
    checks
}

/// Seatbelt holds nothing in full (see the enforcement of a run), so the answer is always no.
fn verdict(checks: &[Check]) -> Check {
    let held = checks.iter().all(|check| check.works);
    let detail = match held {
        true => {
            "runs, and every property is held in part: nothing here was tried on a real machine"
        }
        false => "does not run",
    };
    Check { name: VERDICT, works: false, required: true, detail: detail.to_owned(), remedy: None }
}

fn taken(program: &Path, rules: &Rules) -> Result<(), SandboxError> {
    let text = profile(rules).expect("these rules name no path that cannot be written");
    seatbelt::check(program, &text)
}

fn check(name: &'static str, tried: Result<(), SandboxError>) -> Check {
    match tried {
        Ok(()) => {
            Check { name, works: true, required: true, detail: "works".to_owned(), remedy: None }
        }
        Err(error) => Check {
            name,
            works: false,
            required: true,
            detail: error.to_string(),
            remedy: error.hint(),
        },
    }
}

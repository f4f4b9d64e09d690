//! `ringfence doctor`: what this machine can enforce, by trying each mechanism.

use crate::args::DoctorArgs;
use crate::exit::Status;
use crate::failure::Failure;
use crate::message;
use ringfence::config::Environment;
use ringfence::executor::{check_gateway, service_manager};
use ringfence::resource_limits::cgroup::Parent;
use ringfence::sandbox::{Check, VERDICT, apparmor_profile, doctor as try_all};
use serde_json::{Value, json};
use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Tries each mechanism, prints a row for each, and fails when the default profile is not fully enforced.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<Status, Failure> {
    if args.apparmor {
        let program = env::current_exe().map_err(Failure::Myself)?;
        return print(&apparmor_profile(&program)).map(|()| Status::SUCCESS);
    }
    let mut checks = try_all();
    // The verdict stays the last row.
    let last = checks.len().saturating_sub(1);
    checks.splice(last..last, [check_gateway(), control_group()]);
    let full = checks.iter().any(|check| check.name == VERDICT && check.works);
    if args.json {
        print(&format!("{:#}\n", as_json(&checks)))?;
        return Ok(if full { Status::SUCCESS } else { Status::REFUSED });
    }
    print(&render(&checks))?;
    if full { Ok(Status::SUCCESS) } else { Err(Failure::NotFull) }
}

/// Whether runs get control groups of their own, when the config names none: always, or those with limits that were asked for.
fn control_group() -> Check {
    let row = |works, detail: String, remedy| Check {
        name: "control_group",
        works,
        required: false,
        detail,
        remedy,
    };
    let found = match Parent::find() {
        Ok(parent) => Ok((parent, "limits of a tree by the kernel")),
        Err(error) => match Environment::current().ok().as_ref().and_then(service_manager) {
            None => Err(error),
            Some(manager) => Parent::ask(&manager)
                .map(|parent| (parent, "limits that are asked for by the kernel, in a scope")),
        },
    };
    match found {
        Ok((parent, what)) => row(true, format!("{what}, below {}", parent.path().display()), None),
        Err(error) => {
            let why = message::with_causes(&error);
            row(false, format!("limits of a tree by looking: {why}"), Some(error.hint().to_owned()))
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(Failure::Print)
}

fn as_json(checks: &[Check]) -> Value {
    let row = |Check { name, works, required, detail, remedy }: &Check| json!({"name": name, "works": works, "required": required, "detail": detail, "remedy": remedy});
    checks.iter().map(row).collect()
}

fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { name, works, required, detail, remedy } in checks {
        let mark = match (works, required) {
            (true, _) => "works   ",
            (false, true) => "missing ",
            (false, false) => "optional",
        };
        writeln!(text, "{mark}  {name:width$}  {detail}").expect("because a String takes any text");
        if let Some(remedy) = remedy.as_ref().filter(|_| !works) {
            writeln!(text, "          {:width$}  to get it: {remedy}", "")
                .expect("because a String takes any text");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        let check = |name, works, required, remedy: Option<&str>| Check {
            name,
            works,
            required,
            detail: "as seen".to_owned(),
            remedy: remedy.map(ToOwned::to_owned),
        };
        vec![
            check("user_namespaces", false, true, Some("sysctl user.max_user_namespaces=10000")),
            check("overlay_mounts", false, false, Some("modprobe overlay")),
            check("seccomp", true, true, None),
        ]
    }

    #[test]
    fn rows_say_what_is_needed_and_how_to_get_it() {
        insta::assert_snapshot!(render(&checks()));
    }

    #[test]
    fn rows_are_objects_for_programs() {
        insta::assert_snapshot!(format!("{:#}", as_json(&checks())));
    }
}

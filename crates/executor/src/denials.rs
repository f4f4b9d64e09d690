//! What the sandbox refused, gathered while a run goes on.
//!
//! The same call on the same thing is one entry with a count. The list is bounded, since the
//! command decides how much is refused; what goes over is counted. Every text is redacted before
//! it comes in, as a path can hold a secret as well as a line of output can.

use ringfence_network::{Cause, Refusal, Target};
use ringfence_policy::ReasonCode;
use ringfence_sandbox::{Denied, DeniedKind};
use serde::Serialize;

use crate::json;

const NETWORK: &str = "network";
/// Distinct refusals that are listed.
const MOST: usize = 256;

/// Something the sandbox refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denial {
    /// What was tried: `file_write`, `file_read`, `network`, `unix_socket`, `syscall`.
    pub kind: String,
    /// On what: a path, `ADDRESS:PORT`, or the name of a system call.
    pub target: String,
    /// The name programs branch on.
    #[serde(serialize_with = "json::reason_code")]
    pub reason_code: ReasonCode,
    /// How often.
    pub count: u64,
    /// The program that tried, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The flag or field that would allow it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Why, in words, where it is not plain: an entry of the allowlist that is near, an address that a name leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How it was found out.
    pub source: DenialSource,
}

/// How a refusal was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DenialSource {
    /// The kernel told of the call.
    Kernel,
    /// The command could not be stopped from it; it was undone when the run was over.
    Undone,
    /// The command complained of it on its standard error, and the sandbox would refuse it.
    Stderr,
    /// The gateway of the allowlist refused it.
    Gateway,
}

/// The refusals of one run.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    list: Vec<Denial>,
    more: u64,
    /// Which program was refused a destination that nobody has told of yet.
    programs: Vec<(String, String)>,
}

impl Denials {
    /// Takes one in; the entry, if it is new.
    pub(crate) fn note(&mut self, mut denial: Denial) -> Option<&Denial> {
        if denial.source == DenialSource::Gateway {
            let known = self.programs.iter().find(|(target, _)| *target == denial.target);
            denial.program = denial.program.or_else(|| known.map(|(_, program)| program.clone()));
        }
        let same = |known: &&mut Denial| known.kind == denial.kind && known.target == denial.target;
        if let Some(known) = self.list.iter_mut().find(same) {
            known.count = known.count.saturating_add(denial.count);
            return None;
        }
        if self.list.len() == MOST {
            self.more = self.more.saturating_add(denial.count);
            return None;
        }
        self.list.push(denial);
        self.list.last()
    }

    /// Says which program was refused a destination, where the gateway tells the rest.
    pub(crate) fn attribute(&mut self, denial: Denial) {
        let Denial { target, program: Some(program), .. } = denial else { return };
        let same = |known: &&mut Denial| known.kind == NETWORK && known.target == target;
        match self.list.iter_mut().find(same) {
            Some(known) => known.program = known.program.take().or(Some(program)),
            None if self.programs.len() < MOST => self.programs.push((target, program)),
            None => {}
        }
    }

    /// The list, and how many refusals it has no room for.
    pub(crate) fn take(&mut self) -> (Vec<Denial>, u64) {
        (std::mem::take(&mut self.list), self.more)
    }

    pub(crate) fn knows(&self, kind: &str, target: &str) -> bool {
        self.list.iter().any(|known| known.kind == kind && known.target == target)
    }
}

/// The refusal that the sandbox tells of.
pub(crate) fn from_kernel(denied: &Denied, redact: impl Fn(&[u8]) -> String) -> Denial {
    let target = redact(denied.target.as_encoded_bytes());
    Denial {
        allow: allow(denied.kind, &target),
        program: Some(redact(denied.program.as_encoded_bytes())).filter(|name| !name.is_empty()),
        count: denied.count,
        source: DenialSource::Kernel,
        ..new(denied.kind, target)
    }
}

/// The refusal of a gateway. Its texts hold names that the command chose.
pub(crate) fn from_gateway(refusal: &Refusal, redact: impl Fn(&[u8]) -> String) -> Denial {
    let text = |text: String| redact(text.as_bytes());
    let plain = matches!(refusal.cause, Cause::NotListed { near_miss: None });
    Denial {
        reason_code: refusal.reason(),
        allow: refusal.missing_entry().map(|entry| text(format!("--allow {}", quoted(&entry)))),
        why: (!plain).then(|| text(refusal.cause.to_string())),
        program: refusal.program.clone().map(text),
        source: DenialSource::Gateway,
        ..new(DeniedKind::Network, text(refusal.target.to_string()))
    }
}

/// A refusal that the kernel tells where there is an allowlist; the target is what the command meant, if that is known.
pub(crate) fn beside_gateway(
    denied: &Denied,
    target: Option<&(Target, bool)>,
    redact: impl Fn(&[u8]) -> String,
) -> Denial {
    let plain = from_kernel(denied, &redact);
    let Some((target, listed)) = target else {
        return Denial { reason_code: ReasonCode::NetworkAllowlistBlocked, allow: None, ..plain };
    };
    let target = redact(target.to_string().as_bytes());
    let allow = (!listed).then(|| format!("--allow {}", quoted(&target)));
    let why =
        listed.then(|| "it is reached by the proxy that `HTTPS_PROXY` names alone".to_owned());
    Denial { reason_code: ReasonCode::NetworkAllowlistBlocked, allow, why, target, ..plain }
}

/// A change that was undone after the run.
pub(crate) fn undone(path: &[u8], redact: impl Fn(&[u8]) -> String) -> Denial {
    Denial { source: DenialSource::Undone, ..new(DeniedKind::FileWrite, redact(path)) }
}

/// A complaint on standard error about something the sandbox refuses.
pub(crate) fn from_stderr(kind: DeniedKind, target: String, program: Option<String>) -> Denial {
    let allow = allow(kind, &target);
    Denial { allow, program, source: DenialSource::Stderr, ..new(kind, target) }
}

fn new(kind: DeniedKind, target: String) -> Denial {
    let (name, reason_code) = names(kind);
    Denial {
        kind: name.to_owned(),
        target,
        reason_code,
        count: 1,
        program: None,
        allow: None,
        why: None,
        source: DenialSource::Kernel,
    }
}

pub(crate) fn names(kind: DeniedKind) -> (&'static str, ReasonCode) {
    match kind {
        DeniedKind::FileWrite => ("file_write", ReasonCode::FileWriteDenied),
        DeniedKind::FileRead => ("file_read", ReasonCode::FileReadDenied),
        DeniedKind::Network => (NETWORK, ReasonCode::NetworkBlocked),
        DeniedKind::UnixSocket => ("unix_socket", ReasonCode::UnixSocketDenied),
        _ => ("syscall", ReasonCode::SyscallDenied),
    }
}

/// What would let it through. A forbidden system call has nothing short of no sandbox at all.
fn allow(kind: DeniedKind, target: &str) -> Option<String> {
    Some(match kind {
        DeniedKind::FileWrite => format!("--rw {}", quoted(target)),
        DeniedKind::FileRead => format!("--ro {}", quoted(target)),
        // Port 53 is the question for a name, which tells nothing about whose name it is.
        DeniedKind::Network if target.ends_with(":53") => {
            "--allow HOST (a name was to be resolved), or --net inherit".to_owned()
        }
        DeniedKind::Network if !target.contains(':') => "--net inherit".to_owned(),
        DeniedKind::Network => format!("--allow {target}, or --net inherit"),
        DeniedKind::UnixSocket => format!("unix_sockets = [\"{target}\"]"),
        _ => return None,
    })
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%".contains(c);
    // An address of IPv6 stands in brackets, which shells take for a pattern.
    match path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(kind: DeniedKind, target: &str) -> Denial {
        let denied = Denied { kind, target: target.into(), program: "sh".into(), count: 2 };
        from_kernel(&denied, |text| String::from_utf8_lossy(text).into_owned())
    }

    #[test]
    fn the_same_refusal_is_counted() {
        let mut denials = Denials::default();
        assert!(denials.note(denied(DeniedKind::FileWrite, "/etc/hosts")).is_some());
        assert!(denials.note(denied(DeniedKind::FileWrite, "/etc/hosts")).is_none());
        assert!(denials.note(denied(DeniedKind::FileRead, "/etc/hosts")).is_some());
        assert!(denials.knows("file_write", "/etc/hosts") && !denials.knows("network", "x"));
        let (list, more) = denials.take();
        let counts: Vec<_> = list.iter().map(|denial| denial.count).collect();
        assert_eq!((counts, more), (vec![4, 2], 0));
    }

    #[test]
    fn a_flood_is_counted_and_not_listed() {
        let mut denials = Denials::default();
        for n in 0..MOST + 10 {
            denials.note(denied(DeniedKind::FileWrite, &format!("/etc/{n}")));
        }
        let (list, more) = denials.take();
        assert_eq!((list.len(), more), (MOST, 20));
    }

    #[test]
    fn each_kind_says_what_would_allow_it() {
        let check = |kind, target: &str, expect: Option<&str>| {
            assert_eq!(denied(kind, target).allow.as_deref(), expect);
        };
        check(DeniedKind::FileWrite, "/etc/hosts", Some("--rw /etc/hosts"));
        check(DeniedKind::FileWrite, "/a b'c", Some(r"--rw '/a b'\''c'"));
        check(DeniedKind::FileRead, "/home/u/.netrc", Some("--ro /home/u/.netrc"));
        check(DeniedKind::Network, "10.1.2.3:80", Some("--allow 10.1.2.3:80, or --net inherit"));
        check(DeniedKind::Network, "AF_NETLINK", Some("--net inherit"));
        check(
            DeniedKind::Network,
            "10.0.0.2:53",
            Some("--allow HOST (a name was to be resolved), or --net inherit"),
        );
        check(DeniedKind::UnixSocket, "/run/x", Some(r#"unix_sockets = ["/run/x"]"#));
        check(DeniedKind::SystemCall, "mount", None);
    }

    #[test]
    fn an_entry_is_that_of_the_interface() {
        let text = serde_json::to_string(&denied(DeniedKind::FileWrite, "/etc/hosts"));
        assert_eq!(
            text.expect("because it is plain data"),
            r#"{"kind":"file_write","target":"/etc/hosts","reason_code":"file_write_denied","count":2,"program":"sh","allow":"--rw /etc/hosts","source":"kernel"}"#
        );
    }
}

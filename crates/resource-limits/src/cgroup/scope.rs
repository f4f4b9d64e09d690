//! A group that is asked of a service manager: a scope of this process's own.
//!
//! systemd makes one for a process that lies in it alone, gives it to the process's user, and forgets it when it is empty. Its
//! limits are those of the slice, as before: what lies between the slice and the process is left behind, so nothing
//! that limits anything may lie there, and a process of a service, which is accounted for as such, is not taken out of it.
//!
//! The trap: an answer says that a job was begun. The process has moved when the job is over, and that is a signal,
//! which must be asked for before.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::CgroupError;
use crate::bus::{Body, Bus, BusError, Call, Kind, Message};

/// How long everything may take together. It takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

const BUS: &str = "org.freedesktop.DBus";
const MANAGER: &str = "org.freedesktop.systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// A service manager that can be asked for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceManager {
    addresses: String,
    /// It keeps the group that this process is in now, so the new one can lie in the same slice.
    everything: bool,
}

impl ServiceManager {
    /// The one of the user, on a bus at one of these addresses, in the form of `DBUS_SESSION_BUS_ADDRESS`.
    #[must_use]
    pub fn of_user(addresses: impl Into<String>) -> Self {
        Self { addresses: addresses.into(), everything: false }
    }

    /// The one of the system, which listens to root.
    #[must_use]
    pub fn of_system() -> Self {
        let addresses = "unix:path=/run/dbus/system_bus_socket".to_owned();
        Self { addresses, everything: true }
    }

    /// Has this process moved from the group `own` into a scope; gives its name.
    pub(super) fn enter_scope(&self, own: &Path) -> Result<String, CgroupError> {
        let slice = slice(own).ok_or(CgroupError::NotDelegated)?;
        if let Some(path) = limited(own) {
            return Err(CgroupError::Limited { path: path.to_owned() });
        }
        let wish = Wish {
            name: format!("ringfence-{}.scope", std::process::id()),
            process: std::process::id(),
            slice: slice.to_str().filter(|_| self.everything),
            processes: number(&own.join("pids.max")),
        };
        wish.fulfil(&self.addresses, Instant::now() + PATIENCE).map_err(CgroupError::Scope)?;
        Ok(wish.name)
    }
}

/// The slice of a group that is a scope, directly or farther down.
fn slice(own: &Path) -> Option<&OsStr> {
    let ends =
        |path: &Path, end: &str| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes());
    let above = own.ancestors().take_while(|path| !ends(path, ".service"));
    let mut above = above.skip_while(|path| !ends(path, ".scope")).skip(1);
    above.find(|path| ends(path, ".slice"))?.file_name()
}

/// The first group from `own` up to its slice that has limits which a new one would not have.
fn limited(own: &Path) -> Option<&Path> {
    const FILES: [&str; 4] = ["memory.max", "memory.high", "cpu.max", "io.max"];
    let is_limited = |path: &&Path| {
        FILES.iter().any(|file| {
            // There is no such file where there is no such limit.
            let text = fs::read_to_string(path.join(file)).unwrap_or_default();
            !(text.trim().is_empty() || text.starts_with("max"))
        })
    };
    let below_slice = |path: &&Path| !path.as_os_str().as_encoded_bytes().ends_with(b".slice");
    own.ancestors().take_while(below_slice).find(is_limited)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The scope that is asked for.
#[derive(Debug)]
struct Wish<'a> {
    name: String,
    process: u32,
    slice: Option<&'a str>,
    /// Most processes of the group that is left.
    processes: Option<u64>,
}

impl Wish<'_> {
    fn fulfil(&self, addresses: &str, deadline: Instant) -> Result<(), BusError> {
        let mut bus = Bus::connect(addresses, deadline)?;
        let of_bus = |member, signature| Call {
            destination: BUS,
            path: "/org/freedesktop/DBus",
            interface: BUS,
            member,
            signature,
        };
        bus.call(&of_bus("Hello", ""), &Body::default());
        let mut rule = Body::default();
        rule.text(&format!(
            "type='signal',sender='{MANAGER}',interface='{MANAGER_INTERFACE}',member='JobRemoved'"
        ));
        bus.call(&of_bus("AddMatch", "s"), &rule);
        let start = Call {
            destination: MANAGER,
            path: "/org/freedesktop/systemd1",
            interface: MANAGER_INTERFACE,
            member: "StartTransientUnit",
            signature: "ssa(sv)a(sa(sv))",
        };
        bus.call(&start, &self.arguments());
        bus.send()?;
        loop {
            if let Some(done) = self.hear(&bus.receive()?) {
                return done;
            }
        }
    }

    /// The name, what happens to others, the properties, and no further units.
    fn arguments(&self) -> Body {
        let mut body = Body::default();
        body.text(&self.name);
        body.text("fail");
        body.array(8, |body| {
            let mut property = |name: &str, signature: &str, fill: &dyn Fn(&mut Body)| {
                body.group(|body| {
                    body.text(name);
                    body.variant(signature, fill);
                });
            };
            property("PIDs", "au", &|body| body.array(4, |body| body.u32(self.process)));
            property("Delegate", "b", &|body| body.bool(true));
            property("CollectMode", "s", &|body| body.text("inactive-or-failed"));
            property("Description", "s", &|body| body.text("Supervisor of sandboxed commands"));
            if let Some(slice) = self.slice {
                property("Slice", "s", &|body| body.text(slice));
            }
            if let Some(processes) = self.processes {
                property("TasksMax", "t", &|body| body.u64(processes));
            }
        });
        body.array(8, |_| {});
        body
    }

    /// What a message says of the wish; `None` when it is about something else.
    fn hear(&self, message: &Message) -> Option<Result<(), BusError>> {
        let texts = message.texts();
        match message.kind {
            // Nothing else was said than what is needed, so every error is the end.
            Kind::Error => Some(Err(BusError::Refused {
                name: shown(&message.error),
                message: shown(texts.first().copied().unwrap_or_default()),
            })),
            Kind::Signal
                if message.interface == MANAGER_INTERFACE && message.member == "JobRemoved" =>
            {
                let [_, unit, result] = texts[..] else { return None };
                match result {
                    _ if unit != self.name => None,
                    "done" => Some(Ok(())),
                    other => Some(Err(BusError::Failed { result: shown(other) })),
                }
            }
            _ => None,
        }
    }
}

/// A text of somebody else's in a message of ours.
fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests;

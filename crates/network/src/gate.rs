//! The gate: a list of entries, and decisions that name the entry or the near miss.

use ringfence_policy::allowlist::{AllowHost, HostName};
use ringfence_policy::{AllowEntry, AllowEntryError, Allowlist, Destination, ReasonCode};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An entry of the list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read entry {number} of the allowlist")]
pub struct BadEntry {
    /// Its place in the list, counted from 1.
    pub number: usize,
    /// What is wrong with it.
    #[source]
    pub error: AllowEntryError,
}

/// Decides on destinations by the entries of an allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    list: Allowlist,
}

impl Gate {
    /// A gate that lets through what these entries cover; no entries, nothing.
    ///
    /// `localhost` is not a name that anybody is asked for: an entry for it stands for the two loopback addresses.
    pub fn new(entries: impl IntoIterator<Item = AllowEntry>) -> Gate {
        Gate { list: Allowlist::new(entries.into_iter().flat_map(loopback_for_localhost)) }
    }

    /// A gate from entries as they are written.
    ///
    /// # Errors
    /// [`BadEntry`] for the first that cannot be read.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Gate, BadEntry> {
        let read = |(index, text)| {
            AllowEntry::parse(text).map_err(|error| BadEntry { number: index + 1, error })
        };
        entries.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>().map(Gate::new)
    }

    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[AllowEntry] {
        self.list.entries()
    }

    /// Whether an entry covers a name, whatever the port: then it has an address inside.
    #[must_use]
    pub fn lists_name(&self, name: &HostName) -> bool {
        let destination = Destination::Name { name: name.clone(), port: 0 };
        self.entries().iter().any(|entry| entry.matches_host(&destination))
    }

    /// The ports that are listed for a name; `None`: every port.
    #[must_use]
    pub fn ports_of(&self, name: &HostName) -> Option<Vec<u16>> {
        let destination = Destination::Name { name: name.clone(), port: 0 };
        self.entries()
            .iter()
            .filter(|entry| entry.matches_host(&destination))
            .map(AllowEntry::port)
            .collect()
    }

    /// Whether a command may reach a destination, and by which entry.
    #[must_use]
    pub fn decide(&self, destination: &Destination) -> Decision<'_> {
        match self.list.matches(destination) {
            Some(entry) => Decision::Allowed { entry },
            None => Decision::Blocked(Blocked {
                destination: destination.clone(),
                near_miss: self.near_miss(destination),
            }),
        }
    }

    /// What a person may have meant when they wrote the list.
    fn near_miss(&self, destination: &Destination) -> Option<NearMiss> {
        let same_host = self.entries().iter().filter(|entry| entry.matches_host(destination));
        let ports: Vec<u16> = same_host.filter_map(AllowEntry::port).collect();
        if !ports.is_empty() {
            return Some(NearMiss::Ports(ports));
        }
        let Destination::Name { name, .. } = destination else { return None };
        self.entries().iter().find_map(|entry| match entry.host() {
            AllowHost::Below(parent) if parent == name => Some(NearMiss::OnlyBelow(entry.clone())),
            AllowHost::Name(parent) if name.is_below(parent) => {
                Some(NearMiss::OnlyItself(entry.clone()))
            }
            _ => None,
        })
    }
}

fn loopback_for_localhost(entry: AllowEntry) -> Vec<AllowEntry> {
    match entry.host() {
        AllowHost::Name(name) if name.as_str() == "localhost" => {
            let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
            loopback.map(|address| AllowEntry::for_address(address, entry.port())).to_vec()
        }
        _ => vec![entry],
    }
}

/// What a gate says about a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'a> {
    /// It may be reached.
    Allowed {
        /// The first entry that covers it.
        entry: &'a AllowEntry,
    },
    /// It may not.
    Blocked(Blocked),
}

impl Decision<'_> {
    /// Whether the destination may be reached.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allowed { .. })
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Allowed { entry } => write!(f, "allowed by `{entry}`"),
            Decision::Blocked(blocked) => write!(f, "blocked: {blocked}"),
        }
    }
}

/// A destination that no entry covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// What was asked for.
    pub destination: Destination,
    /// An entry that nearly covers it.
    pub near_miss: Option<NearMiss>,
}

impl Blocked {
    /// The reason code of a blocked connection.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        ReasonCode::NetworkAllowlistBlocked
    }

    /// What to add to the allowlist, if the destination is meant to be reached.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("add \"{}\" to `network_allowlist`", self.destination)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        self.near_miss.as_ref().map_or(Ok(()), |near_miss| write!(f, " ({near_miss})"))
    }
}

/// How an entry nearly covers a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NearMiss {
    /// The host is listed, for these ports.
    Ports(Vec<u16>),
    /// The entry covers what is below the name, but not the name.
    OnlyBelow(AllowEntry),
    /// The entry covers a name above this one, and nothing below it.
    OnlyItself(AllowEntry),
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NearMiss::Ports(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                write!(f, "listed for port {} only", ports.join(" and "))
            }
            NearMiss::OnlyBelow(entry) => {
                write!(f, "`{entry}` covers names below it, not the name itself")
            }
            NearMiss::OnlyItself(entry) => {
                write!(f, "`{entry}` covers that name only, not names below it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[&str], host: &str, port: u16, expect: &str) {
        let gate = Gate::parse(entries.iter().copied()).expect("good entries");
        let destination = Destination::new(host, port).expect("a good destination");
        assert_eq!(gate.decide(&destination).to_string(), expect, "{entries:?}");
    }

    #[test]
    fn decisions_name_the_entry_or_the_near_miss() {
        check(&["a.com", "*.b.com:443"], "A.com.", 80, "allowed by `a.com`");
        check(&["a.com", "*.b.com:443"], "x.b.com", 443, "allowed by `*.b.com:443`");
        check(
            &["a.com:443", "a.com:8443"],
            "a.com",
            80,
            "blocked: a.com:80 (listed for port 443 and 8443 only)",
        );
        check(
            &["*.b.com"],
            "b.com",
            80,
            "blocked: b.com:80 (`*.b.com` covers names below it, not the name itself)",
        );
        check(
            &["b.com"],
            "x.b.com",
            80,
            "blocked: x.b.com:80 (`b.com` covers that name only, not names below it)",
        );
        check(&["b.com"], "xb.com", 80, "blocked: xb.com:80");
        check(&["10.0.0.0/8:22"], "::ffff:10.1.1.1", 22, "allowed by `10.0.0.0/8:22`");
        check(&["10.0.0.0/8:22"], "10.1.1.1", 23, "blocked: 10.1.1.1:23 (listed for port 22 only)");
        check(&[], "a.com", 80, "blocked: a.com:80");
        check(&["localhost:80"], "127.0.0.1", 80, "allowed by `127.0.0.1:80`");
        check(&["localhost:80"], "::1", 80, "allowed by `[::1]:80`");
    }

    #[test]
    fn a_bad_entry_is_found_by_its_number() {
        let error = Gate::parse(["a.com", "*"]).expect_err("the second entry is bad");
        assert_eq!(error.to_string(), "failed to read entry 2 of the allowlist");
        assert_eq!(error.error.entry(), "*");
    }

    #[test]
    fn a_blocked_destination_says_what_to_add() {
        let gate = Gate::new([]);
        let Decision::Blocked(blocked) = gate.decide(&Destination::ip([10, 0, 0, 1], 22)) else {
            panic!("because an empty gate lets nothing through")
        };
        assert_eq!(blocked.hint(), "add \"10.0.0.1:22\" to `network_allowlist`");
        assert_eq!(blocked.reason().as_str(), "network_allowlist_blocked");
    }
}

//! What went through the gateway and what did not: events as they happen, and an account of each destination.
//!
//! Both are bounded, as the command decides how many destinations there are: beyond the table's size everything is counted in one
//! common row, and an event that nobody has fetched in time is counted and gone. The accounts are never wrong for it.

use crate::address::AddressKind;
use crate::gate::NearMiss;
use ringfence_policy::{Destination, ReasonCode};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::mpsc;

/// What was asked for: a host, and a port where one is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address; text of the command's making is escaped.
    pub host: String,
    /// The port; a question for a name has none.
    pub port: Option<u16>,
}

impl From<&Destination> for Target {
    fn from(destination: &Destination) -> Target {
        let host = match destination {
            Destination::Name { name, .. } => name.to_string(),
            Destination::Ip { address, .. } => address.to_string(),
        };
        Target { host, port: Some(destination.port()) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// What was refused: a connection, a datagram, a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attempt {
    /// A TCP connection.
    Connection,
    /// A UDP datagram.
    Datagram,
    /// A question for a name.
    Lookup,
    /// A packet of another protocol, by its number.
    Packet(u8),
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attempt::Connection => f.write_str("connection"),
            Attempt::Datagram => f.write_str("datagram"),
            Attempt::Lookup => f.write_str("lookup"),
            Attempt::Packet(protocol) => write!(f, "packet of protocol {protocol}"),
        }
    }
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// No entry covers it.
    NotListed {
        /// An entry that nearly does.
        near_miss: Option<NearMiss>,
    },
    /// The name is listed and leads to addresses that are not public and not listed themselves.
    LeadsTo {
        /// The first of them.
        address: IpAddr,
        /// What kind of address it is.
        kind: AddressKind,
    },
    /// The destination is listed, but only TCP is carried.
    NotCarried,
    /// The address stood for a name once; that was too many names ago.
    Forgotten,
    /// What was asked for is no host at all.
    NotAHost,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: SystemTime,
    /// What.
    pub target: Target,
    /// How it was tried.
    pub attempt: Attempt,
    /// Why not.
    pub cause: Cause,
    /// The name of the program that asked for a name, where it is known: 15 bytes at most, the program's own to choose.
    pub program: Option<String>,
}

impl Refusal {
    /// The reason code, always that of the allowlist.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        ReasonCode::NetworkAllowlistBlocked
    }

    /// The entry that is missing from the allowlist; `None` where none would help.
    #[must_use]
    pub fn missing_entry(&self) -> Option<String> {
        // Nothing but connections is ever carried.
        if let Attempt::Datagram | Attempt::Packet(_) = self.attempt {
            return None;
        }
        match &self.cause {
            Cause::NotListed { .. } => Some(self.target.to_string()),
            Cause::LeadsTo { address, .. } => {
                let host = address.to_string();
                Some(Target { host, port: self.target.port }.to_string())
            }
            Cause::NotCarried | Cause::Forgotten | Cause::NotAHost => None,
        }
    }

    /// What to do if it is meant to be reached.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.missing_entry().map(|entry| format!("add \"{entry}\" to `network_allowlist`"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", self.attempt, self.target, self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NotListed { near_miss: None } => f.write_str("not listed"),
            Cause::NotListed { near_miss: Some(near) } => write!(f, "{near}"),
            Cause::LeadsTo { address, kind } => {
                write!(f, "the name leads to {address}, a {kind} address that is not listed itself")
            }
            Cause::NotCarried => f.write_str("only TCP is carried to outside"),
            Cause::Forgotten => f.write_str("the address stands for no name any more"),
            Cause::NotAHost => f.write_str("not a host"),
        }
    }
}

/// Something that happened at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// The command was refused something.
    Refused(Refusal),
    /// A connection stands.
    Connected {
        /// When.
        at: SystemTime,
        /// What the command asked for.
        target: Target,
        /// Where it leads; `None` through a proxy of the host.
        address: Option<IpAddr>,
    },
    /// A connection ended.
    Closed {
        /// When.
        at: SystemTime,
        /// What the command had asked for.
        target: Target,
        /// Bytes to outside.
        up: u64,
        /// Bytes to inside.
        down: u64,
        /// An end that broke off, not one that was said.
        reset: bool,
    },
    /// The destination is allowed and could not be reached.
    Failed {
        /// When.
        at: SystemTime,
        /// What the command asked for.
        target: Target,
        /// Why, in words.
        why: String,
    },
}

/// The account of one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which; `None` for all that the table has no row for.
    pub target: Option<Target>,
    /// Connections that stood.
    pub connections: u64,
    /// Connections that stand.
    pub open: u64,
    /// Connections that were allowed and could not be made.
    pub failed: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Bytes to outside.
    pub up: u64,
    /// Bytes to inside.
    pub down: u64,
}

/// The counters behind an account.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) connections: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
}

impl Row {
    fn account(&self, target: Option<Target>) -> Account {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Account {
            target,
            connections: read(&self.connections),
            open: read(&self.open),
            failed: read(&self.failed),
            refused: read(&self.refused),
            up: read(&self.up),
            down: read(&self.down),
        }
    }
}

/// Most rows of the table.
const MOST: usize = 1024;

#[derive(Debug, Default)]
struct Table {
    order: Vec<Target>,
    rows: HashMap<Target, Arc<Row>>,
    rest: Arc<Row>,
}

/// Accounts and events of one gateway.
#[derive(Debug)]
pub(crate) struct Ledger {
    table: Mutex<Table>,
    events: mpsc::Sender<GatewayEvent>,
    missed: AtomicU64,
}

impl Ledger {
    /// A ledger that keeps at most this many events for who fetches them.
    pub(crate) fn new(events: usize) -> (Ledger, mpsc::Receiver<GatewayEvent>) {
        let (sender, receiver) = mpsc::channel(events.max(1));
        (Ledger { table: Mutex::default(), events: sender, missed: AtomicU64::new(0) }, receiver)
    }

    /// The row of a destination, or the common one.
    pub(crate) fn row(&self, target: &Target) -> Arc<Row> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = table.rows.get(target) {
            return Arc::clone(row);
        }
        if table.order.len() >= MOST {
            return Arc::clone(&table.rest);
        }
        let row = Arc::new(Row::default());
        table.order.push(target.clone());
        table.rows.insert(target.clone(), Arc::clone(&row));
        row
    }

    pub(crate) fn tell(&self, event: GatewayEvent) {
        if self.events.try_send(event).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refuse(&self, target: Target, attempt: Attempt, cause: Cause) {
        self.refuse_program(target, attempt, cause, None);
    }

    pub(crate) fn refuse_program(
        &self,
        target: Target,
        attempt: Attempt,
        cause: Cause,
        program: Option<String>,
    ) {
        self.row(&target).refused.fetch_add(1, Ordering::Relaxed);
        let at = SystemTime::now();
        self.tell(GatewayEvent::Refused(Refusal { at, target, attempt, cause, program }));
    }

    pub(crate) fn failed(&self, target: Target, why: String) {
        self.row(&target).failed.fetch_add(1, Ordering::Relaxed);
        self.tell(GatewayEvent::Failed { at: SystemTime::now(), target, why });
    }

    /// The accounts in the order of their first use, the common one last if it was needed.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut accounts: Vec<Account> = table
            .order
            .iter()
            .filter_map(|target| Some(table.rows.get(target)?.account(Some(target.clone()))))
            .collect();
        if table.order.len() >= MOST {
            accounts.push(table.rest.account(None));
        }
        accounts
    }

    /// Events that were not fetched in time.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: Option<u16>) -> Target {
        Target { host: host.into(), port }
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let check = |target: Target, cause: Cause, text: &str, missing: Option<&str>| {
            let at = SystemTime::UNIX_EPOCH;
            let refusal =
                Refusal { at, target, attempt: Attempt::Connection, cause, program: None };
            assert_eq!(refusal.to_string(), text);
            assert_eq!(refusal.missing_entry().as_deref(), missing);
            assert_eq!(refusal.reason().as_str(), "network_allowlist_blocked");
        };
        let not_listed = Cause::NotListed { near_miss: None };
        check(
            target("a.com", Some(80)),
            not_listed.clone(),
            "connection to a.com:80: not listed",
            Some("a.com:80"),
        );
        check(
            target("::1", Some(80)),
            not_listed,
            "connection to [::1]:80: not listed",
            Some("[::1]:80"),
        );
        let cause = Cause::LeadsTo { address: [10, 0, 0, 1].into(), kind: AddressKind::Private };
        let text = "connection to a.com:80: the name leads to 10.0.0.1, a private address that is not listed itself";
        check(target("a.com", Some(80)), cause, text, Some("10.0.0.1:80"));
        check(
            target("a.com", Some(80)),
            Cause::NotCarried,
            "connection to a.com:80: only TCP is carried to outside",
            None,
        );
    }

    #[test]
    fn the_table_and_the_events_are_bounded() {
        let (ledger, mut events) = Ledger::new(4);
        for n in 0..MOST + 10 {
            let target = target(&format!("host{n}.com"), None);
            ledger.refuse(target, Attempt::Lookup, Cause::NotListed { near_miss: None });
        }
        let accounts = ledger.accounts();
        assert_eq!(accounts.len(), MOST + 1);
        assert_eq!(accounts[MOST].refused, 10);
        assert_eq!(
            (accounts[0].refused, &accounts[0].target),
            (1, &Some(target("host0.com", None)))
        );
        assert_eq!(ledger.missed(), (MOST + 10 - 4) as u64);
        assert!(matches!(events.try_recv(), Ok(GatewayEvent::Refused(_))));
    }
}

//! The names inside: what the command's questions are answered with.
//!
//! No question leaves. A listed name has a synthetic address of `198.18.0.0/15` that stands for it as long as the run lasts; any
//! other name does not exist. What the name really resolves to is found out by the gateway, outside, when the command connects.
//!
//! The range is the one of RFC 2544 (measurements), because it is neither private nor loopback to the programs inside: guards
//! against private addresses let it pass, and a C library counts it as a sign that there is IPv4.

mod message;
mod names;

pub use message::{Answer, Query, QueryError, RecordType};
pub use names::Names;

use crate::gate::Gate;
use ringfence_policy::allowlist::HostName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name server, inside, and the source of connections to outside. The first host address of the range.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// How long an answer may be kept, in seconds. An address stands for its name as long as the run lasts, so this is only politeness.
pub const TTL: u32 = 300;

/// What is said to a query, and whether that is a refusal to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The answer.
    pub answer: Answer,
    /// The name was refused because no entry covers it.
    pub refused: bool,
}

impl Said {
    fn plainly(answer: Answer) -> Said {
        Said { answer, refused: false }
    }
}

/// Answers a query by the entries of the gate; a listed name gets its address in `names`.
pub fn answer(query: &Query, gate: &Gate, names: &mut Names) -> Said {
    if query.record == RecordType::Ptr
        && let Some(address) = reverse_address(&query.name)
    {
        return Said::plainly(name_of(address, names).map_or(Answer::NoName, Answer::Name));
    }
    let Ok(name) = HostName::parse(&query.name) else {
        return Said { answer: Answer::NoName, refused: true };
    };
    let listed = gate.lists_name(&name);
    Said::plainly(match query.record {
        RecordType::A if is_localhost(&name) => Answer::V4(Ipv4Addr::LOCALHOST),
        RecordType::Aaaa if is_localhost(&name) => Answer::V6(Ipv6Addr::LOCALHOST),
        _ if is_localhost(&name) => Answer::Nothing,
        _ if !listed => return Said { answer: Answer::NoName, refused: true },
        RecordType::A => names.address(&name).map_or(Answer::Failure, Answer::V4),
        _ => Answer::Nothing,
    })
}

/// `localhost` and all below it, which stay inside. Source: RFC 6761 section 6.3.
fn is_localhost(name: &HostName) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

fn name_of(address: IpAddr, names: &Names) -> Option<String> {
    match address {
        address if address.is_loopback() => Some("localhost".into()),
        IpAddr::V4(v4) => names.name(v4).map(|name| name.as_str().to_owned()),
        IpAddr::V6(_) => None,
    }
}

/// The address that a name of `in-addr.arpa` or `ip6.arpa` asks for.
fn reverse_address(name: &str) -> Option<IpAddr> {
    let name = name.to_ascii_lowercase();
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = digits.rsplit('.');
        for octet in &mut octets {
            *octet = parts.next()?.parse().ok()?;
        }
        return parts.next().is_none().then(|| IpAddr::from(octets));
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for digit in digits.rsplit('.') {
        let value = (digit.len() == 1).then(|| u128::from_str_radix(digit, 16).ok()).flatten()?;
        bits = bits << 4 | value;
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes of a query for `name`.
    fn query(name: &str, kind: u16) -> Query {
        let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).expect("short labels in tests"));
            bytes.extend(label.as_bytes());
        }
        bytes.extend([0, (kind >> 8) as u8, kind as u8, 0, 1]);
        Query::parse(&bytes).expect("a query")
    }

    fn gate() -> Gate {
        Gate::parse(["a.com:443", "*.b.com", "10.0.0.1"]).expect("good entries")
    }

    #[test]
    fn listed_names_have_an_address_and_others_do_not_exist() {
        let mut names = Names::default();
        let mut check = |name: &str, kind: u16, expect: Answer, refused: bool| {
            let said = answer(&query(name, kind), &gate(), &mut names);
            assert_eq!(said, Said { answer: expect, refused }, "{name} {kind}");
        };
        let first = Answer::V4(Ipv4Addr::new(198, 18, 0, 2));
        check("a.com", 1, first.clone(), false);
        check("A.COM", 1, first.clone(), false);
        check("x.b.com", 1, Answer::V4(Ipv4Addr::new(198, 18, 0, 3)), false);
        check("a.com", 1, first, false);
        check("a.com", 28, Answer::Nothing, false);
        check("a.com", 65, Answer::Nothing, false);
        check("a.com", 16, Answer::Nothing, false);
        check("b.com", 1, Answer::NoName, true);
        check("b.com", 28, Answer::NoName, true);
        check("evila.com", 1, Answer::NoName, true);
        check("a.com.evil.org", 1, Answer::NoName, true);
        check("c2VjcmV0.evil.org", 16, Answer::NoName, true);
        check("10.0.0.1", 1, Answer::NoName, true);
        check("localhost", 1, Answer::V4(Ipv4Addr::LOCALHOST), false);
        check("x.localhost", 28, Answer::V6(Ipv6Addr::LOCALHOST), false);
    }

    #[test]
    fn addresses_have_their_names_back() {
        let mut names = Names::default();
        answer(&query("a.com", 1), &gate(), &mut names);
        let mut check = |name: &str, expect: Answer| {
            let said = answer(&query(name, 12), &gate(), &mut names);
            assert_eq!(said, Said::plainly(expect), "{name}");
        };
        check("2.0.18.198.in-addr.arpa", Answer::Name("a.com".into()));
        check("3.0.18.198.in-addr.arpa", Answer::NoName);
        check("1.0.0.127.IN-ADDR.arpa", Answer::Name("localhost".into()));
        check("8.8.8.8.in-addr.arpa", Answer::NoName);
        let one = format!("1.{}ip6.arpa", "0.".repeat(31));
        check(&one, Answer::Name("localhost".into()));
        let said = answer(&query("8.8.8.in-addr.arpa", 12), &gate(), &mut names);
        assert!(said.refused, "what is no reverse name is a name like others");
    }

    proptest! {
        #[test]
        fn an_address_is_given_to_listed_names_only(name in "[a-c]{1,2}(\\.[a-c]{1,2}){0,2}\\.com", kind in prop_oneof![Just(1_u16), Just(28), Just(65)]) {
            let mut names = Names::default();
            let said = answer(&query(&name, kind), &gate(), &mut names);
            let listed = name == "a.com" || name.ends_with(".b.com");
            prop_assert_eq!(matches!(said.answer, Answer::V4(_)), listed && kind == 1);
            prop_assert_eq!(said.refused, !listed);
        }
    }
}

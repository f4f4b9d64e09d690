//! The rule set of a namespace: what is redirected to the gateway, what stays inside, and that the rest is refused.
//!
//! One chain sees the first packet of every connection on its way out and redirects it if an entry may cover it; the
//! gateway decides exactly, by name and port. Another refuses whatever is neither redirected nor inside, and tells it. Where
//! packets can wait, two more come before them: the first holds what will be redirected until the gateway has
//! answered, the second refuses what it has marked.
//!
//! The trap is the loopback. A wide network such as `0.0.0.0/0` covers it, and a program must still reach its own servers: an entry
//! takes a loopback address away from the inside only when it lies wholly in the loopback network.

use super::netlink::{ACK, Attributes, Batch, CREATE};
use super::nflog;
use super::queue::Verdict;
use crate::dns::NAME_SERVER;
use crate::gate::Gate;
use ringfence_policy::allowlist::{AllowHost, Network};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the gateway listens on the loopback of the namespace. A port that no program asks for.
pub(super) const GATEWAY_PORT: u16 = 1;
/// Where the name server listens, so that port 53 is free for programs inside.
pub(super) const DNS_PORT: u16 = 2;
/// More redirections than this, and every TCP connection is led to the gateway.
const MOST: usize = 256;

/// What is led to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Redirect {
    network: Network,
    port: Option<u16>,
}

/// How a rule says that a packet is to wait. Kernels have the one, the other, both or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// `nft_queue`.
    Expression,
    /// The target of iptables, by `nft_compat`.
    Target,
}

/// The rules of one allowlist, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    inside: Vec<Redirect>,
    outside: Vec<Redirect>,
}

fn network(address: impl Into<IpAddr>, prefix: u8) -> Network {
    Network::new(address.into(), prefix).expect("because the prefixes of this module fit")
}

/// The range of synthetic addresses.
fn names() -> Network {
    network(Ipv4Addr::new(198, 18, 0, 0), 15)
}

fn everything() -> Vec<Redirect> {
    let all = [network(Ipv4Addr::UNSPECIFIED, 0), network(Ipv6Addr::UNSPECIFIED, 0)];
    all.map(|network| Redirect { network, port: None }).to_vec()
}

impl Rules {
    /// The rules that let the gateway see what the gate may allow, and nothing else.
    #[must_use]
    pub fn exact(gate: &Gate) -> Rules {
        let mut redirects: Vec<Redirect> = Vec::new();
        for entry in gate.entries() {
            let network = match entry.host() {
                AllowHost::Ip(address) => {
                    network(*address, if address.is_ipv4() { 32 } else { 128 })
                }
                AllowHost::Network(network) => *network,
                _ => names(),
            };
            let redirect = Redirect { network, port: entry.port() };
            if !redirects.contains(&redirect) {
                redirects.push(redirect);
            }
        }
        let (inside, mut outside): (Vec<_>, Vec<_>) =
            redirects.into_iter().partition(|redirect| redirect.network.address().is_loopback());
        if inside.len() + outside.len() > MOST {
            outside = everything();
        }
        Rules { inside, outside }
    }

    /// Rules that let the gateway see every TCP connection, for where the kernel cannot tell what it refuses.
    #[must_use]
    pub fn wide(gate: &Gate) -> Rules {
        Rules { outside: everything(), ..Rules::exact(gate) }
    }

    /// The table, as one message to the kernel: all of it comes into being at once, or nothing.
    pub(super) fn batch(&self, log: bool, hold: Option<Hold>) -> Batch {
        let mut table = Table::begin();
        if let Some(way) = hold {
            self.hold(&mut table, way);
        }
        table.chain("lead", "nat", -100);
        table.chain("wall", "filter", 0);
        for protocol in [UDP, TCP] {
            table.rule("lead", |rule| {
                rule.to(network(NAME_SERVER, 32)).protocol(protocol).port(53).redirect(DNS_PORT);
            });
        }
        self.choose(&mut table, "lead", |rule| {
            rule.redirect(GATEWAY_PORT);
        });
        table.rule("wall", |rule| {
            rule.tracked().accept();
        });
        for network in stays_inside() {
            table.rule("wall", |rule| {
                rule.to(network).accept();
            });
        }
        if log {
            table.rule("wall", |rule| {
                rule.log();
            });
        }
        table.rule("wall", |rule| {
            rule.protocol(TCP).refuse(REJECT_RESET, 0);
        });
        table.rule("wall", |rule| {
            rule.refuse(REJECT_UNREACHABLE, PORT_UNREACHABLE);
        });
        table.end()
    }

    /// Something for what is led to the gateway.
    fn choose(&self, table: &mut Table, chain: &str, act: impl Fn(&mut Rule<'_, '_>)) {
        for redirect in &self.inside {
            table.rule(chain, |rule| act(rule.meets(redirect)));
        }
        for network in stays_inside() {
            table.rule(chain, |rule| {
                rule.to(network).accept();
            });
        }
        for redirect in &self.outside {
            table.rule(chain, |rule| act(rule.meets(redirect)));
        }
    }

    /// Between conntrack, which knows first packets, and the redirection.
    fn hold(&self, table: &mut Table, way: Hold) {
        table.chain("hold", "filter", -150);
        table.rule("hold", |rule| {
            rule.tracked().accept();
        });
        self.choose(table, "hold", |rule| {
            rule.queue(way);
        });
        table.chain("answer", "filter", -140);
        let refusals = [
            (Verdict::Refuse, REJECT_RESET, 0),
            (Verdict::Unreachable, REJECT_UNREACHABLE, HOST_UNREACHABLE),
        ];
        for (verdict, kind, code) in refusals {
            table.rule("answer", |rule| {
                rule.protocol(TCP).marked(verdict.mark()).refuse(kind, code);
            });
        }
    }
}

/// What a program inside reaches inside.
fn stays_inside() -> [Network; 3] {
    [
        network(Ipv4Addr::new(127, 0, 0, 0), 8),
        network(Ipv6Addr::LOCALHOST, 128),
        network(NAME_SERVER, 32),
    ]
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redirect = |f: &mut fmt::Formatter<'_>, redirect: &Redirect| match redirect.port {
            Some(port) => writeln!(f, "to the gateway: tcp to {} port {port}", redirect.network),
            None => writeln!(f, "to the gateway: tcp to {}", redirect.network),
        };
        writeln!(f, "to the name server: port 53 of {NAME_SERVER}")?;
        self.inside.iter().try_for_each(|one| redirect(f, one))?;
        for network in stays_inside() {
            writeln!(f, "stays inside: {network}")?;
        }
        self.outside.iter().try_for_each(|one| redirect(f, one))?;
        f.write_str("refused: everything else\n")
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;
/// `NFT_REJECT_TCP_RST`, `NFT_REJECT_ICMPX_UNREACH`, `NFT_REJECT_ICMPX_PORT_UNREACH`,
/// `NFT_REJECT_ICMPX_HOST_UNREACH`.
const REJECT_RESET: u32 = 1;
const REJECT_UNREACHABLE: u32 = 2;
const PORT_UNREACHABLE: u8 = 1;
const HOST_UNREACHABLE: u8 = 2;

const TABLE: &str = "ringfence";
/// Family of tables that see IPv4 and IPv6: `NFPROTO_INET`.
const INET: u8 = 1;
const V4: u8 = 2;
const V6: u8 = 10;
/// Subsystem nf_tables, and its messages NEWTABLE, NEWCHAIN, NEWRULE.
const NFTABLES: u16 = 10;
const NEW_TABLE: u16 = NFTABLES << 8;
const NEW_CHAIN: u16 = NFTABLES << 8 | 3;
const NEW_RULE: u16 = NFTABLES << 8 | 6;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const HOOK_OUTPUT: u32 = 3;

/// A table that is being written.
struct Table {
    batch: Batch,
}

impl Table {
    fn begin() -> Table {
        let mut batch = Batch::default();
        batch.message(BATCH_BEGIN, 0, &[0, 0, 0, NFTABLES as u8], |_| {});
        batch.message(NEW_TABLE, CREATE, &[INET, 0, 0, 0], |a| {
            a.text(1, TABLE);
        });
        Table { batch }
    }

    fn chain(&mut self, name: &str, kind: &str, priority: i32) {
        self.batch.message(NEW_CHAIN, CREATE, &[INET, 0, 0, 0], |a| {
            a.text(1, TABLE).text(3, name).text(7, kind);
            a.nest(4, |hook| {
                hook.be32(1, HOOK_OUTPUT).bytes(2, &priority.to_be_bytes());
            });
        });
    }

    fn rule(&mut self, chain: &str, fill: impl FnOnce(&mut Rule<'_, '_>)) {
        // Appended. The last answer that comes is that of the last rule.
        self.batch.message(
            NEW_RULE,
            CREATE | super::netlink::APPEND | ACK,
            &[INET, 0, 0, 0],
            |a| {
                a.text(1, TABLE).text(2, chain);
                a.nest(4, |expressions| fill(&mut Rule { expressions }));
            },
        );
    }

    fn end(mut self) -> Batch {
        self.batch.unnumbered(BATCH_END, &[0, 0, 0, NFTABLES as u8]);
        self.batch
    }
}

/// A rule that is being written: expressions, from left to right.
struct Rule<'a, 'b> {
    expressions: &'a mut Attributes<'b>,
}

impl Rule<'_, '_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.expressions.nest(1, |element| {
            element.text(1, name).nest(2, fill);
        });
        self
    }

    /// Goes on only if register 1 holds this.
    fn equals(&mut self, value: &[u8]) -> &mut Self {
        self.compare(0, value)
    }

    fn compare(&mut self, operation: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |a| {
            a.be32(1, 1).be32(2, operation).nest(3, |data| {
                data.bytes(1, value);
            });
        })
    }

    fn mask(&mut self, mask: &[u8]) -> &mut Self {
        self.expression("bitwise", |a| {
            a.be32(1, 1).be32(2, 1).be32(3, mask.len() as u32);
            a.nest(4, |data| {
                data.bytes(1, mask);
            });
            a.nest(5, |data| {
                data.bytes(1, &vec![0; mask.len()]);
            });
        })
    }

    /// Family and protocol of the packet.
    fn meta(&mut self, key: u32) -> &mut Self {
        self.expression("meta", |a| {
            a.be32(1, 1).be32(2, key);
        })
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) -> &mut Self {
        self.expression("payload", |a| {
            a.be32(1, 1).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    fn to(&mut self, network: Network) -> &mut Self {
        let prefix = u32::from(network.prefix());
        let (family, offset, address, mask) = match network.address() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0).to_be_bytes().to_vec();
                (V4, 16, v4.octets().to_vec(), mask)
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0).to_be_bytes().to_vec();
                (V6, 24, v6.octets().to_vec(), mask)
            }
        };
        self.meta(15).equals(&[family]);
        if prefix > 0 {
            self.payload(1, offset, address.len() as u32).mask(&mask).equals(&address);
        }
        self
    }

    fn protocol(&mut self, protocol: u8) -> &mut Self {
        self.meta(16).equals(&[protocol])
    }

    fn port(&mut self, port: u16) -> &mut Self {
        self.payload(2, 2, 2).equals(&port.to_be_bytes())
    }

    /// Part of a connection that was let through: established or related.
    fn tracked(&mut self) -> &mut Self {
        self.expression("ct", |a| {
            a.be32(1, 1).be32(2, 0);
        });
        self.mask(&6_u32.to_ne_bytes()).compare(1, &[0; 4])
    }

    fn meets(&mut self, redirect: &Redirect) -> &mut Self {
        self.to(redirect.network).protocol(TCP);
        if let Some(port) = redirect.port {
            self.port(port);
        }
        self
    }

    fn marked(&mut self, mark: u32) -> &mut Self {
        self.meta(3).equals(&mark.to_ne_bytes())
    }

    fn redirect(&mut self, port: u16) -> &mut Self {
        self.expression("immediate", |a| {
            a.be32(1, 1).nest(2, |data| {
                data.bytes(1, &port.to_be_bytes());
            });
        });
        // To the port in register 1.
        self.expression("redir", |a| {
            a.be32(1, 1).be32(3, 2);
        })
    }

    fn accept(&mut self) -> &mut Self {
        self.expression("immediate", |a| {
            a.be32(1, 0).nest(2, |data| {
                data.nest(2, |verdict| {
                    verdict.be32(1, 1);
                });
            });
        })
    }

    /// To queue 0.
    fn queue(&mut self, way: Hold) -> &mut Self {
        match way {
            Hold::Expression => self.expression("queue", |a| {
                a.bytes(1, &[0, 0]);
            }),
            // Revision 0, and a number with the room that is rounded up for it.
            Hold::Target => self.expression("target", |a| {
                a.text(1, "NFQUEUE").be32(2, 0).bytes(3, &[0; 8]);
            }),
        }
    }

    fn log(&mut self) -> &mut Self {
        self.expression("log", |a| {
            a.bytes(1, &nflog::GROUP.to_be_bytes());
            a.be32(3, nflog::SNAPLEN).bytes(4, &1_u16.to_be_bytes());
        })
    }

    fn refuse(&mut self, kind: u32, code: u8) -> &mut Self {
        self.expression("reject", |a| {
            a.be32(1, kind).bytes(2, &[code]);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[&str], expect: &str) {
        let gate = Gate::parse(entries.iter().copied()).expect("good entries");
        let text = Rules::exact(&gate).to_string();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("gateway")).collect();
        assert_eq!(lines.join("\n").replace("to the gateway: tcp to ", ""), expect, "{entries:?}");
    }

    #[test]
    fn entries_become_redirections() {
        check(&[], "");
        check(
            &["a.com:443", "b.com:443", "*.c.com:80"],
            "198.18.0.0/15 port 443\n198.18.0.0/15 port 80",
        );
        check(&["a.com"], "198.18.0.0/15");
        check(&["10.0.0.0/8:22", "10.1.2.3"], "10.0.0.0/8 port 22\n10.1.2.3/32");
        check(&["[2001:db8::1]:80"], "2001:db8::1/128 port 80");
        check(&["10.0.0.1:1", "127.0.0.1:5432"], "127.0.0.1/32 port 5432\n10.0.0.1/32 port 1");
        check(&["localhost:80"], "127.0.0.1/32 port 80\n::1/128 port 80");
    }

    #[test]
    fn a_wide_network_leaves_the_loopback_inside() {
        let gate = Gate::parse(["0.0.0.0/0", "127.0.0.0/8:80"]).expect("good entries");
        let text = Rules::exact(&gate).to_string();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(place("gateway: tcp to 127.0.0.0/8 port 80") < place("inside: 127.0.0.0/8"));
        assert!(place("inside: 127.0.0.0/8") < place("gateway: tcp to 0.0.0.0/0"));
    }

    #[test]
    fn a_long_list_is_left_to_the_gateway() {
        let entries: Vec<String> = (1..=300).map(|n| format!("10.0.0.0/8:{n}")).collect();
        let gate = Gate::parse(entries.iter().map(String::as_str)).expect("good entries");
        assert_eq!(Rules::exact(&gate), Rules { inside: vec![], outside: everything() });
        assert!(Rules::wide(&gate).batch(false, Some(Hold::Target)).as_bytes().len() < 32 * 1024);
    }
}

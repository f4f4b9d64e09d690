//! Which synthetic address stands for which name.
//!
//! Addresses are given out in order, through the whole range, before one is used again; so an address that a client kept means its
//! old name, or nothing, for as long as can be had. The table is bounded: the name that was used longest ago goes first.

use ringfence_policy::allowlist::HostName;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

/// First address that is given out: behind the name server's.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 2]);
/// Last address that is given out: not the broadcast address of the range.
const LAST: u32 = u32::from_be_bytes([198, 19, 255, 254]);
/// Most names at once, if nothing else is said.
const MOST: usize = 4096;

/// Names and their addresses, one to one.
#[derive(Debug)]
pub struct Names {
    most: usize,
    next: u32,
    clock: u64,
    by_name: HashMap<HostName, Entry>,
    by_address: HashMap<u32, HostName>,
    by_use: BTreeMap<u64, HostName>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u32,
    used: u64,
}

impl Default for Names {
    fn default() -> Names {
        Names::bounded(MOST)
    }
}

impl Names {
    /// A table of at most this many names, at least 1.
    #[must_use]
    pub fn bounded(most: usize) -> Names {
        Names {
            most: most.clamp(1, (LAST - FIRST) as usize),
            next: FIRST,
            clock: 0,
            by_name: HashMap::new(),
            by_address: HashMap::new(),
            by_use: BTreeMap::new(),
        }
    }

    /// The address of a name, a new one if it has none.
    pub fn address(&mut self, name: &HostName) -> Option<Ipv4Addr> {
        if let Some(entry) = self.by_name.get(name).copied() {
            self.touch(name.clone(), entry);
            return Some(entry.address.into());
        }
        if self.by_name.len() >= self.most {
            self.forget_oldest();
        }
        let address = self.free_address()?;
        self.by_address.insert(address, name.clone());
        self.touch(name.clone(), Entry { address, used: 0 });
        Some(address.into())
    }

    /// The name an address stands for.
    #[must_use]
    pub fn name(&self, address: Ipv4Addr) -> Option<&HostName> {
        self.by_address.get(&u32::from(address))
    }

    /// The name of an address that is being connected to, which counts as a use.
    pub fn use_address(&mut self, address: Ipv4Addr) -> Option<HostName> {
        let name = self.name(address)?.clone();
        let entry = self.by_name.get(&name).copied()?;
        self.touch(name.clone(), entry);
        Some(name)
    }

    /// Whether an address is one that stands for names.
    #[must_use]
    pub fn in_range(address: Ipv4Addr) -> bool {
        matches!(address.octets(), [198, 18 | 19, ..])
    }

    fn touch(&mut self, name: HostName, entry: Entry) {
        self.clock += 1;
        self.by_use.remove(&entry.used);
        self.by_use.insert(self.clock, name.clone());
        self.by_name.insert(name, Entry { used: self.clock, ..entry });
    }

    fn forget_oldest(&mut self) {
        if let Some((_, name)) = self.by_use.pop_first()
            && let Some(entry) = self.by_name.remove(&name)
        {
            self.by_address.remove(&entry.address);
        }
    }

    /// The next address that stands for nothing; there is one, as the table is smaller than the range.
    fn free_address(&mut self) -> Option<u32> {
        for _ in FIRST..=LAST {
            let address = self.next;
            self.next = if address == LAST { FIRST } else { address + 1 };
            if !self.by_address.contains_key(&address) {
                return Some(address);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> HostName {
        HostName::parse(text).expect("a good name")
    }

    #[test]
    fn an_address_stays_with_its_name() {
        let mut names = Names::default();
        let a = names.address(&name("a.com"));
        assert_eq!(a, Some(Ipv4Addr::new(198, 18, 0, 2)));
        assert_eq!(names.address(&name("b.com")), Some(Ipv4Addr::new(198, 18, 0, 3)));
        assert_eq!(names.address(&name("A.com")), a);
        assert_eq!(names.name(Ipv4Addr::new(198, 18, 0, 3)), Some(&name("b.com")));
        assert_eq!(names.name(Ipv4Addr::new(198, 18, 0, 4)), None);
    }

    #[test]
    fn who_was_used_longest_ago_goes_first() {
        let mut names = Names::bounded(2);
        let a = names.address(&name("a.com")).expect("there is room");
        let b = names.address(&name("b.com")).expect("there is room");
        assert_eq!(names.use_address(a), Some(name("a.com")));
        let c = names.address(&name("c.com")).expect("one makes room");
        assert_eq!((names.name(a), names.name(b)), (Some(&name("a.com")), None));
        assert_eq!(names.name(c), Some(&name("c.com")));
        let again = names.address(&name("b.com")).expect("one makes room");
        assert!(again > c, "an address is not used again soon");
    }

    proptest! {
        #[test]
        fn the_table_is_one_to_one_and_bounded(asked in proptest::collection::vec("[a-f]{1,2}\\.com", 1..60), most in 1_usize..8) {
            let mut names = Names::bounded(most);
            for text in asked {
                let address = names.address(&name(&text)).expect("the range is larger than the table");
                prop_assert!(Names::in_range(address));
                prop_assert_eq!(names.name(address), Some(&name(&text)));
                prop_assert!(names.by_name.len() <= most);
                prop_assert_eq!(names.by_name.len(), names.by_address.len());
                prop_assert_eq!(names.by_name.len(), names.by_use.len());
            }
        }
    }
}

//! Addresses as `DBUS_SESSION_BUS_ADDRESS` holds them. Pure.

/// Where a bus listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A socket in the file system.
    Path(Vec<u8>),
    /// A name in the abstract namespace of Linux.
    Abstract(Vec<u8>),
}

/// The Unix sockets of a list `transport:key=value,…;…`, in order. Other transports are left out.
///
/// # References
///
/// "Server Addresses" in the D-Bus Specification.
pub(super) fn parse(list: &str) -> Vec<Address> {
    list.split(';').filter_map(one).collect()
}

fn one(address: &str) -> Option<Address> {
    let pairs = address.strip_prefix("unix:")?.split(',');
    pairs.filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| match key {
        "path" => unescaped(value).map(Address::Path),
        "abstract" => unescaped(value).map(Address::Abstract),
        _ => None,
    })
}

/// A byte may be written as `%` and two hexadecimal digits.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    (!bytes.is_empty() && !bytes.contains(&0)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_in_order() {
        let path = |path: &str| Address::Path(path.as_bytes().to_vec());
        let name = |name: &str| Address::Abstract(name.as_bytes().to_vec());
        for (list, expect) in [
            ("unix:path=/run/user/1000/bus", vec![path("/run/user/1000/bus")]),
            ("unix:guid=00ff,path=/a%20b", vec![path("/a b")]),
            ("unix:abstract=/tmp/x,guid=1;unix:path=/y", vec![name("/tmp/x"), path("/y")]),
            ("tcp:host=localhost,port=1;unix:path=/y", vec![path("/y")]),
            ("unix:path=/a%2;unix:path=%+1;unix:path=;unix:path=%00;;unix:;autolaunch:", vec![]),
        ] {
            assert_eq!(parse(list), expect, "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(list in "(unix:|path=|abstract=|[%;,=a-f0-9é]){0,20}") {
            for address in parse(&list) {
                let (Address::Path(bytes) | Address::Abstract(bytes)) = address;
                prop_assert!(!bytes.is_empty() && bytes.len() <= list.len());
            }
        }
    }
}

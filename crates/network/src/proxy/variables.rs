//! The variables that tell programs of the proxy.

use super::Proxy;
use std::ffi::OsStr;

const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
const SOCKS: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Whether programs look for a proxy, or for what needs none, in the variable of this name.
#[must_use]
pub fn is_proxy_variable(name: &OsStr) -> bool {
    HTTP.iter().chain(&SOCKS).chain(&NONE).any(|known| name == *known)
}

/// Name and value of each variable that a command needs to find the proxy. The values hold the password: they are secrets.
///
/// curl, git over HTTP, cargo, pip, npm, Go, Ruby, Python and wget take these as they are; Node.js (22.21, 24 and later) when
/// `NODE_USE_ENV_PROXY` says so.
///
/// # Caveats
/// Programs that know no proxy are not led anywhere: ssh (and git over it), psql and other databases, and Java, which takes no
/// password from its settings.
#[must_use]
pub fn proxy_variables(proxy: &Proxy) -> Vec<(&'static str, String)> {
    let http = proxy.expose_url("http");
    let socks = proxy.expose_url("socks5h");
    let mut variables = Vec::new();
    for name in HTTP {
        variables.push((name, http.clone()));
    }
    for name in SOCKS {
        variables.push((name, socks.clone()));
    }
    for name in NONE {
        variables.push((name, "localhost,127.0.0.1,::1".to_owned()));
    }
    variables.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_set_once() {
        let address = ([127, 0, 0, 1], 4128).into();
        let variables = proxy_variables(&Proxy { address, password: "pw".into() });
        let value = |name: &str| {
            let values: Vec<_> = variables.iter().filter(|(known, _)| *known == name).collect();
            assert_eq!(values.len(), 1, "{name}");
            values[0].1.as_str()
        };
        assert_eq!(value("https_proxy"), "http://ringfence:pw@127.0.0.1:4128");
        assert_eq!(value("HTTP_PROXY"), value("https_proxy"));
        assert_eq!(value("ALL_PROXY"), "socks5h://ringfence:pw@127.0.0.1:4128");
        assert_eq!(value("no_proxy"), "localhost,127.0.0.1,::1");
    }
}

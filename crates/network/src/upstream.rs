//! The proxy that the host itself needs to get out, as its environment names it.
//!
//! The caller passes the values of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; nothing is read from the environment
//! here. A connection is a tunnel (`CONNECT`, or SOCKS5 with the name) whatever the command speaks through it.
//!
//! The trap: behind a proxy the name is resolved by the proxy, so an allowed name that leads to a private address of the proxy's
//! network is the proxy's to refuse. Credentials are in none of the texts this module prints.

mod handshake;
mod no_proxy;

pub use handshake::TunnelError;
pub(crate) use handshake::tunnel;
pub use no_proxy::NoProxy;

use ringfence_policy::Destination;
use std::fmt;
use std::net::IpAddr;

/// Values of the variables, as the host has them; an empty one counts as none.
#[derive(Clone, Copy, Default)]
pub struct ProxySettings<'a> {
    /// `HTTPS_PROXY` or `https_proxy`: for every port but 80.
    pub https_proxy: Option<&'a str>,
    /// `http_proxy` or `HTTP_PROXY`: for port 80.
    pub http_proxy: Option<&'a str>,
    /// `ALL_PROXY` or `all_proxy`: for what the other two leave out.
    pub all_proxy: Option<&'a str>,
    /// `NO_PROXY` or `no_proxy`: what is reached without one.
    pub no_proxy: Option<&'a str>,
}

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyKind {
    /// HTTP with `CONNECT`. Source: RFC 9110 section 9.3.6.
    Http,
    /// SOCKS5 with the name. Source: RFC 1928, RFC 1929.
    Socks5,
}

/// One proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyServer {
    pub(crate) kind: ProxyKind,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credential: Option<Credential>,
}

/// User name and password, which print as `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyServer({self})")
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5h",
        };
        let user = if self.credential.is_some() { "***@" } else { "" };
        if self.host.contains(':') {
            write!(f, "{scheme}://{user}[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{user}{}:{}", self.host, self.port)
        }
    }
}

/// A proxy that cannot be used. Its text is not repeated, as it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the host's `{variable}` cannot be used: {problem}")]
pub struct ProxyUrlError {
    /// Which variable.
    pub variable: &'static str,
    /// What is wrong with it.
    #[source]
    pub problem: ProxyUrlProblem,
}

/// What is wrong with the URL of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlProblem {
    /// Not `http`, `socks5` or `socks5h`; notably `https`, TLS to the proxy itself.
    #[error("only `http://`, `socks5://` and `socks5h://` proxies are supported")]
    Scheme,
    /// No host.
    #[error("it names no host")]
    Host,
    /// A port that is none.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// User name or password longer than SOCKS5 or HTTP can say.
    #[error("its user name or password is too long")]
    Credential,
}

/// Which proxy a destination is reached by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostProxies {
    https: Option<ProxyServer>,
    http: Option<ProxyServer>,
    all: Option<ProxyServer>,
    none: NoProxy,
}

impl HostProxies {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`ProxyUrlError`] for the first that cannot be used.
    pub fn parse(settings: &ProxySettings<'_>) -> Result<HostProxies, ProxyUrlError> {
        let read =
            |variable, url: Option<&str>| match url.map(str::trim).filter(|url| !url.is_empty()) {
                Some(url) => ProxyServer::parse(url)
                    .map(Some)
                    .map_err(|problem| ProxyUrlError { variable, problem }),
                None => Ok(None),
            };
        Ok(HostProxies {
            https: read("HTTPS_PROXY", settings.https_proxy)?,
            http: read("HTTP_PROXY", settings.http_proxy)?,
            all: read("ALL_PROXY", settings.all_proxy)?,
            none: NoProxy::parse(settings.no_proxy.unwrap_or_default()),
        })
    }

    /// The proxy for a destination; `None`: it is reached directly. A loopback address always is.
    #[must_use]
    pub fn for_destination(&self, destination: &Destination) -> Option<&ProxyServer> {
        let is_loopback =
            matches!(destination, Destination::Ip { address, .. } if address.is_loopback());
        if is_loopback || self.none.covers(destination) {
            return None;
        }
        let own = if destination.port() == 80 { &self.http } else { &self.https };
        own.as_ref().or(self.all.as_ref())
    }
}

impl ProxyServer {
    fn parse(url: &str) -> Result<ProxyServer, ProxyUrlProblem> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "socks5" | "socks5h" | "socks" => (ProxyKind::Socks5, 1080),
            _ => return Err(ProxyUrlProblem::Scheme),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        let port = match port {
            Some(port) => {
                port.parse().ok().filter(|&port: &u16| port != 0).ok_or(ProxyUrlProblem::Port)?
            }
            None => default_port,
        };
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ProxyUrlProblem::Host);
        }
        let credential = user.map(Credential::parse).transpose()?;
        Ok(ProxyServer { kind, host: host.to_owned(), port, credential })
    }
}

fn host_and_port(place: &str) -> Result<(&str, Option<&str>), ProxyUrlProblem> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(ProxyUrlProblem::Host)?;
        host.parse::<IpAddr>().map_err(|_| ProxyUrlProblem::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(ProxyUrlProblem::Host),
        };
    }
    Ok(place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))))
}

impl Credential {
    fn parse(user_info: &str) -> Result<Credential, ProxyUrlProblem> {
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let (user, password) = (percent_decoded(user), percent_decoded(password));
        // SOCKS5 has one byte for each length.
        if user.len() > 255 || password.len() > 255 {
            return Err(ProxyUrlProblem::Credential);
        }
        Ok(Credential { user, password })
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| *first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expect: Result<&str, ProxyUrlProblem>) {
        let parsed = ProxyServer::parse(url).map(|server| server.to_string());
        assert_eq!(parsed, expect.map(str::to_owned), "{url}");
    }

    #[test]
    fn urls_of_proxies() {
        check("http://proxy.corp:3128", Ok("http://proxy.corp:3128"));
        check("proxy.corp:3128/", Ok("http://proxy.corp:3128"));
        check("HTTP://proxy.corp", Ok("http://proxy.corp:80"));
        check("socks5h://u:p%40ss@[::1]:9050", Ok("socks5h://***@[::1]:9050"));
        check("socks5://10.0.0.1", Ok("socks5h://10.0.0.1:1080"));
        check("https://proxy.corp", Err(ProxyUrlProblem::Scheme));
        check("socks4://proxy.corp", Err(ProxyUrlProblem::Scheme));
        check("http://", Err(ProxyUrlProblem::Host));
        check("http://[::1", Err(ProxyUrlProblem::Host));
        check("http://a b", Err(ProxyUrlProblem::Host));
        check("http://proxy:0", Err(ProxyUrlProblem::Port));
        check("http://proxy:x", Err(ProxyUrlProblem::Port));
    }

    #[test]
    fn a_password_is_decoded_and_never_printed() {
        let url = "http://us%65r:s%3Acret%zz@proxy:1";
        let server = ProxyServer::parse(url).expect("a good URL");
        let credential = server.credential.clone().expect("there is one");
        assert_eq!(
            (&credential.user[..], &credential.password[..]),
            (&b"user"[..], &b"s:cret%zz"[..])
        );
        let settings = ProxySettings { https_proxy: Some(url), ..ProxySettings::default() };
        let proxies = HostProxies::parse(&settings).expect("a good URL");
        for text in
            [format!("{server} {server:?}"), format!("{proxies:?}"), format!("{credential:?}")]
        {
            assert!(!text.contains("cret") && !text.contains("user"), "{text}");
        }
        let settings = ProxySettings { all_proxy: Some("https://u:secret@x"), ..settings };
        let error = HostProxies::parse(&settings).expect_err("TLS to the proxy is not supported");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn which_proxy_for_which_destination() {
        let settings = ProxySettings {
            https_proxy: Some("http://s:1"),
            http_proxy: Some("http://h:1"),
            all_proxy: Some("socks5://a:1"),
            no_proxy: Some("direct.com"),
        };
        let both = HostProxies::parse(&settings).expect("good URLs");
        let all = HostProxies { https: None, ..both.clone() };
        let check = |proxies: &HostProxies, host: &str, port: u16, expect: Option<&str>| {
            let destination = Destination::new(host, port).expect("a good destination");
            let found = proxies.for_destination(&destination).map(ToString::to_string);
            assert_eq!(found.as_deref(), expect, "{host}:{port}");
        };
        check(&both, "a.com", 443, Some("http://s:1"));
        check(&both, "a.com", 22, Some("http://s:1"));
        check(&both, "a.com", 80, Some("http://h:1"));
        check(&all, "a.com", 22, Some("socks5h://a:1"));
        check(&both, "direct.com", 22, None);
        check(&both, "127.0.0.1", 22, None);
        check(&HostProxies::default(), "a.com", 22, None);
    }
}

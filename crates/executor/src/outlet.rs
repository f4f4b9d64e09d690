//! The one way out of a run with an allowlist: a gateway of its own, that lives as long as the run.
//!
//! The sandbox says which way connections get there. A tree with a network of its own hands out sockets and waits;
//! any other is given a proxy on a port of the loopback, and the variables that lead programs to it. Here both are
//! served, refusals become denials, and at the end there is an account of each destination.
//!
//! The trap is the end: when the tree is empty, what it sent may still be on its way, and what it was refused may still
//! be unread. So the gateway settles before it is let go.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ringfence_config::{Environment, Exposed, Mode, NetworkMode, Profile};
use ringfence_network::{
    Account, Destination, Entered, Events, Gate, Gateway, GatewayEvent, HostProxies,
    NamespaceError, Proxy, ProxySettings, ProxyUrlError, Reach, Settings, SocketKind, Sockets,
    Target, hosts_file, is_proxy_variable, proxy_variables, resolv_conf,
};
use ringfence_sandbox::{Denied, NameService, Network, Process, SocketService};
use tokio::task::JoinHandle;

use crate::process::{Variables, is_set};

/// How long what the command sent may take to go out after its end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a gateway of a profile is made from.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    gate: Gate,
    proxies: HostProxies,
    expose: Vec<Exposed>,
}

impl Plan {
    /// The plan of a profile with an allowlist, with the host's own proxies; `None` for any other.
    pub(crate) fn of(
        profile: &Profile,
        environment: &Environment,
    ) -> Result<Option<Self>, ProxyUrlError> {
        if profile.mode == Mode::Host || profile.network_mode != NetworkMode::Allowlist {
            return Ok(None);
        }
        let value =
            |names: [&str; 2]| names.iter().find_map(|name| environment.get(name)?.to_str());
        let proxies = HostProxies::parse(&ProxySettings {
            https_proxy: value(["HTTPS_PROXY", "https_proxy"]),
            http_proxy: value(["http_proxy", "HTTP_PROXY"]),
            all_proxy: value(["ALL_PROXY", "all_proxy"]),
            no_proxy: value(["NO_PROXY", "no_proxy"]),
        })?;
        let gate = Gate::new(profile.network_allowlist.iter().cloned());
        Ok(Some(Self { gate, proxies, expose: profile.expose.clone() }))
    }

    /// What may be reached, a line each, as an explanation has it.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let entries = self.gate.entries().iter();
        let exposed = self.expose.iter().map(|Exposed { outside, inside }| {
            format!("port {outside} of the host's loopback leads to its port {inside}")
        });
        entries.map(|entry| format!("may connect to {entry}, by TCP")).chain(exposed)
    }
}

/// The network of a sandbox that a gateway serves.
pub(crate) fn network() -> Network {
    let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    Network::Gateway(NameService {
        resolv_conf: resolv_conf(),
        hosts: hosts_file(hostname.as_deref()),
    })
}

/// Without the host's proxies, which the gateway knows of.
pub(crate) fn without_proxies(variables: &mut Variables) {
    variables.retain(|(name, _)| !is_proxy_variable(name));
}

/// The gateway of one run.
pub(crate) struct Outlet {
    gateway: Arc<Gateway>,
    events: Events,
    proxy: Option<Proxy>,
    expose: Vec<Exposed>,
    entering: Option<JoinHandle<Result<Entered, OutletError>>>,
    reach: Option<Reach>,
}

/// What the gateway has to say.
pub(crate) enum News {
    /// The namespace is served; what does not work there.
    Entered(Result<Vec<String>, OutletError>),
    /// Something happened.
    Event(GatewayEvent),
}

/// A gateway could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutletError {
    /// The variables of the host name a proxy that cannot be used.
    #[error("the host's proxy cannot be used")]
    HostProxy(#[from] ProxyUrlError),
    /// No thread or no descriptor for it.
    #[error("cannot start the gateway of the allowlist")]
    Start(#[source] io::Error),
    /// The proxy has no port.
    #[error("cannot listen as a proxy for the command")]
    Listen(#[source] io::Error),
    /// The network namespace of the command cannot be served.
    #[error("cannot serve the network of the command")]
    Enter(#[source] NamespaceError),
    /// A port of the host cannot be led inside.
    #[error("cannot listen on port {port} of the host for the command")]
    Expose {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no network namespace that a port could lead to.
    #[error("port {port} cannot be exposed: this sandbox has no network of its own")]
    NoInside {
        /// The port.
        port: u16,
    },
    /// The tree was gone before it was told to go on.
    #[error("lost the connection to the network of the command")]
    Lost(#[source] io::Error),
}

impl OutletError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::HostProxy(_) => Some(
                "name a proxy by `http://` or `socks5h://`, or unset the variable to connect directly"
                    .into(),
            ),
            Self::Expose { .. } => Some("choose another, as `expose = [\"OUTSIDE:INSIDE\"]`".into()),
            Self::NoInside { .. } | Self::Enter(_) => Some("see `ringfence doctor`".into()),
            _ => None,
        }
    }
}

/// Sockets of the tree, by the init that makes them.
pub(crate) struct Inside {
    pub(crate) service: SocketService,
    /// The init.
    pub(crate) process: u32,
}

impl Sockets for Inside {
    fn open(&self, kinds: &[SocketKind]) -> io::Result<Vec<io::Result<OwnedFd>>> {
        let numbers: Vec<_> = kinds.iter().map(|kind| kind.numbers()).collect();
        self.service.open(&numbers)
    }

    fn process(&self) -> Option<u32> {
        Some(self.process)
    }
}

impl Outlet {
    /// A gateway that nothing leads to yet.
    pub(crate) fn open(plan: &Plan) -> Result<Self, OutletError> {
        let settings =
            Settings { proxies: plan.proxies.clone(), ..Settings::new(plan.gate.clone()) };
        let (gateway, events) = Gateway::start(settings).map_err(OutletError::Start)?;
        let gateway = Arc::new(gateway);
        let expose = plan.expose.clone();
        Ok(Self { gateway, events, proxy: None, expose, entering: None, reach: None })
    }

    /// Listens as a proxy, and tells the process of it. A caller who names another knows better.
    pub(crate) fn tell(&mut self, process: &mut Process) -> Result<(), OutletError> {
        if let Some(exposed) = self.expose.first() {
            return Err(OutletError::NoInside { port: exposed.outside });
        }
        let proxy = match &self.proxy {
            Some(proxy) => proxy,
            None => {
                let proxy = self.gateway.listen_as_proxy(0).map_err(OutletError::Listen)?;
                self.proxy.insert(proxy)
            }
        };
        process.proxy = Some(proxy.address().port());
        for (name, value) in proxy_variables(proxy) {
            if !is_set(&process.env, name.as_ref()) {
                process.env.push((name.into(), value.into()));
            }
        }
        Ok(())
    }

    /// Serves the network of the tree, then lets it go on. [`Outlet::news`] says when.
    pub(crate) fn enter(&mut self, inside: Inside) {
        let (gateway, expose) = (Arc::clone(&self.gateway), std::mem::take(&mut self.expose));
        let enter = move || {
            let inside = Arc::new(inside);
            let entered = gateway.enter(Arc::clone(&inside) as _).map_err(OutletError::Enter)?;
            for Exposed { outside, inside: port } in expose {
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                gateway
                    .expose(outside, to, Arc::clone(&inside) as _)
                    .map_err(|source| OutletError::Expose { port: outside, source })?;
            }
            inside.service.proceed().map_err(OutletError::Lost)?;
            Ok(entered)
        };
        self.entering = Some(tokio::task::spawn_blocking(enter));
    }

    /// What happened next. Dropping the future loses nothing.
    pub(crate) async fn news(outlet: &mut Option<Self>) -> News {
        let Some(outlet) = outlet else { return pending().await };
        if let Some(entering) = &mut outlet.entering {
            let entered = entering
                .await
                .unwrap_or_else(|error| Err(OutletError::Lost(io::Error::other(error))));
            outlet.entering = None;
            return News::Entered(entered.map(|entered| {
                outlet.reach = Some(entered.reach);
                entered.caveats
            }));
        }
        match outlet.events.recv().await {
            Some(event) => News::Event(event),
            None => pending().await,
        }
    }

    /// What the command meant by the target of a refusal that the kernel told, and whether it is listed; `None` when
    /// it is no address.
    pub(crate) fn meant(&self, denied: &Denied) -> Option<(Target, bool)> {
        let address: SocketAddr = denied.target.to_str()?.parse().ok()?;
        let listed = self.gateway.gate().decide(&Destination::ip(address.ip(), address.port()));
        Some((self.gateway.meaning(address), listed.is_allowed()))
    }

    /// The gateway tells of refused connections itself, so that what the kernel tells is only who it was.
    pub(crate) fn tells(&self) -> bool {
        matches!(self.reach, Some(Reach::Rules { .. }))
    }

    /// The end: what is left to tell, and the account of each destination. What was sent is only waited for when
    /// the command ended by itself.
    pub(crate) async fn finish(
        mut self,
        by_itself: bool,
    ) -> (Vec<GatewayEvent>, Vec<Account>, u64) {
        let patience = if by_itself { PATIENCE } else { Duration::ZERO };
        self.gateway.settle(patience).await;
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        (events, self.gateway.accounts(), self.gateway.missed_events())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_proxies_are_taken_out() {
        let mut variables: Variables =
            vec![("HTTPS_PROXY".into(), "http://p:1".into()), ("PATH".into(), "/bin".into())];
        without_proxies(&mut variables);
        assert_eq!(variables, [("PATH".into(), "/bin".into())]);
    }
}

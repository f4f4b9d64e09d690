//! A namespace served: its connections, its questions for names, and what its rules refuse.

use crate::dns::{self, Names, Query, RecordType};
use crate::gate::Decision;
use crate::gateway::{Gateway, Shared, accept};
use crate::held::{Held, Made};
use crate::inside::{Entered, NamespaceError, Reach, SocketKind, Sockets};
use crate::ledger::{Attempt, Cause, Target};
use crate::linux::{self, Fitted, Packet, Verdict, Waiting, fit_out, listen, packets};
use crate::relay::reset;
use ringfence_policy::Destination;
use ringfence_policy::allowlist::HostName;
use rustix::net::sockopt;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

/// Most names at once where each has listeners of its own.
const NAMES_WITH_LISTENERS: usize = 128;
/// Longest question that is read, in bytes.
const MAX_QUESTION: usize = 4096;
/// How long a client of the name server may be silent on a TCP connection.
const SILENCE: Duration = Duration::from_secs(10);
/// Most names whose first question is remembered.
const MAX_ASKED: usize = 1024;
/// Most names whose asker is looked for, which takes a look at every process.
const MAX_ASKERS: usize = 64;

/// One namespace.
struct Inside {
    shared: Arc<Shared>,
    sockets: Arc<dyn Sockets>,
    reach: Reach,
    names: Arc<Mutex<Names>>,
    /// The first question for each name that was refused.
    asked: Mutex<HashMap<String, Asked>>,
    /// Listeners of synthetic addresses, where there are no rules.
    listeners: Mutex<HashMap<Ipv4Addr, Vec<AbortHandle>>>,
    /// Connections that are made before they stand inside.
    held: Arc<Held>,
}

/// The first question for a name.
#[derive(Debug, Clone)]
struct Asked {
    /// Clients ask for both families, which is one attempt.
    record: RecordType,
    program: Option<String>,
}

/// Where a question came from.
#[derive(Debug, Clone, Copy)]
struct Client {
    address: SocketAddr,
    /// The kernel's tables that its socket is in.
    tables: [&'static str; 2],
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    /// Serves a network namespace: programs in it reach what is allowed and know nothing of the gateway.
    ///
    /// Nothing of the command may run there before this returns. It also needs [`resolv_conf`](crate::resolv_conf) and
    /// [`hosts_file`](crate::hosts_file) in their places, and no way to the host's own name service by a Unix socket.
    ///
    /// # Errors
    /// When the namespace cannot be configured.
    pub fn enter(&self, sockets: Arc<dyn Sockets>) -> Result<Entered, NamespaceError> {
        let fitted = fit_out(&*sockets, &self.shared.gate)?;
        let entered = Entered { reach: fitted.reach, caveats: fitted.caveats.clone() };
        let by_listeners = fitted.reach == Reach::Listeners;
        let inside = Arc::new(Inside {
            shared: Arc::clone(&self.shared),
            sockets,
            reach: fitted.reach,
            names: Arc::new(Mutex::new(if by_listeners {
                Names::bounded(NAMES_WITH_LISTENERS)
            } else {
                Names::default()
            })),
            asked: Mutex::default(),
            listeners: Mutex::default(),
            held: Arc::default(),
        });
        *locked(&self.shared.names) = Arc::clone(&inside.names);
        let guard = self.handle.enter();
        let started = inside.start(fitted);
        drop(guard);
        started.map_err(|_| NamespaceError::Ended)?;
        Ok(entered)
    }

    /// Leads a port of this host's loopback to a server inside a namespace; port 0 takes any that is free. The address says which.
    ///
    /// # Caveats
    /// Every user of this host can connect to it, as to any server on the loopback.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn expose(
        &self,
        port: u16,
        inside: SocketAddr,
        sockets: Arc<dyn Sockets>,
    ) -> io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let guard = self.handle.enter();
        let listener = TcpListener::from_std(listener)?;
        drop(guard);
        let serve = move |shared: Arc<Shared>, outer: TcpStream| {
            let sockets = Arc::clone(&sockets);
            async move {
                match connect_inside(sockets, inside).await {
                    Ok(inner) => {
                        let host = format!("exposed {}", inside.ip());
                        let target = Target { host, port: Some(inside.port()) };
                        shared.carry(&inner, &outer, target, 0).await;
                    }
                    Err(_) => reset(&outer),
                }
            }
        };
        self.handle.spawn(accept(Arc::clone(&self.shared), listener, serve));
        Ok(address)
    }
}

/// A connection that begins inside.
async fn connect_inside(sockets: Arc<dyn Sockets>, to: SocketAddr) -> io::Result<TcpStream> {
    let kind = if to.is_ipv4() { SocketKind::Tcp4 } else { SocketKind::Tcp6 };
    let made = tokio::task::spawn_blocking(move || sockets.open(&[kind]))
        .await
        .map_err(io::Error::other)??;
    let socket = made.into_iter().next().ok_or(io::ErrorKind::UnexpectedEof)??;
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

impl Inside {
    fn start(self: Arc<Self>, fitted: Fitted) -> io::Result<()> {
        for listener in fitted.tcp {
            self.clone().take_up(listener)?;
        }
        let udp = UdpSocket::from_std(fitted.dns_udp.into())?;
        tokio::spawn(Arc::clone(&self).answer_datagrams(udp));
        let tcp = TcpListener::from_std(fitted.dns_tcp.into())?;
        let inside = Arc::clone(&self);
        let serve = move |_, stream| Arc::clone(&inside).answer_stream(stream);
        tokio::spawn(accept(Arc::clone(&self.shared), tcp, serve));
        if let Some(log) = fitted.log {
            // The type only says how to wait and that recv(2) is meant, which is the same for every kind of socket.
            let door = self.shared.door();
            tokio::spawn(Arc::clone(&self).read_log(UdpSocket::from_std(log.into())?, door));
        }
        if let Some(held) = fitted.held {
            tokio::spawn(self.answer_held(UdpSocket::from_std(held.into())?));
        }
        Ok(())
    }

    /// Serves the connections of a listener inside.
    fn take_up(self: Arc<Self>, listener: OwnedFd) -> io::Result<AbortHandle> {
        let listener = TcpListener::from_std(listener.into())?;
        let shared = Arc::clone(&self.shared);
        let serve = move |shared: Arc<Shared>, stream: TcpStream| {
            let inside = Arc::clone(&self);
            async move {
                match inside.destination_of(&stream) {
                    Ok((address, destination)) => match inside.held.take(address) {
                        Some(Made::Whole(made)) => {
                            let target = Target::from(&destination);
                            shared.carry(&stream, &made.stream, target, 0).await;
                        }
                        Some(Made::Broken) => reset(&stream),
                        None => shared.serve(stream, destination).await,
                    },
                    Err(_) => reset(&stream),
                }
            }
        };
        Ok(tokio::spawn(accept(shared, listener, serve)).abort_handle())
    }

    /// What the program inside asked for: the address, and what it means, recorded when that is nothing any more.
    fn destination_of(&self, stream: &TcpStream) -> io::Result<(SocketAddr, Destination)> {
        let local = stream.local_addr()?;
        let address = match (self.reach, local) {
            (Reach::Listeners, local) => local,
            (Reach::Rules { .. }, SocketAddr::V4(_)) => sockopt::ip_original_dst(stream)?.into(),
            (Reach::Rules { .. }, SocketAddr::V6(_)) => sockopt::ipv6_original_dst(stream)?.into(),
        };
        let destination = self.known(address).ok_or(io::ErrorKind::NotFound)?;
        Ok((address, destination))
    }

    /// What an address means, recorded when that is nothing any more.
    fn known(&self, address: SocketAddr) -> Option<Destination> {
        let destination = self.meant(address);
        if self.is_forgotten(&destination) {
            let target = Target::from(&destination);
            self.shared.ledger.refuse(target, Attempt::Connection, Cause::Forgotten);
            return None;
        }
        Some(destination)
    }

    /// Answers those whose first packet waits.
    async fn answer_held(self: Arc<Self>, queue: UdpSocket) {
        let queue = Arc::new(queue);
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match queue.recv(&mut buffer).await {
                Ok(length) => {
                    let received = buffer.get(..length).unwrap_or_default();
                    linux::waiting(received).for_each(|waiting| self.answer_one(&queue, &waiting));
                }
                // Some were lost, as there were too many at once; they are sent again.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    fn answer_one(&self, queue: &Arc<UdpSocket>, waiting: &Waiting) {
        let (queue, id) = (Arc::clone(queue), waiting.id);
        let answer = move |verdict| linux::answer(&*queue, id, verdict);
        match self.known(waiting.packet.destination) {
            Some(destination) => self.held.ask(&self.shared, waiting, destination, answer),
            None => answer(Verdict::Refuse),
        }
    }

    /// The name behind a synthetic address, or the address as it is.
    fn meant(&self, address: SocketAddr) -> Destination {
        let port = address.port();
        match address.ip().to_canonical() {
            IpAddr::V4(v4) => match locked(&self.names).use_address(v4) {
                Some(name) => Destination::Name { name, port },
                None => Destination::ip(v4, port),
            },
            v6 => Destination::ip(v6, port),
        }
    }

    /// A synthetic address without a name, that is not listed as the address it is.
    fn is_forgotten(&self, destination: &Destination) -> bool {
        let Destination::Ip { address: IpAddr::V4(v4), .. } = destination else { return false };
        Names::in_range(*v4) && !self.shared.gate.decide(destination).is_allowed()
    }

    async fn answer_datagrams(self: Arc<Self>, socket: UdpSocket) {
        let mut buffer = vec![0; MAX_QUESTION];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((length, client)) => {
                    if let Some(answer) = self.answer(
                        &buffer[..length],
                        Client { address: client, tables: ["udp", "udp6"] },
                    ) {
                        // A client that is gone needs no answer.
                        drop(socket.try_send_to(&answer, client));
                    }
                }
                // An earlier answer found nobody there.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn answer_stream(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = vec![0; MAX_QUESTION];
        let Ok(address) = stream.peer_addr() else { return };
        let client = Client { address, tables: ["tcp", "tcp6"] };
        loop {
            let exchange = async {
                let length = usize::from(stream.read_u16().await?);
                let question = buffer.get_mut(..length).ok_or(io::ErrorKind::InvalidData)?;
                stream.read_exact(question).await?;
                let answer = self.answer(question, client).ok_or(io::ErrorKind::InvalidData)?;
                let mut message = (answer.len() as u16).to_be_bytes().to_vec();
                message.extend_from_slice(&answer);
                stream.write_all(&message).await
            };
            match tokio::time::timeout(SILENCE, exchange).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
    }

    /// The answer to a question, if it deserves one.
    fn answer(self: &Arc<Self>, bytes: &[u8], client: Client) -> Option<Vec<u8>> {
        let query = match Query::parse(bytes) {
            Ok(query) => query,
            Err(error) => return error.answer(),
        };
        let said = dns::answer(&query, &self.shared.gate, &mut locked(&self.names));
        if said.refused {
            self.record_lookup(&query, client);
        }
        if let (dns::Answer::V4(address), Reach::Listeners) = (&said.answer, self.reach) {
            self.listen_for(*address);
        }
        Some(query.answer(&said.answer, dns::TTL))
    }

    fn record_lookup(&self, query: &Query, client: Client) {
        let host = query.name.to_ascii_lowercase();
        let first = self.first_question(&host, query.record, client);
        if first.record != query.record {
            return;
        }
        let cause = match HostName::parse(&host) {
            Err(_) => Cause::NotAHost,
            Ok(name) => match self.shared.gate.decide(&Destination::Name { name, port: 0 }) {
                Decision::Blocked(blocked) => Cause::NotListed { near_miss: blocked.near_miss },
                Decision::Allowed { .. } => Cause::NotListed { near_miss: None },
            },
        };
        let target = Target { host, port: None };
        self.shared.ledger.refuse_program(target, Attempt::Lookup, cause, first.program);
    }

    /// The first question for a name, which may be this one.
    fn first_question(&self, host: &str, record: RecordType, client: Client) -> Asked {
        let mut asked = locked(&self.asked);
        if let Some(first) = asked.get(host) {
            return first.clone();
        }
        let looked_for = self.sockets.process().filter(|_| asked.len() < MAX_ASKERS);
        let program =
            looked_for.and_then(|inside| linux::program(inside, client.address, client.tables));
        let first = Asked { record, program };
        if asked.len() < MAX_ASKED {
            asked.insert(host.to_owned(), first.clone());
        }
        first
    }

    /// Without rules: listeners for the ports of a name that has just got its address.
    fn listen_for(self: &Arc<Self>, address: Ipv4Addr) {
        let mut listeners = locked(&self.listeners);
        if listeners.contains_key(&address) {
            return;
        }
        let names = locked(&self.names);
        listeners.retain(|old, tasks| {
            let stays = names.name(*old).is_some();
            if !stays {
                tasks.iter().for_each(AbortHandle::abort);
            }
            stays
        });
        let ports = names.name(address).and_then(|name| self.shared.gate.ports_of(name));
        drop(names);
        let mut tasks = Vec::new();
        for port in ports.unwrap_or_default() {
            let socket = self
                .sockets
                .open(&[SocketKind::Tcp4])
                .ok()
                .and_then(|made| made.into_iter().next()?.ok());
            let listener = socket.and_then(|socket| listen(socket, (address, port)).ok());
            tasks.extend(listener.and_then(|listener| Arc::clone(self).take_up(listener).ok()));
        }
        listeners.insert(address, tasks);
    }

    /// Records what the kernel says that it refused.
    async fn read_log(self: Arc<Self>, log: UdpSocket, _door: Option<OwnedSemaphorePermit>) {
        let mut buffer = vec![0; 16 * 1024];
        let record = |inside: &Self, buffer: &[u8]| {
            packets(buffer).for_each(|packet| inside.record(packet));
        };
        loop {
            let received = tokio::select! {
                biased;
                received = log.recv(&mut buffer) => received,
                () = self.shared.settled() => break,
            };
            match received {
                Ok(length) => record(&self, buffer.get(..length).unwrap_or_default()),
                // Some were lost, as there were too many at once.
                Err(_) => tokio::task::yield_now().await,
            }
        }
        // The runtime may not have heard yet of what came last; the kernel has.
        let flags = rustix::net::RecvFlags::DONTWAIT;
        while let Ok((length, _)) = rustix::net::recv(&log, &mut buffer[..], flags) {
            record(&self, buffer.get(..length).unwrap_or_default());
        }
    }

    fn record(&self, packet: Packet) {
        let destination = self.meant(packet.destination);
        let attempt = match packet.protocol {
            6 => Attempt::Connection,
            17 => Attempt::Datagram,
            other => Attempt::Packet(other),
        };
        let mut target = Target::from(&destination);
        if let Attempt::Packet(_) = attempt {
            target.port = None;
        }
        let cause = match self.shared.gate.decide(&destination) {
            Decision::Allowed { .. } => Cause::NotCarried,
            Decision::Blocked(_) if self.is_forgotten(&destination) => Cause::Forgotten,
            Decision::Blocked(blocked) => Cause::NotListed { near_miss: blocked.near_miss },
        };
        self.shared.ledger.refuse(target, attempt, cause);
    }
}

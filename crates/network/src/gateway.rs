//! The gateway: one thread that carries what is allowed, refuses the rest, and keeps the accounts.
//!
//! It lives outside, with the caller's own network. How connections get to it differs: from a network namespace, where programs
//! know nothing of it ([`Gateway::enter`]); or as a proxy on a port, for programs that are told ([`Gateway::listen_as_proxy`]). What
//! happens then is the same. Letting go of the handle ends every connection.
//!
//! One thread is enough, and quicker than several: bytes are moved by the kernel, and a connection that waits costs nothing.

use crate::dns::Names;
use crate::gate::{Decision, Gate};
use crate::ledger::{Account, Attempt, Cause, GatewayEvent, Ledger, Target};
use crate::outside::{Connection, Failure, Outside, Patience};
use crate::relay::{Buffers, relay, reset};
use crate::resolve::{Resolve, Resolver, SystemResolver};
use crate::upstream::HostProxies;
use ringfence_policy::Destination;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

/// What a gateway is made from.
#[derive(Clone)]
pub struct Settings {
    /// What is allowed.
    pub gate: Gate,
    /// Who is asked for the addresses of names.
    pub resolver: Arc<dyn Resolve>,
    /// How the host itself gets out.
    pub proxies: HostProxies,
    /// How long things may take.
    pub patience: Patience,
    /// Most connections at once; more are reset.
    pub max_connections: usize,
    /// Most events that wait to be fetched.
    pub max_events: usize,
}

impl Settings {
    /// A gateway for this gate: the system's resolver, no proxy of the host's, 1024 connections, 1024 events.
    #[must_use]
    pub fn new(gate: Gate) -> Settings {
        Settings {
            gate,
            resolver: Arc::new(SystemResolver),
            proxies: HostProxies::default(),
            patience: Patience::default(),
            max_connections: 1024,
            max_events: 1024,
        }
    }
}

/// Events of a gateway, as they happen. `None` when the gateway is gone.
pub type Events = mpsc::Receiver<GatewayEvent>;

/// Most connections at once, whatever was set.
const MOST_PLACES: usize = 1 << 20;
/// Most listeners and logs.
const MOST_DOORS: usize = 1 << 16;
/// Most threads that wait for the system's resolver.
const RESOLVERS: usize = 8;

/// A running gateway. Dropping it ends every connection.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts a gateway that nothing leads to yet.
    ///
    /// # Errors
    /// When no thread or no event queue of the kernel's can be had.
    pub fn start(settings: Settings) -> io::Result<(Gateway, Events)> {
        let (ledger, events) = Ledger::new(settings.max_events);
        let shared = Arc::new(Shared {
            gate: settings.gate,
            outside: Outside {
                resolver: Resolver::new(settings.resolver),
                proxies: settings.proxies,
                patience: settings.patience,
                turn: AtomicUsize::new(0),
            },
            ledger,
            buffers: Buffers::default(),
            places: settings.max_connections.clamp(1, MOST_PLACES),
            room: Arc::new(Semaphore::new(settings.max_connections.clamp(1, MOST_PLACES))),
            doors: Arc::new(Semaphore::new(MOST_DOORS)),
            settling: watch::Sender::new(false),
            names: Mutex::default(),
        });
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_name("ringfence-names")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let work = move || {
            block_broken_pipe();
            drop(runtime.block_on(stopped));
            // A resolver that hangs is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("ringfence-gateway".into()).spawn(work)?;
        Ok((Gateway { shared, handle, stop: Some(stop), thread: Some(thread) }, events))
    }

    /// What it lets through.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// When the programs inside are gone: takes up what they had begun, and lets what they had sent go out.
    ///
    /// Afterwards every refusal is on record and the accounts are final, but for connections whose other end did
    /// not take what was sent within `patience`. Nothing is taken up any more.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its time driver.
    pub async fn settle(&self, patience: Duration) {
        self.shared.settling.send_replace(true);
        let all = async {
            // Neither is ever closed.
            let _doors = self.shared.doors.acquire_many(MOST_DOORS as u32).await;
            let _room = self.shared.room.acquire_many(self.shared.places as u32).await;
        };
        // What is late is cut off when the gateway is let go.
        drop(tokio::time::timeout(patience, all).await);
    }

    /// What a program inside means by an address: a name that the address stands for there, or the address itself.
    #[must_use]
    pub fn meaning(&self, address: SocketAddr) -> Target {
        let names = Arc::clone(&self.shared.names.lock().unwrap_or_else(PoisonError::into_inner));
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let name = match ip {
            IpAddr::V4(v4) => names.name(v4).map(ToString::to_string),
            IpAddr::V6(_) => None,
        };
        Target { host: name.unwrap_or_else(|| ip.to_string()), port: Some(port) }
    }

    /// The account of each destination so far, in the order of their first use.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        self.shared.ledger.accounts()
    }

    /// How many events were lost because nobody fetched them in time; the accounts have them.
    #[must_use]
    pub fn missed_events(&self) -> u64 {
        self.shared.ledger.missed()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends as soon as the sender is gone; a panic there was reported there.
            drop(thread.join());
        }
    }
}

/// Writing to a connection that is gone is an error here, not a signal to the whole process.
fn block_broken_pipe() {
    use nix::sys::signal::{SigSet, Signal};
    let mut set = SigSet::empty();
    set.add(Signal::SIGPIPE);
    // It cannot fail with a set that holds a signal that exists.
    let _ = set.thread_block();
}

/// What every task of a gateway needs.
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    pub(crate) outside: Outside,
    pub(crate) ledger: Ledger,
    buffers: Buffers,
    places: usize,
    /// One permit for each connection that may be had.
    room: Arc<Semaphore>,
    /// One permit is held by each listener and log that is read.
    doors: Arc<Semaphore>,
    /// The programs inside are gone.
    settling: watch::Sender<bool>,
    /// The names of the namespace that was entered last.
    pub(crate) names: Mutex<Arc<Mutex<Names>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Shared {
    /// Held by whoever takes things up.
    pub(crate) fn door(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.doors).try_acquire_owned().ok()
    }

    /// Returns when the programs inside are gone.
    pub(crate) async fn settled(&self) {
        // The sender is a part of this.
        drop(self.settling.subscribe().wait_for(|settling| *settling).await);
    }

    /// Decides, connects, and records what came of it.
    pub(crate) async fn open(&self, destination: &Destination) -> Result<Connection, Failure> {
        let target = Target::from(destination);
        if let Decision::Blocked(blocked) = self.gate.decide(destination) {
            let cause = Cause::NotListed { near_miss: blocked.near_miss };
            self.ledger.refuse(target, Attempt::Connection, cause.clone());
            return Err(Failure::Refused(cause));
        }
        let opened = self.outside.connect(&self.gate, destination).await;
        match &opened {
            Ok(connection) => {
                let address = connection.address;
                let at = SystemTime::now();
                self.ledger.tell(GatewayEvent::Connected { at, target, address });
            }
            Err(Failure::Refused(cause)) => {
                self.ledger.refuse(target, Attempt::Connection, cause.clone());
            }
            Err(failure) => self.ledger.failed(target, failure.to_string()),
        }
        opened
    }

    /// Relays until both sides are done, and keeps the account; some bytes may have gone out ahead.
    pub(crate) async fn carry(
        &self,
        inside: &TcpStream,
        outside: &TcpStream,
        target: Target,
        ahead: usize,
    ) {
        let row = self.ledger.row(&target);
        row.up.fetch_add(ahead as u64, Ordering::Relaxed);
        row.connections.fetch_add(1, Ordering::Relaxed);
        row.open.fetch_add(1, Ordering::Relaxed);
        let (up, down) = (AtomicU64::new(ahead as u64), AtomicU64::default());
        let gone = self.settled();
        let (ups, downs) = ([&up, &row.up], [&down, &row.down]);
        let ended = relay(inside, outside, &self.buffers, &ups, &downs, gone).await;
        row.open.fetch_sub(1, Ordering::Relaxed);
        self.ledger.tell(GatewayEvent::Closed {
            at: SystemTime::now(),
            target,
            up: up.into_inner(),
            down: down.into_inner(),
            reset: ended.is_err(),
        });
    }

    /// A connection that was made for somebody who did not come.
    #[cfg(target_os = "linux")]
    pub(crate) fn untaken(&self, target: Target) {
        let at = SystemTime::now();
        self.ledger.tell(GatewayEvent::Closed { at, target, up: 0, down: 0, reset: false });
    }

    /// One connection whose destination is known, from a program that knows nothing of the gateway.
    #[cfg(target_os = "linux")]
    pub(crate) async fn serve(&self, inside: TcpStream, destination: Destination) {
        let target = Target::from(&destination);
        match self.open(&destination).await {
            Ok(connection) => self.carry(&inside, &connection.stream, target, 0).await,
            // The program must not take this for a server that closed.
            Err(_) => reset(&inside),
        }
    }
}

/// Takes up connections until the programs inside are gone; each is a task of its own.
///
/// The door is held from here on, before the task has its first turn, so that nobody settles without it.
pub(crate) fn accept<F>(
    shared: Arc<Shared>,
    listener: TcpListener,
    serve: impl Fn(Arc<Shared>, TcpStream) -> F,
) -> impl Future<Output = ()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let door = shared.door();
    async move {
        while door.is_some() {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = shared.settled() => return take_up_rest(&shared, &listener, &serve),
            };
            match accepted {
                Ok((stream, _)) => take_up(&shared, stream, &serve),
                // Gone before it was taken up, or no descriptor left: neither ends the gateway.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

/// The runtime may not have heard yet of those who came last; the kernel has.
fn take_up_rest<F>(
    shared: &Arc<Shared>,
    listener: &TcpListener,
    serve: impl Fn(Arc<Shared>, TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    while let Ok(stream) = rustix::net::accept(listener) {
        let stream = std::net::TcpStream::from(stream);
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            take_up(shared, stream, &serve);
        }
    }
}

fn take_up<F>(shared: &Arc<Shared>, stream: TcpStream, serve: impl Fn(Arc<Shared>, TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(place) = Arc::clone(&shared.room).try_acquire_owned() else {
        return reset(&stream);
    };
    // As the other side writes it, so it comes.
    drop(stream.set_nodelay(true));
    let work = serve(Arc::clone(shared), stream);
    tokio::spawn(async move {
        work.await;
        drop(place);
    });
}

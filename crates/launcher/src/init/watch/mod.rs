//! The listener of the command's filter: a thread of the init's own, so that nothing a
//! command does to it, and no file system that does not answer, keeps the init from its
//! orders.
//!
//! Three kinds of calls arrive. Connections it carries out itself, so that what was
//! looked at is what is connected. Calls that change files it looks at, tells when they
//! will be refused, and lets go on: the wall is elsewhere. All others it refuses, and
//! tells. A call it does not know is refused: what is handed over by mistake is no hole.
//!
//! It holds `CAP_SYS_PTRACE` in the tree's user namespace, to see into processes that
//! keep their memory from being read. Without a user namespace it has none, and what it
//! may not look at it does not connect.

mod calls;
mod changes;
mod connect;
mod notice;
mod own;
mod remote;

use super::supervise::now_ms;
use super::sys::{self, Answer, Errno, nr};
use super::{descend, proc, tell, wire};
use connect::Pending;
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicBool;
use notice::Notice;

/// Sockets of the host that can be allowed.
pub(crate) const MOST_ALLOWED: usize = 256;
/// Connections that can be waited for at once; the next one is told to try again.
const MOST_PENDING: usize = 64;
/// How often a full queue of a Unix socket is tried again.
const RETRY_MS: i64 = 2;
/// How often it is looked whether those who wait are still there, and whether a signal
/// waits for them.
const CHECK_MS: i64 = 100;

/// What is to be done with the calls.
pub(crate) struct Config {
    any_socket: bool,
    network: Network,
    place: own::Place,
    allowed: [(u64, u64); MOST_ALLOWED],
    count: usize,
}

impl Config {
    fn allows(&self, file: (u64, u64)) -> bool {
        self.allowed.iter().take(self.count).any(|allowed| *allowed == file)
    }
}

/// Which network there is.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    /// The namespace is the tree's own.
    pub(crate) own: bool,
    /// Somebody outside serves it, and refuses connections himself.
    pub(crate) gateway: bool,
    /// Not 0: only this port of the loopback may be connected to.
    pub(crate) port: u16,
}

/// Nobody writes it any more when the thread runs.
fn config() -> &'static Config {
    // SAFETY: written by the main thread before it started the one that asks.
    unsafe { &*CONFIG.0.get() }
}

struct Static<T>(UnsafeCell<T>);

// SAFETY: written by the one thread there is before the other is started; then only read,
// or used by that other one alone.
unsafe impl<T> Sync for Static<T> {}

static CONFIG: Static<Config> = Static(UnsafeCell::new(Config {
    any_socket: false,
    network: Network { own: false, gateway: false, port: 0 },
    place: own::Place { own_network: false, own_processes: false },
    allowed: [(0, 0); MOST_ALLOWED],
    count: 0,
}));

/// From the plan, before anything is started.
pub(crate) fn configure(network: Network, any_socket: bool, own_processes: bool) {
    // SAFETY: the only thread, and no other reference lives.
    let config = unsafe { &mut *CONFIG.0.get() };
    config.any_socket = any_socket;
    config.network = network;
    config.place = own::Place { own_network: network.own, own_processes };
}

/// The one port of the loopback that may be connected to; from the plan, before anything is started.
pub(crate) fn only(port: u64) -> Result<(), Errno> {
    // SAFETY: the only thread, and no other reference lives.
    let config = unsafe { &mut *CONFIG.0.get() };
    config.network.port = port.try_into().map_err(|_| sys::EBADMSG)?;
    Ok(())
}

/// One more socket of the host; from the plan, before anything is started.
pub(crate) fn allow(socket: (u64, u64)) -> Result<(), Errno> {
    // SAFETY: the only thread, and no other reference lives.
    let config = unsafe { &mut *CONFIG.0.get() };
    *config.allowed.get_mut(config.count).ok_or(sys::EBADMSG)? = socket;
    config.count += 1;
    Ok(())
}

/// Whether the command's filter has got a listener. Written by the command's own process,
/// which shares this memory, before it executes its program.
pub(crate) static HEARD: AtomicBool = AtomicBool::new(false);

/// Whether other processes can be looked into at all. A setting of Yama forbids it to
/// everybody, which only shows when it is tried, and then it is too late: the calls have
/// been handed over and cannot be judged.
pub(crate) fn is_possible() -> bool {
    const NOBODY: &[u8] = b"3";
    let mut text = [0_u8; 4];
    let setting = proc::read(b"/proc/sys/kernel/yama/ptrace_scope\0", &mut text);
    sys::HAS_THREADS && setting.is_none_or(|text| !text.starts_with(NOBODY))
}

const STACK: usize = 256 * 1024;

#[repr(C, align(16))]
struct Stack([u8; STACK]);

static THREAD_STACK: Static<Stack> = Static(UnsafeCell::new(Stack([0; STACK])));

/// Starts the thread. Gives the descriptor to which the command's own process sends the
/// listener; when it is closed everywhere without that, the thread ends.
pub(crate) fn start() -> Result<i32, Errno> {
    let [receiver, sender] = sys::socket_pair(SOCK_SEQPACKET, sys::O_CLOEXEC)?;
    let top = THREAD_STACK.0.get() as usize + STACK;
    // SAFETY: the stack is used by this thread only, and `run` never returns.
    unsafe { sys::spawn_sharing(sys::THREAD, top, run, receiver as usize)? };
    Ok(sender)
}

const SOCK_SEQPACKET: usize = 5;

/// Numbers of threads that a namespace of processes has given away to this module.
pub(crate) const THREADS: u64 = 1;

/// The thread's whole life.
extern "C" fn run(receiver: usize) -> ! {
    if let Ok(listener) = receive_listener(receiver) {
        keep_what_is_needed();
        notice::wake_in_place(listener);
        // SAFETY: this thread is the only one that ever uses it.
        let watch = unsafe { &mut *WATCH.0.get() };
        watch.listener = listener;
        watch.listen();
        sys::close(listener);
    }
    sys::exit_thread()
}

/// Waits for the listener: one descriptor in one message, see cmsg(3).
fn receive_listener(receiver: usize) -> Result<i32, Errno> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    let mut byte = [0_u8; 1];
    let mut control = [0_u64; 3];
    let data = [byte.as_mut_ptr() as usize, 1];
    let mut message =
        [0, 0, data.as_ptr() as usize, 1, control.as_mut_ptr() as usize, size_of_val(&control), 0];
    let address = message.as_mut_ptr() as usize;
    // SAFETY: a message header with one buffer of one byte and room for one descriptor.
    let received =
        unsafe { sys::call(nr::RECVMSG, [receiver, address, MSG_CMSG_CLOEXEC, 0, 0, 0]) };
    sys::close(receiver as i32);
    match received? {
        1 if message[5] >= HEADER_AND_DESCRIPTOR => Ok(descriptor_in(&control)),
        _ => Err(sys::ENOENT),
    }
}

const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
/// Length, level, kind; the descriptor.
const HEADER_AND_DESCRIPTOR: usize = 20;

fn descriptor_in(control: &[u64; 3]) -> i32 {
    let bytes = control[2].to_ne_bytes();
    i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// From the command's own process: hands the listener over.
pub(crate) fn hand_over(sender: i32, listener: i32) -> Result<(), Errno> {
    hand_over_all(sender, [listener, 0], 1)
}

/// Sends the first `count` of two descriptors, both in one message.
pub(crate) fn hand_over_all(sender: i32, fds: [i32; 2], count: usize) -> Result<(), Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let byte = [0_u8; 1];
    let data = [byte.as_ptr() as usize, 1];
    let mut control = [(HEADER_AND_DESCRIPTOR + 4 * (count - 1)) as u64, 0, 0];
    control[1] = join(SOL_SOCKET, SCM_RIGHTS);
    control[2] = join(fds[0] as u32, fds[1] as u32);
    let message =
        [0, 0, data.as_ptr() as usize, 1, control.as_ptr() as usize, size_of_val(&control), 0];
    let address = message.as_ptr() as usize;
    // SAFETY: a message header with one buffer of one byte and one or two descriptors.
    unsafe { sys::call(nr::SENDMSG, [sender as usize, address, MSG_NOSIGNAL, 0, 0, 0])? };
    Ok(())
}

/// Two halves of a word in the order they lie in memory.
fn join(first: u32, second: u32) -> u64 {
    let (a, b) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
}

/// Of the capabilities of the set-up, this thread keeps the one to look into processes,
/// and may take up another to ask what a socket is bound to (see `own`).
fn keep_what_is_needed() {
    const PTRACE: u32 = 1 << sys::SYS_PTRACE;
    let both = PTRACE | 1 << sys::NET_ADMIN;
    // Who has none of them, or not both, can do without.
    if sys::capset([PTRACE, both, 0]).is_err() && sys::capset([PTRACE, PTRACE, 0]).is_err() {
        let _ = sys::set_capabilities(0);
    }
}

/// Everything the thread works with. All zero at the start, so that it costs nothing
/// until it is used.
pub(crate) struct Watch {
    listener: i32,
    processes: remote::Processes,
    path: remote::Path,
    pending: [Pending; MOST_PENDING],
}

static WATCH: Static<Watch> = Static(UnsafeCell::new(Watch {
    listener: 0,
    processes: remote::Processes::new(),
    path: remote::Path::new(),
    pending: [Pending::NONE; MOST_PENDING],
}));

impl Watch {
    /// Serves until nobody is left who could call.
    fn listen(&mut self) {
        loop {
            let waiting = self.pending.iter().any(|pending| pending.socket > 0);
            if waiting {
                let (called, gone) = self.wait();
                self.resume();
                if gone {
                    return;
                }
                if !called {
                    continue;
                }
            }
            match notice::receive(self.listener) {
                Ok(notice) => self.serve(&notice),
                Err(sys::EINTR) => {}
                // Who called has died meanwhile; or everybody has.
                Err(_) if is_deserted(self.listener) => return,
                Err(_) => {}
            }
        }
    }

    fn serve(&mut self, notice: &Notice) {
        match notice.call {
            calls::CONNECT => connect::carry_out(self, notice),
            calls::SOCKET => self.refuse_socket(notice),
            calls::LISTEN => connect::listen(self, notice),
            calls::SOCKETPAIR => self.substitute_pair(notice),
            calls::OPENAT2 => self.look(notice),
            call if calls::subjects(call, &notice.args).is_some() => self.look(notice),
            call => {
                let name = self.name_of(notice.tid);
                tell::denied(wire::KIND_SYSTEM_CALL, calls::name(call).as_bytes(), &name);
                self.answer(notice, Err(sys::EPERM));
            }
        }
    }

    fn look(&mut self, notice: &Notice) {
        changes::look(self, notice);
        notice::go_on(self.listener, notice.id);
    }

    fn answer(&mut self, notice: &Notice, answer: Answer) {
        notice::answer(self.listener, notice.id, answer);
    }

    /// A datagram socket could name any socket of the host with each message, in memory
    /// that no filter sees. And where no network is to be had at all, none is made.
    fn refuse_socket(&mut self, notice: &Notice) {
        let name = self.name_of(notice.tid);
        let (kind, what): (_, &[u8]) = match notice.args[0] as u32 {
            1 => (wire::KIND_SYSTEM_CALL, b"socket(AF_UNIX, SOCK_DGRAM)"),
            _ => (wire::KIND_NETWORK, &(notice.args[0] as u16).to_ne_bytes()),
        };
        tell::denied(kind, what, &name);
        self.answer(notice, Err(sys::EACCES));
    }

    /// A pair of datagram sockets is given as one of packets: the same boundaries, and no
    /// way to name another receiver.
    fn substitute_pair(&mut self, notice: &Notice) {
        const FLAGS: usize = sys::O_CLOEXEC | 0o4000;
        let flags = notice.args[1] as usize & FLAGS;
        let answer = match sys::socket_pair(SOCK_SEQPACKET, flags) {
            Ok(pair) => {
                let given = self.give_pair(notice, pair, flags & sys::O_CLOEXEC);
                pair.into_iter().for_each(sys::close);
                given
            }
            Err(errno) => Err(errno),
        };
        self.answer(notice, answer);
    }

    fn give_pair(&self, notice: &Notice, pair: [i32; 2], flags: usize) -> Answer {
        let mut numbers = [0_u8; 8];
        // An address that cannot be written is found before anything is given.
        remote::write_all(notice.tid, notice.args[3], &numbers)?;
        if !notice::is_valid(self.listener, notice.id) {
            return Err(sys::EINTR);
        }
        for (place, fd) in numbers.chunks_exact_mut(4).zip(pair) {
            let number = notice::give(self.listener, notice.id, fd, flags)?;
            place.copy_from_slice(&(number as u32).to_ne_bytes());
        }
        remote::write_all(notice.tid, notice.args[3], &numbers).map(|()| 0)
    }

    /// Keeps a connection that must be waited for; false when there are too many.
    fn keep(&mut self, pending: Pending) -> bool {
        let place = self.pending.iter_mut().find(|place| place.socket == 0);
        place.map(|place| *place = pending).is_some()
    }

    /// Waits for a call or for a socket; whether somebody called, and whether all are gone.
    fn wait(&self) -> (bool, bool) {
        const IN: i32 = 1;
        const OUT: i32 = 4;
        let mut polled = [[-1, OUT]; MOST_PENDING + 1];
        polled[0] = [self.listener, IN];
        for (entry, pending) in polled[1..].iter_mut().zip(&self.pending) {
            let idle = pending.socket == 0 || pending.repeated;
            entry[0] = if idle { -1 } else { pending.socket };
        }
        let ms = if self.pending.iter().any(|p| p.socket > 0 && p.repeated) {
            RETRY_MS
        } else {
            CHECK_MS
        };
        let time = [ms / 1000, ms % 1000 * 1_000_000];
        let (entries, time) = (polled.as_mut_ptr() as usize, time.as_ptr() as usize);
        // SAFETY: as many entries of eight bytes as said, a time of two words.
        let woken = unsafe { sys::call(nr::PPOLL, [entries, polled.len(), time, 0, 0, 0]) };
        let events = if woken.is_ok() { polled[0][1] >> 16 } else { 0 };
        (events & IN != 0, is_hangup(events))
    }

    fn resume(&mut self) {
        let now = now_ms();
        for index in 0..MOST_PENDING {
            if self.pending[index].socket > 0 && connect::resume(self, index, now) {
                self.pending[index] = Pending::NONE;
            }
        }
    }

    fn is_of_tree(&self, pid: i32) -> bool {
        let myself = sys::numbers(nr::GETPID, [0; 5]).unwrap_or(0) as i32;
        pid > 0 && (config().place.own_processes || descend::is_below(pid, myself))
    }

    /// The name of the program a thread belongs to.
    fn name_of(&self, tid: u32) -> Name {
        let process = remote::process_of(tid).unwrap_or(tid);
        let mut text = [0_u8; 16];
        let length = proc::read(&proc::of_process(process, b"/comm\0"), &mut text)
            .map_or(0, |text| text.strip_suffix(b"\n").unwrap_or(text).len());
        Name { text, length }
    }

    /// Tells a refusal by the file that is open here.
    fn tell_open_file(&self, kind: u64, fd: i32, tid: u32) {
        let mut target = core::mem::MaybeUninit::<[u8; 4096]>::uninit();
        if let Some(target) = sys::name_of_descriptor(fd, &mut target) {
            tell::denied(kind, target, &self.name_of(tid));
        }
    }

    /// Tells a refusal by the path at hand: absolute, and without links as far as this
    /// process can go.
    fn tell_path(&mut self, kind: u64, followed: bool, tid: u32) {
        if followed && let Ok(file) = sys::open(self.path.as_c(), sys::O_PATH, 0) {
            self.tell_open_file(kind, file, tid);
            sys::close(file);
            return;
        }
        let mut target = core::mem::MaybeUninit::<[u8; 4096]>::uninit();
        let mut end = self.path.end();
        loop {
            let opened = self
                .path
                .parent(end, |parent| sys::open(parent, sys::O_PATH | sys::O_DIRECTORY, 0));
            let Some((slash, opened)) = opened else { return };
            end = slash;
            let Ok(directory) = opened else { continue };
            let name = self.name_of(tid);
            if let Some(full) = sys::name_of_descriptor(directory, &mut target) {
                tell::denied_below(kind, full, self.path.behind(slash), &name);
            }
            sys::close(directory);
            return;
        }
    }
}

/// The name of a program: 15 bytes at most.
struct Name {
    text: [u8; 16],
    length: usize,
}

impl core::ops::Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// Whether nobody is left whose calls could arrive.
fn is_deserted(listener: i32) -> bool {
    let mut polled = [listener, 0];
    let at_once = [0_i64; 2];
    let (entry, time) = (polled.as_mut_ptr() as usize, at_once.as_ptr() as usize);
    // SAFETY: one entry of eight bytes, a time of two words.
    let woken = unsafe { sys::call(nr::PPOLL, [entry, 1, time, 0, 0, 0]) };
    woken.is_ok() && is_hangup(polled[1] >> 16)
}

fn is_hangup(events: i32) -> bool {
    const POLLERR_POLLHUP: i32 = 8 | 16;
    events & POLLERR_POLLHUP != 0
}

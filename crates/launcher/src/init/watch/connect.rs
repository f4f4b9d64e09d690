//! Connections, carried out for who asks for them.
//!
//! The socket is fetched from the caller and the address is copied first; then both are
//! looked at, and just these are connected. Nothing the caller's threads do meanwhile to
//! its descriptors, its memory or the path can change what was looked at: a path is
//! opened once, and connected to by way of that descriptor.
//!
//! A blocking socket is made non-blocking for the time being, and who waits for it is
//! answered when the kernel has an answer: this thread waits for nobody.

use super::super::proc;
use super::super::sys::{self, Answer, Errno, nr};
use super::super::tell;
use super::super::wire;
use super::notice::{self, Notice};
use super::{Watch, config, own, remote};

/// Longest address: `struct sockaddr_storage`.
const LONGEST: usize = 128;
/// Longest name of a Unix socket: `sun_path`.
const LONGEST_NAME: usize = 108;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const EISCONN: Errno = Errno(106);
/// A connection that was begun before, by a call that a signal has interrupted.
const EALREADY: Errno = Errno(114);
const O_NONBLOCK: usize = 0o4000;
const SO_TYPE: usize = 3;
const SO_PEERCRED: usize = 17;
const SO_DOMAIN: usize = 39;
const SO_SNDTIMEO: usize = 67;
const SO_SNDTIMEO_OLD: usize = 21;

/// An address as the kernel takes it.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Address {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn family(&self) -> Option<u16> {
        let family = self.as_slice().get(..2)?;
        Some(u16::from_ne_bytes([family[0], family[1]]))
    }

    /// The path or name of a Unix socket; empty when it has none.
    fn name(&self) -> &[u8] {
        self.as_slice().get(2..).unwrap_or_default()
    }

    /// Connects to the file at an open descriptor of this process.
    fn of_descriptor(fd: i32) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..2].copy_from_slice(&AF_UNIX.to_ne_bytes());
        let path = proc::of_descriptor(fd);
        bytes[2..2 + path.len()].copy_from_slice(&path);
        let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
        Self { bytes, length: 2 + end + 1 }
    }
}

/// Who still waits for a connection. All zero: nobody.
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    id: u64,
    tid: u32,
    /// Never 0, which is taken from the start.
    pub(crate) socket: i32,
    /// The open file of a Unix socket, or 0.
    file: i32,
    /// A queue is full: it is to be tried again, as there is nothing to wait on.
    pub(crate) repeated: bool,
    address: Address,
    flags: usize,
    /// When the socket's own patience ends (monotonic ms), 0: never.
    deadline: i64,
    /// When the one who waits was looked at last (monotonic ms).
    looked: i64,
}

impl Pending {
    pub(crate) const NONE: Self = Self {
        id: 0,
        tid: 0,
        socket: 0,
        file: 0,
        repeated: false,
        address: Address { bytes: [0; LONGEST], length: 0 },
        flags: 0,
        deadline: 0,
        looked: 0,
    };
}

/// Carries one call out, or keeps it for later.
pub(crate) fn carry_out(watch: &mut Watch, notice: &Notice) {
    let socket = match watch.processes.descriptor(notice.tid, notice.args[0] as i32) {
        Ok(socket) => socket,
        Err(errno) => return watch.answer(notice, Err(refusal(errno))),
    };
    if let Some(answer) = connect(watch, notice, socket) {
        sys::close(socket);
        watch.answer(notice, answer);
    }
}

/// What this process may not look at cannot be connected.
fn refusal(errno: Errno) -> Errno {
    if errno == sys::EPERM { sys::EACCES } else { errno }
}

/// The answer; none when the socket is kept and the answer comes later.
fn connect(watch: &mut Watch, notice: &Notice, socket: i32) -> Option<Answer> {
    let address = match fetch(notice) {
        Ok(address) => address,
        Err(errno) => return Some(Err(refusal(errno))),
    };
    // Only now is it known that socket and address are the caller's.
    if !notice::is_valid(watch.listener, notice.id) {
        return Some(Err(sys::EINTR));
    }
    let mut domain = [0; 4];
    match sys::socket_option(socket, SO_DOMAIN, &mut domain) {
        Err(errno) => Some(Err(errno)),
        Ok(_) if u32::from_ne_bytes(domain) == u32::from(AF_UNIX) => {
            connect_local(watch, notice, socket, address)
        }
        Ok(_) => connect_network(watch, notice, socket, address),
    }
}

fn fetch(notice: &Notice) -> Result<Address, Errno> {
    let length = notice.args[2] as u32 as usize;
    if length > LONGEST {
        return Err(sys::EINVAL);
    }
    let mut address = Address { bytes: [0; LONGEST], length };
    if length > 0 {
        remote::read_all(notice.tid, notice.args[1], &mut address.bytes[..length])?;
    }
    Ok(address)
}

fn connect_network(
    watch: &mut Watch,
    notice: &Notice,
    socket: i32,
    address: Address,
) -> Option<Answer> {
    if !may_leave(config().network.port, &address) {
        tell::denied(wire::KIND_NETWORK, address.as_slice(), &watch.name_of(notice.tid));
        // At once, as where nobody listens.
        return Some(Err(sys::ECONNREFUSED));
    }
    let answer = attempt(watch, notice, socket, None, address)?;
    tell_network(watch, notice.tid, socket, &address, answer);
    Some(answer)
}

/// Whether the address is the one that there is, where there is only one. None at all takes a
/// peer away, and addresses of other families are not of the internet.
fn may_leave(port: u16, address: &Address) -> bool {
    /// 127.0.0.1 as an address of IPv6.
    const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
    let bytes = address.as_slice();
    let loopback = match address.family() {
        Some(AF_INET) => bytes.get(4..8) == Some(&[127, 0, 0, 1]),
        Some(AF_INET6) => bytes.get(8..24) == Some(&MAPPED),
        _ => true,
    };
    let other = !matches!(address.family(), Some(AF_INET | AF_INET6));
    port == 0 || other || loopback && bytes.get(2..4) == Some(&port.to_be_bytes())
}

/// Lets Unix sockets listen. The filter hands this on where others share the network: whoever
/// listens there without an address of his own could be reached by strangers.
pub(crate) fn listen(watch: &mut Watch, notice: &Notice) {
    let socket = match watch.processes.descriptor(notice.tid, notice.args[0] as i32) {
        Ok(socket) => socket,
        Err(errno) => return watch.answer(notice, Err(refusal(errno))),
    };
    let mut domain = [0; 4];
    let answer = match sys::socket_option(socket, SO_DOMAIN, &mut domain) {
        _ if !notice::is_valid(watch.listener, notice.id) => Err(sys::EINTR),
        Err(errno) => Err(errno),
        Ok(_) if u32::from_ne_bytes(domain) == u32::from(AF_UNIX) => {
            sys::numbers(nr::LISTEN, [socket as usize, notice.args[1] as usize, 0, 0, 0])
        }
        Ok(_) => {
            let family = [domain[0], domain[1]];
            tell::denied(wire::KIND_NETWORK, &family, &watch.name_of(notice.tid));
            Err(sys::EACCES)
        }
    };
    sys::close(socket);
    watch.answer(notice, answer);
}

fn connect_local(
    watch: &mut Watch,
    notice: &Notice,
    socket: i32,
    address: Address,
) -> Option<Answer> {
    let name = address.name();
    if address.family() != Some(AF_UNIX) || name.is_empty() || name.len() > LONGEST_NAME {
        // The kernel has its own word for these, or takes a peer away.
        return Some(call(socket, &address));
    }
    if name[0] == 0 {
        return connect_abstract(watch, notice, socket, address);
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    watch.path.set(notice.tid, remote::Base::Directory, &name[..end]);
    let file = match sys::open(watch.path.as_c(), sys::O_PATH, 0) {
        Ok(file) => file,
        Err(errno) => return Some(Err(errno)),
    };
    let answer = match may_connect(file) {
        Ok(true) => attempt(watch, notice, socket, Some(file), Address::of_descriptor(file)),
        Ok(false) => {
            watch.tell_open_file(wire::KIND_UNIX_SOCKET, file, notice.tid);
            Some(Err(sys::EACCES))
        }
        Err(errno) => Some(Err(errno)),
    };
    if answer.is_some() {
        sys::close(file);
    }
    answer
}

/// Whether this open file may be connected to. What is no socket the kernel refuses itself.
fn may_connect(file: i32) -> Result<bool, Errno> {
    const S_IFMT: u32 = 0o170_000;
    const S_IFSOCK: u32 = 0o140_000;
    let stat = sys::stat(file as usize, b"\0", sys::AT_EMPTY_PATH)?;
    let config = config();
    Ok(config.any_socket
        || stat.mode & S_IFMT != S_IFSOCK
        || config.allows((stat.device, stat.inode))
        || own::owns_file(config.place, file, &stat))
}

/// Names have no file that could be pinned. So in a network namespace that is shared the
/// other end is looked at again when it is connected.
fn connect_abstract(
    watch: &mut Watch,
    notice: &Notice,
    socket: i32,
    address: Address,
) -> Option<Answer> {
    let config = config();
    if config.any_socket || config.place.own_network {
        return attempt(watch, notice, socket, Some(0), address);
    }
    if own::owns_name(config.place, address.name()) {
        let answer = call_at_once(socket, &address);
        if answer.is_err() || is_of_tree(watch, socket) {
            return Some(answer);
        }
        const SHUT_RDWR: usize = 2;
        // It was connected a moment ago; when it is not any more, that is as well.
        let _ = sys::numbers(nr::SHUTDOWN, [socket as usize, SHUT_RDWR, 0, 0, 0]);
    }
    let mut text = address.bytes;
    let name = watch.name_of(notice.tid);
    tell::denied(wire::KIND_UNIX_SOCKET, at_name(&mut text, address.length), &name);
    Some(Err(sys::EACCES))
}

/// `@NAME`, in the place of the family and the NUL byte that the name begins with.
fn at_name(address: &mut [u8; LONGEST], length: usize) -> &[u8] {
    address[2] = b'@';
    address.get(2..length).unwrap_or_default()
}

fn call_at_once(socket: i32, address: &Address) -> Answer {
    let flags = file_flags(socket)?;
    set_file_flags(socket, flags | O_NONBLOCK);
    let answer = call(socket, address);
    set_file_flags(socket, flags);
    answer
}

/// Whether the process that listens at the other end is one of the tree.
fn is_of_tree(watch: &Watch, socket: i32) -> bool {
    let mut credentials = [0; 12];
    let Ok(12) = sys::socket_option(socket, SO_PEERCRED, &mut credentials) else { return false };
    let pid = i32::from_ne_bytes([credentials[0], credentials[1], credentials[2], credentials[3]]);
    watch.is_of_tree(pid)
}

/// connect(2) as such.
fn call(socket: i32, address: &Address) -> Answer {
    let (bytes, length) = (address.bytes.as_ptr() as usize, address.length);
    // SAFETY: the address is as long as said.
    unsafe { sys::call(nr::CONNECT, [socket as usize, bytes, length, 0, 0, 0]) }
}

/// Connects without waiting; keeps what would have to wait. A Unix socket comes with the
/// open file of the address, or 0.
fn attempt(
    watch: &mut Watch,
    notice: &Notice,
    socket: i32,
    file: Option<i32>,
    address: Address,
) -> Option<Answer> {
    let flags = match file_flags(socket) {
        Ok(flags) => flags,
        Err(errno) => return Some(Err(errno)),
    };
    if flags & O_NONBLOCK != 0 {
        return Some(call(socket, &address));
    }
    set_file_flags(socket, flags | O_NONBLOCK);
    let answer = match call(socket, &address) {
        Err(sys::EINPROGRESS | EALREADY) => outcome(socket, &address),
        Err(sys::EAGAIN) if file.is_some() => None,
        other => Some(other),
    };
    if answer.is_none() {
        let looked = super::now_ms();
        let deadline = patience(socket).map_or(0, |ms| looked + ms);
        let (id, tid) = (notice.id, notice.tid);
        let (repeated, file) = (file.is_some(), file.unwrap_or(0));
        if watch.keep(Pending { id, tid, socket, file, repeated, address, flags, deadline, looked })
        {
            return None;
        }
    }
    set_file_flags(socket, flags);
    Some(answer.unwrap_or(Err(sys::EAGAIN)))
}

/// How a connection that was begun has ended; none while it has not. The kernel is asked
/// by the same call again: it leaves the socket as a call that waited would.
fn outcome(socket: i32, address: &Address) -> Option<Answer> {
    const POLLOUT: i32 = 4;
    let mut polled = [socket, POLLOUT];
    let at_once = [0_i64; 2];
    let (entry, time) = (polled.as_mut_ptr() as usize, at_once.as_ptr() as usize);
    // SAFETY: one entry of eight bytes, a time of two words.
    match unsafe { sys::call(nr::PPOLL, [entry, 1, time, 0, 0, 0]) } {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    match call(socket, address) {
        Err(EALREADY | sys::EINPROGRESS) => None,
        Err(EISCONN) => Some(Ok(0)),
        other => Some(other),
    }
}

fn file_flags(fd: i32) -> Answer {
    const F_GETFL: usize = 3;
    sys::numbers(nr::FCNTL, [fd as usize, F_GETFL, 0, 0, 0])
}

fn set_file_flags(fd: i32, flags: usize) {
    const F_SETFL: usize = 4;
    let _ = sys::numbers(nr::FCNTL, [fd as usize, F_SETFL, flags, 0, 0]);
}

/// How long the socket wants to wait (ms), if not as long as it takes: `SO_SNDTIMEO`.
fn patience(socket: i32) -> Option<i64> {
    let mut time = [0; 16];
    sys::socket_option(socket, SO_SNDTIMEO_OLD, &mut time)
        .or_else(|_| sys::socket_option(socket, SO_SNDTIMEO, &mut time))
        .ok()?;
    let (seconds, micros) = time.split_at(8);
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, i64::from_ne_bytes);
    let ms = word(seconds).saturating_mul(1000).saturating_add(word(micros).div_euclid(1000));
    (ms > 0 || word(micros) > 0).then_some(ms)
}

/// Answers whom it can; false when it waits on.
pub(crate) fn resume(watch: &mut Watch, index: usize, now: i64) -> bool {
    let pending = watch.pending[index];
    let late = pending.deadline > 0 && now >= pending.deadline;
    let answer = if pending.repeated {
        match call(pending.socket, &pending.address) {
            Err(sys::EAGAIN) if !late => None,
            other => Some(other),
        }
    } else {
        // As the kernel has it when the time of the socket is up.
        outcome(pending.socket, &pending.address).or(late.then_some(Err(sys::EINPROGRESS)))
    };
    let answer = match answer {
        None if now < pending.looked + super::CHECK_MS => return false,
        None if !notice::is_valid(watch.listener, pending.id) => None,
        None => match remote::interruption(pending.tid) {
            None => {
                watch.pending[index].looked = now;
                return false;
            }
            Some(errno) => Some(Err(errno)),
        },
        answered => answered,
    };
    set_file_flags(pending.socket, pending.flags);
    if let Some(answer) = answer {
        if !pending.repeated {
            tell_network(watch, pending.tid, pending.socket, &pending.address, answer);
        }
        notice::answer(watch.listener, pending.id, answer);
    }
    sys::close(pending.socket);
    if pending.file > 0 {
        sys::close(pending.file);
    }
    true
}

/// Where the network is the tree's own, there is no way out; what asks for one, or for a
/// name, was refused.
fn tell_network(watch: &Watch, tid: u32, socket: i32, address: &Address, answer: Answer) {
    if !config().place.own_network {
        return;
    }
    let unreachable = match answer {
        Err(sys::ENETUNREACH | sys::EHOSTUNREACH) => true,
        // Where nobody of the tree's own could listen, it was the gateway that refused.
        Err(sys::ECONNREFUSED) => config().network.gateway && !is_loopback(address),
        // On a loopback the answer is there as soon as the question was sent.
        Err(sys::EINPROGRESS) => {
            config().network.gateway && !is_loopback(address) && has_failed(socket)
        }
        _ => false,
    };
    if unreachable || asks_for_names(socket, address, answer) {
        tell::denied(wire::KIND_NETWORK, address.as_slice(), &watch.name_of(tid));
    }
}

/// Whether a connection that was begun has failed. Its error is left for who asks for it.
fn has_failed(socket: i32) -> bool {
    const POLLERR: i32 = 8;
    let mut polled = [socket, 0];
    let at_once = [0_i64; 2];
    let (entry, time) = (polled.as_mut_ptr() as usize, at_once.as_ptr() as usize);
    // SAFETY: one entry of eight bytes, a time of two words.
    let woken = unsafe { sys::call(nr::PPOLL, [entry, 1, time, 0, 0, 0]) };
    woken.is_ok() && polled[1] >> 16 & POLLERR != 0
}

/// A loopback address at the port of name servers, where none listens.
fn asks_for_names(socket: i32, address: &Address, answer: Answer) -> bool {
    const PORT: [u8; 2] = [0, 53];
    const SOCK_DGRAM: u32 = 2;
    let bytes = address.as_slice();
    let mut kind = [0; 4];
    is_loopback(address)
        && bytes.get(2..4) == Some(&PORT)
        && (answer == Err(sys::ECONNREFUSED)
            || sys::socket_option(socket, SO_TYPE, &mut kind).is_ok()
                && u32::from_ne_bytes(kind) == SOCK_DGRAM)
}

fn is_loopback(address: &Address) -> bool {
    let bytes = address.as_slice();
    match address.family() {
        Some(AF_INET) => bytes.get(4) == Some(&127),
        Some(AF_INET6) => bytes.get(8..24).is_some_and(|ip| ip[..15] == [0; 15] && ip[15] == 1),
        _ => false,
    }
}

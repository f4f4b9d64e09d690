//! Whether a Unix socket that somebody listens on belongs to the tree.
//!
//! The kernel lists sockets with the file they are bound to (unix_diag), but says only
//! the lower half of the inode's number and the device of the file system. On ext4 and
//! tmpfs that names one file. Elsewhere (btrfs, where subvolumes share a device; XFS,
//! with its long numbers; overlayfs, which reports other numbers) it only finds
//! candidates, of which each must prove itself: it is fetched from the process that
//! holds it, and the kernel opens the very file it is bound to (`SIOCUNIXFILE`).
//!
//! In a network namespace of the tree's own every socket is the tree's. In a shared one
//! only those are that a process of the tree holds; and the last proof needs a right over
//! the network, which nobody has there but root outside of a user namespace: for all
//! others only file systems of the first kind have own sockets.

use super::super::descend;
use super::super::sys::{self, Errno, Stat, new, nr};
use super::remote;
use core::sync::atomic::{AtomicI32, Ordering};

/// Where sockets are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The network namespace is the tree's own.
    pub(crate) own_network: bool,
    /// `/proc` shows nobody but the tree.
    pub(crate) own_processes: bool,
}

/// What a socket is looked for by.
enum Wanted<'a> {
    /// The file it is bound to: device as the kernel has it, none for any, and the lower
    /// half of the inode's number.
    File(Option<u32>, [u32; 2]),
    /// An abstract name.
    Name(&'a [u8]),
}

/// Sockets that can be bound to what looks like one file; more is an attack.
const MOST: usize = 16;

/// A socket: the number of its inode, which can come again, and its cookie, which cannot.
#[derive(Clone, Copy, Default)]
struct Socket {
    inode: u32,
    cookie: u64,
}

type Found = [Socket; MOST];

/// Whether the socket at the open file `path` belongs to the tree.
pub(crate) fn owns_file(place: Place, path: i32, file: &Stat) -> bool {
    let exact = has_exact_numbers(path) && file.inode <= u64::from(u32::MAX);
    let device = (file.device >> 32) << 20 | (file.device & 0xf_ffff);
    let device = exact.then_some(device as u32);
    let behind = if exact { None } else { inode_behind(path) };
    let numbers = [file.inode, behind.unwrap_or(file.inode)].map(|inode| inode as u32);
    let mut found = Found::default();
    let Ok(count) = find(&Wanted::File(device, numbers), &mut found) else { return false };
    let found = found.get(..count).unwrap_or_default();
    if exact && place.own_network {
        return !found.is_empty();
    }
    found.iter().any(|socket| match holder_of(place, *socket) {
        None => false,
        Some(held) => {
            let proven = exact || is_bound_to(held, file);
            sys::close(held);
            proven
        }
    })
}

/// Whether the abstract name belongs to the tree.
pub(crate) fn owns_name(place: Place, name: &[u8]) -> bool {
    if place.own_network {
        return true;
    }
    let mut found = Found::default();
    let Ok(count) = find(&Wanted::Name(name), &mut found) else { return false };
    found
        .get(..count)
        .unwrap_or_default()
        .iter()
        .any(|socket| holder_of(place, *socket).map(sys::close).is_some())
}

/// File systems with inode numbers of 32 bits and one device for all of them.
fn has_exact_numbers(path: i32) -> bool {
    /// `EXT2_SUPER_MAGIC` (also 3 and 4), `TMPFS_MAGIC`, `RAMFS_MAGIC`, `F2FS_SUPER_MAGIC`.
    const EXACT: [u64; 4] = [0xef53, 0x0102_1994, 0x8584_58f6, 0xf2f5_2010];
    let mut buffer = [0_u64; 16];
    let address = buffer.as_mut_ptr() as usize;
    // SAFETY: the kernel fills 120 bytes.
    let known = unsafe { sys::call(nr::FSTATFS, [path as usize, address, 0, 0, 0, 0]) };
    known.is_ok() && EXACT.contains(&buffer[0])
}

/// The inode's own number, where the file system reports another one (Linux 5.14).
fn inode_behind(path: i32) -> Option<u64> {
    let mut file = *b"/proc/self/fdinfo/\0\0\0\0\0\0\0\0\0\0\0\0";
    let (digits, first) = remote::decimal(path.unsigned_abs());
    let digits = digits.get(first..)?;
    file.get_mut(18..18 + digits.len())?.copy_from_slice(digits);
    let mut text = [0_u8; 256];
    let text = remote::read_file(&file, &mut text)?;
    remote::field(text, b"ino:", 10)
}

/// Whether the socket is bound to just this file. Needs `CAP_NET_ADMIN` in its network
/// namespace, which this thread takes up for the one call.
fn is_bound_to(socket: i32, file: &Stat) -> bool {
    const SIOCUNIXFILE: usize = 0x89e0;
    const PTRACE: u32 = 1 << sys::SYS_PTRACE;
    const BOTH: u32 = PTRACE | 1 << sys::NET_ADMIN;
    if sys::capset([BOTH, BOTH, 0]).is_err() {
        return false;
    }
    let bound = sys::numbers(nr::IOCTL, [socket as usize, SIOCUNIXFILE, 0, 0, 0]);
    let lowered = sys::capset([PTRACE, BOTH, 0]);
    let Ok(bound) = bound else { return false };
    let stat = sys::stat(bound, b"\0", sys::AT_EMPTY_PATH);
    sys::close(bound as i32);
    lowered.is_ok() && stat.is_ok_and(|stat| (stat.device, stat.inode) == (file.device, file.inode))
}

/// The socket that the kernel is asked by, kept from one question to the next; 0: none yet.
static ASKED_BY: AtomicI32 = AtomicI32::new(0);

/// Fills `found` with the sockets that are wanted; how many. See sock_diag(7).
fn find(wanted: &Wanted<'_>, found: &mut Found) -> Result<usize, Errno> {
    const AF_NETLINK: usize = 16;
    const SOCK_RAW_CLOEXEC: usize = 3 | sys::O_CLOEXEC;
    const NETLINK_SOCK_DIAG: usize = 4;
    let socket = match ASKED_BY.load(Ordering::Relaxed) {
        0 => sys::numbers(nr::SOCKET, [AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG, 0, 0])?,
        kept => kept as usize,
    };
    let count = ask(socket, wanted, found);
    // What is left of an answer that was not understood is not to be taken for the next.
    let kept = if count.is_ok() { socket as i32 } else { 0 };
    if kept == 0 {
        sys::close(socket as i32);
    }
    ASKED_BY.store(kept, Ordering::Relaxed);
    count
}

fn ask(socket: usize, wanted: &Wanted<'_>, found: &mut Found) -> Result<usize, Errno> {
    const MSG_DONTWAIT: usize = 0x40;
    const NLM_F_REQUEST_DUMP: u32 = 0x301;
    const SOCK_DIAG_BY_FAMILY: u32 = 20;
    const AF_UNIX: u32 = 1;
    const ANY_STATE: u32 = u32::MAX;
    const SHOW_NAME_VFS: u32 = 1 | 2;
    // Length, type and flags, sequence, port; family, states, inode, what to show, cookie.
    let request = [
        40,
        SOCK_DIAG_BY_FAMILY | NLM_F_REQUEST_DUMP << 16,
        0,
        0,
        AF_UNIX,
        ANY_STATE,
        0,
        SHOW_NAME_VFS,
        u32::MAX,
        u32::MAX,
    ];
    let address = request.as_ptr() as usize;
    // SAFETY: forty bytes, and no address.
    unsafe { sys::call(nr::SENDTO, [socket, address, 40, 0, 0, 0])? };
    let mut count = 0;
    let mut buffer = core::mem::MaybeUninit::<[u32; 4096]>::uninit();
    loop {
        let (address, size) = (buffer.as_mut_ptr() as usize, size_of_val(&buffer));
        // SAFETY: the buffer is as long as said; no address is wanted.
        let n = unsafe { sys::call(nr::RECVFROM, [socket, address, size, MSG_DONTWAIT, 0, 0])? };
        // SAFETY: the kernel has filled that many bytes.
        let bytes =
            unsafe { core::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), n.min(size)) };
        if !messages(bytes, wanted, found, &mut count)? {
            return Ok(count);
        }
    }
}

/// Looks through one buffer of answers; false after the last.
fn messages(
    mut bytes: &[u8],
    wanted: &Wanted<'_>,
    found: &mut Found,
    count: &mut usize,
) -> Result<bool, Errno> {
    const NLMSG_ERROR: u32 = 2;
    const NLMSG_DONE: u32 = 3;
    while let Some(length) = word(bytes, 0) {
        let kind = word(bytes, 4).ok_or(sys::EBADMSG)? & 0xffff;
        let message = bytes.get(16..length as usize).ok_or(sys::EBADMSG)?;
        match kind {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => return Err(sys::EBADMSG),
            _ => {}
        }
        if is_wanted(message.get(16..).unwrap_or_default(), wanted) {
            // More than there is room for: those that are left out are not believed.
            if let (Some(place), Some(socket)) = (found.get_mut(*count), socket(message)) {
                *place = socket;
                *count += 1;
            }
        }
        bytes = bytes.get((length as usize).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// Of `struct unix_diag_msg`: the inode at 4, the cookie at 8.
fn socket(message: &[u8]) -> Option<Socket> {
    let (low, high) = (word(message, 8)?, word(message, 12)?);
    Some(Socket { inode: word(message, 4)?, cookie: u64::from(high) << 32 | u64::from(low) })
}

fn is_wanted(mut attributes: &[u8], wanted: &Wanted<'_>) -> bool {
    const NAME: u32 = 0;
    const FILE: u32 = 1;
    while let Some(head) = word(attributes, 0) {
        let (length, kind) = ((head & 0xffff) as usize, head >> 16);
        let Some(value) = attributes.get(4..length) else { return false };
        let same = match (kind, wanted) {
            (NAME, Wanted::Name(name)) => value == *name,
            (FILE, Wanted::File(device, inodes)) => {
                word(value, 0).is_some_and(|inode| inodes.contains(&inode))
                    && (device.is_none() || word(value, 4) == *device)
            }
            _ => false,
        };
        if same {
            return true;
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// A copy of the socket from whoever of the tree holds it.
fn holder_of(place: Place, socket: Socket) -> Option<i32> {
    let myself = sys::numbers(nr::GETPID, [0; 5]).ok()? as i32;
    let mut held = None;
    // Looking at every descriptor of a tree has its limit: it is the caller that waits.
    let mut left = 100_000_u32;
    descend::each_number(b"/proc\0", |pid| {
        if pid != myself && (place.own_processes || descend::is_below(pid, myself)) {
            held = held_by(pid.unsigned_abs(), socket, &mut left);
        }
        held.is_none() && left > 0
    });
    held
}

fn held_by(pid: u32, socket: Socket, left: &mut u32) -> Option<i32> {
    /// A process that keeps its descriptors from being listed (ssh-agent does) has few.
    const FIRST_FEW: i32 = 64;
    let pidfd = sys::numbers(new::PIDFD_OPEN, [pid as usize, 0, 0, 0, 0]).ok()? as i32;
    let mut held = None;
    let mut look = |fd: i32, listed: bool| {
        *left = left.saturating_sub(1);
        if !listed || looks_like(pid, fd, socket) {
            held = copy_of(pidfd, fd, socket);
        }
        held.is_none() && *left > 0
    };
    if !descend::each_number(&remote::process_file(pid, b"/fd\0"), |fd| look(fd, true)) {
        (0..FIRST_FEW).all(|fd| look(fd, false));
    }
    sys::close(pidfd);
    held
}

fn looks_like(pid: u32, fd: i32, socket: Socket) -> bool {
    let mut name = *b"/fd/\0\0\0\0\0\0\0\0\0\0\0";
    let (digits, first) = remote::decimal(fd.unsigned_abs());
    let digits = &digits[first..];
    name[4..4 + digits.len()].copy_from_slice(digits);
    let path = remote::process_file(pid, &name);
    sys::stat(sys::AT_FDCWD, &path, 0).is_ok_and(|stat| stat.inode == u64::from(socket.inode))
}

/// The descriptor, if it is this very socket.
fn copy_of(pidfd: i32, fd: i32, socket: Socket) -> Option<i32> {
    const SO_COOKIE: usize = 57;
    let copy = remote::copy_descriptor(pidfd, fd).ok()?;
    let mut cookie = [0; 8];
    match sys::socket_option(copy, SO_COOKIE, &mut cookie) {
        Ok(8) if u64::from_ne_bytes(cookie) == socket.cookie => Some(copy),
        _ => {
            sys::close(copy);
            None
        }
    }
}

//! System calls of the probes, some of them with arguments that nobody sane gives.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// Bytes of an address of a Unix socket.
pub(crate) const FULL: usize = size_of::<libc::sockaddr_un>();

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

pub(crate) fn socket(domain: i32, kind: i32) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn unix_address(path: &str) -> libc::sockaddr_un {
    // SAFETY: all zero is a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    for (place, byte) in address.sun_path.iter_mut().zip(path.as_bytes()) {
        *place = *byte as libc::c_char;
    }
    address
}

pub(crate) fn address_of(address: &libc::sockaddr_un) -> usize {
    std::ptr::from_ref(address) as usize
}

/// connect(2) with an address that may lie nowhere.
pub(crate) fn connect_raw(fd: RawFd, address: usize, length: usize) -> io::Result<()> {
    let (address, length) = (address as *const libc::sockaddr, length as libc::socklen_t);
    // SAFETY: the kernel checks the address; nothing is written.
    check(unsafe { libc::connect(fd, address, length) }).map(drop)
}

/// A socket that listens, with room for so many who wait.
pub(crate) fn serve(kind: i32, address: &libc::sockaddr_un, room: i32) -> io::Result<OwnedFd> {
    let server = socket(libc::AF_UNIX, kind)?;
    let (fd, address) = (server.as_raw_fd(), std::ptr::from_ref(address).cast());
    // SAFETY: the address is as long as said.
    check(unsafe { libc::bind(fd, address, FULL as u32) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::listen(fd, room) })?;
    Ok(server)
}

/// fcntl(2) with a question.
pub(crate) fn control(fd: RawFd, question: i32) -> io::Result<i32> {
    // SAFETY: numbers only.
    check(unsafe { libc::fcntl(fd, question) })
}

/// socketpair(2) with a place that cannot be written.
pub(crate) fn pair_at_nowhere(kind: i32) -> io::Result<()> {
    // SAFETY: the kernel checks the address.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, 8 as *mut i32) }).map(drop)
}

/// An address that one thread changes while the kernel reads it for another.
#[derive(Clone, Copy)]
pub(crate) struct Place(usize);

impl Place {
    pub(crate) fn new(address: libc::sockaddr_un) -> Self {
        Self(std::ptr::from_mut(Box::leak(Box::new(address))) as usize)
    }

    pub(crate) fn address(self) -> usize {
        self.0
    }

    pub(crate) fn set(self, address: libc::sockaddr_un) {
        let place = self.0 as *mut libc::sockaddr_un;
        // SAFETY: it lives as long as the program; only the kernel reads it.
        unsafe { place.write_volatile(address) };
    }
}

/// Another open file takes the number.
pub(crate) fn replace(number: RawFd, by: &OwnedFd) {
    // SAFETY: numbers only; who owns the number goes on owning it.
    unsafe { libc::dup2(by.as_raw_fd(), number) };
}

/// A blocking connection waits at most so many µs.
pub(crate) fn wait_at_most(socket: &OwnedFd, micros: i64) -> io::Result<()> {
    let time = libc::timeval { tv_sec: 0, tv_usec: micros };
    let (value, length) = ((&raw const time).cast(), size_of_val(&time) as u32);
    let (fd, level) = (socket.as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: the structure is as long as said.
    check(unsafe { libc::setsockopt(fd, level, libc::SO_SNDTIMEO, value, length) }).map(drop)
}

/// Calls that take a path, with whatever lies there, if anything does.
pub(crate) fn call_with_path(place: usize) {
    let here = libc::AT_FDCWD;
    for call in [libc::SYS_unlinkat, libc::SYS_mkdirat, libc::SYS_renameat2, libc::SYS_fchmodat] {
        // SAFETY: the kernel checks the addresses.
        unsafe { libc::syscall(call, here, place, here, place, 0) };
    }
    // SAFETY: the kernel checks the address.
    unsafe { libc::syscall(libc::SYS_truncate, place, 0) };
    // SAFETY: the kernel checks the addresses.
    unsafe { libc::syscall(libc::SYS_openat2, here, place, place, 24) };
    // SAFETY: the kernel checks the address.
    unsafe { libc::syscall(libc::SYS_openat, -77, place, libc::O_RDWR) };
}

/// As ssh-agent does.
pub(crate) fn keep_memory_private() -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) }).map(drop)
}

/// A child that connects until it is killed.
pub(crate) fn fork_and_connect(address: &libc::sockaddr_un) -> io::Result<libc::pid_t> {
    // SAFETY: the child does nothing but system calls.
    let child = check(unsafe { libc::fork() })?;
    if child != 0 {
        return Ok(child);
    }
    loop {
        // SAFETY: numbers only.
        let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
        drop(connect_raw(fd, address_of(address), FULL));
        // SAFETY: this process's own.
        unsafe { libc::close(fd) };
    }
}

pub(crate) fn kill_child(child: libc::pid_t) -> io::Result<()> {
    // SAFETY: a child of this process.
    check(unsafe { libc::kill(child, libc::SIGKILL) })?;
    // SAFETY: likewise; no status is wanted.
    check(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }).map(drop)
}

/// Allows another process no descriptor any more.
pub(crate) fn take_descriptors_away(pid: libc::pid_t) -> io::Result<()> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let (new, old) = (&raw const none, std::ptr::null_mut());
    // SAFETY: the structure is read; nothing is written.
    check(unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, new, old) }).map(drop)
}

/// Tries to kill the first process of the namespace, by the number of one of its threads.
pub(crate) fn strike(thread: libc::pid_t) {
    // SAFETY: numbers only.
    unsafe { libc::kill(thread, libc::SIGKILL) };
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, 1, thread, libc::SIGKILL) };
}

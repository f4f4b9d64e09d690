//! Reaching anything that listens outside.
//!
//! A connection counts only when the bystander's word comes back: a loopback of one's own answers, too.

use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixStream};
use std::time::Duration;

use crate::sys::{address, call, open};
use crate::{Attempt, Probe, Refusal, arg, denied, not_here, number};

/// The subcommands of this module.
pub(crate) const PROBES: &[Probe] = &[
    ("tcp", tcp),
    ("udp", udp),
    ("ping", ping),
    ("raw", |_| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(made)),
    ("raw6", |_| socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6).map(made)),
    ("packet", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(made)),
    ("packet-dgram", |_| socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0).map(made)),
    ("vsock", vsock),
    ("unix", unix),
    ("unix-dgram", unix_dgram),
    ("abstract", abstract_stream),
    ("abstract-dgram", abstract_dgram),
    ("links", links),
    ("diag", diag),
    ("audit", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT).map(made)),
    ("connector", |_| connector()),
];

/// How long an answer may take; it comes from the same machine.
const PATIENCE: Duration = Duration::from_secs(3);

fn made(_: OwnedFd) -> String {
    "made a socket".to_owned()
}

fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Refusal> {
    let args = [family, kind | libc::SOCK_CLOEXEC, protocol].map(|arg| arg as usize);
    open(libc::SYS_socket, &args).map_err(|error| match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => Refusal::NoSuchCall(error.to_string()),
        _ => error.into(),
    })
}

fn greeted(mut stream: impl Read) -> Attempt {
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting)?;
    if greeting.contains("bystander") {
        Ok(greeting)
    } else {
        denied(&format!("somebody else said {greeting:?}"))
    }
}

fn tcp(args: &[String]) -> Attempt {
    let to: SocketAddr = arg(args, 0).parse().expect("because the bystander gives addresses");
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    greeted(stream)
}

fn udp(args: &[String]) -> Attempt {
    let to: SocketAddr = arg(args, 0).parse().expect("because the bystander gives addresses");
    let socket = UdpSocket::bind(if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(b"anybody there?")?;
    let mut answer = [0; 32];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// An echo request to an address of the host that is not its loopback.
fn ping(args: &[String]) -> Attempt {
    let to: std::net::Ipv4Addr =
        arg(args, 0).parse().expect("because the bystander gives addresses");
    let kind = if call(libc::SYS_geteuid, &[])? == 0 { libc::SOCK_RAW } else { libc::SOCK_DGRAM };
    let fd = match socket(libc::AF_INET, kind, libc::IPPROTO_ICMP) {
        Err(Refusal::Denied(why)) if kind == libc::SOCK_DGRAM && no_ping_group() => {
            return not_here(&why);
        }
        result => result?,
    };
    let request = [8_u8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let mut name = [0_u8; 16];
    name[..2].copy_from_slice(&2_u16.to_ne_bytes());
    name[4..8].copy_from_slice(&to.octets());
    let fd_number = fd.as_raw_fd() as usize;
    call(
        libc::SYS_sendto,
        &[fd_number, request.as_ptr() as usize, request.len(), 0, name.as_ptr() as usize, 16],
    )?;
    wait_readable(&fd)?;
    let mut answer = [0_u8; 64];
    call(libc::SYS_recvfrom, &[fd_number, answer.as_mut_ptr() as usize, answer.len(), 0, 0, 0])?;
    Ok(format!("an answer from {to}"))
}

fn no_ping_group() -> bool {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap_or_default();
    range.split_whitespace().eq(["1", "0"])
}

fn wait_readable(fd: &OwnedFd) -> Result<(), Refusal> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let until = [3_i64, 0];
    let ready = call(
        libc::SYS_ppoll,
        &[std::ptr::from_mut(&mut poll) as usize, 1, until.as_ptr() as usize, 0, 0],
    )?;
    if ready == 0 { denied("no answer") } else { Ok(()) }
}

/// A stream to the machine that this virtual machine runs on; a refused connection has left this one, too.
fn vsock(_: &[String]) -> Attempt {
    let fd = socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)?;
    Ok(made(fd))
}

fn unix(args: &[String]) -> Attempt {
    let stream = UnixStream::connect(arg(args, 0))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    greeted(stream)
}

fn unix_dgram(args: &[String]) -> Attempt {
    let socket = UnixDatagram::unbound()?;
    socket.send_to(b"to the bystander", arg(args, 0))?;
    Ok("sent".to_owned())
}

fn abstract_stream(args: &[String]) -> Attempt {
    let stream = UnixStream::connect_addr(&UnixAddr::from_abstract_name(arg(args, 0))?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    greeted(stream)
}

fn abstract_dgram(args: &[String]) -> Attempt {
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(b"to the bystander", &UnixAddr::from_abstract_name(arg(args, 0))?)?;
    Ok("sent".to_owned())
}

/// Asks the kernel by netlink for network interfaces other than the loopback.
fn links(_: &[String]) -> Attempt {
    const RTM_GETLINK: u16 = 18;
    const RTM_NEWLINK: u16 = 16;
    // `struct ifinfomsg` is 16 bytes; the interface's number stands at byte 4 of it.
    let found = ask(libc::NETLINK_ROUTE, RTM_GETLINK, &[0; 16])?;
    let indexes = found.iter().filter(|(kind, _)| *kind == RTM_NEWLINK).map(|(_, body)| body[4]);
    let others: Vec<u8> = indexes.filter(|index| *index != 1).collect();
    if others.is_empty() {
        denied("only the loopback")
    } else {
        Ok(format!("interfaces {others:?}"))
    }
}

/// Asks the kernel by netlink for the listening TCP socket of this port.
fn diag(args: &[String]) -> Attempt {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let port = u16::try_from(number(args, 0)).expect("because ports have 16 bits");
    // `struct inet_diag_req_v2`: family, protocol, extensions, padding, states, and 48 bytes of socket id.
    let mut body = [0_u8; 56];
    body[0] = libc::AF_INET as u8;
    body[1] = libc::IPPROTO_TCP as u8;
    body[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    let found = ask(libc::NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, &body)?;
    let ports = found.iter().filter(|(kind, body)| *kind == SOCK_DIAG_BY_FAMILY && body.len() > 6);
    let mut ports = ports.map(|(_, body)| u16::from_be_bytes([body[4], body[5]]));
    if ports.any(|found| found == port) {
        Ok("the host's sockets are listed".to_owned())
    } else {
        denied("not there")
    }
}

type Message = (u16, Vec<u8>);

/// A netlink request of the dump kind, and all messages of the answer.
fn ask(protocol: i32, kind: u16, body: &[u8]) -> Result<Vec<Message>, Refusal> {
    const NLMSG_DONE: u16 = 3;
    const NLMSG_ERROR: u16 = 2;
    const DUMP_REQUEST: u16 = 0x301;
    let fd = socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
    let length = u32::try_from(16 + body.len()).expect("because requests are short");
    let mut request =
        [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &DUMP_REQUEST.to_ne_bytes(), &[0; 8]]
            .concat();
    request.extend(body);
    let number = fd.as_raw_fd() as usize;
    call(libc::SYS_sendto, &[number, request.as_ptr() as usize, request.len(), 0, 0, 0])?;
    let mut messages = Vec::new();
    loop {
        let mut buffer = vec![0_u8; 65536];
        let read = call(
            libc::SYS_recvfrom,
            &[number, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0],
        )?;
        let mut rest = &buffer[..read];
        while rest.len() >= 16 {
            let length =
                u32::from_ne_bytes(rest[..4].try_into().expect("because the slice has 4 bytes"))
                    as usize;
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            if kind == NLMSG_DONE || kind == NLMSG_ERROR || length < 16 {
                return Ok(messages);
            }
            messages.push((kind, rest[16..length.min(rest.len())].to_vec()));
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
    }
}

fn bound(protocol: i32, groups: u32) -> Result<OwnedFd, Refusal> {
    let fd = socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
    let mut name = [0_u32; 3];
    name[0] = u32::from_ne_bytes([libc::AF_NETLINK as u8, 0, 0, 0]);
    name[2] = groups;
    call(libc::SYS_bind, &[fd.as_raw_fd() as usize, address(&name), 12])?;
    Ok(fd)
}

/// News of all processes of the machine, by the kernel's connector.
fn connector() -> Attempt {
    bound(libc::NETLINK_CONNECTOR, 1).map(|_| "listening".to_owned())
}

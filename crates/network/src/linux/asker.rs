//! Which program asked: from the port that a question came from, to the socket, to who has it open.
//!
//! Who asks for a name waits for the answer, so this is looked up before the answer is given. It is a courtesy to
//! whoever reads the refusal and no wall: a program that takes pains is not found.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most processes that are looked at for one question.
const MOST_PROCESSES: usize = 1024;
/// Most descriptors of one process.
const MOST_DESCRIPTORS: usize = 256;
/// Longest table of sockets that is read, in bytes; a line has about 128.
const LONGEST_TABLE: u64 = 1 << 20;

/// The name of the program behind a socket in the namespace of the process `inside`.
///
/// `tables` are those of proc_pid_net(5) to look into: `udp` and `udp6`, or `tcp` and `tcp6`.
pub(crate) fn program(inside: u32, client: SocketAddr, tables: [&str; 2]) -> Option<String> {
    let inside = process(inside);
    let socket = tables
        .iter()
        .find_map(|table| inode(&read(&inside.join("net").join(table))?, client.port()))?;
    let link = PathBuf::from(format!("socket:[{socket}]"));
    let namespace = network(&inside)?;
    let owner = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(process)
        .filter(|process| network(process) == Some(namespace))
        .take(MOST_PROCESSES)
        .find(|process| has_open(process, &link))?;
    let name = fs::read(owner.join("comm")).ok()?;
    Some(String::from_utf8_lossy(name.trim_ascii_end()).into_owned())
}

fn process(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// What names the network namespace of a process.
fn network(process: &Path) -> Option<u64> {
    Some(fs::metadata(process.join("ns/net")).ok()?.ino())
}

fn has_open(process: &Path, link: &Path) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    open.flatten()
        .take(MOST_DESCRIPTORS)
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == link))
}

fn read(table: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(table).ok()?.take(LONGEST_TABLE).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The inode of the socket with this local port, from the text of a table. Source: proc_pid_net(5).
fn inode(table: &str, port: u16) -> Option<u64> {
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        let inode = fields.nth(7)?.parse().ok()?;
        (u16::from_str_radix(local, 16) == Ok(port) && inode != 0).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_socket_of_a_port_is_found_in_the_kernels_table() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  \
              79: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 2 0 0\n  \
              80: 0100007F:0035 010012C6:0035 01 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0 0\n";
        assert_eq!(inode(table, 53), Some(4711));
        assert_eq!(inode(table, 54), None);
        assert_eq!(inode("", 53), None);
        assert_eq!(inode("a b:35\n", 53), None);
    }

    #[test]
    fn the_program_is_named() {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
        let address = socket.local_addr().expect("it is bound");
        let own = fs::read_to_string("/proc/self/comm").expect("Linux");
        let found = program(std::process::id(), address, ["udp", "udp6"]);
        assert_eq!(found.as_deref(), Some(own.trim_end()));
        drop(socket);
        assert_eq!(program(std::process::id(), address, ["udp", "udp6"]), None);
    }
}

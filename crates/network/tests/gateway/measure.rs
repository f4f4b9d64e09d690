//! The gateway against a direct connection on the host's loopback, both measured in turn:
//! `cargo test --release -p ringfence-network --test gateway -- --ignored --nocapture`.

use crate::support::{World, server};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const ROUNDS: usize = 400;
const BULK: usize = 1 << 30;

/// Greets, then does as the first byte says: `p` echoes, `d` sends `BULK` bytes, `u` takes what comes and says when it was all.
fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("it takes options");
    let mut buffer = vec![0; 256 * 1024];
    let mut order = [0];
    if stream.write_all(b"!").is_err() || stream.read_exact(&mut order).is_err() {
        return;
    }
    match order[0] {
        b'p' => {
            while matches!(stream.read(&mut buffer[..1]), Ok(1)) {
                if stream.write_all(&buffer[..1]).is_err() {
                    return;
                }
            }
        }
        b'd' => {
            let mut left = BULK;
            while left > 0 && stream.write_all(&buffer).is_ok() {
                left -= buffer.len();
            }
        }
        _ => {
            while matches!(stream.read(&mut buffer), Ok(1..)) {}
            drop(stream.write_all(b"."));
        }
    }
}

#[derive(Default)]
struct Times {
    connect: Vec<Duration>,
    first_byte: Vec<Duration>,
    round_trip: Vec<Duration>,
    down: Vec<Duration>,
    up: Vec<Duration>,
}

fn latency(connect: &dyn Fn() -> TcpStream, times: &mut Times) {
    let begin = Instant::now();
    let mut stream = connect();
    times.connect.push(begin.elapsed());
    stream.read_exact(&mut [0]).expect("it greets");
    times.first_byte.push(begin.elapsed());
    stream.set_nodelay(true).expect("it takes options");
    stream.write_all(b"p").expect("it listens");
    for _ in 0..5 {
        let begin = Instant::now();
        stream.write_all(b"x").expect("it listens");
        stream.read_exact(&mut [0]).expect("it echoes");
        times.round_trip.push(begin.elapsed());
    }
}

fn bulk(connect: &dyn Fn() -> TcpStream, times: &mut Times) {
    let mut buffer = vec![0; 256 * 1024];
    let mut stream = connect();
    stream.read_exact(&mut [0]).expect("it greets");
    let begin = Instant::now();
    stream.write_all(b"d").expect("it listens");
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
    times.down.push(begin.elapsed());
    let mut stream = connect();
    stream.read_exact(&mut [0]).expect("it greets");
    let begin = Instant::now();
    stream.write_all(b"u").expect("it listens");
    for _ in 0..BULK / buffer.len() {
        stream.write_all(&buffer).expect("it takes it");
    }
    stream.shutdown(Shutdown::Write).expect("it is open");
    stream.read_exact(&mut [0]).expect("it says when");
    times.up.push(begin.elapsed());
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

#[test]
#[ignore = "a measurement: it takes long and depends on the machine"]
fn against_a_direct_connection() {
    let port = server(serve);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let world = World::new(&[&address.to_string()], &[]);
    // The socket is made before, as it would be by a program inside.
    let direct = || TcpStream::connect(address).expect("it listens");
    let through = |socket: std::os::fd::OwnedFd| {
        rustix::net::connect(&socket, &address).expect("it is listed");
        TcpStream::from(socket)
    };
    let (mut plain, mut gateway) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        latency(&direct, &mut plain);
        let socket = std::cell::Cell::new(Some(world.socket(ringfence_network::SocketKind::Tcp4)));
        latency(&|| through(socket.take().expect("one connection a round")), &mut gateway);
    }
    for _ in 0..5 {
        bulk(&direct, &mut plain);
        bulk(&|| through(world.socket(ringfence_network::SocketKind::Tcp4)), &mut gateway);
    }
    let line = |what: &str, plain: &mut [Duration], gateway: &mut [Duration]| {
        let (a, b) = (median(plain), median(gateway));
        println!("{what}: direct {a:.1} us, gateway {b:.1} us, ratio {:.2}", b / a);
    };
    line("connect", &mut plain.connect, &mut gateway.connect);
    line("connect and first byte", &mut plain.first_byte, &mut gateway.first_byte);
    line("round trip", &mut plain.round_trip, &mut gateway.round_trip);
    line("1 GiB down", &mut plain.down, &mut gateway.down);
    line("1 GiB up", &mut plain.up, &mut gateway.up);
}

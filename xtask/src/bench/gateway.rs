//! A connection through the gateway of an allowlist, against the same without a sandbox.
//!
//! The client is this program, started once by itself and once by a run that may reach one port of the loopback; it
//! measures and prints. So everything counts that a program inside has to bear: the init that carries connections out, the
//! rules, the gateway.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use ringfence::config::{Config, Environment};
use ringfence::{Kept, Runner};

/// Connections of one turn.
const CONNECTIONS: usize = 100;
/// Bytes of one turn.
const BULK: usize = 1 << 28;

/// Prints the table.
///
/// # Errors
/// When a client fails.
pub(super) fn measure(turns: usize, workspace: &Path) -> Result<(), String> {
    let port = serve().map_err(|error| error.to_string())?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let runner = runner(port)?;
    let client = |what: &str| {
        vec![
            own.display().to_string(),
            "bench".into(),
            "--client".into(),
            what.into(),
            port.to_string(),
        ]
    };
    let direct = |what: &str| {
        let words = client(what);
        let output = Command::new(&words[0]).args(&words[1..]).output();
        let output = output.map_err(|error| error.to_string())?;
        number(&String::from_utf8_lossy(&output.stdout))
    };
    let through = |what: &str| {
        let run = runner.program(client(what)).workspace(workspace).readable(&own).output();
        let outcome = runtime.block_on(run).map_err(|error| error.to_string())?;
        match outcome.stdout.kept {
            Kept::Text(text) => number(&text),
            Kept::Base64(text) => Err(format!("the client said {text}")),
        }
    };
    println!("\nthrough the gateway of an allowlist, by turns, median of {turns}");
    for (what, name, unit, scale) in [
        ("connect", "connect", "us", 1e-3),
        ("latency", "connect and first byte", "us", 1e-3),
        ("down", "256 MiB to the command", "ms", 1e-6),
        ("up", "256 MiB from the command", "ms", 1e-6),
    ] {
        let (mut plain, mut gateway) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            plain.push(direct(what)?);
            gateway.push(through(what)?);
        }
        let (plain, gateway) = (median(&mut plain), median(&mut gateway));
        let ratio = gateway / plain;
        let (plain, gateway) = (plain * scale, gateway * scale);
        println!(
            "  {name:30} direct {plain:8.1} {unit}, gateway {gateway:8.1} {unit}: {ratio:.2} times, {:.2} of direct",
            1.0 / ratio
        );
    }
    Ok(())
}

fn runner(port: u16) -> Result<Runner, String> {
    let text = format!(
        "[profiles.default]\nnetwork_mode = \"allowlist\"\nnetwork_allowlist = [\"127.0.0.1:{port}\"]\n"
    );
    let config =
        Config::from_str(&text, "/bench.toml".as_ref()).map_err(|error| error.to_string())?;
    let environment = Environment::current().map_err(|error| error.to_string())?;
    Ok(Runner::new(config, environment))
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("the client said {text:?}"))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server that greets, and then sends or takes as the first byte says.
fn serve() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that is gone is measured by nobody.
            thread::spawn(move || drop(answer(stream)));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut order = [0];
    stream.set_nodelay(true)?;
    stream.write_all(b"!")?;
    stream.read_exact(&mut order)?;
    if order[0] == b'd' {
        return (0..BULK / buffer.len()).try_for_each(|_| stream.write_all(&buffer));
    }
    let mut left = BULK;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => left -= read,
        }
    }
    stream.write_all(b".")
}

/// The client: prints nanoseconds.
///
/// # Errors
/// When the server cannot be reached.
pub(super) fn client(what: &str, port: &str) -> Result<(), String> {
    let port = port.parse().map_err(|error| format!("{port}: {error}"))?;
    let nanos = measured(what, port).map_err(|error| error.to_string())?;
    println!("{nanos}");
    Ok(())
}

fn measured(what: &str, port: u16) -> io::Result<f64> {
    let nanos = |begun: Instant| begun.elapsed().as_nanos() as f64;
    if what == "connect" || what == "latency" {
        let mut times = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let begun = Instant::now();
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            let connected = nanos(begun);
            stream.read_exact(&mut [0])?;
            times.push(if what == "connect" { connected } else { nanos(begun) });
        }
        return Ok(median(&mut times));
    }
    let mut buffer = vec![0; 256 * 1024];
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.read_exact(&mut [0])?;
    let begun = Instant::now();
    stream.write_all(&what.as_bytes()[..1])?;
    if what == "down" {
        while stream.read(&mut buffer)? > 0 {}
    } else {
        (0..BULK / buffer.len()).try_for_each(|_| stream.write_all(&buffer))?;
        stream.read_exact(&mut [0])?;
    }
    Ok(nanos(begun))
}

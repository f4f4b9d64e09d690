//! Asks an allowlist about destinations: `cargo run -p ringfence-network --example gate -- crates.io:443 -- crates.io:443 crates.io:80`.

use ringfence_network::{Destination, Gate};
use std::error::Error;
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        words = [
            "crates.io:443",
            "*.example.com",
            "10.0.0.0/8:22",
            "--",
            "crates.io:80",
            "a.example.com:443",
            "10.1.1.1:22",
        ]
        .map(String::from)
        .to_vec();
    }
    let mut parts = words.split(|word| word == "--");
    let gate = Gate::parse(parts.next().unwrap_or_default().iter().map(String::as_str))?;
    for asked in parts.next().unwrap_or_default() {
        let (host, port) = asked.rsplit_once(':').ok_or("a destination is HOST:PORT")?;
        writeln!(
            io::stdout(),
            "{asked}: {}",
            gate.decide(&Destination::new(host, port.parse()?)?)
        )?;
    }
    Ok(())
}

//! An allowlist as a proxy on a port, for one command: `cargo run -p ringfence-network --example proxy -- crates.io:443 -- curl -sI
//! https://crates.io`. What became of each destination is told at the end.

use ringfence_network::{Gate, Gateway, GatewayEvent, Settings, proxy_variables};
use std::error::Error;
use std::io::{self, Write};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = words.splitn(2, |word| word == "--");
    let gate = Gate::parse(parts.next().unwrap_or_default().iter().map(String::as_str))?;
    let command = parts.next().unwrap_or_default();
    let (gateway, mut events) = Gateway::start(Settings::new(gate))?;
    let proxy = gateway.listen_as_proxy(0)?;
    writeln!(io::stdout(), "listening: {proxy}")?;
    if let [program, arguments @ ..] = command {
        let mut command = Command::new(program);
        command.args(arguments).envs(proxy_variables(&proxy));
        writeln!(io::stdout(), "the command: {}", command.status()?)?;
    }
    while let Ok(event) = events.try_recv() {
        if let GatewayEvent::Refused(refusal) = event {
            writeln!(io::stdout(), "refused: {refusal}")?;
        }
    }
    for account in gateway.accounts() {
        let target = account.target.map_or("others".to_owned(), |target| target.to_string());
        let (up, down) = (account.up, account.down);
        writeln!(
            io::stdout(),
            "{target}: {} connections, {up} bytes up, {down} bytes down",
            account.connections
        )?;
    }
    Ok(())
}

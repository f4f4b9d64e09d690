//! Prints the commented config file: `cargo run -p ringfence-config --example init`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(ringfence_config::init_file().as_bytes())
}

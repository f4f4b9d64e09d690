//! Finds the config of the current directory and prints what a profile resolves to:
//! `cargo run -p ringfence-config --example resolve -- [PROFILE]`.

use ringfence_config::{Config, Environment, Overrides, Search};
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let environment = Environment::current()?;
    let workspace = Path::new(".");
    let config =
        Config::discover(&Search { explicit: None, workspace, environment: &environment })?;
    let profile = std::env::args().nth(1);
    let resolved =
        config.resolve(profile.as_deref(), &Overrides::default(), workspace, &environment)?;
    let mut out = io::stdout();
    match &resolved.source {
        Some(path) => writeln!(out, "from {}", path.display())?,
        None => writeln!(out, "built in")?,
    }
    writeln!(out, "{:#?}", resolved.profile)?;
    Ok(())
}

//! Where this user's runs leave what outlives them.

use crate::failure::Failure;
use ringfence::config::Environment;
use ringfence::workspace::{Layers, State};

/// The layers of this user's runs.
pub(crate) fn layers() -> Result<Layers, Failure> {
    let environment = Environment::current().map_err(ringfence::Error::Environment)?;
    let home =
        environment.state_home().map(|home| home.join("ringfence")).ok_or(Failure::NoState)?;
    Ok(Layers::of(&State::at(home)))
}

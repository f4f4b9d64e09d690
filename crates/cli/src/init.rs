//! `ringfence init`: writes the commented config.

use crate::args::InitArgs;
use crate::exit::Status;
use crate::failure::Failure;
use ringfence::config::{FILE_NAME, init_file};
use std::fs::OpenOptions;
use std::io::{self, Write};

/// Writes the file, and never over another unless told to.
pub(crate) fn init(args: &InitArgs) -> Result<Status, Failure> {
    let path = args.workspace.join(FILE_NAME);
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(&path).and_then(|mut file| file.write_all(init_file().as_bytes()));
    match written {
        Ok(()) => {
            writeln!(io::stdout(), "wrote {}", path.display()).map_err(Failure::Print)?;
            Ok(Status::SUCCESS)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::Exists { path }),
        Err(source) => Err(Failure::Write { path, source }),
    }
}

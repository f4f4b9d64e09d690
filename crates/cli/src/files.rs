//! That no file is named for two things.
//!
//! Two streams that write to one file from its beginning overwrite each other, and a file that is read while it is written was
//! emptied first. Both are told of before anything is opened. What is no regular file (a pipe, a terminal, `/dev/null`) may be named
//! twice. The trap: a file that is not there yet is the same by its directory and its name.

use crate::args::{StdinArg, StreamArgs};
use crate::failure::Failure;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which file a path names.
#[derive(PartialEq, Eq)]
enum Place {
    Inode(u64, u64),
    Missing(PathBuf),
}

/// Looks at all files that a run reads and writes.
///
/// # Errors
/// When two of them are the same.
pub(crate) fn apart(streams: &StreamArgs) -> Result<(), Failure> {
    let stdin = match &streams.stdin {
        Some(StdinArg::File(path)) => Some(path),
        _ => None,
    };
    let named = [
        ("--stdin", stdin),
        ("--stdout", streams.stdout.as_ref()),
        ("--stderr", streams.stderr.as_ref()),
        ("--transcript", streams.transcript.as_ref()),
        ("--events", streams.events.as_ref()),
    ];
    let mut seen: Vec<(&'static str, Place)> = Vec::new();
    for (flag, path) in named {
        let Some((path, place)) = path.and_then(|path| Some((path, place(path)?))) else {
            continue;
        };
        if let Some((first, _)) = seen.iter().find(|other| other.1 == place) {
            return Err(Failure::SameFile { first, second: flag, path: path.clone() });
        }
        seen.push((flag, place));
    }
    Ok(())
}

/// `None` for what may be named twice, and for what cannot be looked at: opening it will tell why.
fn place(path: &Path) -> Option<Place> {
    match fs::metadata(path) {
        Ok(found) => found.is_file().then(|| Place::Inode(found.dev(), found.ino())),
        Err(_) => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = fs::canonicalize(directory.unwrap_or(Path::new("."))).ok()?;
            Some(Place::Missing(directory.join(path.file_name()?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_by_two_names() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("there"), "").expect("it can be written");
        fs::hard_link(at("there"), at("linked")).expect("it can be linked");
        let same = |a: &str, b: &str| {
            let (a, b) = (place(&at(a)), place(&at(b)));
            a.is_some() && a == b
        };
        assert!(same("there", "linked"));
        assert!(same("new", "./new"));
        assert!(!same("there", "new"));
        assert!(!same("new", "newer"));
        assert!(place(Path::new("/dev/null")).is_none());
        assert!(place(&at("no/such")).is_none());
    }
}

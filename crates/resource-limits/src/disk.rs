//! How much storage a tree takes, without a quota and without reading directories all the time.
//!
//! The free space of the file systems is asked for, which is one call each. Only when that has shrunk by more than
//! the limit is it found out whose doing it is: by the files in the given places that have changed since the start,
//! and by what the kernel says the tree's living processes have written.
//!
//! The trap: free space is everybody's. Somebody else who writes as much at the same time can make the first look
//! suspicious, never the second; and a tree that writes and deletes, while somebody else fills the disk, can be
//! taken for the one that fills it only by as much as it really wrote.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::statvfs::statvfs;

use crate::sample;

/// Files that are looked at, at most, to find out who filled a disk.
const MOST_FILES: usize = 100_000;

/// The places that a tree can write, and their free space at its start.
#[derive(Debug)]
pub struct DiskWatch {
    limit: u64,
    started: i64,
    places: Vec<PathBuf>,
    systems: Vec<(PathBuf, u64)>,
    /// Shrinking that has been looked into.
    cleared: u64,
}

impl DiskWatch {
    /// Begins to watch; `limit` in bytes. Places that are not there yet are not watched.
    #[must_use]
    pub fn new(places: &[PathBuf], limit: u64) -> Self {
        let mut devices = Vec::new();
        let mut systems = Vec::new();
        for place in places {
            let Ok(metadata) = fs::metadata(place) else { continue };
            let Some(free) = free(place).filter(|_| !devices.contains(&metadata.dev())) else {
                continue;
            };
            devices.push(metadata.dev());
            systems.push((place.clone(), free));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        Self { limit, started, places: places.to_vec(), systems, cleared: 0 }
    }

    /// How much less free space there is than at the start, in bytes.
    #[must_use]
    pub fn shrunk(&self) -> u64 {
        let shrunk = |(path, before): &(PathBuf, u64)| Some(before.saturating_sub(free(path)?));
        self.systems.iter().filter_map(shrunk).fold(0, u64::saturating_add)
    }

    /// What the tree below `root` takes, in bytes, when that is over the limit. Reads many files when it looks as if it
    /// were, so it is for a thread that may block.
    pub fn exceeded(&mut self, root: u32) -> Option<u64> {
        let shrunk = self.shrunk();
        if shrunk <= self.limit.max(self.cleared) {
            return None;
        }
        let changed = || changed(&self.places, self.started);
        let taken = [sample::written(root), changed()].into_iter().max().unwrap_or_default();
        if taken > self.limit {
            return Some(taken.min(shrunk));
        }
        self.cleared = shrunk.saturating_add(self.limit / 16);
        None
    }
}

fn free(path: &Path) -> Option<u64> {
    let stat = statvfs(path).ok()?;
    // Systems count in words of different sizes.
    u64::try_from(u128::from(stat.blocks_free()) * u128::from(stat.fragment_size())).ok()
}

/// Space of the files below these places that have changed since then; each file system by itself.
fn changed(places: &[PathBuf], since: i64) -> u64 {
    let (mut bytes, mut seen) = (0_u64, 0);
    for place in places {
        let Ok(device) = fs::symlink_metadata(place).map(|metadata| metadata.dev()) else {
            continue;
        };
        let mut waiting = vec![place.clone()];
        while let Some(path) = waiting.pop().filter(|_| seen < MOST_FILES) {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            seen += 1;
            if metadata.is_dir() && metadata.dev() == device {
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                waiting.extend(entries.map(|entry| entry.path()));
            } else if metadata.is_file() && metadata.ctime() >= since {
                bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_counted_and_what_is_old_is_not() {
        let directory = tempfile::tempdir().expect("because tests have a place to write");
        let place = directory.path().to_owned();
        fs::write(place.join("file"), vec![1; 1 << 16]).expect("because it can be written");
        let changed = |since| changed(std::slice::from_ref(&place), since);
        assert!(changed(0) >= 1 << 16);
        assert_eq!(changed(i64::MAX), 0);
    }

    #[test]
    fn free_space_is_that_of_each_file_system_once() {
        let directory = tempfile::tempdir().expect("because tests have a place to write");
        let places = [directory.path().to_owned(), directory.path().join("."), "/nowhere".into()];
        let watch = DiskWatch::new(&places, u64::MAX);
        assert_eq!(watch.systems.len(), 1);
    }
}

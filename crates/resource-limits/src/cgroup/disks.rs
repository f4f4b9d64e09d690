//! The disks that lie behind places of the file system: bandwidth is limited for each of them.
//!
//! A file system says which device it lies on; where that is no real one (btrfs), the source of its mount does. What is
//! limited is a whole disk, so a partition stands for the one it is part of. Places in memory, on a network, or in a layer
//! of a container have none that can be known.
//!
//! The trap: most writing happens later, by the kernel. Only some file systems tell it for whom.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::stat::{self, Mount};

/// File systems that tell whom a page is written back for.
///
/// # References
///
/// `SB_I_CGROUPWB` in the sources of Linux; "Writeback" in `Documentation/admin-guide/cgroup-v2.rst`.
const TELLING: [&str; 5] = ["btrfs", "ext2", "ext4", "f2fs", "xfs"];

/// A block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disk {
    /// Its driver.
    pub major: u32,
    /// Which one of the driver's.
    pub minor: u32,
}

/// The disks behind some places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disks {
    /// Each once.
    pub known: Vec<Disk>,
    /// All of these places lie on a known disk, and what is written there later is still counted for whoever wrote it.
    pub complete: bool,
}

impl Disks {
    /// Those behind these places. A place that does not exist counts as the directory that it would lie in.
    #[must_use]
    pub fn behind(places: &[PathBuf]) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = stat::mounts(&mounts);
        let mut disks = Self { known: Vec::new(), complete: true };
        for place in places {
            let mount = stat::mount_of(&mounts, &existing(place));
            let disk = mount.and_then(disk);
            disks.known.extend(disk);
            disks.complete &=
                disk.is_some() && mount.is_some_and(|mount| TELLING.contains(&mount.kind.as_str()));
        }
        disks.known.sort_unstable();
        disks.known.dedup();
        disks
    }
}

/// The nearest of a path and what it lies in that exists, without links.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|path| path.canonicalize().ok());
    found.unwrap_or_else(|| PathBuf::from("/"))
}

fn disk(mount: &Mount) -> Option<Disk> {
    if mount.device.major != 0 {
        return Some(whole(mount.device));
    }
    let source = fs::metadata(&mount.source).ok()?;
    let device = source.file_type().is_block_device().then(|| source.rdev())?;
    Some(whole(numbered(device)))
}

/// The two numbers that one stands for, as Linux puts them together for programs.
///
/// # References
///
/// `makedev(3)`; `new_encode_dev` in the sources of Linux for the lower half.
fn numbered(device: u64) -> Disk {
    let major = (device >> 8) & 0xfff | (device >> 32) & 0xffff_f000;
    let minor = device & 0xff | (device >> 12) & 0xffff_ff00;
    Disk { major: major as u32, minor: minor as u32 }
}

/// The disk that a partition is part of; a disk is its own.
fn whole(device: Disk) -> Disk {
    let directory = PathBuf::from(format!("/sys/dev/block/{}:{}", device.major, device.minor));
    let of_partition = || {
        fs::metadata(directory.join("partition")).ok()?;
        let disk = directory.canonicalize().ok()?;
        stat::device(fs::read_to_string(disk.parent()?.join("dev")).ok()?.trim())
    };
    of_partition().unwrap_or(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_devices_are_taken_apart() {
        for (device, major, minor) in
            [(0x0801, 8, 1), (0x10_fd12, 253, 274), (0x1000_0000_0100, 0x1001, 0)]
        {
            assert_eq!(numbered(device), Disk { major, minor }, "{device:x}");
        }
    }

    #[test]
    fn places_in_memory_have_no_disk() {
        let disks = Disks::behind(&["/proc/self".into(), "/proc/nothing/there".into()]);
        assert_eq!(disks, Disks { known: vec![], complete: false });
        assert_eq!(Disks::behind(&[]), Disks { known: vec![], complete: true });
    }
}

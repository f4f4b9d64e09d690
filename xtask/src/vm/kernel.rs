//! Debian's kernels: fetched once, unpacked into the cache with the modules a machine may want.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{Work, debs, download, output, run, update};

/// Parts of a kernel's modules that are kept; a machine has no other hardware.
const MODULES: &[&str] = &[
    "net",
    "lib",
    "crypto",
    "fs/9p",
    "fs/netfs",
    "fs/fscache",
    "fs/overlayfs",
    "fs/fuse",
    "fs/ext4",
    "fs/jbd2",
    "fs/mbcache.ko",
    "fs/mbcache.ko.xz",
];

/// Where they are kept; another name whenever other parts are.
const UNPACKED: &str = "kernels-2";

/// Drivers that are kept.
const DRIVERS: &[&str] = &["virtio", "net", "block"];

/// A kernel in the cache.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// What `uname -r` says of it.
    pub(super) release: String,
    directory: PathBuf,
}

impl Kernel {
    /// The newest kernel of a series (`6.1`) or of a version (`6.1.0-56`), from the cache or from Debian.
    ///
    /// # Errors
    /// Why there is none, in words for the summary.
    pub(super) fn fetch(wanted: &str, cache: &Path) -> Result<Kernel, String> {
        let kernels = cache.join(UNPACKED);
        fs::create_dir_all(&kernels).map_err(|error| format!("{}: {error}", kernels.display()))?;
        let at_hand = fs::read_dir(&kernels).map_err(|error| error.to_string())?;
        let at_hand = at_hand.flatten().map(|entry| entry.file_name().to_string_lossy().into());
        let release = match newest(wanted, at_hand.collect()) {
            Some(release) => release,
            None => {
                let offered = || offered().map(|releases| newest(wanted, releases));
                let found = match offered()? {
                    None => update().and_then(|()| offered())?,
                    found => found,
                };
                let release = found.ok_or(format!("Debian has no kernel {wanted} here"))?;
                unpack(&release, &kernels)?;
                release
            }
        };
        Ok(Kernel { directory: kernels.join(&release), release })
    }

    /// The bootable image.
    pub(super) fn image(&self) -> PathBuf {
        self.directory.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The directory that is to be `/lib/modules/RELEASE`.
    pub(super) fn modules(&self) -> PathBuf {
        self.directory.join("lib/modules").join(&self.release)
    }

    /// Files of these modules and of all they depend on, in the order in which they can be loaded. A module that
    /// the kernel has built in has no file.
    ///
    /// # Errors
    /// When the list of dependencies cannot be read.
    pub(super) fn load_order(&self, names: &[&str]) -> Result<Vec<PathBuf>, String> {
        let list = self.modules().join("modules.dep");
        let text =
            fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
        Ok(order(&text, names).into_iter().map(|file| self.modules().join(file)).collect())
    }
}

/// `modules.dep` has a line for each module: its file, a colon, and what it needs, the first to be loaded last.
fn order(dependencies: &str, names: &[&str]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in names {
        let ending = format!("/{name}.ko");
        let line = dependencies.lines().filter_map(|line| line.split_once(':'));
        let Some((file, needs)) = line.into_iter().find(|(file, _)| file.ends_with(&ending)) else {
            continue;
        };
        for file in needs.split_whitespace().rev().chain([file]) {
            if !order.iter().any(|known| known == file) {
                order.push(file.to_owned());
            }
        }
    }
    order
}

/// All kernels of this machine's package lists, as `uname -r` would name them.
fn offered() -> Result<Vec<String>, String> {
    let pattern = "^linux-image-[0-9].*-amd64$";
    let text = output(Command::new("apt-cache").args(["search", "--names-only", pattern]))?;
    let names =
        text.lines().filter_map(|line| line.split(' ').next()?.strip_prefix("linux-image-"));
    Ok(names.map(str::to_owned).collect())
}

/// The newest release that begins with what is wanted; kernels for clouds lack 9p, real-time kernels are others.
fn newest(wanted: &str, releases: Vec<String>) -> Option<String> {
    let suits = |release: &String| {
        let rest = release.strip_prefix(wanted)?;
        let whole = rest.starts_with(['.', '-', '+']);
        (whole && !release.contains("-cloud-") && !release.contains("-rt-")).then_some(())
    };
    let suiting = releases.into_iter().filter(|release| suits(release).is_some());
    // A package without a third number (`6.1-amd64`) would be an alias.
    let exact = suiting.filter(|release| release.split(['.', '-']).nth(2) != Some("amd64"));
    exact.max_by_key(|release| numbers(release))
}

fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn unpack(release: &str, kernels: &Path) -> Result<(), String> {
    println!("vm: fetching kernel {release}");
    let work = Work::new(kernels, release)?;
    download(&[&format!("linux-image-{release}")], &work.path)?;
    let package = debs(&work.path)?.pop().ok_or("apt downloaded nothing")?;
    let whole = work.path.join("whole");
    run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&whole))?;
    let tree = work.path.join("tree");
    let modules = format!("lib/modules/{release}");
    keep(&whole, &tree, &format!("boot/vmlinuz-{release}"))?;
    let parts = MODULES.iter().map(|part| (*part).to_owned());
    for part in parts.chain(DRIVERS.iter().map(|driver| format!("drivers/{driver}"))) {
        keep(&whole, &tree, &format!("{modules}/kernel/{part}"))?;
    }
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        keep(&whole, &tree, &format!("{modules}/{list}"))?;
    }
    // Busybox loads what is not compressed.
    let compressed = output(Command::new("find").arg(&tree).args(["-name", "*.ko.xz"]))?;
    let files: Vec<&str> = compressed.lines().collect();
    for some in files.chunks(500) {
        run(Command::new("xz").arg("-d").args(some))?;
    }
    let busybox = super::tools::busybox(kernels.parent().unwrap_or(kernels))?;
    run(Command::new(busybox).arg("depmod").arg("-b").arg(&tree).arg(release))?;
    let target = kernels.join(release);
    fs::rename(&tree, &target)
        .or_else(|error| if target.is_dir() { Ok(()) } else { Err(error) })
        .map_err(|error| format!("{}: {error}", target.display()))
}

/// Moves a part of a tree to the same place in another; a kernel may lack it.
fn keep(from: &Path, to: &Path, part: &str) -> Result<(), String> {
    let (from, to) = (from.join(part), to.join(part));
    if !from.exists() {
        return Ok(());
    }
    let parent = to.parent().unwrap_or(&to);
    fs::create_dir_all(parent)
        .and_then(|()| fs::rename(&from, &to))
        .map_err(|error| format!("{}: {error}", from.display()))
}

#[cfg(test)]
mod tests {
    use super::{newest, order};

    #[test]
    fn the_newest_of_a_series_is_taken() {
        let check = |wanted: &str, expected: Option<&str>| {
            let offered = [
                "6.1.0-47-amd64",
                "6.1.0-9-amd64",
                "6.1.0-47-cloud-amd64",
                "6.1.0-56-rt-amd64",
                "6.12.9+deb12-amd64",
                "6.12.12+deb12-amd64",
                "6.1-amd64",
            ];
            let found = newest(wanted, offered.map(str::to_owned).to_vec());
            assert_eq!(found.as_deref(), expected, "{wanted}");
        };
        check("6.1", Some("6.1.0-47-amd64"));
        check("6.1.0-9", Some("6.1.0-9-amd64"));
        check("6.12", Some("6.12.12+deb12-amd64"));
        check("5.10", None);
    }

    #[test]
    fn what_is_needed_comes_first() {
        let dependencies = "kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko\n\
                            kernel/net/9p/9pnet.ko:\nkernel/fs/netfs/netfs.ko:\n\
                            kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko\n";
        assert_eq!(
            order(dependencies, &["9p", "built_in", "9pnet_virtio"]),
            [
                "kernel/fs/netfs/netfs.ko",
                "kernel/net/9p/9pnet.ko",
                "kernel/fs/9p/9p.ko",
                "kernel/net/9p/9pnet_virtio.ko"
            ]
        );
    }
}

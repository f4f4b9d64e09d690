//! The programs a machine needs: QEMU and a busybox without libraries.
//!
//! What is installed is used. What is not is fetched by apt and unpacked into the cache, not installed: that needs no
//! root, and cannot take other packages away (Debian 12's own QEMU conflicts with newer tools of the same project).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// QEMU with what it must be told about itself.
#[derive(Clone, Debug)]
pub(super) struct Qemu {
    program: PathBuf,
    unpacked: Option<PathBuf>,
}

impl Qemu {
    /// Finds or fetches it.
    ///
    /// # Errors
    /// Why there is none, in words for the summary.
    pub(super) fn find(cache: &Path) -> Result<Qemu, String> {
        const PROGRAM: &str = "qemu-system-x86_64";
        if let Some(program) = on_path(PROGRAM) {
            return Ok(Qemu { program, unpacked: None });
        }
        let tree = unpacked("qemu-system-x86", cache)?;
        let program = tree.join("usr/bin").join(PROGRAM);
        if !program.is_file() {
            return Err(format!("the package of {PROGRAM} does not hold it"));
        }
        Ok(Qemu { program, unpacked: Some(tree) })
    }

    /// A command line that starts with this QEMU.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(tree) = &self.unpacked {
            let libraries = tree.join("usr/lib/x86_64-linux-gnu");
            let of_the_boot = tree.join("lib/x86_64-linux-gnu");
            let path = std::env::join_paths([&libraries, &of_the_boot]);
            command.env("LD_LIBRARY_PATH", path.unwrap_or_default());
            command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
            for directory in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(tree.join(directory));
            }
        }
        command
    }
}

/// A busybox that runs where there is no library.
///
/// # Errors
/// Why there is none, in words for the summary.
pub(super) fn busybox(cache: &Path) -> Result<PathBuf, String> {
    let is_static = |path: &PathBuf| {
        let programs = Command::new("ldd").arg(path).stdin(Stdio::null()).output();
        programs.is_ok_and(|output| !output.status.success())
    };
    if let Some(path) = on_path("busybox").filter(is_static) {
        return Ok(path);
    }
    let tree = unpacked("busybox-static", cache)?;
    let places = ["bin/busybox", "usr/bin/busybox"].map(|place| tree.join(place));
    places.into_iter().find(|path| path.is_file()).ok_or("busybox-static holds no busybox".into())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// A package with all that it needs beyond what is installed, unpacked side by side.
fn unpacked(package: &str, cache: &Path) -> Result<PathBuf, String> {
    let tree = cache.join(package);
    if tree.is_dir() {
        return Ok(tree);
    }
    println!("vm: fetching {package}");
    let names = needed(package)?;
    let work = Work::new(cache, package)?;
    download(&names.iter().map(String::as_str).collect::<Vec<_>>(), &work.path)?;
    let parts = work.path.join("tree");
    for file in debs(&work.path)? {
        run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&parts))?;
    }
    match fs::rename(&parts, &tree) {
        Err(_) if tree.is_dir() => Ok(tree),
        Err(error) => Err(format!("{}: {error}", tree.display())),
        Ok(()) => Ok(tree),
    }
}

/// What apt would install for a package, itself included.
fn needed(package: &str) -> Result<Vec<String>, String> {
    let simulate = || {
        let args = ["install", "--simulate", "--no-install-recommends", package];
        output(Command::new("apt-get").args(args))
    };
    let text = simulate().or_else(|_| update().and_then(|()| simulate()))?;
    let names = text.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}

/// Downloads packages into a directory, with fresh lists when the ones at hand are too old or missing.
///
/// # Errors
/// What apt said last.
pub(super) fn download(packages: &[&str], directory: &Path) -> Result<(), String> {
    let fetch = || {
        let mut apt = Command::new("apt-get");
        // Without this the download changes to an account that may not write here, and says so.
        apt.args(["-q", "-o", "APT::Sandbox::User=root", "download"]).args(packages);
        run(apt.current_dir(directory))
    };
    fetch().or_else(|_| update().and_then(|()| fetch()))
}

/// Fetches the lists of packages; without root that is not possible, and the lists stay as they are.
pub(super) fn update() -> Result<(), String> {
    run(Command::new("apt-get").args(["-q", "update"]))
}

/// The packages in a directory.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn debs(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == "deb")).collect())
}

/// Runs a command that must succeed; its streams are shown only when it does not.
///
/// # Errors
/// The command's name and what it wrote to its standard error.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

/// The standard output of a command that must succeed.
///
/// # Errors
/// As for [`run`].
pub(super) fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A directory of this process alone, gone when dropped.
#[derive(Debug)]
pub(super) struct Work {
    /// Where it is.
    pub(super) path: PathBuf,
}

impl Work {
    /// Makes one below `parent`; several with the same name are not made by one process at a time.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn new(parent: &Path, name: &str) -> Result<Work, String> {
        let path = parent.join(format!(".{name}.{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Work { path })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

//! The shells that the cases run in, and where this machine keeps them.
//!
//! The trap: one name, several programs. `ksh` may be mksh or ksh93, `ash` is an applet of busybox; so each shell is
//! asked a question that only the right one answers as expected.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A kind of shell.
#[derive(Debug)]
pub struct Kind {
    /// The name used in cases and in results.
    pub name: &'static str,
    /// File names to look for, best first.
    pub programs: &'static [&'static str],
    /// Arguments that make the right program print something with [`Kind::says`] in it.
    pub ask: &'static [&'static str],
    /// What the right program answers.
    pub says: &'static str,
}

/// All shells, in the order of the results.
pub const KINDS: &[Kind] = &[
    Kind { name: "bash", programs: &["bash"], ask: &["-c", "echo v$BASH_VERSION"], says: "v" },
    Kind { name: "dash", programs: &["dash"], ask: &["-c", "echo ok"], says: "ok" },
    Kind { name: "ash", programs: &["busybox"], ask: &["ash", "-c", "echo ok"], says: "ok" },
    Kind { name: "zsh", programs: &["zsh"], ask: &["-c", "echo v$ZSH_VERSION"], says: "v5" },
    Kind {
        name: "ksh",
        programs: &["ksh93", "ksh"],
        ask: &["-c", "echo ${.sh.version}"],
        says: "93u",
    },
    Kind { name: "mksh", programs: &["mksh"], ask: &["-c", "echo $KSH_VERSION"], says: "MIRBSD" },
    Kind { name: "yash", programs: &["yash"], ask: &["-c", "echo v$YASH_VERSION"], says: "v2" },
    Kind { name: "fish", programs: &["fish"], ask: &["-c", "echo v$version"], says: "v" },
];

/// A shell found on this machine.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The name used in cases and in results.
    pub name: &'static str,
    /// The program to run with `-c SCRIPT`.
    pub path: PathBuf,
    /// The program that `path` is to be made a link to, for an applet that has no file of its own.
    pub applet_of: Option<PathBuf>,
}

impl Kind {
    /// Looks for the shell in the usual directories. Links to applets will be in `links`.
    pub fn find(&self, links: &Path) -> Option<Shell> {
        let path = self
            .programs
            .iter()
            .filter_map(|name| program(name))
            .find(|path| self.answers(path))?;
        let applet = !self.programs.contains(&self.name) && path.ends_with("busybox");
        let link = applet.then(|| links.join(self.name));
        Some(match link {
            Some(link) => Shell { name: self.name, path: link, applet_of: Some(path) },
            None => Shell { name: self.name, path, applet_of: None },
        })
    }

    fn answers(&self, path: &Path) -> bool {
        let output =
            Command::new(path).args(self.ask).stdin(Stdio::null()).stderr(Stdio::null()).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(self.says))
    }
}

/// The first program of this name in the system's directories or `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/bin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    let candidates = system
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// The directory of the Rust toolchain's own programs: what stands on `PATH` may be another program that looks for
/// them in its user's home directory.
pub fn rust() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let output = Command::new("rustc").args(["--print", "sysroot"]).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        Path::new(String::from_utf8_lossy(&text).trim()).join("bin")
    })
}

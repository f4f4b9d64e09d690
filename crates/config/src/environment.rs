//! The user's environment as one value: variables, home directories, working directory.
//!
//! This is the only place of the project that asks the process for them, and it asks once; everything later works on the
//! snapshot, so a test can hand in its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// What the caller's process was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    passwd_home: Option<PathBuf>,
    cwd: PathBuf,
    memory: Option<u64>,
}

impl Environment {
    /// The environment of this process, as it is now.
    ///
    /// # Errors
    /// When the working directory cannot be read, because it was deleted or a parent forbids it.
    pub fn current() -> io::Result<Environment> {
        Ok(Environment {
            variables: std::env::vars_os().collect(),
            passwd_home: passwd_home(),
            cwd: std::env::current_dir()?,
            memory: machine_memory(),
        })
    }

    /// An environment made by hand: variables, and an absolute working directory. It has no entry in the user database, and nothing
    /// is known of the machine, so limits have no defaults.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
        cwd: impl Into<PathBuf>,
    ) -> Environment {
        let variables =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Environment { variables, passwd_home: None, cwd: cwd.into(), memory: None }
    }

    /// The same with a home directory as the user database would give it.
    #[must_use]
    pub fn with_passwd_home(mut self, home: impl Into<PathBuf>) -> Environment {
        self.passwd_home = Some(home.into());
        self
    }

    /// The same on a machine with so much memory, in bytes.
    #[must_use]
    pub fn with_memory(mut self, bytes: u64) -> Environment {
        self.memory = Some(bytes);
        self
    }

    /// The memory of the machine, or of the container when that is less, in bytes. `None`: not known.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.variables.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// All variables, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The working directory.
    #[must_use]
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// What `~` means: `$HOME` when it is an absolute path, else the user database.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.variable_home().or(self.passwd_home.as_deref())
    }

    /// Every directory that is this user's home in some eyes: `$HOME` and the user database, where they differ both.
    ///
    /// Programs ask one or the other, so credentials can lie in either.
    #[must_use]
    pub fn homes(&self) -> Vec<PathBuf> {
        let mut homes: Vec<PathBuf> = self
            .variable_home()
            .into_iter()
            .chain(self.passwd_home.as_deref())
            .map(Into::into)
            .collect();
        homes.dedup();
        homes
    }

    /// Where programs keep what a user has set: `$XDG_CONFIG_HOME`, else `~/.config`.
    ///
    /// # References
    /// XDG Base Directory Specification.
    #[must_use]
    pub fn config_home(&self) -> Option<PathBuf> {
        self.base_directory("XDG_CONFIG_HOME", ".config")
    }

    /// Where programs keep what should outlive them: `$XDG_STATE_HOME`, else `~/.local/state`.
    ///
    /// # References
    /// XDG Base Directory Specification.
    #[must_use]
    pub fn state_home(&self) -> Option<PathBuf> {
        self.base_directory("XDG_STATE_HOME", ".local/state")
    }

    /// A relative path in the variable is to be ignored, says the specification.
    fn base_directory(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let set = self.get(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| self.home().map(|home| home.join(below_home)))
    }

    fn variable_home(&self) -> Option<&Path> {
        self.get("HOME").map(Path::new).filter(|home| home.is_absolute())
    }
}

/// Values may be secrets, so only the names are printed.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("passwd_home", &self.passwd_home)
            .field("cwd", &self.cwd)
            .finish()
    }
}

fn passwd_home() -> Option<PathBuf> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok().flatten()?;
    Some(user.dir).filter(|home| home.is_absolute())
}

/// The memory there is, or the limit of the container when that is less.
#[cfg(target_os = "linux")]
fn machine_memory() -> Option<u64> {
    /// Limits of the outermost group that can be seen, which in a container is the container's.
    const LIMITS: [&str; 2] =
        ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let machine = nix::sys::sysinfo::sysinfo().ok()?.ram_total();
    let limit = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    LIMITS.iter().filter_map(limit).chain([machine]).min()
}

/// Nobody keeps the memory of a tree on other systems, so no limit is made up.
#[cfg(not(target_os = "linux"))]
fn machine_memory() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::Environment;
    use std::path::{Path, PathBuf};

    #[test]
    fn both_homes_are_known() {
        let environment = Environment::new([("HOME", "/a")], "/").with_passwd_home("/b");
        assert_eq!(environment.home(), Some(Path::new("/a")));
        assert_eq!(environment.homes(), [PathBuf::from("/a"), PathBuf::from("/b")]);
    }

    #[test]
    fn a_relative_or_missing_home_is_the_databases() {
        let environment = Environment::new([("HOME", "a")], "/").with_passwd_home("/b");
        assert_eq!(environment.home(), Some(Path::new("/b")));
        assert_eq!(environment.homes(), [PathBuf::from("/b")]);
    }

    #[test]
    fn base_directories_are_set_or_below_home() {
        let check = |variables: &[(&str, &str)], expect: Option<&str>| {
            let environment = Environment::new(variables.iter().copied(), "/");
            assert_eq!(environment.state_home(), expect.map(PathBuf::from));
        };
        check(&[], None);
        check(&[("HOME", "/h")], Some("/h/.local/state"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")], Some("/s"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "s")], Some("/h/.local/state"));
        let environment = Environment::new([("XDG_CONFIG_HOME", "/c")], "/");
        assert_eq!(environment.config_home(), Some("/c".into()));
    }

    #[test]
    fn debug_prints_no_values() {
        let environment = Environment::new([("TOKEN", "s3cret")], "/");
        assert!(!format!("{environment:?}").contains("s3cret"));
    }

    #[test]
    fn current_has_this_process_variables() {
        let environment = Environment::current().expect("tests run in a directory that exists");
        assert_eq!(environment.variables().count(), std::env::vars_os().count());
        assert!(environment.cwd().is_absolute());
    }
}

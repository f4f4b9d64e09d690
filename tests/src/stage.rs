//! The place where the tests happen: one temporary directory, readable by every account.
//!
//! It holds copies of the programs (a build directory may be out of reach for an ordinary user), a home directory
//! with credentials for each account, one config file per shell, and a fresh directory for each test. Nothing of the
//! user's own home is touched.
//!
//! The trap: the path must be short, because the address of a Unix socket has room for 108 bytes.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::account::Account;
use crate::leftovers::Watch;
use crate::shell::Shell;

/// Directories that a sandbox replaces by its own: no place for what it must see.
const REPLACED: &[&str] = &["/tmp", "/var/tmp", "/run", "/dev"];

/// Longest path of the stage, in bytes; what is put below it needs about 40 more.
const LONGEST: usize = 60;

/// The content of every planted credential, so that a probe knows it when it sees it.
pub const CREDENTIAL: &str = "ringfence-test-credential";

/// Files with credentials below a home directory; all of them must be unreadable inside.
pub const CREDENTIALS: &[&str] = &[
    ".ssh/id_ed25519",
    ".gnupg/private-keys-v1.d/key",
    ".aws/credentials",
    ".azure/accessTokens.json",
    ".config/gcloud/credentials.db",
    ".config/gh/hosts.yml",
    ".config/google-chrome/Default/Login Data",
    ".mozilla/firefox/x.default/logins.json",
    ".docker/config.json",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".cargo/credentials.toml",
    ".git-credentials",
    ".pgpass",
    ".password-store/mail.gpg",
    ".local/share/keyrings/login.keyring",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".local/share/fish/fish_history",
];

/// The temporary directory and everything in it; removed when dropped.
#[derive(Debug)]
pub struct Stage {
    /// The directory.
    pub root: PathBuf,
    /// Copies of the programs.
    pub bin: PathBuf,
    /// The orphans of all runs.
    pub watch: Watch,
    /// Take the result's own word for what is not held here: the machine has no namespaces.
    pub admits: bool,
    next: AtomicU32,
    planted: Vec<PathBuf>,
}

impl Stage {
    /// Makes the directory: below `RINGFENCE_TEST_DIR`, `/var/lib` (as root), the build directory, or the home
    /// directory, whichever will do first.
    ///
    /// # Errors
    /// When none of them will do, or what the file system says.
    pub fn open() -> io::Result<Stage> {
        let own = std::env::current_exe()?;
        let asked = std::env::var_os("RINGFENCE_TEST_DIR").map(PathBuf::from);
        let root = rustix::process::getuid().is_root().then(|| PathBuf::from("/var/lib"));
        let build = own.parent().map(Path::to_path_buf);
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let parents = [asked, root, build, home]
            .into_iter()
            .flatten()
            .filter_map(|path| path.canonicalize().ok());
        let mut places =
            parents.map(|parent| parent.join(format!("ringfence-{}", std::process::id())));
        let none = || {
            io::Error::other(
                "no directory for the tests; set RINGFENCE_TEST_DIR to one outside /tmp",
            )
        };
        let root = places.find(|place| will_do(place)).ok_or_else(none)?;
        let bin = root.join("bin");
        let stage = Stage {
            root,
            bin,
            watch: Watch::new()?,
            admits: false,
            next: AtomicU32::new(0),
            planted: Vec::new(),
        };
        fs::set_permissions(&stage.root, Permissions::from_mode(0o755))?;
        for directory in [&stage.bin, &stage.root.join("config")] {
            fs::create_dir(directory)?;
            fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        }
        Ok(stage)
    }

    /// Furnishes the stage for these accounts and shells, with copies of `programs`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn furnish(
        &mut self,
        accounts: &[Account],
        shells: &[Shell],
        programs: &[&Path],
    ) -> io::Result<()> {
        for program in programs {
            self.copy(program, program.file_name().unwrap_or_default().as_ref(), 0o755)?;
        }
        for account in accounts {
            self.settle(account)?;
        }
        shells.iter().try_for_each(|shell| self.configure(shell))
    }

    /// Copies a program to the stage under a name of its own.
    ///
    /// # Errors
    /// What the file system says.
    pub fn copy(&self, program: &Path, name: &Path, mode: u32) -> io::Result<()> {
        let copy = self.bin.join(name);
        fs::copy(program, &copy)?;
        fs::set_permissions(copy, Permissions::from_mode(mode))
    }

    /// Puts a script in the place of a program: it starts the program where no namespace can be made. An ordinary user
    /// makes one last, of users, and closes the door.
    ///
    /// # Errors
    /// What the file system says.
    pub fn without_namespaces(&mut self, name: &str) -> io::Result<()> {
        let (script, program) = (self.bin.join(name), self.bin.join(format!("{name}-itself")));
        fs::rename(&script, &program)?;
        let text = format!(
            "#!/bin/sh\nexec unshare --user --map-current-user --keep-caps -- /bin/sh -c \
             'echo 0 >/proc/sys/user/max_user_namespaces &&\n\
             exec setpriv --ambient-caps=-all --inh-caps=-all -- \"$0\" \"$@\"' {} \"$@\"\n",
            program.display()
        );
        fs::write(&script, text)?;
        self.admits = true;
        fs::set_permissions(script, Permissions::from_mode(0o755))
    }

    fn settle(&mut self, account: &Account) -> io::Result<()> {
        let home = self.home(account);
        let own = self.root.join(account.label);
        make_directory(&own, account)?;
        make_directory(&home, account)?;
        for name in CREDENTIALS {
            plant(&home, name, account)?;
        }
        // A store that is a symbolic link to where it really is must be unreadable there too.
        plant(&home, "dotfiles/kube/config", account)?;
        symlink("dotfiles/kube", home.join(".kube"))
            .and_then(|()| account.own(&home.join(".kube")))?;
        if account.login == crate::account::ORDINARY && account.passwd_home.is_dir() {
            self.planted.extend(plant(
                &account.passwd_home.clone(),
                ".ssh/ringfence-probe",
                account,
            )?);
        }
        Ok(())
    }

    fn configure(&self, shell: &Shell) -> io::Result<()> {
        if let Some(program) = &shell.applet_of {
            symlink(program, &shell.path)?;
        }
        let path = shell.path.display();
        let text = format!("[runner]\nshell = \"{path}\"\nallowed_shells = [\"{path}\"]\n");
        fs::write(self.config(shell.name), text)
    }

    /// The config file that names a shell.
    pub fn config(&self, shell: &str) -> PathBuf {
        self.root.join("config").join(format!("{shell}.toml"))
    }

    /// Home directory of an account.
    pub fn home(&self, account: &Account) -> PathBuf {
        self.root.join(account.label).join("home")
    }

    /// A fresh directory that belongs to the account.
    ///
    /// # Errors
    /// What the file system says.
    pub fn directory(&self, account: &Account) -> io::Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let directory = self.root.join(account.label).join(number.to_string());
        make_directory(&directory, account)?;
        Ok(directory)
    }

    /// The caller's environment that the default profile lets through.
    pub fn environment(&self, account: &Account) -> Vec<(OsString, OsString)> {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin.display());
        let home = self.home(account).into_os_string();
        let pairs: [(&str, OsString); 5] = [
            ("PATH", path.into()),
            ("HOME", home),
            ("USER", account.login.clone().into()),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "dumb".into()),
        ];
        pairs.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for path in &self.planted {
            fs::remove_file(path).or_else(|_| fs::remove_dir(path)).ok();
        }
        fs::remove_dir_all(&self.root).ok();
    }
}

fn will_do(place: &Path) -> bool {
    let replaced = REPLACED.iter().any(|directory| place.starts_with(directory));
    !replaced && place.as_os_str().len() <= LONGEST && fs::create_dir(place).is_ok()
}

/// Makes a directory that belongs to the account, with the parents it lacks.
///
/// # Errors
/// What the file system says.
pub fn make_directory(path: &Path, account: &Account) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent, account)?;
    }
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    account.own(path)
}

/// Writes a file that belongs to the account.
///
/// # Errors
/// What the file system says.
pub fn write_file(path: &Path, content: &str, account: &Account) -> io::Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(0o644))?;
    account.own(path)
}

fn plant(home: &Path, name: &str, account: &Account) -> io::Result<Vec<PathBuf>> {
    let path = home.join(name);
    let parent = path.parent().unwrap_or(home);
    let made = !parent.exists();
    make_directory(parent, account)?;
    write_file(&path, CREDENTIAL, account)?;
    let parent = made.then(|| parent.to_path_buf());
    Ok([path.clone()].into_iter().chain(parent).collect())
}

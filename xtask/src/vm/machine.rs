//! One machine: booted, given a command, switched off.
//!
//! The processor is emulated (TCG), for a machine that is itself virtual seldom has another to lend: programs run
//! some 25 times slower. So no test of times belongs here, and deadlines are scaled.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::archive::Archive;
use super::kernel::Kernel;
use super::tools::{Qemu, Work};

/// Modules without which there is no root directory.
const MODULES: &[&str] = &["virtio_pci", "9p", "9pnet_virtio", "overlay"];

/// What the kernel is always told. `quiet` is for speed: every line goes through an emulated serial line.
const PARAMETERS: &str =
    "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check";

/// Security modules of a machine without Landlock.
const WITHOUT_LANDLOCK: &str = "lsm=lockdown,yama,apparmor";

/// How a machine differs from Debian's defaults.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// Users may not make namespaces (`user.max_user_namespaces = 0`).
    pub(super) no_namespaces: bool,
    /// The kernel starts without Landlock.
    pub(super) no_landlock: bool,
    /// Yama's `ptrace_scope`. Default: the kernel's.
    pub(super) ptrace_scope: Option<u8>,
    /// `delegated`, `undelegated`, `none`, or `systemd`: as the service manager of this machine has them.
    pub(super) cgroup: &'static str,
}

/// A machine like Debian's own, with a session's control group delegated.
pub(super) const ORDINARY: Variant =
    Variant { no_namespaces: false, no_landlock: false, ptrace_scope: None, cgroup: "delegated" };

impl Variant {
    fn parameters(&self) -> String {
        let mut text = PARAMETERS.to_owned();
        if self.no_namespaces {
            text.push_str(" sysctl.user.max_user_namespaces=0");
        }
        if self.no_landlock {
            write!(text, " {WITHOUT_LANDLOCK}").expect("because memory takes every write");
        }
        if let Some(scope) = self.ptrace_scope {
            write!(text, " sysctl.kernel.yama.ptrace_scope={scope}")
                .expect("because memory takes every write");
        }
        text
    }

    /// What this machine lacks of what that one needs.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        const PROGRAMS: [&str; 3] =
            ["/lib/systemd/systemd", "/usr/bin/systemd-run", "/usr/bin/dbus-daemon"];
        let needed = if self.cgroup == "systemd" { &PROGRAMS[..] } else { &[] };
        needed.iter().find(|program| !Path::new(program).exists()).copied()
    }

    /// In a few words, for results.
    pub(super) fn describe(&self) -> String {
        let mut words = Vec::new();
        if self.no_namespaces {
            words.push("no user namespaces".to_owned());
        }
        if self.no_landlock {
            words.push("no Landlock".to_owned());
        }
        words.extend(self.ptrace_scope.map(|scope| format!("ptrace_scope {scope}")));
        if self.cgroup == "systemd" {
            words.push("under systemd".to_owned());
        } else if self.cgroup != ORDINARY.cgroup {
            words.push(format!("control groups {}", self.cgroup));
        }
        if words.is_empty() { "as Debian has it".to_owned() } else { words.join(", ") }
    }
}

/// What to do in a machine.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// A script for `/bin/sh`.
    pub(super) command: String,
    /// Run it as root, or as the tests' ordinary user.
    pub(super) root: bool,
    /// The directory it starts in: the project, which the machine can read.
    pub(super) project: &'a Path,
    /// Longest time from power-on to power-off, wall clock.
    pub(super) deadline: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Done {
    /// Exit status of the command.
    pub(super) status: u8,
    /// Seconds of the machine's clock until the command began.
    pub(super) booted: String,
    /// Wall clock from power-on to power-off.
    pub(super) took: Duration,
}

/// What every machine is made of.
#[derive(Debug)]
pub(super) struct Workshop {
    /// The emulator.
    pub(super) qemu: Qemu,
    /// The static busybox.
    pub(super) busybox: PathBuf,
    /// Directory for files of one run.
    pub(super) cache: PathBuf,
}

impl Workshop {
    /// Boots a machine, runs the job, and gives its exit status. What the job writes goes to `out`.
    ///
    /// # Errors
    /// When the machine did not come up, or did not get to the end; with the last words of its kernel.
    pub(super) fn run(
        &self,
        kernel: &Kernel,
        variant: &Variant,
        job: &Job<'_>,
        out: Stdio,
    ) -> Result<Done, String> {
        let work = Work::new(&self.cache, &format!("machine-{}", kernel.release))?;
        let initial = work.path.join("initial");
        self.initial(kernel, &initial)?;
        let share = work.path.join("job");
        write_job(&share, kernel, variant, job)?;
        let started = Instant::now();
        let log = work.path.join("log");
        let mut command = self.machine(kernel, variant, &work.path);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .map_err(|error| format!("qemu cannot be started: {error}"))?;
        // The emulator has no deadline of its own, and the machine may hang before it has a clock.
        while child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if started.elapsed() > job.deadline {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                return Err(format!("not done after {:?}", job.deadline));
            }
            thread::sleep(Duration::from_millis(50));
        }
        let read = |name: &str| fs::read_to_string(share.join(name)).unwrap_or_default();
        match read("status").trim().parse() {
            Ok(status) => Ok(Done {
                status,
                booted: read("booted").trim().to_owned(),
                took: started.elapsed(),
            }),
            Err(_) => Err(format!("the machine stopped early: {}", last_lines(&log))),
        }
    }

    /// The archive with which a kernel starts.
    fn initial(&self, kernel: &Kernel, path: &Path) -> Result<(), String> {
        let order = kernel.load_order(MODULES)?;
        let read =
            |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let busybox = read(&self.busybox)?;
        let write = || {
            let mut archive = Archive::new(BufWriter::new(File::create(path)?));
            archive.file("init", include_bytes!("init.sh"))?;
            archive.file("busybox", &busybox)?;
            archive.directory("modules")?;
            let mut names = String::new();
            for module in &order {
                let name = module.file_name().unwrap_or_default().to_string_lossy();
                let name = name.trim_end_matches(".xz");
                names.push_str(&format!("{name}\n"));
                archive
                    .file(&format!("modules/{name}"), &fs::read(module.with_file_name(name))?)?;
            }
            archive.file("modules/order", names.as_bytes())?;
            archive.finish()
        };
        write().map_err(|error| format!("{}: {error}", path.display()))
    }

    fn machine(&self, kernel: &Kernel, variant: &Variant, work: &Path) -> Command {
        let mut command = self.qemu.command();
        let share = |path: &Path, tag: &str, more: &str| {
            let path = path.display();
            format!("local,path={path},mount_tag={tag},security_model=none{more}")
        };
        command.args(["-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1536", "-smp", "2"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-nic", "none", "-device", "virtio-rng-pci"]);
        command.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(work.join("initial"));
        command.arg("-append").arg(variant.parameters());
        command.args(["-chardev", &format!("file,id=log,path={}", work.join("log").display())]);
        command.args(["-serial", "chardev:log"]);
        command.args(["-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"]);
        let root = share("/".as_ref(), "host", ",readonly=on,multidevs=remap");
        command.args(["-virtfs", &root, "-virtfs", &share(&work.join("job"), "job", "")]);
        command
    }
}

fn write_job(
    share: &Path,
    kernel: &Kernel,
    variant: &Variant,
    job: &Job<'_>,
) -> Result<(), String> {
    let settings = [
        ("PROJECT", job.project.to_string_lossy().into_owned()),
        ("MODULES", kernel.modules().to_string_lossy().into_owned()),
        ("CGROUP", variant.cgroup.to_owned()),
        ("ACCOUNT", ringfence_tests::account::ORDINARY.to_owned()),
        ("USER_IS", if job.root { "root" } else { "ordinary" }.to_owned()),
    ];
    let settings: String =
        settings.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
    let files = [
        ("settings", settings.as_str()),
        ("session", include_str!("session.sh")),
        ("systemd", include_str!("systemd.sh")),
        ("command", &job.command),
    ];
    fs::create_dir_all(share)
        .and_then(|()| files.iter().try_for_each(|(name, text)| fs::write(share.join(name), text)))
        .map_err(|error| format!("{}: {error}", share.display()))
}

/// A word of a shell's command line.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(12)..].join("\n    ")
}

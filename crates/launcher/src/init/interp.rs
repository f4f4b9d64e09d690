//! Carries steps out: one function an operation, each one or a few system calls.
//!
//! What a step means is said where it is made (`plan::Step`). Here is only how
//! the kernel is asked. No step looks at another: what one hands on is a
//! descriptor in a numbered slot.

use super::net;
use super::proc;
use super::sys::{self, Errno, new, nr};
use super::terminal;
use super::watch;
use super::wire::{HANDED, Op, SLOTS, STDIO_FD, Step, Strings};

const AT_EMPTY_PATH: usize = 0x1000;
const AT_RECURSIVE: usize = 0x8000;
const OPEN_TREE_CLONE: usize = 1;
const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
const MOVE_MOUNT_T_EMPTY_PATH: usize = 0x40;

/// The descriptors that steps hand to later steps.
pub(crate) struct Machine {
    slots: [i32; SLOTS],
    /// The tree has a PID namespace of its own.
    pid_namespace: bool,
    /// The plan has somebody listen to the command's filter.
    pub(crate) watched: bool,
    /// Where the command's own process sends the listener; below 0: nowhere.
    pub(crate) handover: i32,
    /// The PID namespace has a most of processes.
    pub(crate) most_processes: bool,
}

type Done = Result<(), Errno>;

/// The strings of a step; one that is missing is an error of the plan.
struct Text<'b>(Strings<'b>);

impl<'b> Text<'b> {
    fn next(&mut self) -> Result<&'b [u8], Errno> {
        self.0.next_bytes().map_err(|_| sys::EBADMSG)
    }
}

impl Machine {
    pub(crate) const fn new(pid_namespace: bool) -> Self {
        Self {
            slots: [-1; SLOTS],
            pid_namespace,
            watched: false,
            handover: -1,
            most_processes: false,
        }
    }

    /// Carries one step out.
    pub(crate) fn carry_out(&mut self, step: &mut Step<'_>) -> Done {
        let w = step.w;
        match step.op {
            Op::Exec => return Err(exec(step)),
            Op::Seccomp => return self.seccomp(step),
            _ => {}
        }
        let mut text = Text(Strings::new(step.blob));
        match step.op {
            Op::Unshare => done(sys::numbers(nr::UNSHARE, [w[0] as usize, 0, 0, 0, 0])),
            Op::MountAttr => set_attributes(sys::AT_FDCWD, text.next()?, 0, &w),
            Op::TreeAttr => set_attributes(self.slot(w[4])? as usize, b"\0", AT_EMPTY_PATH, &w),
            Op::CloneTree => {
                let tree = clone_tree(text.next()?, &w)?;
                self.fill(w[0], tree)
            }
            Op::NewFs => {
                let name = text.next()?;
                let mount = new_filesystem(name, text, w[1] as usize)?;
                self.fill(w[0], mount)
            }
            Op::Attach => {
                let tree = self.take(w[0])?;
                let attached = attach(tree, text.next()?, &w);
                sys::close(tree);
                attached
            }
            Op::Mkdir => make_directory(text.next()?, w[0] as usize),
            Op::MakeFile => make_file(text.next()?, text.next()?, w[0] as usize),
            Op::Symlink => {
                let target = text.next()?;
                symlink(target, text.next()?)
            }
            Op::InterfaceUp => interface_up(text.next()?),
            Op::OfferSockets => net::offer(),
            Op::RulesetCreate => {
                let ruleset = ruleset_create(&w)?;
                self.fill(w[0], ruleset)
            }
            Op::RulesetAllow => ruleset_allow(self.slot(w[0])?, text.next()?, &w),
            Op::RulesetAllowPort => ruleset_allow_port(self.slot(w[0])?, w[1], w[2]),
            Op::RulesetEnforce => {
                let ruleset = self.slot(w[0])? as usize;
                done(sys::numbers(new::LANDLOCK_RESTRICT_SELF, [ruleset, 0, 0, 0, 0]))
            }
            Op::Overlay => {
                let mount = overlay(text.next()?, text.next()?, text.next()?, &w)?;
                self.fill(w[0], mount)
            }
            Op::Watch => {
                let network = watch::Network { own: w[0] != 0, gateway: w[2] != 0, port: 0 };
                watch::configure(network, w[1] != 0, self.pid_namespace);
                self.watched = true;
                Ok(())
            }
            Op::WatchAllow => watch::allow((w[0], w[1])),
            Op::WatchPort => watch::only(w[0]),
            Op::MostProcesses => {
                self.most_processes = self.pid_namespace && highest_number(w[0], w[1]).is_ok();
                Ok(())
            }
            Op::Subreaper => prctl(PR_SET_CHILD_SUBREAPER, 1, 0),
            Op::NewSession => done(sys::numbers(nr::SETSID, [0; 5])),
            Op::ResetSignals => reset_signals(),
            Op::Rlimit => rlimit(&w),
            Op::NoNewPrivs => prctl(PR_SET_NO_NEW_PRIVS, 1, 0),
            Op::DropPrivileges => drop_privileges(),
            Op::Stdio => stdio(),
            Op::Terminal => terminal::open(w[0] as u16, w[1] as u16),
            Op::Chdir => done(chdir(text.next()?)),
            Op::CloseOthers => self.close_others(),
            Op::Exec | Op::Seccomp => Ok(()),
        }
    }

    /// The way to hand the listener over is left to the execution to close.
    fn close_others(&self) -> Done {
        let close = |first: usize, last: usize| {
            if first > last {
                return Ok(());
            }
            done(sys::numbers(new::CLOSE_RANGE, [first, last, 0, 0, 0]))
        };
        let kept = usize::try_from(self.handover).unwrap_or(2).max(2);
        close(3, kept - 1)?;
        close(kept + 1, u32::MAX as usize)
    }

    /// Word 0: with a listener, who is handed over; where there can be none (a filter with one
    /// is there already; an old kernel) that is a failure, and a plan without one says so.
    /// Without, the filter says itself what becomes of its calls.
    fn seccomp(&self, step: &mut Step<'_>) -> Done {
        let length = Text(Strings::new(step.blob)).next()?.len() - 1;
        // A string begins behind its length.
        let program = step.blob.get_mut(8..8 + length).ok_or(sys::EBADMSG)?;
        if step.w[0] != 0 && self.handover >= 0 {
            watch::hand_over(self.handover, load_heard(program)?)?;
            watch::HEARD.store(true, core::sync::atomic::Ordering::Release);
            return Ok(());
        }
        unhear(program);
        done(load(program, 0))
    }

    /// Closes what the steps left open.
    pub(crate) fn close_slots(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| **slot >= 0) {
            sys::close(*slot);
            *slot = -1;
        }
    }

    fn slot(&self, index: u64) -> Result<i32, Errno> {
        let fd = usize::try_from(index).ok().and_then(|i| self.slots.get(i)).copied();
        fd.filter(|fd| *fd >= 0).ok_or(sys::EBADMSG)
    }

    fn fill(&mut self, index: u64, fd: i32) -> Done {
        let slot = usize::try_from(index).ok().and_then(|i| self.slots.get_mut(i));
        *slot.filter(|slot| **slot < 0).ok_or(sys::EBADMSG)? = fd;
        Ok(())
    }

    fn take(&mut self, index: u64) -> Result<i32, Errno> {
        let fd = self.slot(index)?;
        self.slots[index as usize] = -1;
        Ok(fd)
    }
}

/// Where the kernel has a highest number for each PID namespace, a new one begins with the highest
/// there is, whatever holds outside. Where it does not, the file here is the one of the caller.
fn highest_number(highest: u64, outside: u64) -> Done {
    /// `PID_MAX_LIMIT` of 64-bit kernels.
    const BEGINS_WITH: u32 = 4 << 20;
    const FILE: &[u8] = b"/proc/sys/kernel/pid_max\0";
    let mut text = [0_u8; 16];
    let here = proc::read(FILE, &mut text).and_then(super::descend::number);
    let begins = here == Some(BEGINS_WITH as i32);
    if !begins || outside == u64::from(BEGINS_WITH) {
        return Err(sys::EINVAL);
    }
    let (digits, first) = proc::decimal(u32::try_from(highest).map_err(|_| sys::EINVAL)?);
    done(sys::write_file(FILE, digits.get(first..).unwrap_or_default()))
}

fn done(answer: sys::Answer) -> Done {
    answer.map(|_| ())
}

/// mount_setattr(2) with set, clear and propagation from words 1 to 3; word 0
/// says whether what is mounted below is meant too.
fn set_attributes(dir: usize, path: &[u8], flags: usize, w: &[u64; 6]) -> Done {
    let attributes = [w[1], w[2], w[3], 0];
    let flags = flags | if w[0] != 0 { AT_RECURSIVE } else { 0 };
    let address = attributes.as_ptr() as usize;
    done(sys::at_path(new::MOUNT_SETATTR, dir, path, [flags, address, 32]))
}

/// Opens a path that must not lead through any symbolic link. It may be one itself where it is
/// said which file must lie there.
fn open_exactly(path: &[u8], want: (u64, u64)) -> Result<i32, Errno> {
    const RESOLVE_NO_MAGICLINKS_NO_SYMLINKS: u64 = 2 | 4;
    let no_follow = if want == (0, 0) { 0 } else { sys::O_NOFOLLOW };
    let flags = (sys::O_PATH | sys::O_CLOEXEC | no_follow) as u64;
    let how = [flags, 0, RESOLVE_NO_MAGICLINKS_NO_SYMLINKS];
    let address = how.as_ptr() as usize;
    let fd = match sys::at_path(new::OPENAT2, sys::AT_FDCWD, path, [address, 24, 0]) {
        // A filter around this one may refuse it; which file it is says enough.
        Err(sys::ENOSYS) if want != (0, 0) => sys::open(path, sys::O_PATH, 0)?,
        fd => fd? as i32,
    };
    if want != (0, 0) {
        let (device, inode, _) = sys::identity(fd)?;
        if (device, inode) != want {
            sys::close(fd);
            return Err(sys::ESTALE);
        }
    }
    Ok(fd)
}

/// A detached copy of the tree at `path`: words 1 to 3 are recursion and identity.
fn clone_tree(path: &[u8], w: &[u64; 6]) -> Result<i32, Errno> {
    let fd = open_exactly(path, (w[2], w[3]))?;
    let recursive = if w[1] != 0 { AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | sys::O_CLOEXEC | AT_EMPTY_PATH | recursive;
    let tree = sys::at_path(new::OPEN_TREE, fd as usize, b"\0", [flags, 0, 0]);
    sys::close(fd);
    tree.map(|tree| tree as i32)
}

fn new_filesystem(name: &[u8], mut options: Text<'_>, attributes: usize) -> Result<i32, Errno> {
    const FSCONFIG_SET_STRING: usize = 1;
    const FSCONFIG_CMD_CREATE: usize = 6;
    const CLOEXEC: usize = 1;
    // SAFETY: the name ends with a NUL byte, as every string of a plan does.
    let fs = unsafe { sys::call(new::FSOPEN, [name.as_ptr() as usize, CLOEXEC, 0, 0, 0, 0])? };
    let mut configure = || -> sys::Answer {
        while !options.0.is_empty() {
            let key = options.next()?.as_ptr() as usize;
            let value = options.next()?.as_ptr() as usize;
            // SAFETY: both end with a NUL byte.
            unsafe { sys::call(new::FSCONFIG, [fs, FSCONFIG_SET_STRING, key, value, 0, 0])? };
        }
        sys::numbers(new::FSCONFIG, [fs, FSCONFIG_CMD_CREATE, 0, 0, 0])?;
        sys::numbers(new::FSMOUNT, [fs, CLOEXEC, attributes, 0, 0])
    };
    let mount = configure();
    sys::close(fs as i32);
    mount.map(|mount| mount as i32)
}

/// A layer over a directory. The three directories are named by descriptors: no
/// character of their names can be mistaken for a separator, and the lower one is
/// the one that was looked at.
fn overlay(lower: &[u8], upper: &[u8], work: &[u8], w: &[u64; 6]) -> Result<i32, Errno> {
    let fds = [
        open_exactly(lower, (w[2], w[3]))?,
        open_exactly(upper, (0, 0))?,
        open_exactly(work, (0, 0))?,
    ];
    let mount = overlay_of(fds, w[1] as usize);
    fds.into_iter().for_each(sys::close);
    let mount = mount?;
    if w[1] & MOUNT_ATTR_RDONLY == 0 && is_read_only(mount) {
        // The scratch directory cannot be used, and the kernel says so in its log only.
        sys::close(mount);
        return Err(sys::EROFS);
    }
    Ok(mount)
}

const MOUNT_ATTR_RDONLY: u64 = 1;

fn is_read_only(mount: i32) -> bool {
    const ST_RDONLY: u64 = 1;
    let mut buffer = [0_u64; 16];
    let address = buffer.as_mut_ptr() as usize;
    // SAFETY: the kernel fills 120 bytes; the flags are word 10.
    let known = unsafe { sys::call(nr::FSTATFS, [mount as usize, address, 0, 0, 0, 0]) };
    known.is_ok() && buffer[10] & ST_RDONLY != 0
}

fn overlay_of(fds: [i32; 3], attributes: usize) -> Result<i32, Errno> {
    const FSCONFIG_SET_FLAG: usize = 0;
    const FSCONFIG_SET_STRING: usize = 1;
    const FSCONFIG_CMD_CREATE: usize = 6;
    const CLOEXEC: usize = 1;
    let address = |text: &core::ffi::CStr| text.as_ptr() as usize;
    // SAFETY: the name ends with a NUL byte.
    let fs = unsafe { sys::call(new::FSOPEN, [address(c"overlay"), CLOEXEC, 0, 0, 0, 0])? };
    let configure = || -> sys::Answer {
        for (key, fd) in [c"lowerdir", c"upperdir", c"workdir"].into_iter().zip(fds) {
            let path = proc::of_descriptor(fd);
            let value = path.as_ptr() as usize;
            // SAFETY: both end with a NUL byte.
            unsafe {
                sys::call(new::FSCONFIG, [fs, FSCONFIG_SET_STRING, address(key), value, 0, 0])?
            };
        }
        // SAFETY: the key ends with a NUL byte, and a flag has no value.
        let set = unsafe {
            sys::call(new::FSCONFIG, [fs, FSCONFIG_SET_FLAG, address(c"userxattr"), 0, 0, 0])
        };
        match set {
            // Before Linux 5.11 there is no such option, and no overlay in a user namespace
            // that would need it.
            Err(sys::EINVAL) | Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        sys::numbers(new::FSCONFIG, [fs, FSCONFIG_CMD_CREATE, 0, 0, 0])?;
        sys::numbers(new::FSMOUNT, [fs, CLOEXEC, attributes, 0, 0])
    };
    let mount = configure();
    sys::close(fs as i32);
    mount.map(|mount| mount as i32)
}

/// Puts a detached tree at `path`; words 2 and 3 say which file must lie there.
/// Word 1: what this process may not even reach needs no cover, as the command may less.
fn attach(tree: i32, path: &[u8], w: &[u64; 6]) -> Done {
    let place = match open_exactly(path, (w[2], w[3])) {
        Err(sys::EACCES) if w[1] != 0 => return Ok(()),
        place => place?,
    };
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    let empty = c"".as_ptr() as usize;
    // SAFETY: two descriptors with empty paths.
    let moved = unsafe {
        sys::call(new::MOVE_MOUNT, [tree as usize, empty, place as usize, empty, flags, 0])
    };
    sys::close(place);
    done(moved)
}

fn make_directory(path: &[u8], mode: usize) -> Done {
    match sys::at_path(nr::MKDIRAT, sys::AT_FDCWD, path, [mode, 0, 0]) {
        Err(sys::EEXIST) => Ok(()),
        other => done(other),
    }
}

fn make_file(path: &[u8], content: &[u8], mode: usize) -> Done {
    let fd = match sys::open(path, sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL, mode) {
        Err(sys::EEXIST) => return Ok(()),
        other => other?,
    };
    let written = write_all(fd, text(content));
    sys::close(fd);
    written
}

/// The content of a string of a plan, without its NUL byte.
fn text(string: &[u8]) -> &[u8] {
    string.split_last().map_or(string, |(_, text)| text)
}

fn write_all(fd: i32, mut rest: &[u8]) -> Done {
    while !rest.is_empty() {
        let n = sys::write(fd, rest)?;
        rest = rest.get(n..).ok_or(sys::EBADMSG)?;
    }
    Ok(())
}

fn symlink(target: &[u8], path: &[u8]) -> Done {
    let (target, path) = (target.as_ptr() as usize, path.as_ptr() as usize);
    // SAFETY: both end with a NUL byte.
    match unsafe { sys::call(nr::SYMLINKAT, [target, sys::AT_FDCWD, path, 0, 0, 0]) } {
        Err(sys::EEXIST) => Ok(()),
        other => done(other),
    }
}

/// netdevice(7): a request is the name in 16 bytes, then the flags.
fn interface_up(name: &[u8]) -> Done {
    const AF_INET: usize = 2;
    const SOCK_DGRAM_CLOEXEC: usize = 2 | sys::O_CLOEXEC;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP_RUNNING: u16 = 0x41;
    let mut request = [0_u8; 40];
    request
        .get_mut(..name.len().min(15))
        .ok_or(sys::EBADMSG)?
        .copy_from_slice(&name[..name.len().min(15)]);
    request[16..18].copy_from_slice(&IFF_UP_RUNNING.to_ne_bytes());
    let socket = sys::numbers(nr::SOCKET, [AF_INET, SOCK_DGRAM_CLOEXEC, 0, 0, 0])?;
    let address = request.as_ptr() as usize;
    // SAFETY: the request is as long as the call reads.
    let up = unsafe { sys::call(nr::IOCTL, [socket, SIOCSIFFLAGS, address, 0, 0, 0]) };
    sys::close(socket as i32);
    done(up)
}

/// Words 1 to 3: file system, network and scope rights; word 4: bytes of the structure.
fn ruleset_create(w: &[u64; 6]) -> Result<i32, Errno> {
    let attributes = [w[1], w[2], w[3]];
    let size = (w[4] as usize).min(24);
    let address = attributes.as_ptr() as usize;
    // SAFETY: the structure is at least `size` bytes long.
    let fd = unsafe { sys::call(new::LANDLOCK_CREATE_RULESET, [address, size, 0, 0, 0, 0])? };
    Ok(fd as i32)
}

/// Word 1: rights; words 2 and 3: which file; word 4: whether one that is gone, another, or out
/// of reach by now is left out, which only grants less.
fn ruleset_allow(ruleset: i32, path: &[u8], w: &[u64; 6]) -> Done {
    const LANDLOCK_RULE_PATH_BENEATH: usize = 1;
    let below = match open_exactly(path, (w[2], w[3])) {
        Err(sys::ENOENT | sys::ENOTDIR | sys::ELOOP | sys::EACCES | sys::ESTALE) if w[4] != 0 => {
            return Ok(());
        }
        below => below?,
    };
    let mut rule = [0_u8; 12];
    rule[..8].copy_from_slice(&w[1].to_ne_bytes());
    rule[8..].copy_from_slice(&below.to_ne_bytes());
    let arguments = [ruleset as usize, LANDLOCK_RULE_PATH_BENEATH, rule.as_ptr() as usize, 0, 0, 0];
    // SAFETY: the packed structure of twelve bytes that this rule type has.
    let added = unsafe { sys::call(new::LANDLOCK_ADD_RULE, arguments) };
    sys::close(below);
    done(added)
}

/// Rights on one TCP port, from Landlock's interface 4 on.
fn ruleset_allow_port(ruleset: i32, access: u64, port: u64) -> Done {
    const LANDLOCK_RULE_NET_PORT: usize = 2;
    let rule = [access, port];
    let arguments = [ruleset as usize, LANDLOCK_RULE_NET_PORT, rule.as_ptr() as usize, 0, 0, 0];
    // SAFETY: the structure of two words that this rule type has.
    done(unsafe { sys::call(new::LANDLOCK_ADD_RULE, arguments) })
}

const PR_SET_CHILD_SUBREAPER: usize = 36;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_SECUREBITS: usize = 28;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;

fn prctl(option: usize, a: usize, b: usize) -> Done {
    done(sys::numbers(nr::PRCTL, [option, a, b, 0, 0]))
}

/// Default action for every signal, none blocked.
fn reset_signals() -> Done {
    const SIG_SETMASK: usize = 2;
    let nothing = [0_u64; 4];
    let address = nothing.as_ptr() as usize;
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP cannot be set and need not be.
        // SAFETY: an all-zero action is the default one.
        let _ = unsafe { sys::call(nr::RT_SIGACTION, [signal, address, 0, 8, 0, 0]) };
    }
    // SAFETY: a mask of eight bytes.
    done(unsafe { sys::call(nr::RT_SIGPROCMASK, [SIG_SETMASK, address, 0, 8, 0, 0]) })
}

/// Soft and hard limit, never above the hard limit that is there: only a
/// privileged process may raise that, and nobody should be refused a run for it.
fn rlimit(w: &[u64; 6]) -> Done {
    let mut old = [0_u64; 2];
    let resource = w[0] as usize;
    let address = old.as_mut_ptr() as usize;
    // SAFETY: the kernel fills two words.
    unsafe { sys::call(nr::PRLIMIT64, [0, resource, 0, address, 0, 0])? };
    let hard = w[2].min(old[1]);
    let wanted = [w[1].min(hard), hard];
    // SAFETY: the kernel reads two words.
    done(unsafe { sys::call(nr::PRLIMIT64, [0, resource, wanted.as_ptr() as usize, 0, 0, 0]) })
}

/// No capability in any set, and no way to one: user 0 is an ordinary user. Who may not
/// change the bounding set has nothing to gain from it: no_new_privs stands by then.
fn drop_privileges() -> Done {
    const NO_ROOT_NO_FIXUP_NO_KEEP_NO_AMBIENT_LOCKED: usize = 0xef;
    let mut capability = 0;
    while prctl(PR_CAPBSET_DROP, capability, 0).is_ok() {
        capability += 1;
    }
    match prctl(PR_SET_SECUREBITS, NO_ROOT_NO_FIXUP_NO_KEEP_NO_AMBIENT_LOCKED, 0) {
        // Who has no capability may lock nothing, and has no way to one.
        Err(sys::EPERM) if gains_no_privileges() => {}
        other => other?,
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    done(sys::set_capabilities(0))
}

/// Whether an execution gives nothing that is not there now: prctl(2).
fn gains_no_privileges() -> bool {
    const PR_GET_NO_NEW_PRIVS: usize = 39;
    sys::numbers(nr::PRCTL, [PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0]) == Ok(1)
}

/// The init itself needs no capability once the command runs.
pub(crate) fn drop_own_capabilities() {
    // Without capabilities there is nothing to drop, and that is no failure.
    let _ = sys::set_capabilities(0);
}

/// Loads a filter and gives its listener. Who waits for it is not disturbed by signals
/// once the listener has the call, where the kernel can do that (Linux 5.19).
fn load_heard(program: &[u8]) -> Result<i32, Errno> {
    const NEW_LISTENER: usize = 8;
    const WAIT_KILLABLE_RECV: usize = 32;
    let listener = match load(program, NEW_LISTENER | WAIT_KILLABLE_RECV) {
        Err(sys::EINVAL) => load(program, NEW_LISTENER)?,
        other => other?,
    };
    Ok(listener as i32)
}

/// What is handed to nobody would fail as unknown: the answer beside it takes its place.
fn unhear(program: &mut [u8]) {
    const RETURN: u16 = 6;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    for instruction in program.as_chunks_mut::<8>().0 {
        let [c0, c1, _, _, k @ ..] = *instruction;
        let answer = u32::from_ne_bytes(k);
        if u16::from_ne_bytes([c0, c1]) == RETURN && answer & 0xffff_0000 == HANDED {
            let otherwise = match answer & 0xffff {
                0 => ALLOW,
                errno => ERRNO | errno,
            };
            instruction[4..].copy_from_slice(&otherwise.to_ne_bytes());
        }
    }
}

fn load(program: &[u8], flags: usize) -> sys::Answer {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    #[repr(C)]
    struct Program {
        instructions: u16,
        address: usize,
    }
    let program = Program {
        instructions: u16::try_from(program.len() / 8).map_err(|_| sys::EBADMSG)?,
        address: program.as_ptr() as usize,
    };
    let address = (&raw const program) as usize;
    // SAFETY: the program is that many instructions of eight bytes; the kernel checks them.
    unsafe { sys::call(nr::SECCOMP, [SECCOMP_SET_MODE_FILTER, flags, address, 0, 0, 0]) }
}

fn stdio() -> Done {
    for fd in 0..3 {
        let from = (STDIO_FD + fd) as usize;
        sys::numbers(nr::DUP3, [from, fd as usize, 0, 0, 0])?;
    }
    Ok(())
}

fn chdir(path: &[u8]) -> sys::Answer {
    // SAFETY: the path ends with a NUL byte.
    unsafe { sys::call(nr::CHDIR, [path.as_ptr() as usize, 0, 0, 0, 0, 0]) }
}

/// Executes the first candidate that can be; words 0 to 2 count candidates,
/// arguments and variables. The blob begins with room for the two arrays of
/// pointers: one spare entry, the arguments, a null, the variables, a null.
fn exec(step: &mut Step<'_>) -> Errno {
    let counts = [step.w[0] as usize, step.w[1] as usize, step.w[2] as usize];
    match fill_pointers(step.blob, counts) {
        Ok((room, texts)) => try_candidates(room, texts, counts),
        Err(errno) => errno,
    }
}

/// Splits the blob and writes the addresses of its strings into its head.
pub(crate) fn fill_pointers(
    blob: &mut [u8],
    [candidates, argc, envc]: [usize; 3],
) -> Result<(&mut [u8], &[u8]), Errno> {
    let entries = argc.checked_add(envc).and_then(|n| n.checked_add(3)).ok_or(sys::EBADMSG)?;
    let bytes = entries.checked_mul(8).filter(|n| *n <= blob.len()).ok_or(sys::EBADMSG)?;
    let (room, texts) = blob.split_at_mut(bytes);
    let texts: &[u8] = texts;
    let mut strings = Text(Strings::new(texts));
    for _ in 0..candidates {
        strings.next()?;
    }
    let width = size_of::<usize>();
    let mut set = |entry: usize, address: usize| {
        let at = entry * width;
        room[at..at + width].copy_from_slice(&address.to_ne_bytes());
    };
    for entry in (1..=argc).chain(argc + 2..argc + 2 + envc) {
        set(entry, strings.next()?.as_ptr() as usize);
    }
    set(argc + 1, 0);
    set(argc + 2 + envc, 0);
    Ok((room, texts))
}

fn try_candidates(room: &mut [u8], texts: &[u8], [candidates, argc, _]: [usize; 3]) -> Errno {
    let width = size_of::<usize>();
    let base = room.as_mut_ptr() as usize;
    let (argv, envp) = (base + width, base + (argc + 2) * width);
    let mut strings = Strings::new(texts);
    let mut worst = sys::ENOENT;
    for _ in 0..candidates {
        let Ok(path) = strings.next_bytes() else { return sys::EBADMSG };
        match execve(path, argv, envp) {
            sys::ENOEXEC => return exec_by_shell(room, path, envp),
            sys::EACCES => worst = sys::EACCES,
            sys::ENOENT | sys::ENOTDIR => {}
            other => return other,
        }
    }
    worst
}

fn execve(path: &[u8], argv: usize, envp: usize) -> Errno {
    // SAFETY: a C string and two arrays of C strings, each closed by a null.
    let answer = unsafe { sys::call(nr::EXECVE, [path.as_ptr() as usize, argv, envp, 0, 0, 0]) };
    answer.err().unwrap_or(sys::EINVAL)
}

/// A file of text without `#!` is a script of the shell, as execvp(3) has it.
fn exec_by_shell(room: &mut [u8], path: &[u8], envp: usize) -> Errno {
    const SHELL: &[u8] = b"/bin/sh\0";
    let width = size_of::<usize>();
    if room.len() < 3 * width {
        return sys::ENOEXEC;
    }
    room[..width].copy_from_slice(&(SHELL.as_ptr() as usize).to_ne_bytes());
    room[width..2 * width].copy_from_slice(&(path.as_ptr() as usize).to_ne_bytes());
    match execve(SHELL, room.as_ptr() as usize, envp) {
        sys::ENOENT => sys::ENOEXEC,
        other => other,
    }
}

//! Starts the launcher: from the caller's process to the first instruction of
//! the init, without copying the caller's memory.
//!
//! The child is made with `CLONE_VM | CLONE_VFORK`, in the user and PID
//! namespaces it will live in. Until it executes the embedded program it borrows
//! the caller's memory, so it does nothing but system calls with arguments
//! prepared before: id maps, the few capabilities that must survive the
//! execution, descriptors to their places. All signals are blocked meanwhile, or
//! a handler of the caller's could run in the child.
//!
//! Where a program in memory may not be executed (`vm.memfd_noexec = 2`), or
//! there is none for this machine, the child is a fork that runs the same
//! interpreter without executing anything.

use crate::{
    init::{
        supervise,
        sys::{self, Answer, Errno, nr},
        wire,
    },
    plan::{Plan, PlanError, Step},
    program,
    tree::Tree,
};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::Arc,
};

/// The tree could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The plan makes no sense.
    #[error("the plan is not sound")]
    Plan(#[from] PlanError),
    /// A descriptor for the start could not be had.
    #[error("cannot make {what}")]
    Descriptor {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process could not be made; with namespaces, they may be what is refused.
    #[error("cannot start a process in new namespaces")]
    Clone(#[source] io::Error),
    /// The child may not be put into the control group.
    #[error("cannot put a process into the control group")]
    Group(#[source] io::Error),
    /// The child could not get ready.
    #[error("cannot {stage}")]
    Birth {
        /// What it was about to do.
        stage: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How the init is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The embedded program, executed from memory.
    Program,
    /// A forked child of this process that runs the same interpreter.
    ForkedChild,
}

/// Starts a tree: the init carries `plan` out, the command gets the three
/// descriptors of `stdio` as its 0, 1 and 2.
///
/// # Errors
/// When the plan is unsound or the process cannot be made. A step that fails is
/// told later, as a report of the tree.
pub fn spawn(plan: &Arc<Plan>, stdio: [BorrowedFd<'_>; 3]) -> Result<Tree, SpawnError> {
    spawn_into(plan, stdio, None)
}

/// Like [`spawn()`], with the whole tree in a control group from its birth: `group` is a directory
/// of a cgroup2 file system.
///
/// # Errors
/// As [`spawn()`]; also when the caller may not put a process there.
///
/// # References
/// clone3(2), `CLONE_INTO_CGROUP` (Linux 5.7). Where that is not to be had the child enters the group
/// by itself, before it does anything else, which is slower.
pub fn spawn_into(
    plan: &Arc<Plan>,
    stdio: [BorrowedFd<'_>; 3],
    group: Option<BorrowedFd<'_>>,
) -> Result<Tree, SpawnError> {
    match program::kept() {
        Some(program) => match start(plan, stdio, Some(program), group) {
            Err(SpawnError::Birth { stage: EXECUTE, source })
                if matches!(source.raw_os_error(), Some(libc::EACCES | libc::ENOSYS)) =>
            {
                program::give_up();
                start(plan, stdio, None, group)
            }
            other => other,
        },
        None => start(plan, stdio, None, group),
    }
}

/// Like [`spawn()`], by a given carrier.
///
/// # Errors
/// As [`spawn()`]; also when that carrier is not to be had here.
pub fn spawn_by(
    carrier: Carrier,
    plan: &Arc<Plan>,
    stdio: [BorrowedFd<'_>; 3],
) -> Result<Tree, SpawnError> {
    let program = match carrier {
        Carrier::ForkedChild => None,
        Carrier::Program => Some(program::kept().ok_or_else(|| SpawnError::Descriptor {
            what: "the launcher in memory",
            source: io::Error::from(io::ErrorKind::Unsupported),
        })?),
    };
    start(plan, stdio, program, None)
}

const MAP_IDS: &str = "map the caller's user and group into the namespace";
const KEEP_CAPABILITIES: &str = "keep the capabilities the set-up needs";
const PLACE_DESCRIPTORS: &str = "put the descriptors in their places";
const EXECUTE: &str = "execute the launcher";
const STAGES: [&str; 4] = [MAP_IDS, KEEP_CAPABILITIES, PLACE_DESCRIPTORS, EXECUTE];
/// Index of a stage without a name: entering the control group.
const ENTER_GROUP: usize = STAGES.len();

/// Everything the child needs, prepared before it exists.
struct Birth {
    namespaces: u64,
    capabilities: u32,
    uid_map: Vec<u8>,
    gid_map: Vec<u8>,
    /// Control socket, plan, and the three of the command.
    descriptors: [i32; 5],
    program: i32,
    /// The directory of the control group to be born in, or below 0.
    group: i32,
    /// The file by which it is entered where one cannot be born there, or below 0.
    entry: i32,
    plan: &'static mut [u8],
    /// Where it failed (index into `STAGES`) and why; written by the child.
    failure: Option<(usize, Errno)>,
}

fn start(
    plan: &Arc<Plan>,
    stdio: [BorrowedFd<'_>; 3],
    program: Option<OwnedFd>,
    group: Option<BorrowedFd<'_>>,
) -> Result<Tree, SpawnError> {
    let mut bytes = plan.encode()?;
    let (ours, theirs) = socket_pair()?;
    let file = match &program {
        Some(_) => program::memory_file(c"ringfence-plan", &bytes, 0)
            .map_err(|source| SpawnError::Descriptor { what: "the plan in memory", source })?,
        // A forked child has the plan already; any descriptor keeps the places the same.
        None => duplicate(&theirs)?,
    };
    // SAFETY: only the child uses it: a forked one in its own copy of the memory.
    let lent = unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()) };
    // SAFETY: they take no arguments and cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mut birth = Birth {
        namespaces: plan.namespaces,
        capabilities: needed_capabilities(plan),
        uid_map: format!("{uid} {uid} 1\n").into_bytes(),
        gid_map: format!("{gid} {gid} 1\n").into_bytes(),
        descriptors: [
            theirs.as_raw_fd(),
            file.as_raw_fd(),
            stdio[0].as_raw_fd(),
            stdio[1].as_raw_fd(),
            stdio[2].as_raw_fd(),
        ],
        program: program.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        group: group.map_or(-1, |group| group.as_raw_fd()),
        entry: -1,
        plan: lent,
        failure: None,
    };
    let give_birth = |birth: &mut Birth| {
        with_signals_blocked(|| match program {
            Some(_) => clone_sharing(birth),
            None => clone_copying(birth),
        })
    };
    let (pid, pidfd) = match (give_birth(&mut birth), group) {
        (Err(error), Some(group)) if may_be_unknown(&error) => {
            let entry = entry_of(group)?;
            (birth.group, birth.entry) = (-1, entry.as_raw_fd());
            give_birth(&mut birth)
        }
        (born, _) => born,
    }
    .map_err(SpawnError::Clone)?;
    let tree = Tree::new(pid, pidfd, ours, Arc::clone(plan));
    match birth.failure {
        None => Ok(tree),
        Some((ENTER_GROUP, errno)) => Err(SpawnError::Group(to_io(errno))),
        Some((stage, Errno(errno))) => Err(SpawnError::Birth {
            stage: STAGES[stage],
            source: io::Error::from_raw_os_error(errno),
        }),
    }
}

/// What a kernel, or a filter around the caller, says that does not know how to start a process in a
/// control group.
fn may_be_unknown(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::E2BIG | libc::EINVAL | libc::EPERM | libc::EACCES)
    )
}

/// The file that a process enters a control group by.
fn entry_of(group: BorrowedFd<'_>) -> Result<OwnedFd, SpawnError> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: a descriptor and a C string.
    let fd = unsafe { libc::openat(group.as_raw_fd(), c"cgroup.procs".as_ptr(), flags) };
    if fd < 0 {
        let source = io::Error::last_os_error();
        return Err(SpawnError::Descriptor { what: "the way into the control group", source });
    }
    // SAFETY: new, and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    let mut fds = [0; 2];
    // SAFETY: room for the two descriptors.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) };
    if made != 0 {
        let source = io::Error::last_os_error();
        return Err(SpawnError::Descriptor { what: "the control socket", source });
    }
    // SAFETY: both are new and owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, SpawnError> {
    fd.try_clone().map_err(|source| SpawnError::Descriptor { what: "a descriptor", source })
}

fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: two signal sets, filled and read by the library.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut old = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        let result = work();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, std::ptr::null_mut());
        result
    }
}

const BIRTH_STACK: usize = 32 * 1024;

#[repr(C, align(16))]
struct Stack(std::mem::MaybeUninit<[u8; BIRTH_STACK]>);

const SHARING: i32 = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;

/// A child that borrows this memory until it executes the program.
fn clone_sharing(birth: &mut Birth) -> io::Result<(i32, OwnedFd)> {
    let mut stack = Box::new(Stack(std::mem::MaybeUninit::uninit()));
    if birth.group >= 0 {
        return clone_into_group(birth, &mut stack);
    }
    let mut pidfd = -1;
    // SAFETY: the end of a stack that lives until the child has left it, an
    // argument that does too, and a place for the descriptor. `born` allocates
    // nothing, takes no lock and never returns.
    let pid = unsafe {
        let top = (&raw mut *stack).cast::<u8>().add(BIRTH_STACK);
        libc::clone(
            born,
            top.cast(),
            SHARING | libc::SIGCHLD | birth.namespaces as i32,
            std::ptr::from_mut(birth).cast(),
            &raw mut pidfd,
        )
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// The same in a control group, which only clone3(2) can.
fn clone_into_group(birth: &mut Birth, stack: &mut Stack) -> io::Result<(i32, OwnedFd)> {
    let mut pidfd = -1_i32;
    let mut how = arguments(birth, SHARING as u64, &mut pidfd);
    how[5] = std::ptr::from_mut(stack) as u64;
    how[6] = BIRTH_STACK as u64;
    let birth = std::ptr::from_mut(birth) as usize;
    // SAFETY: a stack that lives until the child has left it, an argument and a place for the
    // descriptor that do too. `born_in_group` allocates nothing, takes no lock and never returns.
    let pid = unsafe { sys::spawn_by_clone3(&how, born_in_group, birth) }.map_err(to_io)?;
    // SAFETY: the kernel has just opened it for us.
    Ok((pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// A child with a copy of this memory: clone3(2), as its arguments are the same everywhere.
fn clone_copying(birth: &mut Birth) -> io::Result<(i32, OwnedFd)> {
    /// Bytes of the structure without what came later than the call itself.
    const FIRST_SIZE: usize = 64;
    let mut pidfd = -1_i32;
    let how = arguments(birth, libc::CLONE_PIDFD as u64, &mut pidfd);
    let size = if birth.group < 0 { FIRST_SIZE } else { size_of_val(&how) };
    let pid = match sys::copy_by_clone3(&how, size).map_err(to_io) {
        // A filter may know the older call alone.
        Err(error) if birth.group < 0 && may_be_unknown(&error) => {
            sys::copy_by_clone(&how).map_err(to_io)
        }
        other => other,
    }?;
    if pid == 0 {
        forked(birth)
    }
    // SAFETY: the kernel has just opened it for us.
    Ok((pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// The words of clone3(2) that both ways share.
fn arguments(birth: &Birth, flags: u64, pidfd: &mut i32) -> sys::Clone3 {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let into = if birth.group < 0 { 0 } else { CLONE_INTO_CGROUP };
    let mut how = [0; 11];
    how[0] = flags | birth.namespaces | into;
    how[1] = std::ptr::from_mut(pidfd) as u64;
    how[4] = libc::SIGCHLD as u64;
    how[10] = u64::from(birth.group.max(0).unsigned_abs());
    how
}

fn to_io(Errno(errno): Errno) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// As [`born`], for who comes by another way.
extern "C" fn born_in_group(birth: usize) -> ! {
    born(birth as *mut libc::c_void);
    sys::exit(1)
}

/// The child that shares memory: gets ready and executes the program.
extern "C" fn born(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent sleeps and lends it whole.
    let birth = unsafe { &mut *birth.cast::<Birth>() };
    let stage = match get_ready(birth) {
        Err(failure) => failure,
        Ok(program) => (3, execute(program)),
    };
    birth.failure = Some(stage);
    sys::exit(1)
}

/// The forked child: gets ready and is the init.
fn forked(birth: &mut Birth) -> ! {
    match get_ready(birth) {
        Err((_, Errno(errno))) => {
            supervise::report_unborn(birth.descriptors[0], errno);
            sys::exit(1)
        }
        Ok(_) => {
            let (address, length) = (birth.plan.as_mut_ptr(), birth.plan.len());
            // SAFETY: this process has its own copy and never gives it back.
            supervise::run(unsafe { std::slice::from_raw_parts_mut(address, length) })
        }
    }
}

/// Maps, capabilities, descriptors; the program's descriptor, out of the way.
fn get_ready(birth: &Birth) -> Result<usize, (usize, Errno)> {
    if birth.entry >= 0 {
        sys::write(birth.entry, b"0").map_err(|errno| (ENTER_GROUP, errno))?;
    }
    if birth.namespaces & libc::CLONE_NEWUSER as u64 != 0 {
        map_ids(birth).map_err(|errno| (0, errno))?;
        keep_capabilities(birth.capabilities).map_err(|errno| (1, errno))?;
    }
    place_descriptors(birth).map_err(|errno| (2, errno))
}

/// user_namespaces(7): one id to itself, and no setgroups(2), is what anybody may map.
fn map_ids(birth: &Birth) -> Result<(), Errno> {
    sys::write_file(b"/proc/self/uid_map\0", &birth.uid_map)?;
    sys::write_file(b"/proc/self/setgroups\0", b"deny")?;
    sys::write_file(b"/proc/self/gid_map\0", &birth.gid_map).map(|_| ())
}

/// The capabilities that the set-up of a plan needs, as a set.
fn needed_capabilities(plan: &Plan) -> u32 {
    /// `CAP_SETPCAP`, `CAP_NET_ADMIN`, `CAP_SYS_PTRACE`, `CAP_SYS_ADMIN`.
    const ALWAYS: [usize; 4] = [8, sys::NET_ADMIN, sys::SYS_PTRACE, 21];
    /// `CAP_CHOWN`, `CAP_DAC_OVERRIDE` and `CAP_FOWNER`: a layer copies files of the caller's, and
    /// its scratch directory has no rights for anybody.
    const FOR_A_LAYER: u32 = 1 | 1 << 1 | 1 << 3;
    let always = ALWAYS.iter().fold(0, |set, capability| set | 1 << capability);
    let layer = plan.steps.iter().any(|step| matches!(step, Step::Overlay { .. }));
    if layer { always | FOR_A_LAYER } else { always }
}

/// An execution takes all capabilities from who is not user 0, except ambient ones.
fn keep_capabilities(set: u32) -> Result<(), Errno> {
    const PR_CAP_AMBIENT: usize = 47;
    const PR_CAP_AMBIENT_RAISE: usize = 2;
    sys::set_capabilities(set)?;
    for capability in (0..32).filter(|capability| set & 1 << capability != 0) {
        sys::numbers(nr::PRCTL, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0])?;
    }
    Ok(())
}

/// Moves everything above the places first, so that none is overwritten before it is moved.
fn place_descriptors(birth: &Birth) -> Result<usize, Errno> {
    let mut above = [0; 5];
    for (place, fd) in above.iter_mut().zip(birth.descriptors) {
        *place = out_of_the_way(fd)?;
    }
    let program = if birth.program < 0 { 0 } else { out_of_the_way(birth.program)? };
    for (place, fd) in (wire::CONTROL_FD as usize..).zip(above) {
        sys::numbers(nr::DUP3, [fd, place, 0, 0, 0])?;
    }
    Ok(program)
}

fn out_of_the_way(fd: i32) -> Answer {
    const FIRST: usize = 16;
    // SAFETY: numbers only.
    let raw = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, FIRST as libc::c_int) };
    if raw < 0 {
        // SAFETY: the address of this thread's error number is always valid.
        return Err(Errno(unsafe { *libc::__errno_location() }));
    }
    Ok(raw as usize)
}

fn execute(program: usize) -> Errno {
    const EXECVEAT: usize = libc::SYS_execveat as usize;
    const AT_EMPTY_PATH: usize = libc::AT_EMPTY_PATH as usize;
    let arguments = [c"ringfence-init".as_ptr() as usize, 0];
    let nothing = [0_usize];
    let (empty, argv, envp) =
        (c"".as_ptr() as usize, arguments.as_ptr() as usize, nothing.as_ptr() as usize);
    // SAFETY: an empty path and two arrays closed by a null.
    let answer = unsafe { sys::call(EXECVEAT, [program, empty, argv, envp, AT_EMPTY_PATH, 0]) };
    answer.err().unwrap_or(sys::EINVAL)
}

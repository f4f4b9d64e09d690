//! The system call filter: what is refused to every command, as classic BPF.
//!
//! Everything is allowed but what is named here. The program is a binary search
//! over the ranges between the few refused numbers, one instruction a range, whose
//! leaves jump to a few shared answers: a quarter of the instructions of a list,
//! which the kernel checks and compiles at every start, and six comparisons for a
//! call instead of a hundred. Calls of another ABI of
//! the machine (i386, x32) are refused as a whole, and so are numbers that the
//! newest known kernel does not have: they could mean anything.
//!
//! Arguments are compared in their low 32 bits, as the kernel itself reads them:
//! a request with high bits set is the same request (CVE-2019-10063).
//!
//! Where the init listens, some calls are handed to it instead of answered: connections,
//! because only who reads the address knows whether it may be connected to; changes of
//! files and refused calls, so that they can be told. Each such answer says beside it what
//! becomes of the call where nobody listens.
//!
//! Deliberately not here: anything another wall keeps already (signals, tracing
//! of strangers, files), because a filter can see numbers and no paths.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// What a filter is to do beside what every one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Which sockets of the internet can be made.
    pub(crate) inet: Inet,
    /// Whether IPC by number and message queues can be used; not where no IPC namespace
    /// keeps them apart.
    pub(crate) sysv_ipc: bool,
    /// Whether every process number is one of the tree's own; where no PID namespace keeps
    /// others apart, limits of others cannot be changed.
    pub(crate) own_processes: bool,
    /// Whether another wall keeps files from being emptied; where none does, the ways to do
    /// that without opening a file for writing are refused.
    pub(crate) truncate: bool,
    /// What the init listens for; none: it does not listen.
    pub(crate) heard: Option<Heard>,
}

/// Which sockets of the internet can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inet {
    /// All: a network namespace holds them, or the network is the caller's.
    Any,
    /// Those of TCP alone, that connect by connect(2) and to nothing that another wall does not
    /// allow. Nobody listens: Landlock lets a socket that was bound to nothing.
    Connections,
    /// None.
    None,
}

/// What is handed to the init, beside calls that are refused in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Connections.
    pub(crate) connections: bool,
    /// Unix sockets that could reach one of the host without a connection.
    pub(crate) datagrams: bool,
    /// Calls that change files.
    pub(crate) changes: bool,
    /// Of these also the way in which shells open the target of a redirection.
    pub(crate) redirections: bool,
    /// Calls that open files for reading.
    pub(crate) reads: bool,
}

/// Namespaces keep network and IPC apart, and nobody listens.
pub(crate) const PLAIN: Spec =
    Spec { inet: Inet::Any, sysv_ipc: true, own_processes: true, truncate: true, heard: None };

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// It is carried out.
    Allow,
    /// It fails with this error number.
    Errno(i32),
    /// The init decides; where it does not listen the call fails with this error number,
    /// or is carried out (0).
    Hand(i32),
    /// The arguments decide.
    Test(Test),
}

/// Tests of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// Any of the bits `.1` in argument `.0`: handed to the init, which is the answer `.2`.
    Bits(u8, u32, i32),
    /// open(2) with the flags in argument `.0`, to change something, and not as a shell opens
    /// the target of a redirection: handed to the init.
    Changes(u8),
    /// Any of the bits `.1` in argument `.0`: fails with the error number `.2`.
    Without(u8, u32, i32),
    /// Argument `.0` is a null: carried out; anything else is handed to the init.
    NotNull(u8),
    /// Argument `.0` is one of these: refused.
    OneOf(u8, &'static [u32]),
    /// Argument 0 is one of these: allowed; anything else refused.
    OnlyOf(&'static [u32]),
    /// socket(2): few families, and few protocols of netlink. Internet or not; Unix sockets
    /// of datagrams are handed to the init or not.
    Socket(Inet, bool),
    /// socket(2) of the internet: one of TCP is made, no other.
    TcpSocket,
    /// socket(2) of a Unix socket, one of datagrams is handed to the init.
    LocalSocket,
    /// socketpair(2): a pair of Unix sockets of datagrams is handed to the init.
    SocketPair,
    /// open(2): a file is emptied without being opened for writing; which argument has the flags.
    Empties(u8),
}

/// `CLONE_NEW*` as clone(2) takes them.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// unshare(2) has the time namespace as well, where clone(2) has the exit signal.
const NEW_NAMESPACES_OR_TIME: u32 = NEW_NAMESPACES | 0x80;
/// Put characters into a terminal's input (`TIOCSTI`), operate the console
/// (`TIOCLINUX`), take its output (`TIOCCONS`).
const TERMINAL_TRICKS: &[u32] = &[0x5412, 0x541c, 0x541d];
/// `PER_LINUX`, `PER_LINUX32`, the same as Linux 2.6, without address
/// randomisation (debuggers need it), and the question which one it is.
const PERSONALITIES: &[u32] = &[0, 8, 0x2_0000, 0x2_0008, 0x4_0000, u32::MAX];
/// The sandbox's init: it has the same user, which is all that prlimit(2) asks for.
const INIT: &[u32] = &[1];
/// And its thread that listens, which is the second process of the namespace.
const INIT_AND_LISTENER: &[u32] = &[1, 2];
/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
const FAMILIES: &[u32] = &[AF_UNIX, 2, 10];
/// prlimit(2) without a process number.
const MYSELF: &[u32] = &[0];
/// `AF_INET`, `AF_INET6`.
const INTERNET: &[u32] = &[2, 10];
/// What socket(2) takes for TCP: the default, and its own number. Multipath TCP has another, and no
/// wall of Landlock.
const TCP_PROTOCOLS: &[u32] = &[0, 6];
const AF_UNIX: u32 = 1;
/// `SOCK_STREAM`, `SOCK_SEQPACKET`: nothing is sent before a connection.
const CONNECTED_TYPES: &[u32] = &[1, 5];
/// The type of a socket, without flags: `SOCK_TYPE_MASK`.
const TYPE_MASK: u32 = 0xf;
const AF_NETLINK: u32 = 16;
/// `NETLINK_ROUTE`, `NETLINK_SOCK_DIAG`.
const NETLINK_PROTOCOLS: &[u32] = &[0, 4];

/// The first number no kernel up to 6.18 has.
const FIRST_UNKNOWN: u32 = 470;

/// Calls refused whatever their arguments, that mean something when a program makes them.
const TOLD: &[libc::c_long] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    // Other namespaces.
    libc::SYS_setns,
    // Keys are kept by user, across all sandboxes.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Programs inside the kernel.
    libc::SYS_bpf,
    // Another kernel, another module.
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    // The machine as a whole.
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Calls refused whatever their arguments, that programs try as a matter of routine or
/// that nobody makes.
const SILENT: &[libc::c_long] = &[
    // Files by number instead of by path.
    libc::SYS_open_by_handle_at,
    // Counters and rings inside the kernel; a ring escapes this very filter.
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    // The machine as a whole.
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// open(2) in its forms, and which argument has the flags.
#[cfg(target_arch = "x86_64")]
const OPENING: &[(libc::c_long, u8)] = &[(libc::SYS_open, 1), (libc::SYS_openat, 2)];
#[cfg(not(target_arch = "x86_64"))]
const OPENING: &[(libc::c_long, u8)] = &[(libc::SYS_openat, 2)];

/// open_tree_attr(2), Linux 6.15.
const OPEN_TREE_ATTR: libc::c_long = 467;
/// quotactl_fd(2), Linux 5.14.
const QUOTACTL_FD: libc::c_long = 443;
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: libc::c_long = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: libc::c_long = 294;

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    CREATE_MODULE,
    GET_KERNEL_SYMS,
    QUERY_MODULE,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

// Numbers of calls that only old kernels had.
#[cfg(target_arch = "x86_64")]
const CREATE_MODULE: libc::c_long = 174;
#[cfg(target_arch = "x86_64")]
const GET_KERNEL_SYMS: libc::c_long = 177;
#[cfg(target_arch = "x86_64")]
const QUERY_MODULE: libc::c_long = 178;

/// IPC by numbers and names that the whole machine shares.
const SHARED_IPC: &[libc::c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Calls that change a file by its path, whatever their arguments.
const CHANGES: &[libc::c_long] = &[
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    REMOVEXATTRAT,
    // Its flags lie in memory.
    libc::SYS_openat2,
];

/// The same, of calls that new machines do not have.
#[cfg(target_arch = "x86_64")]
const CHANGES_HERE: &[libc::c_long] = &[
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(target_arch = "aarch64")]
const CHANGES_HERE: &[libc::c_long] = &[libc::SYS_renameat];
#[cfg(target_arch = "riscv64")]
const CHANGES_HERE: &[libc::c_long] = &[];

/// Linux 6.6.
const FCHMODAT2: libc::c_long = 452;
/// Linux 6.13.
const SETXATTRAT: libc::c_long = 463;
/// Linux 6.13.
const REMOVEXATTRAT: libc::c_long = 466;

/// Flags of open(2) with which a file may be changed: `O_WRONLY`, `O_RDWR`, `O_CREAT`,
/// `O_TRUNC`, `__O_TMPFILE`.
const OPEN_TO_CHANGE: u32 = 0o1 | 0o2 | 0o100 | 0o1000 | 0o20_000_000;

/// `>` and `>|`, `>>`, `>` where nothing may be overwritten, `<>`; and without `O_CLOEXEC`, as
/// what is opened goes on to programs. Nearly all that is opened so is either opened by a
/// shell or by fopen(3), and both complain when they cannot. See `Trace::Changes` for why.
const REDIRECTIONS: &[u32] =
    &[0o1 | 0o100 | 0o1000, 0o1 | 0o100 | 0o2000, 0o1 | 0o100 | 0o200, 0o2 | 0o100];
/// `O_LARGEFILE`, which some libraries always set, and which says nothing in 64 bits.
const LARGE_FILE: u32 = if cfg!(target_arch = "aarch64") { 0o400_000 } else { 0o100_000 };

/// `AUDIT_ARCH_*` of the machine.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xc000_00f3;

/// One instruction of classic BPF, as the kernel reads it.
pub(crate) type Instruction = [u8; 8];

/// The filter for a command. Each is made once, as there are few.
pub(crate) fn filter(spec: Spec) -> Vec<Instruction> {
    static FILTERS: Mutex<Vec<(Spec, Vec<Instruction>)>> = Mutex::new(Vec::new());
    let mut filters = FILTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, filter)) = filters.iter().find(|(made, _)| *made == spec) {
        return filter.clone();
    }
    let filter = assemble(spec);
    filters.push((spec, filter.clone()));
    filter
}

fn assemble(spec: Spec) -> Vec<Instruction> {
    let mut assembler = Assembler { heard: spec.heard.is_some(), ..Assembler::default() };
    assembler.load(OFFSET_ARCHITECTURE);
    assembler.answer_unless(JUMP_EQUAL, ARCHITECTURE, Action::Errno(libc::ENOSYS));
    assembler.load(OFFSET_NUMBER);
    assembler.search(&ranges(&rules(spec)));
    assembler.close();
    assembler.code
}

type Rules = BTreeMap<u32, Action>;

fn rules(spec: Spec) -> Rules {
    let mut rules = Rules::new();
    let mut all = |calls: &[libc::c_long], action| {
        rules.extend(calls.iter().map(|call| (number(*call), action)));
    };
    all(SILENT, Action::Errno(libc::EPERM));
    all(REFUSED_HERE, Action::Errno(libc::EPERM));
    all(TOLD, Action::Hand(libc::EPERM));
    if !spec.sysv_ipc {
        all(SHARED_IPC, Action::Errno(libc::EACCES));
    }
    let mut test = |call, test| rules.insert(number(call), Action::Test(test));
    test(libc::SYS_clone, Test::Bits(0, NEW_NAMESPACES, libc::EPERM));
    test(libc::SYS_unshare, Test::Bits(0, NEW_NAMESPACES_OR_TIME, libc::EPERM));
    test(libc::SYS_ioctl, Test::OneOf(1, TERMINAL_TRICKS));
    test(libc::SYS_personality, Test::OnlyOf(PERSONALITIES));
    let datagrams = spec.heard.is_some_and(|heard| heard.datagrams);
    test(libc::SYS_socket, Test::Socket(spec.inet, datagrams));
    let init = if spec.heard.is_some() { INIT_AND_LISTENER } else { INIT };
    test(libc::SYS_prlimit64, Test::OneOf(0, init));
    if spec.inet == Inet::Connections {
        connect_only(&mut rules);
    }
    // Its flags lie in memory, where a filter cannot look; libraries fall back to clone(2).
    rules.insert(number(libc::SYS_clone3), Action::Errno(libc::ENOSYS));
    if let Some(heard) = spec.heard {
        hand(&mut rules, heard);
    }
    if !spec.own_processes {
        rules.insert(number(libc::SYS_prlimit64), Action::Test(Test::OnlyOf(MYSELF)));
    }
    if !spec.truncate {
        refuse_emptying(&mut rules);
    }
    rules
}

/// A connection is made by connect(2) alone, which is looked at: not with the first data, which
/// Landlock does not see. And it is not accepted.
fn connect_only(rules: &mut Rules) {
    const MSG_FASTOPEN: u32 = 0x2000_0000;
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        let test = Test::Without(flags, MSG_FASTOPEN, libc::EOPNOTSUPP);
        rules.insert(number(call), Action::Test(test));
    }
    rules.insert(number(libc::SYS_listen), Action::Hand(libc::EACCES));
}

fn refuse_emptying(rules: &mut Rules) {
    rules.insert(number(libc::SYS_truncate), Action::Errno(libc::EPERM));
    // Its flags lie in memory; libraries fall back to openat(2).
    rules.insert(number(libc::SYS_openat2), Action::Errno(libc::ENOSYS));
    for &(call, flags) in OPENING {
        rules.insert(number(call), Action::Test(Test::Empties(flags)));
    }
}

/// What is handed on beside refused calls.
fn hand(rules: &mut Rules, heard: Heard) {
    let mut set = |call, action| rules.insert(number(call), action);
    let carried_out = Action::Hand(0);
    if heard.connections {
        set(libc::SYS_connect, carried_out);
    }
    if heard.datagrams {
        set(libc::SYS_socketpair, Action::Test(Test::SocketPair));
    }
    if heard.changes {
        for call in CHANGES.iter().chain(CHANGES_HERE) {
            set(*call, carried_out);
        }
        // Without a path they are about an open file, which tar and cp do to each.
        set(libc::SYS_utimensat, Action::Test(Test::NotNull(1)));
        #[cfg(target_arch = "x86_64")]
        set(libc::SYS_futimesat, Action::Test(Test::NotNull(1)));
    }
    let opening = |flags| match heard {
        Heard { reads: true, .. } => Some(carried_out),
        Heard { changes: false, .. } => None,
        Heard { redirections: true, .. } => {
            Some(Action::Test(Test::Bits(flags, OPEN_TO_CHANGE, 0)))
        }
        _ => Some(Action::Test(Test::Changes(flags))),
    };
    if let Some(action) = opening(2) {
        set(libc::SYS_openat, action);
        set(libc::SYS_openat2, carried_out);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(action) = opening(1) {
        set(libc::SYS_open, action);
    }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("system call numbers are small")
}

/// The whole space of numbers as ranges: where each begins, and what holds from there on.
fn ranges(rules: &Rules) -> Vec<(u32, Action)> {
    let mut ranges = vec![(0, Action::Allow)];
    let mut add = |from: u32, action: Action| match ranges.last_mut() {
        Some(last) if last.0 == from => last.1 = action,
        Some(last) if last.1 == action => {}
        _ => ranges.push((from, action)),
    };
    for (&call, &action) in rules {
        add(call, action);
        if !rules.contains_key(&(call + 1)) {
            add(call + 1, Action::Allow);
        }
    }
    add(FIRST_UNKNOWN, Action::Errno(libc::ENOSYS));
    ranges
}

const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_FROM: u16 = 0x35;
const JUMP_BITS: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;
/// Its lower half is nothing to the kernel; the launcher reads it where nobody listens.
const SECCOMP_RET_USER_NOTIF: u32 = 0x7fc0_0000;

// `struct seccomp_data`: number, architecture, address of the instruction, six arguments.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;

/// Where the low half of an argument lies.
const fn offset_argument(index: u8) -> u32 {
    16 + 8 * index as u32 + if cfg!(target_endian = "big") { 4 } else { 0 }
}

/// Writes instructions. All jumps of a program of this size fit into the eight
/// bits they have; an answer that is jumped to is written once, at the end.
#[derive(Default)]
struct Assembler {
    /// The init listens.
    heard: bool,
    code: Vec<Instruction>,
    /// Jumps to an answer that is not written yet: instruction, byte of the offset, answer.
    open: Vec<(usize, usize, Action)>,
}

const IF_TRUE: usize = 2;
const IF_FALSE: usize = 3;

impl Assembler {
    fn emit(&mut self, code: u16, if_true: u8, if_false: u8, k: u32) {
        let (c, k) = (code.to_ne_bytes(), k.to_ne_bytes());
        self.code.push([c[0], c[1], if_true, if_false, k[0], k[1], k[2], k[3]]);
    }

    fn load(&mut self, offset: u32) {
        self.emit(LOAD_WORD, 0, 0, offset);
    }

    /// Goes to an answer if the comparison holds, on if not.
    fn answer_if(&mut self, comparison: u16, with: u32, action: Action) {
        self.open.push((self.code.len(), IF_TRUE, action));
        self.emit(comparison, 0, 0, with);
    }

    /// Goes to an answer if the comparison does not hold, on if it does.
    fn answer_unless(&mut self, comparison: u16, with: u32, action: Action) {
        self.open.push((self.code.len(), IF_FALSE, action));
        self.emit(comparison, 0, 0, with);
    }

    fn answer(&mut self, action: Action) {
        match action {
            Action::Allow => self.emit(RETURN, 0, 0, SECCOMP_RET_ALLOW),
            Action::Errno(errno) => {
                self.emit(RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.unsigned_abs());
            }
            Action::Hand(otherwise) if self.heard => {
                self.emit(RETURN, 0, 0, SECCOMP_RET_USER_NOTIF | otherwise.unsigned_abs());
            }
            Action::Hand(0) => self.answer(Action::Allow),
            Action::Hand(errno) => self.answer(Action::Errno(errno)),
            Action::Test(test) => self.test(test),
        }
    }

    /// Binary search: the middle decides between the halves, and a half of one
    /// range is its answer.
    fn search(&mut self, ranges: &[(u32, Action)]) {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let node = self.code.len();
        self.emit(JUMP_FROM, 0, 0, high[0].0);
        match low {
            [(_, action)] => self.open.push((node, IF_FALSE, *action)),
            _ => self.search(low),
        }
        match high {
            [(_, action)] => self.open.push((node, IF_TRUE, *action)),
            _ => {
                self.jump_here(node, IF_TRUE);
                self.search(high);
            }
        }
    }

    fn jump_here(&mut self, from: usize, branch: usize) {
        let over = self.code.len() - from - 1;
        self.code[from][branch] = u8::try_from(over).expect("a filter is short");
    }

    /// Writes every answer that is still jumped to.
    fn close(&mut self) {
        while let Some(&(_, _, action)) = self.open.first() {
            let (these, others): (Vec<_>, Vec<_>) =
                self.open.drain(..).partition(|(_, _, other)| *other == action);
            self.open = others;
            for (from, branch, _) in these {
                self.jump_here(from, branch);
            }
            self.answer(action);
        }
    }

    fn test(&mut self, test: Test) {
        let refused = Action::Errno(libc::EPERM);
        match test {
            Test::Bits(argument, bits, otherwise) => {
                self.load(offset_argument(argument));
                self.answer_if(JUMP_BITS, bits, Action::Hand(otherwise));
                self.answer(Action::Allow);
            }
            Test::Changes(flags) => self.changes(flags),
            Test::Without(argument, bits, errno) => {
                self.load(offset_argument(argument));
                self.answer_if(JUMP_BITS, bits, Action::Errno(errno));
                self.answer(Action::Allow);
            }
            Test::NotNull(argument) => {
                // No address has an empty lower half in practice, and this one is for a log.
                self.load(offset_argument(argument));
                self.answer_if(JUMP_EQUAL, 0, Action::Allow);
                self.answer(Action::Hand(0));
            }
            Test::OneOf(argument, values) => {
                self.load(offset_argument(argument));
                self.if_one_of(values, refused);
                self.answer(Action::Allow);
            }
            Test::OnlyOf(values) => {
                self.load(offset_argument(0));
                self.if_one_of(values, Action::Allow);
                self.answer(refused);
            }
            Test::Socket(inet, datagrams) => self.socket(inet, datagrams),
            Test::TcpSocket => {
                const SOCK_STREAM: u32 = 1;
                let refused = Action::Hand(libc::EACCES);
                self.load(offset_argument(1));
                self.emit(AND, 0, 0, TYPE_MASK);
                self.answer_unless(JUMP_EQUAL, SOCK_STREAM, refused);
                self.load(offset_argument(2));
                self.if_one_of(TCP_PROTOCOLS, Action::Allow);
                self.answer(refused);
            }
            Test::LocalSocket => {
                self.if_connected();
                self.answer(Action::Hand(0));
            }
            Test::Empties(flags) => self.empties(flags),
            Test::SocketPair => {
                self.load(offset_argument(0));
                self.answer_unless(JUMP_EQUAL, AF_UNIX, Action::Allow);
                self.if_connected();
                self.answer(Action::Hand(0));
            }
        }
    }

    /// Writing is asked for by one of the two lowest bits: both ask for neither reading nor writing.
    fn empties(&mut self, flags: u8) {
        const WRITE_ONLY: u32 = 1;
        const READ_AND_WRITE: u32 = 2;
        let refused = Action::Errno(libc::EPERM);
        self.load(offset_argument(flags));
        self.answer_unless(JUMP_BITS, libc::O_TRUNC as u32, Action::Allow);
        let lowest = self.code.len();
        self.emit(JUMP_BITS, 1, 0, WRITE_ONLY);
        self.either(JUMP_BITS, READ_AND_WRITE, Action::Allow, refused);
        debug_assert_eq!(self.code.len(), lowest + 2, "the jump leads to the next line");
        self.either(JUMP_BITS, READ_AND_WRITE, refused, Action::Allow);
    }

    /// The flags without the one that says nothing, and the mode that goes with all of them.
    fn changes(&mut self, flags: u8) {
        self.load(offset_argument(flags));
        self.answer_unless(JUMP_BITS, OPEN_TO_CHANGE, Action::Allow);
        self.emit(AND, 0, 0, !LARGE_FILE);
        let known = self.code.len();
        let count = REDIRECTIONS.len();
        for (index, value) in REDIRECTIONS.iter().enumerate() {
            let past = u8::try_from(count - index).expect("because there are few");
            self.emit(JUMP_EQUAL, past, 0, *value);
        }
        self.answer(Action::Hand(0));
        debug_assert_eq!(self.code.len(), known + count + 1, "the jumps lead to the next line");
        self.load(offset_argument(flags + 1));
        self.either(JUMP_EQUAL, 0o666, Action::Allow, Action::Hand(0));
    }

    /// Goes to one answer or the other.
    fn either(&mut self, comparison: u16, with: u32, holds: Action, fails: Action) {
        let here = self.code.len();
        self.open.extend([(here, IF_TRUE, holds), (here, IF_FALSE, fails)]);
        self.emit(comparison, 0, 0, with);
    }

    fn if_one_of(&mut self, values: &[u32], action: Action) {
        for value in values {
            self.answer_if(JUMP_EQUAL, *value, action);
        }
    }

    fn socket(&mut self, inet: Inet, datagrams: bool) {
        self.load(offset_argument(0));
        match inet {
            Inet::Any => {}
            Inet::Connections => self.if_one_of(INTERNET, Action::Test(Test::TcpSocket)),
            Inet::None => self.if_one_of(INTERNET, Action::Hand(libc::EACCES)),
        }
        if inet != Inet::Any {
            // It tells of the interfaces and sockets of a network that is not the tree's own.
            self.answer_if(JUMP_EQUAL, AF_NETLINK, Action::Hand(libc::EACCES));
        }
        if datagrams {
            self.answer_if(JUMP_EQUAL, AF_UNIX, Action::Test(Test::LocalSocket));
        }
        self.if_one_of(FAMILIES, Action::Allow);
        self.answer_unless(JUMP_EQUAL, AF_NETLINK, Action::Errno(libc::EAFNOSUPPORT));
        self.load(offset_argument(2));
        self.if_one_of(NETLINK_PROTOCOLS, Action::Allow);
        self.answer(Action::Errno(libc::EPROTONOSUPPORT));
    }

    /// A type of socket that must be connected before anything can be sent.
    fn if_connected(&mut self) {
        self.load(offset_argument(1));
        self.emit(AND, 0, 0, TYPE_MASK);
        self.if_one_of(CONNECTED_TYPES, Action::Allow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel does.
    fn verdict(spec: Spec, arch: u32, call: u32, arguments: [u64; 6]) -> u32 {
        let code = filter(spec);
        let word = |offset: u32| match offset {
            0 => call,
            4 => arch,
            _ => {
                let at = (offset as usize - 16) / 8;
                arguments[at] as u32
            }
        };
        let (mut pc, mut a) = (0, 0);
        loop {
            let [c0, c1, jt, jf, k @ ..] = code[pc];
            let k = u32::from_ne_bytes(k);
            pc += 1;
            let mut branch = |holds: bool| pc += usize::from(if holds { jt } else { jf });
            match u16::from_ne_bytes([c0, c1]) {
                LOAD_WORD => a = word(k),
                JUMP_EQUAL => branch(a == k),
                JUMP_FROM => branch(a >= k),
                JUMP_BITS => branch(a & k != 0),
                AND => a &= k,
                RETURN => return k,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn check_in(spec: Spec, call: libc::c_long, arguments: [u64; 6], expect: Action) {
        let expect = match (expect, spec.heard) {
            (Action::Hand(errno), Some(_)) => SECCOMP_RET_USER_NOTIF | errno.unsigned_abs(),
            (Action::Hand(errno), None) if errno != 0 => SECCOMP_RET_ERRNO | errno.unsigned_abs(),
            (Action::Errno(errno), _) => SECCOMP_RET_ERRNO | errno.unsigned_abs(),
            _ => SECCOMP_RET_ALLOW,
        };
        let got = verdict(spec, ARCHITECTURE, number(call), arguments);
        assert_eq!(got, expect, "call {call} {arguments:x?}");
    }

    fn check(call: libc::c_long, arguments: [u64; 6], expect: Action) {
        check_in(PLAIN, call, arguments, expect);
    }

    const CHANGES_ONLY: Heard = Heard {
        connections: true,
        datagrams: true,
        changes: true,
        redirections: false,
        reads: false,
    };
    const ALL_CHANGES: Spec =
        Spec { heard: Some(Heard { redirections: true, ..CHANGES_ONLY }), ..PLAIN };
    const HEARD: Spec = Spec { heard: Some(CHANGES_ONLY), ..PLAIN };
    const READS: Spec = Spec { heard: Some(Heard { reads: true, ..CHANGES_ONLY }), ..PLAIN };
    const BARE: Spec = Spec {
        inet: Inet::None,
        sysv_ipc: false,
        own_processes: false,
        truncate: false,
        heard: None,
    };

    #[test]
    fn on_the_host_its_processes_and_files_are_out_of_reach() {
        let check = |call, arguments, expect| check_in(BARE, call, arguments, expect);
        check(libc::SYS_prlimit64, first(0), Action::Allow);
        check(libc::SYS_prlimit64, first(77), EPERM);
        for (mode, expect) in [(0, EPERM), (1, Action::Allow), (2, Action::Allow), (3, EPERM)] {
            let with = |flags: i32| [0, 0, (flags | mode) as u64, 0, 0, 0];
            check(libc::SYS_openat, with(libc::O_TRUNC), expect);
            check(libc::SYS_openat, with(0), Action::Allow);
        }
        check(libc::SYS_truncate, [0; 6], EPERM);
        check(libc::SYS_openat2, [0; 6], Action::Errno(libc::ENOSYS));
    }

    fn first(argument: u64) -> [u64; 6] {
        [argument, 0, 0, 0, 0, 0]
    }

    const EPERM: Action = Action::Errno(libc::EPERM);

    #[test]
    fn every_number_has_the_action_of_its_rule() {
        let proxied = Spec { inet: Inet::Connections, heard: Some(CHANGES_ONLY), ..BARE };
        for spec in [PLAIN, HEARD, READS, BARE, proxied] {
            let rules = rules(spec);
            for call in 0..FIRST_UNKNOWN {
                match rules.get(&call) {
                    None => check_in(spec, call.into(), [0; 6], Action::Allow),
                    Some(Action::Test(_)) => {}
                    Some(action) => check_in(spec, call.into(), [0; 6], *action),
                }
            }
            for unknown in [FIRST_UNKNOWN, 1000, 0x4000_0000, 0x4000_0027, u32::MAX] {
                check_in(spec, unknown.into(), [0; 6], Action::Errno(libc::ENOSYS));
            }
        }
    }

    #[test]
    fn other_architectures_are_refused_whole() {
        for arch in [0x4000_0003, 0x4000_0028, 0] {
            let refused = SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
            assert_eq!(verdict(HEARD, arch, 20, [0; 6]), refused);
        }
    }

    #[test]
    fn arguments_decide_in_their_low_half() {
        let high = 1 << 32;
        check(libc::SYS_ioctl, [0, 0x5412, 0, 0, 0, 0], EPERM);
        check(libc::SYS_ioctl, [0, 0x5412 | high, 0, 0, 0, 0], EPERM);
        check(libc::SYS_ioctl, [0, 0x5413, 0, 0, 0, 0], Action::Allow);
        check(libc::SYS_clone, first(0x0120_0011), Action::Allow);
        check(libc::SYS_clone, first(0x1000_0011), EPERM);
        check(libc::SYS_clone3, [0; 6], Action::Errno(libc::ENOSYS));
        check(libc::SYS_unshare, first(0x400), Action::Allow);
        check(libc::SYS_unshare, first(0x80), EPERM);
        check(libc::SYS_personality, first(0x0004_0000), Action::Allow);
        check(libc::SYS_personality, first(0x0040_0000), EPERM);
        check(libc::SYS_prlimit64, first(0), Action::Allow);
        check(libc::SYS_prlimit64, first(1), EPERM);
        check(libc::SYS_socket, first(2), Action::Allow);
        check(libc::SYS_socket, first(40), Action::Errno(libc::EAFNOSUPPORT));
        check(libc::SYS_socket, [16, 3, 0, 0, 0, 0], Action::Allow);
        check(libc::SYS_socket, [16, 3, 9, 0, 0, 0], Action::Errno(libc::EPROTONOSUPPORT));
    }

    #[test]
    fn what_is_heard_is_handed_on() {
        let handed = Action::Hand(0);
        for spec in [HEARD, READS] {
            check_in(spec, libc::SYS_connect, [0; 6], handed);
            check_in(spec, libc::SYS_mount, [0; 6], Action::Hand(libc::EPERM));
            check_in(spec, libc::SYS_clone, first(0x1000_0011), Action::Hand(libc::EPERM));
            check_in(spec, libc::SYS_io_uring_setup, [0; 6], EPERM);
            check_in(spec, libc::SYS_openat2, [0; 6], handed);
            check_in(spec, libc::SYS_unlinkat, [0; 6], handed);
            check_in(spec, libc::SYS_utimensat, [3, 0, 0, 0, 0, 0], Action::Allow);
            check_in(spec, libc::SYS_utimensat, [3, 0x7000, 0, 0, 0, 0], handed);
            check_in(spec, libc::SYS_prlimit64, first(2), EPERM);
        }
        check(libc::SYS_prlimit64, first(2), Action::Allow);
        check(libc::SYS_connect, [0; 6], Action::Allow);
        check(libc::SYS_mount, [0; 6], EPERM);
    }

    #[test]
    fn an_open_is_handed_on_by_its_flags() {
        let check = |flags: i32, changes: bool| {
            let arguments = [0, 0, flags as u64, 0, 0, 0];
            let expect = if changes { Action::Hand(0) } else { Action::Allow };
            check_in(HEARD, libc::SYS_openat, arguments, expect);
            check_in(READS, libc::SYS_openat, arguments, Action::Hand(0));
            check_in(PLAIN, libc::SYS_openat, arguments, Action::Allow);
        };
        check(libc::O_RDONLY, false);
        check(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY, false);
        check(libc::O_PATH, false);
        for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE] {
            check(flags, true);
        }
    }

    #[test]
    fn redirections_of_shells_are_carried_out() {
        let check = |flags: i32, mode: u64, redirection: bool| {
            let arguments = [0, 0, flags as u64, mode, 0, 0];
            let expect = if redirection { Action::Allow } else { Action::Hand(0) };
            check_in(HEARD, libc::SYS_openat, arguments, expect);
            check_in(ALL_CHANGES, libc::SYS_openat, arguments, Action::Hand(0));
        };
        let create = libc::O_WRONLY | libc::O_CREAT;
        for flags in [libc::O_TRUNC, libc::O_APPEND, libc::O_EXCL] {
            check(create | flags, 0o666, true);
            check(create | flags | 0o100_000, 0o666, cfg!(target_arch = "x86_64"));
            check(create | flags, 0o644, false);
            check(create | flags | libc::O_CLOEXEC, 0o666, false);
        }
        check(libc::O_RDWR | libc::O_CREAT, 0o666, true);
        check(create, 0o666, false);
        check(libc::O_WRONLY | libc::O_TRUNC, 0o666, false);
    }

    #[test]
    fn sockets_that_need_no_connection_are_handed_on() {
        let check = |family: i32, kind: i32, expect: Action| {
            let arguments = [family as u64, kind as u64, 0, 0, 0, 0];
            check_in(HEARD, libc::SYS_socket, arguments, expect);
            check_in(PLAIN, libc::SYS_socket, arguments, Action::Allow);
        };
        let unix = libc::AF_UNIX;
        for flags in [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC] {
            check(unix, libc::SOCK_STREAM | flags, Action::Allow);
            check(unix, libc::SOCK_SEQPACKET | flags, Action::Allow);
            check(unix, libc::SOCK_DGRAM | flags, Action::Hand(0));
            check(unix, libc::SOCK_RAW | flags, Action::Hand(0));
            check(libc::AF_INET, libc::SOCK_DGRAM | flags, Action::Allow);
        }
        let pair = |kind: i32| [unix as u64, kind as u64, 0, 0, 0, 0];
        check_in(HEARD, libc::SYS_socketpair, pair(libc::SOCK_DGRAM), Action::Hand(0));
        check_in(HEARD, libc::SYS_socketpair, pair(libc::SOCK_STREAM), Action::Allow);
    }

    #[test]
    fn without_namespaces_network_and_ipc_are_refused() {
        const EACCES: Action = Action::Errno(libc::EACCES);
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
            check_in(BARE, libc::SYS_socket, first(family as u64), EACCES);
        }
        check_in(BARE, libc::SYS_socket, first(libc::AF_UNIX as u64), Action::Allow);
        for call in [libc::SYS_shmget, libc::SYS_shmat, libc::SYS_semop, libc::SYS_mq_open] {
            check_in(BARE, call, [0; 6], EACCES);
            check(call, [0; 6], Action::Allow);
        }
    }

    #[test]
    fn to_a_proxy_there_are_connections_of_tcp_alone() {
        const EACCES: Action = Action::Hand(libc::EACCES);
        let proxied = Spec { inet: Inet::Connections, heard: Some(CHANGES_ONLY), ..BARE };
        let check = |call, arguments, expect| check_in(proxied, call, arguments, expect);
        let socket = |family: i32, kind: i32, protocol: i32| {
            [family as u64, kind as u64, protocol as u64, 0, 0, 0]
        };
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        for family in [libc::AF_INET, libc::AF_INET6] {
            for protocol in [0, libc::IPPROTO_TCP] {
                let tcp = socket(family, libc::SOCK_STREAM | flags, protocol);
                check(libc::SYS_socket, tcp, Action::Allow);
            }
            for (kind, protocol) in [
                (libc::SOCK_DGRAM, 0),
                (libc::SOCK_DGRAM | flags, libc::IPPROTO_ICMP),
                (libc::SOCK_RAW, libc::IPPROTO_TCP),
                (libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
                (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
                (libc::SOCK_SEQPACKET, 0),
            ] {
                check(libc::SYS_socket, socket(family, kind, protocol), EACCES);
            }
        }
        check(libc::SYS_socket, socket(libc::AF_UNIX, libc::SOCK_STREAM, 0), Action::Allow);
        check(libc::SYS_listen, [0; 6], EACCES);
        check(libc::SYS_connect, [0; 6], Action::Hand(0));
        let fast = libc::MSG_FASTOPEN as u64;
        let refused = Action::Errno(libc::EOPNOTSUPP);
        for (call, with) in [
            (libc::SYS_sendto, [0, 0, 0, fast, 0, 0]),
            (libc::SYS_sendmsg, [0, 0, fast | 0x4000, 0, 0, 0]),
            (libc::SYS_sendmmsg, [0, 0, 0, fast, 0, 0]),
        ] {
            check(call, with, refused);
            check(call, [0; 6], Action::Allow);
            check_in(PLAIN, call, with, Action::Allow);
        }
    }

    #[test]
    fn the_filter_stays_small() {
        let check = |spec: Spec, most: usize| {
            let count = filter(spec).len();
            assert!(count < most, "{count} instructions");
        };
        check(PLAIN, 130);
        check(HEARD, 230);
        check(READS, 230);
    }
}

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
//! Deliberately not here: anything another wall keeps already (signals, tracing
//! of strangers, files), because a filter can see numbers and no paths.

use crate::spec::Network;
use std::{collections::BTreeMap, sync::LazyLock};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// It is carried out.
    Allow,
    /// It fails with this error number.
    Errno(i32),
    /// The arguments decide.
    Test(Test),
}

/// Tests of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// Any of these bits in argument 0: refused.
    Bits(u32),
    /// Argument `.0` is one of these: refused.
    OneOf(u8, &'static [u32]),
    /// Argument 0 is one of these: allowed; anything else refused.
    OnlyOf(&'static [u32]),
    /// socket(2): few families, and few protocols of netlink.
    Socket,
    /// socket(2): Unix sockets only.
    OnlyUnix,
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
/// prlimit(2) without a process number.
const MYSELF: &[u32] = &[0];
const ONLY_UNIX: &[u32] = &[1];
/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
const FAMILIES: &[u32] = &[1, 2, 10];
const AF_NETLINK: u32 = 16;
/// `NETLINK_ROUTE`, `NETLINK_SOCK_DIAG`.
const NETLINK_PROTOCOLS: &[u32] = &[0, 4];

/// The first number no kernel up to 6.18 has.
const FIRST_UNKNOWN: u32 = 470;

/// Calls refused whatever their arguments.
const REFUSED: &[libc::c_long] = &[
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
    // Files by number instead of by path.
    libc::SYS_open_by_handle_at,
    // Keys are kept by user, across all sandboxes.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Programs and rings inside the kernel; a ring escapes this very filter.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
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
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    QUOTACTL_FD,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// Calls that reach the host's memory, semaphores and queues, where these are not the command's own.
const SHARED: &[libc::c_long] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
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

/// `AUDIT_ARCH_*` of the machine.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xc000_00f3;

/// One instruction of classic BPF, as the kernel reads it.
pub(crate) type Instruction = [u8; 8];

/// The filter for every command in a sandbox. It never changes, so it is made once.
pub(crate) fn filter() -> Vec<Instruction> {
    static FILTER: LazyLock<Vec<Instruction>> = LazyLock::new(|| assemble(&rules()));
    FILTER.clone()
}

/// The filter for a command that shares the host's network, IPC and process numbers: it keeps
/// them out of reach. Where Landlock does not know emptying a file, the ways to do that without
/// opening it for writing are refused.
pub(crate) fn filter_on_host(network: Network, knows_truncate: bool) -> Vec<Instruction> {
    let mut rules = rules();
    let refused = SHARED.iter().map(|call| (number(*call), Action::Errno(libc::EPERM)));
    rules.extend(refused);
    rules.insert(number(libc::SYS_prlimit64), Action::Test(Test::OnlyOf(MYSELF)));
    if network == Network::Deny {
        rules.insert(number(libc::SYS_socket), Action::Test(Test::OnlyUnix));
    }
    if !knows_truncate {
        rules.insert(number(libc::SYS_truncate), Action::Errno(libc::EPERM));
        // Its flags lie in memory; libraries fall back to openat(2).
        rules.insert(number(libc::SYS_openat2), Action::Errno(libc::ENOSYS));
        for &(call, flags) in OPENING {
            rules.insert(number(call), Action::Test(Test::Empties(flags)));
        }
    }
    assemble(&rules)
}

fn assemble(rules: &BTreeMap<u32, Action>) -> Vec<Instruction> {
    let mut assembler = Assembler::default();
    assembler.load(OFFSET_ARCHITECTURE);
    assembler.answer_unless(JUMP_EQUAL, ARCHITECTURE, Action::Errno(libc::ENOSYS));
    assembler.load(OFFSET_NUMBER);
    assembler.search(&ranges(rules));
    assembler.close();
    assembler.code
}

fn rules() -> BTreeMap<u32, Action> {
    let mut rules: BTreeMap<u32, Action> = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|call| (number(*call), Action::Errno(libc::EPERM)))
        .collect();
    let mut test = |call, test| rules.insert(number(call), Action::Test(test));
    test(libc::SYS_clone, Test::Bits(NEW_NAMESPACES));
    test(libc::SYS_unshare, Test::Bits(NEW_NAMESPACES_OR_TIME));
    test(libc::SYS_ioctl, Test::OneOf(1, TERMINAL_TRICKS));
    test(libc::SYS_personality, Test::OnlyOf(PERSONALITIES));
    test(libc::SYS_socket, Test::Socket);
    test(libc::SYS_prlimit64, Test::OneOf(0, INIT));
    // Its flags lie in memory, where a filter cannot look; libraries fall back to clone(2).
    rules.insert(number(libc::SYS_clone3), Action::Errno(libc::ENOSYS));
    rules
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).expect("system call numbers are small")
}

/// The whole space of numbers as ranges: where each begins, and what holds from there on.
fn ranges(rules: &BTreeMap<u32, Action>) -> Vec<(u32, Action)> {
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
const RETURN: u16 = 0x06;
const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;

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
            Test::Bits(bits) => {
                self.load(offset_argument(0));
                self.answer_if(JUMP_BITS, bits, refused);
                self.answer(Action::Allow);
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
            Test::Socket => self.socket(),
            Test::Empties(flags) => self.empties(flags),
            Test::OnlyUnix => {
                self.load(offset_argument(0));
                self.if_one_of(ONLY_UNIX, Action::Allow);
                self.answer(Action::Errno(libc::EAFNOSUPPORT));
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

    fn socket(&mut self) {
        self.load(offset_argument(0));
        self.if_one_of(FAMILIES, Action::Allow);
        self.answer_unless(JUMP_EQUAL, AF_NETLINK, Action::Errno(libc::EAFNOSUPPORT));
        self.load(offset_argument(2));
        self.if_one_of(NETLINK_PROTOCOLS, Action::Allow);
        self.answer(Action::Errno(libc::EPROTONOSUPPORT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel does.
    fn verdict(arch: u32, call: u32, arguments: [u64; 6]) -> u32 {
        verdict_of(&filter(), arch, call, arguments)
    }

    fn verdict_of(code: &[Instruction], arch: u32, call: u32, arguments: [u64; 6]) -> u32 {
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
                RETURN => return k,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    fn check(call: libc::c_long, arguments: [u64; 6], expect: Action) {
        let expect = match expect {
            Action::Errno(errno) => SECCOMP_RET_ERRNO | errno.unsigned_abs(),
            _ => SECCOMP_RET_ALLOW,
        };
        let got = verdict(ARCHITECTURE, number(call), arguments);
        assert_eq!(got, expect, "call {call} {arguments:x?}");
    }

    #[test]
    fn on_the_host_its_network_ipc_and_processes_are_out_of_reach() {
        let check = |network, knows_truncate, call, arguments, expect: Option<i32>| {
            let code = filter_on_host(network, knows_truncate);
            let expect =
                expect.map_or(SECCOMP_RET_ALLOW, |errno| SECCOMP_RET_ERRNO | errno.unsigned_abs());
            let got = verdict_of(&code, ARCHITECTURE, number(call), arguments);
            assert_eq!(got, expect, "call {call} {arguments:x?}");
        };
        let refused = Some(libc::EAFNOSUPPORT);
        for (family, deny) in [(1, None), (2, refused), (10, refused), (16, refused), (40, refused)]
        {
            check(Network::Deny, true, libc::SYS_socket, first(family), deny);
        }
        check(Network::Inherit, true, libc::SYS_socket, first(2), None);
        for call in [libc::SYS_shmget, libc::SYS_semop, libc::SYS_msgrcv, libc::SYS_mq_open] {
            check(Network::Inherit, true, call, [0; 6], Some(libc::EPERM));
        }
        check(Network::Deny, true, libc::SYS_prlimit64, first(0), None);
        check(Network::Deny, true, libc::SYS_prlimit64, first(77), Some(libc::EPERM));
        let with = |mode: i32| [0, 0, (libc::O_TRUNC | mode) as u64, 0, 0, 0];
        for (mode, expect) in [(0, Some(libc::EPERM)), (1, None), (2, None), (3, Some(libc::EPERM))]
        {
            check(Network::Deny, false, libc::SYS_openat, with(mode), expect);
            check(Network::Deny, true, libc::SYS_openat, with(mode), None);
            check(Network::Deny, false, libc::SYS_openat, [0, 0, mode as u64, 0, 0, 0], None);
        }
        check(Network::Deny, false, libc::SYS_truncate, [0; 6], Some(libc::EPERM));
        check(Network::Deny, false, libc::SYS_openat2, [0; 6], Some(libc::ENOSYS));
        check(Network::Deny, true, libc::SYS_truncate, [0; 6], None);
    }

    fn first(argument: u64) -> [u64; 6] {
        [argument, 0, 0, 0, 0, 0]
    }

    const EPERM: Action = Action::Errno(libc::EPERM);

    #[test]
    fn every_number_has_the_action_of_its_rule() {
        let rules = rules();
        for call in 0..FIRST_UNKNOWN {
            match rules.get(&call) {
                None => check(call.into(), [0; 6], Action::Allow),
                Some(Action::Test(_)) => {}
                Some(action) => check(call.into(), [0; 6], *action),
            }
        }
        for unknown in [FIRST_UNKNOWN, 1000, 0x4000_0000, 0x4000_0027, u32::MAX] {
            check(unknown.into(), [0; 6], Action::Errno(libc::ENOSYS));
        }
    }

    #[test]
    fn other_architectures_are_refused_whole() {
        for arch in [0x4000_0003, 0x4000_0028, 0] {
            assert_eq!(verdict(arch, 20, [0; 6]), SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs());
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
    fn the_filter_stays_small() {
        assert!(filter().len() < 130, "{} instructions", filter().len());
    }
}

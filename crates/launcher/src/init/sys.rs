//! System calls without a C library: one instruction, and the numbers.
//!
//! The only module of the init that talks to the kernel. Everything returns the
//! kernel's own answer: a value, or an error number as [`Errno`].

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the structures of system calls are written for 64-bit machines");

/// An error number of the kernel, above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) const EPERM: Errno = Errno(1);
pub(crate) const ENOENT: Errno = Errno(2);
pub(crate) const EINTR: Errno = Errno(4);
pub(crate) const ENOEXEC: Errno = Errno(8);
pub(crate) const EAGAIN: Errno = Errno(11);
pub(crate) const EACCES: Errno = Errno(13);
pub(crate) const EFAULT: Errno = Errno(14);
pub(crate) const EEXIST: Errno = Errno(17);
pub(crate) const ENOTDIR: Errno = Errno(20);
pub(crate) const EINVAL: Errno = Errno(22);
pub(crate) const EROFS: Errno = Errno(30);
pub(crate) const ENAMETOOLONG: Errno = Errno(36);
pub(crate) const ENOSYS: Errno = Errno(38);
pub(crate) const ELOOP: Errno = Errno(40);
pub(crate) const EBADMSG: Errno = Errno(74);
pub(crate) const ECANCELED: Errno = Errno(125);
pub(crate) const ENETUNREACH: Errno = Errno(101);
pub(crate) const ECONNREFUSED: Errno = Errno(111);
pub(crate) const EHOSTUNREACH: Errno = Errno(113);
pub(crate) const EINPROGRESS: Errno = Errno(115);
pub(crate) const ESTALE: Errno = Errno(116);

/// What a call gives: a value from 0 up, or an error.
pub(crate) type Answer = Result<usize, Errno>;

#[cfg(target_arch = "x86_64")]
pub(crate) mod nr {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const MMAP: usize = 9;
    pub(crate) const RT_SIGACTION: usize = 13;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const IOCTL: usize = 16;
    pub(crate) const SCHED_YIELD: usize = 24;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const SOCKET: usize = 41;
    pub(crate) const CONNECT: usize = 42;
    pub(crate) const LISTEN: usize = 50;
    pub(crate) const SENDTO: usize = 44;
    pub(crate) const RECVFROM: usize = 45;
    pub(crate) const SENDMSG: usize = 46;
    pub(crate) const RECVMSG: usize = 47;
    pub(crate) const SHUTDOWN: usize = 48;
    pub(crate) const SOCKETPAIR: usize = 53;
    pub(crate) const GETSOCKOPT: usize = 55;
    pub(crate) const CLONE: usize = 56;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const EXIT: usize = 60;
    pub(crate) const WAIT4: usize = 61;
    pub(crate) const KILL: usize = 62;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const CHDIR: usize = 80;
    pub(crate) const UMASK: usize = 95;
    pub(crate) const GETRUSAGE: usize = 98;
    pub(crate) const GETUID: usize = 102;
    pub(crate) const SETSID: usize = 112;
    pub(crate) const CAPSET: usize = 126;
    pub(crate) const STATFS: usize = 137;
    pub(crate) const FSTATFS: usize = 138;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const GETDENTS64: usize = 217;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const MKDIRAT: usize = 258;
    pub(crate) const SYMLINKAT: usize = 266;
    pub(crate) const READLINKAT: usize = 267;
    pub(crate) const PPOLL: usize = 271;
    pub(crate) const UNSHARE: usize = 272;
    pub(crate) const SIGNALFD4: usize = 289;
    pub(crate) const DUP3: usize = 292;
    pub(crate) const PRLIMIT64: usize = 302;
    pub(crate) const PROCESS_VM_READV: usize = 310;
    pub(crate) const PROCESS_VM_WRITEV: usize = 311;
    pub(crate) const WAITID: usize = 247;
    pub(crate) const SECCOMP: usize = 317;
    pub(crate) const STATX: usize = 332;
}

#[cfg(target_arch = "aarch64")]
pub(crate) mod nr {
    pub(crate) const DUP3: usize = 24;
    pub(crate) const FCNTL: usize = 25;
    pub(crate) const IOCTL: usize = 29;
    pub(crate) const MKDIRAT: usize = 34;
    pub(crate) const SYMLINKAT: usize = 36;
    pub(crate) const STATFS: usize = 43;
    pub(crate) const FSTATFS: usize = 44;
    pub(crate) const CHDIR: usize = 49;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const GETDENTS64: usize = 61;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const PPOLL: usize = 73;
    pub(crate) const SIGNALFD4: usize = 74;
    pub(crate) const READLINKAT: usize = 78;
    pub(crate) const CAPSET: usize = 91;
    pub(crate) const WAITID: usize = 95;
    pub(crate) const EXIT: usize = 93;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const UNSHARE: usize = 97;
    pub(crate) const CLOCK_GETTIME: usize = 113;
    pub(crate) const SCHED_YIELD: usize = 124;
    pub(crate) const KILL: usize = 129;
    pub(crate) const RT_SIGACTION: usize = 134;
    pub(crate) const RT_SIGPROCMASK: usize = 135;
    pub(crate) const SETSID: usize = 157;
    pub(crate) const GETRUSAGE: usize = 165;
    pub(crate) const UMASK: usize = 166;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const GETPID: usize = 172;
    pub(crate) const GETUID: usize = 174;
    pub(crate) const SOCKET: usize = 198;
    pub(crate) const SOCKETPAIR: usize = 199;
    pub(crate) const LISTEN: usize = 201;
    pub(crate) const CONNECT: usize = 203;
    pub(crate) const SENDTO: usize = 206;
    pub(crate) const RECVFROM: usize = 207;
    pub(crate) const GETSOCKOPT: usize = 209;
    pub(crate) const SHUTDOWN: usize = 210;
    pub(crate) const SENDMSG: usize = 211;
    pub(crate) const RECVMSG: usize = 212;
    pub(crate) const CLONE: usize = 220;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const MMAP: usize = 222;
    pub(crate) const WAIT4: usize = 260;
    pub(crate) const PRLIMIT64: usize = 261;
    pub(crate) const PROCESS_VM_READV: usize = 270;
    pub(crate) const PROCESS_VM_WRITEV: usize = 271;
    pub(crate) const SECCOMP: usize = 277;
    pub(crate) const STATX: usize = 291;
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) mod nr {
    pub(crate) const READ: usize = libc::SYS_read as usize;
    pub(crate) const WRITE: usize = libc::SYS_write as usize;
    pub(crate) const CLOSE: usize = libc::SYS_close as usize;
    pub(crate) const MMAP: usize = libc::SYS_mmap as usize;
    pub(crate) const RT_SIGACTION: usize = libc::SYS_rt_sigaction as usize;
    pub(crate) const RT_SIGPROCMASK: usize = libc::SYS_rt_sigprocmask as usize;
    pub(crate) const IOCTL: usize = libc::SYS_ioctl as usize;
    pub(crate) const GETPID: usize = libc::SYS_getpid as usize;
    pub(crate) const SOCKET: usize = libc::SYS_socket as usize;
    pub(crate) const SENDMSG: usize = libc::SYS_sendmsg as usize;
    pub(crate) const SOCKETPAIR: usize = libc::SYS_socketpair as usize;
    pub(crate) const CLONE: usize = libc::SYS_clone as usize;
    pub(crate) const EXECVE: usize = libc::SYS_execve as usize;
    pub(crate) const WAIT4: usize = libc::SYS_wait4 as usize;
    pub(crate) const WAITID: usize = libc::SYS_waitid as usize;
    pub(crate) const KILL: usize = libc::SYS_kill as usize;
    pub(crate) const CHDIR: usize = libc::SYS_chdir as usize;
    pub(crate) const GETRUSAGE: usize = libc::SYS_getrusage as usize;
    pub(crate) const UMASK: usize = libc::SYS_umask as usize;
    pub(crate) const SETSID: usize = libc::SYS_setsid as usize;
    pub(crate) const CAPSET: usize = libc::SYS_capset as usize;
    pub(crate) const PRCTL: usize = libc::SYS_prctl as usize;
    pub(crate) const GETDENTS64: usize = libc::SYS_getdents64 as usize;
    pub(crate) const CLOCK_GETTIME: usize = libc::SYS_clock_gettime as usize;
    pub(crate) const EXIT_GROUP: usize = libc::SYS_exit_group as usize;
    pub(crate) const OPENAT: usize = libc::SYS_openat as usize;
    pub(crate) const MKDIRAT: usize = libc::SYS_mkdirat as usize;
    pub(crate) const SYMLINKAT: usize = libc::SYS_symlinkat as usize;
    pub(crate) const PPOLL: usize = libc::SYS_ppoll as usize;
    pub(crate) const UNSHARE: usize = libc::SYS_unshare as usize;
    pub(crate) const SIGNALFD4: usize = libc::SYS_signalfd4 as usize;
    pub(crate) const DUP3: usize = libc::SYS_dup3 as usize;
    pub(crate) const PRLIMIT64: usize = libc::SYS_prlimit64 as usize;
    pub(crate) const SECCOMP: usize = libc::SYS_seccomp as usize;
    pub(crate) const STATX: usize = libc::SYS_statx as usize;
    pub(crate) const SCHED_YIELD: usize = libc::SYS_sched_yield as usize;
    pub(crate) const SENDTO: usize = libc::SYS_sendto as usize;
    pub(crate) const SENDMSG: usize = libc::SYS_sendmsg as usize;
    pub(crate) const CONNECT: usize = libc::SYS_connect as usize;
    pub(crate) const LISTEN: usize = libc::SYS_listen as usize;
    pub(crate) const RECVFROM: usize = libc::SYS_recvfrom as usize;
    pub(crate) const RECVMSG: usize = libc::SYS_recvmsg as usize;
    pub(crate) const SHUTDOWN: usize = libc::SYS_shutdown as usize;
    pub(crate) const GETSOCKOPT: usize = libc::SYS_getsockopt as usize;
    pub(crate) const EXIT: usize = libc::SYS_exit as usize;
    pub(crate) const FCNTL: usize = libc::SYS_fcntl as usize;
    pub(crate) const STATFS: usize = libc::SYS_statfs as usize;
    pub(crate) const FSTATFS: usize = libc::SYS_fstatfs as usize;
    pub(crate) const READLINKAT: usize = libc::SYS_readlinkat as usize;
    pub(crate) const PROCESS_VM_READV: usize = libc::SYS_process_vm_readv as usize;
    pub(crate) const PROCESS_VM_WRITEV: usize = libc::SYS_process_vm_writev as usize;
    pub(crate) const GETUID: usize = libc::SYS_getuid as usize;
    pub(crate) const SOCKETPAIR: usize = libc::SYS_socketpair as usize;
}

/// Numbers that are the same on every machine (Linux 5.0 and later).
pub(crate) mod new {
    pub(crate) const PIDFD_SEND_SIGNAL: usize = 424;
    pub(crate) const OPEN_TREE: usize = 428;
    pub(crate) const MOVE_MOUNT: usize = 429;
    pub(crate) const FSOPEN: usize = 430;
    pub(crate) const FSCONFIG: usize = 431;
    pub(crate) const FSMOUNT: usize = 432;
    pub(crate) const PIDFD_OPEN: usize = 434;
    pub(crate) const CLOSE_RANGE: usize = 436;
    pub(crate) const OPENAT2: usize = 437;
    pub(crate) const PIDFD_GETFD: usize = 438;
    pub(crate) const FACCESSAT2: usize = 439;
    pub(crate) const MOUNT_SETATTR: usize = 442;
    pub(crate) const LANDLOCK_CREATE_RULESET: usize = 444;
    pub(crate) const LANDLOCK_ADD_RULE: usize = 445;
    pub(crate) const LANDLOCK_RESTRICT_SELF: usize = 446;
}

fn answer(raw: isize) -> Answer {
    if (-4095..0).contains(&raw) { Err(Errno(-raw as i32)) } else { Ok(raw as usize) }
}

/// One system call.
///
/// # Safety
/// Every argument is what the call of that number expects: addresses are valid
/// for what the kernel reads or writes there.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn call(nr: usize, a: [usize; 6]) -> Answer {
    let raw: isize;
    // SAFETY: the kernel's calling convention; rcx and r11 are overwritten.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") nr as isize => raw,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer(raw)
}

/// One system call.
///
/// # Safety
/// Every argument is what the call of that number expects.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn call(nr: usize, a: [usize; 6]) -> Answer {
    let raw: isize;
    // SAFETY: the kernel's calling convention.
    unsafe {
        core::arch::asm!("svc 0", in("x8") nr, inlateout("x0") a[0] => raw,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    answer(raw)
}

/// One system call, by the C library.
///
/// # Safety
/// Every argument is what the call of that number expects.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe fn call(nr: usize, a: [usize; 6]) -> Answer {
    // SAFETY: by the caller's promise.
    let raw = unsafe { libc::syscall(nr as libc::c_long, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if raw == -1 {
        // SAFETY: the address of this thread's error number is always valid.
        return Err(Errno(unsafe { *libc::__errno_location() }));
    }
    answer(raw as isize)
}

const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;
const SIGCHLD: usize = 17;
/// A process that shares this memory; its parent sleeps until it has executed a
/// program or ended.
pub(crate) const BORROWER: usize = CLONE_VM | CLONE_VFORK | SIGCHLD;
/// A thread: shares memory, directory, descriptors, signal actions, and the process.
pub(crate) const THREAD: usize = CLONE_VM | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
/// Threads need system calls that keep no error number in a thread's own memory.
pub(crate) const HAS_THREADS: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Starts a [`BORROWER`] or a [`THREAD`] that runs `body` on the stack that ends at
/// `stack_top`; its number.
///
/// # Safety
/// `stack_top` is the 16-byte aligned end of a stack nobody else uses, and `body`
/// never returns.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn spawn_sharing(
    flags: usize,
    stack_top: usize,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> Answer {
    let raw: isize;
    // SAFETY: the child comes out of the call on its own stack and goes to `body`.
    unsafe {
        core::arch::asm!("syscall", "test rax, rax", "jnz 2f", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") nr::CLONE as isize => raw,
            in("rdi") flags, in("rsi") stack_top, in("rdx") 0, in("r10") 0, in("r8") 0,
            in("r12") argument, in("r13") body, lateout("rcx") _, lateout("r11") _);
    }
    answer(raw)
}

/// Starts a [`BORROWER`] or a [`THREAD`]; see the x86-64 version.
///
/// # Safety
/// `stack_top` is the 16-byte aligned end of a stack nobody else uses, and `body`
/// never returns.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn spawn_sharing(
    flags: usize,
    stack_top: usize,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> Answer {
    let raw: isize;
    // SAFETY: the child comes out of the call on its own stack and goes to `body`.
    unsafe {
        core::arch::asm!("svc 0", "cbnz x0, 2f", "mov x0, x20", "blr x21", "brk #1", "2:",
            in("x8") nr::CLONE, inlateout("x0") flags => raw,
            in("x1") stack_top, in("x2") 0, in("x3") 0, in("x4") 0, in("x20") argument, in("x21") body,
            lateout("lr") _);
    }
    answer(raw)
}

/// Starts a [`BORROWER`], by the C library.
///
/// # Safety
/// `stack_top` is the 16-byte aligned end of a stack nobody else uses, and `body`
/// never returns.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe fn spawn_sharing(
    flags: usize,
    stack_top: usize,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> Answer {
    struct Start(extern "C" fn(usize) -> !, usize);
    extern "C" fn enter(start: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the parent is suspended, so its frame with `start` lives.
        let start = unsafe { &*start.cast::<Start>() };
        (start.0)(start.1)
    }
    let start = Start(body, argument);
    let flags = flags as libc::c_int;
    // SAFETY: the stack is the caller's promise, `start` outlives the suspension.
    let raw = unsafe {
        libc::clone(enter, stack_top as *mut _, flags, (&raw const start).cast_mut().cast())
    };
    if raw == -1 {
        // SAFETY: the address of this thread's error number is always valid.
        return Err(Errno(unsafe { *libc::__errno_location() }));
    }
    answer(raw as isize)
}

/// The arguments of clone3(2), by their places.
pub(crate) type Clone3 = [u64; 11];

const CLONE3: usize = 435;

/// Starts a [`BORROWER`] as clone3(2) is told: on the stack of words 5 and 6.
///
/// # Safety
/// The stack ends at a multiple of 16 and nobody else uses it, `body` never returns, and whatever
/// words of `how` point to can be written.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn spawn_by_clone3(
    how: &Clone3,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> Answer {
    let raw: isize;
    // SAFETY: the child comes out of the call on its own stack and goes to `body`.
    unsafe {
        core::arch::asm!("syscall", "test rax, rax", "jnz 2f", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") CLONE3 as isize => raw,
            in("rdi") how.as_ptr(), in("rsi") size_of::<Clone3>(),
            in("r12") argument, in("r13") body, lateout("rcx") _, lateout("r11") _);
    }
    answer(raw)
}

/// Starts a [`BORROWER`] as clone3(2) is told; see the x86-64 version.
///
/// # Safety
/// The stack ends at a multiple of 16 and nobody else uses it, `body` never returns, and whatever
/// words of `how` point to can be written.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn spawn_by_clone3(
    how: &Clone3,
    body: extern "C" fn(usize) -> !,
    argument: usize,
) -> Answer {
    let raw: isize;
    // SAFETY: the child comes out of the call on its own stack and goes to `body`.
    unsafe {
        core::arch::asm!("svc 0", "cbnz x0, 2f", "mov x0, x20", "blr x21", "brk #1", "2:",
            in("x8") CLONE3, inlateout("x0") how.as_ptr() as usize => raw,
            in("x1") size_of::<Clone3>(), in("x20") argument, in("x21") body, lateout("lr") _);
    }
    answer(raw)
}

/// No way to start one by clone3(2) is written for this machine.
///
/// # Safety
/// None is needed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe fn spawn_by_clone3(_: &Clone3, _: extern "C" fn(usize) -> !, _: usize) -> Answer {
    Err(ENOSYS)
}

/// A process that is a copy of this one, as clone3(2) is told: 0 in the copy.
pub(crate) fn copy_by_clone3(how: &Clone3, size: usize) -> Answer {
    // SAFETY: a structure of eleven words, of which the kernel reads `size` bytes. The copy has its own
    // memory.
    unsafe { call(CLONE3, [how.as_ptr() as usize, size.min(size_of::<Clone3>()), 0, 0, 0, 0]) }
}

/// The same by clone(2), without what only clone3(2) can.
pub(crate) fn copy_by_clone(how: &Clone3) -> Answer {
    let flags = (how[0] | how[4]) as usize;
    let (flags, stack) = if cfg!(target_arch = "s390x") { (0, flags) } else { (flags, 0) };
    // SAFETY: no stack of its own, and the place for the descriptor of the process that `how` points to; the copy has its
    // own memory.
    unsafe { call(nr::CLONE, [flags, stack, how[1] as usize, 0, 0, 0]) }
}

/// Ends this thread.
pub(crate) fn exit_thread() -> ! {
    loop {
        let _ = numbers(nr::EXIT, [0; 5]);
    }
}

/// Ends this process with all its threads.
pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: takes a number.
        let _ = unsafe { call(nr::EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

pub(crate) const AT_FDCWD: usize = -100_isize as usize;
pub(crate) const O_WRONLY: usize = 1;
pub(crate) const O_CREAT: usize = 0o100;
pub(crate) const O_EXCL: usize = 0o200;
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;
pub(crate) const O_PATH: usize = 0o10_000_000;
#[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64"))]
pub(crate) const O_NOFOLLOW: usize = 0o100_000;
#[cfg(not(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64")))]
pub(crate) const O_NOFOLLOW: usize = 0o400_000;
#[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64"))]
pub(crate) const O_DIRECTORY: usize = 0o40_000;
#[cfg(not(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc64")))]
pub(crate) const O_DIRECTORY: usize = 0o200_000;

/// Calls with plain numbers only.
pub(crate) fn numbers(nr: usize, a: [usize; 5]) -> Answer {
    // SAFETY: callers name calls whose arguments are numbers, none an address.
    unsafe { call(nr, [a[0], a[1], a[2], a[3], a[4], 0]) }
}

/// Calls with one C string after a descriptor, then numbers.
pub(crate) fn at_path(nr: usize, dir: usize, path: &[u8], a: [usize; 3]) -> Answer {
    if path.last() != Some(&0) {
        return Err(EINVAL);
    }
    // SAFETY: the path ends with a NUL byte; the rest are numbers.
    unsafe { call(nr, [dir, path.as_ptr() as usize, a[0], a[1], a[2], 0]) }
}

pub(crate) fn close(fd: i32) {
    // A descriptor that is not open has nothing to be closed.
    let _ = numbers(nr::CLOSE, [fd as usize, 0, 0, 0, 0]);
}

pub(crate) fn open(path: &[u8], flags: usize, mode: usize) -> Result<i32, Errno> {
    at_path(nr::OPENAT, AT_FDCWD, path, [flags | O_CLOEXEC, mode, 0]).map(|fd| fd as i32)
}

/// Writes into a file that is there, in one call, as the files of `/proc` want it.
pub(crate) fn write_file(path: &[u8], content: &[u8]) -> Answer {
    let fd = open(path, O_WRONLY, 0)?;
    let written = write(fd, content);
    close(fd);
    written
}

/// Makes the effective, permitted and inheritable capabilities of this thread these
/// of the first 32: capset(2).
pub(crate) fn set_capabilities(set: u32) -> Answer {
    capset([set, set, set])
}

/// `CAP_NET_ADMIN`, as a number.
pub(crate) const NET_ADMIN: usize = 12;
/// `CAP_SYS_PTRACE`, as a number.
pub(crate) const SYS_PTRACE: usize = 19;

/// Effective, permitted and inheritable capabilities of this thread, the first 32 of each.
pub(crate) fn capset([effective, permitted, inheritable]: [u32; 3]) -> Answer {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let data = [effective, permitted, inheritable, 0, 0, 0];
    let (header, data) = (header.as_ptr() as usize, data.as_ptr() as usize);
    // SAFETY: the two structures of that version.
    unsafe { call(nr::CAPSET, [header, data, 0, 0, 0, 0]) }
}

pub(crate) fn read(fd: i32, into: &mut [u8]) -> Answer {
    // SAFETY: the buffer is valid for its length.
    unsafe { call(nr::READ, [fd as usize, into.as_mut_ptr() as usize, into.len(), 0, 0, 0]) }
}

pub(crate) fn write(fd: i32, from: &[u8]) -> Answer {
    // SAFETY: the buffer is valid for its length.
    unsafe { call(nr::WRITE, [fd as usize, from.as_ptr() as usize, from.len(), 0, 0, 0]) }
}

/// A pair of connected Unix sockets: their type, and flags as open(2) has them.
pub(crate) fn socket_pair(kind: usize, flags: usize) -> Result<[i32; 2], Errno> {
    const AF_UNIX: usize = 1;
    let mut pair = [-1; 2];
    let address = pair.as_mut_ptr() as usize;
    // SAFETY: room for two descriptors.
    unsafe { call(nr::SOCKETPAIR, [AF_UNIX, kind | flags, 0, address, 0, 0])? };
    Ok(pair)
}

/// What an open file is called, as `/proc` has it.
pub(crate) fn name_of_descriptor(
    fd: i32,
    into: &mut core::mem::MaybeUninit<[u8; 4096]>,
) -> Option<&[u8]> {
    let path = super::proc::of_descriptor(fd);
    let (target, size) = (into.as_mut_ptr() as usize, size_of_val(into));
    let n = at_path(nr::READLINKAT, AT_FDCWD, &path, [target, size, 0]).ok()?;
    // SAFETY: the kernel has filled that many bytes of the buffer.
    Some(unsafe { core::slice::from_raw_parts(into.as_ptr().cast::<u8>(), n.min(size)) })
}

/// getsockopt(2) at the level of sockets; how many bytes were filled.
pub(crate) fn socket_option(socket: i32, option: usize, into: &mut [u8]) -> Answer {
    const SOL_SOCKET: usize = 1;
    let mut length = into.len() as u32;
    let (value, size) = (into.as_mut_ptr() as usize, (&raw mut length) as usize);
    // SAFETY: the kernel fills at most the length that is said.
    unsafe { call(nr::GETSOCKOPT, [socket as usize, SOL_SOCKET, option, value, size, 0])? };
    Ok(length as usize)
}

/// Device (major, minor), inode and size of an open file.
pub(crate) fn identity(fd: i32) -> Result<(u64, u64, u64), Errno> {
    let stat = stat(fd as usize, b"\0", AT_EMPTY_PATH)?;
    Ok((stat.device, stat.inode, stat.size))
}

pub(crate) const AT_EMPTY_PATH: usize = 0x1000;
pub(crate) const AT_SYMLINK_NOFOLLOW: usize = 0x100;

/// What is looked at of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    /// Major number in the upper half, minor in the lower.
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// Something is mounted just here (Linux 5.8).
    pub(crate) mount_root: bool,
}

/// statx(2): one layout on every machine.
pub(crate) fn stat(dir: usize, path: &[u8], flags: usize) -> Result<Stat, Errno> {
    const BASIC: usize = 0x7ff;
    const MOUNT_ROOT: u64 = 0x2000;
    let mut buffer = [0_u64; 32];
    at_path(nr::STATX, dir, path, [flags, BASIC, buffer.as_mut_ptr() as usize])?;
    let half = |word: usize, upper: usize| {
        let bytes = buffer[word].to_ne_bytes();
        let part = [bytes[upper], bytes[upper + 1], bytes[upper + 2], bytes[upper + 3]];
        u32::from_ne_bytes(part)
    };
    Ok(Stat {
        device: u64::from(half(17, 0)) << 32 | u64::from(half(17, 4)),
        inode: buffer[4],
        size: buffer[5],
        mode: u16::from_ne_bytes([buffer[3].to_ne_bytes()[4], buffer[3].to_ne_bytes()[5]]).into(),
        uid: half(2, 4),
        mount_root: buffer[1] & MOUNT_ROOT != 0,
    })
}

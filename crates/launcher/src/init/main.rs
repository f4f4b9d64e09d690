//! Root of the freestanding program: entry point and the five symbols that the
//! compiler expects of a C library. Compiled by the build script, never by cargo.

#![no_std]
#![no_main]

mod bury;
mod descend;
mod interp;
mod net;
mod proc;
mod supervise;
mod sys;
mod tell;
mod terminal;
mod watch;
mod wire;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "and $-16, %rsp",
    "call {entry}",
    "ud2",
    entry = sym entry,
    options(att_syntax)
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "bl {entry}",
    "brk #1",
    entry = sym entry
);

extern "C" fn entry() -> ! {
    supervise::main()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(wire::EXIT_BROKEN)
}

/// Referred to by `core`, never called: panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// The compiler calls these by name. An instruction that copies, or volatile accesses where
// there is none, keep it from turning the loops into calls of themselves.

/// See memcpy(3).
///
/// # Safety
/// Both ranges are valid for `n` bytes and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: both ranges by the caller's promise; the direction flag is clear.
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _,
            inout("rsi") from => _, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..n {
        // SAFETY: in both ranges, by the caller's promise.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    }
    to
}

/// See memmove(3).
///
/// # Safety
/// Both ranges are valid for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize) <= (from as usize) {
        // SAFETY: copying upwards, byte by byte, never overwrites what is still to be read.
        return unsafe { memcpy(to, from, n) };
    }
    for i in (0..n).rev() {
        // SAFETY: in both ranges, by the caller's promise.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
    }
    to
}

/// See memset(3).
///
/// # Safety
/// The range is valid for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the range by the caller's promise; the direction flag is clear.
    unsafe {
        core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _,
            in("al") byte as u8, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..n {
        // SAFETY: in the range, by the caller's promise.
        unsafe { to.add(i).write_volatile(byte as u8) };
    }
    to
}

/// See memcmp(3).
///
/// # Safety
/// Both ranges are valid for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        // SAFETY: in both ranges, by the caller's promise.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// See bcmp(3).
///
/// # Safety
/// Both ranges are valid for `n` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, n) }
}

/// See strlen(3).
///
/// # Safety
/// `text` ends with a NUL byte.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: not beyond the NUL byte.
    while unsafe { text.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}

//! A network namespace of the tree's own, made beside the other steps.
//!
//! Making one takes the kernel as long as all other steps of a set-up together, and nothing
//! of them needs it. So a thread makes it, and the main thread enters it at the end: with a
//! second processor it costs next to nothing of the start.

use super::interp::interface_up;
use super::sys::{self, Errno, nr};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

const CLONE_NEWNET: usize = 0x4000_0000;

/// Whether it is made; what the main thread sleeps on.
static MADE: AtomicU32 = AtomicU32::new(0);
/// From 0 up: the namespace's descriptor; below: why there is none.
static OUTCOME: AtomicI32 = AtomicI32::new(0);

const STACK: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

// SAFETY: only the one thread uses it.
unsafe impl Sync for Stack {}

static THREAD_STACK: Stack = Stack(UnsafeCell::new([0; STACK]));

/// Begins. Gives the number of threads that were started for it, none where there can be none.
pub(crate) fn begin() -> Result<u64, Errno> {
    if !sys::HAS_THREADS {
        make()?;
        return Ok(0);
    }
    let top = THREAD_STACK.0.get() as usize + STACK;
    // SAFETY: the stack is used by this thread only, and `run` never returns.
    unsafe { sys::spawn_sharing(sys::THREAD, top, run, 0)? };
    Ok(1)
}

/// Unshares, of this thread alone, and brings the loopback up.
fn make() -> Result<(), Errno> {
    sys::numbers(nr::UNSHARE, [CLONE_NEWNET, 0, 0, 0, 0])?;
    interface_up(b"lo\0")
}

/// The thread's whole life.
extern "C" fn run(_: usize) -> ! {
    const FUTEX_WAKE_PRIVATE: usize = 1 | 128;
    let made = make().and_then(|()| sys::open(b"/proc/thread-self/ns/net\0", 0, 0));
    OUTCOME.store(made.unwrap_or_else(|errno| -errno.0), Ordering::Release);
    MADE.store(1, Ordering::Release);
    let _ = sys::numbers(nr::FUTEX, [MADE.as_ptr() as usize, FUTEX_WAKE_PRIVATE, 1, 0, 0]);
    sys::exit_thread()
}

/// Waits until it is made, and enters it.
pub(crate) fn enter() -> Result<(), Errno> {
    const FUTEX_WAIT_PRIVATE: usize = 128;
    if !sys::HAS_THREADS {
        return Ok(());
    }
    while MADE.load(Ordering::Acquire) == 0 {
        let _ = sys::numbers(nr::FUTEX, [MADE.as_ptr() as usize, FUTEX_WAIT_PRIVATE, 0, 0, 0]);
    }
    let namespace = OUTCOME.load(Ordering::Acquire);
    if namespace < 0 {
        return Err(Errno(-namespace));
    }
    let entered = sys::numbers(nr::SETNS, [namespace as usize, CLONE_NEWNET, 0, 0, 0]);
    sys::close(namespace);
    entered.map(|_| ())
}

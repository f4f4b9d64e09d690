//! The life of the init: carry the plan out, start the command, bury the dead,
//! report, and take the whole tree along when it goes.
//!
//! It holds none of the command's pipes and no descriptor but the control
//! socket. It cannot be traced (it is not dumpable) and, as PID 1, not be killed
//! from inside. When the control socket closes, whoever asked for the run is
//! gone, and so is the tree.

use super::bury::{self, Dead};
use super::descend;
use super::interp::{self, Machine};
use super::net;
use super::sys::{self, Errno, nr};
use super::tell;
use super::watch;
use super::wire::{self, CONTROL_FD, Header, STDIO_FD, Steps};
use core::sync::atomic::{AtomicU64, Ordering};

const SIGKILL: i32 = 9;
const SIGCHLD: u32 = 17;
const SIGCONT: i32 = 18;
const WNOHANG: usize = 1;
const WALL: usize = 0x4000_0000;
const POLLIN: u16 = 1;

/// Failure of a final step: index of the step, error number. The command's own
/// process shares this memory until it has executed its program.
static FAILURE: AtomicU64 = AtomicU64::new(0);

const STACK: usize = 64 * 1024;

#[repr(C, align(16))]
struct Stack(core::cell::UnsafeCell<[u8; STACK]>);

// SAFETY: used by one process at a time: the parent sleeps while the child has it.
unsafe impl Sync for Stack {}

static CHILD_STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK]));

/// The freestanding program's whole life: the plan is a file at a known descriptor.
#[cfg_attr(not(ringfence_freestanding), expect(dead_code, reason = "entry of the other build"))]
pub(crate) fn main() -> ! {
    match map_plan() {
        Some(plan) => run(plan),
        None => sys::exit(wire::EXIT_BROKEN),
    }
}

/// The plan as private memory, so that pointers can be filled in.
fn map_plan() -> Option<&'static mut [u8]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE: usize = 2;
    let (_, _, size) = sys::identity(wire::PLAN_FD).ok()?;
    let size = usize::try_from(size).ok().filter(|size| *size >= wire::HEADER)?;
    let fd = wire::PLAN_FD as usize;
    // SAFETY: a new private mapping of a file that only the supervisor had, and it has let go.
    let address =
        unsafe { sys::call(nr::MMAP, [0, size, PROT_READ_WRITE, MAP_PRIVATE, fd, 0]).ok()? };
    sys::close(wire::PLAN_FD);
    // SAFETY: the mapping is that long, lives as long as the process, and is ours alone.
    Some(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, size) })
}

/// Carries `plan` out and stays until nothing of the tree is left.
pub(crate) fn run(plan: &'static mut [u8]) -> ! {
    const PR_SET_DUMPABLE: usize = 4;
    // Cannot fail with these arguments.
    let _ = sys::numbers(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0]);
    keep_only_what_is_ours();
    let Ok(header) = Header::read(plan) else { sys::exit(wire::EXIT_BROKEN) };
    let Ok(steps) = Steps::new(plan) else { sys::exit(wire::EXIT_BROKEN) };
    match start(steps, header) {
        Ok(started) => supervise(&started, header),
        Err(Failure { index, errno }) => {
            close_stdio();
            report([wire::REPORT_FAILED, index, errno.0 as u64, 0, 0, 0, 0, 0]);
            sys::exit(1)
        }
    }
}

/// Whatever the caller had open is closed. The standard descriptors are taken up
/// by the control socket, so that none of the steps is handed one of their numbers.
fn keep_only_what_is_ours() {
    let first = (STDIO_FD + 3) as usize;
    let _ = sys::numbers(sys::new::CLOSE_RANGE, [first, u32::MAX as usize, 0, 0, 0]);
    for fd in 0..3 {
        let _ = sys::numbers(nr::DUP3, [CONTROL_FD as usize, fd, sys::O_CLOEXEC, 0, 0]);
    }
}

/// The command's pipes, so that their readers see the end when the command ends.
fn close_stdio() {
    for fd in STDIO_FD..STDIO_FD + 3 {
        sys::close(fd);
    }
}

struct Failure {
    index: u64,
    errno: Errno,
}

/// Everything the final steps need, for the process that shares this memory.
struct Final {
    machine: Machine,
    steps: Steps<'static>,
    first: Option<wire::Step<'static>>,
    index: u64,
}

/// Carries the steps out, the final ones in a process of their own; its number.
fn start(mut steps: Steps<'static>, header: Header) -> Result<Started, Failure> {
    let mut machine = Machine::new(header.flags & wire::FLAG_PID_NAMESPACE != 0);
    // New directories have just the mode their step says; the command keeps the caller's mask.
    let umask = sys::numbers(nr::UMASK, [0; 5]).unwrap_or(0o22);
    let mut index = 0;
    let first = loop {
        match steps.next_step() {
            Ok(Some(mut step)) if !step.op.is_final() => {
                machine.carry_out(&mut step).map_err(|errno| Failure { index, errno })?;
            }
            Ok(first) => break first,
            Err(_) => return Err(Failure { index, errno: sys::EBADMSG }),
        }
        index += 1;
    };
    let _ = sys::numbers(nr::UMASK, [umask, 0, 0, 0, 0]);
    let watched = machine.watched && watch::is_possible();
    if watched {
        machine.handover = watch::start().map_err(|errno| Failure { index, errno })?;
    }
    let mut rest = Final { machine, steps, first, index };
    let pid = start_command(&mut rest).map_err(|errno| Failure { index, errno })?;
    if watched {
        // Without a listener in it, the thread's end of it says that none will come.
        sys::close(rest.machine.handover);
    }
    rest.machine.close_slots();
    close_stdio();
    let failed = FAILURE.load(Ordering::Acquire);
    if failed != 0 {
        // It has ended; nobody else would bury it.
        while wait_any(0) == Err(sys::EINTR) {}
        return Err(Failure { index: failed >> 32, errno: Errno(failed as u32 as i32) });
    }
    interp::drop_own_capabilities();
    let (heard, most_processes) =
        (watch::HEARD.load(Ordering::Acquire), rest.machine.most_processes);
    Ok(Started { pid, watched, heard, most_processes })
}

/// The command runs.
struct Started {
    pid: i32,
    /// There is a thread beside this one.
    watched: bool,
    /// And it listens.
    heard: bool,
    /// The PID namespace has a most of processes.
    most_processes: bool,
}

fn start_command(rest: &mut Final) -> Result<i32, Errno> {
    let top = CHILD_STACK.0.get() as usize + STACK;
    // SAFETY: the stack is used by this child only, and `final_steps` never returns.
    let pid = unsafe {
        sys::spawn_sharing(sys::BORROWER, top, final_steps, core::ptr::from_mut(rest) as usize)?
    };
    Ok(pid as i32)
}

/// In the command's own process: the steps from the first final one to the execution.
extern "C" fn final_steps(rest: usize) -> ! {
    // SAFETY: the parent sleeps in `start_command` and lends it whole.
    let rest = unsafe { &mut *(rest as *mut Final) };
    let mut index = rest.index;
    let mut next = rest.first.take();
    let errno = loop {
        let Some(mut step) = next else { break sys::EBADMSG };
        if let Err(errno) = rest.machine.carry_out(&mut step) {
            break errno;
        }
        index += 1;
        next = match rest.steps.next_step() {
            Ok(step) => step,
            Err(_) => break sys::EBADMSG,
        };
    };
    FAILURE.store(index << 32 | errno.0 as u64, Ordering::Release);
    sys::exit(127)
}

fn report(words: [u64; 8]) {
    // Nobody listens any more: then the socket's end is seen in the loop.
    let _ = sys::write(CONTROL_FD, &wire::report_bytes(words));
}

/// A child that could not get ready says so by the socket it has not moved yet.
#[cfg_attr(ringfence_freestanding, expect(dead_code, reason = "the other build's"))]
pub(crate) fn report_unborn(control: i32, errno: i32) {
    let words = [wire::REPORT_FAILED, u64::from(u32::MAX), errno as u64, 0, 0, 0, 0, 0];
    let _ = sys::write(control, &wire::report_bytes(words));
}

/// What is known of the tree while it lives.
struct Tree {
    command: i32,
    ended: bool,
    /// When those who outlive the command are killed (monotonic ms), once it has ended.
    deadline: i64,
    pid_namespace: bool,
    /// Threads of this process beside this one.
    threads: u64,
    killed: u64,
    deaths: bury::Told,
}

fn supervise(started: &Started, header: Header) -> ! {
    let pid_namespace = header.flags & wire::FLAG_PID_NAMESPACE != 0;
    let command = started.pid;
    let mut tree = Tree {
        command,
        ended: false,
        deadline: -1,
        pid_namespace,
        threads: if started.watched { watch::THREADS } else { 0 },
        killed: 0,
        deaths: bury::Told::default(),
    };
    let (heard, most) = (u64::from(started.heard), u64::from(started.most_processes));
    report([wire::REPORT_STARTED, command as u64, heard, most, 0, 0, 0, 0]);
    let children = watch_children();
    while tree.bury() {
        let patience = tree.patience(header.linger_ms);
        match wait(children, patience) {
            Woken::Child => {}
            Woken::Order => match order() {
                Some([wire::ORDER_SIGNAL, signal]) => tree.signal(signal as i32),
                Some([wire::ORDER_KILL, _]) => tree.kill(),
                Some(_) => {}
                None => tree.kill(),
            },
            Woken::Late => tree.kill(),
        }
    }
    finish(&tree)
}

impl Tree {
    /// Reaps whoever has ended; false when nobody is left.
    fn bury(&mut self) -> bool {
        loop {
            match bury::next() {
                Ok(None) => return true,
                Ok(Some(dead)) => self.tell_of(&dead),
                Err(sys::EINTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// The signal comes before the end of the command, which it may explain.
    fn tell_of(&mut self, dead: &Dead) {
        if let Some(words) = self.deaths.words(dead, dead.pid == self.command) {
            report(words);
        }
        self.note(dead.pid, dead.status);
    }

    fn note(&mut self, pid: i32, status: u32) {
        if pid == self.command {
            self.ended = true;
            self.command = -1;
            report([wire::REPORT_EXITED, u64::from(status), 0, 0, 0, 0, 0, 0]);
        }
    }

    /// How long to wait at most, in ms; below 0: as long as it takes. Whoever ends
    /// or is born meanwhile does not put the deadline off.
    fn patience(&mut self, linger_ms: u32) -> i64 {
        if !self.ended {
            return -1;
        }
        let now = now_ms();
        if self.deadline < 0 {
            self.deadline = now + i64::from(linger_ms);
        }
        (self.deadline - now).max(0)
    }

    fn signal(&self, signal: i32) {
        if self.pid_namespace {
            // Everyone but this process. Nobody there is no failure.
            let _ = sys::numbers(nr::KILL, [usize::MAX, signal as usize, 0, 0, 0]);
            if signal != SIGKILL {
                let _ = sys::numbers(nr::KILL, [usize::MAX, SIGCONT as usize, 0, 0, 0]);
            }
        } else {
            descend::signal(signal);
            if signal != SIGKILL {
                descend::signal(SIGCONT);
            }
        }
    }

    /// Kills everyone and waits for the last: in a PID namespace once is enough,
    /// as nobody can fork while everyone is being killed; elsewhere again and
    /// again, because new children may have been born meanwhile.
    fn kill(&mut self) {
        let flags = if self.pid_namespace { 0 } else { WNOHANG };
        self.signal(SIGKILL);
        loop {
            match wait_any(flags) {
                Ok((0, _)) => {
                    nap();
                    self.signal(SIGKILL);
                }
                Ok((pid, status)) => {
                    self.killed += u64::from(self.ended);
                    self.note(pid, status);
                }
                Err(sys::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}

fn wait_any(flags: usize) -> Result<(i32, u32), Errno> {
    let mut status = 0_u32;
    let address = (&raw mut status) as usize;
    // SAFETY: the kernel writes one word.
    let pid = unsafe { sys::call(nr::WAIT4, [usize::MAX, address, WALL | flags, 0, 0, 0])? };
    Ok((pid as i32, status))
}

/// A descriptor that can be read when a child has ended.
fn watch_children() -> i32 {
    const SFD_CLOEXEC_NONBLOCK: usize = sys::O_CLOEXEC | 0o4000;
    const SIG_BLOCK: usize = 0;
    let mask = 1_u64 << (SIGCHLD - 1);
    let address = (&raw const mask) as usize;
    // SAFETY: masks of eight bytes.
    unsafe {
        let _ = sys::call(nr::RT_SIGPROCMASK, [SIG_BLOCK, address, 0, 8, 0, 0]);
        sys::call(nr::SIGNALFD4, [usize::MAX, address, 8, SFD_CLOEXEC_NONBLOCK, 0, 0])
    }
    .map_or(-1, |fd| fd as i32)
}

enum Woken {
    Child,
    Order,
    Late,
}

/// Sleeps until a child ends, an order comes, or `patience` (ms, below 0: any) is over.
fn wait(children: i32, patience: i64) -> Woken {
    let mut polled = [
        [CONTROL_FD, i32::from(POLLIN)],
        [children, i32::from(POLLIN)],
        [net::service(), i32::from(POLLIN)],
    ];
    let time = [patience / 1000, patience % 1000 * 1_000_000];
    let limit = if patience < 0 { 0 } else { time.as_ptr() as usize };
    let address = polled.as_mut_ptr() as usize;
    // SAFETY: three entries of eight bytes, a time of two words or none.
    match unsafe { sys::call(nr::PPOLL, [address, 3, limit, 0, 0, 0]) } {
        Ok(0) => return Woken::Late,
        Ok(_) => {}
        Err(_) => return Woken::Child,
    }
    if polled[1][1] >> 16 != 0 {
        let mut told = [0_u8; 128];
        while sys::read(children, &mut told) == Ok(told.len()) {}
        return Woken::Child;
    }
    if polled[2][1] >> 16 != 0 {
        // Whoever asked has an answer or is gone; neither is the tree's business.
        let _ = net::serve();
    }
    if polled[0][1] >> 16 != 0 { Woken::Order } else { Woken::Child }
}

/// One order of the supervisor; none when it is gone.
fn order() -> Option<[u64; 2]> {
    let mut bytes = [0_u8; 16];
    match sys::read(CONTROL_FD, &mut bytes) {
        Ok(1..) | Err(sys::EINTR | sys::EAGAIN) => Some(wire::order_words(bytes)),
        Ok(0) | Err(_) => None,
    }
}

pub(crate) fn now_ms() -> i64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0_i64; 2];
    let address = time.as_mut_ptr() as usize;
    // SAFETY: the kernel fills two words.
    let _ = unsafe { sys::call(nr::CLOCK_GETTIME, [CLOCK_MONOTONIC, address, 0, 0, 0, 0]) };
    time[0] * 1000 + time[1] / 1_000_000
}

fn nap() {
    let millisecond = [0_i64, 1_000_000];
    let address = millisecond.as_ptr() as usize;
    // SAFETY: nothing is polled; a time of two words.
    let _ = unsafe { sys::call(nr::PPOLL, [0, 0, address, 0, 0, 0]) };
}

/// Says what the tree used and ends; the kernel takes the namespaces down.
fn finish(tree: &Tree) -> ! {
    const RUSAGE_CHILDREN: usize = -1_isize as usize;
    /// getrusage(2) counts storage in blocks of this size, whatever the file system has.
    const BLOCK: u64 = 512;
    tell::close();
    let mut usage = [0_i64; 18];
    let address = usage.as_mut_ptr() as usize;
    // SAFETY: the structure of eighteen words.
    let _ = unsafe { sys::call(nr::GETRUSAGE, [RUSAGE_CHILDREN, address, 0, 0, 0, 0]) };
    let word = |i: usize| usage[i].unsigned_abs();
    let words = [
        wire::REPORT_FINISHED,
        word(0) * 1_000_000 + word(1),
        word(2) * 1_000_000 + word(3),
        word(4),
        if tree.pid_namespace { descend::started().saturating_sub(tree.threads) } else { 0 },
        word(16),
        word(17),
        tree.killed,
    ];
    let storage = [word(11) * BLOCK, word(12) * BLOCK];
    // As in `report`.
    let _ = sys::write(CONTROL_FD, &wire::finished_bytes(words, storage));
    sys::exit(0)
}

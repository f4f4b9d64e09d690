//! Memory, descriptors and paths of the processes that are watched.
//!
//! Everything read here may be changed by the process at any moment, by another of
//! its threads. So each thing is read once, into memory of this process.

use super::super::sys::{self, Answer, Errno, new, nr};

/// Longest path, with its NUL byte: `PATH_MAX`.
const LONGEST: usize = 4096;
/// Room for what is put before a path.
const HEAD: usize = 64;

/// Reads memory of another process; how much could be read.
pub(crate) fn read(tid: u32, address: u64, into: &mut [u8]) -> Answer {
    transfer(nr::PROCESS_VM_READV, tid, address, into.as_mut_ptr() as usize, into.len())
}

/// Reads exactly so much.
pub(crate) fn read_all(tid: u32, address: u64, into: &mut [u8]) -> Result<(), Errno> {
    let n = read(tid, address, into)?;
    if n == into.len() { Ok(()) } else { Err(sys::EFAULT) }
}

/// Writes exactly so much into memory of another process.
pub(crate) fn write_all(tid: u32, address: u64, from: &[u8]) -> Result<(), Errno> {
    let (local, length) = (from.as_ptr() as usize, from.len());
    let n = transfer(nr::PROCESS_VM_WRITEV, tid, address, local, length)?;
    if n == length { Ok(()) } else { Err(sys::EFAULT) }
}

fn transfer(call: usize, tid: u32, address: u64, local: usize, length: usize) -> Answer {
    let ours = [local, length];
    let theirs = [address as usize, length];
    let (ours, theirs) = (ours.as_ptr() as usize, theirs.as_ptr() as usize);
    // SAFETY: one range on each side; ours is the caller's buffer, theirs the kernel checks.
    unsafe { sys::call(call, [tid as usize, ours, 1, theirs, 1, 0]) }
}

/// Descriptors of other processes, as own ones. The process asked last is kept: a number
/// that is used again belongs to a process that this descriptor does not name, so asking
/// it fails and it is looked up anew.
pub(crate) struct Processes {
    tid: u32,
    /// 0: none.
    pidfd: i32,
}

impl Processes {
    pub(crate) const fn new() -> Self {
        Self { tid: 0, pidfd: 0 }
    }

    /// A copy of a descriptor of a thread; the same open file.
    pub(crate) fn descriptor(&mut self, tid: u32, fd: i32) -> Result<i32, Errno> {
        const ESRCH: Errno = Errno(3);
        if self.tid == tid && self.pidfd > 0 {
            match copy_descriptor(self.pidfd, fd) {
                Err(ESRCH) => {}
                other => return other,
            }
        }
        self.forget();
        self.pidfd = open_thread(tid)?;
        self.tid = tid;
        copy_descriptor(self.pidfd, fd)
    }

    fn forget(&mut self) {
        if self.pidfd > 0 {
            sys::close(self.pidfd);
        }
        self.pidfd = 0;
    }
}

/// pidfd_getfd(2)
pub(crate) fn copy_descriptor(pidfd: i32, fd: i32) -> Result<i32, Errno> {
    let copy = sys::numbers(new::PIDFD_GETFD, [pidfd as usize, fd as usize, 0, 0, 0])?;
    Ok(copy as i32)
}

/// A descriptor of a thread: of its own where the kernel has such (Linux 6.9), else of
/// its process, which has the same files unless it took pains not to.
fn open_thread(tid: u32) -> Result<i32, Errno> {
    const PIDFD_THREAD: usize = 0o200;
    let open = |pid: u32, flags| {
        sys::numbers(new::PIDFD_OPEN, [pid as usize, flags, 0, 0, 0]).map(|fd| fd as i32)
    };
    match open(tid, PIDFD_THREAD) {
        Err(sys::EINVAL) => open(process_of(tid).ok_or(sys::EINVAL)?, 0),
        other => other,
    }
}

/// The process of a thread: the field `Tgid` of its status.
pub(crate) fn process_of(tid: u32) -> Option<u32> {
    let mut text = [0_u8; 512];
    let text = read_file(&process_file(tid, b"/status\0"), &mut text)?;
    field(text, b"Tgid:", 10).and_then(|number| u32::try_from(number).ok())
}

/// The number in the line that begins with `name`.
pub(crate) fn field(text: &[u8], name: &[u8], radix: u32) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    line.trim_ascii().iter().try_fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        value.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

/// What a thread that waits for its answer is to be told when a signal that it has a
/// handler for waits in turn: once its call is taken up, the kernel wakes it for its death
/// only. None when no signal waits.
pub(crate) fn interruption(tid: u32) -> Option<Errno> {
    /// The kernel begins the call again, or says `EINTR`, as the handler asks for. It is
    /// only understood by who finds the signal, so not where another thread may take it.
    const RESTART: Errno = Errno(512);
    let mut text = [0_u8; 4096];
    let text = read_file(&process_file(tid, b"/status\0"), &mut text)?;
    let mask = |name| field(text, name, 16);
    let heeded = mask(b"SigCgt:")? & !mask(b"SigBlk:")?;
    let (own, shared) = (mask(b"SigPnd:")? & heeded, mask(b"ShdPnd:")? & heeded);
    if own | shared == 0 {
        return None;
    }
    let alone = own != 0 || field(text, b"Threads:", 10) == Some(1);
    Some(if alone { RESTART } else { sys::EINTR })
}

/// `/proc/TID` and `name`, which begins with a slash and has at most 24 bytes.
pub(crate) fn process_file(tid: u32, name: &[u8]) -> [u8; 42] {
    let mut path = [0_u8; 42];
    let mut at = 0;
    let mut push = |part: &[u8]| {
        if let Some(room) = path.get_mut(at..at + part.len()) {
            room.copy_from_slice(part);
            at += part.len();
        }
    };
    push(b"/proc/");
    let (digits, first) = decimal(tid);
    push(&digits[first..]);
    push(name);
    path
}

/// A number in decimal: its digits, and where they begin.
pub(crate) fn decimal(mut number: u32) -> ([u8; 10], usize) {
    let mut digits = [b'0'; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return (digits, first);
        }
    }
}

/// The beginning of a file.
pub(crate) fn read_file<'b>(path: &[u8], into: &'b mut [u8]) -> Option<&'b [u8]> {
    let fd = sys::open(path, 0, 0).ok()?;
    let n = sys::read(fd, into);
    sys::close(fd);
    into.get(..n.ok()?)
}

/// From where a relative path is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The working directory of the thread.
    Directory,
    /// An open directory of the thread.
    Descriptor(i32),
}

impl Base {
    /// As the calls have it whose names end with `at`.
    pub(crate) fn from_argument(argument: u64) -> Self {
        match argument as i32 {
            -100 => Self::Directory,
            fd => Self::Descriptor(fd),
        }
    }
}

/// A path of another process, written so that this process reaches the same file by it:
/// `/proc` names the directories of that process, and its root is the root of this one.
pub(crate) struct Path {
    bytes: [u8; HEAD + LONGEST],
    start: usize,
    /// Where the NUL byte is.
    end: usize,
    /// Where the text of the caller begins.
    text: usize,
}

impl Path {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; HEAD + LONGEST], start: 0, end: 0, text: 0 }
    }

    /// Reads a path out of a thread's memory.
    pub(crate) fn fetch(&mut self, tid: u32, base: Base, address: u64) -> Result<(), Errno> {
        const PAGE: u64 = 4096;
        const FIRST: usize = 512;
        let to_page_end = |address: u64| (PAGE - address % PAGE) as usize;
        let mut filled = 0;
        let mut most = FIRST;
        loop {
            if filled >= LONGEST {
                return Err(sys::ENAMETOOLONG);
            }
            let at = address.checked_add(filled as u64).ok_or(sys::EFAULT)?;
            let length = to_page_end(at).min(most).min(LONGEST - filled);
            let room = self.bytes.get_mut(HEAD + filled..).ok_or(sys::EFAULT)?;
            let room = room.get_mut(..length).ok_or(sys::EFAULT)?;
            read_all(tid, at, room)?;
            if let Some(n) = room.iter().position(|byte| *byte == 0) {
                self.end = HEAD + filled + n;
                self.begin(tid, base);
                return Ok(());
            }
            filled += length;
            most = LONGEST;
        }
    }

    /// Takes a path that is at hand; too long a one is cut.
    pub(crate) fn set(&mut self, tid: u32, base: Base, text: &[u8]) {
        let n = text.len().min(LONGEST - 1);
        self.bytes[HEAD..HEAD + n].copy_from_slice(&text[..n]);
        self.bytes[HEAD + n] = 0;
        self.end = HEAD + n;
        self.begin(tid, base);
    }

    fn begin(&mut self, tid: u32, base: Base) {
        (self.start, self.text) = (HEAD, HEAD);
        if self.bytes[HEAD] == b'/' {
            return self.name_process(tid);
        }
        match base {
            Base::Directory => self.prepend(b"/cwd/"),
            Base::Descriptor(fd) => {
                self.prepend(b"/");
                self.prepend_number(fd.unsigned_abs());
                self.prepend(b"/fd/");
            }
        }
        self.prepend_number(tid);
        self.prepend(b"/proc/");
    }

    /// What the kernel has for "the one who asks" would be this process.
    fn name_process(&mut self, tid: u32) {
        for selves in [&b"/proc/self/"[..], b"/proc/thread-self/"] {
            if self.text().starts_with(selves) {
                self.start = HEAD + selves.len() - 1;
                self.prepend_number(tid);
                self.prepend(b"/proc/");
                return;
            }
        }
    }

    fn prepend(&mut self, part: &[u8]) {
        let start = self.start.saturating_sub(part.len());
        if let Some(room) = self.bytes.get_mut(start..start + part.len()) {
            room.copy_from_slice(part);
            self.start = start;
        }
    }

    fn prepend_number(&mut self, number: u32) {
        let (digits, first) = decimal(number);
        self.prepend(&digits[first..]);
    }

    /// The path for this process, with its NUL byte.
    pub(crate) fn as_c(&self) -> &[u8] {
        self.bytes.get(self.start..=self.end).unwrap_or(b"\0")
    }

    /// What the caller wrote.
    pub(crate) fn text(&self) -> &[u8] {
        self.bytes.get(self.text..self.end).unwrap_or_default()
    }

    /// Calls `with` with the path up to the last slash before `end`, and the position of
    /// that slash. None when there is nothing before it.
    pub(crate) fn parent<T>(
        &mut self,
        end: usize,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Option<(usize, T)> {
        let path = self.bytes.get(self.start..end)?;
        let mut name_end = path.len();
        while name_end > 1 && path[name_end - 1] == b'/' {
            name_end -= 1;
        }
        let slash = path[..name_end].iter().rposition(|byte| *byte == b'/')?;
        // The root keeps its slash.
        let cut = self.start + slash.max(1);
        let kept = core::mem::replace(self.bytes.get_mut(cut)?, 0);
        let result = with(self.bytes.get(self.start..=cut)?);
        self.bytes[cut] = kept;
        Some((self.start + slash, result))
    }

    /// Where the text ends.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// What stands behind a slash that [`Path::parent`] found.
    pub(crate) fn behind(&self, slash: usize) -> &[u8] {
        self.bytes.get(slash + 1..self.end).unwrap_or_default()
    }
}

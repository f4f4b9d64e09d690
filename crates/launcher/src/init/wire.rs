//! The encoding of a plan and of a report, as both sides see it.
//!
//! A plan is a header and a row of steps. A step is its operation, its size, six
//! words and a blob; the blob holds strings, each with its length before it and a
//! NUL byte behind it, everything padded to eight bytes. So a string is a C
//! string in place, an array of pointers can be filled in place, and nothing is
//! ever copied. The decoder trusts nothing: a plan that lies about a size is an
//! error, not a crash.
//!
//! It is an encoding between two parts of one build, never stored: there is no
//! compatibility to keep.

/// First word of a plan: "RFP1".
pub(crate) const MAGIC: u32 = 0x3150_4652;
/// Bytes of the header.
pub(crate) const HEADER: usize = 32;
/// Bytes of a step before its blob: operation, size, six words.
pub(crate) const STEP: usize = 56;
/// The tree lives in a PID namespace of its own, and this program is PID 1.
pub(crate) const FLAG_PID_NAMESPACE: u32 = 1;

/// The control socket, in the launcher.
pub(crate) const CONTROL_FD: i32 = 3;
/// The plan, in the launcher.
pub(crate) const PLAN_FD: i32 = 4;
/// The command's standard input; output and error follow.
pub(crate) const STDIO_FD: i32 = 5;
/// Slots for descriptors that steps hand to later steps.
pub(crate) const SLOTS: usize = 256;

/// Exit status of a launcher whose plan cannot be decoded.
pub(crate) const EXIT_BROKEN: i32 = 120;

/// The command was executed: process number, whether its filter is listened to, whether the PID
/// namespace has a most of processes.
pub(crate) const REPORT_STARTED: u64 = 1;
/// A step failed: index, errno.
pub(crate) const REPORT_FAILED: u64 = 2;
/// The command ended: status word of wait(2).
pub(crate) const REPORT_EXITED: u64 = 3;
/// The tree is empty: user µs, system µs, max RSS in KiB, processes, voluntary and
/// involuntary switches, processes killed; behind the eight words, bytes read from storage and
/// written to it.
pub(crate) const REPORT_FINISHED: u64 = 4;
/// Something was refused: kind, name of this refusal from 1, how often, two words of the
/// program's name, bytes of the text that follows the eight words.
pub(crate) const REPORT_DENIED: u64 = 5;
/// A refusal that was told before: its name, how often since.
pub(crate) const REPORT_DENIED_AGAIN: u64 = 6;
/// Refusals that could not be told: how many.
pub(crate) const REPORT_UNTOLD: u64 = 7;
/// A signal ended a process: which signal, its CPU µs, whether it was the command, nothing, two words
/// of the program's name.
pub(crate) const REPORT_DIED: u64 = 8;
/// Bytes of a refusal before its text.
pub(crate) const DENIED_HEAD: usize = 64;

/// Kinds of refusals. The text is a path, a path, a socket address as the kernel has it,
/// a path or `@NAME`, the name of a call.
pub(crate) const KIND_FILE_WRITE: u64 = 1;
pub(crate) const KIND_FILE_READ: u64 = 2;
pub(crate) const KIND_NETWORK: u64 = 3;
pub(crate) const KIND_UNIX_SOCKET: u64 = 4;
pub(crate) const KIND_SYSTEM_CALL: u64 = 5;

/// Sockets of the namespace are to be had by the descriptor that comes with this, and the
/// set-up waits.
pub(crate) const REPORT_SOCKETS: u64 = 16;

/// To the init: send this signal to the whole tree.
pub(crate) const ORDER_SIGNAL: u64 = 1;
/// To the init: kill the whole tree.
pub(crate) const ORDER_KILL: u64 = 2;

/// One report: eight words, one datagram.
pub(crate) fn report_bytes(words: [u64; 8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// The last report, which has two words more.
pub(crate) fn finished_bytes(words: [u64; 8], storage: [u64; 2]) -> [u8; 80] {
    let mut bytes = [0; 80];
    let (head, tail) = bytes.split_at_mut(64);
    head.copy_from_slice(&report_bytes(words));
    for (place, word) in tail.chunks_exact_mut(8).zip(storage) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// One order: two words, one datagram.
pub(crate) fn order_words(bytes: [u8; 16]) -> [u64; 2] {
    let (a, b) = bytes.split_at(8);
    let word = |half: &[u8]| half.try_into().map_or(0, u64::from_ne_bytes);
    [word(a), word(b)]
}

/// Bytes of a request for a socket: domain, type, protocol. The answer is an error number,
/// and the socket if that is 0.
pub(crate) const SOCKET_REQUEST: usize = 12;
/// In place of a domain: the set-up goes on.
pub(crate) const PROCEED: u32 = u32::MAX;

/// The three numbers of a request.
pub(crate) fn socket_request(bytes: [u8; SOCKET_REQUEST]) -> [u32; 3] {
    let word = |at: usize| {
        bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_ne_bytes)
    };
    [word(0), word(4), word(8)]
}

/// Answers of a filter: the call is handed to a listener; the lower half says what becomes
/// of it where nobody listens: an error number, or 0 to carry it out.
pub(crate) const HANDED: u32 = 0x7fc0_0000;

/// Operations of steps; their words and strings are told in `plan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Op {
    Unshare = 1,
    MountAttr,
    CloneTree,
    NewFs,
    TreeAttr,
    Attach,
    Mkdir,
    MakeFile,
    Symlink,
    InterfaceUp,
    OfferSockets,
    RulesetCreate,
    RulesetAllow,
    RulesetAllowPort,
    Overlay,
    Watch,
    WatchAllow,
    WatchPort,
    MostProcesses,
    Subreaper,
    NewSession,
    ResetSignals,
    Rlimit,
    NoNewPrivs,
    DropPrivileges,
    RulesetEnforce,
    Seccomp,
    Stdio,
    Terminal,
    Chdir,
    CloseOthers,
    Exec,
}

impl Op {
    const ALL: [Self; 32] = [
        Self::Unshare,
        Self::MountAttr,
        Self::CloneTree,
        Self::NewFs,
        Self::TreeAttr,
        Self::Attach,
        Self::Mkdir,
        Self::MakeFile,
        Self::Symlink,
        Self::InterfaceUp,
        Self::OfferSockets,
        Self::RulesetCreate,
        Self::RulesetAllow,
        Self::RulesetAllowPort,
        Self::Overlay,
        Self::Watch,
        Self::WatchAllow,
        Self::WatchPort,
        Self::MostProcesses,
        Self::Subreaper,
        Self::NewSession,
        Self::ResetSignals,
        Self::Rlimit,
        Self::NoNewPrivs,
        Self::DropPrivileges,
        Self::RulesetEnforce,
        Self::Seccomp,
        Self::Stdio,
        Self::Terminal,
        Self::Chdir,
        Self::CloseOthers,
        Self::Exec,
    ];

    fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u32 == raw)
    }

    /// Carried out in the command's own process, after everything else.
    pub(crate) fn is_final(self) -> bool {
        self as u32 >= Self::NewSession as u32
    }
}

/// The plan does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

fn word32(bytes: &[u8], at: usize) -> Result<u32, Broken> {
    let part = bytes.get(at..at + 4).ok_or(Broken)?;
    Ok(u32::from_le_bytes(part.try_into().map_err(|_| Broken)?))
}

fn word64(bytes: &[u8], at: usize) -> Result<u64, Broken> {
    let part = bytes.get(at..at.checked_add(8).ok_or(Broken)?).ok_or(Broken)?;
    Ok(u64::from_le_bytes(part.try_into().map_err(|_| Broken)?))
}

/// The header, read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) flags: u32,
    pub(crate) steps: u32,
    pub(crate) linger_ms: u32,
}

impl Header {
    pub(crate) fn read(plan: &[u8]) -> Result<Self, Broken> {
        if word32(plan, 0)? != MAGIC || word32(plan, 8)? as usize != plan.len() {
            return Err(Broken);
        }
        Ok(Self { flags: word32(plan, 4)?, steps: word32(plan, 12)?, linger_ms: word32(plan, 16)? })
    }
}

/// One step, in place.
#[derive(Debug)]
pub(crate) struct Step<'p> {
    pub(crate) op: Op,
    pub(crate) w: [u64; 6],
    pub(crate) blob: &'p mut [u8],
}

/// The steps of a plan, one after the other.
#[derive(Debug)]
pub(crate) struct Steps<'p> {
    rest: &'p mut [u8],
}

impl<'p> Steps<'p> {
    pub(crate) fn new(plan: &'p mut [u8]) -> Result<Self, Broken> {
        Header::read(plan)?;
        Ok(Self { rest: plan.get_mut(HEADER..).ok_or(Broken)? })
    }

    /// The next step; `None` at the end.
    pub(crate) fn next_step(&mut self) -> Result<Option<Step<'p>>, Broken> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let op = Op::from_raw(word32(self.rest, 0)?).ok_or(Broken)?;
        let size = word32(self.rest, 4)? as usize;
        if size < STEP || !size.is_multiple_of(8) || size > self.rest.len() {
            return Err(Broken);
        }
        let mut w = [0; 6];
        for (i, word) in w.iter_mut().enumerate() {
            *word = word64(self.rest, 8 + i * 8)?;
        }
        let rest = core::mem::take(&mut self.rest);
        let (step, rest) = rest.split_at_mut(size);
        self.rest = rest;
        Ok(Some(Step { op, w, blob: step.get_mut(STEP..).ok_or(Broken)? }))
    }
}

/// The strings of a blob, in order.
#[derive(Clone, Debug)]
pub(crate) struct Strings<'b> {
    rest: &'b [u8],
}

impl<'b> Strings<'b> {
    pub(crate) fn new(blob: &'b [u8]) -> Self {
        Self { rest: blob }
    }

    /// The next string with its NUL byte, so that its address is a C string; an
    /// inner NUL byte only makes it shorter for the kernel.
    pub(crate) fn next_bytes(&mut self) -> Result<&'b [u8], Broken> {
        let len = usize::try_from(word64(self.rest, 0)?).map_err(|_| Broken)?;
        let end = len.checked_add(9).ok_or(Broken)?;
        let text = self.rest.get(8..end).ok_or(Broken)?;
        if text.last() != Some(&0) {
            return Err(Broken);
        }
        let padded = end.checked_next_multiple_of(8).ok_or(Broken)?;
        self.rest = self.rest.get(padded..).ok_or(Broken)?;
        Ok(text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, Slot, Step as PlanStep};
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let plan = Plan {
            namespaces: 0,
            linger_ms: 7,
            steps: vec![
                PlanStep::Mkdir { path: "/a b".into(), mode: 0o700 },
                PlanStep::RulesetEnforce { ruleset: Slot(3) },
                PlanStep::Seccomp { program: vec![[1; 8], [2; 8]], listen: false },
                PlanStep::Exec {
                    candidates: vec![c"/bin/x".into()],
                    args: vec![c"x".into(), c"".into()],
                    env: vec![c"K=v".into()],
                },
            ],
        };
        plan.encode().expect("the plan is sound")
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut bytes = sample();
        let header = Header::read(&bytes).expect("the header is sound");
        assert_eq!(header, Header { flags: 0, steps: 4, linger_ms: 7 });
        let mut steps = Steps::new(&mut bytes).expect("the plan is sound");
        let first = steps.next_step().expect("sound").expect("there");
        assert_eq!((first.op, first.w[0]), (Op::Mkdir, 0o700));
        assert_eq!(Strings::new(first.blob).next_bytes(), Ok(&b"/a b\0"[..]));
        assert_eq!(steps.next_step().expect("sound").expect("there").w[0], 3);
        let filter = steps.next_step().expect("sound").expect("there");
        let program = Strings::new(filter.blob).next_bytes().expect("there");
        assert_eq!(program, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
        assert_eq!(steps.next_step().expect("sound").expect("there").op, Op::Exec);
        assert!(steps.next_step().expect("sound").is_none());
    }

    #[test]
    fn every_operation_has_its_number() {
        for (i, op) in Op::ALL.into_iter().enumerate() {
            assert_eq!(op as usize, i + 1);
            assert_eq!(Op::from_raw(op as u32), Some(op));
        }
        assert_eq!(Op::from_raw(0), None);
        assert_eq!(Op::from_raw(Op::ALL.len() as u32 + 1), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzzing::decode(&mut bytes);
        }

        #[test]
        fn no_change_of_a_plan_is_too_odd(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..12), cut in any::<u16>()) {
            let mut bytes = sample();
            for (at, byte) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(usize::from(cut) % 600 + 1);
            // A length that is right again lets the decoder get further.
            if bytes.len() >= HEADER {
                let size = (bytes.len() as u32).to_le_bytes();
                bytes[8..12].copy_from_slice(&size);
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            }
            crate::fuzzing::decode(&mut bytes);
        }
    }
}

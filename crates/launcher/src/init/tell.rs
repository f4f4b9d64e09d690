//! Telling the supervisor what was refused, so that a flood of refusals is no flood of
//! datagrams: each distinct one is told once, with its text, and from then on only
//! counted; the counts follow when the tree is at its end.
//!
//! Two threads use it, the one that watches and, at the end, the one that reports. What
//! the supervisor does not take in at once is not waited for: it is told at the next
//! occurrence, or counted as untold.

use super::sys::{self, nr};
use super::wire::{self, CONTROL_FD};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// Distinct refusals that are told in a run.
const MOST: usize = 400;
/// Places of the table: twice as many, so that it never fills.
const PLACES: usize = 1024;
/// Longest text of a refusal.
const LONGEST: usize = 4096;

#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    /// Name of it on the wire, from 1; 0: nothing is here.
    id: u32,
    /// How often since it was told.
    count: u32,
}

struct Table {
    places: [Place; PLACES],
    told: u32,
    /// Refusals that never were told.
    untold: u64,
    closed: bool,
    datagram: [u8; wire::DENIED_HEAD + LONGEST],
}

struct Shared {
    table: UnsafeCell<Table>,
    taken: AtomicBool,
}

// SAFETY: the table is only reached by who has set `taken`.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared {
    table: UnsafeCell::new(Table {
        places: [Place { hash: 0, id: 0, count: 0 }; PLACES],
        told: 0,
        untold: 0,
        closed: false,
        datagram: [0; wire::DENIED_HEAD + LONGEST],
    }),
    taken: AtomicBool::new(false),
};

/// Nobody keeps the table for longer than a call that does not block takes.
fn with_table<T>(work: impl FnOnce(&mut Table) -> T) -> T {
    while SHARED.taken.swap(true, Ordering::Acquire) {
        let _ = sys::numbers(nr::SCHED_YIELD, [0; 5]);
    }
    // SAFETY: nobody else is between the swap and the store.
    let result = work(unsafe { &mut *SHARED.table.get() });
    SHARED.taken.store(false, Ordering::Release);
    result
}

/// Tells a refusal: what kind, what it was about, which program tried.
pub(crate) fn denied(kind: u64, target: &[u8], program: &[u8]) {
    let target = target.get(..LONGEST).unwrap_or(target);
    let program = program.get(..15).unwrap_or(program);
    with_table(|table| table.note(kind, target, program));
}

/// Tells a refusal by the directory it was in and the path below that.
pub(crate) fn denied_below(kind: u64, directory: &[u8], below: &[u8], program: &[u8]) {
    let mut target = core::mem::MaybeUninit::<[u8; LONGEST]>::uninit();
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    let parts = [directory, b"/", below];
    let room = target.as_mut_ptr().cast::<u8>();
    let mut length = 0;
    for byte in parts.into_iter().flatten().take(LONGEST) {
        // SAFETY: at most `LONGEST` bytes are written, each behind the last.
        unsafe { room.add(length).write(*byte) };
        length += 1;
    }
    // SAFETY: that many bytes were written just now.
    denied(kind, unsafe { core::slice::from_raw_parts(room, length) }, program);
}

/// Tells the counts that are left, and then nothing more.
pub(crate) fn close() {
    with_table(Table::close);
}

impl Table {
    fn note(&mut self, kind: u64, target: &[u8], program: &[u8]) {
        if self.closed {
            return;
        }
        let hash = hash(kind, target, program);
        let Some(at) = self.find(hash) else {
            self.untold += 1;
            return;
        };
        let known = self.places[at].id != 0;
        if known {
            self.places[at].count = self.places[at].count.saturating_add(1);
        } else if (self.told as usize) < MOST && self.send(kind, target, program) {
            self.told += 1;
            self.places[at] = Place { hash, id: self.told, count: 0 };
        } else {
            self.untold += 1;
        }
    }

    /// Where it is, or would be.
    fn find(&self, hash: u64) -> Option<usize> {
        let first = hash as usize % PLACES;
        let free_or_same = |at: &usize| {
            let place = &self.places[*at];
            place.id == 0 || place.hash == hash
        };
        (first..PLACES).chain(0..first).find(free_or_same)
    }

    fn send(&mut self, kind: u64, target: &[u8], program: &[u8]) -> bool {
        let mut name = [0_u8; 16];
        name[..program.len()].copy_from_slice(program);
        let (a, b) = name.split_at(8);
        let word = |half: &[u8]| half.try_into().map_or(0, u64::from_ne_bytes);
        let id = u64::from(self.told) + 1;
        let head = [wire::REPORT_DENIED, kind, id, 1, word(a), word(b), target.len() as u64, 0];
        let end = wire::DENIED_HEAD + target.len();
        self.datagram[..wire::DENIED_HEAD].copy_from_slice(&wire::report_bytes(head));
        self.datagram[wire::DENIED_HEAD..end].copy_from_slice(target);
        send(&self.datagram[..end], MSG_DONTWAIT)
    }

    fn close(&mut self) {
        self.closed = true;
        for place in self.places.iter().filter(|place| place.count > 0) {
            let (id, count) = (u64::from(place.id), u64::from(place.count));
            let words = [wire::REPORT_DENIED_AGAIN, id, count, 0, 0, 0, 0, 0];
            // Nobody is left to be served meanwhile; it fails when nobody reads any more.
            send(&wire::report_bytes(words), 0);
        }
        if self.untold > 0 {
            let words = [wire::REPORT_UNTOLD, self.untold, 0, 0, 0, 0, 0, 0];
            send(&wire::report_bytes(words), 0);
        }
    }
}

const MSG_DONTWAIT: usize = 0x40;

fn send(datagram: &[u8], flags: usize) -> bool {
    const MSG_NOSIGNAL: usize = 0x4000;
    let (address, length) = (datagram.as_ptr() as usize, datagram.len());
    let arguments = [CONTROL_FD as usize, address, length, MSG_NOSIGNAL | flags, 0, 0];
    // SAFETY: the buffer is as long as said, and no address is given.
    unsafe { sys::call(nr::SENDTO, arguments) }.is_ok()
}

/// FNV-1a over everything that makes two refusals the same.
fn hash(kind: u64, target: &[u8], program: &[u8]) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325 ^ kind).wrapping_mul(0x100_0000_01b3);
    target
        .iter()
        .chain(&[0])
        .chain(program)
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

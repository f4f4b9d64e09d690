//! A plan from outside must not crash the launcher: decodes whatever comes, down to every string and the pointers of an
//! execution. Half of the inputs are bytes with a sound header; the others are sound plans of which a few bytes are
//! changed, so that what lies behind a header is reached.
#![no_main]

use ringfence_fuzz::Input;

const HEADER: usize = 32;
/// The last operation, which executes.
const EXEC: u32 = 32;
/// The place in a string of its length.
const LENGTH: usize = 8;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut plan = if input.flag() { sound(&mut input) } else { bytes.to_vec() };
    if plan.len() >= HEADER && input.flag() {
        let size = plan.len() as u32;
        plan[..4].copy_from_slice(b"RFP1");
        plan[8..12].copy_from_slice(&size.to_le_bytes());
    }
    ringfence_launcher::fuzzing::decode(&mut plan);
});

/// A plan as it should be, with some bytes changed.
fn sound(input: &mut Input<'_>) -> Vec<u8> {
    let mut changes = Vec::new();
    for _ in 0..input.below(4) {
        changes.push(([input.byte(), input.byte()], input.byte()));
    }
    let mut plan = vec![0; HEADER];
    while !input.0.is_empty() && plan.len() < 4096 {
        let step = step(input);
        plan.extend_from_slice(&step);
    }
    for (at, byte) in changes {
        let at = usize::from(u16::from_le_bytes(at)) % plan.len();
        plan[at] = byte;
    }
    plan
}

/// An operation, its size, six words, and strings; an execution has room for its pointers before them.
fn step(input: &mut Input<'_>) -> Vec<u8> {
    let op = u32::from(input.byte()) % 40;
    let op = if op > EXEC { EXEC } else { op };
    let counts = [input.below(3), input.below(4), input.below(4)];
    let strings = counts.iter().sum::<usize>() + input.below(2);
    let mut blob = vec![0; if op == EXEC { (counts[1] + counts[2] + 3) * 8 } else { 0 }];
    for _ in 0..strings {
        let length = input.below(20).min(input.0.len());
        let (text, rest) = input.0.split_at(length);
        input.0 = rest;
        blob.extend_from_slice(&(length as u64).to_le_bytes());
        blob.extend_from_slice(text);
        blob.resize((blob.len() + 1).next_multiple_of(LENGTH), 0);
    }
    let mut step = op.to_le_bytes().to_vec();
    step.extend_from_slice(&(56 + blob.len() as u32).to_le_bytes());
    for word in 0..6 {
        let value = counts.get(word).map_or(0, |count| *count as u64);
        step.extend_from_slice(&value.to_le_bytes());
    }
    step.extend_from_slice(&blob);
    step
}

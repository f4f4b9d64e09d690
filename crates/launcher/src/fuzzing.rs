//! What fuzz targets and property tests reach in: the decoder, driven to its end.

use crate::init::{
    interp,
    wire::{Op, Steps, Strings},
};

/// Reads everything of a plan that the launcher would, without carrying any step out.
///
/// # Panics
/// When a pointer that would be handed to the kernel leads to anything but a C string of the plan.
pub fn decode(plan: &mut [u8]) {
    let Ok(mut steps) = Steps::new(plan) else { return };
    while let Ok(Some(mut step)) = steps.next_step() {
        let mut strings = Strings::new(step.blob);
        while strings.next_bytes().is_ok() {}
        if step.op == Op::Exec {
            check_pointers(&mut step);
        }
    }
}

fn check_pointers(step: &mut crate::init::wire::Step<'_>) {
    let counts = [step.w[0] as usize, step.w[1] as usize, step.w[2] as usize];
    let Ok((room, texts)) = interp::fill_pointers(step.blob, counts) else { return };
    let pointers = room.as_chunks::<8>().0.iter().map(|bytes| usize::from_ne_bytes(*bytes));
    for pointer in pointers.skip(1).filter(|pointer| *pointer != 0) {
        let place = pointer.checked_sub(texts.as_ptr() as usize);
        assert!(place.is_some_and(|place| is_string(texts, place)), "a pointer leads to no string");
    }
}

/// Whether at `place` there is a string with its length before it and a NUL byte behind it.
fn is_string(texts: &[u8], place: usize) -> bool {
    let length = place.checked_sub(8).and_then(|at| texts.get(at..place)?.try_into().ok());
    let length = length.and_then(|bytes| usize::try_from(u64::from_le_bytes(bytes)).ok());
    let end = length.and_then(|length| place.checked_add(length));
    end.and_then(|end| texts.get(end)) == Some(&0)
}

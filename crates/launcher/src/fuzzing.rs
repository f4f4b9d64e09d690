//! What fuzz targets and property tests reach in: the decoder, driven to its end.

use crate::init::{
    interp,
    wire::{Op, Steps, Strings},
};

/// Reads everything of a plan that the launcher would, without carrying any step out.
///
/// # Panics
/// When a pointer that would be handed to the kernel lies outside the plan.
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
    let range = step.blob.as_ptr_range();
    let inside = range.start as usize..range.end as usize;
    let Ok((room, _)) = interp::fill_pointers(step.blob, counts) else { return };
    let pointers = room.as_chunks::<8>().0.iter().map(|bytes| usize::from_ne_bytes(*bytes));
    for pointer in pointers.skip(1) {
        assert!(pointer == 0 || inside.contains(&pointer), "a pointer leads out of the plan");
    }
}

//! A plan from outside must not crash the launcher: decodes whatever comes, down
//! to every string and the pointers of an execution. Half of the inputs get a
//! header that is sound, so that what lies behind it is reached.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut plan = bytes.to_vec();
    if let [first, ..] = bytes
        && first % 2 == 0
        && plan.len() >= 32
    {
        let size = plan.len() as u32;
        plan[..4].copy_from_slice(b"RFP1");
        plan[8..12].copy_from_slice(&size.to_le_bytes());
    }
    ringfence_launcher::fuzzing::decode(&mut plan);
});

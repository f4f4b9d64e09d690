//! A plan from outside must not crash the launcher: decodes whatever comes, down
//! to every string and the pointers of an execution.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ringfence_launcher::fuzzing::decode(&mut bytes.to_vec());
});

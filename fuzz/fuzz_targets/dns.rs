//! No question crashes the name server, and whatever is answered has the question's own form: a
//! client reads back what it asked. Half of the inputs get a header that is sound, so that names and
//! pointers are reached.
#![no_main]

use ringfence_network::{
    Gate,
    dns::{Answer, Names, Query, answer},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let [first, ..] = bytes[..]
        && first % 2 == 0
        && bytes.len() >= 12
    {
        bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    }
    let gate = Gate::parse(["a.com", "*.b.com:443"]).expect("good entries");
    let query = match Query::parse(&bytes) {
        Ok(query) => query,
        Err(error) => {
            assert!(error.answer().is_none_or(|answer| answer.len() == 12));
            return;
        }
    };
    let said = answer(&query, &gate, &mut Names::default());
    let listed = query.name.eq_ignore_ascii_case("a.com")
        || query.name.to_ascii_lowercase().ends_with(".b.com");
    assert!(listed || !matches!(said.answer, Answer::V4(address) if !address.is_loopback()));
    let mut sent = query.answer(&said.answer, 60);
    assert!(sent.len() < 1024);
    sent[2] &= 0x7f;
    sent[3] = 0;
    let again = Query::parse(&sent).expect("an answer has the question's form");
    assert_eq!((again.name, again.record), (query.name, query.record));
});

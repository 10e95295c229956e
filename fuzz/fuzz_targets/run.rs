//! TREC and JSON runs. What was read and written again is read as the same run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::Run;
use plackett_core::formats::trec::{Nan, ReadOptions, RunFormat, parse_run, write_run_to};

fuzz_target!(|data: &[u8]| {
    let kept = ReadOptions { nan: Nan::Keep, ..ReadOptions::default() };
    let msmarco = ReadOptions { run_format: RunFormat::MsMarco, ..ReadOptions::default() };
    for options in [ReadOptions::default(), kept, msmarco] {
        if let Ok(run) = parse_run(data, "run", &options) {
            assert!(entries(&run).next().is_some(), "a run without any entry was accepted");
            again(&run);
        }
    }
});

/// Writing may refuse a run; what it writes must be the run.
fn again(run: &Run) {
    let mut bytes = Vec::new();
    if write_run_to(run, &mut bytes).is_err() {
        return;
    }
    let read = match parse_run(&bytes, "again", &ReadOptions::default()) {
        Ok(read) => read,
        Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(&bytes)),
    };
    assert!(entries(run).eq(entries(&read)), "{}", String::from_utf8_lossy(&bytes));
    assert!(read.tag == run.tag || run.tag.is_empty());
}

/// Query, document and the bits of the score, by rank.
fn entries(run: &Run) -> impl Iterator<Item = (&str, &str, u64)> {
    run.queries()
        .iter()
        .flat_map(|query| query.ranked().into_iter().map(|(d, s)| (query.id(), d, s.to_bits())))
}

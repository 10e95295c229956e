//! TREC, BEIR and JSON judgments. What was read and written again is read as the same judgments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::formats::trec::{Duplicates, ReadOptions, parse_qrels, write_qrels_to};
use plackett_core::{Judgment, Qrels};

fuzz_target!(|data: &[u8]| {
    let lenient =
        ReadOptions { duplicates: Duplicates::KeepMax, truncate_grades: true, ..ReadOptions::default() };
    for options in [ReadOptions::default(), lenient] {
        if let Ok(qrels) = parse_qrels(data, "qrels", &options) {
            assert!(entries(&qrels).next().is_some(), "judgments without any entry were accepted");
            again(&qrels);
        }
    }
});

/// Writing may refuse judgments; what it writes must be them.
fn again(qrels: &Qrels) {
    let mut bytes = Vec::new();
    if write_qrels_to(qrels, &mut bytes).is_err() {
        return;
    }
    let read = match parse_qrels(&bytes, "again", &ReadOptions::default()) {
        Ok(read) => read,
        Err(error) => panic!("{error}\n{}", String::from_utf8_lossy(&bytes)),
    };
    assert!(entries(qrels).eq(entries(&read)), "{}", String::from_utf8_lossy(&bytes));
}

fn entries(qrels: &Qrels) -> impl Iterator<Item = (&str, Judgment<'_>)> {
    qrels.queries().iter().flat_map(|query| query.iter().map(|judgment| (query.id(), judgment)))
}

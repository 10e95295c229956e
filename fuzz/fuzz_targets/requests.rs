//! Requests to rank, as JSON lines or an array. A request answered in its own order is the same request with scores.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::formats::requests::{SourcedRequest, parse_requests};
use plackett_core::{Ranked, Ranking, Trace};
use std::collections::HashSet;

fuzz_target!(|data: &[u8]| {
    let Ok(requests) = parse_requests(data, "requests") else { return };
    for request in requests.flatten() {
        again(&request);
    }
});

fn again(sourced: &SourcedRequest) {
    let (query, candidates) = (&sourced.request.query, &sourced.request.candidates);
    let ids: HashSet<&str> = candidates.iter().map(|c| c.document.id.as_str()).collect();
    assert_eq!(ids.len(), candidates.len(), "an id stands twice");
    let scored = candidates.iter().zip(1..);
    let ranked = scored.map(|(c, rank)| Ranked { id: c.document.id.clone(), score: -(rank as f64), rank });
    let ranking = Ranking { query_id: query.id.clone(), entries: ranked.collect(), trace: Trace::default() };
    let result = sourced.ranked(&ranking).expect("every id is a candidate's");
    let text = result.to_string();
    let read = parse_requests(text.as_bytes(), "again").ok().and_then(|mut all| all.next());
    let Some(Ok(read)) = read else { panic!("an answer is no request: {text}") };
    assert_eq!(read.request.query.text, query.text);
    assert_eq!(read.request.candidates.len(), candidates.len());
    for ((before, after), rank) in candidates.iter().zip(&read.request.candidates).zip(1..) {
        assert_eq!(before.document, after.document);
        assert_eq!(after.score, Some(-f64::from(rank)));
    }
}

//! Queries as tab-separated lines, JSON lines or TREC records. Each form gives what its JSON lines give.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::formats::parse_topics;
use std::collections::HashSet;

fuzz_target!(|data: &[u8]| {
    let Ok(queries) = parse_topics(data, "topics") else { return };
    let ids: HashSet<&str> = queries.iter().map(|query| query.id.as_str()).collect();
    assert!(!queries.is_empty() && ids.len() == queries.len() && !ids.contains(""));
    let lines: Vec<String> = queries.iter().filter_map(|query| serde_json::to_string(query).ok()).collect();
    let read = parse_topics(lines.join("\n").as_bytes(), "again");
    assert_eq!(read.ok().as_ref(), Some(&queries));
});

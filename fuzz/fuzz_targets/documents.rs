//! Documents as JSON lines (first byte `{`), tab-separated (first byte a tab, which is taken off), a page (`<`), Markdown (`#`,
//! `-` or `+`) or comma-separated.
//! What was read and written as JSON is read as the same document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::Document;
use plackett_core::formats::documents::{parse_json_lines, parse_single, parse_table};
use plackett_core::formats::{DocumentOptions, FormatError, SingleKind};

fuzz_target!(|data: &[u8]| {
    let strict = DocumentOptions::default();
    let numbered = DocumentOptions { number_missing_ids: true, line_limit: 64, ..DocumentOptions::default() };
    for options in [strict, numbered] {
        match data {
            [b'{', ..] => check(parse_json_lines(data, "d.jsonl", &options)),
            [b'\t', rest @ ..] => check(parse_table(rest, "d.tsv", b'\t', &options)),
            [b'<', ..] => check([parse_single(data, "d.html", SingleKind::Html, &options)].into_iter()),
            [b'#' | b'-' | b'+', ..] => {
                check([parse_single(data, "d.md", SingleKind::Markdown, &options)].into_iter());
            }
            _ => check(parse_table(data, "d.csv", b',', &options)),
        }
    }
});

fn check(documents: impl Iterator<Item = Result<Document, FormatError>>) {
    for document in documents.flatten() {
        assert!(!document.id.is_empty(), "a document without id");
        let line = serde_json::to_vec(&document).expect("documents are JSON");
        let read = parse_json_lines(&line, "again", &DocumentOptions::default()).next();
        match read {
            Some(Ok(read)) => assert_eq!(read, document),
            other => panic!("{other:?} instead of {document:?}"),
        }
    }
}

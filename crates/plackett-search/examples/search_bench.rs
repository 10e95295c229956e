//! Plackett's side of `benches/search/run`: `search_bench CORPUS QUERIES INDEX K1 B DEPTH [RUN]`.
//!
//! Indexes a BEIR corpus into a new directory, searches all queries one after the other, and prints one JSON line with
//! the seconds of both. Reading the files is not counted; analysis, writing and waiting for the disk are.

use plackett_core::Document;
use plackett_search::{Bm25, Index, IndexSettings};
use serde_json::Value;
use std::error::Error;
use std::io::Write;
use std::time::Instant;

fn rows(path: &str) -> Result<Vec<Value>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    text.lines().filter(|l| !l.is_empty()).map(|l| Ok(serde_json::from_str(l)?)).collect()
}

fn text(row: &Value, key: &str) -> String {
    row.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [corpus, queries, directory, k1, b, depth, rest @ ..] = arguments.as_slice() else {
        return Err("usage: search_bench CORPUS QUERIES INDEX K1 B DEPTH [RUN]".into());
    };
    let documents: Vec<Document> = rows(corpus)?
        .iter()
        .map(|row| Document {
            title: text(row, "title"),
            ..Document::new(text(row, "_id"), text(row, "text"))
        })
        .collect();
    let queries: Vec<(String, String)> =
        rows(queries)?.iter().map(|row| (text(row, "_id"), text(row, "text"))).collect();
    let bm25 = Bm25 { k1: k1.parse()?, b: b.parse()?, ..Bm25::default() };
    let depth: usize = depth.parse()?;

    let start = Instant::now();
    let mut index = Index::create(directory, &IndexSettings::default())?;
    let mut writer = index.writer(None)?;
    for document in documents {
        writer.put(document)?;
    }
    writer.finish()?;
    let index_seconds = start.elapsed().as_secs_f64();

    // As for the peer: the first three queries are asked once before, so that nothing made on first use is counted.
    for (_, query) in queries.iter().take(3) {
        index.search_bm25(query, &bm25, depth)?;
    }
    let mut seconds = Vec::with_capacity(queries.len());
    let mut found = Vec::with_capacity(queries.len());
    for (_, query) in &queries {
        let start = Instant::now();
        let ranking = index.search_bm25(query, &bm25, depth)?;
        seconds.push(start.elapsed().as_secs_f64());
        found.push(ranking);
    }
    if let Some(path) = rest.first() {
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        for ((query, _), ranking) in queries.iter().zip(&found) {
            for (place, (id, score)) in ranking.iter().enumerate() {
                writeln!(out, "{query} Q0 {id} {} {score} plackett", place + 1)?;
            }
        }
        out.flush()?;
    }
    println!("{}", serde_json::json!({ "index_seconds": index_seconds, "query_seconds": seconds }));
    Ok(())
}

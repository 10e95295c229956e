//! The bundled collection: a library of published ranking systems, with queries and judgments, inside the binary.

use plackett_core::formats::atomic;
use std::io;
use std::path::Path;

/// The passages, as in `data/papers/corpus.jsonl` (BEIR's form).
pub const CORPUS: &str = include_str!("../../../data/papers/corpus.jsonl");
/// The information needs, as in `data/papers/queries.jsonl`.
pub const QUERIES: &str = include_str!("../../../data/papers/queries.jsonl");
/// The graded judgments, as in `data/papers/qrels/test.tsv`.
pub const QRELS: &str = include_str!("../../../data/papers/qrels/test.tsv");

/// Writes the collection as a BEIR folder, so that every command that reads files can go on with it.
pub fn write_to(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("qrels"))?;
    for (name, text) in [("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels/test.tsv", QRELS)] {
        atomic::write(&folder.join(name), |out| out.write_all(text.as_bytes())).map_err(io::Error::other)?;
    }
    Ok(())
}

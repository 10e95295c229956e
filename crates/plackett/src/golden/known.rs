//! Golden outputs inside the program, of models that are known by name.

use super::{Case, Golden, GoldenError, Kind, Subject};
use serde::Deserialize;
use std::path::Path;

const TEXTS: &str = include_str!("../../../plackett-lm/tests/parity/all-minilm-l6-v2/expected.json");
const VECTORS: &[u8] =
    include_bytes!("../../../plackett-lm/tests/parity/all-minilm-l6-v2/expected.safetensors");
const TOKENS: &str = include_str!("../../../plackett-lm/tests/golden/gguf/smollm2_logits.json");

/// Families and sizes are not enough to know a model: only these names are compared.
const MINILM: [&str; 2] = ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8"];
const SMOLLM2: [&str; 2] = ["SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf"];

/// The golden outputs of a known model; `None` when there are none for it.
///
/// # Errors
/// Only when the files inside the program are damaged.
pub fn known(subject: &Subject) -> Result<Option<Golden>, GoldenError> {
    match (subject.name(), subject.precision()) {
        (name, _) if MINILM.contains(&name) => minilm().map(Some),
        // Of the name alone it may be any copy of the model; the packed one is known.
        (name, "packed") if SMOLLM2.contains(&name) => smollm2().map(Some),
        _ => Ok(None),
    }
}

/// Texts in several styles and lengths, to record outputs of.
///
/// # Errors
/// Only when the files inside the program are damaged.
pub fn texts() -> Result<Vec<String>, GoldenError> {
    #[derive(Deserialize)]
    struct Texts {
        texts: Vec<String>,
    }
    serde_json::from_str(TEXTS).map(|Texts { texts }| texts).map_err(damaged)
}

fn damaged(problem: impl std::fmt::Display) -> GoldenError {
    let path = Path::new("golden outputs inside the program").to_path_buf();
    GoldenError::File { path, problem: problem.to_string() }
}

/// By sentence-transformers, f32.
fn minilm() -> Result<Golden, GoldenError> {
    let texts = texts()?;
    let header = plackett_lm::read_header(VECTORS, Path::new("golden")).map_err(damaged)?;
    let tensor = header.tensors.get("embeddings").ok_or_else(|| damaged("no embeddings"))?;
    let (start, end) = tensor.data_offsets;
    let bytes = VECTORS.get(header.data_start + start..header.data_start + end);
    let bytes = bytes.filter(|bytes| !texts.is_empty() && bytes.len() % (4 * texts.len()) == 0);
    let bytes = bytes.ok_or_else(|| damaged("texts and embeddings do not fit together"))?;
    let vectors = bytes.chunks_exact(bytes.len() / texts.len()).map(|row| {
        row.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<f32>>()
    });
    let cases = texts.into_iter().zip(vectors);
    let cases = cases.map(|(text, vector)| Case { text, vector: Some(vector), ..Case::default() });
    Ok(Golden::new("sentence-transformers, f32", Kind::Embeddings, cases.collect()))
}

/// By llama.cpp on the same packed weights.
fn smollm2() -> Result<Golden, GoldenError> {
    #[derive(Deserialize)]
    struct Recorded {
        text: String,
        ids: Vec<u32>,
        top: Vec<u32>,
        gap: f32,
    }
    let recorded: Vec<Recorded> = serde_json::from_str(TOKENS).map_err(damaged)?;
    let cases = recorded.into_iter().map(|Recorded { text, ids, top, gap }| Case {
        text,
        ids: Some(ids),
        next: Some(top),
        gap: Some(gap),
        ..Case::default()
    });
    Ok(Golden::new("llama.cpp, packed weights", Kind::NextTokens, cases.collect()))
}

//! Reference embeddings of known models, recorded from sentence-transformers: what `model verify` and `doctor` compare
//! with.

use crate::pipeline::LocalModel;
use plackett_lm::{EmbedOptions, LmError};

const TEXTS: &str = include_str!("../../plackett-lm/tests/parity/all-minilm-l6-v2/expected.json");
const NUMBERS: &[u8] = include_bytes!("../../plackett-lm/tests/parity/all-minilm-l6-v2/expected.safetensors");
/// Families and sizes are not enough to know a model: only these names are compared.
const NAMES: [&str; 2] = ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8"];
const SMALLEST_COSINE: f64 = 0.995;
const LARGEST_DIFFERENCE: f64 = 1e-4;

/// How a model compares with its reference.
#[derive(Clone, Debug)]
pub struct ReferenceCheck {
    /// Texts compared.
    pub texts: usize,
    /// Over the texts.
    pub smallest_cosine: f64,
    /// Over all numbers.
    pub largest_difference: f64,
    /// What is promised, in words.
    pub expected: String,
    /// Whether it held.
    pub held: bool,
}

/// Compares a known model with its reference; `None` when there is none for it.
pub fn check(model: &LocalModel) -> Result<Option<ReferenceCheck>, LmError> {
    let info = model.info();
    if !NAMES.contains(&info.name.as_str()) {
        return Ok(None);
    }
    let Some((texts, expected)) = recorded(info.dim) else { return Ok(None) };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found = model.embed(&texts, &EmbedOptions::default())?.data;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosines = found.chunks_exact(info.dim).zip(expected.chunks_exact(info.dim)).map(|(a, b)| dot(a, b));
    let smallest_cosine = cosines.fold(f64::INFINITY, f64::min);
    let differences = found.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs()));
    let largest_difference = differences.fold(0.0, f64::max);
    let int8 = info.precision == "int8";
    let (held, promise) = if int8 {
        (smallest_cosine >= SMALLEST_COSINE, format!("cosine ≥ {SMALLEST_COSINE}"))
    } else {
        (largest_difference <= LARGEST_DIFFERENCE, format!("difference ≤ {LARGEST_DIFFERENCE:e}"))
    };
    let texts = texts.len();
    Ok(Some(ReferenceCheck { texts, smallest_cosine, largest_difference, expected: promise, held }))
}

/// The texts and their embeddings; `None` only if the files inside the program were made for another size.
fn recorded(dim: usize) -> Option<(Vec<String>, Vec<f32>)> {
    let texts: serde_json::Value = serde_json::from_str(TEXTS).ok()?;
    let texts: Vec<String> = texts
        .get("texts")?
        .as_array()?
        .iter()
        .map(|t| t.as_str().map(str::to_string))
        .collect::<Option<_>>()?;
    let header = plackett_lm::read_header(NUMBERS, std::path::Path::new("reference")).ok()?;
    let (start, end) = header.tensors.get("embeddings")?.data_offsets;
    let data = NUMBERS.get(header.data_start + start..header.data_start + end)?;
    let numbers: Vec<f32> =
        data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    (numbers.len() == texts.len() * dim).then_some((texts, numbers))
}

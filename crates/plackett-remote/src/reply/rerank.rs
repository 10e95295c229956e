//! Rerank and classification replies of text-embeddings-inference, Cohere and those who speak like them.

use super::{RawUsage, ReplyError, Usage, finite, in_order, json};
use serde::Deserialize;

/// The scores of one query's texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Reranked {
    /// One per text, in the order in which they were sent.
    pub scores: Vec<f64>,
    /// Tokens, where the server counts them.
    pub usage: Usage,
    /// What the server remarks, such as that a model is old.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Wrapped {
    results: Vec<Item>,
    usage: Option<RawUsage>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    tokens: Option<MetaTokens>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct MetaTokens {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct Item {
    index: u64,
    #[serde(default, alias = "relevance_score")]
    score: Option<f64>,
}

/// Reads the scores of `count` texts, whatever order they come in: a bare array with `score`, or `results` with
/// `relevance_score`.
pub fn reranked(body: &[u8], count: usize) -> Result<Reranked, ReplyError> {
    let bare = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let (items, usage, meta) = if bare {
        (json(body)?, None, None)
    } else {
        let wrapped: Wrapped = json(body)?;
        (wrapped.results, wrapped.usage, wrapped.meta)
    };
    let read =
        |item: Item| Ok((item.index, finite(item.score, || format!("the score of index {}", item.index))?));
    let items = items.into_iter().map(read).collect::<Result<_, ReplyError>>()?;
    let mut usage = RawUsage::read(usage);
    let mut warnings = Vec::new();
    if let Some(meta) = meta {
        warnings = meta.warnings.unwrap_or_default();
        if let (None, Some(tokens)) = (usage.prompt_tokens, meta.tokens) {
            // Counts that are written as numbers with a point.
            let count =
                |value: Option<f64>| value.filter(|v| (0.0..1e15).contains(v)).map(|v| v.ceil() as u64);
            usage = Usage {
                prompt_tokens: count(tokens.input_tokens),
                completion_tokens: count(tokens.output_tokens),
            };
        }
    }
    Ok(Reranked { scores: in_order(items, count, "score")?, usage, warnings })
}

/// One label of a classifier and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// Its score.
    pub score: f64,
}

#[derive(Deserialize)]
struct RawLabel {
    label: String,
    score: Option<f64>,
}

/// Reads the labels of `count` inputs from a `/predict` reply to a batch.
pub fn predictions(body: &[u8], count: usize) -> Result<Vec<Vec<LabelScore>>, ReplyError> {
    let rows: Vec<Vec<RawLabel>> = json(body)?;
    if rows.len() != count {
        return Err(ReplyError::new(format!("{} predictions for {count} inputs", rows.len())));
    }
    let one = |(index, row): (usize, Vec<RawLabel>)| {
        if row.is_empty() {
            return Err(ReplyError::new(format!("input {index} has no label")));
        }
        let label = |raw: RawLabel| {
            let score = finite(raw.score, || format!("the score of `{}` for input {index}", raw.label))?;
            Ok(LabelScore { label: raw.label, score })
        };
        row.into_iter().map(label).collect()
    };
    rows.into_iter().enumerate().map(one).collect()
}

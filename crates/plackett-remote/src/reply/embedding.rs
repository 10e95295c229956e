//! `/v1/embeddings` and text-embeddings-inference's `/embed`.

use super::{RawUsage, ReplyError, Usage, in_order, json};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
struct OpenAi {
    data: Vec<Item>,
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct Item {
    index: u64,
    embedding: Vector,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<Option<f64>>),
    Other(IgnoredAny),
}

/// Reads `count` vectors of one length, in the order of the inputs.
pub fn openai_embeddings(body: &[u8], count: usize) -> Result<(Vec<Vec<f32>>, Usage), ReplyError> {
    let reply: OpenAi = json(body)?;
    let read = |item: Item| match item.embedding {
        Vector::Numbers(numbers) => Ok((item.index, numbers)),
        Vector::Other(_) => Err(ReplyError::new(
            "a vector is not a list of numbers (base64, although numbers were asked for?)",
        )),
    };
    let items = reply.data.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok((vectors(in_order(items, count, "vector")?)?, RawUsage::read(reply.usage)))
}

/// Reads `count` vectors of one length.
pub fn tei_embeddings(body: &[u8], count: usize) -> Result<Vec<Vec<f32>>, ReplyError> {
    let reply: Vec<Vec<Option<f64>>> = json(body)?;
    if reply.len() != count {
        return Err(ReplyError::new(format!("{} vectors for {count} inputs", reply.len())));
    }
    vectors(reply)
}

fn vectors(rows: Vec<Vec<Option<f64>>>) -> Result<Vec<Vec<f32>>, ReplyError> {
    let length = rows.first().map_or(0, Vec::len);
    let one = |(index, row): (usize, Vec<Option<f64>>)| {
        if row.is_empty() || row.len() != length {
            return Err(ReplyError::new(format!(
                "vector {index} has {} numbers, the first has {length}",
                row.len()
            )));
        }
        let number = |(place, value): (usize, Option<f64>)| match value.map(|v| v as f32) {
            Some(number) if number.is_finite() => Ok(number),
            _ => Err(ReplyError::new(format!("number {place} of vector {index} is not finite"))),
        };
        row.into_iter().enumerate().map(number).collect()
    };
    rows.into_iter().enumerate().map(one).collect()
}

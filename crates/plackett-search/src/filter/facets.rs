//! How many documents have each value of a field.

use super::Bits;
use super::allowed::{count_within, each_term};
use super::terms::Kind;
use super::value::Stored;
use crate::snapshot::Snapshot;
use serde::Serialize;
use std::collections::HashMap;
use std::io::Error;

/// A value of a field and the documents that have it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FacetValue {
    /// The value, as JSON.
    pub value: serde_json::Value,
    /// Documents.
    pub count: usize,
}

/// The values of a field in some documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facets {
    /// The most frequent first, equally frequent ones in the order of their kinds and texts.
    pub values: Vec<FacetValue>,
    /// Documents that have a value.
    pub documents: usize,
    /// Documents that have a text which is too long to be compared; it is not among the values.
    pub long_texts: usize,
}

/// Counts the values of a field in the documents of each segment.
pub(crate) fn count(snapshot: &Snapshot, path: &str, within: &[Bits]) -> Result<Facets, Error> {
    let mut counts: HashMap<(usize, String), usize> = HashMap::new();
    let mut facets = Facets::default();
    for (segment, within) in snapshot.segments.iter().zip(within) {
        let Some(reader) = segment.metadata.as_deref() else { continue };
        let of_term = |term: String| {
            reader.terms().get(term)?.map_or(Ok(0), |info| count_within(reader, &info, within))
        };
        facets.documents += of_term(Kind::Exists.of_field(path))?;
        facets.long_texts += of_term(Kind::LongText.of_field(path))?;
        for (place, kind) in Kind::VALUES.into_iter().enumerate() {
            each_term(reader, &kind.range(path), |value, info| {
                let count = count_within(reader, info, within)?;
                if count > 0 {
                    *counts.entry((place, value.to_string())).or_default() += count;
                }
                Ok(true)
            })?;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|((kind, value), count), ((other_kind, other), other_count)| {
        other_count.cmp(count).then_with(|| (kind, value).cmp(&(other_kind, other)))
    });
    facets.values = counts
        .into_iter()
        .filter_map(|((place, text), count)| {
            let value = json(Kind::VALUES.get(place)?.stored(&text)?);
            Some(FacetValue { value, count })
        })
        .collect();
    Ok(facets)
}

fn json(value: Stored<'_>) -> serde_json::Value {
    match value {
        Stored::Text(text) => text.into(),
        Stored::Number(number) => number.to_json(),
        Stored::Boolean(value) => value.into(),
        Stored::LongText => serde_json::Value::Null,
    }
}

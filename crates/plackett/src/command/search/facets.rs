//! How often each value of a field is among what was found, and among all that could be.

use super::Session;
use crate::command::terminal::{self, plain};
use console::{measure_text_width, style};
use plackett::pipeline::DEFAULT_DEPTH;
use plackett_core::Ranking;
use plackett_search::{FacetValue, Facets};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Values of a field that people and scripts get.
const SHOWN: usize = 10;
const IN_JSON: usize = 100;
/// Blanks before values that go on in another line.
const INDENT: usize = 8;

/// The values of one field.
pub(super) struct FieldFacets {
    field: String,
    /// Documents that were found, before the answer was cut to its length, and those of them that have the field.
    found: usize,
    found_with: usize,
    /// Documents that the filter lets through and that have the field.
    with: usize,
    /// Value, documents that were found, documents that the filter lets through; the most frequent first.
    values: Vec<(Value, usize, usize)>,
    /// Documents of the filter with texts that are too long to be counted.
    long_texts: usize,
}

impl Session<'_> {
    /// Counts the values of the fields that are asked for in all that was found.
    pub(super) fn facets(&self, ranking: &Ranking) -> anyhow::Result<Vec<FieldFacets>> {
        let one = |(field, all): (&String, &Facets)| {
            let ids = ranking.entries.iter().map(|entry| entry.id.as_str());
            let found = self.index.facets_of(field, ids)?;
            Ok(FieldFacets::new(field, ranking.entries.len(), &found, all))
        };
        self.arguments.facets.iter().flatten().zip(&self.facets_of_all).map(one).collect()
    }
}

impl FieldFacets {
    fn new(field: &str, found: usize, found_values: &Facets, all: &Facets) -> FieldFacets {
        let counts: HashMap<String, usize> = found_values
            .values
            .iter()
            .map(|FacetValue { value, count }| (value.to_string(), *count))
            .collect();
        let count = |value: &Value| counts.get(&value.to_string()).copied().unwrap_or(0);
        let mut values: Vec<(Value, usize, usize)> =
            all.values.iter().map(|facet| (facet.value.clone(), count(&facet.value), facet.count)).collect();
        // Stable: among equal ones the order of all documents stands.
        values.sort_by_key(|(_, found, _)| std::cmp::Reverse(*found));
        FieldFacets {
            field: field.into(),
            found,
            found_with: found_values.documents,
            with: all.documents,
            values,
            long_texts: all.long_texts,
        }
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> Value {
        let one = |(value, found, count): &(Value, usize, usize)| json!({"value": value, "found": found, "count": count});
        let values: Vec<Value> = self.values.iter().take(IN_JSON).map(one).collect();
        json!({
            "field": self.field, "values": values, "distinct": self.values.len(), "found": self.found_with,
            "count": self.with, "long_texts": self.long_texts,
        })
    }

    /// In a line for people, or in several that fit the terminal.
    pub(super) fn line(&self) -> String {
        self.line_within(terminal::columns())
    }

    fn line_within(&self, columns: usize) -> String {
        let shown = |(value, found, count): &(Value, usize, usize)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
            format!("{} {found}/{count}", plain(&value))
        };
        let values: Vec<String> = self.values.iter().take(SHOWN).map(shown).collect();
        let left = self.values.len().saturating_sub(SHOWN);
        let more = (left > 0).then(|| format!("{left} more values"));
        let long = match self.long_texts {
            0 => None,
            1 => Some("a field of type text: 1 document has one too long to be counted".to_string()),
            many => Some(format!("a field of type text: {many} documents have ones too long to be counted")),
        };
        let values: Vec<String> = values.into_iter().chain(more).chain(long).collect();
        // Where as many were found as are looked at, there may be more.
        let found = if self.found >= DEFAULT_DEPTH {
            format!("the best {} that were found", self.found)
        } else {
            format!("{} found", self.found)
        };
        let heading = format!("{} (of {found} / of all):", plain(&self.field));
        let mut lines = vec![style(heading).dim().to_string()];
        let last = values.len().saturating_sub(1);
        for (nth, value) in values.into_iter().enumerate() {
            let piece = if nth < last { format!("{value} ·") } else { value };
            match lines.last_mut() {
                Some(line)
                    if measure_text_width(line.as_str()) + 1 + measure_text_width(&piece) + INDENT
                        <= columns =>
                {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
        format!("      {}\n", lines.join(&format!("\n{}", " ".repeat(INDENT))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_long_texts_says_so() {
        let all = Facets { documents: 3, long_texts: 2, ..Facets::default() };
        let line = |all: &Facets| {
            let line = FieldFacets::new("maker", 3, all, all).line_within(usize::MAX);
            console::strip_ansi_codes(&line).trim().to_string()
        };
        assert_eq!(
            line(&all),
            "maker (of 3 found / of all): a field of type text: 2 documents have ones too long to be counted"
        );
        let values = vec![FacetValue { value: "x".into(), count: 2 }];
        let shown = line(&Facets { values, long_texts: 1, ..all });
        assert!(
            shown.ends_with("x 2/2 · a field of type text: 1 document has one too long to be counted"),
            "{shown}"
        );
    }

    #[test]
    fn values_go_on_in_another_line_where_the_terminal_ends() {
        let value = |n: usize| FacetValue { value: format!("value-{n}").into(), count: 1 };
        let all = Facets { documents: 4, values: (0..4).map(value).collect(), ..Facets::default() };
        let lines = FieldFacets::new("tags", 4, &all, &all).line_within(60);
        assert_eq!(
            console::strip_ansi_codes(&lines),
            "      tags (of 4 found / of all): value-0 1/1 ·\n        value-1 1/1 · value-2 1/1 · value-3 1/1\n"
        );
    }
}

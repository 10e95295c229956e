//! A few queries with what the baseline and the best pipeline put on top, so that a number becomes something to read.

use crate::command::snippet;
use crate::command::terminal::plain;
use console::style;
use plackett_core::{Document, Qrels, Ranking};
use plackett_search::Analyzer;
use plackett_search::snippet::snippet as passage;
use std::collections::HashMap;

/// Documents shown per query.
const SHOWN: usize = 3;

/// A query with its two answers.
pub struct Example<'a> {
    /// Why this query was chosen.
    pub why: &'a str,
    /// Its words.
    pub query: &'a str,
    /// The measure's value for the baseline and for the pipeline.
    pub values: (f64, f64),
    /// The baseline's order.
    pub before: &'a Ranking,
    /// The pipeline's order.
    pub after: &'a Ranking,
}

/// The example as lines of at most `width` characters: the pipeline's best documents, their judged grade, how far each
/// moved, and the passage of each that speaks to the query.
pub fn render(
    example: &Example<'_>,
    documents: &HashMap<String, Document>,
    qrels: &Qrels,
    measure: &str,
    width: usize,
) -> String {
    let (before, after) = example.values;
    let mut text = format!(
        "  {}  {}\n",
        style(format!("“{}”", plain(example.query))).bold(),
        style(format!("{measure} {before:.2} → {after:.2}, {}", example.why)).dim()
    );
    let terms = Analyzer::English.terms(example.query).into_iter().map(|(term, _)| (term, 1.0)).collect();
    let place: HashMap<&str, usize> =
        example.before.entries.iter().map(|e| (e.id.as_str(), e.rank)).collect();
    for entry in example.after.entries.iter().take(SHOWN) {
        let Some(document) = documents.get(&entry.id) else { continue };
        let grade = grade(qrels, &example.after.query_id, &entry.id);
        let title = if document.title.is_empty() { &document.id } else { &document.title };
        text.push_str(&format!(
            "    {} {} {}  {}\n",
            style(entry.rank).bold(),
            rank_change(place.get(entry.id.as_str()).copied(), entry.rank),
            style(plain(title)).cyan(),
            grade
        ));
        let columns = width.saturating_sub(12);
        let found = passage(&document.text, Analyzer::English, &terms, snippet::width(columns));
        let line = snippet::line(&found, &document.text, columns);
        text.push_str(&format!("           {}\n", style(line).dim()));
    }
    text
}

/// How a document moved from the baseline's place.
fn rank_change(before: Option<usize>, after: usize) -> String {
    let text = match before {
        None => format!("{:>4}", "new"),
        Some(before) if before > after => format!("{:>4}", format!("▲{}", before - after)),
        Some(before) if before < after => format!("{:>4}", format!("▼{}", after - before)),
        Some(_) => format!("{:>4}", "="),
    };
    match before {
        Some(before) if before < after => style(text).red().to_string(),
        Some(before) if before == after => style(text).dim().to_string(),
        _ => style(text).green().to_string(),
    }
}

/// The judged grade as dots, or a word when nobody judged the document.
fn grade(qrels: &Qrels, query: &str, document: &str) -> String {
    let judged = qrels.grade(query, document);
    match judged {
        Some(grade @ 1..) => {
            let full = grade.min(3) as usize;
            format!("{}{}", style("●".repeat(full)).yellow(), style("○".repeat(3 - full)).dim())
        }
        Some(_) => style("not relevant").dim().to_string(),
        None => style("not judged").dim().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movement_is_told_from_the_reader_s_side() {
        console::set_colors_enabled(false);
        assert_eq!(rank_change(Some(5), 2).trim(), "▲3");
        assert_eq!(rank_change(Some(1), 2).trim(), "▼1");
        assert_eq!(rank_change(None, 2).trim(), "new");
    }
}

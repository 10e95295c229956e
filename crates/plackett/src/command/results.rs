//! Rankings as text for people, JSON for machines and TREC runs for evaluators.

use super::envelope::Envelope;
use super::search::Format;
use super::table::wrapped;
use super::terminal::{self, plain};
use console::style;
use plackett_core::formats::trec::check_run_line;
use plackett_core::{Ranked, Ranking, Status, TieReport, Trace};
use serde_json::{Value, json};
use std::collections::HashSet;
use unicode_categories::UnicodeCategories;

/// The JSON object of one query: `query_id`, `ranking` and `trace`.
pub fn to_json(ranking: &Ranking) -> Value {
    let activated = &ranking.trace.activated;
    let entries: Vec<Value> = ranking
        .entries
        .iter()
        .enumerate()
        .map(|(i, entry)| {
            let mut object = json!({"id": entry.id, "score": entry.score, "rank": entry.rank});
            if let Some(activated) = activated.get(i) {
                object["activated"] = json!(activated);
            }
            object
        })
        .collect();
    json!({"query_id": ranking.query_id, "ranking": entries, "trace": trace_json(ranking)})
}

/// The account of one ranking as JSON.
pub fn trace_json(ranking: &Ranking) -> Value {
    account_json(&ranking.trace)
}

/// An account as JSON.
pub fn account_json(trace: &Trace) -> Value {
    let facts: serde_json::Map<String, Value> =
        trace.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let status = match &trace.status {
        Status::Ranked => "ranked".to_string(),
        Status::Repaired => "repaired".to_string(),
        Status::Fallback(name) => format!("fallback:{name}"),
    };
    json!({
        "status": status,
        "passes": trace.passes,
        "prompt_tokens": trace.prompt_tokens,
        "generated_tokens": trace.generated_tokens,
        "cache_hits": trace.cache_hits,
        "seconds": trace.seconds,
        "truncated": trace.truncated,
        "ties": trace.ties,
        "facts": facts,
    })
}

/// The lines of a TREC run for one query, which may be the first of its file. What readers would take for something else,
/// such as an id with a blank, is an error.
pub fn to_trec(ranking: &Ranking, tag: &str, first: bool) -> anyhow::Result<String> {
    let mut lines = String::new();
    let documents = ranking.entries.iter().map(|entry| entry.id.as_str());
    check_run_line(&ranking.query_id, documents, tag, first)
        .map_err(|problem| anyhow::anyhow!("--format trec: {problem}; --format jsonl holds any id"))?;
    for (entry, score) in ranking.entries.iter().zip(strict_scores(ranking)) {
        let line = format!("{} Q0 {} {} {score} {tag}\n", ranking.query_id, entry.id, entry.rank);
        lines.push_str(&line);
    }
    Ok(lines)
}

/// The scores as evaluators are told them, in the order of the ranking. Evaluators order by score, some of them in single
/// precision, and break ties by the document's id. Where that would be another order than the ranking's, a score is told
/// as a lower one.
pub fn strict_scores(ranking: &Ranking) -> impl Iterator<Item = f64> + '_ {
    let by_id = ranking.trace.ties.broken_by == TieReport::DOCNO;
    let mut before: Option<(&Ranked, f64)> = None;
    ranking.entries.iter().map(move |entry| {
        let score = match before {
            None => entry.score,
            Some((before, above)) if by_id && before.score == entry.score => above,
            // Equal in single precision, and in the order in which such a reader puts them.
            Some((before, above)) if by_id && entry.score < above && before.id > entry.id => entry.score,
            Some((_, above)) if is_lower(entry.score, above) => entry.score,
            Some((_, above)) => plackett_core::next_score_below(above),
        };
        before = Some((entry, score));
        score
    })
}

/// Whether a score is lower than another also in single precision, where that holds both.
fn is_lower(score: f64, above: f64) -> bool {
    let (single, single_above) = (score as f32, above as f32);
    if single.is_finite() && single_above.is_finite() { single < single_above } else { score < above }
}

/// The account of one ranking for people, in a few dim lines that fit the terminal.
pub fn explain(ranking: &Ranking) -> String {
    let trace = &ranking.trace;
    let mut lines = vec![format!(
        "{} passes · {} tokens · {} reused · {:.1} ms",
        trace.passes,
        trace.prompt_tokens,
        trace.cache_hits,
        trace.seconds * 1000.0
    )];
    lines.extend(trace.facts.iter().map(|(name, value)| format!("{name} = {value}")));
    if trace.ties.groups > 0 {
        lines.push(format!(
            "{} documents tie in {} groups, ordered by {}",
            trace.ties.documents, trace.ties.groups, trace.ties.broken_by
        ));
    }
    lines.extend(
        trace.truncated.iter().map(|t| format!("{}: the model read {} of {} tokens", t.id, t.kept, t.tokens)),
    );
    let columns = terminal::columns().saturating_sub(5);
    let fitted = lines.iter().flat_map(|line| wrapped(&plain(line), columns));
    fitted.map(|line| format!("     {}\n", style(line).dim())).collect()
}

/// The last column of a TREC run, which ends at the first blank.
pub fn tag(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(
            "a name without blanks is expected, as the last column of a TREC run has it; use `-` or `_`"
                .into(),
        );
    }
    // Nobody sees these, and a terminal obeys some of them.
    if let Some(c) = text.chars().find(|c| c.is_control() || c.is_other_format()) {
        return Err(format!(
            "the character U+{:04X} in it cannot be seen; use letters, digits, `-` or `_`",
            c as u32
        ));
    }
    Ok(text.to_string())
}

/// Writes rankings one after another, so that no more than one has to be kept.
pub struct Writer<'a> {
    format: Format,
    tag: &'a str,
    envelope: &'a Envelope,
    written: usize,
    /// Queries of a run so far: their lines could not be told apart.
    queries: HashSet<String>,
}

impl<'a> Writer<'a> {
    /// A writer of rankings; the envelope takes those of [`Format::Document`]. [`Format::Text`] is not its business and
    /// gives nothing.
    pub fn new(format: Format, tag: &'a str, envelope: &'a Envelope) -> Self {
        Writer { format, tag, envelope, written: 0, queries: HashSet::new() }
    }

    /// The next ranking as text to be written.
    pub fn entry(&mut self, ranking: &Ranking) -> anyhow::Result<String> {
        match self.format {
            Format::Text => Ok(String::new()),
            Format::Trec => {
                if !self.queries.insert(ranking.query_id.clone()) {
                    let id = &ranking.query_id;
                    anyhow::bail!(
                        "two queries have the id `{id}`, and a run can hold one; give them different ids, or use --format jsonl"
                    );
                }
                let lines = to_trec(ranking, self.tag, self.written == 0)?;
                self.written += usize::from(!lines.is_empty());
                Ok(lines)
            }
            Format::Json | Format::Jsonl | Format::Document => Ok(self.object(&to_json(ranking))),
        }
    }

    /// The next ranking, already an object, in one of the JSON formats.
    pub fn object(&mut self, object: &Value) -> String {
        self.written += 1;
        match (self.format, self.written) {
            (Format::Document, _) => self.envelope.result(object),
            (Format::Json, 1) => format!("[\n{object}"),
            (Format::Json, _) => format!(",\n{object}"),
            _ => format!("{object}\n"),
        }
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What closes the rankings.
    pub fn end(&self) -> String {
        match (self.format, self.written) {
            (Format::Json, 0) => "[]\n".into(),
            (Format::Json, _) => "\n]\n".into(),
            (Format::Document, _) => self.envelope.results(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking() -> Ranking {
        let mut ranking =
            Ranking::from_scores("q", [("a".to_string(), 1.5), ("b".into(), 2.0)], Trace::default());
        ranking.trace.activated = vec![0.9, 0.8];
        ranking
    }

    #[test]
    fn json_has_the_fields_that_scripts_rely_on() {
        let value = to_json(&ranking());
        assert_eq!(value["query_id"], "q");
        assert_eq!(value["ranking"][0], json!({"id": "b", "score": 2.0, "rank": 1, "activated": 0.9}));
        for field in ["passes", "prompt_tokens", "generated_tokens", "seconds", "truncated", "ties"] {
            assert!(!value["trace"][field].is_null(), "{field}");
        }
    }

    #[test]
    fn a_run_holds_a_query_once_and_a_tag_without_blanks() {
        let envelope = Envelope::new("search");
        let mut writer = Writer::new(Format::Trec, "t", &envelope);
        assert!(writer.entry(&ranking()).is_ok());
        assert!(writer.entry(&ranking()).unwrap_err().to_string().contains("`q`"));
        let mut lines = Writer::new(Format::Jsonl, "t", &envelope);
        assert!((0..2).all(|_| lines.entry(&ranking()).is_ok()));
        assert!(tag("my run").is_err() && tag("").is_err() && tag("a\tb").is_err());
        assert_eq!(tag("my-run").unwrap(), "my-run");
    }

    #[test]
    fn trec_lines_have_six_fields_and_refuse_blanks() {
        assert_eq!(to_trec(&ranking(), "t", true).unwrap(), "q Q0 b 1 2 t\nq Q0 a 2 1.5 t\n");
        let mut tied =
            Ranking::from_scores("q", ["a", "b"].map(|id| (id.to_string(), 1.0)), Trace::default());
        assert_eq!(to_trec(&tied, "t", true).unwrap(), "q Q0 b 1 1 t\nq Q0 a 2 1 t\n");
        tied.entries.reverse();
        tied.trace.ties.broken_by = TieReport::INPUT.into();
        assert_eq!(to_trec(&tied, "t", true).unwrap(), "q Q0 a 2 1 t\nq Q0 b 1 0.9999999 t\n");
        // Zeros, steps that only doubles have, and numbers beyond single precision.
        for scores in [[0.0, 0.0, 0.0], [2.0, 1.9999999999999998, 1.0], [1e300, 1e300, -1e300], [1e-30; 3]] {
            let scored = ["c", "b", "a"].map(String::from).into_iter().zip(scores);
            let mut ranking = Ranking::from_scores("q", scored, Trace::default());
            ranking.entries.sort_by(|a, b| a.id.cmp(&b.id).reverse());
            ranking.entries.iter_mut().zip(scores).for_each(|(entry, score)| entry.score = score);
            ranking.trace.ties.broken_by = TieReport::INPUT.into();
            let run = to_trec(&ranking, "t", true).unwrap();
            let written: Vec<f64> =
                run.lines().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect();
            assert!(written.windows(2).all(|pair| pair[0] > pair[1]), "{run}");
            if scores[0] < 1e38 {
                assert!(written.windows(2).all(|pair| pair[0] as f32 > pair[1] as f32), "{run}");
                assert!(run.len() < 100, "{run}");
            }
        }
        let blank = Ranking::from_scores("q 1", [("a".to_string(), 1.0)], Trace::default());
        assert!(to_trec(&blank, "t", false).is_err());
        let comment = Ranking::from_scores("#1", [("a".to_string(), 1.0)], Trace::default());
        assert!(to_trec(&comment, "t", false).unwrap_err().to_string().contains("comment"));
        assert!(to_trec(&ranking(), "my tag", false).unwrap_err().to_string().contains("`my tag`"));
    }
}

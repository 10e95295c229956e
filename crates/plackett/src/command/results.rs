//! Rankings as text for people, JSON for machines and TREC runs for evaluators.

use super::envelope::Envelope;
use super::search::Format;
use console::style;
use plackett_core::{Ranking, Status};
use serde_json::{Value, json};

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
    let trace = &ranking.trace;
    let facts: serde_json::Map<String, Value> =
        trace.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let status = match &trace.status {
        Status::Ranked => "ranked".to_string(),
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

/// The lines of a TREC run for one query. Blanks inside an id would break the format and are refused by its reader, so
/// they are an error here too.
pub fn to_trec(ranking: &Ranking, tag: &str) -> anyhow::Result<String> {
    let mut lines = String::new();
    for id in std::iter::once(&ranking.query_id).chain(ranking.entries.iter().map(|e| &e.id)) {
        if id.is_empty() || id.contains(char::is_whitespace) {
            anyhow::bail!(
                "id `{id}` is empty or has a blank, which a TREC run cannot hold; use --format jsonl"
            );
        }
    }
    for entry in &ranking.entries {
        let line = format!("{} Q0 {} {} {} {tag}\n", ranking.query_id, entry.id, entry.rank, entry.score);
        lines.push_str(&line);
    }
    Ok(lines)
}

/// The account of one ranking for people, in a few dim lines.
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
    lines.into_iter().map(|line| format!("     {}\n", style(line).dim())).collect()
}

/// Writes rankings one after another, so that no more than one has to be kept.
pub struct Writer<'a> {
    format: Format,
    tag: &'a str,
    envelope: &'a Envelope,
    written: usize,
}

impl<'a> Writer<'a> {
    /// A writer of rankings; the envelope takes those of [`Format::Document`]. [`Format::Text`] is not its business and
    /// gives nothing.
    pub fn new(format: Format, tag: &'a str, envelope: &'a Envelope) -> Self {
        Writer { format, tag, envelope, written: 0 }
    }

    /// The next ranking as text to be written.
    pub fn entry(&mut self, ranking: &Ranking) -> anyhow::Result<String> {
        match self.format {
            Format::Text => Ok(String::new()),
            Format::Trec => to_trec(ranking, self.tag),
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
    use plackett_core::Trace;

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
    fn trec_lines_have_six_fields_and_refuse_blanks() {
        assert_eq!(to_trec(&ranking(), "t").unwrap(), "q Q0 b 1 2 t\nq Q0 a 2 1.5 t\n");
        let blank = Ranking::from_scores("q 1", [("a".to_string(), 1.0)], Trace::default());
        assert!(to_trec(&blank, "t").is_err());
    }
}

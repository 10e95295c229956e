//! What `plackett ask` prints.

use super::coverage::ListCoverage;
use super::{Arguments, Told};
use crate::command::open::listed;
use crate::command::results::account_json;
use crate::command::terminal::plain;
use crate::command::{Outcome, Output};
use console::style;
use plackett_core::{Document, Trace};
use plackett_rank::ask::PoolEntry;
use serde_json::{Value, json};

/// A passage at its place.
struct Passage<'a> {
    rank: usize,
    score: f64,
    entry: &'a PoolEntry,
    document: &'a Document,
}

impl Told<'_> {
    fn passages(&self) -> impl Iterator<Item = Passage<'_>> {
        let placed = self.ordered.positions.iter().zip(&self.ordered.scores).zip(1..);
        placed.map(|((&at, &score), rank)| Passage {
            rank,
            score,
            entry: &self.found.pool.entries[at],
            document: &self.found.documents[at],
        })
    }

    /// Tells what the answer does not show by itself.
    pub fn warn(&self, of_ranker: &[String], arguments: &Arguments, output: &Output) {
        let explored = self.explored.iter().flat_map(|explored| &explored.repairs);
        explored.for_each(|repair| output.warn(&format!("aspects: {repair}")));
        self.found.remarks.iter().chain(of_ranker).for_each(|remark| output.warn(remark));
        let wanted = arguments.k as usize;
        match self.found.pool.len() {
            0 => output
                .warn("no passage was found for the question or any of its aspects, so there is no answer"),
            found if found < wanted => {
                output.warn(&format!("{wanted} passages are asked for, and {found} were found"));
            }
            _ => {}
        }
        for (_, what) in self.ordered.trace.facts.iter().filter(|(name, _)| name == "repaired") {
            output.warn(&format!("the model's list was repaired: {what}"));
        }
        if self.ranker.name == "silver" && self.aspects.iter().any(|aspect| aspect.answer.is_none()) {
            output.warn(
                "silver: not every aspect has a known answer, so that coverage is that of the aspects' own words and no upper \
                 bound; write {\"aspect\": …, \"answer\": …} into the file of --aspects",
            );
        }
        let cut = |trace: &Trace| trace.truncated.iter().map(|text| text.id.clone()).collect::<Vec<String>>();
        let read = [("list", Some(&self.ordered.trace)), ("answer", self.answer.map(|answer| &answer.trace))];
        for (what, trace) in read {
            let cut = trace.map(cut).unwrap_or_default();
            if !cut.is_empty() {
                output.warn(&format!(
                    "for the {what} the model read only the beginning of {}",
                    listed(&cut, "text", "texts")
                ));
            }
        }
        self.answer.iter().flat_map(|answer| &answer.remarks).for_each(|remark| output.warn(remark));
    }

    /// Prints it, for people or as the fields of the document of `--json`.
    pub fn print(&self, output: &Output) -> Outcome {
        if output.json {
            output.print_json(&self.json())?
        } else {
            output.print_styled(&self.text())?
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let found =
            |search: usize| self.found.pool.entries.iter().filter(|entry| entry.of(search).is_some()).count();
        let aspects: Vec<Value> = self
            .aspects
            .iter()
            .enumerate()
            .map(|(n, aspect)| json!({"text": aspect.text, "answer": aspect.answer, "found": found(n + 1)}))
            .collect();
        let passages: Vec<Value> = self
            .passages()
            .map(|passage| {
                let found_by: Vec<Value> = passage
                    .entry
                    .found_by
                    .iter()
                    .map(|finding| json!({"search": finding.search, "rank": finding.rank}))
                    .collect();
                json!({
                    "id": passage.document.id,
                    "title": passage.document.title,
                    "score": passage.score,
                    "rank": passage.rank,
                    "found_by": found_by,
                })
            })
            .collect();
        let answer = self.answer.map(|answer| {
            json!({
                "text": answer.text,
                "sources": answer.sources,
                "citations": answer.citations,
                "dropped": answer.dropped,
                "finish": answer.finish,
            })
        });
        json!({
            "question": self.question,
            "model": self.model,
            "aspects": aspects,
            "candidates": self.found.pool.len(),
            "ranker": self.ranker.name,
            "ranking": passages,
            "coverage": self.coverage.map(|coverage| json!({
                "k": coverage.k,
                "aspects": coverage.aspects,
                "alpha_nDCG": coverage.alpha_ndcg,
                "StRecall": coverage.subtopic_recall,
            })),
            "answer": answer,
            "trace": {
                "aspects": self.explored.map(|explored| account_json(&explored.trace)),
                "search": account_json(&self.found.trace),
                "ranking": account_json(&self.ordered.trace),
                "answer": self.answer.map(|answer| account_json(&answer.trace)),
            },
            "seconds": self.seconds,
        })
    }

    fn covered(&self, coverage: &ListCoverage) -> String {
        let ListCoverage { k, aspects, alpha_ndcg, subtopic_recall } = coverage;
        format!(
            "\nCoverage of {aspects} of {}, by the passages that are known to answer: alpha-nDCG@{k} {alpha_ndcg:.3}, subtopic \
             recall {subtopic_recall:.3}\n",
            match self.aspects.len() {
                1 => "1 aspect".to_string(),
                count => format!("{count} aspects"),
            }
        )
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let heading = |text: &mut String, words: &str| {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("{}\n", style(words).bold()));
        };
        if !self.aspects.is_empty() {
            heading(&mut text, "Aspects");
            for (aspect, number) in self.aspects.iter().zip(1..) {
                text.push_str(&format!("{number:>4}  {}\n", plain(&aspect.text)));
            }
        }
        let (found, ranker) = (self.found.pool.len(), self.ranker.name);
        heading(&mut text, &format!("Passages ({ranker} over {found} candidates)"));
        if found == 0 {
            text.push_str("      nothing found\n");
        }
        for passage in self.passages() {
            let aspects: Vec<String> = passage
                .entry
                .found_by
                .iter()
                .filter(|finding| finding.search > 0)
                .map(|finding| finding.search.to_string())
                .collect();
            let of = match aspects.len() {
                0 => String::new(),
                1 => format!("  aspect {}", aspects[0]),
                _ => format!("  aspects {}", aspects.join(", ")),
            };
            text.push_str(&format!(
                "{:>4}  {}  {}{}\n",
                style(passage.rank).bold(),
                style(plain(&passage.document.id)).cyan(),
                plain(&passage.document.title),
                style(of).dim()
            ));
        }
        if let Some(coverage) = &self.coverage {
            text.push_str(&self.covered(coverage));
        }
        if let Some(answer) = self.answer {
            heading(&mut text, "Answer");
            text.push_str(&format!("{}\n", plain(&answer.text)));
            if !answer.citations.is_empty() {
                text.push('\n');
            }
            for citation in &answer.citations {
                let title = self.found.documents.iter().find(|document| document.id == citation.id);
                let title = title.map_or("", |document| &document.title);
                text.push_str(&format!(
                    "{:>5} {}  {}\n",
                    format!("[{}]", citation.source),
                    style(plain(&citation.id)).cyan(),
                    plain(title)
                ));
            }
        }
        text
    }
}

//! What the answers of a search do not show by themselves: stages that had nothing to go by, and texts that were cut.

use crate::command::Output;
use crate::command::cut_texts::CutTexts;
use crate::command::open::listed;
use indexmap::IndexMap;
use plackett::pipeline::REMARK;
use plackett_core::Ranking;

/// Collected over all queries of a command, so that a remark stands once however many queries it is about.
#[derive(Default)]
pub(super) struct Remarks {
    /// Queries by remark.
    of_stages: IndexMap<String, Vec<String>>,
    /// Documents and queries that a model did not read whole.
    cut: CutTexts,
}

impl Remarks {
    /// Takes those of one answer.
    pub(super) fn take(&mut self, ranking: &Ranking) {
        for (name, text) in &ranking.trace.facts {
            if name.starts_with(REMARK) {
                self.of_stages.entry(text.clone()).or_default().push(ranking.query_id.clone());
            }
        }
        self.cut.take(ranking);
    }

    /// Tells them; `queries` is how many were asked.
    pub(super) fn tell(&self, queries: usize, output: &Output) {
        for (text, of) in &self.of_stages {
            match queries {
                1 => output.warn(text),
                _ => output.warn(&format!("{text}: {}", listed(of, "query", "queries"))),
            }
        }
        for sentence in self.cut.sentences("--explain has the numbers") {
            output.warn(&sentence);
        }
    }
}

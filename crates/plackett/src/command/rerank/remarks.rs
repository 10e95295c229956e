//! What a run without traces does not show: texts that were cut, documents without text, and requests in which there is
//! nothing to rank or to rank by.

use crate::command::Output;
use crate::command::cut_texts::{CutTexts, Texts};
use plackett::pipeline::wordless;
use plackett_core::{Query, Ranking};

/// Collected over all requests of a command.
#[derive(Default)]
pub(super) struct Remarks {
    cut: CutTexts,
    empty: Texts,
    nothing: Texts,
    wordless: Texts,
    /// Requests with a number that is given back rounded, and the first such number with its field.
    rounded: usize,
    first_rounded: Option<(String, String)>,
}

impl Remarks {
    /// Takes those of one answer.
    pub(super) fn take(&mut self, ranking: &Ranking) {
        self.cut.take(ranking);
        for id in ranking.trace.facts.iter().filter_map(|(fact, _)| fact.strip_prefix("empty:")) {
            self.empty.take(format!("`{id}` of query `{}`", ranking.query_id));
        }
        if ranking.entries.is_empty() {
            self.nothing.take(format!("`{}`", ranking.query_id));
        }
    }

    /// Takes that of a query by whose words candidates were ranked.
    pub(super) fn take_query(&mut self, query: &Query) {
        if let Some(why) = wordless(&query.text) {
            self.wordless.take(format!("`{}` ({why})", query.id));
        }
    }

    /// Takes the number of a request of which digits are lost, where the request is given back.
    pub(super) fn take_rounded(&mut self, lost: Option<&(String, String)>) {
        if let Some(lost) = lost {
            self.rounded += 1;
            self.first_rounded.get_or_insert_with(|| lost.clone());
        }
    }

    /// Tells them.
    pub(super) fn tell(&self, output: &Output) {
        for sentence in self.cut.sentences("traces have the numbers") {
            output.warn(&sentence);
        }
        if !self.empty.is_empty() {
            output.warn(&format!("no text to read: {}; they come last", self.empty.named()));
        }
        if !self.nothing.is_empty() {
            output.warn(&format!(
                "no candidates: query {}; there is nothing to rank, and a run has no line for it",
                self.nothing.named()
            ));
        }
        if !self.wordless.is_empty() {
            output.warn(&format!(
                "no word in the query: {}; the order of its candidates means little",
                self.wordless.named()
            ));
        }
        if let Some((name, digits)) = &self.first_rounded {
            let requests = if self.rounded == 1 { "request is" } else { "requests are" };
            output.warn(&format!(
                "numbers of {} {requests} given back with fewer digits, such as `{digits}` in `{name}`; write them as texts",
                self.rounded
            ));
        }
    }
}

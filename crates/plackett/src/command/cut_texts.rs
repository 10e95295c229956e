//! Texts of which a model read only the beginning: which, why, and what lets it read more.

use plackett_core::Ranking;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Texts that are named one by one.
const NAMED: usize = 5;

/// Texts by name: the first ones and how many there are.
#[derive(Default)]
pub struct Texts {
    /// Hashes of names: of millions of texts, names would fill the memory.
    seen: HashSet<u64>,
    first: Vec<String>,
}

impl Texts {
    /// Takes a text by its name; one that is known already stays one.
    pub fn take(&mut self, name: String) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&name);
        if self.seen.insert(hash) && self.first.len() < NAMED {
            self.first.push(name);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The first ones by name, and how many there are.
    pub fn named(&self) -> String {
        let more = self.seen.len() - self.first.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", self.first.join(", "))
    }
}

/// Collected over all rankings of a command.
#[derive(Default)]
pub struct CutTexts {
    /// Documents that a model reads by themselves or beside the query.
    read: Texts,
    /// The same where they are read in pieces.
    in_pieces: Texts,
    /// Documents that stand in prompts.
    prompted: Texts,
    queries: Texts,
}

impl CutTexts {
    /// Takes those of one ranking.
    pub fn take(&mut self, ranking: &Ranking) {
        let facts = &ranking.trace.facts;
        let prompts = facts.iter().any(|(name, _)| name == "prompt");
        let pieces = facts.iter().any(|(name, value)| name == "long-text" && value.starts_with("chunk"));
        for cut in &ranking.trace.truncated {
            let query = &ranking.query_id;
            if cut.of_query {
                self.queries.take(format!("`{query}`"));
                continue;
            }
            let texts = match (prompts, pieces) {
                (true, _) => &mut self.prompted,
                (false, true) => &mut self.in_pieces,
                (false, false) => &mut self.read,
            };
            texts.take(format!("`{}` of query `{query}`", cut.id));
        }
    }

    /// A sentence for each kind; `numbers` says where the numbers are.
    pub fn sentences(&self, numbers: &str) -> Vec<String> {
        let kinds = [
            (
                &self.read,
                "the model read only the beginning of ",
                "--long-text chunk-max lets rerankers read all of it",
            ),
            (
                &self.in_pieces,
                "the model read only the beginning of pieces of ",
                "beside a query as long as this there is little room; shorten the query",
            ),
            (
                &self.prompted,
                "the prompts hold only the beginning of ",
                "as much as the method's options, its prompt and the model's context leave room for",
            ),
            (
                &self.queries,
                "the model read only the beginning of the query ",
                "no policy reads the rest; shorten it",
            ),
        ];
        let told = kinds.into_iter().filter(|(texts, ..)| !texts.is_empty());
        told.map(|(texts, what, advice)| format!("{what}{}; {advice} ({numbers})", texts.named())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{Trace, Truncation};

    fn ranking(facts: &[(&str, &str)], of_query: bool) -> Ranking {
        let cut = Truncation { id: "q".into(), tokens: 9, kept: 3, estimated: false, of_query };
        let facts = facts.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Ranking::from_scores("q", [], Trace { truncated: vec![cut], facts, ..Trace::default() })
    }

    /// A policy is advised only where it would change something.
    #[test]
    fn the_advice_fits_what_was_cut() {
        for (facts, of_query, said, advised) in [
            (&[("long-text", "truncate")][..], false, "`q` of query `q`", true),
            (&[("long-text", "chunk-max")], false, "pieces of `q` of query `q`; beside a query", false),
            (&[("long-text", "truncate"), ("prompt", "yes-no@0")], false, "prompts hold only", false),
            (&[("long-text", "truncate")], true, "beginning of the query `q`;", false),
            (&[("long-text", "chunk-max")], true, "beginning of the query `q`;", false),
        ] {
            let mut cut = CutTexts::default();
            cut.take(&ranking(facts, of_query));
            let sentences = cut.sentences("traces have the numbers");
            assert_eq!(sentences.len(), 1);
            assert!(sentences[0].contains(said), "{sentences:?}");
            assert_eq!(sentences[0].contains("chunk-max"), advised, "{sentences:?}");
        }
        assert!(CutTexts::default().sentences("").is_empty());
    }
}

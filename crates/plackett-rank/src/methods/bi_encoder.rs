//! One vector for the query, one per document, compared by dot product (Reimers and Gurevych, Sentence-BERT, 2019).

use super::similarity::dot;
use crate::batch::{Account, Place, Settings, SharedText, rank_together, read_queries};
use crate::method::{Calls, Family, MethodSpec};
use crate::model::{Need, Role, TextEmbedder, TextVector};
use crate::ranker::{RankError, Ranker};
use crate::reading::{ReadText, read_candidates, too_long};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use std::sync::Arc;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "bi-encoder",
    aliases: &[],
    family: Family::Embedding,
    gives_scores: |_| true,
    paper: "Reimers and Gurevych, Sentence-BERT, 2019",
    summary: "Compares a vector of the query with a vector of each document.",
    needs: |_| vec![Need::TextVectors],
    options: &[],
    calls: Calls { formula: "N + 1", count: Some(|n, _| n as u64 + 1) },
    prompts: &[],
    build: |build| Ok(Arc::new(BiEncoder::new(build.text_embedder()?, build.settings))),
};

/// Reranks by the similarity of a query vector and document vectors.
pub struct BiEncoder {
    model: Arc<dyn TextEmbedder>,
    settings: Settings,
}

impl BiEncoder {
    /// A ranker over an embedding model.
    pub fn new(model: Arc<dyn TextEmbedder>, settings: Settings) -> Self {
        BiEncoder { model, settings }
    }

    fn score(&self, requests: &[&RankRequest]) -> Result<Vec<Account>, LmError> {
        let mut accounts: Vec<Account> = requests.iter().map(|r| Account::new(r, false)).collect();
        let model = self.model.as_ref();
        for account in &mut accounts {
            account.trace.facts.extend(model.facts());
        }
        let embed = |texts: &[&str]| model.embed_texts(Role::Query, texts);
        let queries = read_queries(requests, &mut accounts, |v: &TextVector| v.length, embed)?;
        let settings = &self.settings;
        read_candidates(model, settings, requests, &mut accounts, |texts, cut| {
            let flat: Vec<&str> = cut.iter().flatten().copied().collect();
            let mut vectors = model.embed_texts(Role::Document, &flat)?.into_iter();
            let read = |(text, parts): (&SharedText<'_>, &Vec<&str>)| {
                let parts: Vec<TextVector> = vectors.by_ref().take(parts.len()).collect();
                let score = |place: &Place| {
                    let query = queries[place.request].as_ref().map_or(&[][..], |q| &q.values);
                    let similarities = parts.iter().map(|p| f64::from(dot(query, &p.values)));
                    settings.join().of(similarities).unwrap_or(f64::NAN)
                };
                let scores = text.places.iter().map(score).collect();
                ReadText { lengths: parts.iter().map(|p| p.length).collect(), scores }
            };
            Ok(texts.iter().zip(cut).map(read).collect())
        })?;
        Ok(accounts)
    }
}

impl Ranker for BiEncoder {
    fn name(&self) -> &str {
        "bi-encoder"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let too_long = |r: &RankRequest| too_long(self.model.as_ref(), r);
        rank_together(self.name(), &self.settings, requests, too_long, |r| self.score(r))
    }
}

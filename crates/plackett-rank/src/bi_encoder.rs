//! One vector for the query, one per document, compared by dot product (Reimers and Gurevych, Sentence-BERT, 2019).

use crate::batch::{Account, Settings, distinct_texts, pieces, rank_together, read_queries, room, slices};
use crate::model::{Role, TextEmbedder, TextLength, TextVector};
use crate::ranker::{RankError, Ranker};
use crate::similarity::dot;
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use std::sync::Arc;

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
        let room = room(model, Role::Document)?;
        let texts = distinct_texts(requests);
        let mut done = 0;
        for slice in slices(&texts, |t| t.text.len()) {
            let cut: Vec<Vec<&str>> = slice
                .iter()
                .map(|t| pieces(model, self.settings.long_text, room, &t.text))
                .collect::<Result<_, _>>()?;
            let flat: Vec<&str> = cut.iter().flatten().copied().collect();
            let mut vectors = model.embed_texts(Role::Document, &flat)?.into_iter();
            for (text, parts) in slice.iter().zip(&cut) {
                let parts: Vec<TextVector> = vectors.by_ref().take(parts.len()).collect();
                let lengths: Vec<TextLength> = parts.iter().map(|p| p.length).collect();
                for (nth, place) in text.places.iter().enumerate() {
                    let query = queries[place.request].as_ref().map_or(&[][..], |q| &q.values);
                    let similarities = parts.iter().map(|p| f64::from(dot(query, &p.values)));
                    let score = self.settings.join().of(similarities).unwrap_or(f64::NAN);
                    let id = &requests[place.request].candidates[place.candidate].document.id;
                    let account = &mut accounts[place.request];
                    account.scores[place.candidate] = score;
                    account.enter(id, &lengths, nth == 0);
                }
            }
            done += slice.len();
            self.settings.report(done, texts.len());
        }
        Ok(accounts)
    }
}

impl Ranker for BiEncoder {
    fn name(&self) -> &str {
        "bi-encoder"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        rank_together(self.name(), &self.settings, requests, |r| self.score(r))
    }
}

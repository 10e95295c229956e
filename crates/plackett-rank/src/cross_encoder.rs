//! Query and document read together by one model (Nogueira and Cho, Passage Re-ranking with BERT, 2019).

use crate::batch::{Account, Place, Settings, rank_together, slices};
use crate::long_text::LongText;
use crate::model::{PairScore, PairScorer, TextLength};
use crate::ranker::{RankError, Ranker};
use crate::reading::{beyond, pieces, refusal};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use std::borrow::Cow;
use std::sync::Arc;

/// Reranks by a model that reads each (query, document) pair. The order is that of the raw logits.
pub struct CrossEncoder {
    model: Arc<dyn PairScorer>,
    settings: Settings,
}

/// One candidate's text.
struct Wanted<'a> {
    place: Place,
    text: Cow<'a, str>,
    query: &'a str,
}

impl CrossEncoder {
    /// A ranker over a model with a scoring head.
    pub fn new(model: Arc<dyn PairScorer>, settings: Settings) -> Self {
        CrossEncoder { model, settings }
    }

    fn score(&self, requests: &[&RankRequest]) -> Result<Vec<Account>, LmError> {
        let mut accounts: Vec<Account> = requests.iter().map(|r| Account::new(r, true)).collect();
        let rooms: Vec<usize> =
            requests.iter().map(|r| self.room_beside(&r.query.text)).collect::<Result<_, _>>()?;
        let wanted: Vec<Wanted> =
            requests.iter().enumerate().flat_map(|(request, r)| wanted(request, r)).collect();
        let mut done = 0;
        for slice in slices(&wanted, |w| w.text.len() + w.query.len()) {
            let cut: Vec<Vec<&str>> = slice
                .iter()
                .map(|w| {
                    pieces(self.model.as_ref(), self.settings.long_text, rooms[w.place.request], &w.text)
                })
                .collect::<Result<_, _>>()?;
            let pairs: Vec<(&str, &str)> = slice
                .iter()
                .zip(&cut)
                .flat_map(|(w, parts)| parts.iter().map(|part| (w.query, *part)))
                .collect();
            let mut answers = self.model.score_text_pairs(&pairs)?.into_iter();
            for (w, parts) in slice.iter().zip(&cut) {
                let parts: Vec<PairScore> = answers.by_ref().take(parts.len()).collect();
                let lengths: Vec<TextLength> = parts.iter().map(|p| p.length).collect();
                let join = |of: fn(&PairScore) -> f64| {
                    self.settings.join().of(parts.iter().map(of)).unwrap_or(f64::NAN)
                };
                let account = &mut accounts[w.place.request];
                account.scores[w.place.candidate] = join(|p| p.logit);
                account.activated[w.place.candidate] = join(|p| p.activated);
                let id = &requests[w.place.request].candidates[w.place.candidate].document.id;
                account.enter(id, &lengths, true);
            }
            done += slice.len();
            self.settings.report(done, wanted.len());
        }
        Ok(accounts)
    }

    /// Tokens that a query leaves for a piece of a document: at least a quarter of the input, so that a very long query
    /// (which the model will cut, and report) cannot grind a document to single words.
    fn room_beside(&self, query: &str) -> Result<usize, LmError> {
        if !matches!(self.settings.long_text, LongText::Chunks(_)) {
            return Ok(self.model.max_tokens());
        }
        let taken = self.model.token_spans(query)?.len() + self.model.pair_overhead();
        let limit = self.model.max_tokens();
        Ok(limit.saturating_sub(taken).max(limit / 4).max(1))
    }

    /// The first document of a request that does not fit the model beside the query.
    fn too_long(&self, request: &RankRequest) -> Result<Option<String>, LmError> {
        let model = self.model.as_ref();
        if request.candidates.is_empty() {
            return Ok(None);
        }
        let limit = model.max_tokens();
        let taken = model.token_spans(&request.query.text)?.len() + model.pair_overhead();
        if taken > limit {
            return Ok(Some(refusal("the query", taken, limit)));
        }
        for candidate in &request.candidates {
            if let Some(tokens) = beyond(model, &candidate.document.model_text(), limit - taken)? {
                let what = format!("document `{}` with the query", candidate.document.id);
                return Ok(Some(refusal(&what, tokens + taken, limit)));
            }
        }
        Ok(None)
    }
}

fn wanted(request: usize, r: &RankRequest) -> impl Iterator<Item = Wanted<'_>> {
    r.candidates.iter().enumerate().map(move |(candidate, c)| Wanted {
        place: Place { request, candidate },
        text: c.document.model_text(),
        query: &r.query.text,
    })
}

impl Ranker for CrossEncoder {
    fn name(&self) -> &str {
        "cross-encoder"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let too_long = |r: &RankRequest| self.too_long(r);
        rank_together(self.name(), &self.settings, requests, too_long, |r| self.score(r))
    }
}

//! One vector per token on both sides; a document's score is the sum over query tokens of the best match among its own
//! (Khattab and Zaharia, ColBERT, 2020, equation 3).

use crate::batch::{
    Account, Settings, SharedText, distinct_texts, pieces, rank_together, read_queries, room, slices,
};
use crate::model::{Role, TextLength, TokenEmbedder, TokenVectors};
use crate::ranker::{RankError, Ranker};
use crate::similarity::{PackedQuery, max_sim};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use rayon::prelude::*;
use std::sync::Arc;

/// Reranks by MaxSim over token vectors.
pub struct LateInteraction {
    model: Arc<dyn TokenEmbedder>,
    settings: Settings,
}

/// A document text, its token vectors piece by piece, and its score at each of its places.
type Read<'t, 'a> = (&'t SharedText<'a>, Vec<TokenVectors>, Vec<f64>);

impl LateInteraction {
    /// A ranker over a model that offers token vectors.
    pub fn new(model: Arc<dyn TokenEmbedder>, settings: Settings) -> Self {
        LateInteraction { model, settings }
    }

    fn score(&self, requests: &[&RankRequest]) -> Result<Vec<Account>, LmError> {
        let mut accounts: Vec<Account> = requests.iter().map(|r| Account::new(r, false)).collect();
        let embed = |texts: &[&str]| self.model.embed_tokens(Role::Query, texts);
        let queries = read_queries(requests, &mut accounts, |v: &TokenVectors| v.length, embed)?;
        let queries: Vec<Option<PackedQuery>> =
            queries.iter().map(|query| query.as_ref().map(PackedQuery::new)).collect();
        let room = room(self.model.as_ref(), Role::Document)?;
        let texts = distinct_texts(requests);
        let mut done = 0;
        for slice in slices(&texts, |t| t.text.len()) {
            for (text, parts, scores) in self.read_documents(slice, &queries, room)? {
                let lengths: Vec<TextLength> = parts.iter().map(|p| p.length).collect();
                for (nth, (place, score)) in text.places.iter().zip(scores).enumerate() {
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

    /// Reads one slice of texts and scores them at all their places. The token vectors live only as long as the slice.
    fn read_documents<'t, 'a>(
        &self,
        slice: &'t [SharedText<'a>],
        queries: &[Option<PackedQuery>],
        room: usize,
    ) -> Result<Vec<Read<'t, 'a>>, LmError> {
        let model = self.model.as_ref();
        let cut: Vec<Vec<&str>> = slice
            .iter()
            .map(|t| pieces(model, self.settings.long_text, room, &t.text))
            .collect::<Result<_, _>>()?;
        let flat: Vec<&str> = cut.iter().flatten().copied().collect();
        let mut vectors = model.embed_tokens(Role::Document, &flat)?.into_iter();
        let parts: Vec<Vec<TokenVectors>> =
            cut.iter().map(|parts| vectors.by_ref().take(parts.len()).collect()).collect();
        let join = self.settings.join();
        let read = slice.par_iter().zip(parts).map(|(text, parts)| {
            let wanted = || text.places.iter().filter_map(|place| queries.get(place.request)?.as_ref());
            let by_part: Vec<Vec<f64>> = parts.iter().map(|part| max_sim(part, wanted())).collect();
            let score = |nth: usize| join.of(by_part.iter().filter_map(|scores| scores.get(nth).copied()));
            let scores = (0..text.places.len()).map(|nth| score(nth).unwrap_or(f64::NAN)).collect();
            (text, parts, scores)
        });
        Ok(read.collect())
    }
}

impl Ranker for LateInteraction {
    fn name(&self) -> &str {
        "late-interaction"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        rank_together(self.name(), &self.settings, requests, |r| self.score(r))
    }
}

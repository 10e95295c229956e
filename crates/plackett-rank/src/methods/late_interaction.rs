//! One vector per token on both sides; a document's score is the sum over query tokens of the best match among its own
//! (Khattab and Zaharia, ColBERT, 2020, equation 3).

use super::similarity::{PackedQuery, max_sim};
use crate::batch::{Account, Settings, SharedText, rank_together, read_queries};
use crate::method::{Calls, Family, MethodSpec};
use crate::model::{Need, Role, TokenEmbedder, TokenVectors};
use crate::ranker::{RankError, Ranker};
use crate::reading::{ReadText, read_candidates, too_long};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use rayon::prelude::*;
use std::sync::Arc;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "late-interaction",
    aliases: &["colbert"],
    family: Family::Embedding,
    gives_scores: |_| true,
    paper: "Khattab and Zaharia, ColBERT, 2020",
    summary: "Sums over the tokens of the query the best match among the tokens of the document.",
    needs: |_| vec![Need::TokenVectors],
    options: &[],
    calls: Calls { formula: "N + 1", count: Some(|n, _| n as u64 + 1) },
    prompts: &[],
    build: |build| Ok(Arc::new(LateInteraction::new(build.token_embedder()?, build.settings))),
};

/// Reranks by MaxSim over token vectors.
pub struct LateInteraction {
    model: Arc<dyn TokenEmbedder>,
    settings: Settings,
}

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
        let model = self.model.as_ref();
        for account in &mut accounts {
            account.trace.facts.extend(model.token_facts());
        }
        read_candidates(model, &self.settings, requests, &mut accounts, |texts, cut| {
            self.read_documents(texts, cut, &queries)
        })?;
        Ok(accounts)
    }

    /// Reads one slice of texts and scores them at all their places.
    fn read_documents(
        &self,
        texts: &[SharedText<'_>],
        cut: &[Vec<&str>],
        queries: &[Option<PackedQuery>],
    ) -> Result<Vec<ReadText>, LmError> {
        let flat: Vec<&str> = cut.iter().flatten().copied().collect();
        let mut vectors = self.model.embed_tokens(Role::Document, &flat)?.into_iter();
        let parts: Vec<Vec<TokenVectors>> =
            cut.iter().map(|parts| vectors.by_ref().take(parts.len()).collect()).collect();
        let join = self.settings.join();
        let read = texts.par_iter().zip(parts).map(|(text, parts)| {
            let wanted = || text.places.iter().filter_map(|place| queries.get(place.request)?.as_ref());
            let by_part: Vec<Vec<f64>> = parts.iter().map(|part| max_sim(part, wanted())).collect();
            let score = |nth: usize| join.of(by_part.iter().filter_map(|scores| scores.get(nth).copied()));
            let scores = (0..text.places.len()).map(|nth| score(nth).unwrap_or(f64::NAN)).collect();
            ReadText { lengths: parts.iter().map(|part| part.length).collect(), scores }
        });
        Ok(read.collect())
    }
}

impl Ranker for LateInteraction {
    fn name(&self) -> &str {
        "late-interaction"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let too_long = |r: &RankRequest| too_long(self.model.as_ref(), r);
        rank_together(self.name(), &self.settings, requests, too_long, |r| self.score(r))
    }
}

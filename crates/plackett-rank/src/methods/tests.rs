//! What tests of methods share: requests of texts, and a ranking by a scripted model.

use crate::method::MethodSpec;
use crate::testing::ScriptedModel;
use crate::{RankError, Settings};
use plackett_core::{Document, Query, RankRequest, Ranking};
use std::sync::Arc;

/// A request over texts, whose documents are called `d0`, `d1` …
pub(crate) fn request(query: &str, texts: &[&str]) -> RankRequest {
    let documents = texts.iter().enumerate().map(|(n, text)| Document::new(format!("d{n}"), *text));
    RankRequest::new(Query::new("q", query), documents)
}

/// The ranking of one request by a method with options.
pub(crate) fn ranked(
    method: &str,
    options: &[(&str, &str)],
    model: &Arc<ScriptedModel>,
    request: &RankRequest,
) -> Result<Ranking, RankError> {
    let spec = MethodSpec::find(method).unwrap();
    let values = spec.values(options.iter().copied()).unwrap();
    let ranker = spec.ranker(model.clone(), values, Settings::default()).unwrap();
    ranker.rank(std::slice::from_ref(request)).remove(0)
}

/// The identifiers of a ranking, best first.
pub(crate) fn ids(ranking: &Ranking) -> Vec<&str> {
    ranking.entries.iter().map(|entry| entry.id.as_str()).collect()
}

//! Scores of texts for queries, from servers with a rerank interface.

use crate::model::{MESSAGE_TOKENS, once, text_bound};
use crate::reply::{self, Usage};
use crate::request::Request;
use crate::{Api, Capability, RemoteError, RemoteModel, Reranked};
use plackett_lm::LmError;
use serde_json::json;

impl RemoteModel {
    /// The scores of texts for one query, in the order of the texts; longer calls are split into several requests.
    ///
    /// # Errors
    /// When the interface cannot do it, or any request failed.
    pub fn rerank(&self, query: &str, texts: &[&str]) -> Result<Reranked, LmError> {
        let scores = self.rerank_each(&[(query, texts)])?.pop();
        scores.unwrap_or_else(|| Ok(empty())).map_err(LmError::from)
    }

    /// The same for many queries, whose requests are under way together, with one result per query: a query that failed does not
    /// take others with it.
    ///
    /// # Errors
    /// When the interface cannot do it; nothing was sent then.
    pub fn rerank_each(
        &self,
        queries: &[(&str, &[&str])],
    ) -> Result<Vec<Result<Reranked, RemoteError>>, LmError> {
        self.require(Capability::Scores)?;
        let batch = self.batch();
        let parts: Vec<(&str, &[&str])> = queries
            .iter()
            .flat_map(|(query, texts)| texts.chunks(batch).map(move |part| (*query, part)))
            .collect();
        let sizes: Vec<usize> = queries.iter().map(|(_, texts)| texts.len().div_ceil(batch)).collect();
        let bodies: Vec<Request> =
            parts.iter().map(|(query, part)| self.rerank_request(query, part)).collect();
        let read = |index: usize, bytes: &[u8]| {
            let reranked = reply::reranked(bytes, parts.get(index).map_or(0, |(_, part)| part.len()))?;
            let usage = reranked.usage;
            Ok((reranked, usage))
        };
        let answers = self.client.send_groups(&bodies, &sizes, &read);
        Ok(answers.into_iter().map(|parts| parts.map(join)).collect())
    }

    fn rerank_request(&self, query: &str, texts: &[&str]) -> Request {
        let mut body = self.body();
        body.insert("query".into(), json!(query));
        match self.config().api {
            Api::TeiRerank => {
                body.insert("texts".into(), json!(texts));
                body.insert("truncate".into(), json!(false));
                // Rounded activations tie where logits do not.
                body.insert("raw_scores".into(), json!(true));
            }
            api => {
                body.insert("documents".into(), json!(texts));
                body.insert("top_n".into(), json!(texts.len()));
                if api == Api::RerankV1 {
                    body.insert("return_documents".into(), json!(false));
                }
            }
        }
        // Each text is read with the query beside it.
        let queries = (query.len() as u64 + MESSAGE_TOKENS).saturating_mul(texts.len() as u64);
        once(body, text_bound(texts) + queries)
    }
}

fn empty() -> Reranked {
    Reranked { scores: Vec::new(), usage: Usage::default(), warnings: Vec::new() }
}

/// The answers to the parts of one query as one. Tokens are counted only where the server counted those of all parts.
fn join(parts: Vec<Reranked>) -> Reranked {
    let total = |of: fn(&Usage) -> Option<u64>| {
        let counts = parts.iter().map(|part| of(&part.usage));
        counts.reduce(|sum, count| Some(sum?.saturating_add(count?))).flatten()
    };
    let prompt_tokens = total(|usage| usage.prompt_tokens);
    let completion_tokens = total(|usage| usage.completion_tokens);
    let mut whole = Reranked { usage: Usage { prompt_tokens, completion_tokens }, ..empty() };
    for part in parts {
        whole.scores.extend(part.scores);
        for warning in part.warnings {
            if !whole.warnings.contains(&warning) {
                whole.warnings.push(warning);
            }
        }
    }
    whole
}

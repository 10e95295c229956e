//! What every method shares: checking requests, reading each distinct text once for all of them, cutting the work into
//! model calls of bounded size, and keeping the account.

use crate::empty::{empty_facts, put_last, put_lowest};
use crate::long_text::{Join, LongText};
use crate::model::{ModelFailure, TextLength};
use crate::ranker::RankError;
use crate::reading::Count;
use plackett_core::{RankRequest, Ranking, Trace, Truncation};
use plackett_lm::LmError;
use plackett_remote::RemoteError;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of text in one model call: about 64 thousand tokens of English. The engine packs within a call; more text than
/// this gains no speed and costs memory.
const CALL_BYTES: usize = 256 * 1024;

/// Told how many of how many texts (or pairs) have been read.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What all methods can be told.
#[derive(Clone, Default)]
pub struct Settings {
    /// What to do with texts that are longer than the model reads.
    pub long_text: LongText,
    /// Called while model passes are made.
    pub progress: Option<Progress>,
    /// Is told of every prompt and its answer.
    pub audit: Option<Arc<dyn crate::audit::Audit>>,
}

impl Settings {
    pub(crate) fn report(&self, done: usize, total: usize) {
        if let Some(progress) = &self.progress {
            progress(done, total);
        }
    }

    pub(crate) fn join(&self) -> Join {
        match self.long_text {
            LongText::Truncate | LongText::Refuse => Join::Max,
            LongText::Chunks(chunks) => chunks.join,
        }
    }
}

/// Where a text is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub request: usize,
    pub candidate: usize,
}

/// A distinct document text, its pieces, and every candidate that carries it.
pub(crate) struct SharedText<'a> {
    pub text: Cow<'a, str>,
    pub places: Vec<Place>,
}

/// The distinct texts of some requests, in order of first appearance.
pub(crate) fn distinct_texts<'a>(requests: &[&'a RankRequest]) -> Vec<SharedText<'a>> {
    let mut by_text: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut places: Vec<Vec<Place>> = Vec::new();
    for (request, r) in requests.iter().enumerate() {
        for (candidate, c) in r.candidates.iter().enumerate() {
            let next = places.len();
            let index = *by_text.entry(c.document.model_text()).or_insert(next);
            if index == next {
                places.push(Vec::new());
            }
            places[index].push(Place { request, candidate });
        }
    }
    let mut texts: Vec<(Cow<'a, str>, usize)> = by_text.into_iter().collect();
    texts.sort_unstable_by_key(|(_, index)| *index);
    texts.into_iter().zip(places).map(|((text, _), places)| SharedText { text, places }).collect()
}

/// Hands the pieces of `texts` texts on in calls of bounded size, in order. `call` gets the place of its first text and the
/// pieces of that one and of those after it; a text with more pieces than fit into one call is in several. `beside` says
/// how many bytes each piece of a text brings with it. Pieces are made when they are needed.
pub(crate) fn in_calls<'t, I: IntoIterator<Item = Result<&'t str, LmError>>>(
    texts: usize,
    pieces: impl Fn(usize) -> I,
    beside: impl Fn(usize) -> usize,
    mut call: impl FnMut(usize, &[Vec<&'t str>]) -> Result<(), LmError>,
) -> Result<(), LmError> {
    let (mut first, mut bytes) = (0, 0);
    let mut waiting: Vec<Vec<&'t str>> = Vec::new();
    for text in 0..texts {
        waiting.push(Vec::new());
        for piece in pieces(text) {
            let piece = piece?;
            let size = piece.len() + beside(text);
            if bytes > 0 && bytes + size > CALL_BYTES {
                call(first, &waiting)?;
                (first, bytes) = (text, 0);
                waiting = vec![Vec::new()];
            }
            bytes += size;
            if let Some(own) = waiting.last_mut() {
                own.push(piece);
            }
        }
    }
    if waiting.is_empty() { Ok(()) } else { call(first, &waiting) }
}

/// The scores of one request and what they cost.
#[derive(Default)]
pub(crate) struct Account {
    pub scores: Vec<f64>,
    /// Empty, or one per candidate.
    pub activated: Vec<f64>,
    /// Candidates without anything to read: they have no score, and come last.
    pub empty: Vec<usize>,
    pub trace: Trace,
}

impl Account {
    pub fn new(request: &RankRequest, activated: bool) -> Account {
        let count = request.candidates.len();
        let activated = if activated { vec![f64::NAN; count] } else { Vec::new() };
        Account { scores: vec![f64::NAN; count], activated, ..Account::default() }
    }

    /// Enters the text of a candidate: its pieces as the model saw them. `fresh` when this request made the pass.
    pub fn enter(&mut self, id: &str, lengths: &[TextLength], fresh: bool) {
        self.enter_text(id, lengths, fresh, false);
    }

    /// Enters the query as the model saw it.
    pub fn enter_query(&mut self, id: &str, length: TextLength) {
        self.enter_text(id, &[length], true, true);
    }

    /// Enters that a text was cut, if it was.
    pub fn enter_cut(&mut self, id: &str, length: TextLength, of_query: bool) {
        if length.kept < length.tokens {
            let TextLength { tokens, kept, estimated } = length;
            let id = id.to_string();
            self.trace.truncated.push(Truncation { id, tokens, kept, estimated, of_query });
        }
    }

    fn enter_text(&mut self, id: &str, lengths: &[TextLength], fresh: bool, of_query: bool) {
        for length in lengths {
            if fresh {
                self.trace.passes += 1;
                self.trace.prompt_tokens += length.kept as u64;
            } else {
                self.trace.cache_hits += 1;
            }
            self.enter_cut(id, *length, of_query);
        }
        if lengths.len() > 1 {
            self.trace.facts.push((format!("chunks:{id}"), lengths.len().to_string()));
        }
    }
}

/// Reads the queries of requests that have candidates; the others cost no pass and stay `None`.
pub(crate) fn read_queries<T: Clone>(
    requests: &[&RankRequest],
    accounts: &mut [Account],
    length: impl Fn(&T) -> TextLength,
    embed: impl Fn(&[&str]) -> Result<Vec<T>, LmError>,
) -> Result<Vec<Option<T>>, LmError> {
    let wanted: Vec<usize> = (0..requests.len()).filter(|&i| !requests[i].candidates.is_empty()).collect();
    let texts: Vec<&str> = wanted.iter().map(|&i| requests[i].query.text.as_str()).collect();
    let mut all = vec![None; requests.len()];
    if texts.is_empty() {
        return Ok(all);
    }
    for (&i, read) in wanted.iter().zip(embed(&texts)?) {
        accounts[i].enter_query(&requests[i].query.id, length(&read));
        all[i] = Some(read);
    }
    Ok(all)
}

/// Runs `score` over all requests that can be ranked and turns accounts into rankings. When the shared call fails, each
/// request is tried alone, so that one of them does not take the others with it, unless they would fail alike. Under
/// [`LongText::Refuse`], `too_long` is asked first, for what is wrong with a request and what to do.
pub(crate) fn rank_together(
    method: &str,
    settings: &Settings,
    requests: &[RankRequest],
    too_long: impl Fn(&RankRequest) -> Result<Option<String>, LmError>,
    score: impl Fn(&[&RankRequest]) -> Result<Vec<Account>, LmError>,
) -> Vec<Result<Ranking, RankError>> {
    let refused = |request: &RankRequest| match (settings.long_text, check(request)) {
        (LongText::Refuse, None) => {
            let query = request.query.id.clone();
            too_long(request).map_or_else(
                |source| Some(RankError::Model { query: query.clone(), source: Box::new(source) }),
                |problem| Some(RankError::Request { query: query.clone(), problem: problem? }),
            )
        }
        (_, wrong) => wrong,
    };
    let mut results: Vec<Option<Result<Ranking, RankError>>> =
        requests.iter().map(|r| refused(r).map(Err)).collect();
    let open: Vec<usize> = (0..requests.len()).filter(|&i| results[i].is_none()).collect();
    let wanted: Vec<&RankRequest> = open.iter().map(|&i| &requests[i]).collect();
    let finish = |request: &RankRequest, account| ranking(method, settings, request, account);
    match timed(&wanted, &score) {
        Ok(accounts) => {
            for (&i, account) in open.iter().zip(accounts) {
                results[i] = Some(finish(&requests[i], account));
            }
        }
        Err(error) if RemoteError::of(&error).is_some_and(alike) => {
            let source: ModelFailure = Arc::new(error);
            for &i in &open {
                let (query, source) = (requests[i].query.id.clone(), source.clone());
                results[i] = Some(Err(RankError::Service { query, source }));
            }
        }
        Err(_) if wanted.len() > 1 => {
            for &i in &open {
                results[i] = Some(match timed(&[&requests[i]], &score) {
                    Ok(mut accounts) => finish(&requests[i], accounts.pop().unwrap_or_default()),
                    Err(source) => Err(RankError::Model {
                        query: requests[i].query.id.clone(),
                        source: Box::new(source),
                    }),
                });
            }
        }
        Err(source) => {
            if let Some(&i) = open.first() {
                results[i] = Some(Err(RankError::Model {
                    query: requests[i].query.id.clone(),
                    source: Box::new(source),
                }));
            }
        }
    }
    results.into_iter().flatten().collect()
}

/// Whether every request of a call would fail as the call did, after another long wait.
fn alike(error: &RemoteError) -> bool {
    error.concerns_all() || matches!(error, RemoteError::Timeout { .. })
}

/// Why a request cannot be ranked by any method.
pub(crate) fn check(request: &RankRequest) -> Option<RankError> {
    if request.query.text.trim().is_empty() && !request.candidates.is_empty() {
        return Some(RankError::Request {
            query: request.query.id.clone(),
            problem: "its text is empty, so no document answers it better than another; give it a text"
                .into(),
        });
    }
    let mut seen = HashSet::with_capacity(request.candidates.len());
    let twice = request.candidates.iter().find(|c| !seen.insert(c.document.id.as_str()))?;
    Some(RankError::Request {
        query: request.query.id.clone(),
        problem: format!("document `{}` is a candidate twice; give each document once", twice.document.id),
    })
}

/// Scores requests and shares the wall time among them by the tokens they read.
fn timed(
    requests: &[&RankRequest],
    score: impl Fn(&[&RankRequest]) -> Result<Vec<Account>, LmError>,
) -> Result<Vec<Account>, LmError> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let start = Instant::now();
    let mut accounts = score(requests)?;
    let seconds = start.elapsed().as_secs_f64();
    let weights: Vec<u64> = accounts.iter().map(|a| a.trace.prompt_tokens + a.trace.cache_hits + 1).collect();
    let total: u64 = weights.iter().sum();
    for (account, weight) in accounts.iter_mut().zip(weights) {
        account.trace.seconds = seconds * weight as f64 / total as f64;
    }
    Ok(accounts)
}

/// The ranking that an account makes.
pub(crate) fn ranking(
    method: &str,
    settings: &Settings,
    request: &RankRequest,
    account: Account,
) -> Result<Ranking, RankError> {
    let Account { mut scores, mut activated, empty, mut trace } = account;
    put_last(&mut scores, &empty);
    put_lowest(&mut activated, &empty);
    trace.facts.extend(empty_facts(request, &empty));
    for (candidate, &score) in request.candidates.iter().zip(&scores) {
        if !score.is_finite() {
            return Err(RankError::NotFinite {
                query: request.query.id.clone(),
                document: candidate.document.id.clone(),
                method: method.to_string(),
                score,
            });
        }
    }
    if let (LongText::Refuse, Some(cut)) = (settings.long_text, trace.truncated.first()) {
        // The tokens were counted before; a model that counts otherwise must not get around it.
        let count = Count { tokens: cut.tokens, estimated: cut.estimated };
        let problem = crate::reading::refusal(&format!("`{}`", cut.id), count, cut.kept);
        return Err(RankError::Request { query: request.query.id.clone(), problem });
    }
    trace.facts.push(("long-text".into(), settings.long_text.to_string()));
    let ids = || request.candidates.iter().map(|c| c.document.id.clone());
    let mut ranking = Ranking::from_scores(request.query.id.clone(), ids().zip(scores), trace);
    if !activated.is_empty() {
        let by_id: HashMap<String, f64> = ids().zip(activated).collect();
        ranking.trace.activated = ranking.entries.iter().filter_map(|e| by_id.get(&e.id).copied()).collect();
    }
    Ok(ranking)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls as (first text, pieces of each text).
    fn calls(texts: &[Vec<usize>]) -> Vec<(usize, Vec<usize>)> {
        let long = "x".repeat(2 * CALL_BYTES);
        let mut calls = Vec::new();
        let pieces = |text: usize| texts[text].iter().map(|bytes| Ok(&long[..*bytes]));
        in_calls(
            texts.len(),
            pieces,
            |_| 0,
            |first, cut| {
                calls.push((first, cut.iter().map(Vec::len).collect()));
                Ok(())
            },
        )
        .unwrap();
        calls
    }

    #[test]
    fn calls_are_consecutive_and_bounded() {
        let half = CALL_BYTES / 2;
        let texts = [vec![half], vec![half], vec![1], vec![2 * CALL_BYTES], vec![3], vec![]];
        let expected = [(0, vec![1, 1, 0]), (2, vec![1, 0]), (3, vec![1, 0]), (4, vec![1, 0])];
        assert_eq!(calls(&texts), expected);
        // A text in many pieces is in several calls.
        let texts = [vec![1], vec![half; 4], vec![1]];
        assert_eq!(calls(&texts), [(0, vec![1, 1]), (1, vec![2]), (1, vec![1, 1])]);
        assert!(calls(&[]).is_empty());
        assert_eq!(calls(&[vec![]]), [(0, vec![0])]);
    }
}

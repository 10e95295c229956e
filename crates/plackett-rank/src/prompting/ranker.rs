//! A method that asks with prompts, as a ranker.

use super::context::{Order, RankContext};
use super::together::Together;
use crate::audit::CallRecord;
use crate::batch::check;
use crate::empty::{empty_facts, put_last, without, without_text};
use crate::model::{CallError, LanguageModel};
use crate::ranker::{RankError, Ranker};
use crate::{PLACES, Settings};
use plackett_core::{Document, RankRequest, Ranked, Ranking, TieReport, Trace};
use std::borrow::Cow;
use std::sync::Arc;

/// Requests that run side by side.
const TOGETHER: usize = 64;

/// A method that asks a model with prompts.
pub trait PromptMethod: Send + Sync {
    /// Orders the candidates of one request. There is at least one candidate, and none twice.
    ///
    /// # Errors
    /// What the model said, or what makes this request impossible. The request then has no ranking.
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError>;

    /// See [`Ranker::knows_vectors`].
    fn knows_vectors(&self) -> bool {
        false
    }

    /// See [`Ranker::know_vector`].
    fn know_vector(&self, _document: &Document, _vector: Vec<f32>) {}
}

/// A ranker of such a method.
pub struct PromptRanker {
    name: &'static str,
    method: Box<dyn PromptMethod>,
    model: Arc<dyn LanguageModel>,
    settings: Settings,
}

impl PromptRanker {
    /// A ranker of a method over a model that has what it needs.
    pub fn new(
        name: &'static str,
        method: Box<dyn PromptMethod>,
        model: Arc<dyn LanguageModel>,
        settings: Settings,
    ) -> PromptRanker {
        PromptRanker { name, method, model, settings }
    }

    fn one(
        &self,
        request: &RankRequest,
        model: &dyn LanguageModel,
    ) -> (Result<Ranking, RankError>, Vec<CallRecord>) {
        let query = || request.query.id.clone();
        if request.candidates.is_empty() {
            return (Ok(self.nothing(request)), Vec::new());
        }
        // To a model that is asked with prompts, an empty passage is as good as any other.
        let empty = without_text(request);
        if empty.len() == request.candidates.len() {
            let order = Order::Scores(vec![0.0; empty.len()]);
            return (ranking(self.name, request, order, &empty, self.nothing(request).trace), Vec::new());
        }
        let read =
            if empty.is_empty() { Cow::Borrowed(request) } else { Cow::Owned(without(request, &empty)) };
        let mut context = RankContext::new(self.name, &read, model, &self.settings);
        let order = self.method.rank(&mut context);
        let (trace, records) = context.finish();
        let ranking = order
            .map_err(|source| RankError::Call { query: query(), source: Box::new(source) })
            .and_then(|order| complete(self.name, order, request.candidates.len(), &empty, &query()))
            .and_then(|order| ranking(self.name, request, order, &empty, trace));
        (ranking, records)
    }

    fn nothing(&self, request: &RankRequest) -> Ranking {
        let facts = vec![("long-text".to_string(), self.settings.long_text.to_string())];
        let trace = Trace { facts, ..Trace::default() };
        Ranking { query_id: request.query.id.clone(), entries: Vec::new(), trace }
    }

    /// Requests side by side; those that cannot be ranked are not among them.
    fn wave(&self, requests: &[&RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let together = Together::new(self.model.as_ref(), requests.len());
        let member = |number: u64, request: &RankRequest| {
            let model = together.member(number);
            self.one(request, &model)
        };
        let done: Vec<(Result<Ranking, RankError>, Vec<CallRecord>)> = match requests {
            [one] => vec![member(0, one)],
            _ => std::thread::scope(|scope| {
                let member = &member;
                let threads: Vec<_> = (0..)
                    .zip(requests)
                    .map(|(number, request)| scope.spawn(move || member(number, request)))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect()
            }),
        };
        let finished = |(ranking, records): (Result<Ranking, RankError>, Vec<CallRecord>)| {
            if let (Some(audit), false) = (&self.settings.audit, records.is_empty()) {
                audit.record(&records);
            }
            ranking
        };
        done.into_iter().map(finished).collect()
    }
}

impl Ranker for PromptRanker {
    fn name(&self) -> &str {
        self.name
    }

    fn asks_prompts(&self) -> bool {
        true
    }

    fn knows_vectors(&self) -> bool {
        self.method.knows_vectors()
    }

    fn know_vector(&self, document: &Document, vector: Vec<f32>) {
        self.method.know_vector(document, vector);
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let total: usize = requests.iter().map(|request| request.candidates.len()).sum();
        let mut done = 0;
        let mut results = Vec::with_capacity(requests.len());
        for wave in requests.chunks(TOGETHER) {
            let open: Vec<&RankRequest> = wave.iter().filter(|request| check(request).is_none()).collect();
            let mut ranked = self.wave(&open).into_iter();
            for request in wave {
                match check(request) {
                    Some(error) => results.push(Err(error)),
                    None => results.extend(ranked.next()),
                }
                done += request.candidates.len();
            }
            self.settings.report(done, total);
        }
        results
    }
}

/// An order of the candidates with text as one of all: the others come last.
fn complete(
    method: &str,
    order: Order,
    count: usize,
    empty: &[usize],
    query: &str,
) -> Result<Order, RankError> {
    if empty.is_empty() {
        return Ok(order);
    }
    let read: Vec<usize> = (0..count).filter(|place| !empty.contains(place)).collect();
    let wrong = |problem: String| RankError::Request {
        query: query.to_string(),
        problem: format!("{method} gave no order: {problem}"),
    };
    match order {
        Order::Scores(scores) if scores.len() != read.len() => {
            Err(wrong(format!("{} scores for {} candidates", scores.len(), read.len())))
        }
        Order::Scores(scores) => {
            let mut all = vec![f64::NAN; count];
            read.iter().zip(scores).for_each(|(place, score)| all[*place] = score);
            put_last(&mut all, empty);
            Ok(Order::Scores(all))
        }
        Order::Places(places) => {
            let whole = places.iter().map(|place| read.get(*place).copied()).collect::<Option<Vec<usize>>>();
            let problem = || wrong(format!("positions {places:?} of {} candidates", read.len()));
            let mut whole = whole.ok_or_else(problem)?;
            whole.extend(empty);
            Ok(Order::Places(whole))
        }
    }
}

/// The ranking of an order, when it is one of all candidates. The trace names those without text.
fn ranking(
    method: &str,
    request: &RankRequest,
    order: Order,
    empty: &[usize],
    mut trace: Trace,
) -> Result<Ranking, RankError> {
    let count = request.candidates.len();
    trace.facts.extend(empty_facts(request, empty));
    let id = |place: usize| request.candidates[place].document.id.clone();
    let wrong = |problem: String| {
        Err(RankError::Request {
            query: request.query.id.clone(),
            problem: format!("{method} gave no order: {problem}"),
        })
    };
    let (places, scores) = match order {
        Order::Scores(scores) => {
            if scores.len() != count {
                return wrong(format!("{} scores for {count} candidates", scores.len()));
            }
            if let Some(broken) = scores.iter().position(|score| !score.is_finite()) {
                return Err(RankError::NotFinite {
                    query: request.query.id.clone(),
                    document: id(broken),
                    method: method.to_string(),
                    score: scores[broken],
                });
            }
            let mut places: Vec<usize> = (0..count).collect();
            // Stable: equal scores keep the order in which candidates came.
            places.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap_or(std::cmp::Ordering::Equal));
            let scores = places.iter().map(|place| scores[*place]).collect::<Vec<f64>>();
            (places, scores)
        }
        Order::Places(places) => {
            let mut sorted = places.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..count) {
                return wrong(format!("positions {places:?} of {count} candidates"));
            }
            trace.facts.push(("scores".into(), PLACES.into()));
            // None of those without text is better than another.
            let read = count - empty.len();
            let counted = (1..=read).rev().map(|score| score as f64);
            (places, counted.chain(empty.iter().map(|_| 0.0)).collect())
        }
    };
    trace.ties = TieReport { broken_by: TieReport::INPUT.into(), ..TieReport::of(scores.iter().copied()) };
    let entries = places.into_iter().zip(scores).enumerate();
    let entries = entries.map(|(at, (place, score))| Ranked { id: id(place), score, rank: at + 1 }).collect();
    Ok(Ranking { query_id: request.query.id.clone(), entries, trace })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

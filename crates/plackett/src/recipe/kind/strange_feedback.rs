//! `strange-feedback`: rerankers over candidates behind some of other queries.

use super::rank;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::reading::expression::{self, Begins};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, no_numbers};
use crate::recipe::task::Task;
use plackett_core::{Candidate, RankRequest, Ranking};
use plackett_train::random::Stream;

/// Queries that go through rerankers together, as in `rank`.
const TOGETHER: usize = 8;

/// The declaration.
pub static STRANGE_FEEDBACK: StageKind = StageKind {
    name: "strange-feedback",
    help: "rerankers over candidates before which some of other queries, drawn at random, are put; these are taken out of the order \
           afterwards. It tells what a method that takes the first candidates for feedback does with such that have nothing to do with the query",
    version: 1,
    gives: OutputKind::Rankings,
    fields: &[
        super::CANDIDATES,
        FieldSpec::required("pipeline", FieldKind::Text, "rerankers, as in `plackett rerank --pipeline`"),
        FieldSpec::new(
            "model",
            FieldKind::Text,
            Default::Absent,
            "for rerankers that name no model of their own",
        ),
        FieldSpec::new(
            "trained",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage whose model takes the place of `model`",
        ),
        FieldSpec::new(
            "strangers",
            FieldKind::Whole(1, 10_000),
            Default::Whole(20),
            "candidates of other queries, at most, before those of a query",
        ),
        super::DEPTH,
        super::WORDS,
        super::SEED,
    ],
    chooses: None,
    check: |values, _| expression::check(values, Begins::WithCandidates),
    numbers: no_numbers,
    outside: rank::fingerprints,
    estimate: |task| {
        let (depth, queries) = rank::size_of(task)?;
        let count = depth + task.values.count("strangers");
        let work = format!("{} on {count} candidates of {queries} queries", task.values.word("pipeline"));
        let mut estimate = Estimate { work, seconds: Some(1.0), ..Estimate::default() };
        rank::add_models(&mut estimate, task, queries * count)?;
        Ok(estimate)
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (requests, cut) = rank::requests(task, values)?;
    let (count, seed) = (values.count("strangers"), values.count("seed") as u64);
    let with: Vec<WithStrangers> =
        (0..requests.len()).map(|at| WithStrangers::draw(&requests, at, count, seed)).collect();
    let fewest = with.iter().map(|request| request.strangers).min().unwrap_or(0);
    if fewest == 0 {
        let problem = "there are no candidates of other queries; a collection of several queries is needed";
        return Err(StageError::Field { field: "candidates", problem: problem.into() });
    }
    let pipeline = rank::pipeline(task, values)?;
    let answer = |group: &[WithStrangers]| {
        let requests: Vec<RankRequest> = group.iter().map(|with| with.request.clone()).collect();
        let rankings = pipeline.rerank(&requests).into_iter().zip(group);
        rankings.map(|(found, with)| found.map(|ranking| with.own(ranking))).collect()
    };
    let mut made = rank::in_groups(task, TOGETHER, &with, |with| &with.request.query.id, answer)?;
    made.facts.extend(cut);
    if fewest < count {
        made.warnings.push(format!("only {fewest} candidates of other queries are before those of a query"));
    }
    Ok(made)
}

/// A request with candidates of others before its own.
#[derive(Debug)]
struct WithStrangers {
    request: RankRequest,
    /// How many of the first candidates are of others.
    strangers: usize,
}

impl WithStrangers {
    /// The request at a place, with `count` candidates of the others that it has not itself before it, or as many as there are.
    fn draw(requests: &[RankRequest], at: usize, count: usize, seed: u64) -> WithStrangers {
        let stream = Stream::new(seed, at as u64);
        let own = &requests[at];
        let mut strangers: Vec<Candidate> = Vec::with_capacity(count);
        // Draws that hit what is there count too, so that a small collection comes to an end.
        for round in 0..100 * count as u64 {
            if strangers.len() == count {
                break;
            }
            let other = &requests[stream.below(2 * round, requests.len())];
            let drawn = stream.below(2 * round + 1, other.candidates.len());
            let Some(candidate) = other.candidates.get(drawn) else { continue };
            let is_known = |known: &Candidate| known.document.id == candidate.document.id;
            if !own.candidates.iter().any(is_known) && !strangers.iter().any(is_known) {
                strangers.push(Candidate { document: candidate.document.clone(), score: None });
            }
        }
        let count = strangers.len();
        strangers.extend(own.candidates.iter().cloned());
        let request = RankRequest { query: own.query.clone(), candidates: strangers };
        WithStrangers { request, strangers: count }
    }

    /// A ranking of it without the candidates of others.
    fn own(&self, mut ranking: Ranking) -> Ranking {
        let strangers = &self.request.candidates[..self.strangers];
        ranking.entries.retain(|entry| strangers.iter().all(|stranger| stranger.document.id != entry.id));
        ranking.entries.iter_mut().enumerate().for_each(|(place, entry)| entry.rank = place + 1);
        ranking
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::{Document, Query, Trace};

    fn request(id: &str, documents: &[&str]) -> RankRequest {
        RankRequest::new(Query::new(id, "words"), documents.iter().map(|id| Document::new(*id, "text")))
    }

    #[test]
    fn strangers_stand_first_and_are_taken_out_again() {
        let requests = [request("q", &["a", "b"]), request("r", &["b", "c", "d"])];
        let with = WithStrangers::draw(&requests, 0, 2, 7);
        let ids: Vec<&str> =
            with.request.candidates.iter().map(|candidate| candidate.document.id.as_str()).collect();
        // Of the others' candidates b is its own.
        let mut first = ids[..2].to_vec();
        first.sort_unstable();
        assert_eq!((with.strangers, &first[..], &ids[2..]), (2, &["c", "d"][..], &["a", "b"][..]));
        let scores = [("c", 4.0), ("b", 3.0), ("d", 2.0), ("a", 1.0)];
        let scores = scores.map(|(id, score)| (id.to_string(), score));
        let found = with.own(Ranking::from_scores("q".to_string(), scores, Trace::default()));
        let left: Vec<(&str, usize)> =
            found.entries.iter().map(|entry| (entry.id.as_str(), entry.rank)).collect();
        assert_eq!(left, [("b", 1), ("a", 2)]);
        // There are only two.
        assert_eq!(WithStrangers::draw(&requests, 0, 5, 7).strangers, 2);
        assert_eq!(WithStrangers::draw(&requests[..1], 0, 5, 7).strangers, 0);
    }
}

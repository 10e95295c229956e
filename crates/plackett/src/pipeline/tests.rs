//! Pipelines over a collection of five documents that can be ranked in the head.

use super::run::{Chain, cascade, run};
use super::*;
use plackett_core::{Candidate, Document, Ranking};
use plackett_rank::{RankError, Ranker};
use plackett_search::Lengths;
use std::sync::Arc;

/// Documents `a` … `e`: `bm25` finds them in this order, `dense` in the opposite one. The query `broken` fails.
struct Letters;

impl Collection for Letters {
    fn retrieve(
        &self,
        stage: &FirstStage,
        queries: &[Query],
        depth: usize,
    ) -> Vec<Result<Ranking, BoxError>> {
        let one = |query: &Query| {
            if query.text == "broken" {
                return Err("the index is gone".into());
            }
            let sign = if matches!(stage, FirstStage::Dense { .. }) { 1.0 } else { -1.0 };
            let scored =
                ["a", "b", "c", "d", "e"].iter().enumerate().map(|(i, id)| (id.to_string(), sign * i as f64));
            let mut ranking = Ranking::from_scores(query.id.clone(), scored, Trace::default());
            ranking.keep_best(depth);
            Ok(ranking)
        };
        queries.iter().map(one).collect()
    }

    fn document(&self, id: &str) -> Result<Option<Document>, BoxError> {
        Ok((id != "missing").then(|| Document::new(id, id)))
    }
}

/// Ranks by how late in the alphabet a text stands; a query `no` is refused.
struct Late;

impl Ranker for Late {
    fn name(&self) -> &str {
        "late"
    }
    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let one = |request: &RankRequest| {
            if request.query.text == "no" {
                let problem = "refused".to_string();
                return Err(RankError::Request { query: request.query.id.clone(), problem });
            }
            let score = |c: &Candidate| c.document.text.bytes().map(f64::from).sum::<f64>();
            let scored = request.candidates.iter().map(|c| (c.document.id.clone(), score(c)));
            let trace = Trace { passes: request.candidates.len() as u64, ..Trace::default() };
            Ok(Ranking::from_scores(request.query.id.clone(), scored, trace))
        };
        requests.iter().map(one).collect()
    }
}

fn bm25(depth: usize) -> Source {
    Source::Retrieve {
        stage: FirstStage::Bm25 {
            k1: None,
            b: None,
            weights: Vec::new(),
            lengths: Lengths::Exact,
            rm3: None,
        },
        depth,
    }
}

fn stage(keep: Option<usize>) -> Stage {
    Stage { ranker: Arc::new(Late), keep }
}

fn queries(texts: &[&str]) -> Vec<Query> {
    texts.iter().enumerate().map(|(i, text)| Query::new(format!("q{i}"), *text)).collect()
}

fn ids(ranking: &Ranking) -> String {
    ranking.entries.iter().map(|e| e.id.as_str()).collect()
}

fn fact<'a>(ranking: &'a Ranking, name: &str) -> Option<&'a str> {
    ranking.trace.facts.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[test]
fn each_stage_passes_on_what_is_written_behind_it() {
    let stages = [stage(Some(2)), stage(None)];
    let answer = run(&bm25(3), &stages, &Letters, &queries(&["x"])).pop().unwrap().unwrap();
    assert_eq!(ids(&answer), "cb");
    assert_eq!(answer.trace.passes, 3 + 2);
    assert_eq!(fact(&answer, "depth:bm25"), Some("3"));
    assert_eq!(fact(&answer, "depth:late"), Some("3"));
}

#[test]
fn a_failure_stays_with_its_query() {
    let answers = run(&bm25(5), &[stage(None)], &Letters, &queries(&["x", "broken", "no", "y"]));
    let shown: Vec<String> = answers.iter().map(|a| a.as_ref().map_or_else(|e| e.to_string(), ids)).collect();
    assert_eq!(shown, ["edcba", "query `q1`: the index is gone", "query `q2`: refused", "edcba"]);
}

#[test]
fn a_fusion_joins_chains_and_adds_their_accounts() {
    let first: super::run::Fuse = Box::new(|query: &str, parts: &[Ranking]| {
        let tops = parts.iter().flat_map(|part| part.entries.first()).map(|e| (e.id.clone(), e.score));
        let trace = parts.iter().fold(Trace::default(), |sum, part| sum.then(part.trace.clone()));
        Ok(Ranking::from_scores(query, tops, trace))
    });
    let inputs =
        vec![Chain { source: bm25(4), stages: vec![] }, Chain { source: bm25(2), stages: vec![stage(None)] }];
    let source = Source::Fuse { name: "first".into(), fuse: first, inputs, keep: None };
    assert_eq!((source.widest(), source.passes_on()), (6, 6));
    assert_eq!(super::run::reranked(&source, &[]), 2, "the second input reranks two");
    assert_eq!(super::run::reranked(&source, &[stage(None)]), 6);
    let answer = run(&source, &[], &Letters, &queries(&["x"])).pop().unwrap().unwrap();
    assert_eq!(ids(&answer), "ba");
    assert_eq!(answer.trace.passes, 2);
    assert_eq!(fact(&answer, "depth:first"), Some("2"));
}

#[test]
fn requests_go_through_the_same_cascade_and_keep_their_own_texts() {
    let request = |query: &str, texts: [&str; 2]| {
        let documents = texts.iter().enumerate().map(|(i, text)| Document::new(i.to_string(), *text));
        RankRequest::new(Query::new(query, query), documents)
    };
    let requests = [request("x", ["a", "b"]), request("y", ["b", "a"])];
    let pipeline = Pipeline {
        expression: "late:2 >> late:1".into(),
        source: None,
        stages: vec![stage(Some(2)), stage(Some(1))],
        embedder: None,
    };
    let shown: Vec<String> = pipeline.rerank(&requests).iter().map(|a| ids(a.as_ref().unwrap())).collect();
    assert_eq!(shown, ["1", "0"]);
    assert!(pipeline.search_in(&Letters, &queries(&["x"]), 3)[0].is_err(), "no first stage");
}

#[test]
fn the_answer_has_a_length_of_its_own() {
    let pipeline =
        Pipeline { expression: "bm25:4".into(), source: Some(bm25(4)), stages: vec![], embedder: None };
    let answer = pipeline.search_in(&Letters, &queries(&["x"]), 2).pop().unwrap().unwrap();
    assert_eq!(ids(&answer), "ab");
    assert_eq!((fact(&answer, "depth:bm25"), fact(&answer, "depth:answer")), (Some("4"), Some("2")));
}

#[test]
fn no_stage_gives_back_a_failed_request() {
    let requests = vec![Err(QueryError::Search { query: "q".into(), source: "gone".into() })];
    assert!(cascade(&[stage(None), stage(None)], requests)[0].is_err());
}

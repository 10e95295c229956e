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

fn bm25_stage() -> FirstStage {
    FirstStage::Bm25 {
        k1: None,
        b: None,
        weights: Vec::new(),
        lengths: Lengths::Exact,
        rm3: None,
        filter: None,
    }
}

fn bm25(depth: usize) -> Source {
    Source::Retrieve { stage: bm25_stage(), depth: Some(depth) }
}

fn stage(keep: Option<usize>) -> Stage {
    Stage { ranker: Arc::new(Late), keep, vectors: false }
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
    let answer = run(&bm25(3), &stages, &Letters, &queries(&["x"]), 10).pop().unwrap().unwrap();
    assert_eq!(ids(&answer), "cb");
    assert_eq!(answer.trace.passes, 3 + 2);
    assert_eq!(fact(&answer, "depth:bm25"), Some("3"));
    assert_eq!(fact(&answer, "depth:late"), Some("3"));
}

#[test]
fn a_failure_stays_with_its_query() {
    let answers = run(&bm25(5), &[stage(None)], &Letters, &queries(&["x", "broken", "no", "y"]), 10);
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
    assert_eq!((source.widest(10), source.passes_on(10)), (6, 6));
    assert_eq!(super::run::reranked(&source, &[], 10), 2, "the second input reranks two");
    assert_eq!(super::run::reranked(&source, &[stage(None)], 10), 6);
    let answer = run(&source, &[], &Letters, &queries(&["x"]), 10).pop().unwrap().unwrap();
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
        expression: "late:2 >> late:1".parse().unwrap(),
        source: None,
        stages: vec![stage(Some(2)), stage(Some(1))],
        embedder: None,
        descriptions: vec![],
        grouping: Grouping::default(),
    };
    let shown: Vec<String> = pipeline.rerank(&requests).iter().map(|a| ids(a.as_ref().unwrap())).collect();
    assert_eq!(shown, ["1", "0"]);
    assert!(pipeline.search_in(&Letters, &queries(&["x"]), 3)[0].is_err(), "no first stage");
}

#[test]
fn the_answer_has_a_length_of_its_own() {
    let pipeline = Pipeline {
        expression: "bm25:4".parse().unwrap(),
        source: Some(bm25(4)),
        stages: vec![],
        embedder: None,
        descriptions: vec![],
        grouping: Grouping::default(),
    };
    let answer = pipeline.search_in(&Letters, &queries(&["x"]), 2).pop().unwrap().unwrap();
    assert_eq!(ids(&answer), "ab");
    assert_eq!((fact(&answer, "depth:bm25"), fact(&answer, "depth:answer")), (Some("4"), Some("2")));
}

/// A pipeline of one first stage without a written depth, in as many ways as there are.
fn without_depths() -> Vec<(Source, Vec<Stage>)> {
    let open = || Source::Retrieve { stage: bm25_stage(), depth: None };
    let join: fn() -> super::run::Fuse = || {
        Box::new(|query: &str, parts: &[Ranking]| {
            Ok(plackett_core::fusion::fuse(query, parts, plackett_core::fusion::Method::RRF, &[])?)
        })
    };
    let fused = || Source::Fuse {
        name: "rrf".into(),
        fuse: join(),
        inputs: (0..2).map(|_| Chain { source: open(), stages: vec![] }).collect(),
        keep: None,
    };
    vec![
        (open(), vec![]),
        (open(), vec![stage(None)]),
        (fused(), vec![]),
        (fused(), vec![stage(None), stage(None)]),
    ]
}

/// As many documents as are asked for, up to any number.
struct Endless;

impl Collection for Endless {
    fn retrieve(&self, _: &FirstStage, queries: &[Query], depth: usize) -> Vec<Result<Ranking, BoxError>> {
        let all = |query: &Query| {
            let scored = (0..depth).map(|i| (format!("d{i}"), -(i as f64)));
            Ok(Ranking::from_scores(query.id.clone(), scored, Trace::default()))
        };
        queries.iter().map(all).collect()
    }

    fn document(&self, id: &str) -> Result<Option<Document>, BoxError> {
        Ok(Some(Document::new(id, id)))
    }
}

#[test]
fn every_stage_is_as_deep_as_the_answer_is_to_be_long() {
    for (source, stages) in without_depths() {
        let pipeline = Pipeline {
            expression: "any".parse().unwrap(),
            source: Some(source),
            stages,
            embedder: None,
            descriptions: vec![],
            grouping: Grouping::default(),
        };
        for k in [10, 1000, 2500] {
            let answer = pipeline.search_in(&Endless, &queries(&["x"]), k).pop().unwrap().unwrap();
            assert_eq!(answer.entries.len(), k);
            assert!(fact(&answer, "depth:bm25").unwrap().parse::<usize>().unwrap() >= k);
        }
    }
}

#[test]
fn a_first_stage_goes_deeper_than_the_answer_only_where_something_chooses_among_what_it_finds() {
    for ((source, stages), alone) in without_depths().into_iter().zip([true, false, false, false]) {
        for k in [10, 1000, 2500] {
            let depth = if alone { k } else { k.max(DEFAULT_DEPTH) };
            let answer = run(&source, &stages, &Endless, &queries(&["x"]), k).pop().unwrap().unwrap();
            assert_eq!(fact(&answer, "depth:bm25"), Some(depth.to_string().as_str()));
            let width = super::run::widest(&source, &stages, k);
            let inputs = if matches!(source, Source::Fuse { .. }) { 2 } else { 1 };
            assert_eq!(width, inputs * depth);
        }
    }
}

#[test]
fn a_depth_that_shortens_answers_is_named() {
    let shortened = |expression: &str, k: usize| {
        let pipeline = Pipeline {
            expression: expression.parse().unwrap(),
            source: None,
            stages: vec![],
            embedder: None,
            descriptions: vec![],
            grouping: Grouping::default(),
        };
        pipeline.shortened(k)
    };
    for (expression, stage) in [
        ("bm25:5", "`bm25:5` passes on at most 5 documents"),
        ("rrf(bm25:100, dense:7):50", "`dense:7` passes on at most 7 "),
        (
            "bm25:100 >> late-interaction:1 >> bi-encoder",
            "`late-interaction:1` passes on at most 1 document;",
        ),
    ] {
        let said = shortened(expression, 10).unwrap();
        assert!(said.contains(stage), "{said}");
    }
    assert_eq!(shortened("rrf(bm25:100, dense):50 >> late-interaction", 50), None);
    // Feedback searches again, whatever it learned from.
    assert_eq!(shortened("dense:5 >> late-interaction:3 >> feedback", 10), None);
    let said = shortened("dense >> late-interaction >> feedback:7 >> late-interaction", 10).unwrap();
    assert!(said.contains("`feedback:7` passes on at most 7 documents"), "{said}");
}

#[test]
fn a_pipeline_is_shown_as_its_expression() {
    assert_eq!(Pipeline::input_order().to_string(), InputOrder::NAME);
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
    let models = Models::new(Some(tiny.to_string()), ModelOptions::default());
    let resolved = Pipeline::resolve("bi-encoder :5>>late-interaction", None, &models, &Settings::default());
    let pipeline = resolved.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pipeline.to_string(), "bi-encoder:5 >> late-interaction");
    assert!(pipeline.has_rerankers() && pipeline.shortened(10).unwrap().contains("`bi-encoder:5` passes on"));
    assert!(!Pipeline::input_order().has_rerankers() && Pipeline::input_order().shortened(10).is_none());
}

#[test]
fn feedback_needs_an_index_to_search_again() {
    let models = Models::new(None, ModelOptions::default());
    let refused = Pipeline::resolve("feedback", None, &models, &Settings::default()).err().unwrap();
    assert!(refused.to_string().contains("use `plackett search`"), "{refused}");
}

#[test]
fn candidates_are_not_ranked_for_an_empty_query() {
    let request = |query: &str| RankRequest::new(Query::new("q", query), [Document::new("a", "x")]);
    let answers =
        cascade(&[stage(None)], ["", " \t", "x"].map(|q| Ok((request(q), Trace::default()))).into());
    assert!(answers[0].as_ref().unwrap_err().to_string().contains("the query is empty"));
    assert!(answers[1].is_err() && answers[2].is_ok());
}

#[test]
fn no_stage_gives_back_a_failed_request() {
    let requests = vec![Err(QueryError::Search { query: "q".into(), source: "gone".into() })];
    assert!(cascade(&[stage(None), stage(None)], requests)[0].is_err());
}

/// 9000 passages: those of `a` are before those of `b`, of which there are as many, and `c` has the last one.
struct Passages;

impl Passages {
    const ALL: usize = 9000;

    fn id(place: usize) -> String {
        match place {
            _ if place + 1 == Passages::ALL => "c#1".into(),
            _ if place < 4500 => format!("a#{}", place + 1),
            _ => format!("b#{}", place - 4499),
        }
    }
}

impl Collection for Passages {
    fn retrieve(&self, _: &FirstStage, queries: &[Query], depth: usize) -> Vec<Result<Ranking, BoxError>> {
        let scored = || (0..depth.min(Passages::ALL)).map(|place| (Passages::id(place), -(place as f64)));
        let trace = Trace { passes: 1, ..Trace::default() };
        queries
            .iter()
            .map(|query| Ok(Ranking::from_scores(query.id.clone(), scored(), trace.clone())))
            .collect()
    }

    fn document(&self, id: &str) -> Result<Option<Document>, BoxError> {
        Ok(Some(Document::new(id, id)))
    }

    fn passages(&self) -> Option<usize> {
        Some(Passages::ALL)
    }
}

#[test]
fn a_search_goes_deeper_until_the_documents_are_there() {
    let of = |depth: Option<usize>| Pipeline {
        expression: depth.map_or("bm25".to_string(), |depth| format!("bm25:{depth}")).parse().unwrap(),
        source: Some(Source::Retrieve { stage: bm25_stage(), depth }),
        stages: vec![],
        embedder: None,
        descriptions: vec![],
        grouping: Grouping::default(),
    };
    let ask =
        |pipeline: &Pipeline, k| pipeline.search_in(&Passages, &queries(&["x"]), k).pop().unwrap().unwrap();
    let one = ask(&of(None), 1);
    assert_eq!((ids(&one), one.trace.passages.as_slice()), ("a".into(), &["a#1".to_string()][..]));
    assert_eq!((fact(&one, "group:passages"), one.trace.passes), (None, 1));
    let all = ask(&of(None), 3);
    assert_eq!((ids(&all), all.trace.passages.join(" ")), ("abc".into(), "a#1 b#1 c#1".into()));
    // 1000, 4000 and all of them: the cost of each is in the account.
    assert_eq!((fact(&all, "group:passages"), all.trace.passes), (Some("9000"), 3));
    let short = ask(&of(Some(4600)), 3);
    assert_eq!(ids(&short), "ab");
    let remark = fact(&short, &format!("{REMARK}group")).unwrap();
    assert!(
        remark.contains("`bm25:4600` passes on 4600 passages") && remark.contains("3 documents"),
        "{remark}"
    );
    let mut passages = of(None);
    passages.group(Grouping::passages());
    assert_eq!(ask(&passages, 2).entries[1].id, "a#2");
}

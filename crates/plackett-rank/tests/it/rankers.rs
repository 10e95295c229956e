//! What every ranker promises, checked with models small enough to compute by hand.

use plackett_core::{Document, Query, RankRequest, Ranking};
use plackett_lm::LmError;
use plackett_rank::model::{
    PairScore, PairScorer, Role, TextEmbedder, TextLength, TextModel, TextVector, TokenEmbedder, TokenVectors,
};
use plackett_rank::{BiEncoder, CrossEncoder, LateInteraction, RankError, Ranker, Settings};
use proptest::prelude::*;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const DIMENSION: usize = 8;
const LIMIT: usize = 8;

/// Tokens are words; a word's vector is a unit vector from its letters; a text's vector is the unit mean of its words'.
/// Reads at most [`LIMIT`] tokens, two of which are special. The word `poison` gives NaN, the word `refuse` an error.
#[derive(Default)]
struct Toy {
    texts_read: AtomicUsize,
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').filter(|w| !w.is_empty()).collect()
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

fn word_vector(word: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    for (i, byte) in word.bytes().enumerate() {
        vector[(byte as usize * 7 + i) % DIMENSION] += 1.0 + f32::from(byte) / 300.0;
    }
    if word == "poison" { vec![f32::NAN; DIMENSION] } else { unit(vector) }
}

fn refusal() -> LmError {
    LmError::Io { path: "toy".into(), source: std::io::Error::other("the toy refuses this text") }
}

impl Toy {
    fn read<'a>(&self, text: &'a str) -> Result<(Vec<&'a str>, TextLength), LmError> {
        self.texts_read.fetch_add(1, Ordering::Relaxed);
        let mut words = words(text);
        if words.contains(&"refuse") {
            return Err(refusal());
        }
        let tokens = words.len() + 2;
        words.truncate(LIMIT - 2);
        Ok((words.clone(), TextLength { tokens, kept: words.len() + 2, estimated: false }))
    }
}

impl TextModel for Toy {
    fn name(&self) -> &str {
        "toy"
    }
    fn max_tokens(&self) -> usize {
        LIMIT
    }
    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(2)
    }
    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(words(text).into_iter().map(|w| start(w)..start(w) + w.len()).collect())
    }
}

impl TokenEmbedder for Toy {
    fn embed_tokens(&self, _: Role, texts: &[&str]) -> Result<Vec<TokenVectors>, LmError> {
        let read = |text: &&str| {
            let (words, length) = self.read(text)?;
            let values = words.into_iter().flat_map(word_vector).collect();
            Ok(TokenVectors { dimension: DIMENSION, values, length })
        };
        texts.iter().map(read).collect()
    }
}

impl TextEmbedder for Toy {
    fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        let pool = |tokens: TokenVectors| {
            let mut mean = vec![0.0; DIMENSION];
            for token in tokens.values.chunks(DIMENSION) {
                mean.iter_mut().zip(token).for_each(|(m, t)| *m += t);
            }
            TextVector { values: unit(mean), length: tokens.length }
        };
        Ok(self.embed_tokens(role, texts)?.into_iter().map(pool).collect())
    }
}

impl PairScorer for Toy {
    fn pair_overhead(&self) -> usize {
        3
    }
    fn score_text_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<PairScore>, LmError> {
        let score = |(query, document): &(&str, &str)| {
            let query = words(query);
            let (words, length) = self.read(document)?;
            let shared = words.iter().filter(|w| query.contains(w)).count();
            let logit = if words.contains(&"poison") { f64::NAN } else { 40.0 + shared as f64 };
            // In single precision this sigmoid rounds every score to one: the order must not notice.
            let activated = f64::from(1.0 / (1.0 + (-logit as f32).exp()));
            Ok(PairScore { logit, activated, length })
        };
        pairs.iter().map(score).collect()
    }
}

fn rankers(policy: &str) -> Vec<Box<dyn Ranker>> {
    let settings = || Settings { long_text: policy.parse().unwrap(), ..Settings::default() };
    let toy = || Arc::new(Toy::default());
    vec![
        Box::new(BiEncoder::new(toy(), settings())),
        Box::new(LateInteraction::new(toy(), settings())),
        Box::new(CrossEncoder::new(toy(), settings())),
    ]
}

fn request(query: &str, texts: &[&str]) -> RankRequest {
    let documents = texts.iter().enumerate().map(|(i, text)| Document::new(format!("d{i}"), *text));
    RankRequest::new(Query::new(format!("q-{query}"), query), documents)
}

fn one(ranker: &dyn Ranker, request: RankRequest) -> Result<Ranking, RankError> {
    ranker.rank(&[request]).pop().unwrap()
}

fn ids(ranking: &Ranking) -> Vec<&str> {
    ranking.entries.iter().map(|e| e.id.as_str()).collect()
}

#[test]
fn the_best_match_comes_first() {
    for ranker in rankers("truncate") {
        let ranking =
            one(ranker.as_ref(), request("red apple", &["blue sky", "red apple", "red car"])).unwrap();
        assert_eq!(ids(&ranking)[0], "d1", "{}", ranker.name());
        assert_eq!(ranking.entries.iter().map(|e| e.rank).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[test]
fn equal_activations_do_not_tie_different_logits() {
    let ranker = CrossEncoder::new(Arc::new(Toy::default()), Settings::default());
    let ranking = one(&ranker, request("a b c", &["a", "a b c", "a b"])).unwrap();
    assert_eq!(ids(&ranking), ["d1", "d2", "d0"]);
    assert_eq!(ranking.trace.activated, [1.0, 1.0, 1.0]);
    assert_eq!(ranking.trace.ties.groups, 0);
}

#[test]
fn no_candidates_is_an_empty_ranking_without_a_pass() {
    for ranker in rankers("truncate") {
        let ranking = one(ranker.as_ref(), request("a", &[])).unwrap();
        assert!(ranking.entries.is_empty());
        assert_eq!(ranking.trace.passes, 0);
    }
    assert!(rankers("truncate")[0].rank(&[]).is_empty());
}

#[test]
fn empty_texts_are_not_read_and_come_last_and_empty_queries_are_refused() {
    for policy in ["truncate", "chunk-mean(size=2)"] {
        for ranker in rankers(policy) {
            let ranking = one(ranker.as_ref(), request("a", &["", "z", " \t", "a b"])).unwrap();
            assert_eq!(ids(&ranking)[..2], ["d3", "d1"], "{}", ranker.name());
            assert!(ranking.entries[2].score < ranking.entries[1].score, "{}", ranker.name());
            let said = |id: &str| ranking.trace.facts.iter().any(|(fact, _)| *fact == format!("empty:{id}"));
            assert!(said("d0") && said("d2") && !said("d1"), "{:?}", ranking.trace.facts);
            let nothing = one(ranker.as_ref(), request("a", &["", ""])).unwrap();
            assert_eq!(nothing.entries.len(), 2);
            let mut answers = ranker.rank(&[request(" ", &["a"]), request("a", &["a"])]);
            assert!(answers.pop().unwrap().is_ok(), "the other request is ranked");
            let error = answers.pop().unwrap().unwrap_err().to_string();
            assert!(error.contains("its text is empty"), "{error}");
            assert!(one(ranker.as_ref(), request("", &[])).unwrap().entries.is_empty());
        }
    }
}

#[test]
fn a_document_twice_is_an_error_that_names_it() {
    let twice = RankRequest::new(Query::new("q", "a"), [Document::new("x", "a"), Document::new("x", "b")]);
    for ranker in rankers("truncate") {
        let mut results = ranker.rank(&[twice.clone(), request("a", &["a"])]);
        assert!(results.pop().unwrap().is_ok(), "the other request is ranked");
        let message = results.pop().unwrap().unwrap_err().to_string();
        assert!(message.contains("query `q`") && message.contains("`x`"), "{message}");
    }
}

#[test]
fn nan_is_an_error_not_a_place() {
    for ranker in rankers("truncate") {
        let mut results = ranker.rank(&[request("a", &["a", "poison"]), request("a", &["a"])]);
        assert!(results.pop().unwrap().is_ok());
        let error = results.pop().unwrap().unwrap_err();
        assert!(matches!(&error, RankError::NotFinite { document, .. } if document == "d1"), "{error}");
    }
}

#[test]
fn one_failing_request_leaves_the_others_ranked() {
    for ranker in rankers("truncate") {
        let results =
            ranker.rank(&[request("a", &["a", "b"]), request("b", &["refuse"]), request("c", &["c"])]);
        assert!(results[0].is_ok() && results[2].is_ok());
        let message = results[1].as_ref().unwrap_err().to_string();
        assert!(message.contains("q-b") && message.contains("refuses"), "{message}");
    }
}

#[test]
fn cut_texts_are_reported_with_both_lengths() {
    let long = "a b c d e f g h i j";
    for ranker in rankers("truncate") {
        let ranking = one(ranker.as_ref(), request("a", &["a", long])).unwrap();
        let cut = &ranking.trace.truncated;
        assert_eq!(cut.len(), 1, "{}", ranker.name());
        assert_eq!((cut[0].id.as_str(), cut[0].tokens, cut[0].kept), ("d1", 12, 8));
    }
}

#[test]
fn refusing_names_the_long_text_before_any_pass() {
    let long = "a b c d e f g h i j";
    // Room for 6 words alone, for 4 beside a query of one word.
    let fits = "b c d e";
    let requests = [
        request("a", &["a", fits]),
        request("b", &["b", long]),
        request(long, &["c"]),
        request(long, &[]),
        request("d", &["d"]),
    ];
    for ranker in rankers("refuse") {
        let results = ranker.rank(&requests);
        for fine in [0, 3, 4] {
            let ranking = results[fine].as_ref().expect("it fits");
            assert!(ranking.trace.facts.contains(&("long-text".into(), "refuse".into())));
            assert!(ranking.trace.truncated.is_empty());
        }
        let said = |n: usize| results[n].as_ref().expect_err("too long").to_string();
        assert!(
            said(1).contains("query `q-b`: document `d1`") && said(1).contains("shorten it"),
            "{}",
            said(1)
        );
        assert!(said(2).contains("the query has 1"), "{}: {}", ranker.name(), said(2));
    }
    let toy = Arc::new(Toy::default());
    let settings = Settings { long_text: "refuse".parse().unwrap(), ..Settings::default() };
    let ranker = BiEncoder::new(toy.clone(), settings);
    assert!(one(&ranker, request("b", &["b", long])).is_err());
    assert_eq!(toy.texts_read.load(Ordering::Relaxed), 0, "a refused request costs no pass");
}

#[test]
fn chunks_find_what_truncation_misses() {
    let late = "a b c d e f g h i j k l needle";
    for (policy, found) in [("truncate", false), ("chunk-max", true), ("chunk-max(size=3,stride=3)", true)] {
        for ranker in rankers(policy) {
            let ranking = one(ranker.as_ref(), request("needle", &[late, "need less"])).unwrap();
            assert_eq!(ids(&ranking)[0] == "d0", found, "{} {policy}", ranker.name());
            assert_eq!(ranking.trace.truncated.is_empty(), found);
            assert_eq!(ranking.trace.facts.iter().any(|(name, _)| name == "chunks:d0"), found);
            assert!(ranking.trace.facts.contains(&("long-text".into(), policy.into())));
        }
    }
}

#[test]
fn a_text_shared_by_many_requests_is_read_once() {
    let toy = Arc::new(Toy::default());
    let ranker = BiEncoder::new(toy.clone(), Settings::default());
    let requests: Vec<RankRequest> = (0..5).map(|i| request(&format!("w{i}"), &["same", "text"])).collect();
    let rankings: Vec<Ranking> = ranker.rank(&requests).into_iter().map(Result::unwrap).collect();
    assert_eq!(toy.texts_read.load(Ordering::Relaxed), 5 + 2);
    assert_eq!(rankings.iter().map(|r| r.trace.passes).sum::<u64>(), 7);
    assert_eq!(rankings.iter().map(|r| r.trace.cache_hits).sum::<u64>(), 8);
}

#[test]
fn rankers_can_be_shared_between_threads() {
    for ranker in rankers("truncate") {
        let alone = one(ranker.as_ref(), request("red apple", &["red", "apple", "sky"])).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let again = one(ranker.as_ref(), request("red apple", &["red", "apple", "sky"])).unwrap();
                    assert_eq!(again.entries, alone.entries);
                });
            }
        });
    }
}

fn requests() -> impl Strategy<Value = Vec<RankRequest>> {
    let text = "([a-d]{1,3} ){0,12}";
    // A query without a word is refused; a text without one is not.
    let one = ("([a-d]{1,3} ){1,12}", proptest::collection::vec(text, 0..7));
    proptest::collection::vec(one, 1..5).prop_map(|all| {
        let build = |(query, texts): (String, Vec<String>)| {
            request(&query, &texts.iter().map(String::as_str).collect::<Vec<_>>())
        };
        all.into_iter().map(build).collect()
    })
}

proptest! {
    #[test]
    fn a_ranking_is_a_permutation_of_the_candidates(requests in requests()) {
        for policy in ["truncate", "chunk-max", "chunk-mean(size=4,stride=2)"] {
            for ranker in rankers(policy) {
                for (request, result) in requests.iter().zip(ranker.rank(&requests)) {
                    let ranking = result.unwrap();
                    let wanted: HashSet<&str> = request.candidates.iter().map(|c| c.document.id.as_str()).collect();
                    prop_assert_eq!(ranking.entries.len(), request.candidates.len());
                    prop_assert_eq!(ids(&ranking).into_iter().collect::<HashSet<_>>(), wanted);
                }
            }
        }
    }

    #[test]
    fn a_request_is_ranked_alike_alone_and_in_a_batch(requests in requests()) {
        for ranker in rankers("chunk-max") {
            for (request, together) in requests.iter().zip(ranker.rank(&requests)) {
                let alone = one(ranker.as_ref(), request.clone()).unwrap();
                prop_assert_eq!(alone.entries, together.unwrap().entries);
            }
        }
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter(requests in requests()) {
        for ranker in rankers("truncate") {
            for request in &requests {
                let mut turned = request.clone();
                turned.candidates.reverse();
                let straight = one(ranker.as_ref(), request.clone()).unwrap();
                prop_assert_eq!(straight.entries, one(ranker.as_ref(), turned).unwrap().entries);
            }
        }
    }
}

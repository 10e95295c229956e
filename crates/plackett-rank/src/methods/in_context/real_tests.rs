//! The real SmolLM2-135M-Instruct on questions whose answers share words with them.

use crate::engine::Decoder;
use crate::methods::tests::request;
use crate::{MethodSpec, Settings};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::decoder::DecoderOptions;
use plackett_lm::store::Store;
use std::sync::Arc;

fn model() -> Option<Arc<Decoder>> {
    let pulled =
        Store::from_environment(false).and_then(|store| store.pull("SmolLM2-135M-Instruct", &|_, _, _| {}));
    match pulled {
        Ok(model) => Some(Arc::new(Decoder::open(&model.directory, &DecoderOptions::default()).unwrap())),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

fn rank(
    model: &Arc<Decoder>,
    method: &str,
    options: &[(&str, &str)],
    requests: &[RankRequest],
) -> Vec<Ranking> {
    let spec = MethodSpec::find(method).unwrap();
    let values = spec.values(options.iter().copied()).unwrap();
    let ranker = spec.ranker(model.clone(), values, Settings::default()).unwrap();
    ranker.rank(requests).into_iter().map(Result::unwrap).collect()
}

const FACTS: [(&str, &str); 8] = [
    ("When does the museum of clocks open?", "The museum of clocks opens at nine and closes at five."),
    ("How deep is the lake at Varn?", "The lake at Varn is forty metres deep near its northern shore."),
    ("Who built the stone bridge?", "The stone bridge was built by monks eight hundred years ago."),
    (
        "What do red squirrels eat in winter?",
        "In winter red squirrels eat pine seeds that they hid in autumn.",
    ),
    (
        "Why is bread dough kneaded?",
        "Bread dough is kneaded so that gluten forms and the loaf keeps its shape.",
    ),
    ("Which metal is liquid at room temperature?", "Mercury is a metal that is liquid at room temperature."),
    (
        "How long does a goose egg take to hatch?",
        "A goose egg takes about thirty days to hatch under the hen.",
    ),
    ("Where is the violin maker's workshop?", "The workshop of the violin maker is behind the old theatre."),
];

/// All facts as candidates of each question, the right one at another place each time.
fn questions() -> Vec<RankRequest> {
    (0..FACTS.len())
        .map(|n| {
            let texts: Vec<&str> =
                (0..FACTS.len()).map(|at| FACTS[(at * 3 + n * 5) % FACTS.len()].1).collect();
            let mut request = request(FACTS[n].0, &texts);
            request.query.id = format!("q{n}");
            request
        })
        .collect()
}

/// The mean of 1 / rank of the right document.
fn reciprocal_rank(requests: &[RankRequest], rankings: &[Ranking]) -> f64 {
    let one = |(n, (request, ranking)): (usize, (&RankRequest, &Ranking))| {
        let right =
            request.candidates.iter().find(|candidate| candidate.document.text == FACTS[n].1).unwrap();
        let entry = ranking.entries.iter().find(|entry| entry.id == right.document.id).unwrap();
        1.0 / entry.rank as f64
    };
    requests.iter().zip(rankings).enumerate().map(one).sum::<f64>() / requests.len() as f64
}

#[test]
fn calibrated_attention_finds_answers_that_share_words_with_the_question() {
    let Some(model) = model() else { return };
    let requests = questions();
    let of = |options: &[(&str, &str)]| {
        let found = reciprocal_rank(&requests, &rank(&model, "icr", options, &requests));
        println!("{options:?}: {found:.3}");
        found
    };
    let calibrated = of(&[]);
    let uncalibrated = of(&[("mode", "uncalibrated")]);
    // Random orders of eight have 0.34.
    assert!(calibrated > 0.6 && calibrated > uncalibrated, "{calibrated} {uncalibrated}");
}

#[test]
fn equal_documents_get_nearer_scores_when_they_are_calibrated() {
    let Some(model) = model() else { return };
    let equal = request("How deep is the lake?", &["The lake is forty metres deep."; 10]);
    let spread = |options: &[(&str, &str)]| {
        let ranking = rank(&model, "icr", options, std::slice::from_ref(&equal)).remove(0);
        let scores: Vec<f64> = ranking.entries.iter().map(|entry| entry.score).collect();
        println!("{options:?}: {scores:?}");
        scores[0] - scores[scores.len() - 1]
    };
    let (raw, calibrated) = (spread(&[("mode", "uncalibrated")]), spread(&[]));
    assert!(calibrated < raw / 2.0, "{calibrated} {raw}");
}

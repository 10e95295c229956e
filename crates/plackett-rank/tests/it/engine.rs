//! Rankers over the engine: tiny random models of the parity tests. Their orders mean nothing; that they are the same in
//! every batch, and that each method refuses a model that does not fit, means much.

use plackett_core::{Document, Query, RankRequest};
use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions, LmError};
use plackett_rank::{MethodSpec, Ranker, Settings};
use std::path::Path;
use std::sync::Arc;

fn model(name: &str) -> Result<Arc<EncoderModel>, LmError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity").join(name);
    EncoderModel::open(folder, &EncoderOptions::default()).map(Arc::new)
}

fn build(method: &str, name: &str, long_text: &str) -> Arc<dyn Ranker> {
    let method = MethodSpec::find(method).unwrap();
    let settings = Settings { long_text: long_text.parse().unwrap(), ..Settings::default() };
    method.ranker(model(name).unwrap(), method.defaults(), settings).unwrap()
}

/// Requests whose texts are of very different lengths, the longest beyond any tiny model's limit.
fn requests() -> Vec<RankRequest> {
    let words = ["the", "quick", "brown", "fox", "ranks", "over", "lazy", "dogs", ",", "again"];
    let text = |seed: usize, length: usize| {
        (0..length).map(|i| words[(i * 7 + seed * 3) % words.len()]).collect::<Vec<_>>().join(" ")
    };
    (0..4)
        .map(|r| {
            let documents =
                (0..6).map(|d| Document::new(format!("d{d}"), text(r + d, [0, 1, 5, 40, 90, 400][d])));
            RankRequest::new(Query::new(format!("q{r}"), text(r, 1 + r * 2)), documents)
        })
        .collect()
}

const FITTING: [(&str, &str); 4] = [
    ("bi-encoder", "bert"),
    ("late-interaction", "bert"),
    ("late-interaction", "bert-late"),
    ("cross-encoder", "bert-cross"),
];

#[test]
fn a_batch_gives_the_same_bits_as_its_parts() {
    for (method, name) in FITTING {
        for policy in ["truncate", "chunk-max", "chunk-mean(size=16,stride=9)"] {
            let ranker = build(method, name, policy);
            for (request, together) in requests().iter().zip(ranker.rank(&requests())) {
                let alone = ranker.rank(std::slice::from_ref(request)).pop().unwrap().unwrap();
                assert_eq!(alone.entries, together.unwrap().entries, "{method} {name} {policy}");
            }
        }
    }
}

#[test]
fn long_texts_are_cut_and_reported_or_read_in_pieces() {
    for (method, name) in FITTING {
        let cut = build(method, name, "truncate").rank(&requests());
        let whole = build(method, name, "chunk-max(size=16,stride=12)").rank(&requests());
        for (cut, whole) in cut.into_iter().zip(whole) {
            let (cut, whole) = (cut.unwrap().trace, whole.unwrap().trace);
            let report = cut.truncated.iter().find(|t| t.id == "d5").expect("400 words do not fit");
            assert!(report.kept < report.tokens && report.tokens >= 400, "{report:?}");
            assert!(
                whole.truncated.iter().all(|t| !t.id.starts_with('d')),
                "{method} {name}: {:?}",
                whole.truncated
            );
            assert!(whole.passes > cut.passes);
        }
    }
}

#[test]
fn a_bi_encoder_score_is_the_dot_product_of_the_engine_s_vectors() {
    let model = model("bert").unwrap();
    let request = RankRequest::new(Query::new("q", "quick fox"), [Document::new("d", "lazy dogs , again")]);
    let embedded = model.embed(&["quick fox", "lazy dogs , again"], &EmbedOptions::default()).unwrap();
    let (query, document) = embedded.data.split_at(embedded.dim);
    let wanted: f64 = query.iter().zip(document).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    let ranking = build("bi-encoder", "bert", "truncate").rank(&[request]).pop().unwrap().unwrap();
    assert!((ranking.entries[0].score - wanted).abs() < 1e-5);
}

#[test]
fn a_cross_encoder_score_is_the_engine_s_logit() {
    let model = model("bert-cross").unwrap();
    let scores = model.score_pairs(&[("quick fox", "lazy dogs")], None).unwrap();
    let request = RankRequest::new(Query::new("q", "quick fox"), [Document::new("d", "lazy dogs")]);
    let ranking = build("cross-encoder", "bert-cross", "truncate").rank(&[request]).pop().unwrap().unwrap();
    assert_eq!(ranking.entries[0].score, f64::from(scores.logits[0]));
    assert_eq!(ranking.trace.activated, scores.scores);
}

#[test]
fn a_wrong_model_is_refused_before_any_text_is_read() {
    for (method, name, reason) in [
        ("cross-encoder", "bert", "classification head"),
        ("bi-encoder", "bert-cross", "is a cross-encoder"),
        ("late-interaction", "bert-cross", "is a cross-encoder"),
        ("bi-encoder", "bert-late", "one vector per token"),
    ] {
        let spec = MethodSpec::find(method).unwrap();
        let error = spec
            .ranker(model(name).unwrap(), spec.defaults(), Settings::default())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(reason) && error.contains("--model"), "{error}");
    }
}

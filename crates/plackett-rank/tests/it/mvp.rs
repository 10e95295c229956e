//! MVP over tiny random models of the engine: its orders mean nothing, but they are exact.

use crate::language::encoder_decoder_model;
use plackett_core::{Document, Query, RankRequest, Ranking};
use plackett_lm::{EncoderModel, EncoderOptions};
use plackett_rank::model::{AnchorRequest, LanguageModel, Prompt, ViewRequest};
use plackett_rank::{Abilities, MethodSpec, Ranker, Settings};
use std::path::Path;
use std::sync::Arc;

const VIEWS: usize = 4;

fn rank(model: &Arc<dyn Abilities>, options: &[(&str, &str)], request: &RankRequest) -> Ranking {
    ranker(model, options).unwrap().rank(std::slice::from_ref(request)).remove(0).unwrap()
}

fn ranker(model: &Arc<dyn Abilities>, options: &[(&str, &str)]) -> Result<Arc<dyn Ranker>, String> {
    let spec = MethodSpec::find("mvp").unwrap();
    let values = spec.values(options.iter().copied()).unwrap();
    spec.ranker(model.clone(), values, Settings::default()).map_err(|error| error.to_string())
}

/// A passage of its own for every number.
fn passage(n: usize) -> String {
    let words = ["apple", "brown", "quick", "fox", "lazy", "dogs", "again"];
    (0..3 + n % 5).map(|at| words[(n * 3 + at * n / 7 + at) % 7]).collect::<Vec<_>>().join(" ")
        + &"x".repeat(n)
}

fn request(order: &[usize]) -> RankRequest {
    let documents = order.iter().map(|n| Document::new(format!("d{n:03}"), passage(*n)));
    RankRequest::new(Query::new("q", "quick dogs"), documents)
}

/// Scores by identifier.
fn scores(ranking: &Ranking) -> Vec<(String, f64)> {
    let mut scores: Vec<(String, f64)> =
        ranking.entries.iter().map(|entry| (entry.id.clone(), entry.score)).collect();
    scores.sort_by(|a, b| a.0.cmp(&b.0));
    scores
}

fn encoder() -> Arc<dyn Abilities> {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/all-MiniLM-L6-v2-int8");
    Arc::new(EncoderModel::open(bundled, &EncoderOptions::default()).unwrap())
}

#[test]
fn scores_move_with_their_passages_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let t5: Arc<dyn Abilities> = Arc::new(encoder_decoder_model(folder.path()));
    let models = [(t5, &[][..]), (encoder(), &[("untrained", "1")][..])];
    let given: Vec<usize> = (0..30).collect();
    let turned: Vec<usize> = given.iter().rev().copied().collect();
    let shuffled: Vec<usize> = given.iter().map(|n| n * 7 % 30).collect();
    for (model, options) in models {
        let wanted = rank(&model, options, &request(&given));
        assert_eq!(wanted.trace.passes, 30 + VIEWS as u64);
        let different: std::collections::BTreeSet<u64> =
            wanted.entries.iter().map(|entry| entry.score.to_bits()).collect();
        assert_eq!(different.len(), 30, "each passage has a score of its own");
        for order in [&turned, &shuffled] {
            assert_eq!(scores(&rank(&model, options, &request(order))), scores(&wanted));
        }
        // Part of the list has other anchors, and so other scores.
        let part = scores(&rank(&model, options, &request(&given[..20])));
        assert!(part.iter().zip(scores(&wanted)).any(|(a, b)| (a.1 - b.1).abs() > 1e-4));
    }
}

fn prompts(count: usize) -> Vec<Prompt> {
    (0..count).map(|n| Prompt::text(format!(" | Query: q | Context: {}", passage(n)))).collect()
}

fn views(model: &dyn LanguageModel, prompts: &[Prompt]) -> Vec<Vec<f32>> {
    let requests: Vec<ViewRequest<'_>> =
        prompts.iter().map(|prompt| ViewRequest { prompt, views: VIEWS, first: 0 }).collect();
    model.view_vectors(&requests).into_iter().map(|reply| reply.unwrap().values).collect()
}

#[test]
fn a_hundred_passages_are_read_in_parts_as_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = encoder_decoder_model(folder.path());
    let prompts = prompts(100);
    let whole = views(&model, &prompts);
    let parts: Vec<Vec<f32>> = prompts.chunks(20).flat_map(|part| views(&model, part)).collect();
    assert_eq!(whole, parts);
    // The view tokens are the first of the sequence: one of them alone sees the same tokens but for the others.
    let width = model.model().hidden();
    assert!(whole.iter().all(|vectors| vectors.len() == VIEWS * width));
    let list: Vec<f32> = whole.iter().flat_map(|vectors| &vectors[..width]).copied().collect();
    let anchor = |vectors: &[f32]| {
        let request = AnchorRequest { vectors, untrained: None };
        model.anchors(&[request]).remove(0).unwrap().values
    };
    let (of_all, of_chunk) = (anchor(&list), anchor(&list[..20 * width]));
    assert!(of_all.iter().zip(&of_chunk).any(|(a, b)| (a - b).abs() > 1e-4), "anchors are of the list");
}

/// A score worked out from the engine's states: views at the first positions, one step of the decoder, dot products.
#[test]
fn a_score_is_what_the_parts_of_the_model_give() {
    let folder = tempfile::tempdir().unwrap();
    let model = Arc::new(encoder_decoder_model(folder.path()));
    let engine = model.model();
    let tokens = engine.tokenizer().unwrap();
    let order = [4, 0, 2];
    let sources: Vec<Vec<u32>> = order
        .iter()
        .map(|n| {
            let text = format!(" | Query: quick dogs | Context: {}", passage(*n));
            let mut ids =
                tokens.encode("<extra_id_0><extra_id_1><extra_id_2><extra_id_3>", false, true).unwrap();
            assert_eq!(ids.len(), VIEWS);
            ids.extend(tokens.encode(&text, true, false).unwrap());
            ids
        })
        .collect();
    let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
    let width = engine.hidden();
    let states = engine.states(&sources).unwrap();
    let mut wanted = vec![0.0; order.len()];
    for view in 0..VIEWS {
        let of = |n: usize| &states[n][view * width..][..width];
        let list: Vec<f32> = (0..order.len()).flat_map(of).copied().collect();
        let anchor = engine.first_states(&[&list]).unwrap().remove(0);
        for (n, wanted) in wanted.iter_mut().enumerate() {
            let product: f32 = anchor.iter().zip(of(n)).map(|(a, b)| a * b).sum();
            *wanted += f64::from(product) / VIEWS as f64;
        }
    }
    let abilities: Arc<dyn Abilities> = model.clone();
    let ranking = rank(&abilities, &[], &request(&order));
    for (n, wanted) in order.iter().zip(wanted) {
        let found = ranking.entries.iter().find(|entry| entry.id == format!("d{n:03}")).unwrap().score;
        assert!((found - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{found} {wanted}");
    }
}

#[test]
fn a_passage_cannot_bring_view_tokens_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let model = encoder_decoder_model(folder.path());
    let of = |text: &str| views(&model, &[Prompt::text(text)]).remove(0);
    // As a view token it would be one token; as text it is many, and the unknown letters of it do not vanish.
    let tokens = model.model().tokenizer().unwrap();
    assert!(tokens.encode("<extra_id_0>", false, false).unwrap().len() > 1);
    assert_ne!(of(" | Context: <extra_id_0>"), of(" | Context: "));
}

#[test]
fn models_without_views_or_anchors_are_refused_with_the_reason() {
    let error = ranker(&encoder(), &[]).err().unwrap();
    assert!(error.contains("folder `anchor`") && error.contains("untrained=SEED"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let t5: Arc<dyn Abilities> = Arc::new(encoder_decoder_model(folder.path()));
    assert!(ranker(&t5, &[("untrained", "3")]).err().unwrap().contains("has its own"));
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/roberta");
    let tiny: Arc<dyn Abilities> = Arc::new(EncoderModel::open(tiny, &EncoderOptions::default()).unwrap());
    assert!(ranker(&tiny, &[("untrained", "3")]).err().unwrap().contains("stand for views"));
}

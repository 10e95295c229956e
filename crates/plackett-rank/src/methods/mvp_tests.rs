//! Against a scripted model by hand; the engine's models are in `tests/it/mvp.rs`.

use super::*;
use crate::methods::tests::{ids, ranked, request};
use crate::testing::ScriptedModel;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two views of width 2. An anchor is the mean of its vectors.
fn model() -> ScriptedModel {
    ScriptedModel::new()
        .views(|prompt, view| {
            let (_, passage) = prompt.split_once(" | Query: why | Context: ").expect(prompt);
            let [first, second] = match passage {
                "one" => [[1.0, 0.0], [0.0, 1.0]],
                "two" => [[2.0, 0.0], [0.0, -2.0]],
                "three" => [[0.0, 3.0], [3.0, 4.0]],
                other => panic!("{other}"),
            };
            Ok(if view == 0 { first } else { second }.to_vec())
        })
        .anchors(mean)
}

fn mean(numbers: &[f32]) -> Result<Vec<f32>, CallError> {
    let count = (numbers.len() / 2) as f32;
    Ok([0, 1].map(|at| numbers.chunks_exact(2).map(|row| row[at]).sum::<f32>() / count).to_vec())
}

/// Identifiers and scores.
fn scored(options: &[(&str, &str)]) -> Vec<(String, f64)> {
    let ranking =
        ranked("mvp", options, &Arc::new(model()), &request("why", &["one", "two", "three"])).unwrap();
    ranking.entries.into_iter().map(|entry| (entry.id, entry.score)).collect()
}

#[test]
fn a_score_is_the_mean_of_the_products_with_the_anchors() {
    // Anchors (1, 1) and (1, 1): views of one 1 and 1, of two 2 and −2, of three 3 and 7.
    let of = |options: &[(&str, &str)], wanted: [(&str, f64); 3]| {
        let found = scored(options);
        for ((id, score), (wanted_id, wanted)) in found.iter().zip(wanted) {
            assert!(id == wanted_id && (score - wanted).abs() < 1e-6, "{options:?}: {found:?}");
        }
    };
    of(&[("views", "2")], [("d2", 5.0), ("d0", 1.0), ("d1", 0.0)]);
    of(&[("views", "2"), ("join", "max")], [("d2", 7.0), ("d1", 2.0), ("d0", 1.0)]);
    of(&[("views", "2"), ("view", "1")], [("d2", 3.0), ("d1", 2.0), ("d0", 1.0)]);
    of(&[("views", "2"), ("view", "2")], [("d2", 7.0), ("d0", 1.0), ("d1", -2.0)]);
    of(&[("views", "1")], [("d2", 3.0), ("d1", 2.0), ("d0", 1.0)]);
    // A single view by another token.
    of(&[("views", "1"), ("first-view", "1")], [("d2", 7.0), ("d0", 1.0), ("d1", -2.0)]);
}

#[test]
fn passages_are_read_once_and_views_are_one_step_each() {
    for views in ["1", "2", "6"] {
        let model = Arc::new(model());
        let ranking =
            ranked("mvp", &[("views", views)], &model, &request("why", &["one", "two", "three"])).unwrap();
        let options = SPEC.values([("views", views)]).unwrap();
        let count = SPEC.calls.count.unwrap()(3, &options);
        assert_eq!(ranking.trace.passes, count);
        assert_eq!(count, 3 + views.parse::<u64>().unwrap());
        let calls: Vec<(Need, usize)> =
            model.calls().into_iter().map(|call| (call.kind, call.prompts)).collect();
        assert_eq!(calls, [(Need::ViewVectors, 3), (Need::Anchors, views.parse().unwrap())]);
    }
}

/// Scores by text, of a list in some order.
fn by_text(model: &Arc<ScriptedModel>, texts: &[&str]) -> Vec<(String, f64)> {
    let request = request("why", texts);
    let ranking = ranked("mvp", &[("views", "2")], model, &request).unwrap();
    let text = |id: &str| texts[id[1..].parse::<usize>().unwrap()].to_string();
    let mut scores: Vec<(String, f64)> =
        ranking.entries.iter().map(|entry| (text(&entry.id), entry.score)).collect();
    scores.sort_by(|a, b| a.0.cmp(&b.0));
    scores
}

#[test]
fn scores_move_with_their_passages_unless_a_model_knows_the_place() {
    let model = Arc::new(model());
    assert_eq!(by_text(&model, &["one", "two", "three"]), by_text(&model, &["three", "one", "two"]));
    // One that counts passages: the same check finds it.
    let place = AtomicUsize::new(0);
    let leaking = ScriptedModel::new()
        .views(move |prompt, view| {
            let place = place.fetch_add(1, Ordering::Relaxed) / 2 % 3;
            Ok(vec![prompt.len() as f32 + place as f32, view as f32])
        })
        .anchors(mean);
    let leaking = Arc::new(leaking);
    assert_ne!(by_text(&leaking, &["one", "two", "three"]), by_text(&leaking, &["three", "one", "two"]));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let error = |options: &[(&str, &str)], model: ScriptedModel| {
        let values = SPEC.values(options.iter().copied()).unwrap();
        SPEC.ranker(Arc::new(model), values, crate::Settings::default()).err().unwrap().to_string()
    };
    assert!(error(&[("views", "2"), ("view", "3")], model()).contains("view is 3, and there are 2 views"));
    assert!(error(&[("view", "1"), ("join", "max")], model()).contains("give one of them"));
    assert!(error(&[("untrained", "1")], model()).contains("this model has its own"));
    let two = || model().trained_with_views(2);
    assert!(error(&[], two()).contains("views is 4, and the model was trained with 2; write views=2"));
    let as_trained = SPEC.values([("views", "2")]).unwrap();
    assert!(SPEC.ranker(Arc::new(two()), as_trained, crate::Settings::default()).is_ok());
    let lacking = model().without(Need::Anchors, "it has none");
    assert!(error(&[], lacking).contains("anchors by a decoder of its own: it has none"));
}

#[test]
fn passages_are_cut_so_that_the_whole_has_the_length_of_the_option() {
    let seen = Arc::new(std::sync::Mutex::new(0));
    let longest = seen.clone();
    let model = ScriptedModel::new()
        .views(move |prompt, _| {
            let mut longest = longest.lock().unwrap();
            *longest = (*longest).max(prompt.split_whitespace().count());
            Ok(vec![1.0, prompt.len() as f32])
        })
        .anchors(mean);
    let long = "word ".repeat(100);
    let request = request("why", &[&long, "short"]);
    let ranking = ranked("mvp", &[("length", "32")], &Arc::new(model), &request).unwrap();
    // 32 tokens less four views: five words around the passage, and 23 of it.
    assert_eq!(*seen.lock().unwrap(), 28);
    let cut = &ranking.trace.truncated;
    assert_eq!((cut.len(), cut[0].id.as_str(), cut[0].tokens, cut[0].kept), (1, "d0", 100, 23));
    assert_eq!(ids(&ranking), ["d0", "d1"]);
}

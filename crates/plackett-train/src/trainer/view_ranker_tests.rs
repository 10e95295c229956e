//! Trained rankers of views on a tiny encoder, against the inference engine and against themselves.

use super::*;
use crate::objective::parse_sum;
use crate::tape::assert_parameter_gradients;
use crate::trainer::{Settings, Task, ViewExample, ViewTask, mean_loss, train};
use plackett_lm::seq2seq::AnchorDecoder;
use plackett_lm::{EncoderModel, EncoderOptions, Precision};
use std::path::PathBuf;

/// Three tokens of the tiny vocabulary that no text of these tests has.
const VIEWS: [u32; 3] = [9, 10, 11];
const TEXTS: [&str; 4] = ["cats purr at night", "dogs bark", "a fish swims in the sea", "birds sing"];

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert")
}

fn model(views: usize) -> (Parameters, ViewRanker) {
    let mut parameters = Parameters::default();
    let encoder = TextEncoder::open(&base(), &mut parameters, 64).unwrap();
    let ranker = ViewRanker::with_tokens(encoder, &mut parameters, VIEWS[..views].to_vec(), 3).unwrap();
    (parameters, ranker)
}

fn text(query: &str, passage: &str) -> String {
    format!(" | Query: {query} | Context: {passage}")
}

fn list(ranker: &ViewRanker, query: &str) -> Vec<Vec<u32>> {
    TEXTS.iter().map(|passage| ranker.tokens(&text(query, passage), 64).unwrap().0).collect()
}

fn examples() -> Vec<ViewExample> {
    let one = |query: &str, best: usize| ViewExample {
        name: query.into(),
        texts: TEXTS.iter().map(|passage| text(query, passage)).collect(),
        labels: (0..TEXTS.len()).map(|at| f32::from(u8::from(at == best))).collect(),
    };
    vec![one("what purrs", 0), one("what barks", 1), one("who swims", 2), one("who sings", 3)]
}

/// A ranker that has learned the examples for some steps.
fn trained(views: usize, orthogonality: f32) -> (Parameters, ViewRanker) {
    let (mut parameters, ranker) = model(views);
    let objective = "listnet(target=reciprocal-rank, temperature=0.8, target_temperature=0.8)";
    let task = ViewTask::new(&ranker, &examples(), 64, parse_sum(objective).unwrap(), orthogonality).unwrap();
    let settings = Settings { batch: 4, steps: 40, rate: 1e-3, head_rate: 3e-3, ..Settings::default() };
    train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    (parameters, ranker)
}

fn scores(parameters: &Parameters, ranker: &ViewRanker, list: &[Vec<u32>]) -> Vec<f32> {
    let tape = Tape::inference(parameters, &Compute::new(1));
    ranker.forward(&tape, &[list], Mode::default()).scores.value.to_vec()
}

#[test]
fn vectors_are_sorted_by_list_view_and_passage() {
    let (a, b) = (vec![vec![1], vec![2]], vec![vec![3]]);
    let found = places(&[&a[..], &b[..]], 2);
    assert_eq!(found.rows, [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(found.groups, [0..2, 2..4, 4..5, 5..6]);
    assert_eq!(found.of_passages, [0, 2, 1, 3, 4, 5]);
    assert_eq!(found.lists, [0..2, 2..3]);
}

#[test]
fn cosines_by_hand() {
    // (1, 0), (0, 2), (3, 4): cosines 0, 0.6 and 0.8.
    assert!((mean_absolute_cosine(&[1.0, 0.0, 0.0, 2.0, 3.0, 4.0], 2) - 1.4 / 3.0).abs() < 1e-9);
    assert!((mean_absolute_cosine(&[1.0, 0.0, -2.0, 0.0], 2) - 1.0).abs() < 1e-9);
}

#[test]
fn anchors_begin_with_length_one() {
    let (parameters, ranker) = model(2);
    let given = list(&ranker, "what purrs");
    let tape = Tape::inference(&parameters, &Compute::new(1));
    let anchors = ranker.forward(&tape, &[&given], Mode::default()).anchors;
    for anchor in anchors.value.chunks(anchors.columns) {
        let length = anchor.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-3, "{length}");
    }
}

#[test]
fn views_stand_before_everything_else() {
    let (_, ranker) = model(3);
    let (tokens, is_cut) = ranker.tokens(&text("what purrs", TEXTS[0]), 64).unwrap();
    // [CLS] is 2 and [SEP] 3.
    assert_eq!((&tokens[..4], tokens[tokens.len() - 1], is_cut), (&[9, 10, 11, 2][..], 3, false));
    let (cut, is_cut) = ranker.tokens(&text("what purrs", TEXTS[0]), 10).unwrap();
    assert_eq!((&cut[..9], cut[9], is_cut), (&tokens[..9], 3, true));
}

#[test]
fn scores_of_a_trained_ranker_move_with_their_passages() {
    let (parameters, ranker) = trained(3, 1.0);
    let given = list(&ranker, "what purrs");
    let wanted = scores(&parameters, &ranker, &given);
    for order in [[3, 2, 1, 0], [2, 0, 3, 1]] {
        let turned: Vec<Vec<u32>> = order.iter().map(|at| given[*at].clone()).collect();
        for (at, score) in order.iter().zip(scores(&parameters, &ranker, &turned)) {
            assert!((score - wanted[*at]).abs() < 1e-5, "{score} {}", wanted[*at]);
        }
    }
    // One that knew the place of a passage, by the token of its first view here, would be found out.
    let placed = |list: &[Vec<u32>]| {
        let mut list = list.to_vec();
        list.iter_mut().enumerate().for_each(|(at, passage)| passage[0] = 20 + at as u32);
        scores(&parameters, &ranker, &list)
    };
    let turned: Vec<Vec<u32>> = given.iter().rev().cloned().collect();
    let moved = placed(&given).into_iter().rev().zip(placed(&turned));
    assert!(moved.into_iter().any(|(a, b)| (a - b).abs() > 1e-5));
    // A list has anchors of its own: part of it has other scores.
    let part = scores(&parameters, &ranker, &given[..2]);
    assert!(part.iter().zip(&wanted).any(|(a, b)| (a - b).abs() > 1e-5));
}

#[test]
fn lists_of_a_batch_do_not_see_each_other() {
    let (parameters, ranker) = model(2);
    let (first, second) = (list(&ranker, "what purrs"), list(&ranker, "who sings"));
    let tape = Tape::inference(&parameters, &Compute::new(1));
    let both = ranker.forward(&tape, &[&first, &second[..3]], Mode::default());
    assert_eq!((both.lists.clone(), both.anchors.rows), (vec![0..4, 4..7], 4));
    let alone = [scores(&parameters, &ranker, &first), scores(&parameters, &ranker, &second[..3])].concat();
    for (both, alone) in both.scores.value.iter().zip(alone) {
        assert!((both - alone).abs() < 1e-5);
    }
}

#[test]
fn anchors_become_orthogonal_where_that_is_asked_for() {
    let likeness = |parameters: &Parameters, ranker: &ViewRanker| {
        let given = list(ranker, "what purrs");
        ranker.anchor_similarity(&Compute::new(1), parameters, &[&given])[0]
    };
    let (parameters, ranker) = model(3);
    let before = likeness(&parameters, &ranker);
    let (parameters, ranker) = trained(3, 1.0);
    let with = likeness(&parameters, &ranker);
    let (parameters, ranker) = trained(3, 0.0);
    let without = likeness(&parameters, &ranker);
    assert!(with < before && with < without, "{before} {with} {without}");
    let (parameters, ranker) = model(1);
    assert!(ranker.anchor_similarity(&Compute::new(1), &parameters, &[]).is_empty());
}

#[test]
fn four_lists_are_learned() {
    let (mut parameters, ranker) = model(2);
    let objective = parse_sum("softmax-cross-entropy").unwrap();
    let task = ViewTask::new(&ranker, &examples(), 64, objective, 0.0).unwrap();
    let compute = Compute::new(1);
    let before = mean_loss(&task, &compute, &parameters, 4).unwrap();
    let settings = Settings { batch: 4, steps: 80, rate: 3e-3, ..Settings::default() };
    train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let after = mean_loss(&task, &compute, &parameters, 4).unwrap();
    assert!(after < before - 0.2, "{before} {after}");
}

#[test]
fn gradients_are_differences() {
    let (mut parameters, ranker) = model(2);
    // The way of the anchors; and that of the vectors without the loss of anchors, whose steep slopes meet the corners of the decoder's ReLU.
    let ways = [("decoder.final_layer_norm.weight", 1.0), ("bert.encoder.layer.1.output.dense.bias", 0.0)];
    for (name, orthogonality) in ways {
        let checked = [parameters.find(name).expect(name)];
        let objective = parse_sum("listnet(target=reciprocal-rank)").unwrap();
        let task = ViewTask::new(&ranker, &examples()[..2], 64, objective, orthogonality).unwrap();
        assert_parameter_gradients(&mut parameters, &checked, 4, |tape| {
            task.loss(tape, &[0, 1], Mode::default()).unwrap().value
        });
    }
}

#[test]
fn what_is_saved_has_the_same_views_and_anchors_in_the_inference_engine() {
    let (parameters, ranker) = trained(3, 1.0);
    let folder = tempfile::tempdir().unwrap();
    ranker.save(folder.path(), &parameters).unwrap();
    let engine = EncoderModel::open(folder.path(), &EncoderOptions::default()).unwrap();
    let texts: Vec<String> = TEXTS.iter().map(|passage| text("what purrs", passage)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let states = engine.leading_states(&VIEWS, &texts, None).unwrap();
    let decoder = AnchorDecoder::open_beside(folder.path(), Precision::F32).unwrap();
    assert_eq!(decoder.views(), Some(3));
    let width = decoder.hidden();
    let of = |passage: usize, view: usize| &states.data[(passage * 3 + view) * width..][..width];
    let lists: Vec<Vec<f32>> =
        (0..3).map(|view| (0..4).flat_map(|passage| of(passage, view)).copied().collect()).collect();
    let anchors = decoder.first_states(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let theirs = (0..4).map(|passage| {
        let products = (0..3)
            .flat_map(|view| of(passage, view).iter().zip(&anchors[view]).map(|(a, b)| a * b))
            .sum::<f32>();
        products / 3.0
    });
    let ours = scores(&parameters, &ranker, &list(&ranker, "what purrs"));
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    }
}

#[test]
fn lists_without_labels_are_refused() {
    let (_, ranker) = model(1);
    let mut examples = examples();
    examples[1].labels.pop();
    let error = ViewTask::new(&ranker, &examples, 64, Vec::new(), 0.0).err().unwrap().to_string();
    assert!(error.contains("the list what barks has 4 passages and 3 labels"), "{error}");
}

//! The promises about batches, threads, memory and quantised copies, on the tiny models of every family.

use plackett_lm::{EncoderModel, EncoderOptions, Precision, Sequence};
use std::path::PathBuf;

const FAMILIES: [&str; 4] = ["bert", "roberta", "xlm-roberta", "modernbert"];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn open(name: &str, precision: Precision, threads: usize) -> EncoderModel {
    let options = EncoderOptions { precision, threads: Some(threads), memory_budget: None };
    EncoderModel::open(golden(name), &options).unwrap()
}

/// More than one group, more groups than threads, and a remainder.
fn batch() -> Vec<Sequence> {
    let ids = |n: u32| (0..n).map(|i| 4 + (i * 7) % 100).collect();
    [3, 17, 50, 1, 2, 12, 13, 40, 50, 50, 31].map(|n| Sequence::single(ids(n))).to_vec()
}

#[test]
fn numbers_do_not_depend_on_batch_or_threads() {
    let batch = batch();
    for family in FAMILIES {
        for precision in [Precision::F32, Precision::Int8] {
            let together = open(family, precision, 2).hidden_states(&batch, usize::MAX).unwrap();
            for threads in [1, 3] {
                let model = open(family, precision, threads);
                assert_eq!(
                    model.hidden_states(&batch, usize::MAX).unwrap(),
                    together,
                    "{family} {threads} threads"
                );
                for (sequence, states) in batch.iter().zip(&together) {
                    let alone = model.hidden_states(std::slice::from_ref(sequence), usize::MAX).unwrap();
                    assert_eq!(&alone[0], states, "{family} {precision:?}: alone differs from together");
                }
            }
        }
    }
}

#[test]
fn a_memory_budget_is_kept_by_refusing_what_cannot_fit() {
    let batch = batch();
    let with = |memory_budget| {
        let options = EncoderOptions { memory_budget, threads: Some(2), ..EncoderOptions::default() };
        EncoderModel::open(golden("bert"), &options).unwrap().hidden_states(&batch, usize::MAX)
    };
    let message = with(Some(1000)).unwrap_err().to_string();
    assert!(message.contains("50 tokens") && message.contains("budget is 1000"), "{message}");
    // The smallest budget that is not refused has room for one worker only: slower, the same numbers.
    let enough = (1..).map(|k| k * 10_000).find(|budget| with(Some(*budget)).is_ok()).unwrap();
    assert_eq!(with(Some(enough)).unwrap(), with(None).unwrap());
}

/// A group of sequences that does not fit is split, so a batch needs no more than its longest sequence.
#[test]
fn a_batch_needs_no_more_memory_than_its_longest_sequence() {
    let batch = batch();
    let enough = |sequences: &[Sequence]| {
        (1..).map(|k| k * 1000).find(|budget| {
            let memory_budget = Some(*budget);
            let options = EncoderOptions { memory_budget, threads: Some(2), ..EncoderOptions::default() };
            EncoderModel::open(golden("bert"), &options).unwrap().hidden_states(sequences, usize::MAX).is_ok()
        })
    };
    let longest = batch.iter().max_by_key(|sequence| sequence.len()).unwrap().clone();
    assert_eq!(enough(&batch), enough(&[longest]));
}

#[test]
fn early_exit_is_the_state_after_that_layer() {
    let batch = batch();
    let model = open("bert", Precision::F32, 1);
    let states: Vec<_> = (0..=model.info().layers).map(|n| model.hidden_states(&batch, n).unwrap()).collect();
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(states.last(), Some(&model.hidden_states(&batch, 99).unwrap()));
}

#[test]
fn a_quantised_copy_opens_like_any_other_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("small");
    let told = std::cell::RefCell::new(Vec::new());
    plackett_lm::quantize_with(&golden("bert"), &target, &|done, all| told.borrow_mut().push((done, all)))
        .unwrap();
    let told = told.into_inner();
    assert!(
        told.len() > 30 && told.iter().enumerate().all(|(n, step)| *step == (n, told.len() - 1)),
        "{told:?}"
    );
    let (model, exact) =
        (EncoderModel::open(&target, &EncoderOptions::default()).unwrap(), open("bert", Precision::F32, 2));
    assert_eq!((model.info().precision, exact.info().precision), ("int8", "f32"));
    let dequantised = EncoderModel::open(
        &target,
        &EncoderOptions { precision: Precision::F32, ..EncoderOptions::default() },
    )
    .unwrap();
    let ours = model.hidden_states(&batch(), 99).unwrap();
    assert_ne!(ours, exact.hidden_states(&batch(), 99).unwrap());
    for model in [&dequantised, &exact] {
        for (a, b) in ours.iter().flatten().zip(model.hidden_states(&batch(), 99).unwrap().iter().flatten()) {
            assert!((a - b).abs() < 0.5, "{a} and {b}");
        }
    }
    assert!(plackett_lm::quantize(&golden("bert"), &target).unwrap_err().to_string().contains("exists"));
}

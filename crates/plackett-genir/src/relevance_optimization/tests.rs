//! A policy that begins as its reference, and what it learns.

use super::*;
use plackett_train::nn::LlamaConfig;
use plackett_train::trainer::{Settings, WordVocabulary, train};

fn model(parameters: &mut Parameters) -> LanguageModel {
    let vocabulary = WordVocabulary::of_texts(["a b c d"], 6, 10, 1);
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    LanguageModel::of_words(&vocabulary, &config, 8, 3, parameters).unwrap()
}

/// Docids of different lengths, so that padding would be noticed.
fn triples() -> Vec<DocidTriple> {
    let triple = |word: u32, chosen: &[u32], rejected: &[u32]| DocidTriple {
        prompt: vec![word, 0],
        chosen: chosen.to_vec(),
        rejected: rejected.to_vec(),
    };
    vec![triple(9, &[3, 4, 1], &[5, 1]), triple(10, &[5, 1], &[3, 4, 1]), triple(11, &[6, 7, 8, 1], &[5, 1])]
}

#[test]
fn the_first_loss_is_ln_2_and_margins_are_zero() {
    let mut parameters = Parameters::default();
    let (model, compute, triples) = (model(&mut parameters), Compute::new(1), triples());
    let reference = ReferenceLogs::compute(&model, &parameters, &triples, &compute).unwrap();
    let task = RelevanceOptimization::new(&model, &triples, &reference, 0.4).unwrap();
    let first = task.measure(&parameters, &compute).unwrap();
    assert!((first.loss - std::f64::consts::LN_2).abs() < 1e-6, "{}", first.loss);
    assert_eq!((first.margin, first.accuracy), (0.0, 0.0));
}

#[test]
fn a_docid_has_the_sum_of_the_logs_of_its_own_tokens() {
    let mut parameters = Parameters::default();
    let (model, compute, triples) = (model(&mut parameters), Compute::new(1), triples());
    let reference = ReferenceLogs::compute(&model, &parameters, &triples, &compute).unwrap();
    for (triple, sum) in triples.iter().zip(&reference.chosen) {
        let tokens: Vec<u32> = triple.prompt.iter().chain(&triple.chosen).copied().collect();
        let batch = TokenBatch::new([&tokens[..]]);
        let tape = Tape::inference(&parameters, &compute);
        let targets: Vec<(usize, u32)> = (2..tokens.len()).map(|place| (place - 1, tokens[place])).collect();
        let logs = model.llama.log_probabilities(&tape, &model.llama.hidden(&tape, &batch), &targets);
        assert!((logs.value.iter().sum::<f32>() - sum).abs() < 1e-4);
    }
}

#[test]
fn margins_grow_above_zero_for_all_triples() {
    let mut parameters = Parameters::default();
    let (model, compute, triples) = (model(&mut parameters), Compute::new(1), triples());
    let reference = ReferenceLogs::compute(&model, &parameters, &triples, &compute).unwrap();
    let task = RelevanceOptimization::new(&model, &triples, &reference, 0.4).unwrap();
    let settings = Settings { batch: 3, steps: 100, rate: 1e-2, checkpoint: 0, ..Settings::default() };
    train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let after = task.measure(&parameters, &compute).unwrap();
    assert_eq!(after.accuracy, 1.0);
    assert!(after.margin > 1.0 && after.loss < 0.5, "{after:?}");
    let records = task.records.into_inner().unwrap();
    assert_eq!(records.len(), 100);
    assert!((records[0].loss - std::f64::consts::LN_2).abs() < 1e-6);
}

#[test]
fn a_reference_is_kept_for_the_same_weights_and_triples_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference.json");
    let mut parameters = Parameters::default();
    let (model, compute, mut triples) = (model(&mut parameters), Compute::new(1), triples());
    let kept = |parameters: &Parameters, triples: &[DocidTriple]| {
        ReferenceLogs::kept(&path, &model, parameters, triples, &compute).unwrap()
    };
    let (first, was_there) = kept(&parameters, &triples);
    assert!(!was_there);
    assert_eq!(kept(&parameters, &triples), (first, true));
    triples.pop();
    assert!(!kept(&parameters, &triples).1, "other triples");
    parameters.iter_mut().for_each(|(_, parameter)| parameter.values_mut()[0] += 1.0);
    assert!(!kept(&parameters, &triples).1, "other weights");
    std::fs::write(&path, "{").unwrap();
    let error = ReferenceLogs::kept(&path, &model, &parameters, &triples, &compute).unwrap_err().to_string();
    assert!(error.contains("reference.json") && error.contains("line 1"), "{error}");
}

#[test]
fn triples_that_cannot_be_read_are_refused_by_number() {
    let mut parameters = Parameters::default();
    let (model, compute) = (model(&mut parameters), Compute::new(1));
    let refused = |change: fn(&mut DocidTriple)| {
        let mut triples = triples();
        change(&mut triples[1]);
        ReferenceLogs::compute(&model, &parameters, &triples, &compute).unwrap_err().to_string()
    };
    assert!(refused(|triple| triple.prompt.clear()).contains("triple 2: a prompt"));
    assert!(refused(|triple| triple.chosen = vec![3; 7]).contains("9 tokens"));
    assert!(refused(|triple| triple.rejected[0] = 99).contains("token 99"));
    let short = ReferenceLogs::default();
    assert!(
        RelevanceOptimization::new(&model, &triples(), &short, 0.4)
            .err()
            .unwrap()
            .to_string()
            .contains("3 triples")
    );
}

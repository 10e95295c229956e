//! A policy learns what it is rewarded for.

use super::*;
use crate::nn::LlamaConfig;
use crate::tape::{Compute, Parameters};
use crate::trainer::{LanguageModel, Report, Settings, train};
use plackett_lm::decode::TokenTrie;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An answer is worth the share of its tokens that are the letter a.
struct Letters;

impl Rewarder for Letters {
    fn judge(&self, _prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        let share = |answer: &Sampled| {
            let letters = answer.tokens.iter().filter(|token| **token == u32::from(b'a')).count();
            letters as f64 / answer.tokens.len() as f64
        };
        let rewards: Vec<f64> = answers.iter().map(share).collect();
        let advantages = group_advantages(&rewards);
        let worth = |((answer, reward), advantage): ((&Sampled, f64), f64)| Answered {
            reward,
            credits: vec![Credit { tokens: 0..answer.tokens.len(), advantage, share: 1.0 }],
            differs: advantage != 0.0,
        };
        answers.iter().zip(rewards).zip(advantages).map(worth).collect()
    }
}

fn tiny(parameters: &mut Parameters) -> LanguageModel {
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    LanguageModel::of_bytes(&config, 32, 3, parameters).unwrap()
}

fn learn(
    folder: &Path,
    steps: usize,
    (generation, kl): (Generation, f32),
) -> (Report, Vec<RolloutRecord>, Parameters) {
    let mut parameters = Parameters::default();
    let model = tiny(&mut parameters);
    let reference = parameters.clone();
    let prompts = vec![vec![u32::from(b'x')], vec![u32::from(b'y'), u32::from(b'z')]];
    let task = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation,
        rewarder: &Letters,
        loss: PolicyLoss { level: RatioLevel::Part, kl, ..PolicyLoss::default() },
        by_token: false,
        updates: Updates::default(),
        reference: Some(&reference),
        folder: folder.join("policy"),
        records: Mutex::default(),
    };
    let settings = Settings { batch: 2, steps: 40, rate: 2e-2, checkpoint: 10, ..Settings::default() };
    let mut hooks = StopAt(steps);
    let place = (Some(folder), "letters");
    let report =
        train(&task, &Compute::new(1), &mut parameters, &settings, place, Some(&mut hooks), &mut |_, _| {})
            .unwrap();
    let records = task.records.into_inner().unwrap();
    (report, records, parameters)
}

/// Ends a training after some steps, as a kill would.
struct StopAt(usize);

impl crate::trainer::Hooks for StopAt {
    fn is_done(&mut self, _: &Parameters) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 == 0
    }
}

fn samples() -> (Generation, f32) {
    (Generation::Sample { group: 8, temperature: 1.0, end: 256, most: 6 }, 1e-3)
}

#[test]
fn rewards_rise_and_a_run_that_was_stopped_goes_on_bit_by_bit() {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, records, parameters) = learn(whole.path(), usize::MAX, samples());
    let mean = |records: &[RolloutRecord]| {
        records.iter().map(|record| record.reward).sum::<f64>() / records.len() as f64
    };
    assert!(mean(&records[..5]) < 0.05, "{}", mean(&records[..5]));
    assert!(mean(&records[35..]) > 0.5, "{}", mean(&records[35..]));
    assert_eq!(records[0].divergence, 0.0, "the policy begins as its reference");
    assert!(records[39].divergence > 0.0);
    learn(stopped.path(), 26, samples());
    let (report, _, again) = learn(stopped.path(), usize::MAX, samples());
    assert_eq!(report.resumed, 20);
    let values = |parameters: &Parameters| -> Vec<Vec<f32>> {
        parameters.iter().map(|(_, parameter)| parameter.value.to_vec()).collect()
    };
    assert_eq!(values(&again), values(&parameters));
}

#[test]
fn beams_are_valid_and_different_and_the_engine_agrees_with_the_tape() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = Parameters::default();
    let model = tiny(&mut parameters);
    let engine = Rollouts::open(&model, &parameters, folder.path()).unwrap();
    let words = ["ab", "ac", "b", "cab"].map(|word| word.bytes().map(u32::from).collect::<Vec<u32>>());
    let trie = TokenTrie::build(words.iter()).unwrap().trie;
    let prompt: &[u32] = &[1, 2, 3];
    let beams = engine.beams(&[prompt], (&trie, None), 4).unwrap().remove(0);
    let mut ranks: Vec<usize> = beams.iter().map(|(rank, _)| *rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [0, 1, 2, 3]);
    assert!(beams.is_sorted_by(|a, b| a.1.log_probability >= b.1.log_probability));
    let compute = Compute::new(1);
    for (rank, beam) in &beams {
        assert_eq!(beam.tokens, trie.sequence(*rank));
        let tokens: Vec<u32> = prompt.iter().chain(&beam.tokens).copied().collect();
        let batch = crate::nn::TokenBatch::new([&tokens[..]]);
        let tape = crate::Tape::inference(&parameters, &compute);
        let targets: Vec<(usize, u32)> = (3..tokens.len()).map(|place| (place - 1, tokens[place])).collect();
        let logs = model.llama.log_probabilities(&tape, &model.llama.hidden(&tape, &batch), &targets);
        let sum: f64 = logs.value.iter().map(|log| f64::from(*log)).sum();
        assert!((sum - beam.log_probability).abs() < 1e-4, "{sum} {}", beam.log_probability);
    }
    let learned = tempfile::tempdir().unwrap();
    let generation = Generation::Beams { trie: Arc::new(trie), width: 4 };
    let (_, records, _) = learn(learned.path(), usize::MAX, (generation, 0.0));
    assert!(records.iter().all(|record| record.tokens == 2.0), "all four words, each time");
}

/// A reward that is the same for all teaches nothing, and that is counted.
#[test]
fn groups_without_an_advantage_are_counted() {
    struct Same;
    impl Rewarder for Same {
        fn judge(&self, _prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
            let advantages = group_advantages(&vec![1.0; answers.len()]);
            let credit = |advantage| Credit { tokens: 0..1, advantage, share: 1.0 };
            let worth = |advantage: f64| Answered {
                reward: 1.0,
                credits: vec![credit(advantage)],
                differs: advantage != 0.0,
            };
            advantages.into_iter().map(worth).collect()
        }

        fn is_miss(&self, prompt: usize, _answers: &[Sampled]) -> bool {
            prompt == 0
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = Parameters::default();
    let model = tiny(&mut parameters);
    let before: Vec<f32> = parameters[model.llama.head].value.to_vec();
    let prompts = vec![vec![5], vec![6]];
    let task = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: samples().0,
        rewarder: &Same,
        loss: PolicyLoss { level: RatioLevel::Token, clip: (0.2, 0.28), ..PolicyLoss::default() },
        by_token: true,
        updates: Updates::default(),
        reference: None,
        folder: folder.path().to_path_buf(),
        records: Mutex::default(),
    };
    let settings = Settings { batch: 2, steps: 2, rate: 1e-2, ..Settings::default() };
    let report = train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {});
    let report = report.unwrap();
    assert!(report.steps.iter().all(|step| step.skipped == 2 && step.loss == 0.0));
    assert_eq!(parameters[model.llama.head].value.to_vec(), before);
    let record = task.records.into_inner().unwrap()[0];
    assert_eq!((record.without_advantage, record.misses), (1.0, 0.5));
}

//! Answers that are held to a form, and rewards that look at several prompts.

use super::*;
use crate::TrainError;
use crate::nn::LlamaConfig;
use crate::tape::{Compute, Parameters};
use crate::trainer::{Hooks, LanguageModel, Report, Settings, train};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A digit between brackets.
fn form() -> Form {
    let digits: Vec<u32> = (b'0'..=b'9').map(u32::from).collect();
    let places =
        vec![Place::Only(u32::from(b'[')), Place::OneOf(digits.into()), Place::Only(u32::from(b']'))];
    Form::new(places, Vec::new()).unwrap()
}

/// The digit of an answer.
fn digit(answer: &Sampled) -> f64 {
    f64::from(answer.tokens[1] - u32::from(b'0'))
}

/// Two prompts are an example; the answers to the first are to be above the mean of those to the second, and the other way round.
struct Apart {
    form: Form,
    reward: fn(f64) -> f64,
}

impl Rewarder for Apart {
    fn judge(&self, prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        let sign = if prompt.is_multiple_of(2) { 1.0 } else { -1.0 };
        self.worth(answers, sign, 0.0)
    }

    fn together(&self) -> usize {
        2
    }

    fn judge_together(&self, first: usize, groups: &[Vec<Sampled>]) -> Vec<Vec<Answered>> {
        assert!(first.is_multiple_of(2) && groups.len() == 2, "an example is whole");
        let mean = |group: &[Sampled]| group.iter().map(digit).sum::<f64>() / group.len() as f64;
        let (high, low) = (mean(&groups[0]), mean(&groups[1]));
        vec![self.worth(&groups[0], 1.0, low), self.worth(&groups[1], -1.0, high)]
    }

    fn is_well_formed(&self, _prompt: usize, answer: &Sampled) -> bool {
        self.form.fits(&answer.tokens)
    }
}

impl Apart {
    fn worth(&self, answers: &[Sampled], sign: f64, other: f64) -> Vec<Answered> {
        let rewards: Vec<f64> =
            answers.iter().map(|answer| (self.reward)(sign * (digit(answer) - other))).collect();
        let advantages = group_advantages(&rewards);
        let credits = |advantage: f64| -> Vec<Credit> {
            let runs = self.form.choices().into_iter();
            runs.map(|tokens| Credit { tokens, advantage, share: 1.0 }).collect()
        };
        rewards
            .into_iter()
            .zip(advantages)
            .map(|(reward, advantage)| Answered {
                reward,
                credits: credits(advantage),
                differs: advantage != 0.0,
            })
            .collect()
    }
}

/// Ends a training before so many steps, as a kill would, and keeps the records.
struct Killed<'r>(usize, KeptRecords<'r>);

impl Hooks for Killed<'_> {
    fn is_done(&mut self, _: &Parameters) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 == 0
    }

    fn state(&self) -> Vec<u8> {
        self.1.state()
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
        self.1.set_state(state)
    }
}

type Learned = (Report, Vec<RolloutRecord>, Vec<Vec<f32>>);

fn learn(
    folder: &Path,
    (steps, updates): (usize, usize),
    reward: fn(f64) -> f64,
) -> Result<Learned, TrainError> {
    let mut parameters = Parameters::default();
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    let model = LanguageModel::of_bytes(&config, 16, 3, &mut parameters).unwrap();
    let prompts = ["a", "b", "xa", "xb"].map(|text| text.bytes().map(u32::from).collect::<Vec<u32>>());
    let rewarder = Apart { form: form(), reward };
    let task = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: Generation::Form { form: Arc::new(form()), group: 8, temperature: 1.0 },
        rewarder: &rewarder,
        loss: PolicyLoss { level: RatioLevel::Token, ..PolicyLoss::default() },
        by_token: false,
        updates: Updates::new(updates),
        reference: None,
        folder: folder.join("policy"),
        records: Mutex::default(),
    };
    let settings = Settings { batch: 2, steps: 30, rate: 2e-2, checkpoint: 5, ..Settings::default() };
    let mut hooks = Killed(steps, KeptRecords::of(&task));
    let place = (Some(folder), "apart");
    let compute = Compute::new(1);
    let report = train(&task, &compute, &mut parameters, &settings, place, Some(&mut hooks), &mut |_, _| {})?;
    let values = parameters.iter().map(|(_, parameter)| parameter.value.to_vec()).collect();
    let records = task.records.lock().unwrap().clone();
    Ok((report, records, values))
}

#[test]
fn formed_answers_learn_from_all_prompts_of_an_example_and_a_killed_run_goes_on() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, records, values) = learn(whole.path(), (usize::MAX, 1), |apart| apart).unwrap();
    assert_eq!(records.len(), 30);
    assert!(records.iter().all(|record| record.well_formed == 1.0 && record.tokens == 3.0));
    let mean = |records: &[RolloutRecord]| {
        records.iter().map(|record| record.reward).sum::<f64>() / records.len() as f64
    };
    assert!(
        mean(&records[25..]) > mean(&records[..5]) + 2.0,
        "{} {}",
        mean(&records[..5]),
        mean(&records[25..])
    );
    assert!(records[0].variance > 1.0);
    learn(killed.path(), (18, 1), |apart| apart).unwrap();
    let (report, again, same) = learn(killed.path(), (usize::MAX, 1), |apart| apart).unwrap();
    assert_eq!((report.resumed, again.len()), (15, 30));
    assert_eq!(same, values);
    let rewards = |records: &[RolloutRecord]| records.iter().map(|record| record.reward).collect::<Vec<_>>();
    assert_eq!(rewards(&again), rewards(&records));
}

#[test]
fn a_reward_that_is_no_number_is_named_with_its_step_and_one_that_never_differs_too() {
    let folder = tempfile::tempdir().unwrap();
    let error = learn(folder.path(), (usize::MAX, 1), |_| f64::NAN).unwrap_err().to_string();
    assert!(error.starts_with("step 1: answer 1 to prompt "), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let (report, records, _) = learn(folder.path(), (4, 1), |_| 0.5).unwrap();
    assert_eq!(constant_steps(&records), [1, 2, 3]);
    assert!(report.steps.iter().all(|step| step.skipped == 4), "four prompts of two examples");
}

/// The checkpoint at step 15 stands within a rollout: the kill loses none of the answers that wait.
#[test]
fn a_run_that_was_killed_between_two_updates_of_a_rollout_goes_on_with_its_answers() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, records, values) = learn(whole.path(), (usize::MAX, 2), |apart| apart).unwrap();
    assert_eq!(records.len(), 30);
    for of_rollout in records.chunks(2) {
        assert_eq!(of_rollout[0].reward, of_rollout[1].reward);
        assert!(of_rollout[0].seconds > 0.0 && of_rollout[1].seconds == 0.0);
    }
    learn(killed.path(), (18, 2), |apart| apart).unwrap();
    let (report, again, same) = learn(killed.path(), (usize::MAX, 2), |apart| apart).unwrap();
    assert_eq!((report.resumed, again.len()), (15, 30));
    assert_eq!(same, values);
    let folder = tempfile::tempdir().unwrap();
    let error = learn(folder.path(), (usize::MAX, 3), |apart| apart).unwrap_err().to_string();
    assert!(error.contains("3 updates for each rollout need as many examples"), "{error}");
}

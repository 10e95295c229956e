//! Early stopping on a weight that goes a known way, and on a tiny cross-encoder.

use super::*;
use crate::TrainError;
use crate::nn::Mode;
use crate::optimizer::Schedule;
use crate::tape::{Compute, ParameterId, Parameters, Tape};
use std::path::Path;

/// The loss is the weight itself: each step takes the learning rate from it.
struct Falling(ParameterId);

impl Task for Falling {
    fn count(&self) -> usize {
        1
    }

    fn loss(&self, tape: &Tape, _: &[usize], _: Mode) -> Result<StepLoss, TrainError> {
        Ok(StepLoss { value: tape.scale(&tape.parameter(self.0), 1.0), tokens: 1, used: 1, skipped: 0 })
    }
}

/// Trains the weight from 2 in steps of 0.1 and evaluates how far it is from 1.58; the evaluation after `fails` others fails.
fn fall(
    folder: Option<&Path>,
    settings: &Settings,
    fails: Option<usize>,
) -> Result<(f32, Report), TrainError> {
    let mut parameters = Parameters::default();
    let weight = parameters.add("w", (1, 1), vec![2.0]);
    let mut count = 0;
    let value = |parameters: &Parameters| {
        count += 1;
        match fails {
            Some(fails) if count > fails => Err(TrainError::Setting("interrupted".into())),
            _ => Ok((f64::from(parameters[weight].value[0]) - 1.58).abs()),
        }
    };
    let evaluation = Evaluation { measure: "distance", greater_is_better: false, value: Box::new(value) };
    let (place, hooks) = ((folder, "falling"), (None, Some(evaluation)));
    let (task, compute) = (Falling(weight), Compute::new(1));
    let report = train_evaluated(&task, &compute, &mut parameters, settings, place, hooks, &mut |_, _| {})?;
    Ok((parameters[weight].value[0], report))
}

fn settings(checkpoint: usize) -> Settings {
    Settings {
        batch: 1,
        steps: 20,
        rate: 0.1,
        schedule: Schedule::Constant,
        checkpoint,
        evaluate: 2,
        patience: 2,
        ..Settings::default()
    }
}

#[test]
fn a_training_without_gain_stops_and_leaves_its_best_weights() {
    // Distances of 0.22, 0.02, 0.18 and 0.38 after steps 2, 4, 6 and 8.
    let (weight, report) = fall(None, &settings(0), None).unwrap();
    let evaluated = report.evaluated.unwrap();
    assert_eq!((evaluated.measure, evaluated.phase), ("distance", 1));
    assert_eq!((evaluated.best, evaluated.stopped, report.total), (4, Some(8), 8));
    assert!((weight - 1.6).abs() < 1e-4 && (evaluated.value - 0.02).abs() < 1e-4, "{weight} {evaluated:?}");
    let found: Vec<usize> =
        report.steps.iter().filter(|step| step.evaluation.is_some()).map(|step| step.step).collect();
    assert_eq!(found, [2, 4, 6, 8]);
    // Without patience it goes on, and the best weights are the same.
    let whole = Settings { patience: 0, steps: 7, ..settings(0) };
    let (again, report) = fall(None, &whole, None).unwrap();
    let evaluated = report.evaluated.unwrap();
    assert_eq!((again, evaluated.best, evaluated.stopped, report.total), (weight, 4, None, 7));
    // The last step is evaluated too.
    assert!(report.steps[6].evaluation.is_some());
}

#[test]
fn a_run_that_was_stopped_between_evaluations_goes_on_to_the_same_bits() {
    let whole = fall(None, &settings(0), None).unwrap();
    for checkpoint in [1, 3] {
        for fails in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            assert!(fall(Some(folder.path()), &settings(checkpoint), Some(fails)).is_err());
            for resumed in [None, Some(8)] {
                let (weight, report) = fall(Some(folder.path()), &settings(checkpoint), None).unwrap();
                assert_eq!(weight.to_bits(), whole.0.to_bits(), "{checkpoint} {fails}");
                assert_eq!((report.evaluated, report.total), (whole.1.evaluated, 8));
                // The end is kept whatever the distance of checkpoints, and nothing is left to do after it.
                assert!(resumed.is_none_or(|resumed| report.resumed == resumed), "{report:?}");
            }
            let log = std::fs::read_to_string(folder.path().join("steps.jsonl")).unwrap();
            assert_eq!((log.lines().count(), log.matches("evaluation").count()), (8, 4));
        }
    }
}

#[test]
fn a_training_goes_on_by_the_measure_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    fall(Some(folder.path()), &settings(1), None).unwrap();
    let mut parameters = Parameters::default();
    let task = Falling(parameters.add("w", (1, 1), vec![2.0]));
    let value = |_: &Parameters| Ok(0.5);
    let other = Evaluation { measure: "another", greater_is_better: true, value: Box::new(value) };
    let (place, hooks) = ((Some(folder.path()), "falling"), (None, Some(other)));
    let (compute, settings) = (Compute::new(1), settings(1));
    let error = train_evaluated(&task, &compute, &mut parameters, &settings, place, hooks, &mut |_, _| {})
        .unwrap_err();
    assert!(error.to_string().contains("of a training with other settings"), "{error}");
}

#[test]
fn each_phase_leaves_its_best_weights() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert");
    let candidate = |text: &str, label: f32| Candidate { text: text.into(), label, teacher: None };
    let lists = [RankingExample {
        query: "what purrs".into(),
        candidates: vec![candidate("cats purr at night", 1.0), candidate("dogs bark", 0.0)],
    }];
    let trained = Trained { adapter: "sora(rank=4, xi=0/0.3)".into(), ..Trained::default() };
    let settings =
        Settings { batch: 1, steps: 6, rate: 3e-3, checkpoint: 2, evaluate: 2, ..Settings::default() };
    let objective = "softmax-cross-entropy".into();
    let job = RankingJob { objective, tokens: 32, trained, settings, ..RankingJob::default() };
    let folder = tempfile::tempdir().unwrap();
    let (work, output) = (folder.path().join("work"), folder.path().join("model"));
    let outcome =
        job.run(&base, (&lists, &lists), (&work, &output), "", &Compute::new(1), &mut |_, _| {}).unwrap();
    let evaluated = outcome.report.evaluated.unwrap();
    assert_eq!((evaluated.measure, evaluated.phase, outcome.report.total), ("validation nDCG@10", 2, 12));
    assert_eq!(outcome.ndcg.unwrap()[1], [evaluated.value]);
}

#[test]
fn lists_without_a_label_above_0_are_evaluated_by_their_loss() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/parity/bert");
    let candidate =
        |text: &str, score: f32| Candidate { text: text.into(), label: 0.0, teacher: Some(score) };
    let lists = [RankingExample {
        query: "what purrs".into(),
        candidates: vec![candidate("cats purr at night", 2.0), candidate("dogs bark", 0.0)],
    }];
    let settings = Settings { batch: 1, steps: 4, checkpoint: 0, evaluate: 2, ..Settings::default() };
    let objective = "kl-distillation".into();
    let job = RankingJob { objective, tokens: 32, settings, ..RankingJob::default() };
    let folder = tempfile::tempdir().unwrap();
    let (work, output) = (folder.path().join("work"), folder.path().join("model"));
    let outcome =
        job.run(&base, (&lists, &lists), (&work, &output), "", &Compute::new(1), &mut |_, _| {}).unwrap();
    let evaluated = outcome.report.evaluated.unwrap();
    assert_eq!((evaluated.measure, outcome.ndcg), ("validation loss", None));
    assert_eq!(outcome.validation.unwrap()[1], evaluated.value);
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let said = |settings: &Settings| fall(None, settings, None).unwrap_err().to_string();
    assert!(said(&Settings { evaluate: 0, ..settings(0) }).contains("set evaluate"));
    let mut parameters = Parameters::default();
    let task = Falling(parameters.add("w", (1, 1), vec![2.0]));
    let (compute, settings) = (Compute::new(1), settings(0));
    let error = train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {});
    assert!(error.unwrap_err().to_string().contains("no examples to evaluate on"));
}
